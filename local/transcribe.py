"""What is said in recorded calls: `python -m local.decode --model FOLDER call.wav …`, a line for each piece of speech.

Each channel is one side of a call; it is cut at its pauses, and silence is left out. `--json` writes JSON lines, which stage 0
reads as a corpus: put the texts right, and they are training data.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.audio import AudioInfo, read_audio, read_info, resample
from data.errors import UserError
from data.manifest import RATE
from data.pauses import cut_at_pauses
from local import devices

if TYPE_CHECKING:
    from local.listener import Listener


@dataclass(frozen=True)
class Said:
    """A piece of a call: in which channel (from 0), from when to when in seconds, and what each branch heard."""

    channel: int
    start: float
    end: float
    text: str
    ctc_text: str | None


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.decode", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("calls", nargs="+", type=Path, metavar="call.wav", help="sound files, one speaker a channel")
    parser.add_argument("--model", type=Path, required=True, help="a model folder, such as one that local/export.py made")
    parser.add_argument("--hotwords", default="", metavar="WORDS|FILE", help="words to listen for: a,b,c, or a file, one a line")
    parser.add_argument("--json", action="store_true", help="JSON lines: source, channel, start, end, text, ctc_text")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default=os.environ.get("DEVICE") or "auto")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    calls = [(path, read_info(path)) for path in arguments.calls]  # what is wrong is said before the model is opened
    if not (arguments.model / "configuration.json").is_file():
        way = "make one with `bash run_experiment.sh export`"
        raise UserError(f"{arguments.model}: is no model folder, it has no configuration.json: {way}")
    words = hotwords(arguments.hotwords)
    listener = open_listener(arguments.model, words, arguments.device)
    for path, info in calls:
        said = transcribe(path, info, listener)
        if not said:
            print(f"{path}: nobody speaks", file=sys.stderr)
        for line in as_json(path, said) if arguments.json else as_text(path, said):
            print(line, flush=True)
    return 0


def hotwords(given: str) -> list[str]:
    """The words of a list with commas of either kind, or of a keyword file."""
    if os.path.isfile(given):  # Path.is_file() raises for a list that is longer than a name can be
        from local.keywords import read_keywords

        return read_keywords(given)
    if "/" in given or given.endswith(".txt"):
        raise UserError(f"--hotwords {given}: no such file; give words with commas between them, or a file of keywords")
    return [word.strip() for word in re.split("[,，、]", given) if word.strip()]


def open_listener(model: Path, words: list[str], device: str) -> Listener:
    """On one idle GPU, or on the CPU where the machine has none, or where that is asked for. Importing FunASR takes seconds."""
    choice = devices.pick({**os.environ, "DEVICE": device, "NPROC": "1"})
    devices.verify(choice)
    import torch

    from local.listener import Listener

    return Listener(str(model), torch.device(choice.device), words)


def transcribe(path: Path, info: AudioInfo, listener: Listener) -> list[Said]:
    """All pieces of a call in the order of time, both channels heard in the same batches."""
    places, sounds = [], []
    for channel in range(info.channels):
        for start, end, sound in spoken(*read_audio(path, channel=channel)):
            places.append((channel, start, end))
            sounds.append(sound)
    heard = zip(places, listener.hear(sounds), strict=True)
    said = [Said(*place, texts.llm, texts.ctc) for place, texts in heard]
    return sorted(said, key=lambda one: (one.start, one.channel))


def spoken(samples: np.ndarray, rate: int) -> Iterator[tuple[float, float, np.ndarray]]:
    """From when to when, in seconds, somebody speaks in (n,) samples, and the sound, at 16 kHz as stage 0 makes it of calls."""
    for piece in cut_at_pauses(samples, rate):
        yield piece.begin / rate, piece.end / rate, resample(samples[piece.first : piece.last], rate, RATE)


def as_text(path: Path, said: Iterable[Said]) -> Iterator[str]:
    """`call.wav  A  00:03.2–00:05.1  您好`; the channels are A, B …"""
    for one in said:
        yield f"{path}  {chr(ord('A') + one.channel)}  {clock(one.start)}–{clock(one.end)}  {one.text}"


def clock(seconds: float) -> str:
    """Minutes, seconds and tenths; with hours from the first on."""
    tenths = round(seconds * 10)
    hours, minutes = divmod(tenths // 600, 60)
    return f"{f'{hours}:' if hours else ''}{minutes:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"


def as_json(path: Path, said: Iterable[Said]) -> Iterator[str]:
    for one in said:
        fields = {"source": str(path.absolute()), "channel": one.channel, "start": round(one.start, 3), "end": round(one.end, 3)}
        yield json.dumps(fields | {"text": one.text, "ctc_text": one.ctc_text}, ensure_ascii=False)

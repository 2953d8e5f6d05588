"""Reader of FunASR's two forms of JSON lines.

    {"key", "messages": [system, user: …<|startofspeech|>!PATH<|endofspeech|>, assistant: text], "speech_length", …}
    {"key", "source": path, "source_len", "target": text, "target_len"}

Lengths are never taken over: they come in two units, see `speech_length_unit`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from data import prompt
from data.audio import AudioError, read_info
from data.json_lines import from_fields, parse_object, read_json_lines
from data.lines import Line, numbered_lines
from data.manifest import RATE, fbank_frames, speech_length
from data.utterance import BadLine, Reject, Utterance, number_of

FBANK, LFR = "10 ms fbank frames", "60 ms LFR frames"
SAMPLED = 200  # rows that are looked at for the unit


def read_funasr(path: Path) -> Iterator[Utterance | Reject]:
    """Every line, in whichever of the two forms it is. Raises UserError for a file that cannot be read."""
    return read_json_lines(path, _plain)


def is_funasr(fields: dict[str, Any]) -> bool:
    """Is the row in one of FunASR's forms?"""
    return "messages" in fields or "source_len" in fields or "target_len" in fields


def speech_length_unit(path: Path) -> str | None:
    """The unit of `speech_length` or `source_len`: FBANK or LFR; None where the rows do not tell.

    Counted are the first rows whose sound can be read, each with the unit that its duration speaks for.
    """
    votes = Counter(filter(None, (_unit(line, path) for line in islice(numbered_lines(path), SAMPLED))))
    return votes.most_common(1)[0][0] if votes else None


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a row under their names in JSON lines.

    Beside messages, our own rows carry where their sound once came from (source, start, channel …): not here.
    """
    if "messages" not in fields:
        return fields
    chat = fields["messages"]
    try:
        if not isinstance(chat, list):
            raise ValueError("messages is not a list")
        place = {"source": prompt.audio_path(chat), "target": prompt.target(chat)}
    except ValueError as error:
        raise BadLine("bad_messages", str(error)) from None
    return place | {name: fields.get(name) for name in ("key", "speaker", "call")}


def _unit(line: Line, path: Path) -> str | None:
    try:
        fields = parse_object(line.text())
        length = number_of(fields, "speech_length") or number_of(fields, "source_len")
        utterance = from_fields(_plain(fields), path, line.number)
        info = read_info(utterance.audio)
    except (BadLine, AudioError):
        return None
    seconds = (utterance.end or info.frames / info.rate) - (utterance.start or 0.0)
    samples = round(seconds * RATE)
    counts = {FBANK: fbank_frames(samples), LFR: speech_length(samples)}
    near = [unit for unit, frames in counts.items() if length and abs(length - frames) <= 3 + 0.02 * frames]
    return near[0] if len(near) == 1 else None  # of a very short sound both are near

"""Rows of the training JSONL: made, read and written here and nowhere else.

A row carries all that later rooms need; nobody re-opens the corpus.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data import prompt as prompts
from data.errors import UserError
from data.files import whole_file

RATE = 16000  # of everything that a row points to
WINDOW, SHIFT = 400, 160  # fbank frames: 25 ms every 10 ms, snip_edges
LFR_STEP = 6  # the frontend stacks 7 frames and moves on by 6: 60 ms
REQUIRED = {"key": str, "messages": list, "speech_length": int, "text_length": int}


def speech_length(samples: int) -> int:
    """Frames that the encoder sees in samples at 16 kHz: exactly what `WavFrontend` (LFR 7/6) yields.

    Fbank frames = 1 + (samples - 400) // 160 (the frontend shortens its window for anything under 25 ms, so
    there is always one), and the stacking keeps every sixth: ceil(frames / 6).
    """
    return -(-fbank_frames(samples) // LFR_STEP)


def hours(rows: Iterable[dict[str, Any]]) -> float:
    """Of sound, to the frame."""
    return sum(row["speech_length"] for row in rows) * LFR_STEP * SHIFT / RATE / 3600


def fbank_frames(samples: int) -> int:
    """Frames of 10 ms, the unit in which FunASR's own tool counts."""
    return 1 + max(0, samples - WINDOW) // SHIFT if samples else 0


def row(
    key: str,
    audio: Path | str,
    text: str,
    samples: int,
    prompt: str = prompts.DEFAULT_PROMPT,
    speaker: str | None = None,
    call: str | None = None,
) -> dict[str, Any]:
    """One row; `samples` at 16 kHz. What is None is left out."""
    fields: dict[str, Any] = {
        "key": key,
        "messages": prompts.messages(str(audio), text, prompt),
        "speech_length": speech_length(samples),
        "text_length": len(text),
        "duration": round(samples / RATE, 3),
    }
    known = {"speaker": speaker, "call": call}
    return fields | {name: value for name, value in known.items() if value is not None}


def read_rows(path: Path | str) -> list[dict[str, Any]]:
    """All rows of a training JSONL. Raises UserError naming file and line for anything that is not a row."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; stage 0 makes it")
    with path.open("rb") as lines:
        rows = [_parse(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise UserError(f"{path}: holds no utterance; {path.parent / 'rejected' / path.name} may say why")
    return rows


def write_rows(path: Path | str, rows: Iterable[dict[str, Any]]) -> None:
    """Write JSON lines, whole or not at all."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as out:
        for fields in rows:
            out.write(json.dumps(fields, ensure_ascii=False) + "\n")


def _parse(line: bytes, where: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: is not JSON ({error}); mend or delete the line") from None
    if not isinstance(fields, dict):
        raise UserError(f"{where}: is not a JSON object; mend or delete the line")
    for name, kind in REQUIRED.items():
        if not isinstance(fields.get(name), kind):
            raise UserError(f"{where}: has no {name!r} of type {kind.__name__}; "
                            "make the file with data/prepare_training_data.py")
    try:
        prompts.audio_path(fields["messages"]), prompts.target(fields["messages"])
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    return fields

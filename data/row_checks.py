"""What can be wrong with one row of training JSONL: each check a generator of findings, none when all is well."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from typing import Any

from data import prompt as prompts
from data.manifest import REQUIRED

Row = dict[str, Any]
LARGEST = 10**9  # frames or characters: a year and a half


def schema(fields: Any) -> Iterator[str]:
    """A row that others can take apart; the other checks see only rows that pass this one."""
    if not isinstance(fields, dict):
        yield "is not a JSON object"
        return
    for name, kind in REQUIRED.items():
        if not isinstance(fields.get(name), kind) or isinstance(fields[name], bool):
            yield f"has no {name!r} of type {kind.__name__}"
            return
        if kind is int and abs(fields[name]) > LARGEST:
            yield f"{name!r} is beyond all measure"
            return
    seconds = fields.get("duration", 0.0)
    if number(seconds) is None or seconds < 0:
        yield f"'duration' is not a time in seconds: {seconds!r}"
    try:
        prompts.audio_path(fields["messages"]), prompts.target(fields["messages"])
    except ValueError as error:
        yield str(error)


def texts_are_words(row: Row) -> Iterator[str]:
    text = prompts.target(row["messages"])
    speechless = row.get("negative") and not text
    if not speechless and (not text.strip() or "<|" in text):
        yield f"{text!r} is no transcript"


def text_lengths_fit(row: Row) -> Iterator[str]:
    length = len(prompts.target(row["messages"]))
    if row["text_length"] != length:
        yield f"text_length is {row['text_length']}, the text has {length} characters"


def speech_lengths_are_positive(row: Row) -> Iterator[str]:
    if row["speech_length"] < 1:
        yield f"speech_length is {row['speech_length']}"


def audio_is_there(row: Row) -> Iterator[str]:
    """Asks, and opens nothing: a pipe would be waited for."""
    path = prompts.audio_path(row["messages"])
    if why := not_a_file(path):
        yield f"{path}: {why}"


def targets_fit_frames(row: Row) -> Iterator[str]:
    """CTC says one token a frame at most, and needs a blank between two that are alike."""
    text = prompts.target(row["messages"])
    needed = len(text) + sum(map(str.__eq__, text, text[1:]))
    if needed > row["speech_length"]:
        yield f"{len(text)} characters need {needed} frames, the speech has {row['speech_length']}"


ROW_CHECKS = [
    ("targets are words", texts_are_words),
    ("text_length fits the text", text_lengths_fit),
    ("speech_length is positive", speech_lengths_are_positive),
    ("sound files are there", audio_is_there),
]
ROW_WARNINGS = [("CTC can say the target in the time", targets_fit_frames)]


def not_a_file(path: str) -> str | None:
    """Why nothing can be read there, if so."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return "no such file"
    except (OSError, ValueError) as error:  # ValueError: NUL bytes, lone surrogates
        return getattr(error, "strerror", None) or "is no file name"
    if stat.S_ISREG(mode):
        return None
    return "is a folder, not a sound file" if stat.S_ISDIR(mode) else "is a pipe or device, not a sound file"


def number(value: Any) -> float | None:
    """A finite number as it is, anything else as None."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and abs(value) < math.inf and abs(value) < 1e300 else None

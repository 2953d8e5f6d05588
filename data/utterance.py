"""What every reader of a corpus makes, an `Utterance` or a `Reject`, and how it reads the fields of a line."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LATEST = 1e6  # seconds, eleven days: no recording lasts longer
CHANNELS = 1024  # no file has more
# What can stand neither in a UTF-8 file nor in a path.
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?nan|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Utterance:
    """One stretch of speech and its transcript. Times in seconds, channels from 0, lines from 1.

    Where a corpus is no file of lines, `line` counts its segments, or its lines over all its files.
    """

    key: str
    audio: Path
    text: str
    start: float | None = None
    end: float | None = None
    channel: int | None = None
    speaker: str | None = None
    call: str | None = None
    line: int = 0


@dataclass(frozen=True)
class Reject:
    """A line that becomes no utterance: `reason` is a word to count by, `detail` says what and where.

    `value` and `bound` are what was measured and what would have passed, where the reason is a bound.
    """

    key: str | None
    line: int
    reason: str
    detail: str
    text: str | None = None
    call: str | None = None
    value: float | str | None = None
    bound: float | str | None = None


class BadLine(Exception):
    """Raised while a line is taken apart; the reader makes a `Reject` of it."""

    def __init__(self, reason: str, detail: str, value: float | str | None = None, bound: float | str | None = None) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.value, self.bound = reason, detail, value, bound

    def reject(self, where: str, line: int, key: str | None = None, text: str | None = None, call: str | None = None) -> Reject:
        """The reject that the line becomes; `where` is the place that a person would look at."""
        detail = _UNWRITABLE.sub("\ufffd", f"{where}: {self.detail}")
        return Reject(key, line, self.reason, detail, text, call and _UNWRITABLE.sub("\ufffd", call), self.value, self.bound)


def string_of(fields: dict[str, Any], *names: str) -> str | None:
    """The first of the fields that is there. A number (keys and speakers often are) becomes its digits."""
    value = next((fields[name] for name in names if fields.get(name) is not None), None)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if value is None or (isinstance(value, str) and not _UNWRITABLE.search(value)):
        return value
    raise BadLine("bad_field", f"{'/'.join(names)!r} is not a valid text: {shown(value)}")


def number_of(fields: dict[str, Any], name: str) -> float | None:
    """A finite number, as such or as a text."""
    value = fields.get(name)
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and _NUMBER.fullmatch(value.strip())):
        try:
            number = float(value)
        except OverflowError:  # an integer of hundreds of digits
            number = math.inf
        if math.isfinite(number):
            return number
    raise BadLine("bad_field", f"{name!r} is not a number: {shown(value)}")


def times_of(fields: dict[str, Any], start: str = "start", end: str = "end") -> tuple[float | None, float | None]:
    """Start and end in seconds: within 0…LATEST, the end after the start."""
    first, last = number_of(fields, start), number_of(fields, end)
    for name, value in ((start, first), (end, last)):
        if value is not None and value < 0:
            raise BadLine("bad_times", f"{name!r} is negative: {value:g} s", value, 0.0)
        if value is not None and value > LATEST:
            raise BadLine("bad_times", f"{name!r} is no time in seconds: {value:g}", value, LATEST)
    if last is not None and last <= (first or 0.0):
        raise BadLine("bad_times", f"ends at {last:g} s, not after its start at {first or 0.0:g} s", last, first or 0.0)
    return first, last


def channel_of(fields: dict[str, Any]) -> int | None:
    """A channel, counted from 0."""
    value = number_of(fields, "channel")
    if value is not None and not (0 <= value < CHANNELS and value.is_integer()):
        raise BadLine("bad_field", f"'channel' is not a number counted from 0: {shown(fields['channel'])}")
    return None if value is None else int(value)


def audio_of(folder: Path, source: str | None, name: str) -> Path:
    """The path of a sound file, relative to the folder of the manifest. It need not exist."""
    if not source:
        raise BadLine("no_audio", f"has no {name} with the path of a sound file")
    if "://" in source:
        raise BadLine("remote_audio", f"its sound lies at {source}; download it and give the path")
    return writable((folder / source).absolute())


def writable(path: Path) -> Path:
    """The path, where it can stand in a row. A file system takes names that are no text."""
    if _UNWRITABLE.search(str(path)):
        raise BadLine("bad_field", f"its sound lies at {path}, whose name is no UTF-8; rename it")
    return path


def made_key(corpus: str, source: str, start: float | None, end: float | None, channel: int | None) -> str:
    """Corpus + path + times, never a position: it stays the same when lines are added or sorted."""
    last = "end" if end is None else f"{end:.3f}"
    times = "" if start is None and end is None else f"@{start or 0.0:.3f}-{last}"
    return f"{corpus}/{source}{times}{'' if channel is None else f'#{channel}'}"


def readable(fields: Any, *names: str) -> str | None:
    """As `string_of`, for a line that is rejected for something else: None for what cannot be read."""
    try:
        return string_of(fields, *names) if isinstance(fields, dict) else None
    except BadLine:
        return None


def shown(value: Any) -> str:
    """A value as a message shows it: short."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"

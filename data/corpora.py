"""Readers of corpora: each a generator of `Utterance`, with a `Reject` for every line that cannot be one.

JSON lines  {"key"?, "source" | "audio": path, "target" | "text": text}, optional start, end, channel,
            speaker, call
Kaldi       a folder with wav.scp and text, optional segments and utt2spk; commands in wav.scp are never run

Relative paths are relative to the folder of the manifest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import UserError


@dataclass(frozen=True)
class Utterance:
    """One stretch of speech and its transcript. Times in seconds, channels from 0, lines from 1."""

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
    """A line that becomes no utterance: `reason` is a word to count by, `detail` says what and where."""

    key: str | None
    line: int
    reason: str
    detail: str
    text: str | None = None
    call: str | None = None


class BadLine(Exception):
    """Raised while a line is taken apart; the reader makes a `Reject` of it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def read_corpus(path: Path | str) -> Iterator[Utterance | Reject]:
    """Every line of a JSON-lines file or a Kaldi folder. Raises UserError when there is nothing to read."""
    path = Path(path)
    if path.is_dir():
        return _read_kaldi(path)
    if not path.exists():
        raise UserError(f"{path}: no such manifest; give a JSON-lines file or a Kaldi folder (wav.scp, text)")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the manifest is empty")
    return _read_json_lines(path)


# --- JSON lines ------------------------------------------------------------------------------------------


def _read_json_lines(path: Path) -> Iterator[Utterance | Reject]:
    for number, line in _numbered_lines(path):
        fields: Any = None
        try:
            fields = _parse_json(line)
            yield _from_fields(fields, path, number)
        except BadLine as bad:
            key, text, call = (_if_text(fields, name) for name in ("key", "text", "call"))
            yield Reject(key, number, bad.reason, f"{path}:{number}: {bad.detail}", text, call)


def _parse_json(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line.decode("utf-8"))
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are both ValueErrors
        raise BadLine("bad_json", f"is not JSON in UTF-8 ({error})") from None
    if not isinstance(fields, dict):
        raise BadLine("bad_json", "is not a JSON object")
    return fields


def _from_fields(fields: dict[str, Any], path: Path, line: int) -> Utterance:
    source = _string(fields, "source", "audio")
    text = _string(fields, "target", "text")
    if source is None:
        raise BadLine("no_audio", 'has no "source" (or "audio") with the path of a sound file')
    if text is None:
        raise BadLine("no_text", 'has no "target" (or "text") with the transcript')
    start, end = _number(fields, "start"), _number(fields, "end")
    _check_times(start, end)
    channel = _channel(fields)
    key = _string(fields, "key") or _made_key(path.stem, source, start, end, channel)
    return Utterance(key, (path.parent / source).absolute(), text, start, end, channel,
                     _string(fields, "speaker"), _string(fields, "call"), line)


def _if_text(fields: Any, name: str) -> str | None:
    """A field of a line that may be anything, if it is a valid text."""
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, str) and _is_writable(value) else None


def _is_writable(text: str) -> bool:
    """Can the text stand in a UTF-8 file and in a path?"""
    return not any("\ud800" <= character <= "\udfff" or character == "\0" for character in text)


def _string(fields: dict[str, Any], *names: str) -> str | None:
    """The first of the fields that is there; a whole number (keys and speakers often are) as its digits."""
    value = next((fields[name] for name in names if fields.get(name) is not None), None)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or (isinstance(value, str) and _is_writable(value)):
        return value
    raise BadLine("bad_field", f"{'/'.join(names)!r} is not a valid text: {value!r}")


def _number(fields: dict[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise BadLine("bad_field", f"{name!r} is not a time in seconds: {value!r}")
    return float(value)


def _channel(fields: dict[str, Any]) -> int | None:
    value = fields.get("channel")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadLine("bad_field", f"'channel' is not a number counted from 0: {value!r}")
    return value


def _check_times(start: float | None, end: float | None) -> None:
    if end is not None and end <= (start or 0.0):
        raise BadLine("bad_field", f"ends at {end} s, not after its start at {start or 0.0} s")


def _made_key(corpus: str, source: str, start: float | None, end: float | None, channel: int | None) -> str:
    """Corpus + path + times, never a position: it stays the same when lines are added or sorted."""
    last = "end" if end is None else f"{end:.3f}"
    times = "" if start is None and end is None else f"@{start or 0.0:.3f}-{last}"
    return f"{corpus}/{source}{times}{'' if channel is None else f'#{channel}'}"


# --- Kaldi -----------------------------------------------------------------------------------------------


def _read_kaldi(folder: Path) -> Iterator[Utterance | Reject]:
    for name in ("wav.scp", "text"):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: is no Kaldi folder, it has no file {name}")
    recordings = _table(folder / "wav.scp")
    texts = _table(folder / "text")
    speakers = _table(folder / "utt2spk") if (folder / "utt2spk").is_file() else {}
    segmented = (folder / "segments").is_file()
    whole = {key: (line, key) for key, (line, _) in recordings.items()}
    places = _table(folder / "segments") if segmented else whole
    if not places:
        raise UserError(f"{folder / ('segments' if segmented else 'wav.scp')}: is empty")
    for key in places | texts:
        line, place = places.get(key, (texts[key][0] if key in texts else 0, ""))
        try:
            yield _from_kaldi(folder, key, line, place, segmented, recordings, texts, speakers)
        except BadLine as bad:
            text = texts.get(key, (0, None))[1]
            yield Reject(key, line, bad.reason, f"{folder}: {key}: {bad.detail}", text)


def _from_kaldi(
    folder: Path,
    key: str,
    line: int,
    place: str,
    segmented: bool,
    recordings: dict[str, tuple[int, str]],
    texts: dict[str, tuple[int, str]],
    speakers: dict[str, tuple[int, str]],
) -> Utterance:
    if key not in texts:
        raise BadLine("no_text", "is not in the file text")
    if not place:
        raise BadLine("no_audio", f"is in the file text, but not in {'segments' if segmented else 'wav.scp'}")
    recording, start, end = _segment(place) if segmented else (place, None, None)
    if recording not in recordings:
        raise BadLine("no_audio", f"its recording {recording} is not in wav.scp")
    source = recordings[recording][1]
    if source.endswith("|") or source.startswith("|"):
        raise BadLine("pipe_command", "wav.scp holds a command; none is ever run: make files of them first")
    speaker = speakers.get(key, (0, None))[1]
    call = recording if segmented else None
    return Utterance(key, (folder / source).absolute(), texts[key][1], start, end, None, speaker, call, line)


def _segment(place: str) -> tuple[str, float | None, float | None]:
    """`recording start end` of a line of segments; an end of -1 means the end of the recording."""
    try:
        recording, start, end = place.split()
        times = {"start": float(start), "end": None if float(end) == -1 else float(end)}
    except ValueError:
        raise BadLine("bad_field", f"segments should say RECORDING START END, not {place!r}") from None
    first, last = _number(times, "start"), _number(times, "end")
    _check_times(first, last)
    return recording, first, last


def _table(path: Path) -> dict[str, tuple[int, str]]:
    """`key rest of the line` to {key: (line number, rest)}. Raises UserError for a broken table."""
    table: dict[str, tuple[int, str]] = {}
    for number, line in _numbered_lines(path):
        try:
            key, _, rest = line.decode("utf-8").strip().replace("\t", " ", 1).partition(" ")
        except UnicodeDecodeError as error:
            raise UserError(f"{path}:{number}: is not UTF-8 ({error.reason}); save it as UTF-8") from None
        if key in table:
            raise UserError(f"{path}:{number}: {key} stands in line {table[key][0]} too; delete one of them")
        table[key] = number, rest.strip()
    return table


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers from 1, without a byte-order mark."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            content = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if content.strip():
                yield number, content

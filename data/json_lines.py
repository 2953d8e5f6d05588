"""Reader of JSON lines: {"key"?, "source" | "audio": path, "target" | "text": text}, optional start, end,
channel, speaker, call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from data.lines import numbered_lines
from data.utterance import BadLine, Reject, Utterance, audio_of, channel_of, made_key, readable, string_of, times_of

Fields = dict[str, Any]


def read_json_lines(path: Path, prepare: Callable[[Fields], Fields] = lambda fields: fields) -> Iterator[Utterance | Reject]:
    """Every line, with its fields as `prepare` names them. Raises UserError for a file that cannot be read."""
    for line in numbered_lines(path):
        fields: Fields = {}
        try:
            fields = parse_object(line.text())
            yield from_fields(prepare(fields), path, line.number)
        except BadLine as bad:
            known = readable(fields, "key"), readable(fields, "target", "text"), readable(fields, "call")
            yield bad.reject(f"{path}:{line.number}", line.number, *known)


def parse_object(text: str) -> Fields:
    """Raises BadLine for what is no JSON object."""
    try:
        fields = json.loads(text)
    except RecursionError:
        raise BadLine("bad_json", "is not JSON that anyone wrote (brackets in brackets without end)") from None
    except ValueError as error:
        raise BadLine("bad_json", f"is not JSON ({error})") from None
    if not isinstance(fields, dict):
        raise BadLine("bad_json", "is not a JSON object")
    return fields


def from_fields(fields: Fields, path: Path, line: int) -> Utterance:
    """The utterance of one line. Raises BadLine."""
    source = string_of(fields, "source", "audio")
    audio = audio_of(path.parent, source, '"source" (or "audio")')
    text = string_of(fields, "target", "text")
    if text is None:
        raise BadLine("no_text", 'has no "target" (or "text") with the transcript')
    start, end = times_of(fields)
    channel = channel_of(fields)
    key = string_of(fields, "key") or made_key(_corpus(path), str(source), start, end, channel)
    whole = (start, end, channel) == (None, None, None)
    call = string_of(fields, "call") or (None if whole else str(audio))  # the parts of a recording were one call
    return Utterance(key, audio, text, start, end, channel, string_of(fields, "speaker"), call, line)


def _corpus(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).stem

"""Reader of the official WenetSpeech.json, 10 GB and more in one line of JSON, in bounded memory.

    {"audios": [{"aid", "path", "duration", "segments": [{"sid", "begin_time", "end_time", "text", "confidence",
                                                          "subsets": ["L", "M", …]}, …]}, …]}

One audio with its segments is held at a time. A segment may be in several subsets; one outside the subset
that was asked for is no part of the corpus.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from data.errors import UserError
from data.lines import BOM, open_text
from data.utterance import (
    BadLine,
    Reject,
    Utterance,
    audio_of,
    made_key,
    number_of,
    readable,
    shown,
    string_of,
    times_of,
)

SUBSETS = ("S", "M", "L", "W", "DEV", "TEST_NET", "TEST_MEETING")
BLOCK = 2**22  # characters read at a time
MAX_AUDIO = 2**26  # characters of one audio with all its segments; ten hours of speech take 3 million
CUT_WORD = 16  # an error so near to the end of what was read may only be that end: `tru`, `\u4e`
AUDIOS = re.compile(r'"audios"\s*:\s*\[')
BETWEEN = re.compile(r"[\s,]*")

Fields = dict[str, Any]


def read_wenetspeech(path: Path, subset: str | None = None, min_confidence: float = 0.0) -> Iterator[Utterance | Reject]:
    """Every segment of the subset (of all of them when None); one below `min_confidence` is a Reject.

    Raises UserError for an unknown subset, and where the JSON ends early or is none: what follows is lost.
    """
    if subset is not None and subset not in SUBSETS:
        raise UserError(f"{path}#{subset}: WenetSpeech has no subset {subset}, but {', '.join(SUBSETS)}")
    return _read(path, subset, min_confidence)


def is_wenetspeech(beginning: str) -> bool:
    """Is it the beginning of such a file?"""
    return beginning.lstrip().startswith("{") and AUDIOS.search(beginning) is not None


def _read(path: Path, subset: str | None, min_confidence: float) -> Iterator[Utterance | Reject]:
    number = 0
    for index, audio in enumerate(_audios(path)):
        where = f"{path}: audio {index + 1}"
        segments = audio.get("segments") if isinstance(audio, dict) else None
        if not isinstance(segments, list):
            number += 1
            yield BadLine("bad_field", f"is no audio with segments: {shown(audio)}").reject(where, number)
            continue
        for segment in segments:
            number += 1
            try:
                if subset is None or subset in _subsets(segment):
                    yield _utterance(path, audio, segment, number, min_confidence)
            except BadLine as bad:
                known = readable(segment, "sid"), readable(segment, "text"), readable(audio, "aid")
                yield bad.reject(f"{where}, segment {known[0] or number}", number, *known)


def _utterance(path: Path, audio: Fields, segment: Fields, number: int, min_confidence: float) -> Utterance:
    if not isinstance(segment, dict):
        raise BadLine("bad_field", f"is no segment: {shown(segment)}")
    source = string_of(audio, "path")
    sound = audio_of(path.parent, source, '"path"')
    text = string_of(segment, "text")
    if text is None:
        raise BadLine("no_text", 'has no "text"')
    start, end = times_of(segment, "begin_time", "end_time")
    _check_confidence(number_of(segment, "confidence"), min_confidence)
    key = string_of(segment, "sid") or made_key(path.stem, str(source), start, end, None)
    return Utterance(key, sound, text, start, end, None, None, string_of(audio, "aid"), number)


def _subsets(segment: Any) -> list[str]:
    names = segment.get("subsets") if isinstance(segment, dict) else None
    if not isinstance(names, list):
        raise BadLine("bad_field", f"does not say its subsets: {shown(segment)}")
    return names


def _check_confidence(confidence: float | None, least: float) -> None:
    if least and (confidence is None or confidence < least):
        found = "no confidence" if confidence is None else f"confidence {confidence:g}"
        raise BadLine("low_confidence", f"has {found}, below {least:g}", confidence, least)


# --- the stream ------------------------------------------------------------------------------------------


def _audios(path: Path) -> Iterator[Any]:
    """The values in the array `audios`, one after the other. Raises UserError for broken JSON."""
    with open_text(path) as file:
        stream = _Stream(file, path)
        stream.skip_to(AUDIOS)
        while stream.next_character() != "]":
            yield stream.value()


class _Stream:
    """JSON text of which only a window is held."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path = file, path
        self.decoder = json.JSONDecoder(strict=False)  # a control character in a text costs that text only
        self.characters = codecs.getincrementaldecoder("utf-8")("surrogateescape")  # and so do bytes that are none
        self.window, self.position, self.gone, self.is_all = "", 0, 0, False
        self.more()
        self.window = self.window.removeprefix(BOM.decode())

    def more(self) -> None:
        """Forget what has been read, and read as much again as is left, at least a block."""
        rest = self.window[self.position :]
        if self.is_all or len(rest) > MAX_AUDIO:
            self.fail("ends in the middle" if self.is_all else f"one audio has more than {MAX_AUDIO} characters")
        block = self.file.read(max(BLOCK, len(rest)))
        self.is_all = not block
        self.gone += self.position
        self.window, self.position = rest + self.characters.decode(block, final=self.is_all), 0

    def skip_to(self, pattern: re.Pattern[str]) -> None:
        while not (found := pattern.search(self.window)):
            self.more()
        self.position = found.end()

    def next_character(self) -> str:
        """The first of the next value, or the bracket that closes them."""
        while True:
            if between := BETWEEN.match(self.window, self.position):
                self.position = between.end()
            if self.position < len(self.window):
                return self.window[self.position]
            self.more()

    def value(self) -> Any:
        while True:
            try:
                value, end = self.decoder.raw_decode(self.window, self.position)
                if end < len(self.window):  # else a number may go on
                    self.position = end
                    return value
            except json.JSONDecodeError as error:
                if error.pos < len(self.window) - CUT_WORD and not error.msg.startswith("Unterminated"):
                    self.fail(error.msg)
            except (RecursionError, ValueError) as error:  # nested without end, a number of thousands of digits
                self.fail(str(error))
            self.more()

    def fail(self, what: str) -> None:
        raise UserError(
            f"{self.path}: is no WenetSpeech.json: {what} (near character {self.gone + self.position}); fetch it again"
        )

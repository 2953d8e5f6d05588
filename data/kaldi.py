"""Reader of Kaldi folders: wav.scp and text, optional segments and utt2spk. Commands in wav.scp are never run.

The table that lists the utterances (segments, else wav.scp) is streamed, the others are looked up in their
files, in any order: 17 bytes a line are remembered.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from data.errors import UserError
from data.lines import BOM, MAX_LINE, Line, decode, numbered_lines, open_seekable
from data.utterance import BadLine, Reject, Utterance, audio_of, times_of


def read_kaldi(folder: Path) -> Iterator[Utterance | Reject]:
    """Every line of segments (else of wav.scp), and every line of text that belongs to none of them.

    Raises UserError when a table is missing, or when one that is looked up says two things of one key.
    """
    for name in ("wav.scp", "text"):
        if _path(folder, name) is None:
            raise UserError(f"{folder}: is no Kaldi folder, it has no file {name}")
    return _Folder(folder).items()


def is_kaldi(folder: Path) -> bool:
    """Is it a folder with a table of Kaldi?"""
    return any(_path(folder, name) for name in ("wav.scp", "text", "segments"))


class _Folder:
    """The tables of a Kaldi folder."""

    def __init__(self, folder: Path) -> None:
        segments, speakers = _path(folder, "segments"), _path(folder, "utt2spk")
        recordings, texts = _path(folder, "wav.scp"), _path(folder, "text")
        assert recordings and texts
        self.folder, self.listing = folder, segments or recordings
        self.texts = _Table(texts)
        self.recordings = _Table(recordings, unique=True) if segments else None
        self.speakers = _Table(speakers, unique=True) if speakers else None

    def items(self) -> Iterator[Utterance | Reject]:
        found = False
        for item in chain(self._listed(), self._left()):
            found = True
            yield item
        if not found:
            raise UserError(f"{self.listing}: is empty")

    def _listed(self) -> Iterator[Utterance | Reject]:
        for line in numbered_lines(self.listing):
            name, place = _key_and_rest(line)
            text = self.texts.find(name)
            key = words = None
            try:
                key = decode(name, line.encoding)
                words = text.text() if text else None
                yield self._utterance(name, key, words, place, line.number)
            except BadLine as bad:
                yield bad.reject(f"{self.listing}:{line.number}", line.number, key, words)

    def _utterance(self, name: bytes, key: str, words: str | None, place: Line, line: int) -> Utterance:
        source, start, end, call = place.text(), None, None, None
        if words is None:
            raise BadLine("no_text", "its key is not in the file text")
        if self.recordings is not None:
            call, start, end = _segment(source)
            recording = self.recordings.find(place.content.split()[0])
            if recording is None:
                raise BadLine("no_audio", f"its recording {call} is not in wav.scp")
            source = recording.text()
        if source.startswith("|") or source.endswith("|"):
            raise BadLine("pipe_command", "wav.scp holds a command; none is ever run: make files of them first")
        audio = audio_of(self.folder, source, "entry in wav.scp")
        speaker = self.speakers.find(name) if self.speakers else None
        return Utterance(key, audio, words, start, end, None, speaker.text() if speaker else None, call, line)

    def _left(self) -> Iterator[Reject]:
        """Lines of text whose key nothing lists."""
        for line in numbered_lines(self.texts.path):
            name, rest = _key_and_rest(line)
            if self.texts.is_used(name, line.offset):
                continue
            key = words = None
            try:
                key, words = decode(name, line.encoding), rest.text()
                raise self._why_left(name, line)
            except BadLine as why:
                bad = why
            yield bad.reject(f"{self.texts.path}:{line.number}", line.number, key, words)

    def _why_left(self, name: bytes, line: Line) -> BadLine:
        first = self.texts.find(name)
        if first and first.offset != line.offset:
            return BadLine("duplicate_key", "an earlier line has the same key")
        return BadLine("no_audio", f"its key is not in {self.listing.name}")


class _Table:
    """`key rest of the line`, found by key: the hash and the place of each line are held, the lines are not."""

    def __init__(self, path: Path, unique: bool = False) -> None:
        self.path, self.file, self.encoding = path, open_seekable(path), "utf-8"
        hashes, offsets = array("q"), array("q")
        for line in numbered_lines(path):
            hashes.append(hash(_key_and_rest(line)[0]))
            offsets.append(line.offset)
            self.encoding = line.encoding
        order = np.argsort(np.frombuffer(hashes, np.int64), kind="stable")  # of equal ones the first line first
        self.hashes = array("q", np.frombuffer(hashes, np.int64)[order].tobytes())
        self.offsets = array("q", np.frombuffer(offsets, np.int64)[order].tobytes())
        self.used = bytearray(len(order))
        if unique:
            self._refuse_twins()

    def find(self, key: bytes) -> Line | None:
        """What the first line of that key says of it."""
        for index in self._candidates(key):
            name, rest = _key_and_rest(self._line(index))
            if name == key:
                self.used[index] = True
                return rest
        return None

    def is_used(self, key: bytes, offset: int) -> bool:
        """Was the line at this place found before?"""
        return any(self.used[index] for index in self._candidates(key) if self.offsets[index] == offset)

    def _candidates(self, key: bytes) -> Iterator[int]:
        """Lines whose key has the same hash, nearly always that one."""
        wanted = hash(key)
        index = bisect_left(self.hashes, wanted)
        while index < len(self.hashes) and self.hashes[index] == wanted:
            yield index
            index += 1

    def _line(self, index: int) -> Line:
        offset = self.offsets[index]
        self.file.seek(offset)
        content = self.file.readline(MAX_LINE + 1)
        return Line(0, content.removeprefix(BOM) if offset == 0 else content, self.encoding, offset)

    def _refuse_twins(self) -> None:
        hashes = np.frombuffer(self.hashes, np.int64)
        for index in np.flatnonzero(hashes[1:] == hashes[:-1]):
            one, other = (_key_and_rest(self._line(at))[0] for at in (index, index + 1))
            if one == other:
                raise UserError(f"{self.path}: {one.decode(errors='replace')} stands in it twice; delete one of the lines")


def _segment(place: str) -> tuple[str, float | None, float | None]:
    """`recording start end` of a line of segments; an end of -1 means the end of the recording."""
    try:
        recording, start, end = place.split()
    except ValueError:
        raise BadLine("bad_field", f"segments should say RECORDING START END, not {place[:80]!r}") from None
    return recording, *times_of({"start": start} if end in ("-1", "-1.0") else {"start": start, "end": end})


def _key_and_rest(line: Line) -> tuple[bytes, Line]:
    key, _, rest = line.content.strip().replace(b"\t", b" ", 1).partition(b" ")
    return key, line._replace(content=rest.strip()) if len(line.content) <= MAX_LINE else line


def _path(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.exists()), None)

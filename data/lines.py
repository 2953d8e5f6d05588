"""Text files as they come: plain or gzip, UTF-8 (with byte-order mark or not) or GBK, lines of any length.

They are streamed. One line takes at most `MAX_LINE` bytes of memory, and what gzip holds is given up when
it unpacks to more than a text ever did.
"""

from __future__ import annotations

import gzip
import io
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from data.errors import UserError, describe
from data.utterance import BadLine

MAX_LINE = 2**20
HEAD = 2**20  # bytes by which the encoding and the form of a file are judged
BOM = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
UNPACKED_ALWAYS = 2**26  # bytes that any gzip file may unpack to; a larger one
UNPACKED_RATIO = 200  # to so many times its own size. JSON lines of transcripts: 5-30


class Line(NamedTuple):
    """A line that is not blank. `number` counts from 1, `offset` in bytes; `content` is cut behind MAX_LINE."""

    number: int
    content: bytes
    encoding: str
    offset: int

    def text(self) -> str:
        """The line without its end. Raises BadLine when it is too long or no text."""
        if len(self.content) > MAX_LINE:
            raise BadLine("too_long", f"is longer than {MAX_LINE} bytes", len(self.content), MAX_LINE)
        return decode(self.content, self.encoding).rstrip("\r\n")


def numbered_lines(path: Path) -> Iterator[Line]:
    """Every line that is not blank. Raises UserError when the file cannot be read or unpacked."""
    encoding = encoding_of(head(path), path)
    number = offset = 0
    with open_text(path) as stream:
        while content := stream.readline(MAX_LINE + 1):
            number, start, offset = number + 1, offset, offset + len(content)
            more = content
            while len(more) > MAX_LINE and not more.endswith(b"\n"):
                more = stream.readline(MAX_LINE + 1)
                offset += len(more)
            if number == 1:
                content = content.removeprefix(BOM)
            if content.strip():
                yield Line(number, content, encoding, start)


def decode(content: bytes, encoding: str) -> str:
    """Raises BadLine for what is not in the encoding or holds a NUL, which no text does."""
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadLine("bad_encoding", f"is not {encoding.upper()} ({error.reason} at byte {error.start})") from None
    if "\0" in text:
        raise BadLine("bad_encoding", "holds a NUL byte")
    return text


def head(path: Path) -> bytes:
    """The first bytes of a file, unpacked."""
    with open_text(path) as stream:
        return stream.read(HEAD)


def encoding_of(beginning: bytes, path: Path) -> str:
    """`utf-8` or `gb18030` (GBK and more), whichever most of the lines beyond ASCII are valid in.

    Judged once for a file, not line by line: nearly any bytes are valid GB18030, a damaged UTF-8 line too.
    """
    if beginning.startswith(UTF_16):
        raise UserError(f"{path}: is UTF-16; save it as UTF-8")
    lines = beginning.removeprefix(BOM).split(b"\n")
    if len(beginning) == HEAD and len(lines) > 1:
        lines.pop()  # cut in the middle, perhaps of a character
    telling = [line for line in lines if not line.isascii()]
    utf_8, gb18030 = (sum(_is_valid(line, encoding) for line in telling) for encoding in ("utf-8", "gb18030"))
    return "gb18030" if utf_8 < gb18030 and 2 * utf_8 < len(telling) else "utf-8"


@contextmanager
def open_text(path: Path) -> Iterator[io.BufferedReader]:
    """The bytes of a file, unpacked where it is gzip; what goes wrong in reading them is a UserError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a FIFO would wait for ever
            raise UserError(f"{path}: is no file but a folder, pipe or device; give a file")
        with path.open("rb") as file:
            yield _unpacked(file, path) if file.peek(2)[:2] == b"\x1f\x8b" else file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: is damaged gzip ({error}); fetch it again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({describe(error)})") from None


def open_seekable(path: Path) -> BinaryIO:
    """The same for who wants to jump about in it: of a packed file an unnamed copy of its content."""
    with open_text(path) as stream:
        if not isinstance(stream.raw, _Unpacked):
            return path.open("rb")
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it, and then it is gone
        shutil.copyfileobj(stream, copy, HEAD)
        return copy


class _Unpacked(io.RawIOBase):
    """What a gzip file holds. Raises UserError where that is more than text can be."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.stream, self.path, self.size = gzip.GzipFile(fileobj=file), path, path.stat().st_size
        self.left = max(UNPACKED_ALWAYS, UNPACKED_RATIO * self.size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self.stream.readinto(buffer)
        self.left -= count
        if self.left < 0:
            raise UserError(
                f"{self.path}: its {self.size} bytes unpack to more than {UNPACKED_RATIO} times as many; "
                "if that is no mistake, unpack it with gunzip and give the file"
            )
        return count


def _unpacked(file: BinaryIO, path: Path) -> io.BufferedReader:
    return io.BufferedReader(_Unpacked(file, path), 2**18)


def _is_valid(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True

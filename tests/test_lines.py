"""Text files as they come: numbered, in their encoding, unpacked, and in bounded memory."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UserError
from data.lines import HEAD, MAX_LINE, encoding_of, head, numbered_lines, open_seekable
from data.utterance import BadLine


def write(folder: Path, content: bytes) -> Path:
    (folder / "a.txt").write_bytes(content)
    return folder / "a.txt"


def reason(line) -> str:
    with pytest.raises(BadLine) as bad:
        line.text()
    return bad.value.reason


def test_lines_are_numbered_as_an_editor_does_and_blank_ones_are_none(tmp_path):
    path = write(tmp_path, "\ufeff一\n\n \t\r\n二\r\n三".encode())
    lines = list(numbered_lines(path))
    assert [(line.number, line.text()) for line in lines] == [(1, "一"), (4, "二"), (5, "三")]
    content = path.read_bytes()
    assert [content[line.offset :][:3] for line in lines[1:]] == ["二".encode(), "三".encode()]


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_as_many_lines_as_there_are(tmp_path_factory, content, packed):
    if content.startswith((b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"\xef\xbb\xbf")):
        return
    path = write(tmp_path_factory.mktemp("any"), gzip.compress(content) if packed else content)
    numbers = [number for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    assert [line.number for line in numbered_lines(path)] == numbers


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
def test_encodings_are_told_apart(tmp_path, encoding):
    text = "你好，我想查一下话费\n好的，请稍等\nok\n"
    lines = list(numbered_lines(write(tmp_path, text.encode(encoding))))
    assert "".join(f"{line.text()}\n" for line in lines) == text


def test_a_damaged_line_of_utf_8_is_not_taken_for_gbk(tmp_path):
    good = "你好，我想查一下话费".encode()
    lines = list(numbered_lines(write(tmp_path, b"\n".join([good, good[:-1], good]))))
    assert lines[0].text() == lines[2].text() == good.decode()
    assert reason(lines[1]) == "bad_encoding"


def test_utf_8_that_happens_to_be_valid_gbk_stays_utf_8(tmp_path):
    good = "语音".encode()
    assert good.decode("gb18030") and b"\xd6\xd0".decode("gb18030") == "中"
    lines = list(numbered_lines(write(tmp_path, b"\n".join([good, good, b"\xd6\xd0"]))))
    assert [line.text() for line in lines[:2]] == ["语音"] * 2 and reason(lines[2]) == "bad_encoding"


def test_a_character_cut_at_the_end_of_what_is_judged_counts_for_nothing(tmp_path):
    assert encoding_of(b"a\n" + "字".encode() * (HEAD // 3), tmp_path) == "utf-8"
    beginning = b"a" * (HEAD - 3) + b"\n" + "字".encode()[:2]
    assert len(beginning) == HEAD and encoding_of(beginning, tmp_path) == "utf-8"


def test_utf_16_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="is UTF-16; save it as UTF-8"):
        list(numbered_lines(write(tmp_path, "字\n".encode("utf-16"))))


def test_a_nul_byte_is_no_text(tmp_path):
    first, second = numbered_lines(write(tmp_path, b"a\0b\nc\n"))
    assert reason(first) == "bad_encoding" and second.text() == "c"


@pytest.mark.parametrize("length", [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, MAX_LINE + 2, 3 * MAX_LINE])
def test_a_line_has_a_longest_length_and_the_next_its_number(tmp_path, length):
    path = write(tmp_path, b"a" * (length - 1) + b"\n" + b"b\n")
    first, second = numbered_lines(path)
    assert (second.number, second.text(), second.offset) == (2, "b", length)
    if length <= MAX_LINE:
        assert len(first.text()) == length - 1
    else:
        assert reason(first) == "too_long"


def test_a_line_of_100_mb_takes_little_memory(tmp_path):
    path = tmp_path / "a.txt"
    with path.open("wb") as out:
        out.truncate(10**8)  # NULs, on no disk
    tracemalloc.start()
    assert [line.number for line in numbered_lines(path)] == [1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * MAX_LINE


def test_gzip_opens_whatever_its_name(tmp_path):
    lines = "一\n二\n".encode()
    path = write(tmp_path, gzip.compress(lines[:3]) + gzip.compress(lines[3:]))  # as `cat a.gz b.gz` makes it
    assert [line.text() for line in numbered_lines(path)] == ["一", "二"]
    assert head(path) == lines
    with open_seekable(path) as file:
        file.seek(4)
        assert file.read() == "二\n".encode()


@pytest.mark.parametrize("damage", [lambda packed: packed[:-9], lambda packed: packed[:40] + b"\0" * 9 + packed[49:]])
def test_damaged_gzip_is_an_error(tmp_path, damage):
    path = write(tmp_path, damage(gzip.compress(os.urandom(999))))
    with pytest.raises(UserError, match="is damaged gzip"):
        list(numbered_lines(path))


@pytest.mark.parametrize("content", [b"\0" * 10**6, (b"a" * 999 + b"\n") * 1000])
def test_a_decompression_bomb_is_refused(tmp_path, content):
    path = write(tmp_path, gzip.compress(content, 9) * 100)
    assert path.stat().st_size < 10**6
    with pytest.raises(UserError, match="unpack to more than 200 times as many"):
        list(numbered_lines(path))


def test_what_is_no_file_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "broken").symlink_to("nowhere")
    for name, said in [("fifo", "no file but"), (".", "no file but"), ("circle", "cannot be read"), ("broken", "cannot be read")]:
        with pytest.raises(UserError, match=said):
            list(numbered_lines(tmp_path / name))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_error(tmp_path):
    path = write(tmp_path, b"a\n")
    path.chmod(0)
    with pytest.raises(UserError, match="Permission denied"):
        list(numbered_lines(path))

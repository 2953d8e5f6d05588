"""Files appear whole or not at all."""

from __future__ import annotations

import os

import pytest

from data.files import sweep, whole_file, write_text


def test_a_file_appears_at_the_end_and_alone(tmp_path):
    with whole_file(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("half")
        assert not (tmp_path / "new" / "a.txt").exists()
    assert os.listdir(tmp_path / "new") == ["a.txt"]


def test_after_an_error_the_old_file_stands_and_nothing_is_left(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), whole_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert os.listdir(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_the_same_bytes_keep_their_time_stamp(tmp_path):
    write_text(tmp_path / "a.txt", "字")
    os.utime(tmp_path / "a.txt", (1, 1))
    write_text(tmp_path / "a.txt", "字")
    assert (tmp_path / "a.txt").stat().st_mtime == 1
    write_text(tmp_path / "a.txt", "词")
    assert (tmp_path / "a.txt").stat().st_mtime > 1


def test_sweep_takes_leftovers_only(tmp_path):
    (tmp_path / ".123.a.wav.part").touch()
    (tmp_path / "a.wav").touch()
    (tmp_path / "b.part").touch()
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a.wav", "b.part"]


def test_the_longest_file_names_work(tmp_path):
    write_text(tmp_path / ("a" * 250), "x")
    assert (tmp_path / ("a" * 250)).read_text() == "x"

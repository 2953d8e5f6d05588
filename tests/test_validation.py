"""A sound file set passes; each mistake is found by its own check."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_sound import write_voice

from data.manifest import row, write_rows
from data.validation import validate


def rows_in(folder: Path, count: int = 3, seconds: float = 0.5) -> list[dict]:
    paths = [write_voice(folder / f"{n}.wav", seconds, seed=n) for n in range(count)]
    return [row(f"u{n}", path, f"第{n}句", round(16000 * seconds)) for n, path in enumerate(paths)]


def check(folder: Path, rows: list[dict], audio: bool = True) -> bool:
    write_rows(folder / "train.jsonl", rows)
    return validate([folder / "train.jsonl"], audio)


def test_good_rows_pass(tmp_path, capsys):
    assert check(tmp_path, rows_in(tmp_path))
    out = capsys.readouterr().out
    assert "3 utterances" in out and "✓" in out and "✗" not in out


def spoil_key(rows):
    rows[1]["key"] = "u0"


def spoil_prompt(rows):
    rows[1]["messages"][1]["content"] = "请" + rows[1]["messages"][1]["content"]


def spoil_text(rows):
    rows[1]["messages"][2]["content"] = "好<|im_end|>"
    rows[1]["text_length"] = 11


def spoil_text_length(rows):
    rows[1]["text_length"] = 99


def spoil_speech_length(rows):
    rows[1]["speech_length"] = 0


def spoil_path(rows):
    rows[1]["messages"][1]["content"] = rows[1]["messages"][1]["content"].replace("1.wav", "nowhere.wav")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_key, "✗ keys are unique"),
        (spoil_prompt, "✗ the prompt is one"),
        (spoil_text, "✗ targets are words"),
        (spoil_text_length, "✗ text_length fits"),
        (spoil_speech_length, "✗ speech_length is positive"),
        (spoil_path, "✗ sound files are there"),
    ],
)
def test_every_mistake_is_found_and_named(tmp_path, capsys, spoil, words):
    rows = rows_in(tmp_path)
    spoil(rows)
    assert not check(tmp_path, rows, audio=False)
    out = capsys.readouterr().out
    assert words in out and out.count("✗") == 1
    assert "u0" in out or "u1" in out or "请" in out


def test_speech_length_in_the_unit_of_funasr_is_recognised(tmp_path, capsys):
    rows = rows_in(tmp_path, seconds=2.0)
    rows[0]["speech_length"] = 200
    assert not check(tmp_path, rows)
    assert "counts 10 ms frames" in capsys.readouterr().out


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2)])
def test_sound_of_another_form_is_found(tmp_path, capsys, rate, channels):
    rows = rows_in(tmp_path)
    write_voice(tmp_path / "1.wav", 0.5, rate, channels=channels)
    assert not check(tmp_path, rows)
    assert f"{rate} Hz, {channels} channels" in capsys.readouterr().out


def test_what_is_trained_on_may_not_be_tested_on(tmp_path, capsys):
    rows = rows_in(tmp_path)
    write_rows(tmp_path / "a" / "train.jsonl", rows[:2])
    write_rows(tmp_path / "b" / "train.jsonl", rows[:1])
    write_rows(tmp_path / "a" / "test.jsonl", rows[2:])
    files = [tmp_path / "a" / "train.jsonl", tmp_path / "b" / "train.jsonl", tmp_path / "a" / "test.jsonl"]
    assert validate(files)
    write_rows(files[2], rows[1:])
    assert not validate(files)
    assert "✗ no sound file is in two splits: 1" in capsys.readouterr().out


def test_a_call_in_two_splits_is_a_warning(tmp_path, capsys):
    rows = [fields | {"call": "c1"} for fields in rows_in(tmp_path)]
    write_rows(tmp_path / "train.jsonl", rows[:2])
    write_rows(tmp_path / "test.jsonl", rows[2:])
    assert validate([tmp_path / "train.jsonl", tmp_path / "test.jsonl"])
    assert "! no call is in two splits: 1" in capsys.readouterr().out


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path, capsys):
    write_rows(tmp_path / "train.jsonl", rows_in(tmp_path))
    assert not validate([tmp_path / "nowhere.jsonl", tmp_path / "train.jsonl"])
    out = capsys.readouterr().out
    assert "no such file" in out and "3 utterances" in out

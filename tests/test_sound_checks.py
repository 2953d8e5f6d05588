"""Checks of the sound that rows point to: headers, lengths, clipping, bandwidth."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from made_rows import check, point, rows_in
from made_sound import voice

from data.audio import resample, write_wav
from data.sound_checks import clipped_share
from data.validation import validate


def lie(path: Path, declared: int) -> None:
    """Let the header of a plain WAV declare another length than it has."""
    content = bytearray(path.read_bytes())
    assert content[36:40] == b"data"
    content[40:44] = declared.to_bytes(4, "little")
    path.write_bytes(content)


@pytest.mark.parametrize("declared", [16000 * 2, 0xFFFFFFFF, 4000])
def test_a_header_that_lies_about_the_length_is_found(tmp_path, capsys, declared):
    rows = rows_in(tmp_path)
    lie(tmp_path / "1.wav", declared)
    assert not check(tmp_path, rows)
    assert "✗ headers say how much sound there is: 1" in capsys.readouterr().out


def test_a_copy_that_was_cut_short_is_found(tmp_path, capsys):
    rows = rows_in(tmp_path)
    path = tmp_path / "1.wav"
    path.write_bytes(path.read_bytes()[:-3000])
    assert not check(tmp_path, rows)
    out = capsys.readouterr().out
    assert "its header declares 16,000 bytes of sound, the file has 13,000" in out


def test_other_chunks_are_no_lie(tmp_path, capsys):
    rows = rows_in(tmp_path)
    path = tmp_path / "1.wav"
    content = path.read_bytes()
    note = b"LIST" + (4).to_bytes(4, "little") + b"INFO"
    path.write_bytes(content[:12] + note + content[12:] + note)
    assert check(tmp_path, rows)
    assert "✓ headers say" in capsys.readouterr().out


@pytest.mark.parametrize("audio", [False, True])
@pytest.mark.parametrize("kind", ["folder", "pipe", "broken link", "cycle", "NUL", "surrogate", "long", "no rights"])
def test_what_is_no_file_is_a_finding_and_never_opened(tmp_path, capsys, kind, audio):
    rows, odd = rows_in(tmp_path), tmp_path / "odd"
    if kind == "folder":
        odd.mkdir()
    elif kind == "pipe":
        os.mkfifo(odd)
    elif kind in ("broken link", "cycle"):
        odd.symlink_to(odd if kind == "cycle" else tmp_path / "nowhere")
    elif kind == "no rights":
        odd = Path("/proc/1/root/x.wav") if os.getuid() else Path("/proc/0/x.wav")
    odd = {"NUL": "a\0b", "surrogate": "\ud800", "long": "x" * 5000}.get(kind, odd)
    point(rows[1], odd)
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(fields) + "\n" for fields in rows))
    assert not validate([path, path], audio, page=tmp_path / "p.html")
    assert "✗ sound files are there: 1 against it" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all", b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_what_is_no_sound_is_a_finding(tmp_path, capsys, content):
    rows = rows_in(tmp_path)
    (tmp_path / "1.wav").write_bytes(content)
    assert not check(tmp_path, rows)
    assert "✗ sound files can be read: 1 against it" in capsys.readouterr().out


def test_clipping_is_counted_in_runs():
    samples = np.array([0, 1, 1, 1, 0, -1, -1, 0, 1, -1, 1, 1, 0, 0, 0, 0], np.float32)
    assert clipped_share(samples) == 7 / 16
    assert clipped_share(np.ones(4, np.float32)) == 1
    assert clipped_share(np.zeros(0, np.float32)) == 0


def test_clipped_voices_are_a_warning(tmp_path, capsys):
    rows = rows_in(tmp_path)
    write_wav(tmp_path / "1.wav", 20 * voice(0.5), 16000)
    assert check(tmp_path, rows)
    assert "! voices are not clipped: 1 against it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("folder", "channel", "narrow", "found"),
    [
        ("real_8k_telephone", None, False, "a telephone no further than 4"),
        ("real_8k_telephone", None, True, None),
        ("any", {"profile": "default"}, False, "a telephone no further than 4"),
        ("any", {"profile": "default"}, True, None),
        ("any", "online", True, "8 kHz speech in a file of 16 kHz"),
        ("any", "online", False, None),
        ("general_16k", None, True, "8 kHz speech in a file of 16 kHz"),
        ("any", None, True, None),
    ],
)
def test_speech_of_the_wrong_bandwidth_is_a_warning(tmp_path, capsys, folder, channel, narrow, found):
    folder = tmp_path / folder
    rows = rows_in(folder, 2)
    speech = voice(0.5, seed=1)
    write_wav(folder / "1.wav", resample(resample(speech, 16000, 8000), 8000, 16000) if narrow else speech, 16000)
    if channel is not None:
        rows[1]["channel"] = channel
    assert check(folder, rows[1:])
    out = capsys.readouterr().out
    assert found in out if found else "✓ telephone speech ends at 4 kHz" in out

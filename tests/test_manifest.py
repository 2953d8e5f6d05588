"""Rows, and the closed formula for speech_length against FunASR's own frontend."""

from __future__ import annotations

import json

import pytest

from data.errors import UserError
from data.manifest import fbank_frames, read_rows, row, speech_length, write_rows

GOOD = row("k", "/a.wav", "生命只是一个很小的代价", 37520)


def test_a_row_is_that_of_the_contract():
    assert GOOD["speech_length"] == 39 and GOOD["text_length"] == 11
    assert list(GOOD) == ["key", "messages", "speech_length", "text_length", "duration"]
    assert row("k", "/a", "字", 16000, speaker="s", call="c")["call"] == "c"


def test_speech_length_is_what_the_frontend_yields():
    torch = pytest.importorskip("torch")
    from funasr.frontends.wav_frontend import WavFrontend

    frontend = WavFrontend(
        fs=16000, window="hamming", n_mels=80, frame_length=25, frame_shift=10, lfr_m=7, lfr_n=6, dither=0.0
    )
    lengths = [32, 160, 399, 400, 401, 559, 560, 561, 1199, 1200, 1360, 16000, 37840, *range(2000, 4000, 37)]
    for samples in lengths:
        _, frames = frontend(torch.zeros(1, samples), torch.tensor([samples]))
        assert speech_length(samples) == int(frames[0]), samples


def test_no_samples_have_no_frames():
    assert speech_length(0) == fbank_frames(0) == 0


def test_rows_come_back_as_they_were_written(tmp_path):
    rows = [GOOD, row("字", "/b c.wav", "a\u2028b", 400)]
    write_rows(tmp_path / "deep" / "train.jsonl", rows)
    assert read_rows(tmp_path / "deep" / "train.jsonl") == rows
    assert "生命" in (tmp_path / "deep" / "train.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "is not a JSON object"),
        ("\xff", "is not JSON"),
        (json.dumps({**GOOD, "key": 3}), "has no 'key' of type str"),
        (
            json.dumps({k: v for k, v in GOOD.items() if k != "speech_length"}),
            "has no 'speech_length' of type int",
        ),
        (json.dumps({**GOOD, "messages": []}), "exactly one turn with the role 'user'"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path, line, message):
    path = tmp_path / "train.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + line.encode("latin-1") + b"\n")
    with pytest.raises(UserError) as error:
        read_rows(path)
    assert str(error.value).startswith(f"{path}:2: ") and message in str(error.value)


def test_missing_and_empty_files_say_what_to_do(tmp_path):
    with pytest.raises(UserError, match="no such file; stage 0 makes it"):
        read_rows(tmp_path / "train.jsonl")
    (tmp_path / "train.jsonl").touch()
    with pytest.raises(UserError, match="holds no utterance"):
        read_rows(tmp_path / "train.jsonl")

"""A call becomes lines: who, when, what; the text of each piece is what FunASR says of that piece."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from small_experiment import link_model

from data.audio import AudioError, read_info, read_wideband, resample
from data.corpora import read_corpus
from data.errors import UserError, run
from data.pauses import ROOM, cut_at_pauses
from data.prompt import audio_path
from local import transcribe
from local.listener import Listener
from local.transcribe import Said, clock, hotwords, main

RATE = 8000
TOP = Path(__file__).resolve().parents[1]
Times = list[tuple[int, float, float]]  # channel, from, to


def trimmed(row: dict) -> np.ndarray:
    """(n,) at 8 kHz: an utterance without the silence around it."""
    sound = resample(read_wideband(audio_path(row["messages"])), 16000, RATE)
    loud = np.flatnonzero(np.abs(sound) > 0.1 * np.abs(sound).max())
    return sound[loud[0] : loud[-1] + 1]


@pytest.fixture(scope="module")
def spoken(rows) -> tuple[np.ndarray, Times]:
    """(n, 2) of a call, in which both sides talk, now and then at once; and when."""
    rng, sides, when = np.random.default_rng(3), [], []
    for channel in (0, 1):
        parts, length = [], 0
        for row in rows[channel * 4 : channel * 4 + 4]:
            pause, speech = np.zeros(round(rng.uniform(0.8, 2.5) * RATE), np.float32), trimmed(row)
            length += len(pause)
            when.append((channel, length / RATE, (length + len(speech)) / RATE))
            length += len(speech)
            parts += [pause, speech]
        sides.append(np.concatenate([*parts, np.zeros(RATE, np.float32)]))
    longest = max(map(len, sides))
    call = np.stack([np.pad(side, (0, longest - len(side))) for side in sides], axis=1)
    return call, sorted(when, key=lambda one: (one[1], one[0]))


@pytest.fixture(scope="module")
def call(spoken, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("calls") / "call7.wav"
    soundfile.write(path, spoken[0], RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def listener(model_dir) -> Listener:
    return Listener(str(model_dir), torch.device("cpu"))


@pytest.fixture(scope="module")
def said(call, listener) -> list[Said]:
    return transcribe.transcribe(call, read_info(call), listener)


def test_pieces_are_who_spoke_and_when(said, spoken):
    assert [one.channel for one in said] == [channel for channel, *_ in spoken[1]]
    found = [(one.start, one.end) for one in said]
    assert np.abs(np.subtract(found, [when[1:] for when in spoken[1]])).max() < 0.1


def test_a_piece_is_heard_as_stock_funasr_hears_it(said, call, stock):
    """With a little of the pause around it, brought to 16 kHz as stage 0 brings calls."""
    for one in said:
        piece = read_wideband(call, one.start - ROOM, one.end + ROOM, one.channel)
        answer = stock.generate(input=[torch.from_numpy(piece)])[0]
        assert (one.text, one.ctc_text) == (answer["text"], answer["ctc_text"])
    assert sum(bool(one.text) for one in said) == len(said)


def test_a_file_with_one_channel(spoken, listener, said, tmp_path):
    soundfile.write(tmp_path / "b.wav", spoken[0][:, 1], RATE, subtype="PCM_16")
    found = transcribe.transcribe(tmp_path / "b.wav", read_info(tmp_path / "b.wav"), listener)
    assert [(one.channel, one.start, one.text) for one in found] == [(0, one.start, one.text) for one in said if one.channel == 1]


def test_sides_in_a_law_are_told_apart_as_well(spoken, listener, tmp_path):
    soundfile.write(tmp_path / "a.wav", spoken[0], RATE, subtype="ALAW")
    found = transcribe.transcribe(tmp_path / "a.wav", read_info(tmp_path / "a.wav"), listener)
    assert [one.channel for one in found] == [channel for channel, *_ in spoken[1]]


def test_a_long_piece_is_cut_where_it_is_quiet(rows):
    """Utterances that follow each other with pauses of 0.2 s, for more than a minute: half a minute at most."""
    parts = [part for row in rows * 2 for part in (trimmed(row), np.zeros(RATE // 5, np.float32))]
    sound = np.concatenate(parts)
    pieces = cut_at_pauses(sound, RATE)
    assert len(sound) > 60 * RATE and all(piece.last - piece.first <= 30 * RATE for piece in pieces)
    for before, after in pairwise(pieces):
        between = np.abs(sound[before.end : after.begin])
        assert len(between) > RATE / 10 and np.median(between) < 0.01 * np.abs(sound).max()


def test_hotwords_are_asked_for_as_by_automodel(model_dir, call, said, stock):
    words = ["退款", "套餐"]
    one = said[0]
    piece = read_wideband(call, one.start - ROOM, one.end + ROOM, one.channel)
    answer = stock.generate(input=[torch.from_numpy(piece)], hotwords=words)[0]
    listener = Listener(str(model_dir), torch.device("cpu"), words)
    heard = listener.hear([piece])[0]
    assert "热词列表：[退款, 套餐]" in listener.prompt
    assert answer["text"].startswith(heard.llm) and (heard.cut or heard.llm == answer["text"])


def test_the_prompt_is_the_one_that_the_folder_was_exported_with(model_dir, tmp_path):
    folder = link_model(model_dir, tmp_path / "model", "config.yaml")
    settings = yaml.safe_load((model_dir / "config.yaml").read_text(encoding="utf-8")) | {"itn": False}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert Listener(str(folder), torch.device("cpu")).prompt == "语音转写，不进行文本规整："


# --- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def opened(listener, monkeypatch) -> list:
    """The models that the command opened; it gets the listener of these tests."""
    asked = []

    def open_it(*arguments):
        asked.append(arguments)
        return listener

    monkeypatch.setattr(transcribe, "open_listener", open_it)
    return asked


def test_a_line_a_piece_in_the_order_of_time(opened, call, said, model_dir, capsys):
    assert main(["--model", str(model_dir), str(call)]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    wanted = [[str(call), "AB"[one.channel], f"{clock(one.start)}–{clock(one.end)}", one.text] for one in said]
    assert lines == wanted and lines == sorted(lines, key=lambda line: line[2])


def test_json_lines_are_a_corpus_that_stage_0_reads(opened, call, said, model_dir, capsys, tmp_path):
    assert main(["--model", str(model_dir), "--json", str(call), str(call)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[: len(said)] == lines[len(said) :] and len(opened) == 1, "several files, one model"
    (tmp_path / "calls.jsonl").write_text("\n".join(lines[: len(said)]), encoding="utf-8")
    read = list(read_corpus(tmp_path / "calls.jsonl"))
    assert [(one.audio, one.channel, one.text) for one in read] == [(call, one.channel, one.text) for one in said]
    assert [one.start for one in read] == pytest.approx([one.start for one in said], abs=0.001)
    assert json.loads(lines[0])["ctc_text"] == said[0].ctc_text


def test_a_call_in_which_nobody_speaks_is_said(opened, model_dir, tmp_path, capsys):
    soundfile.write(tmp_path / "idle.wav", np.zeros((RATE, 2)), RATE)
    assert main(["--model", str(model_dir), str(tmp_path / "idle.wav")]) == 0
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err == f"{tmp_path / 'idle.wav'}: nobody speaks\n"


@pytest.mark.parametrize("name, words", [
    ("nothing.wav", "no such file"), ("text.wav", "cannot be read as sound"), ("", "is no file"),
])  # fmt: skip
def test_what_is_no_sound_is_said_before_a_model_is_opened(name, words, opened, call, model_dir, tmp_path):
    (tmp_path / "text.wav").write_text("no sound", encoding="utf-8")
    with pytest.raises(AudioError, match=words):
        main(["--model", str(model_dir), str(call), str(tmp_path / name)])
    assert not opened


def test_a_folder_that_is_no_model_is_one_line(call, tmp_path, capsys):
    assert run(lambda: main(["--model", str(tmp_path), str(call)])) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path}: is no model folder, it has no configuration.json: make one with `bash run_experiment.sh export`\n"
    )


@pytest.mark.parametrize("seconds, shown", [
    (0, "00:00.0"), (3.24, "00:03.2"), (59.96, "01:00.0"), (754.3, "12:34.3"), (3723.5, "1:02:03.5"),
])  # fmt: skip
def test_times_as_people_write_them(seconds, shown):
    assert clock(seconds) == shown


def test_hotwords_are_a_list_or_a_file(tmp_path):
    assert hotwords("") == [] and hotwords("退款, 套餐，人工、") == ["退款", "套餐", "人工"]
    (tmp_path / "words.txt").write_text("# business\n退款\n\n套餐\n", encoding="utf-8")
    assert hotwords(str(tmp_path / "words.txt")) == ["退款", "套餐"]
    for typo in ("word.txt", "conf/keyword"):
        with pytest.raises(UserError, match="no such file"):
            hotwords(typo)


@pytest.mark.slow
def test_the_door_is_the_decoder_of_both_spellings(call, said, model_dir, tmp_path):
    for words in (["-m", "local.decode"], [str(TOP / "local/decode.py")]):
        where = TOP if words[0] == "-m" else tmp_path
        command = [sys.executable, *words, "--model", str(model_dir), "--device", "cpu", str(call)]
        done = subprocess.run(command, cwd=where, capture_output=True, text=True)
        assert done.returncode == 0 and [line.split("  ")[-1] for line in done.stdout.splitlines()] == [one.text for one in said]


def test_a_mistake_costs_no_seconds(call, tmp_path):
    """The door answers without torch."""
    code = ("import sys, runpy; sys.argv = ['x', '--model', sys.argv[1], sys.argv[2]]\n"
            "try: runpy.run_module('local.decode', run_name='__main__')\n"
            "except SystemExit as end: print(end.code, 'torch' in sys.modules)")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(call)], cwd=TOP, capture_output=True, text=True)
    assert done.stdout == "1 False\n" and done.stderr.startswith("error: ")


def test_an_unknown_device_is_refused(call, model_dir):
    with pytest.raises((SystemExit, UserError)):
        main(["--model", str(model_dir), "--device", "tpu", str(call)])

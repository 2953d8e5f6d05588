"""A sound experiment passes the preflight; rows, disk or a set that is broken in one way fails it just there."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest
import torch
from small_experiment import Look, only_fault, split_rows

from data.files import write_text
from local import disk_need


@pytest.fixture
def look(tmp_path, model_dir, rows, capsys) -> Look:
    return Look(tmp_path / "out", model_dir, rows, capsys)


def test_a_sound_experiment_passes(look, rows):
    passed, printed = look()
    assert passed and "✗" not in printed
    remarks = [line for line in printed.splitlines() if line.startswith("  ! ")]
    assert remarks and all("updates in all, too few to learn much" in line for line in remarks)
    seconds = sum(row["speech_length"] for row in rows[:4]) * 0.06
    longest = max(row["speech_length"] for row in rows[:4]) * 0.06
    assert f"real_8k_telephone/train: 4 utterances, {seconds / 3600:.2f} h, the longest {longest:.1f} s" in printed
    assert "176 tensors, all of the model's" in printed and "3868 CTC tokens, the blank is 3867" in printed


def test_before_stage_0_it_says_what_it_cannot_know(look):
    passed, printed = look("0 baseline 1", sets={"real_8k_telephone/train": []})
    assert passed and "! data" in printed and "stage 0 has not run" in printed


def test_a_text_that_ctc_cannot_say_fails_and_a_rare_character_is_worth_knowing(look, rows):
    sets = split_rows(rows)
    row = sets["real_8k_telephone/dev"][0]
    text = row["messages"][2]["content"]
    row["messages"][2]["content"] = "龘" * len(text)
    assert "real_8k_telephone/dev" in (line := only_fault(look(sets=sets))) and "no CTC tokens (龘" in line
    for number in range(200):  # so many others that one of them is rare
        sets["real_8k_telephone/dev"].append(row | {"key": f"more{number}", "messages": rows[-1]["messages"]})
    sets["real_8k_telephone/dev"][0]["messages"][2]["content"] = "龘" + text[1:]
    passed, printed = look(sets=sets)
    assert passed and "! tokens" in printed and "龘" in printed


def test_rows_with_another_prompt_fail(look, rows):
    line = only_fault(look(PROMPT="语音转写，不进行文本规整："))
    assert "20 rows say '语音转写：', PROMPT is '语音转写，不进行文本规整：'" in line


def leak_a_sound(sets):
    sets["real_8k_telephone/test"][0]["messages"] = sets["simulated_8k_telephone/train"][0]["messages"]


def leak_a_key(sets):
    leaked = sets["real_8k_telephone/train"][0]
    other = sets["real_8k_telephone/dev"][0]
    other["key"], other["messages"][2] = leaked["key"], leaked["messages"][2]


def leak_a_recording(sets):
    for name in ("simulated_8k_telephone/train", "simulated_8k_telephone/dev"):
        sets[name][1]["source"] = "/corpus/one.wav"


def leak_a_speaker(sets):
    for name in ("simulated_8k_telephone/train", "real_8k_telephone/test"):
        sets[name][1]["speaker"] = "agent 7"


@pytest.mark.parametrize(
    ("leak", "said"),
    [
        (leak_a_sound, "no sound file is in two splits: 1 against it"),
        (leak_a_key, "no key with its text is in two splits"),
        (leak_a_speaker, "1 speaker of real_8k_telephone/test is in train too (first: agent 7): take a test set of other"),
        (leak_a_recording, "no part of a recording is in two splits: 1 against it (/corpus/one.wav"),
    ],
)
def test_what_leaks_between_the_splits_fails(look, rows, leak, said):
    sets = split_rows(rows)
    leak(sets)
    assert said in only_fault(look(sets=sets))


def test_speakers_in_train_and_test_may_be_known(look, rows):
    sets = split_rows(rows)
    leak_a_speaker(sets)
    passed, printed = look(sets=sets, KNOWN_SPEAKERS="1")
    assert passed and "share nothing, but for speakers (KNOWN_SPEAKERS=1)" in printed


def test_what_must_be_made_anew_is_cleaned_in_this_folder(look, rows):
    sets = split_rows(rows)
    leak_a_key(sets)
    command = f"OUTPUT_ROOT={look.folder} bash run_experiment.sh clean 0"
    assert only_fault(look(sets=sets)).endswith(f"mend the manifests, then CONFIG=conf/small.sh {command}")
    write_text(look.folder / "experiment.json", '{"config": "conf/small.sh", "given": {}}')
    assert only_fault(look(sets=sets)).endswith(f"mend the manifests, then {command}")
    assert only_fault(look(PROMPT="说：")).endswith(f"set it back, or {command}")


def test_targets_longer_than_ctc_can_say_are_worth_knowing(look, rows):
    sets = split_rows(rows)
    sets["real_8k_telephone/train"][0]["speech_length"] = 2
    passed, printed = look(sets=sets)
    assert passed and "! data      real_8k_telephone/train: 1 of 4 targets are longer than CTC can say in the time" in printed


def test_a_missing_set_fails(look, rows):
    sets = split_rows(rows)
    del sets["real_8k_telephone/dev"]
    assert "real_8k_telephone/dev.jsonl: no such file; stage 0 makes it" in only_fault(look(sets=sets))


# --- disk ------------------------------------------------------------------------------------------------


def test_a_full_disk_fails_with_the_figure_of_each_stage(look, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 10**6, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    line = only_fault(look())
    assert "stage 1 0." in line and "stage 2 0." in line and "0.00 GB are free in" in line and "OUTPUT_ROOT" in line


def test_what_lies_there_already_is_not_needed_again(look, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(disk_need, "disk_suffices", lambda needs, written, folder: asked.append(written) or [])
    there = tmp_path / "out/exp/8k_telephone/stage1_encoder/resume.pt"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"0" * 1234)
    look()
    assert asked == [{"stage 1": 1234, "stage 2": 0, "stage 3": 0}]


def test_the_sum_is_what_the_tensors_weigh(look, model_dir):
    """Stage 2 of the small model: kept epochs + 1, three states of thrice what trains, the whole model; 4 bytes each."""
    state = torch.load(model_dir / "model.pt", weights_only=True)
    trained = sum(t.numel() for name, t in state.items() if name.startswith(("audio_adaptor.", "ctc_decoder.", "ctc.")))
    whole = sum(tensor.numel() for tensor in state.values())
    expected = 4 * (trained * (3 + 1) + 3 * 3 * trained + whole)
    _, printed = look("2")
    (line,) = [line for line in printed.splitlines() if "disk" in line]
    assert f"stage 2 {expected / 1e9:.2f} GB" in line

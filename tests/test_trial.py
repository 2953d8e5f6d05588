"""local/trial.py: a few real steps of a stage measure it, break where it is broken, and leave nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from small_experiment import CPU, experiment_in, split_rows
from small_stage import MICRO
from torch import nn

from data.errors import UserError
from local import checkpoint, engine, nano
from local.dev_score import choose
from local.experiment import TOP
from local.loop import Loop
from local.plan_table import forecast, plan_lines
from local.preflight_stages import try_out
from local.stages_ahead import StagesAhead
from local.trial import Pace, Trial


@pytest.fixture
def ahead(tmp_path, model_dir, rows, monkeypatch):
    """The stages of a small experiment; temporary folders lie where they can be counted."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    def make(names: str, **variables: str) -> StagesAhead:
        experiment = experiment_in(tmp_path / "out", model_dir, split_rows(rows), **variables)
        return StagesAhead(experiment, names.split(), CPU)

    return make


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("name", ["1", "2", "3"])
def test_every_stage_learns_and_saves(ahead, name, tmp_path, capsys):
    coming = ahead(name)
    before = files(tmp_path)
    passed, paces = try_out(coming)
    printed = capsys.readouterr().out
    assert passed, printed
    assert "✓ stage" in printed and "smoke run: loss" in printed and "what it saves loads" in printed
    pace = paces[name]
    assert pace.memory > 0 and pace.training > 0 and pace.decoding > 0 and pace.start > engine.SECONDS > 0
    assert {path for path in files(tmp_path)} == set(before), "something is left behind"


def test_the_plan_tells_time_memory_and_what_trains(ahead, model_dir, capsys):
    coming = ahead("baseline 1 control 3", CONTROLS="1")
    passed, paces = try_out(coming)
    assert passed and capsys.readouterr().out.count("largest batch") == 2, "the control is as stage 1"
    head, *lines = list(plan_lines(coming, paces))
    assert head.startswith("plan on 1 × ")
    encoder = sum(
        tensor.numel()
        for name, tensor in torch.load(model_dir / "model.pt", weights_only=True).items()
        if name.startswith("audio_encoder.")
    )
    assert f"audio_encoder {encoder:,}" in lines[2] and "control" in lines[3] and "lora" in lines[4]
    assert all(line.split()[-1].count(":") == 2 for line in lines[1:]), lines


def test_time_counts_every_start_and_every_decoding(ahead, rows, tmp_path):
    """At an hour of audio an hour, of one process that starts in 100 s: a stage trains, then scores; the baseline scores."""
    paces = {name: Pace(1.0, 1.0, 1.0, 100.0) for name in ("1", "3")}
    dev, test, simulated = (sum(row["speech_length"] for row in rows[n : n + 4]) * 0.06 for n in (4, 8, 12))
    chosen = sum(row["speech_length"] for row in choose(rows[16:20], 2)) * 0.06  # of dev, after the epoch and twice more
    micro = ahead("baseline 1", STAGE1_SET=" ".join(MICRO))
    epochs = micro.configs["1"].train_conf.max_epoch
    assert forecast(micro, "baseline", paces).seconds == pytest.approx(100 + dev + test)
    (tmp_path / "words.txt").write_text("天气\n", encoding="utf-8")
    listed = ahead("baseline 1 3", KEYWORDS=str(tmp_path / "words.txt"))
    assert forecast(listed, "baseline", paces).seconds == pytest.approx(100 + dev + 3 * test)
    trained = 100 + epochs * simulated + (epochs + 2) * chosen
    assert forecast(listed, "1", paces).seconds == pytest.approx(trained + 100 + dev + 3 * test)
    heard = [row | {"source": "a.wav"} for row in rows[8:12]]
    listed.rows[listed.experiment.rows("real_8k_telephone/test")][:] = heard
    again = ahead("3", ORIGINALS="1")
    again.rows[again.experiment.rows("real_8k_telephone/test")][:] = heard
    first = choose(heard, 1)[0]["speech_length"] * 0.06
    assert forecast(again, "3", paces).seconds - forecast(listed, "3", paces).seconds == pytest.approx(first - 2 * test)


def test_what_is_replayed_is_planned_tried_and_counted(ahead, rows, capsys):
    """Stage 3 has four own rows, and replays all four of the simulated ones in every epoch: a batch more."""
    settings = [*MICRO, "++train_conf.accum_grad=1"]
    coming = ahead("3", STAGE3_SET=" ".join([*settings, "++dataset_conf.replay_share=0.5"]))
    assert sorted(row["key"] for row in coming.epoch_rows("3")) == sorted(row["key"] for row in rows[:4] + rows[12:16])
    assert coming.updates["3"] == 2 * ahead("3", STAGE3_SET=" ".join(settings)).updates["3"] == 40
    passed, _ = try_out(coming)
    assert passed, capsys.readouterr().out


def test_a_trial_gives_the_lists_of_the_training(ahead, tmp_path):
    (tmp_path / "keywords.txt").write_text("天气\n", encoding="utf-8")
    settings = " ".join([*MICRO, "++dataset_conf.hotword_rate=1"])
    coming = ahead("3", STAGE3_SET=settings, KEYWORDS=str(tmp_path / "keywords.txt"))
    with Trial(coming.words("3")) as trial:
        assert trial.data.hotwords(trial.data.rows[0], 1) == ["天气"]
    assert "--keywords" not in ahead("3", STAGE3_SET=settings).words("3")


def test_a_loss_that_does_not_fall_fails(ahead, monkeypatch, capsys):
    monkeypatch.setattr(Loop, "step", lambda self, batches: {})
    assert not try_out(ahead("1"))[0]
    assert "✗ stage 1   smoke run: loss" in (out := capsys.readouterr().out) and "lower optim_conf.lr" in out


@pytest.fixture
def without_steps(monkeypatch):
    """Nothing is trained or timed; what is saved and loaded is."""
    monkeypatch.setattr(Trial, "pace", lambda self: Pace(1.0, 1.0, 1.0, 1.0))
    monkeypatch.setattr(Trial, "smoke", lambda self: (2.0, 1.0))


@pytest.mark.parametrize("name", ["1", "3"])
def test_a_save_of_weights_or_of_merged_adapters_loads(ahead, without_steps, name, capsys):
    assert try_out(ahead(name))[0]
    assert f"✓ stage {name}   what it saves loads" in capsys.readouterr().out


def test_a_save_that_does_not_load_fails(ahead, without_steps, monkeypatch, capsys):
    whole = checkpoint.save

    def torn(path, content):
        whole(path, content)
        path.write_bytes(path.read_bytes()[:-100])

    monkeypatch.setattr(checkpoint, "save", torn)
    assert not try_out(ahead("1"))[0]
    assert "not a readable checkpoint" in capsys.readouterr().out


def test_a_save_that_loads_otherwise_fails(ahead, without_steps, monkeypatch, capsys):
    build = nano.build

    def changed(model_dir, path, overrides, *device):
        model, settings = build(model_dir, path, overrides, *device)
        if path and Path(path).name == checkpoint.HANDED_ON:
            nn.init.zeros_(model.ctc.ctc_lo.bias)
        return model, settings

    monkeypatch.setattr(nano, "build", changed)
    assert not try_out(ahead("1"))[0]
    assert "✗ stage 1   what it saved is not what it loaded" in capsys.readouterr().out


def test_the_largest_batch_is_tried_and_out_of_memory_names_the_fix(ahead, monkeypatch, tmp_path):
    tried = []

    def full(self, batches):
        tried.append(len(batches[0][0]["speech"]) * int(batches[0][0]["speech_lengths"].max()))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Loop, "step", full)
    with Trial(ahead("1", STAGE1_SET=f"{' '.join(MICRO)} ++dataset_conf.batch_size_utts=2").words("1")) as trial:
        with pytest.raises(UserError, match=r"out of memory .*dataset_conf.batch_size"):
            trial.pace()
        rows, batches = trial.data.rows, trial.batches
    assert len(batches) == 2
    assert tried == [max(len(batch) * max(rows[index]["speech_length"] for index in batch) for batch in batches)]
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.slow
def test_a_dry_run_plans_the_real_thing_and_leaves_nothing(tmp_path):
    variables = {"OUTPUT_ROOT": str(tmp_path / "out"), "CONFIG": "micro", "DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
    environ = {**os.environ, "PYTHON": sys.executable, "TMPDIR": str(tmp_path), **variables}

    def driver(words: str) -> str:
        command = ["bash", str(TOP / "run_experiment.sh"), *words.split()]
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    first = driver("--dry-run 0 3")
    assert not list(tmp_path.iterdir()), "made before anything was asked for"
    assert "! data      stage 0 has not run" in first and "audio_encoder" in first
    driver("0 0")
    before = files(tmp_path)
    planned = driver("--dry-run")
    assert files(tmp_path) == before
    for said in ("stage 0     finished", "stage 1     not run yet", "smoke run: loss", "what it saves loads", "together"):
        assert said in planned
    assert planned.count("at the largest batch") == 3

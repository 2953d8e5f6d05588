"""`bash run_experiment.sh status`: of an untouched folder, beside a run, after a kill. Heavy programs are stand-ins."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from driver_tree import Tree, until, work_of

METRICS = [
    {"kind": "dev", "epoch": 0, "update": 0, "total": 3.5, "cer_llm": 62.0, "cer_ctc": 59.0},
    {"kind": "dev", "epoch": 1, "update": 15, "total": 2.5, "cer_llm": 65.0, "cer_ctc": 41.0},
    {"kind": "train", "epoch": 2, "update": 20, "total": 1.25, "updates": 150, "seconds_left": 3725.0},
]


@pytest.fixture
def tree(tmp_path) -> Tree:
    return Tree(tmp_path)


def told(tree: Tree, **variables: str) -> list[str]:
    done = tree.run("status", **variables)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.splitlines()


def write_metrics(tree: Tree, more: str = "") -> Path:
    path = tree.stages / "stage1_encoder/metrics.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in METRICS) + more, encoding="utf-8")
    return path


def test_an_untouched_folder_stays_untouched(tree):
    lines = told(tree)
    assert lines[0].startswith("conf/micro.sh in exp_output: 0 kB on disk, ") and lines[0].endswith(" free")
    assert [line.split()[:4] for line in lines[2:4]] == [["stage", "0", "not", "run"], ["baseline", "not", "run", "yet"]]
    assert lines[-1] == "next: CONFIG=conf/micro.sh DEVICE=cpu bash run_experiment.sh 0 3" and len(lines) == 8
    assert not tree.output.exists()


def test_it_costs_no_more_than_a_moment(tree):
    assert work_of(lambda: told(tree)) < 2


def test_after_a_stage_that_failed(tree):
    assert tree.run("0 1", FAIL="train --config conf/stage1").returncode != 0
    write_metrics(tree)
    lines = told(tree)
    assert re.fullmatch(r"stage 0 +finished [\d-]+ [\d:]+ .*", lines[2])
    assert re.fullmatch(r"stage 1 +interrupted +20 of 150 +2 of 1 +1\.250 +65\.00 +41\.00 +- +1:02:05 +\d+ kB", lines[4])
    assert re.fullmatch(r"stage 2 +not run yet [ -]+", lines[5])
    assert lines[-1] == "next: DEVICE=cpu bash run_experiment.sh 1 3"


def test_several_machines_go_stage_by_stage(tree):
    together = {"NNODES": "2", "NODE_RANK": "0", "MASTER_ADDR": "gpu1"}
    assert told(tree, **together)[-1] == "next: CONFIG=conf/micro.sh DEVICE=cpu bash run_experiment.sh 0 0"
    assert tree.run("0 0").returncode == 0
    assert told(tree, **together)[-1] == (
        "next: DEVICE=cpu MASTER_ADDR=gpu1 NNODES=2 NODE_RANK=0 bash run_experiment.sh 1 1"
    )


def test_a_setting_that_is_no_number_is_not_its_to_judge(tree):
    assert "next:" in told(tree, STAGE1_SET="++train_conf.max_epoch=ten")[-1]


def test_beside_a_training_that_is_writing(tree):
    run = tree.start("0 1", WAIT="train")
    until(tree, "waiting")
    metrics = write_metrics(tree, more='{"kind": "train", "epoch": 1, "upd')
    now = metrics.stat().st_mtime
    os.utime(metrics, (now + 1000, now + 1000))  # a line that comes later than the clock says: nothing is over
    lines = told(tree)
    assert re.match(r"stage 1 +running +20 of 150 +2 of 1 +1\.250 .* \d:\d\d:\d\d ", lines[4])
    assert lines[-1] == "next: tail -f exp_output/exp/8k_telephone/stage1_encoder/train.log"
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=60) == 75
    assert told(tree)[4].split()[2] == "interrupted"


def test_how_far_stage_0_has_come(tree):
    assert tree.run("0 0", FAIL="data_simulation --manifest exp_output/mini/general/dev.jsonl").returncode != 0
    assert " interrupted, 1 of 8 files " in told(tree)[2]
    (tree.output / "data/simulated_8k_telephone/shards/dev/0001-of-0004").mkdir(parents=True)
    assert " interrupted, 1 of 8 files, 1 of 4 shards of the next " in told(tree)[2]


def test_a_training_that_is_done_is_being_scored(tree):
    assert tree.run("0 1", FAIL="evaluate --model_dir local/mini/model --checkpoint exp_output").returncode != 0
    write_metrics(tree)
    assert re.fullmatch(r"stage 1 +interrupted, scoring +20 of 150 .* 41\.00 +- +- +\d+ kB", told(tree)[4])


def test_what_would_stop_a_run_is_said_with_the_ways_on(tree):
    assert tree.run("0 1").returncode == 0
    (tree.stages / "stage1_encoder/results.json").write_text("{", encoding="utf-8")
    lines = told(tree, STAGE1_SET="++train_conf.max_epoch=7")
    assert lines[4].split()[2] == "changed"
    assert lines[-1].startswith("stage 1 was finished ")
    assert lines[-1].endswith("bash run_experiment.sh clean 1")


def test_a_file_that_is_gone_is_named_and_made_again(tree):
    assert tree.run("0 1").returncode == 0
    (tree.stages / "stage1_encoder/results.json").unlink()
    lines = told(tree)
    assert lines[4].split()[2] == "incomplete" and "results.json is not there" in lines[-2]
    assert lines[-1] == "next: DEVICE=cpu bash run_experiment.sh 1 3"


def test_what_a_run_leaves_out_is_left_out(tree):
    assert [line.split()[0] for line in told(tree, CONTROLS="1")[2:-1]] == ["stage", "baseline", *["stage"] * 3, "control"]
    assert sum(line.startswith("stage") for line in told(tree, INIT="released")) == 2


def test_after_all_of_it_the_page_then_the_model(tree):
    assert tree.run("0 3").returncode == 0
    assert told(tree)[-1] == "next: DEVICE=cpu bash run_experiment.sh export"
    (tree.stages / "report.html").unlink()
    assert told(tree)[-1] == "next: DEVICE=cpu bash run_experiment.sh report"

"""How run_experiment.sh ends when a signal asks it to, and when it only looks so."""

from __future__ import annotations

import os
import signal

import pytest
from driver_tree import Tree, names, one_error, until


@pytest.fixture
def tree(tmp_path) -> Tree:
    return Tree(tmp_path)


def test_a_training_that_a_signal_stopped_is_no_error_and_goes_on_next_time(tree):
    done = tree.run("0 1", STOP="train --config conf/stage1")
    assert done.returncode == 75 and "error:" not in done.stderr
    assert "stopped in stage 1 as asked; the same command goes on from there" in done.stderr
    assert tree.run("0 1").returncode == 0


def test_what_an_earlier_run_said_is_not_why_this_one_ends(tree):
    log = tree.stages / "stage1_encoder/train.log"
    log.parent.mkdir(parents=True)
    log.write_text("SIGTERM came: saved after update 50, the same command goes on from there\n", encoding="utf-8")
    done = tree.run("0 1", FAIL="train --config conf/stage1")
    assert done.returncode == 1 and "stage 1 failed" in one_error(done)


def test_a_training_that_is_stopped_before_its_first_update_is_no_error(tree):
    run = tree.start("0 1", DEAF="train")
    until(tree, "waiting")
    run.send_signal(signal.SIGTERM)
    told = run.communicate(timeout=60)[1]
    assert run.returncode == 75 and "stopped in stage 1 as asked" in told and "error:" not in told


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 75), ("SIGUSR1", 75), ("SIGINT", 130)])
def test_a_signal_to_the_driver_reaches_its_training_which_saves_first(tree, name, status):
    """As from Slurm, which signals the job's shell, or from Ctrl-C; the driver waits until all is saved."""
    run = tree.start("0 1", WAIT="train")
    until(tree, "waiting")
    run.send_signal(signal.Signals[name])
    told = run.communicate(timeout=60)[1]
    assert run.returncode == status, told
    assert tree.programs()[-1] == "saved"
    assert "the same command goes on from there" in told and "error:" not in told
    assert names(tree.programs()) == [] and tree.run("0 1").returncode == 0
    assert "train" in names(tree.programs())


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_to_all_processes_stops_other_work_as_asked(tree, name):
    """What is no training goes on from its files: nothing is to be saved."""
    run = tree.start("0 1", WAIT="evaluate")
    until(tree, "waiting")
    os.killpg(run.pid, signal.Signals[name])
    told = run.communicate(timeout=60)[1]
    assert run.returncode == 75 and "error:" not in told, told

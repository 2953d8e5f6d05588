"""run_experiment.sh: on which rows, and from which model, each stage is trained. Its heavy programs are stand-ins."""

from __future__ import annotations

import re

import pytest
from driver_tree import Tree, names, one_error


@pytest.fixture
def tree(tmp_path) -> Tree:
    return Tree(tmp_path)


def test_calls_only_starts_stage_3_from_the_released_model(tree):
    (tree.top / "calls.jsonl").write_text("{}\n", encoding="utf-8")
    (tree.top / "conf/calls.sh").write_text(
        "MODEL=local/mini/model INIT=released CALLS_TRAIN=calls.jsonl CALLS_DEV=calls.jsonl\n",
        encoding="utf-8",
    )
    done = tree.run("0 3", CONFIG="calls")
    assert done.returncode == 0, done.stderr
    assert "no CALLS_TEST: the calls' dev set is divided by call into dev and test" in done.stderr
    programs = tree.programs()
    assert names(programs) == (
        ["data_simulation"] + ["prepare_training_data"] * 3 + ["preflight", "evaluate", "train", "evaluate", "table", "report"]
    )
    assert "--silence 200" in programs[0] and "--split_test" in programs[2]
    assert "--config conf/stage3" in programs[6] and "--init released" in programs[6]
    assert "stage3_lora" in (tree.stages / "final_checkpoint.txt").read_text(encoding="utf-8")


def test_the_control_trains_stage_1_on_the_clean_rows(tree):
    assert tree.run("0 1", CONTROLS="1").returncode == 0
    trained = [line for line in tree.programs() if line.startswith("train ")]
    stage1, control = ([re.sub(r"--(train|output_dir) \S+", "", line)] for line in trained)
    assert stage1 == control
    assert "--train exp_output/data/general_16k/train.jsonl" in trained[1]
    assert (tree.output / "exp/controls/stage1_clean/results.json").exists()


def test_a_control_that_was_interrupted_goes_on_by_itself(tree):
    assert tree.run("0 1").returncode == 0
    done = tree.run("0 1", CONTROLS="1")
    assert done.returncode == 0, done.stderr
    assert (tree.output / "exp/controls/stage1_clean/train.log").exists()


def test_what_a_stage_replays_is_made_and_handed_to_it(tree):
    shares = {"STAGE1_SET": "++dataset_conf.replay_share=0.2", "STAGE3_SET": "++dataset_conf.replay_share=0.3"}
    assert tree.run("0 3", CONTROLS="1", **shares).returncode == 0
    programs = tree.programs()
    made = [re.search(r"--output exp_output/data/(\S+)", line)[1] for line in programs if "convert" in line]
    assert made.count("general_16k/train.jsonl") == 2, "once in stage 0, again (nothing is missing) for the control"
    wideband, simulated = (f"exp_output/data/{name}/train.jsonl" for name in ("general_16k", "simulated_8k_telephone"))
    replayed = [re.search(r"--replay (\S+)", line) for line in programs if line.startswith("train ")]
    assert [found and found[1] for found in replayed] == [wideband, None, simulated, wideband]


def test_lists_of_keywords_are_given_where_a_stage_asks_for_them(tree):
    assert tree.run("0 3").returncode == 0
    given = [re.search(r"--keywords (\S+)", line) for line in tree.programs() if line.startswith("train ")]
    assert [found and found[1] for found in given] == [None, None, "exp_output/mini/keywords.txt"]
    assert "hotword_rate was 0.5, is now 0" in one_error(tree.run("3 3", STAGE3_SET="++dataset_conf.hotword_rate=0"))
    assert tree.run("clean 3").returncode == tree.run("3 3", STAGE3_SET="++dataset_conf.hotword_rate=0").returncode == 0
    assert "--keywords" not in next(line for line in tree.programs() if line.startswith("train "))


def test_a_finished_stage_0_goes_on_with_what_is_to_be_replayed_now(tree):
    assert tree.run("0 1").returncode == 0
    assert "general_16k/train" not in "".join(tree.programs())
    done = tree.run("0 2", STAGE2_SET="++train_conf.max_epoch=1 ++dataset_conf.replay_share=0.5")
    assert done.returncode == 0, done.stderr
    assert "== stage 0: finished" in done.stdout and "general_16k/train.jsonl is not there: to be made again" in done.stdout
    assert "== stage 1: finished" in done.stdout and (tree.output / "data/general_16k/train.jsonl").exists()
    assert "--replay exp_output/data/general_16k/train.jsonl" in "".join(tree.programs())


def test_calls_only_can_replay_too(tree):
    for name in ("calls", "general"):
        (tree.top / f"{name}.jsonl").write_text("{}\n", encoding="utf-8")
    config = "MODEL=local/mini/model INIT=released CALLS_TRAIN=calls.jsonl CALLS_DEV=calls.jsonl\n"
    (tree.top / "conf/calls.sh").write_text(config, encoding="utf-8")
    share = "++dataset_conf.replay_share=0.3"
    done = tree.run("0 3", CONFIG="calls", STAGE3_SET=share)
    assert "GENERAL_TRAIN is empty" in one_error(done) and "INIT=released" not in one_error(done)
    done = tree.run("0 3", CONFIG="calls", STAGE3_SET=share, GENERAL_TRAIN="general.jsonl")
    assert done.returncode == 0, done.stderr
    programs = tree.programs()
    assert [re.search(r"--(split|silence) \w+", line)[0] for line in programs if line.startswith("data_simulation")] == [
        "--split train", "--silence 200"
    ]  # fmt: skip
    assert "--replay exp_output/data/simulated_8k_telephone/train.jsonl" in "".join(programs)

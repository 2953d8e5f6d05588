"""run_experiment.sh by itself: arguments, order, skip, go on, refuse. Its heavy programs are stand-ins."""

from __future__ import annotations

import re
import resource
import subprocess
from collections.abc import Callable

import pytest
from driver_tree import TOP, Tree


@pytest.fixture
def tree(tmp_path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Tree:
    """A whole experiment. For tests that leave it as it is."""
    tree = Tree(tmp_path_factory.mktemp("finished"))
    done = tree.run("0 3")
    assert done.returncode == 0, done.stderr
    return tree


def work_of(done: Callable[[], object]) -> float:
    """Seconds of processor time that `done` takes in its processes: a busy machine does not lengthen it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def names(programs: list[str]) -> list[str]:
    return [line.split()[0] for line in programs]


def one_error(done: subprocess.CompletedProcess[str]) -> str:
    """The single error line of a run that stopped."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("4", "STAGE is 0, 1, 2 or 3, not '4'"),
        ("0 9", "STOP_STAGE is 0, 1, 2 or 3, not '9'"),
        ("2 1", "STAGE 2 comes after STOP_STAGE 1"),
        ("0 1 2", "at most two arguments"),
        ("--stage", "STAGE is 0, 1, 2 or 3"),
        ("clean", "clean takes one of"),
        ("clean everything", "clean takes one of"),
        ("status now", "status takes no argument"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_2(tree, words, said):
    done = tree.run(words)
    assert done.returncode == 2
    assert said in one_error(done)
    assert len(done.stderr.splitlines()) == 1 and not done.stdout


def test_help_explains_the_stages_and_makes_nothing(tree):
    done = tree.run("-h")
    assert done.returncode == 0
    for word in ("STAGE", "status", "clean", "CONFIG=conf/wenetspeech_telephone.sh"):
        assert word in done.stdout
    assert "set -E" not in done.stdout
    assert not tree.output.exists()


def test_a_stage_without_its_predecessor_names_the_command(tree):
    assert work_of(lambda: tree.run("2 2")) < 1
    done = tree.run("2 2")
    assert done.returncode == 1
    error = one_error(done)
    assert "stage 2 starts from what stage 0 makes, and that has not been run" in error
    assert error.endswith("bash run_experiment.sh 0 1")
    assert not tree.output.exists() and not tree.programs()


def test_the_whole_experiment_in_order_from_another_folder(tree, tmp_path):
    done = tree.run("", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert names(tree.programs()) == (
        ["corpus"] + ["data_simulation"] * 3 + ["prepare_training_data"] * 5
        + ["evaluate"] + ["train", "evaluate"] * 3 + ["table"]
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "the table"
    assert done.stderr.splitlines()[0].startswith(
        "experiment  conf/micro.sh (built in, needs no data), stages 0 to 3"
    )
    assert done.stderr.splitlines()[1].startswith("devices     CPU, 1 process")
    for number, folder in ((1, "stage1_encoder"), (2, "stage2_adapter"), (3, "stage3_lora")):
        note = (tree.stages / f"stage{number}_checkpoint.txt").read_text(encoding="utf-8")
        assert note == f"exp_output/exp/8k_telephone/{folder}/model.pt\n"
    assert (tree.stages / "final_checkpoint.txt").read_text(encoding="utf-8").count("stage3_lora") == 1


def test_each_stage_starts_from_what_the_one_before_hands_on(tree):
    assert tree.run("0 3").returncode == 0
    starts = [re.search(r"--init (\S+)", line)[1] for line in tree.programs() if line.startswith("train ")]
    folder = "exp_output/exp/8k_telephone"
    assert starts == ["released", f"{folder}/stage1_encoder/model.pt", f"{folder}/stage2_adapter/model.pt"]


def test_a_second_run_skips_all_within_seconds(finished):
    finished.programs()
    assert work_of(lambda: finished.run("0 3")) < 3
    finished.programs()
    done = finished.run("0 3")
    assert done.returncode == 0, done.stderr
    assert names(finished.programs()) == ["table"]
    reasons = [line for line in done.stdout.splitlines() if line.startswith("==")]
    assert len(reasons) == 5 and all("inputs and settings unchanged: skipped" in line for line in reasons)


def test_a_failing_step_names_stage_and_log_and_goes_on_next_time(tree):
    done = tree.run("0 3", FAIL="train --config conf/stage2")
    assert done.returncode != 0
    assert "stage 2 failed" in one_error(done) and "stage2_adapter/train.log" in one_error(done)
    assert names(tree.programs())[-1] == "train"
    again = tree.run("0 3")
    assert again.returncode == 0, again.stderr
    assert "== stage 2: begun" in again.stdout and "goes on" in again.stdout
    assert names(tree.programs()) == ["train", "evaluate", "train", "evaluate", "table"]


def test_only_the_scores_are_made_again_after_a_kill_in_scoring(tree):
    assert (
        tree.run("0 1", FAIL="evaluate --model_dir local/mini/model --checkpoint exp_output").returncode != 0
    )
    tree.programs()
    assert tree.run("0 1").returncode == 0
    assert names(tree.programs()) == ["evaluate", "table"]


def test_a_changed_setting_stops_names_itself_and_two_ways_on(tree):
    assert tree.run("0 3").returncode == 0
    tree.programs()
    done = tree.run("0 3", STAGE2_SET="++train_conf.max_epoch=1 ++optim_conf.lr=0.5")
    error = one_error(done)
    assert done.returncode == 1 and not tree.programs()
    assert "stage 2 was finished" in error and "optim_conf.lr was 5e-05, is now 0.5" in error
    assert "Put that back" in error and "bash run_experiment.sh clean 2" in error
    assert "max_epoch" not in error  # the same as before, though it is written in another place
    cleaned = tree.run("clean 2")
    assert cleaned.returncode == 0 and not (tree.stages / "stage2_adapter").exists()
    assert not (tree.stages / "stage2_checkpoint.txt").exists()
    changed = tree.run("2 2", STAGE2_SET="++optim_conf.lr=0.5")
    assert changed.returncode == 0, changed.stderr
    assert names(tree.programs()) == ["train", "evaluate", "table"]
    later = tree.run("3 3")
    assert later.returncode == 1 and "the model it starts from was" in one_error(later)


def test_changed_rows_stop_the_stage_that_was_trained_on_them(tree):
    assert tree.run("0 1").returncode == 0
    with (tree.output / "data/simulated_8k_telephone/train.jsonl").open("a", encoding="utf-8") as rows:
        rows.write("{}\n")
    done = tree.run("1 1")
    assert done.returncode == 1
    assert "training rows was 3 bytes" in one_error(done) and "is now 6 bytes" in one_error(done)


def test_changed_keywords_ask_for_new_scores_only(tree):
    words = tree.top / "words.txt"
    words.write_text("账单\n", encoding="utf-8")
    assert tree.run("0 1", KEYWORDS="words.txt").returncode == 0
    tree.programs()
    words.write_text("账单\n额度\n", encoding="utf-8")
    done = tree.run("1 1")
    assert "KEYWORDS was" in one_error(done) and "bash run_experiment.sh clean scores" in one_error(done)
    assert tree.run("clean scores").returncode == 0
    assert tree.run("1 1").returncode == 0
    assert names(tree.programs()) == ["evaluate", "evaluate", "table"]


def test_a_changed_source_file_is_noted_no_more(tree):
    assert tree.run("0 1").returncode == 0
    with (tree.top / "data/annotation.py").open("a", encoding="utf-8") as source:
        source.write("# changed\n")
    done = tree.run("0 1")
    assert done.returncode == 0
    assert "note: source files changed since stage 0 began: data/annotation.py" in done.stdout
    assert done.stdout.count("skipped") == 3


def test_the_output_folder_remembers_configuration_and_given_variables(tree):
    assert tree.run("0 1", SEED="5").returncode == 0
    tree.programs()
    done = tree.run("2 2", CONFIG=None)
    assert done.returncode == 0, done.stderr
    assert "from the environment: SEED=5" in done.stderr
    assert "++seed=5" in tree.programs()[0]
    other = tree.run("2 2", CONFIG="conf/wenetspeech_telephone.sh")
    assert other.returncode == 1
    assert "exp_output holds an experiment of conf/micro.sh" in one_error(other)
    assert "OUTPUT_ROOT=" in one_error(other) and "CONFIG=conf/micro.sh" in one_error(other)


def test_an_output_folder_elsewhere_stands_in_the_recommended_command(tree, tmp_path):
    elsewhere = tmp_path / "big disk"
    done = tree.run("1 1", OUTPUT_ROOT=str(elsewhere))
    assert one_error(done).endswith(f"OUTPUT_ROOT='{elsewhere}' bash run_experiment.sh 0 0")
    assert tree.run("0 3", OUTPUT_ROOT=str(elsewhere)).returncode == 0
    assert not tree.output.exists()
    note = (elsewhere / "exp/8k_telephone/final_checkpoint.txt").read_text(encoding="utf-8")
    assert note == f"{elsewhere}/exp/8k_telephone/stage3_lora/model.pt\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (': "${KEYWORD:=words.txt}"', "conf/own.sh:2: unknown variable KEYWORD; did you mean KEYWORDS?"),
        ("export SEEDS=3", "conf/own.sh:2: unknown variable SEEDS; did you mean SEED?"),
    ],
)
def test_an_unknown_variable_in_a_configuration_names_file_and_line(tree, line, said):
    (tree.top / "conf/own.sh").write_text(f"folder=/corpora    # a helper\n{line}\n", encoding="utf-8")
    done = tree.run("0 0", CONFIG="own")
    assert done.returncode == 1 and said in one_error(done)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"DEVICE": "gpu"}, "DEVICE=gpu is unknown"),
        ({"SEED": "one"}, "SEED=one must be a whole number"),
        ({"NODE_RANK": "1"}, "NODE_RANK=1 must be below NNODES=1"),
        ({"NNODES": "2"}, "give one trained stage at a time"),
        ({"MODEL": "no such folder"}, "MODEL=no such folder is neither a folder nor a name"),
        ({"CALLS_TRAIN": "calls.jsonl"}, "calls.jsonl does not exist: set it in conf/micro.sh"),
        ({"STAGE3_SET": "++optim_conf.lrr=1"}, "unknown key optim_conf.lrr; did you mean lr?"),
        ({"CONFIG": "conf/none.sh"}, "neither"),
    ],
)
def test_a_wrong_value_is_said_before_anything_runs(tree, variables, said):
    done = tree.run("0 3", **variables)
    assert done.returncode == 1
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not tree.programs()


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
    assert names(programs) == ["prepare_training_data"] * 3 + ["evaluate", "train", "evaluate", "table"]
    assert "--split_test" in programs[1]
    assert "--config conf/stage3" in programs[4] and "--init released" in programs[4]
    assert "stage3_lora" in (tree.stages / "final_checkpoint.txt").read_text(encoding="utf-8")


def test_the_control_trains_stage_1_on_the_clean_rows(tree):
    assert tree.run("0 1", CONTROLS="1").returncode == 0
    trained = [line for line in tree.programs() if line.startswith("train ")]
    stage1, control = ([re.sub(r"--(train|output_dir) \S+", "", line)] for line in trained)
    assert stage1 == control
    assert "--train exp_output/data/general_16k/train.jsonl" in trained[1]
    assert (tree.output / "exp/controls/stage1_clean/results.json").exists()


def test_status_says_where_each_stage_stands(tree):
    assert tree.run("0 1", FAIL="train --config conf/stage1").returncode != 0
    lines = tree.run("status").stdout.splitlines()
    assert "conf/micro.sh in exp_output" in lines[0]
    assert re.fullmatch(r"stage 0 +finished .* skipped", lines[1])
    assert re.fullmatch(r"stage 1 +begun .* goes on", lines[3])
    assert re.fullmatch(r"stage 2 +not run yet", lines[4])


def test_a_python_that_is_too_old_is_one_line(tree, tmp_path):
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.8.1\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    done = tree.run("0 0", PYTHON=str(old))
    assert done.returncode == 1
    assert "Python 3.10, 3.11 or 3.12 is needed" in one_error(done) and "Python 3.8.1" in one_error(done)
    assert len(done.stderr.splitlines()) == 1


def test_a_half_installed_environment_is_completed_once(tree):
    (tree.top / "requirements.txt").write_text("# nothing to install\n", encoding="utf-8")
    (tree.top / "local/packages.py").write_text(
        f"import sys\nif not sys.prefix.startswith({str(tree.top)!r}):\n    sys.exit(print('it has no torch') or 1)\n",
        encoding="utf-8",
    )
    assert tree.run("0 0").returncode == 0
    (site,) = (tree.top / ".venv/lib").glob("python3*/site-packages")
    (site / "half-1.0.dist-info").mkdir()
    (tree.top / ".venv/bin/python").unlink()
    done = tree.run("0 0")
    assert done.returncode == 0, done.stderr
    assert "environment making .venv" in done.stdout and "it has no torch" in done.stdout
    assert not (site / "half-1.0.dist-info").exists() and list(site.glob("pip-*.dist-info"))
    assert "making" not in tree.run("0 0").stdout


def test_the_driver_stays_a_page():
    text = (TOP / "run_experiment.sh").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150

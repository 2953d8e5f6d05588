"""run_experiment.sh by itself: order, skip, go on, look ahead. Its heavy programs are stand-ins."""

from __future__ import annotations

import os
import re

import pytest
from driver_tree import TOP, Tree, names, one_error, work_of


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


def test_the_whole_experiment_in_order_from_another_folder(tree, tmp_path):
    done = tree.run("", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert names(tree.programs()) == (
        ["corpus"] + ["data_simulation"] * 4 + ["prepare_training_data"] * 5
        + ["preflight", "evaluate"] + ["train", "evaluate"] * 3 + ["table", "report"]
    )  # fmt: skip
    assert done.stdout.splitlines()[-2:] == ["the table", "next: DEVICE=cpu bash run_experiment.sh export"]
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr.splitlines()[0].startswith(
        "experiment  conf/micro.sh (built in, needs no data), stages 0 to 3"
    )
    assert done.stderr.splitlines()[1].startswith("devices     CPU, 1 process")
    for number, folder in ((1, "stage1_encoder"), (2, "stage2_adapter"), (3, "stage3_lora")):
        note = (tree.stages / f"stage{number}_checkpoint.txt").read_text(encoding="utf-8")
        assert note == f"exp_output/exp/8k_telephone/{folder}/model.pt\n"
    assert (tree.stages / "final_checkpoint.txt").read_text(encoding="utf-8").count("stage3_lora") == 1


@pytest.mark.slow
def test_all_processes_train_and_score(tree):
    assert tree.run("0 1", NPROC="2").returncode == 0
    programs = names(tree.programs())
    assert (programs.count("train"), programs.count("evaluate"), programs.count("table")) == (2, 4, 1)


def test_each_stage_starts_from_what_the_one_before_hands_on(tree):
    assert tree.run("0 3").returncode == 0
    starts = [re.search(r"--init (\S+)", line)[1] for line in tree.programs() if line.startswith("train ")]
    folder = "exp_output/exp/8k_telephone"
    assert starts == ["released", f"{folder}/stage1_encoder/model.pt", f"{folder}/stage2_adapter/model.pt"]


def test_the_first_and_the_last_model_hear_the_original_files_too(tree):
    assert tree.run("0 3", ORIGINALS="7").returncode == 0
    scored = [line for line in tree.programs() if line.startswith("evaluate ")]
    assert [line.endswith(" --originals 7") for line in scored] == [True, False, False, True]


def test_every_scoring_hears_silence_and_is_held_against_all_that_is_trained_on(tree):
    assert tree.run("0 1", SILENCE="7").returncode == 0
    programs = tree.programs()
    made = [line for line in programs if "--silence" in line]
    assert len(made) == 1 and "--silence 7 --split test --output_dir exp_output/data/silence_8k_telephone" in made[0]
    scored = [line for line in programs if line.startswith("evaluate ")]
    trained = [f"exp_output/data/{name}_8k_telephone/train.jsonl" for name in ("real", "simulated")]
    for line in scored:
        assert "--set silence=exp_output/data/silence_8k_telephone/test.jsonl" in line
        assert f"--train {' '.join(trained)} --output_dir" in line
    assert len(scored) == 2


def test_without_silence_and_with_known_speakers(tree):
    assert tree.run("0 1", SILENCE="0", KNOWN_SPEAKERS="1").returncode == 0
    programs = "\n".join(tree.programs())
    assert "silence" not in programs and programs.count("train.jsonl --known_speakers --output_dir") == 2
    assert ".jsonl --known_speakers --summary" in programs


def test_a_second_run_skips_all_within_seconds(finished):
    finished.programs()
    assert work_of(lambda: finished.run("0 3")) < 3
    finished.programs()
    done = finished.run("0 3")
    assert done.returncode == 0, done.stderr
    assert names(finished.programs()) == ["table"], "and the page is there, with nothing new to tell"
    reasons = [line for line in done.stdout.splitlines() if line.startswith("==")]
    assert len(reasons) == 5 and all("inputs and settings unchanged: skipped" in line for line in reasons)


def test_the_preflight_comes_once_before_the_model_is_used(tree):
    assert tree.run("0 0").returncode == 0
    assert "preflight" not in names(tree.programs())
    assert tree.run("1 2").returncode == 0
    assert [line for line in tree.programs() if line.startswith("preflight")] == ["preflight check 1 2"]


def test_a_failing_preflight_leaves_no_stage_begun(tree):
    done = tree.run("0 1", FAIL="preflight")
    assert done.returncode == 1 and "the same command goes on from there" in one_error(done)
    assert one_error(done).startswith("error: stage baseline has not begun, see ✗ above; once that is mended, ")
    assert names(tree.programs())[-1] == "preflight"
    assert not tree.stages.exists()
    mended = tree.run("0 1", STAGE1_SET="++train_conf.max_epoch=2")
    assert mended.returncode == 0, mended.stderr


@pytest.mark.parametrize(
    ("words", "asked"), [("--dry-run", "0 3"), ("--dry-run 2", "2 3"), ("0 1 --dry-run", "0 1"), ("2 --dry-run", "2 3")]
)
def test_a_dry_run_hands_over_and_makes_nothing(tree, words, asked):
    done = tree.run(words)
    assert done.returncode == 0, done.stderr
    assert tree.programs() == [f"preflight plan {asked}"]
    assert not tree.output.exists()


def test_a_dry_run_fails_where_something_must_be_mended(tree):
    assert tree.run("--dry-run 0 3", FAIL="preflight").returncode == 1


def test_a_failing_step_names_stage_and_log_and_goes_on_next_time(tree):
    done = tree.run("0 3", FAIL="train --config conf/stage2")
    assert done.returncode != 0
    assert "stage 2 failed" in one_error(done) and "stage2_adapter/train.log" in one_error(done)
    assert one_error(done).endswith("the same command goes on from there: DEVICE=cpu bash run_experiment.sh 0 3")
    assert names(tree.programs())[-1] == "train"
    again = tree.run("0 3")
    assert again.returncode == 0, again.stderr
    assert "== stage 2: begun" in again.stdout and "goes on" in again.stdout
    assert names(tree.programs()) == ["preflight", "train", "evaluate", "train", "evaluate", "table", "report"]


def test_rows_that_are_wrong_end_stage_0_with_what_is_wrong_and_the_way_on(tree):
    """The corpora are mended, then, and what was made of them does not count."""
    done = tree.run("0 1", FAIL="validate")
    assert one_error(done).startswith("error: stage 0 failed, its log is ") and "clean" not in one_error(done)
    done = tree.run("0 1", FAIL="validate", SAY="failed: keys are unique (1 against it); 2 warnings")
    again = "DEVICE=cpu bash run_experiment.sh"
    assert done.returncode == 1 and one_error(done) == (
        "error: stage 0 failed: keys are unique (1 against it); 2 warnings, its log is exp_output/data/stage0.log; "
        f"once that is mended, {again} clean 0 && {again} 0 1"
    )


def test_a_line_for_each_file_of_rows_and_more_only_where_something_is_wrong(tree):
    lines = ["a.jsonl: 3 utterances", "    Duration  ▁", "  ✓ keys are unique", "  ! the words: 1 against it", "      u1: a",
             "splits together: 1 files", "  ✓ no call is in two splits", "all checks passed; 1 warning"]  # fmt: skip
    done = tree.run("0 0", SAY="\n".join(lines))
    told = done.stdout.partition(lines[0])
    assert (told[1] + told[2]).splitlines()[:-1] == [lines[0], *lines[3:6], lines[-1]]
    assert "\n".join(lines) in (tree.output / "data/stage0.log").read_text(encoding="utf-8")


def test_a_page_that_is_older_than_a_score_is_made_again(tree):
    assert tree.run("0 1").returncode == 0
    page = tree.stages / "report.html"
    for age, made in ((0, False), (1000, True)):  # a kill between the last score and the page
        os.utime(page, (page.stat().st_mtime - age,) * 2)
        tree.programs()
        assert tree.run("0 1").returncode == 0
        assert ("report" in names(tree.programs())) == made


def test_only_the_scores_are_made_again_after_a_kill_in_scoring(tree):
    assert (
        tree.run("0 1", FAIL="evaluate --model_dir local/mini/model --checkpoint exp_output").returncode != 0
    )
    tree.programs()
    assert tree.run("0 1").returncode == 0
    assert names(tree.programs()) == ["preflight", "evaluate", "table", "report"]


def test_a_changed_setting_stops_names_itself_and_two_ways_on(tree):
    assert tree.run("0 3").returncode == 0
    tree.programs()
    done = tree.run("0 3", STAGE2_SET="++train_conf.max_epoch=1 ++optim_conf.lr=0.5")
    error = one_error(done)
    assert done.returncode == 1 and not tree.programs()
    assert "stage 2 was finished" in error and "optim_conf.lr was 5e-05, is now 0.5" in error
    assert "Put that back" in error and "bash run_experiment.sh clean 2" in error
    assert "max_epoch was" not in error  # the same as before, though it is written in another place
    cleaned = tree.run("clean 2")
    assert cleaned.returncode == 0 and not (tree.stages / "stage2_adapter").exists()
    assert not (tree.stages / "stage2_checkpoint.txt").exists()
    changed = tree.run("2 2", STAGE2_SET="++optim_conf.lr=0.5")
    assert changed.returncode == 0, changed.stderr
    assert names(tree.programs()) == ["preflight", "train", "evaluate", "table", "report"]
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
    assert names(tree.programs()) == ["preflight", "evaluate", "evaluate", "table", "report"]


def test_a_changed_source_file_is_noted_no_more(tree):
    assert tree.run("0 1").returncode == 0
    with (tree.top / "data/annotation.py").open("a", encoding="utf-8") as source:
        source.write("# changed\n")
    done = tree.run("0 1")
    assert done.returncode == 0
    assert "note: source files changed since stage 0 began: data/annotation.py" in done.stdout
    assert done.stdout.count("skipped") == 3


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("report", "report exp_output"),
        ("evaluate --model a --data b", "evaluate --prompt 语音转写： --model a --data b"),
        ("export", "export exp_output/exp/8k_telephone/stage3_lora exp_output/export/stage3_lora"),
        ("export my_model", "export exp_output/exp/8k_telephone/stage3_lora my_model"),
    ],
)
def test_what_is_no_stage_is_handed_over(finished, words, command):
    finished.programs()
    done = finished.run(words)
    assert done.returncode == 0, done.stderr
    assert finished.programs() == [command]


def test_a_run_ends_with_what_to_type_next(tree):
    ends = [tree.run(words).stdout.splitlines()[-1] for words in ("0 0", "1 1", "2 3")]
    assert ends == [f"next: DEVICE=cpu bash run_experiment.sh {words}" for words in ("1 1", "2 2", "export")]
    assert tree.run("clean 2").stdout.splitlines()[-1] == "next: DEVICE=cpu bash run_experiment.sh 2 2"
    elsewhere = tree.run("0 1", OUTPUT_ROOT="else where").stdout.splitlines()[-1]
    assert elsewhere == "next: DEVICE=cpu OUTPUT_ROOT='else where' bash run_experiment.sh 2 3"


def test_every_line_of_help_that_names_a_command_is_one_that_is_known(finished):
    told = finished.run("--help").stdout.splitlines()
    commands = [line.split()[2] for line in told if line.strip().startswith("bash run_experiment.sh")]
    assert commands == ["[STAGE", "--dry-run", "status", "clean", "report", "evaluate", "export"]


def test_the_driver_stays_a_page():
    text = (TOP / "run_experiment.sh").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150

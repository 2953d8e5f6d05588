"""What run_experiment.sh is asked for: arguments, variables, the environment. What is wrong is one line, and nothing runs."""

from __future__ import annotations

import pytest
from driver_tree import Tree, names, one_error, work_of


@pytest.fixture
def tree(tmp_path) -> Tree:
    return Tree(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("4", "STAGE is 0, 1, 2 or 3, not '4'"),
        ("0 9", "STOP_STAGE is 0, 1, 2 or 3, not '9'"),
        ("2 1", "STAGE 2 comes after STOP_STAGE 1"),
        ("0 1 2", "at most two arguments"),
        ("--stage", "STAGE is 0, 1, 2 or 3, not '--stage'; known: status, clean, report, evaluate, export, --dry-run"),
        ("stauts", "STAGE is 0, 1, 2 or 3, not 'stauts'; did you mean status?"),
        ("--dryrun 0 3", "not '--dryrun'; did you mean --dry-run?"),
        ("clean", "clean takes one of"),
        ("clean everything", "clean takes one of"),
        ("status now", "status takes no argument"),
        ("report now", "report takes no argument"),
        ("export here now", "export takes one argument at most"),
        ("--dry-run status", "STAGE is 0, 1, 2 or 3, not 'status'"),
        ("--dry-run 3 1", "STAGE 3 comes after STOP_STAGE 1"),
        ("--dry-run 0 1 2", "at most two arguments"),
        ("--dry-run --dry-run", "STAGE is 0, 1, 2 or 3, not '--dry-run'"),
        ("0 1 2 --dry-run", "at most two arguments"),
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
    for word in ("STAGE", "--dry-run", "status", "clean", "CONFIG=conf/wenetspeech_telephone.sh"):
        assert word in done.stdout
    assert "set -E" not in done.stdout
    assert not tree.output.exists()


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read"), ("# none\n", "holds no keyword"), ("退款\n", "")])
def test_a_keyword_list_is_looked_at_before_the_hours_of_stage_0(tree, tmp_path, content, said):
    path = tmp_path / "words.txt"
    if content:
        path.write_text(content, encoding="utf-8")
    done = tree.run("0 0", KEYWORDS=str(path))
    assert said in one_error(done) if said else done.returncode == 0, done.stderr


def test_a_shells_own_variables_are_not_the_drivers(tree):
    assert tree.run("0 1", model="whisper", asked="yes", trainer="1").returncode == 0
    assert "preflight" in names(tree.programs())


def test_a_stage_without_its_predecessor_names_the_command(tree):
    assert work_of(lambda: tree.run("2 2")) < 1
    done = tree.run("2 2")
    assert done.returncode == 1
    error = one_error(done)
    assert "stage 2 starts from what stage 0 makes, and that has not been run" in error
    assert error.endswith("bash run_experiment.sh 0 1")
    assert not tree.output.exists() and not tree.programs()


def test_the_output_folder_remembers_configuration_and_given_variables(tree):
    assert tree.run("0 1", SEED="5").returncode == 0
    tree.programs()
    done = tree.run("2 2", CONFIG=None, SILENCE="7")
    assert done.returncode == 0, done.stderr
    assert "from the environment: SILENCE=7\n            as this folder remembers: SEED=5\n" in done.stderr
    assert "++seed=5" in tree.programs()[1]
    other = tree.run("2 2", CONFIG="conf/wenetspeech_telephone.sh")
    assert other.returncode == 1
    assert "exp_output holds an experiment of conf/micro.sh" in one_error(other)
    assert "OUTPUT_ROOT=" in one_error(other) and "CONFIG=conf/micro.sh" in one_error(other)


@pytest.mark.parametrize(
    ("name", "wrong"), [("STAGE2_SET", "++train_conf.max_epoch=two"), ("STAGE2_SET", "optim_conf.lr=1"), ("RULES", "too_fst=4")]
)
def test_what_was_wrong_is_not_remembered(tree, name, wrong):
    assert tree.run("0 1").returncode == 0
    done = tree.run("0 2", **{name: wrong})
    assert one_error(done) and not done.stdout
    assert tree.run("0 2").returncode == 0


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
    ("text", "said"),
    [
        ('folder=/a; : "${MODEL:=x}" "${KEYWORD:=y}"', "conf/local.sh:1: unknown variable KEYWORD; did you mean KEYWORDS?"),
        ("SEED=1 GENERAL_TRIAN=/a", "conf/local.sh:1: unknown variable GENERAL_TRIAN; did you mean GENERAL_TRAIN?"),
        ('if true; then\n  PROMT="a b"\nfi', "conf/local.sh:2: unknown variable PROMT; did you mean PROMPT?"),
        ("# SEEDS=1\nSTAGE1_SET='++a=1 SEEDS=2'", None),
    ],
)
def test_a_misspelt_variable_in_the_private_file_is_found_wherever_it_stands(tree, text, said):
    (tree.top / "conf/local.sh").write_text(text + "\n", encoding="utf-8")
    done = tree.run("status", CONFIG="wenetspeech_telephone")
    assert said in one_error(done) if said else done.returncode == 0


def test_a_misspelt_variable_in_the_environment_is_noted_and_others_are_not(tree):
    others = {"PROMPT_COMMAND": "x", "LC_ALL": "C", "SLURM_NNODES": "2", "HOSTNAME": "a", "PYTHONPATH": "", "DATA": "x"}
    done = tree.run("status", GENERAL_TRIAN="a", CUDA_VISIBLE_DEVICE="0", SEDE="2", **others)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "note: nothing reads CUDA_VISIBLE_DEVICE of the environment; did you mean CUDA_VISIBLE_DEVICES?",
        "note: nothing reads GENERAL_TRIAN of the environment; did you mean GENERAL_TRAIN?",
        "note: nothing reads SEDE of the environment; did you mean SEED?",
    ]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"DEVICE": "gpu"}, "DEVICE=gpu is unknown"),
        ({"SEED": "one"}, "SEED=one must be a whole number"),
        ({"SILENCE": "some"}, "SILENCE=some must be a whole number of at least 0"),
        ({"KNOWN_SPEAKERS": "yes"}, "KNOWN_SPEAKERS=yes is unknown"),
        ({"NODE_RANK": "1"}, "NODE_RANK=1 must be below NNODES=1"),
        ({"NNODES": "2"}, "give one trained stage at a time"),
        ({"MODEL": "no such folder"}, "MODEL=no such folder is neither a folder nor a name"),
        ({"CALLS_TRAIN": "calls.jsonl"}, "calls.jsonl does not exist: set it in conf/micro.sh"),
        ({"STAGE3_SET": "++optim_conf.lrr=1"}, "unknown key optim_conf.lrr; did you mean lr?"),
        ({"CONFIG": "conf/mcro.sh"}, "CONFIG=conf/mcro.sh: no such file; did you mean conf/micro.sh?"),
    ],
)
def test_a_wrong_value_is_said_before_anything_runs(tree, variables, said):
    done = tree.run("0 3", **variables)
    assert done.returncode == 1
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not tree.programs()


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


def test_the_model_so_far_is_exported_and_without_one_the_command_is_named(tree):
    command = "CONFIG=conf/micro.sh DEVICE=cpu bash run_experiment.sh 0 3"
    assert one_error(tree.run("export")).endswith(f"no stage has been trained yet: {command}")
    assert tree.run("0 1").returncode == 0
    tree.programs()
    assert tree.run("export").returncode == 0
    assert tree.programs() == ["export exp_output/exp/8k_telephone/stage1_encoder exp_output/export/stage1_encoder"]


def test_what_is_exported_while_its_stage_has_changed_is_said_in_a_line(tree):
    assert tree.run("0 1").returncode == 0
    assert not tree.run("export").stderr
    (note,) = tree.run("export", SEED="5").stderr.splitlines()
    assert note.startswith("note: its model is taken as it is: stage 1 was finished ") and "seed was 1, is now 5" in note
    assert note.endswith("SEED=5 DEVICE=cpu bash run_experiment.sh clean 1")
    assert tree.programs()[-1] == "export exp_output/exp/8k_telephone/stage1_encoder exp_output/export/stage1_encoder"

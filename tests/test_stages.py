"""local/fingerprint.py, marks.py, request.py, stages.py: what is compared, and what is said about it."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys

import pytest

from data.errors import UserError
from local import experiment as experiments
from local import marks, request, stages
from local.experiment import TOP, Experiment


@pytest.fixture
def experiment(tmp_path, monkeypatch) -> Experiment:
    """A whole set of variables, in a folder of its own, with the rows that stage 0 would have made."""
    dump = "import json, os; print(json.dumps(dict(os.environ)))"
    script = f"set -a; source conf/defaults.sh; exec '{sys.executable}' -c '{dump}'"
    bare = {"PATH": "/usr/bin:/bin"}
    made = subprocess.run(
        ["bash", "-c", script], cwd=TOP, env=bare, capture_output=True, text=True, check=True
    )
    values = json.loads(made.stdout) | {"OUTPUT_ROOT": str(tmp_path / "out"), "MODEL": "owner/name"}
    made_here = Experiment(values | {"GENERAL_TEST": "x"})
    for rows in made_here.data_rows():
        rows.parent.mkdir(parents=True, exist_ok=True)
        rows.write_text("{}\n", encoding="utf-8")
    return made_here


def finish(experiment: Experiment, name: str) -> None:
    """What a run of a stage leaves, without the run."""
    marks.write(experiment, name, "begun")
    for path in marks.outputs(experiment, name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("made", encoding="utf-8")
    stages.close_stage(experiment, name)


def test_a_stage_goes_from_new_to_begun_to_finished(experiment):
    assert marks.decide(experiment, "1").verdict == "run"
    marks.write(experiment, "1", "begun")
    assert marks.decide(experiment, "1").verdict == "continue"
    finish(experiment, "1")
    assert marks.decide(experiment, "1").verdict == "skip"


def test_a_stage_that_owes_a_file_is_not_marked_finished(experiment):
    marks.write(experiment, "1", "begun")
    with pytest.raises(UserError, match=r"stage 1 ended, but .*model.pt is missing or empty"):
        stages.close_stage(experiment, "1")
    assert marks.decide(experiment, "1").verdict == "continue"
    assert not experiment.checkpoint_note("1").exists()


def test_a_finished_stage_whose_file_is_gone_is_made_again(experiment):
    finish(experiment, "1")
    (experiment.folder("1") / "results.json").unlink()
    decision = marks.decide(experiment, "1")
    assert decision.verdict == "continue" and "results.json is not there" in decision.reason


def test_a_finished_mark_still_says_when_its_stage_was_begun(experiment):
    marks.write(experiment, "1", "begun")
    path = marks.mark_path(experiment, "1")
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"begun": "2020-01-01 00:00:00"}), encoding="utf-8")
    marks.write(experiment, "1", "finished")
    mark = marks.read(experiment, "1")
    assert (mark["state"], mark["begun"]) == ("finished", "2020-01-01 00:00:00") and mark["time"] > mark["begun"]


@pytest.mark.parametrize("state", ["begun", "finished"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"SEED": "2"}, "seed was 1, is now 2"),
        ({"DEV_CAP": "7"}, "train_conf.dev_utterances was 300, is now 7"),
        ({"STAGE1_SET": "++train_conf.max_epoch=2"}, "train_conf.max_epoch was 10, is now 2"),
        ({"MODEL": "owner/other"}, "the model it starts from was owner/name, is now owner/other"),
    ],
)
def test_changed_settings_stop_a_stage_begun_or_finished(experiment, change, said, state):
    marks.write(experiment, "1", "begun")
    if state == "finished":
        finish(experiment, "1")
    changed = Experiment({**experiment.values, **change})
    with pytest.raises(UserError) as caught:
        marks.decide(changed, "1")
    assert said in str(caught.value) and "clean 1" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"JOBS": "9"},
        {"NPROC": "4"},
        {"DEVICE": "cuda"},
        {"CHANNEL_PROFILE": "other"},
        {"STAGE1_SET": "++dataset_conf.num_workers=9"},
        {"STAGE2_SET": "++seed=9"},
        {"ORIGINALS": "9"},
    ],
)
def test_what_does_not_touch_a_stage_does_not_stop_it(experiment, change):
    finish(experiment, "1")
    assert marks.decide(Experiment({**experiment.values, **change}), "1").verdict == "skip"


def test_a_stage_knows_what_it_replays(experiment):
    replaying = Experiment({**experiment.values, "STAGE3_SET": "++dataset_conf.replay_share=0.3"})
    finish(replaying, "3")
    assert marks.decide(replaying, "3").verdict == "skip"
    replaying.rows("simulated_8k_telephone/train").write_text("{}\n{}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"replayed rows was 3 bytes.* is now 6 bytes"):
        marks.decide(replaying, "3")
    with pytest.raises(UserError, match=r"dataset_conf\.replay_share was 0\.3, is now 0"):
        marks.decide(experiment, "3")


def test_a_stage_knows_the_keywords_that_it_gives_lists_of(experiment, tmp_path):
    path = tmp_path / "keywords.txt"
    path.write_text("套餐\n", encoding="utf-8")
    asking = Experiment({**experiment.values, "KEYWORDS": str(path)})
    for name in ("2", "3"):
        finish(asking, name)
    path.write_text("套餐\n话费\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"stage 3 was finished .* keywords was 1 words.* is now 2 words"):
        marks.refuse_changes(asking, "3")
    marks.refuse_changes(asking, "3", upstream=False)
    path.write_text("# ours\n[plans]\n套餐  # of a month\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"stage 3 was scored .* KEYWORDS was 7 bytes"):  # another training it is not
        marks.refuse_changes(asking, "3")
    with pytest.raises(UserError, match=r"stage 2 was scored .* KEYWORDS was 7 bytes"):
        marks.refuse_changes(asking, "2")


def test_a_changed_gate_asks_for_new_scores_not_for_new_training(experiment):
    finish(experiment, "1")
    with pytest.raises(UserError, match=r"stage 1 was scored .* gate.cer was 10, is now 9.*clean scores"):
        marks.decide(Experiment({**experiment.values, "STAGE1_SET": "++gate.cer=9"}), "1")


@pytest.mark.parametrize("name", ["baseline", "3"])
def test_more_originals_ask_for_new_scores(experiment, name):
    for stage in dict.fromkeys(("0", "1", "2", name)):
        finish(experiment, stage)
    with pytest.raises(UserError, match=r"ORIGINALS was 200, is now 9.*clean scores"):
        marks.decide(Experiment({**experiment.values, "ORIGINALS": "9"}), name)


def test_silence_is_stage_0s_and_known_speakers_are_the_scores(experiment):
    finish(experiment, "0")
    finish(experiment, "1")
    assert experiment.rows("silence_8k_telephone/test") in experiment.data_rows()
    fewer = Experiment({**experiment.values, "SILENCE": "9"})
    with pytest.raises(UserError, match=r"stage 0 was finished .* SILENCE was 200, is now 9.*clean silence$"):
        marks.decide(fewer, "0")
    with pytest.raises(UserError, match=r"SILENCE was 200, is now 9.*clean 0$"):
        marks.decide(Experiment({**fewer.values, "PROMPT": "说："}), "0")
    with pytest.raises(UserError, match=r"stage 1 was scored .* KNOWN_SPEAKERS was 0, is now 1.*clean scores"):
        marks.decide(Experiment({**experiment.values, "KNOWN_SPEAKERS": "1"}), "1")
    assert "silence_8k_telephone/test" not in Experiment({**experiment.values, "SILENCE": "0"}).data_names()


def test_another_silence_makes_that_set_anew_and_nothing_else(experiment):
    finish(experiment, "0")
    fewer = Experiment({**experiment.values, "SILENCE": "9"})
    stages.clean(fewer, "silence")
    assert [path for path in experiment.data_rows() if not path.exists()] == [experiment.rows("silence_8k_telephone/test")]
    decision = marks.decide(fewer, "0")
    assert decision.verdict == "continue" and "silence_8k_telephone/test.jsonl is not there: to be made again" in decision.reason
    finish(fewer, "0")
    assert marks.decide(fewer, "0").verdict == "skip"
    with pytest.raises(UserError, match="SILENCE was 9, is now 200"):
        marks.decide(experiment, "0")
    stages.clean(fewer, "silence")
    assert marks.decide(Experiment({**experiment.values, "SILENCE": "0"}), "0").verdict == "skip"


def test_what_is_going_to_be_made_anew_is_not_compared_yet(experiment):
    finish(experiment, "0")
    finish(experiment, "1")
    finish(experiment, "2")
    (experiment.folder("1") / "model.pt").write_text("another", encoding="utf-8")
    marks.refuse_changes(experiment, "2", upstream=False)
    with pytest.raises(UserError, match="the model it starts from was"):
        marks.refuse_changes(experiment, "2")


def test_clean_removes_one_stage_and_its_note(experiment, monkeypatch):
    for name in ("0", "baseline", "1", "2"):
        finish(experiment, name)
    final = experiment.stages / "final_checkpoint.txt"
    assert "stage2_adapter" in final.read_text(encoding="utf-8")
    stages.clean(experiment, "2")
    assert not experiment.folder("2").exists() and not experiment.checkpoint_note("2").exists()
    assert "stage1_encoder" in final.read_text(encoding="utf-8")
    assert marks.decide(experiment, "1").verdict == "skip"
    assert marks.decide(experiment, "2").verdict == "run"
    assert not [path for path in experiment.stages.iterdir() if path.name.endswith(".removed")]


def test_cleaning_the_scores_keeps_all_training(experiment):
    for name in ("0", "baseline", "1"):
        finish(experiment, name)
    stages.clean(experiment, "scores")
    assert not list(experiment.stages.glob("*/results.json"))
    assert (experiment.folder("1") / "model.pt").read_text(encoding="utf-8") == "made"
    assert marks.decide(experiment, "1").verdict == "continue"


def test_a_damaged_mark_is_one_line(experiment):
    finish(experiment, "1")
    marks.mark_path(experiment, "1").write_text('{"state": "fin', encoding="utf-8")
    with pytest.raises(UserError, match=r"\.stage\.json is damaged: .*clean 1"):
        marks.decide(experiment, "1")


@pytest.mark.parametrize(
    ("change", "first", "last", "expected"),
    [
        ({}, 0, 3, "0 baseline 1 2 3"),
        ({}, 0, 0, "0"),
        ({}, 2, 2, "baseline 2"),
        ({"CONTROLS": "1"}, 0, 3, "0 baseline 1 2 3 control"),
        ({"CONTROLS": "1"}, 2, 3, "baseline 2 3"),
        ({"INIT": "released"}, 0, 3, "0 baseline 3"),
        ({"NNODES": "2"}, 1, 1, "1"),
    ],
)
def test_the_stages_that_a_request_goes_through(experiment, change, first, last, expected):
    chosen = stages.chosen(Experiment({**experiment.values, **change}), first, last)
    assert " ".join(chosen) == expected


def test_one_run_at_a_time_in_an_output_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(request, "PATIENCE", 0)
    path = tmp_path / ".lock"
    with path.open("a") as first, path.open("a") as second:
        request.lock(first.fileno())
        with pytest.raises(UserError, match="another run is at work"):
            request.lock(second.fileno())
        fcntl.flock(first, fcntl.LOCK_UN)
        assert request.lock(second.fileno()) == 0


def test_a_recommended_command_says_again_what_would_else_be_lost(tmp_path):
    given = {"GIVEN": "CALLS_TEST SEED", "SEED": "2", "CALLS_TEST": "", "HERE": "NPROC", "NPROC": "2"}
    fresh = Experiment({"CONFIG": "conf/a b.sh", **given, "OUTPUT_ROOT": str(tmp_path)})
    end = f"NPROC=2 OUTPUT_ROOT={tmp_path} bash run_experiment.sh 0 3"
    assert fresh.command("0 3") == f"CONFIG='conf/a b.sh' CALLS_TEST='' SEED=2 {end}"
    experiments.remember(fresh)
    assert fresh.command("0 3") == end
    later = Experiment({**fresh.values, "GIVEN": "CALLS_TEST SEED SILENCE", "SEED": "3", "SILENCE": "0"})
    assert later.command("clean 0") == f"SEED=3 SILENCE=0 NPROC=2 OUTPUT_ROOT={tmp_path} bash run_experiment.sh clean 0"


def test_what_several_machines_need_is_said_again_where_they_work_together(tmp_path):
    here = {"HERE": "MASTER_ADDR NNODES NPROC", "MASTER_ADDR": "gpu1", "NNODES": "2", "NPROC": "4"}
    experiment = Experiment({"CONFIG": "conf/mini.sh", **here})
    assert experiment.command("1 1") == "MASTER_ADDR=gpu1 NNODES=2 NPROC=4 bash run_experiment.sh 1 1"
    assert experiment.command("0 0") == "NPROC=4 bash run_experiment.sh 0 0"
    assert experiment.command("0 3") == "NPROC=4 bash run_experiment.sh 0 3"


def test_every_variable_has_a_default_and_its_use():
    known = experiments.known_variables()
    assert {"MODEL", "SEED", "NNODES", "MINI_CALLS_TEST"} <= known
    places = ["run_experiment.sh", "local/steps.sh", "local/env.sh", "local/experiment.py", "local/marks.py",
              "local/request.py", "local/devices.py"]  # fmt: skip
    text = "\n".join((TOP / place).read_text(encoding="utf-8") for place in places)
    unused = [
        name for name in known if name not in text and not name.startswith(("STAGE", "GENERAL", "MINI"))
    ]
    assert not unused


def test_deciding_imports_nothing_heavy():
    listed = "import sys, local.stages, local.devices, local.packages; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", listed], cwd=TOP, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "yaml", "funasr"} & set(done.stdout.split())

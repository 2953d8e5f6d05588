"""The driver end to end, on conf/micro.sh with the real programs: the whole run, what it leaves behind, and real kills."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from recipe_copy import TOP, copy_recipe, environment

pytestmark = pytest.mark.slow
STAGES = {1: "stage1_encoder", 2: "stage2_adapter", 3: "stage3_lora"}
MONITOR = r'tail -n +1 exp_output/exp/8k_telephone/*/train.log | grep -E "(loss|CER|epoch)"'


def experiment(top: Path, words: str = "0 3", **variables: str) -> subprocess.CompletedProcess[str]:
    """`bash run_experiment.sh WORDS`, called from another folder."""
    command = ["bash", str(top / "run_experiment.sh"), *words.split()]
    return subprocess.run(command, cwd="/", env=environment(**variables), capture_output=True, text=True, timeout=900)


def shell(top: Path, command: str) -> str:
    return subprocess.run(["bash", "-c", command], cwd=top, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished experiment and what it printed."""
    top = copy_recipe(tmp_path_factory.mktemp("undisturbed"))
    ran = experiment(top)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    return top, ran.stdout


def test_a_whole_run_ends_with_the_table(undisturbed: tuple[Path, str]) -> None:
    _, printed = undisturbed
    rows = [line for line in printed.splitlines() if line.startswith(("| baseline ", "| stage 1 ", "| stage 2 ", "| stage 3 "))]
    assert len(rows) == 4
    assert all(re.search(r"\d+\.\d\d", row) for row in rows)


def test_what_a_run_leaves_behind(undisturbed: tuple[Path, str]) -> None:
    top, _ = undisturbed
    exp = top / "exp_output/exp/8k_telephone"
    for number, name in STAGES.items():
        handed_on = (exp / f"stage{number}_checkpoint.txt").read_text().strip()
        assert handed_on == f"exp_output/exp/8k_telephone/{name}/model.pt"
        assert (top / handed_on).stat().st_size > 1e6
        results = json.loads((exp / name / "results.json").read_text())
        assert set(results["sets"]) == {"calls_dev", "calls_test", "telephone_test", "guard"}
        assert results["silence"]["utterances"] == 4
    assert (exp / "final_checkpoint.txt").read_text() == (exp / "stage3_checkpoint.txt").read_text()
    assert not list(exp.rglob("*.part")), "a temporary file is left"


def test_the_monitoring_commands_tell_a_story(undisturbed: tuple[Path, str]) -> None:
    top, _ = undisturbed
    story = shell(top, MONITOR)
    assert re.search(r"stage1_encoder epoch 1/1 step \d+/\d+ loss \d+\.\d+ \(llm \d+\.\d+ ctc \d+\.\d+\) lr", story)
    assert re.search(r"stage3_lora epoch 1/1 dev loss .* CER \d+\.\d\d % \(LLM\)", story)
    folders = "exp_output/data/simulated_8k_telephone/*.jsonl exp_output/data/real_8k_telephone/*.jsonl"
    counted = shell(top, f"wc -l {folders}").splitlines()
    assert [int(line.split()[0]) for line in counted] == [8, 8, 42, 8, 8, 38, 112]  # dev test train: 2 without speech, 2 marked
    newest = shell(top, "cd exp_output/exp/8k_telephone/ && ls -td */").split()
    assert newest == ["stage3_lora/", "stage2_adapter/", "stage1_encoder/", "baseline/"]


def test_the_status_of_a_finished_experiment(undisturbed: tuple[Path, str]) -> None:
    top, _ = undisturbed
    told = experiment(top, "status").stdout.splitlines()
    rows = {" ".join(line.split()[:2]): line for line in told}
    for number in STAGES:
        updates = re.search(r" finished .* (\d+) of (\d+)  1 of 1 +\d+\.\d{3} ", rows[f"stage {number}"])
        assert updates and updates[1] == updates[2], rows
    assert told[-1] == "next: DEVICE=cpu bash run_experiment.sh export"


def test_a_second_run_skips_everything_at_once(undisturbed: tuple[Path, str]) -> None:
    top, _ = undisturbed
    began = time.monotonic()
    ran = experiment(top)
    assert ran.returncode == 0 and "| stage 3 " in ran.stdout
    assert time.monotonic() - began < 5
    assert len(re.findall("skip|finished", ran.stdout + ran.stderr)) >= 4


def test_changed_settings_stop_and_are_named(undisturbed: tuple[Path, str]) -> None:
    top, _ = undisturbed
    ran = experiment(top, "1 1", STAGE1_SET="++train_conf.max_epoch=2")
    assert ran.returncode != 0
    assert "max_epoch" in ran.stderr and "clean 1" in ran.stderr


def test_a_stage_without_its_predecessor_names_the_command(tmp_path: Path) -> None:
    ran = experiment(copy_recipe(tmp_path), "2 2")
    assert ran.returncode != 0
    assert "bash run_experiment.sh" in ran.stderr and "Traceback" not in ran.stderr


def test_the_final_checkpoint_speaks_in_an_unmodified_automodel(undisturbed: tuple[Path, str]) -> None:
    top, _ = undisturbed
    script = """
import json, pathlib, sys
from funasr import AutoModel
top = pathlib.Path(sys.argv[1])
model = AutoModel(model=str(top / "local/mini/model"), init_param=str(top / "exp_output/exp/8k_telephone/stage3_lora/model.pt"),
                  device="cpu", disable_update=True, disable_pbar=True, ncpu=1)
for line in (top / "exp_output/data/real_8k_telephone/test.jsonl").open(encoding="utf-8"):
    row = json.loads(line)
    path = row["messages"][1]["content"].split("<|startofspeech|>!")[1].split("<|endofspeech|>")[0]
    heard = model.generate(input=[path])[0]
    print("HEARD", json.dumps({"key": row["key"], "llm": heard["text"], "ctc": heard["ctc_text"]}))
"""
    command = [sys.executable, "-c", script, str(top)]
    ran = subprocess.run(command, cwd="/", env=environment(), capture_output=True, text=True, timeout=300, check=True)
    stock = [json.loads(line.removeprefix("HEARD ")) for line in ran.stdout.splitlines() if line.startswith("HEARD ")]
    decoded = top / "exp_output/exp/8k_telephone/stage3_lora/decode/calls_test.jsonl"
    ours = [json.loads(line) for line in decoded.read_text(encoding="utf-8").splitlines()]
    assert len(stock) == 8
    assert stock == [{name: line[name] for name in ("key", "llm", "ctc")} for line in ours]


def test_speech_simulated_in_training_is_clean_on_disk_and_new_in_every_epoch(tmp_path: Path) -> None:
    top = copy_recipe(tmp_path)
    variables = {"SIMULATE": "online", "STAGE1_SET": "++train_conf.max_epoch=2 ++dataset_conf.num_workers=1"}
    ran = experiment(top, "0 1", **variables)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    simulated = top / "exp_output/data/simulated_8k_telephone"
    assert not list(simulated.glob("shards/train/*/*.wav")) and len(list(simulated.glob("shards/dev/*/*.wav"))) == 8
    rows = [json.loads(line) for line in (simulated / "train.jsonl").open(encoding="utf-8")]
    spoken = [row for row in rows if row["text_length"]]
    assert len(spoken) == 40 and all("/mini/general/" in row["source"] for row in spoken)
    assert len(rows) == 42 and all(row["channel"] == "online" for row in rows)  # one in twenty more says nothing
    summary = json.loads((top / "exp_output/exp/8k_telephone/stage1_encoder/summary.json").read_text())
    assert summary["after"]["ctc"] < summary["before"]["ctc"]  # telephone speech was learned, on telephone speech
    assert "calls_test: CER" in ran.stdout
    stopped = experiment(top, "0 0", SIMULATE="offline", STAGE1_SET=variables["STAGE1_SET"])
    assert stopped.returncode == 1 and "dataset_conf.simulate" in stopped.stderr and "clean 0" in stopped.stderr


def kill_before(top: Path, words: str, pattern: str, note: Path) -> None:
    """Run until a file of that name is about to appear; the process that makes it is killed there."""
    note.unlink(missing_ok=True)
    ran = experiment(top, words, KILL_AT=pattern, KILL_NOTE=str(note), PYTHONPATH=str(TOP / "tests/kill"))
    assert note.exists(), f"no kill landed at {pattern}: {ran.stdout[-1000:]} {ran.stderr[-2000:]}"
    assert ran.returncode != 0


def kill_in_the_epoch(top: Path, stage: int) -> None:
    """SIGKILL the whole process group as soon as the log tells of the first step of a stage."""
    folder = top / "exp_output/exp/8k_telephone" / STAGES[stage]
    with subprocess.Popen(
        ["bash", str(top / "run_experiment.sh"), str(stage), str(stage)],
        env=environment(), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        log = folder / "train.log"
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not (log.exists() and " step 1/" in log.read_text(encoding="utf-8")):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert " step 1/" in log.read_text(encoding="utf-8")
    assert not (folder / "epochs/epoch_01.pt").exists(), "the epoch was over before the kill"


def digests(top: Path) -> dict[str, str]:
    """SHA-256 of all that an experiment hands to anybody: sound, tensors, texts. Paths inside are taken from the top on."""
    output = top / "exp_output"
    chosen = [*output.glob("data/*/shards/**/*.wav"), *output.glob("exp/**/decode/*.jsonl"), *output.glob("exp/**/model.pt")]
    return {str(path.relative_to(top)): hashlib.sha256(path.read_bytes().replace(bytes(top), b"")).hexdigest() for path in chosen}


def test_killed_everywhere_it_ends_with_the_same_tensors(undisturbed: tuple[Path, str], tmp_path: Path) -> None:
    top = copy_recipe(tmp_path)
    note = tmp_path / "killed while writing"
    kill_before(top, "0 0", "general_train_*.wav:5", note)  # during simulation
    assert experiment(top, "0 0").returncode == 0
    kill_before(top, "1 1", "calls_test.jsonl", note)  # the baseline's decoding
    for stage in STAGES:
        kill_in_the_epoch(top, stage)
        kill_before(top, f"{stage} {stage}", "epoch_01.pt", note)  # a save
        kill_before(top, f"{stage} {stage}", "resume.pt", note)  # the state to go on from, its tensors being there already
        kill_before(top, f"{stage} {stage}", "calls_test.jsonl", note)  # a decoding
        assert experiment(top, f"{stage} {stage}").returncode == 0
    assert digests(top) == digests(undisturbed[0])
    assert not list((top / "exp_output").rglob("*.part"))

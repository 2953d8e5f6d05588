"""`bash test_data_prep.sh` on corpora of one's own, driven as a user does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_sound import write_manifest, write_voice

TOP = Path(__file__).resolve().parents[1]
CORPORA = ("GENERAL_TRAIN", "GENERAL_DEV", "GENERAL_TEST", "CALLS_TRAIN", "CALLS_DEV")


def run_script(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "CONFIG": "conf/wenetspeech_telephone.sh",
        "OUTPUT_ROOT": str(folder / "e x p"),
        "PYTHON": sys.executable,
        "CALLS_TEST": "",
        "JOBS": "2",
        **variables,
    }
    return subprocess.run(
        ["bash", str(TOP / "test_data_prep.sh"), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def make_own(folder: Path, rate: int) -> str:
    """24 utterances of 12 calls with voices, words, keys and speakers that no other corpus has."""
    name = folder.name.lower()
    lines = []
    for number in range(24):
        seed = int.from_bytes(hashlib.sha256(f"{name} {number}".encode()).digest()[:4], "big")
        write_voice(folder / f"{number}.wav", 0.8, rate, seed)
        who = {"speaker": f"{name} {number}", "call": f"{name} {number // 2}"}
        lines.append({"key": f"{name}_{number}", "source": f"{number}.wav", "target": f"第{number}句"} | who)
    return str(write_manifest(folder / "manifest.jsonl", lines))


def make_corpora(folder: Path) -> dict[str, str]:
    return {name: make_own(folder / name, 16000 if name.startswith("GENERAL") else 8000) for name in CORPORA}


def edit(manifest: str, old: str, new: str, more: str = "") -> None:
    path = Path(manifest)
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1) + more, encoding="utf-8")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A run over corpora of which one has a marked line and, among the first ten, an implausible one; two share a speaker."""
    folder = tmp_path_factory.mktemp("prep")
    corpora = make_corpora(folder)
    marked = '{"key": "m", "source": "0.wav", "target": "字<ANNOTATION_ERROR>"}\n'
    edit(corpora["CALLS_TRAIN"], "第0句", "第" * 40, marked)
    edit(corpora["GENERAL_DEV"], '"general_dev 0"', '"general_train 0"')
    return run_script(folder, **corpora), folder


def test_ten_utterances_of_each_corpus_are_made_and_checked(done):
    ran, folder = done
    assert ran.returncode == 0, ran.stdout + ran.stderr
    calls = ran.stdout.partition("calls, train:")[2].splitlines()
    assert calls[1].startswith("  ✓ reading: 25 lines, 23 usable by their text, rejected 2 (annotation_error: 1, ")
    assert calls[2] == "  ✓ annotation errors found: 1 of 25"
    assert calls[3] == "  ✓ conversion 10/10, implausible: 1"
    assert ran.stdout.count("  ✓ simulation 10/10") == 3 and "  ✓ conversion of the other half" in ran.stdout
    assert "✗" not in ran.stdout and "  ✓ validation" in ran.stdout
    ready, then = ran.stdout.splitlines()[-2:]
    warned = [line for line in ran.stdout.splitlines() if line.startswith("  ! ")]
    page = folder / "e x p" / "test_data_prep" / "report.html"
    assert warned and ready == f"✓ stage 0 is ready; warnings: {len(warned)}, marked ! above and in {page}"
    assert then.startswith("next: CONFIG=conf/wenetspeech_telephone.sh ")
    assert then.endswith(f"OUTPUT_ROOT='{folder}/e x p' bash run_experiment.sh 0 0")
    assert not (folder / "e x p" / "data").exists()


def test_it_leaves_a_page_figures_and_a_log(done):
    ran, folder = done
    work = folder / "e x p" / "test_data_prep"
    assert f"{work}/report.html: the report" in ran.stdout
    assert "data:audio/wav;base64," in (work / "report.html").read_text(encoding="utf-8")
    report = json.loads((work / "report.json").read_text(encoding="utf-8"))
    assert report["passed"] and len(report["files"]) == 7
    stats = [json.loads(path.read_text()) for path in (work / "real_8k_telephone" / "stats").iterdir()]
    assert report["folders"][f"{work}/real_8k_telephone"]["utterances"] == sum(one["kept"] for one in stats)
    assert "  ✓ keys are unique" in (work / "stage0.log").read_text(encoding="utf-8")


def test_what_stage_0_would_refuse_is_said_here(tmp_path):
    corpora = dict.fromkeys(CORPORA, "") | {"CALLS_TRAIN": make_own(tmp_path / "CALLS_TRAIN", 8000)}
    ran = run_script(tmp_path, **corpora, NEGATIVE_RATE="7", RULES="too_fastt=12")
    assert ran.returncode == 1 and "  ✗ settings" in ran.stdout
    assert "NEGATIVE_RATE=7 must lie between 0 and 1" in ran.stderr and "too_fastt" in ran.stderr


def test_a_corpus_that_fails_is_marked_and_the_others_are_tried(tmp_path):
    corpora = make_corpora(tmp_path) | {"GENERAL_DEV": str(tmp_path / "nowhere.jsonl")}
    (tmp_path / "CALLS_TRAIN" / "3.wav").write_bytes(b"no sound")
    (tmp_path / "GENERAL_TRAIN" / "4.wav").unlink()
    ran = run_script(tmp_path, **corpora)
    assert ran.returncode == 1
    assert "nowhere.jsonl: no such manifest" in ran.stderr
    assert ran.stdout.count("  ✗ simulation\n") == ran.stdout.count("  ✓ simulation 10/10") == 1
    assert "  ✗ simulation 9/10" in ran.stdout and "  ✗ conversion 9/10" in ran.stdout
    assert "rejected/train.jsonl" in ran.stdout and "  ✓ validation" in ran.stdout
    assert ran.stdout.splitlines()[-1].endswith(f"OUTPUT_ROOT='{tmp_path}/e x p' bash test_data_prep.sh")


def test_help_and_wrong_arguments(tmp_path):
    assert "Stage 0 on ten utterances" in run_script(tmp_path, "-h").stdout
    wrong = run_script(tmp_path, "0")
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1

"""`bash test_data_prep.sh` on corpora of one's own, driven as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_sound import make_corpus

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


@pytest.fixture
def corpora(tmp_path: Path) -> dict[str, str]:
    rates = {name: 16000 if name.startswith("GENERAL") else 8000 for name in CORPORA}
    return {
        name: str(make_corpus(tmp_path / name, count=24, seconds=0.3, rate=rate, talkers=24))
        for name, rate in rates.items()
    }


def test_ten_utterances_of_each_corpus_are_made_and_checked(tmp_path, corpora):
    with open(corpora["CALLS_TRAIN"], "a", encoding="utf-8") as out:
        out.write('{"key": "m", "source": "0.wav", "target": "字<ANNOTATION_ERROR>"}\n')
    done = run_script(tmp_path, **corpora)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "25 lines, 24 usable by their text, rejected 1 (annotation_error: 1)" in done.stdout
    assert done.stdout.count("read 10 = kept 10") >= 5
    assert "✗" not in done.stdout and done.stdout.splitlines()[-1].startswith("✓")
    assert (tmp_path / "e x p" / "test_data_prep" / "real_8k_telephone" / "test.jsonl").exists()
    assert not (tmp_path / "e x p" / "data").exists()


def test_a_corpus_that_fails_is_marked_and_the_others_are_tried(tmp_path, corpora):
    done = run_script(tmp_path, **corpora | {"GENERAL_DEV": str(tmp_path / "nowhere.jsonl")})
    assert done.returncode == 1
    assert "nowhere.jsonl: no such manifest" in done.stderr
    assert (
        "✗ simulated telephone, dev" in done.stdout and "real_8k_telephone/train.jsonl: 10 utt" in done.stdout
    )


def test_help_and_wrong_arguments(tmp_path):
    assert "Stage 0 on ten utterances" in run_script(tmp_path, "-h").stdout
    wrong = run_script(tmp_path, "0")
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1

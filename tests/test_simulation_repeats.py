"""A thousand utterances with any number of processes, in any order, after real kills: the same bytes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_sound import make_corpus, tree
from simulated import without_paths

SCRIPT = Path(__file__).resolve().parents[1] / "data" / "data_simulation.py"
MANY = 1000
FINISHED = "shards/train/[0-9]*/*.wav"  # not of shards that are being made


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A manifest, and what one process makes of it."""
    corpus = make_corpus(tmp_path_factory.mktemp("many"), count=MANY, seconds=0.3, talkers=20)
    folder = corpus.parent / "out"
    subprocess.run(command_of(corpus, folder, "1"), check=True, capture_output=True)
    return corpus, without_paths(tree(folder), folder)


def command_of(corpus: Path, folder: Path, jobs: str) -> list[str]:
    paths = ["--manifest", str(corpus), "--output_dir", str(folder)]
    hasty = ["--rule", "too_fast=off"]  # the sentences are short, but sounds of a third of a second are shorter
    return [sys.executable, str(SCRIPT), *paths, "--split", "train", "--jobs", jobs, "--num_shards", "50", *hasty]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["2", "5"])
def test_many_processes_make_what_one_makes(many, tmp_path, jobs):
    corpus, alone = many
    subprocess.run(command_of(corpus, tmp_path / "out", jobs), check=True, capture_output=True)
    assert without_paths(tree(tmp_path / "out"), tmp_path / "out") == alone


@pytest.mark.slow
def test_a_shuffled_manifest_makes_the_same_sounds_and_rows(many, tmp_path):
    corpus, alone = many
    lines = corpus.read_text(encoding="utf-8").splitlines(keepends=True)
    random.Random(4).shuffle(lines)
    shuffled = corpus.with_name("shuffled.jsonl")
    shuffled.write_text("".join(lines), encoding="utf-8")
    subprocess.run(command_of(shuffled, tmp_path / "out", "2"), check=True, capture_output=True)
    made = without_paths(tree(tmp_path / "out"), tmp_path / "out")
    assert {name: made[name] for name in made if name.endswith(".wav")} == {
        name: alone[name] for name in alone if name.endswith(".wav")
    }
    assert made["train.jsonl"] != alone["train.jsonl"]
    assert sorted(made["train.jsonl"].splitlines()) == sorted(alone["train.jsonl"].splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "5"])
def test_after_real_kills_the_same_command_ends_with_the_same_bytes(many, tmp_path, jobs):
    corpus, alone = many
    folder = tmp_path / "out"
    command = command_of(corpus, folder, jobs)
    for least in (50, 400, 800):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(list(folder.glob(FINISHED))) < least:
            assert process.poll() is None, "it ended before the kill: make the corpus larger"
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (folder / "train.jsonl").exists()
    wait_for_orphans(folder)
    kept = {path: path.stat().st_mtime_ns for path in folder.glob(FINISHED)}
    subprocess.run(command, check=True, capture_output=True)
    assert without_paths(tree(folder), folder) == alone
    untouched = sum(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
    assert untouched >= 600  # of 800 and more


def wait_for_orphans(folder: Path) -> None:
    """Workers end with their parent; give them the moment that takes."""
    before = -1
    while before != (before := len(list(folder.rglob("*")))):
        time.sleep(0.3)

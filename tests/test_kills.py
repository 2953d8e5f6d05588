"""A hundred kills: whatever dies whenever, the same command ends with the same bytes, and nothing is left over."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from made_sound import tree, write_manifest, write_voice

SCRIPT = Path(__file__).resolve().parents[1] / "data" / "data_simulation.py"
UTTERANCES, SOUNDS, SHARDS, KILLS = 2000, 40, 125, 100


def corpus_in(folder: Path) -> Path:
    """Of 2,000 utterances, each a stretch of one of a few recordings; a few lines cannot be used."""
    for number in range(SOUNDS):
        write_voice(folder / f"{number}.wav", 4.0, seed=number)
    rng = random.Random(5)
    lines = []
    for number in range(UTTERANCES):
        start = rng.randrange(0, 200) / 100
        place = {"source": f"{number % SOUNDS}.wav", "start": start, "end": start + rng.randrange(50, 200) / 100}
        lines.append({"key": f"utt{number}", "target": f"第{number}句", "speaker": f"s{number % SOUNDS}"} | place)
    for number, wrong in {7: {"source": "gone.wav"}, 500: {"target": "错<ANNOTATION_ERROR>"}, 1500: {"end": 99}}.items():
        lines[number] |= wrong
    return write_manifest(folder / "manifest.jsonl", lines)


def workers_of(process: int) -> list[int]:
    """The processes that make shards: children of the run which were spawned to do so."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == process and b"spawn_main" in (place / "cmdline").read_bytes():
                found.append(int(place.name))
        except (OSError, ValueError):
            continue
    return found


def busy(folder: Path) -> set[str]:
    """The shards that are being made right now: folders that have no name of their own yet, and a process that holds them."""
    return {path.name for path in (folder / "shards" / "train").glob(".*-of-*.part") if is_held(path)}


def is_held(room: Path) -> bool:
    try:
        descriptor = os.open(room, os.O_RDONLY)
    except FileNotFoundError:  # finished meanwhile
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def wait_until_busy(process: subprocess.Popen, folder: Path) -> bool:
    """False when the run ends before it has anything to do."""
    while process.poll() is None:
        if busy(folder):
            return True
        time.sleep(0.002)
    return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="workers are found in /proc")
def test_a_hundred_kills_change_nothing(tmp_path):
    corpus, folder = corpus_in(tmp_path / "c"), tmp_path / "out"
    command = [sys.executable, str(SCRIPT), "--manifest", str(corpus), "--output_dir", str(folder), "--split", "train"]
    command += ["--jobs", "2", "--num_shards", str(SHARDS), "--profile", "mobile_to_mobile", "--rule", "too_fast=off"]
    subprocess.run(command, check=True, capture_output=True)
    undisturbed = tree(folder)
    folder.rename(tmp_path / "undisturbed")
    rng, killed = random.Random(11), Counter()
    while killed.total() < KILLS:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert wait_until_busy(process, folder), f"it ended after {killed}: make the corpus larger"
        victims = ["worker", "worker", "parent"] if killed["parent"] < KILLS // 3 else ["worker"] * 3
        for victim in victims:
            time.sleep(rng.random() * 0.3)
            at_work = wait_until_busy(process, folder) and busy(folder)
            workers = workers_of(process.pid)
            if process.poll() is not None or not workers:
                break
            os.kill(process.pid if victim == "parent" else rng.choice(workers), signal.SIGKILL)
            assert at_work, "nothing was in progress"
            killed[victim] += 1
        process.kill()
        process.wait()
        assert not (folder / "train.jsonl").exists()
    wait_for_orphans(folder)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert killed["parent"] >= KILLS // 4 and killed["worker"] >= KILLS // 2
    assert tree(folder) == undisturbed


def wait_for_orphans(folder: Path) -> None:
    """Workers end with their parent; give them the moment that takes."""
    before = -1
    while before != (before := len(list(folder.rglob("*")))):
        time.sleep(0.3)

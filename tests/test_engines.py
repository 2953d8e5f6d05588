"""Shards over many processes: each once, and a process that dies costs its shard alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from made_sound import make_corpus, tree
from small_split import Maker, job_of, utterances

from data.corpora import Utterance
from data.engines import TRIES, local
from data.errors import UserError
from data.make_split import Means, make_split
from data.manifest import read_rows

TOP = Path(__file__).resolve().parents[1]


@dataclass
class Mortal(Maker):
    """Says which process worked; dies at an utterance, so many times, or finds the disk full."""

    dies_at: str = ""
    times: int = 0
    full_at: str = ""
    notes: str = ""

    def _make(self, utterance: Utterance, room: Path) -> dict:
        with open(self.notes, "a", encoding="utf-8") as out:
            print(utterance.key, os.getpid(), file=out)
        if utterance.key == self.full_at:
            raise OSError(28, "No space left on device", "/x.wav")
        if utterance.key == self.dies_at and Path(self.notes).read_text().split().count(utterance.key) <= self.times:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._make(utterance, room)


def run(folder: Path, jobs: int = 2, **wishes) -> tuple[list[str], set[str]]:
    """Make 60 utterances in 6 shards. The keys of the rows, and the processes that worked."""
    work = Mortal([], notes=str(folder / "notes"), **wishes)
    make_split(job_of(folder / "out", utterances(folder, 60), work, 6), Means(jobs=jobs))
    notes = (folder / "notes").read_text(encoding="utf-8").split()
    return [row["key"] for row in read_rows(folder / "out" / "train.jsonl")], set(notes[1::2])


def test_the_work_is_done_by_the_processes_asked_for(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    alone, here = run(tmp_path / "a", jobs=1)
    both, there = run(tmp_path / "b", jobs=2)
    assert alone == both == [f"u{n}" for n in range(60)]
    assert here == {str(os.getpid())} and str(os.getpid()) not in there and 1 <= len(there) <= 2
    notes = (tmp_path / "b" / "notes").read_text(encoding="utf-8").split()[::2]
    assert sorted(notes) == sorted(both)  # each once


def test_a_dead_process_costs_its_shard_which_is_tried_again(tmp_path, capsys):
    keys, _ = run(tmp_path, dies_at="u33", times=TRIES - 1)
    assert keys == [f"u{n}" for n in range(60)]
    assert capsys.readouterr().err.count("its process died") == TRIES - 1
    asked = (tmp_path / "notes").read_text(encoding="utf-8").split()[::2]
    assert asked.count("u33") == TRIES and len(asked) < 60 + TRIES * 20  # of the other shards nothing was lost


def test_a_shard_whose_process_always_dies_is_reported_and_the_others_are_made(tmp_path):
    with pytest.raises(UserError, match=r"the processes that made shards \d of 6 died each time, probably out of memory"):
        run(tmp_path, dies_at="u33", times=99)
    place = tmp_path / "out" / "shards" / "train"
    assert len([path for path in place.iterdir() if not path.name.startswith(".")]) == 5
    assert not (tmp_path / "out" / "train.jsonl").exists()
    keys, _ = run(tmp_path)
    assert keys == [f"u{n}" for n in range(60)]
    assert len(list(place.iterdir())) == 6


def test_a_full_disk_in_a_worker_reaches_the_user(tmp_path):
    with pytest.raises(OSError, match="No space left") as error:
        run(tmp_path, full_at="u50")
    assert error.value.filename == "/x.wav"


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    job = job_of(tmp_path / "out", utterances(tmp_path), Maker([]))
    (tmp_path / "out" / "shards").mkdir()
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    lock = tmp_path / "out" / "shards" / ".train.lock"
    holder = subprocess.Popen([sys.executable, "-c", hold, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(UserError, match="another run writes here"):
        make_split(job, Means())
    holder.kill()
    holder.communicate()
    make_split(job, Means())


def test_iterating_stops_the_workers_when_the_caller_stops(tmp_path):
    work = Mortal([], notes=str(tmp_path / "notes"))
    made = local(job_of(tmp_path / "out", utterances(tmp_path, 60), work, 6), list(range(6)), 2)
    assert next(made)[1] is not None
    made.close()
    assert not [line for line in subprocess.run(["ps", "-ef"], capture_output=True, text=True).stdout.splitlines()
                if "spawn_main" in line and f" {os.getpid()} " in line]  # fmt: skip


# --- Ray ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ray_makes_what_this_machine_makes(tmp_path):
    """A cluster of two workers, started here; the whole tree, byte for byte, in the same place."""
    pytest.importorskip("ray", reason="Ray is not installed")
    corpus = make_corpus(tmp_path / "c", count=300, seconds=0.3, talkers=20)
    command = [sys.executable, str(TOP / "data" / "data_simulation.py"), "--manifest", str(corpus), "--split", "train"]
    command += ["--output_dir", str(tmp_path / "out"), "--rule", "too_fast=off", "--jobs", "2", "--num_shards", "8"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    subprocess.run([*command, "--engine", "local"], check=True, capture_output=True)
    wanted = tree(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "away")
    done = subprocess.run([*command, "--engine", "ray"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len([name for name in wanted if name.endswith(".wav")]) == 300
    assert tree(tmp_path / "out") == wanted


def test_without_ray_the_user_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    job = job_of(tmp_path / "out", utterances(tmp_path), Maker([]))
    with pytest.raises(UserError, match="needs Ray: pip install"):
        make_split(job, Means("ray", 2))

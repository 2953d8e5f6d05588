"""Parallel work, its journal, and what a dead worker or a second run meets."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from data.corpora import Utterance
from data.errors import UserError
from data.shards import Journal, run_missing


@dataclass(frozen=True)
class Count:
    """Says which process worked; dies or fails on a wish."""

    die_on: str = ""
    fail_on: str = ""

    def __call__(self, utterance: Utterance) -> dict:
        if utterance.key == self.die_on:
            os._exit(9)
        if utterance.key == self.fail_on:
            raise OSError(28, "No space left on device", "/x.wav")
        return {"samples": len(utterance.text), "pid": os.getpid()}


def tasks(count: int) -> dict[str, Utterance]:
    return {f"t{n}": Utterance(f"u{n}", Path("a"), "字" * n) for n in range(count)}


def do(tmp_path: Path, count: int, jobs: int, work: Count | None = None) -> tuple[Journal, list[dict]]:
    done: list[dict] = []
    with Journal(tmp_path / ".journal" / "train.jsonl").writing() as journal:
        run_missing(work or Count(), tasks(count), journal, jobs, done.extend)
    return journal, done


@pytest.mark.parametrize(("count", "jobs"), [(0, 2), (1, 2), (200, 1), (200, 3)])
def test_every_task_is_done_once_and_journaled(tmp_path, count, jobs):
    journal, done = do(tmp_path, count, jobs)
    assert len(done) == len(journal.records) == count
    assert all(journal.records[f"t{n}"]["samples"] == n for n in range(count))
    with Journal(journal.path).writing() as again:
        assert again.records == journal.records


def test_the_work_is_done_by_the_processes_asked_for(tmp_path):
    assert {record["pid"] for record in do(tmp_path, 20, 1)[1]} == {os.getpid()}
    pids = {record["pid"] for record in do(tmp_path, 200, 2)[1]}
    assert os.getpid() not in pids and 1 <= len(pids) <= 2


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_line_cut_short_by_a_kill_is_as_if_never_begun(tmp_path, cut):
    journal, _ = do(tmp_path, 10, 1)
    journal.path.write_bytes(journal.path.read_bytes()[:-cut])
    with Journal(journal.path).writing() as cut_short:
        assert set(cut_short.records) == {f"t{n}" for n in range(10 if cut == 1 else 9)}
        run_missing(Count(), {"new": Utterance("u", Path("a"), "字")}, cut_short, 1, lambda _: None)
    with Journal(journal.path).writing() as after:
        assert "new" in after.records and "t8" in after.records


def test_settled_it_holds_this_runs_records_in_order(tmp_path):
    journal, _ = do(tmp_path, 40, 2)
    journal.settle(["t3", "t1", "t2"])
    lines = journal.path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["ticket"] for line in lines] == ["t3", "t1", "t2"]


def test_a_dead_worker_is_one_line(tmp_path):
    with pytest.raises(UserError, match="a worker process died"):
        do(tmp_path, 100, 2, Count(die_on="u50"))


def test_a_full_disk_in_a_worker_reaches_the_user(tmp_path):
    with pytest.raises(OSError, match="No space left") as error:
        do(tmp_path, 100, 2, Count(fail_on="u50"))
    assert error.value.filename == "/x.wav"


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    path = tmp_path / ".journal" / "train.jsonl"
    with (
        Journal(path).writing(),
        pytest.raises(UserError, match="another run writes here"),
        Journal(path).writing(),
    ):
        pass
    with Journal(path).writing():
        pass

"""Make a split: what it will take, its shards, one of them or all, and its files."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data.engines import ENGINES
from data.errors import UserError
from data.forecast import forecast, refuse_full_disk
from data.merge import merge
from data.plan import Plan
from data.plausibility import Rules
from data.progress import Progress
from data.selection import Request, planned, select
from data.shards import Job, Work, make_shard, numbers_in, usual_count
from data.split import Split


@dataclass(frozen=True)
class Means:
    """How a split is made: by which engine, by how many processes, in how many shards (None: by size).

    `shard`: that one alone, as one task of an array, without the files of the split.
    """

    engine: str = "local"
    jobs: int = 1
    shards: int | None = None
    shard: int | None = None


def plan_split(request: Request, folder: Path, name: str, means: Means) -> Plan:
    """The plan of a split; what was found in the text is printed. The tasks of an array share one, and read nothing again."""
    path = folder / ".plan" / f"{name}.sqlite"
    plan = select(request, path) if means.shard is None else planned(request, path)
    print("\n".join(plan.facts()["summary"]))
    return plan


def job_of(split: Split, plan: Plan, work: Work, rules: Rules, means: Means) -> Job:
    """All that is to be made of a plan."""
    return Job(split, plan, work, means.shards or usual_count(plan.kept()), rules)


def make_split(job: Job, means: Means) -> str:
    """Say what it will take, make what is missing of the split and write its files. Returns the lines that sum it up.

    Raises UserError when the disk cannot hold it, when a shard could not be made, when not one utterance is left.
    """
    with _alone(job.split.shards, shared=means.shard is not None):
        there = {number for _, number, count in numbers_in(job.split.shards) if count == job.count}
        ahead = forecast(job.plan, job.work.size)
        print(f"{job.split.jsonl}: {ahead}" + (f"; {len(there)} of {job.count} shards are there" if there else ""), flush=True)
        refuse_full_disk(ahead, 1 - len(there) / job.count, job.split.folder)
        if means.shard is None:
            _make_all(job, means)
            return merge(job)
        made = make_shard(job, means.shard)
    return f"shard {means.shard} of {job.count}: read {made.read}, kept {made.kept} -> {job.folder(means.shard)}"


def _make_all(job: Job, means: Means) -> None:
    given_up = []
    with Progress(f"{job.split.folder.name}/{job.split.name}", job.plan.kept()) as progress:
        for number, made in ENGINES[means.engine](job, list(range(job.count)), means.jobs):
            if made:
                progress.advance(made.kept, made.seconds)
            else:
                given_up.append(number)
    if given_up:
        shards = ", ".join(map(str, sorted(given_up)))
        raise UserError(
            f"{job.split.folder}: the processes that made shards {shards} of {job.count} died each time, probably out of memory; "
            "all others are there, and the same command with a smaller --jobs goes on from here"
        )


@contextmanager
def _alone(shards: Path, shared: bool) -> Iterator[None]:
    """One run at a time; tasks that make a shard each go together."""
    shards.mkdir(parents=True, exist_ok=True)
    with (shards.parent / f".{shards.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
        except BlockingIOError:
            raise UserError(f"{shards.parent.parent}: another run writes here; wait for it") from None
        yield

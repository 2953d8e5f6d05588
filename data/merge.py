"""The shards of a split put together: its rows and rejects in the order of the manifest, and what they add up to."""

from __future__ import annotations

import hashlib
import heapq
import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data import plausibility
from data.errors import UserError
from data.files import whole_file, write_text
from data.reasons import Reasons
from data.shards import REJECTS, ROWS, Job, read_stats
from data.spelling import counted
from data.tally import Tally

SPARE_FILES = 64  # that a process has open anyway


@dataclass
class Totals:
    """What the rows add up to. Speakers are told apart by hash."""

    kept: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    characters: int = 0
    speakers: int = 0
    sounds: Any = field(default_factory=hashlib.sha256)
    hashed: int = 0
    known: Tally = field(default_factory=Tally)

    def add(self, row: dict[str, Any]) -> None:
        self.kept += 1
        self.seconds += row["duration"]
        self.longest = max(self.longest, row["duration"])
        self.characters += row["text_length"]
        if "speaker" in row:
            self.speakers += not self.known.note(row["speaker"], 1)
        if "audio_sha256" in row:
            self.hashed += 1
            self.sounds.update(row["audio_sha256"].encode())


def merge(job: Job) -> str:
    """Write the files of the split. Returns the line that sums it up, and one a rule about sound.

    Raises UserError when shards are missing, do not add up to the manifest, or hold not one utterance.
    """
    _count(job)
    folders = [job.folder(number) for number in range(job.count)]
    os.sync()  # the sounds are on the disk before the list of them is
    reasons, first = _write_rejects(job, folders)
    totals = Totals()
    with whole_file(job.split.jsonl) as temporary:
        with temporary.open("wb") as out:
            for line in _merged(folders, ROWS):
                totals.add(json.loads(line))
                out.write(line)
        if not totals.kept:
            job.split.jsonl.unlink(missing_ok=True)
            first = first or "there was none to begin with"
            raise UserError(f"{job.split.jsonl}: no utterance is left: {reasons}; the first: {first}")
        _write_stats(job, totals, reasons)
    _tidy(job, folders)
    said = (f"read {totals.kept + reasons.counts.total()} = kept {totals.kept} + {reasons}; {totals.seconds / 3600:.2f} hours, "
            f"{counted(totals.speakers, 'speaker') if totals.speakers else 'unknown speakers'} -> {job.split.jsonl}")  # fmt: skip
    return "\n".join([said, *plausibility.summary(job.rules, ("header", "samples"), reasons)])


def _count(job: Job) -> None:
    """Every line that was planned lies in one shard."""
    read, planned = 0, job.plan.kept() + job.plan.rejected()
    for number in range(job.count):
        try:
            read += read_stats(job.folder(number)).read
        except (OSError, ValueError, KeyError):
            raise UserError(f"{job.folder(number)}: this shard is missing; the same command makes it") from None
    if read != planned:
        raise UserError(f"{job.split.shards}: its shards hold {read} lines, the manifest {planned}; run the same command again")


def _write_rejects(job: Job, folders: list[Path]) -> tuple[Reasons, str | None]:
    """Why lines were rejected, and the first of them in words."""
    reasons, first = Reasons(), None
    with whole_file(job.split.rejected) as temporary, temporary.open("wb") as out:
        for line in _merged(folders, REJECTS):
            reject = json.loads(line)
            reasons.add(reject["reason"], reject["value"])
            first = first or reject["detail"]
            out.write(line)
    return reasons, first


def _write_stats(job: Job, totals: Totals, reasons: Reasons) -> None:
    stats = {
        "read": totals.kept + reasons.counts.total(),
        "kept": totals.kept,
        "rejected": dict(sorted(reasons.counts.items())),
        "hours": round(totals.seconds / 3600, 4),
        "longest_seconds": totals.longest,
        "characters": totals.characters,
        "speakers": totals.speakers,
        "settings": job.split.settings,
        "rules": {rule.name: rule.bound for rule in job.rules},
    }
    if totals.hashed:
        stats["audio_sha256"] = totals.sounds.hexdigest()
    write_text(job.split.stats, json.dumps(stats, ensure_ascii=False, indent=2) + "\n")


def _tidy(job: Job, folders: list[Path]) -> None:
    """Away with shards of another number, and with what kills have left."""
    kept = {folder.name for folder in folders}
    for path in list(job.split.shards.iterdir()):
        if path.name not in kept:
            shutil.rmtree(path)


def _merged(folders: list[Path], name: str) -> Iterator[bytes]:
    """The lines of one file of every shard, without their numbers, in the order of these."""
    with ExitStack() as files, _many_files(len(folders)):
        streams = [map(_numbered, files.enter_context((folder / name).open("rb"))) for folder in folders]
        yield from (line for _, line in heapq.merge(*streams))


def _numbered(line: bytes) -> tuple[int, bytes]:
    number, _, content = line.partition(b"\t")
    return int(number), content


@contextmanager
def _many_files(count: int) -> Iterator[None]:
    """A process may open fewer files at once than it is allowed to ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + SPARE_FILES
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise UserError(f"{count} shards are more files than this machine opens at once ({hard}): take fewer --num_shards")
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

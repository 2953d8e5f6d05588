"""One shard of a split: its sounds with their rows, rejects and records, whole or not at all.

A shard is a range of hashes of calls (of keys, where a corpus names no call), so it is the same whoever makes it and
when. It is made in a folder beside its place, which only one process at a time can hold, and then gets its name. What an
earlier run left of the same utterances is taken from there: a record under a ticket, the hash of all that determines
the sound.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from data.audio import AudioInfo
from data.corpora import Reject, Utterance
from data.files import give_second_name
from data.held_folder import held, put_in_place
from data.manifest import RATE, row
from data.plan import HASHES, Plan, as_row
from data.plausibility import Rules, judge, known, wanted
from data.selection import refuse
from data.split import REJECTED, RETRY, Record, Split

USUAL, MOST = 128, 1024  # utterances of a shard, until there are so many shards; then they grow
ROWS, REJECTS, RECORDS, STATS = "rows.tsv", "rejected.tsv", "records.jsonl", "stats.json"
_NAME = re.compile(r"(\d+)-of-(\d+)")


class Work(Protocol):
    """Makes the sound of one utterance; sent once to every worker."""

    def __call__(self, utterance: Utterance, room: Path) -> Record:
        """Its record: samples, what the rules want to know and, where it wrote a sound into `room`, its name as "file"."""

    def size(self, utterance: Utterance, info: AudioInfo, seconds: float) -> int | None:
        """Bytes that it will write for so many seconds of sound; None where the sound stays as it is."""


Earlier = dict[str, tuple[Record, Path]]  # records by ticket, and the folder where the sound of each lies


@dataclass(frozen=True)
class Job:
    """All that a process needs to make any shard of a split. `work` puts into its records what the rules want to know."""

    split: Split
    plan: Plan
    work: Work
    count: int
    rules: Rules = ()

    def folder(self, number: int) -> Path:
        """Where a shard, counted from 0, has its place."""
        return self.split.shards / f"{number:04d}-of-{self.count:04d}"

    def range(self, number: int) -> tuple[int, int]:
        """The hashes of a shard."""
        return _range(number, self.count)

    def ticket(self, tasks: list[Task], rejects: list[tuple[int, Reject]], folder: Path) -> str:
        """Hash of all that determines the files of a shard."""
        rules = [(rule.name, rule.bound) for rule in self.rules]
        made = [(task.number, task.ticket, as_row(task.utterance)) for task in tasks]
        left_out = [(number, asdict(reject)) for number, reject in rejects]
        content = [str(folder.absolute()), self.split.prompt, rules, made, left_out]
        return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Task:
    """An utterance, its place in the manifest, and its ticket."""

    number: int
    utterance: Utterance
    ticket: str


@dataclass(frozen=True)
class Made:
    """How much is in a shard: `read` lines, of which so many utterances with so many seconds were kept."""

    read: int
    kept: int
    seconds: float


def usual_count(utterances: int) -> int:
    """How many shards a split has when nobody says: a power of two, so that a few more lines hardly ever change it."""
    count = 1
    while count < MOST and utterances > USUAL * count:
        count *= 2
    return count


def make_shard(job: Job, number: int) -> Made:
    """Make a shard, or what is missing of it. Raises UserError when another process holds it."""
    folder = job.folder(number)
    tasks = [Task(place, one, job.split.ticket(one)) for place, one in job.plan.utterances(*job.range(number))]
    rejects = list(job.plan.rejects(*job.range(number)))
    ticket = job.ticket(tasks, rejects, folder)
    if _is_whole(folder, ticket):
        return read_stats(folder)
    with held(folder) as room:
        made, again = _build(job, tasks, rejects, _earlier(job, number), room, folder)
        sizes = {name: (room / name).stat().st_size for name in (ROWS, REJECTS, RECORDS)}
        stats = asdict(made) | {"again": again, "sizes": sizes, "ticket": ticket}
        (room / STATS).write_text(json.dumps(stats), encoding="utf-8")
        job.split.jsonl.unlink(missing_ok=True)  # its rows are of sounds that are about to go
        put_in_place(room, folder)
    return made


def read_stats(folder: Path) -> Made:
    """Raises OSError or ValueError where no shard lies there."""
    stats = json.loads((folder / STATS).read_text(encoding="utf-8"))
    return Made(stats["read"], stats["kept"], stats["seconds"])


def numbers_in(shards: Path) -> Iterator[tuple[Path, int, int]]:
    """Every shard that lies there, with its number and of how many it is one."""
    for folder in shards.iterdir() if shards.is_dir() else ():
        if found := _NAME.fullmatch(folder.name):
            yield folder, int(found[1]), int(found[2])


# --- what is there already ------------------------------------------------------------------------------


def _is_whole(folder: Path, ticket: str) -> bool:
    """Is all of this very shard there, and nothing in it to be tried again?"""
    try:
        stats = json.loads((folder / STATS).read_text(encoding="utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in stats["sizes"].items())
        return whole and stats["ticket"] == ticket and not stats["again"] and _has_sounds(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _has_sounds(folder: Path) -> bool:
    kept = (record for record in _read_records(folder).values() if not record.get("gone"))
    return all(_is_there(folder, record) for record in kept)


def _is_there(folder: Path, record: Record) -> bool:
    """Is the sound of a record there, as long as it was?"""
    if "file" not in record:
        return True
    try:
        return (folder / record["file"]).stat().st_size == record["bytes"]
    except OSError:
        return False


def _earlier(job: Job, number: int) -> Earlier:
    """Records of the same hashes, by ticket, and the folder of each. Shards of another number overlap."""
    first, last = job.range(number)
    found: Earlier = {}
    for folder, other, count in numbers_in(job.split.shards):
        begin, end = _range(other, count)
        if begin < last and first < end:
            found |= {ticket: (record, folder) for ticket, record in _read_records(folder).items()}
    return found


def _read_records(folder: Path) -> dict[str, Record]:
    try:
        lines = (folder / RECORDS).read_text(encoding="utf-8").splitlines()
        return {(record := json.loads(line)).pop("ticket"): record for line in lines}
    except (OSError, ValueError, KeyError, AttributeError):
        return {}


def _can_stand(record: Record, home: Path, utterance: Utterance, rules: Rules) -> bool:
    """Can the record of an earlier run stand for the work?"""
    if REJECTED in record or RETRY in record or wanted(rules) not in ("", *known(record)):
        return False
    return judge(utterance, rules, known(record), record) is not None or (not record.get("gone") and _is_there(home, record))


# --- the work -------------------------------------------------------------------------------------------


def _build(
    job: Job, tasks: list[Task], rejects: list[tuple[int, Reject]], earlier: Earlier, room: Path, place: Path
) -> tuple[Made, int]:
    """Fill the room, which will be called `place`. How much is in it, and how many records are to be tried again."""
    refused, kept, samples, again = list(rejects), 0, 0, 0
    with ExitStack() as files:
        rows, records = (files.enter_context((room / name).open("w", encoding="utf-8", newline="\n")) for name in (ROWS, RECORDS))
        for task in tasks:
            record = _record_of(job, task, earlier, room)
            reject = _refusal(task.utterance, record, job.rules)
            if reject:
                refused.append((task.number, reject))
                record = _without_sound(record, room)
            else:
                line = json.dumps(_row(job.split, task.utterance, record, place), ensure_ascii=False)
                print(task.number, line, sep="\t", file=rows)
                kept, samples = kept + 1, samples + record["samples"]
            again += REJECTED in record or RETRY in record
            print(json.dumps({"ticket": task.ticket} | record, ensure_ascii=False), file=records)
    with (room / REJECTS).open("w", encoding="utf-8", newline="\n") as out:
        for number, reject in sorted(refused, key=lambda entry: entry[0]):
            print(number, json.dumps(asdict(reject) | {"rule": reject.reason}, ensure_ascii=False), sep="\t", file=out)
    return Made(len(tasks) + len(rejects), kept, samples / RATE), again


def _record_of(job: Job, task: Task, earlier: Earlier, room: Path) -> Record:
    """From an earlier run, its sound linked into the room, or from the work."""
    record, home = earlier.get(task.ticket, ({}, room))
    if record and _can_stand(record, home, task.utterance, job.rules):
        if "file" in record and not record.get("gone"):
            give_second_name(home / record["file"], room / record["file"])
        return record
    record = job.work(task.utterance, room)
    return record | ({"bytes": (room / record["file"]).stat().st_size} if "file" in record else {})


def _refusal(utterance: Utterance, record: Record, rules: Rules) -> Reject | None:
    """Why an utterance is left out: by a rule, else because its sound cannot be used."""
    implausible = judge(utterance, rules, known(record), record)
    if implausible or REJECTED not in record:
        return implausible
    return refuse(utterance, record[REJECTED], record["detail"])


def _without_sound(record: Record, room: Path) -> Record:
    """What was left out is known, but not heard again."""
    if "file" not in record:
        return record
    (room / record["file"]).unlink(missing_ok=True)
    return record | {"gone": True}


def _row(split: Split, utterance: Utterance, record: Record, place: Path) -> dict[str, Any]:
    audio = (place / record["file"]).absolute() if "file" in record else utterance.audio
    fields = row(utterance.key, audio, utterance.text, record["samples"], split.prompt, utterance.speaker, utterance.call)
    return fields | record.get("row", {})


def _range(number: int, count: int) -> tuple[int, int]:
    return number * HASHES // count, (number + 1) * HASHES // count

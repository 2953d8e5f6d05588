"""One split of a data folder: FOLDER/<split>.jsonl, wav/<split>/, rejected/<split>.jsonl, stats/<split>.json.

The JSONL appears last and whole; before it does, an older one is gone, so it never stands beside other audio.

What the rules of plausibility need to know of a sound stands in its record; they are asked when the files are
written. So neither another bound nor another text costs a second look at the sound.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data import prompt as prompts
from data.audio import AudioError
from data.corpora import Reject, Utterance
from data.errors import UserError
from data.files import sweep, write_text
from data.manifest import RATE, row, write_rows
from data.plausibility import Rules, judge, known, summary, wanted
from data.progress import Progress
from data.selection import Selection, count_reasons, refuse
from data.shards import Journal, Record, run_missing

WAV_HEADER = 44  # bytes
MIN_SAMPLES = 400  # one window of the frontend, 25 ms: less than that cannot be looked at
REJECTED, RETRY = "reject", "again"  # keys of records that a later run tries anew


@dataclass(frozen=True)
class Split:
    """Where a split lies, and `settings`: all that, besides an utterance itself, decides on its audio."""

    folder: Path
    name: str
    settings: dict[str, Any]
    prompt: str = prompts.DEFAULT_PROMPT

    @property
    def jsonl(self) -> Path:
        return self.folder / f"{self.name}.jsonl"

    @property
    def wavs(self) -> Path:
        return self.folder / "wav" / self.name

    def wav(self, key: str) -> Path:
        """The file of an utterance: readable, never outside the folder, never that of another key."""
        return self.wavs / file_name(key)

    def ticket(self, utterance: Utterance) -> str:
        """Hash of all that determines the audio of an utterance, the time stamp of its source included."""
        try:
            status = utterance.audio.stat()
            source = [status.st_size, status.st_mtime_ns]
        except OSError:
            source = []  # missing: the reader will say so
        place = [utterance.key, str(utterance.audio), utterance.start, utterance.end, utterance.channel]
        return hashlib.sha256(json.dumps([self.name, self.settings, place, source]).encode()).hexdigest()[:32]


def file_name(key: str) -> str:
    """`../../a b` to `a_b-<hash of the key>.wav`."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "_", key).strip("._-")[:60]
    return f"{slug or 'utterance'}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.wav"


def make_split(
    split: Split, selection: Selection, work: Callable[[Utterance], Record], jobs: int
) -> str:
    """Make what is missing of the split and write its files. Returns the line that sums it up, and one a rule.

    `work` must put into its records what the rules of the selection want to know (`plausibility.wanted`).
    Raises UserError when not one utterance is left.
    """
    tasks = {split.ticket(utterance): utterance for utterance in selection.kept}
    with Journal(split.folder / ".journal" / f"{split.name}.jsonl").writing() as journal:
        missing = {t: u for t, u in tasks.items() if not _is_there(split, u, journal.records.get(t), selection.rules)}
        if missing:
            _make_missing(split, missing, work, journal, jobs, len(tasks))
        records = [(utterance, journal.records[ticket]) for ticket, utterance in tasks.items()]
        os.sync()  # the sounds are on the disk before the list of them is
        line = _write_files(split, selection, records)
        journal.settle(list(tasks))
    return line


def guard(work: Callable[[Utterance], Record], utterance: Utterance) -> Record:
    """The record of an utterance, or of why it cannot be used, which does not stop the others."""
    try:
        return work(utterance)
    except AudioError as error:
        return {REJECTED: error.reason, "detail": str(error)}


def check_length(samples: int, path: Path) -> None:
    """Raises AudioError for what is shorter than one window of the frontend. `samples` at 16 kHz."""
    if samples < MIN_SAMPLES:
        raise AudioError("too_short", f"{path}: {samples / RATE * 1000:.1f} ms; 25 ms is the least")


def _make_missing(
    split: Split, missing: dict[str, Utterance], work: Callable[[Utterance], Record], journal: Journal,
    jobs: int, total: int,
) -> None:
    split.jsonl.unlink(missing_ok=True)
    split.wavs.mkdir(parents=True, exist_ok=True)
    sweep(split.wavs)
    if len(missing) < total:
        print(f"{split.jsonl}: {total - len(missing)} of {total} utterances are there, the rest is made now")
    with Progress(f"{split.folder.name}/{split.name}", len(missing)) as progress:
        run_missing(work, missing, journal, jobs, lambda records: progress.advance(
            len(records), sum(record.get("samples", 0) for record in records) / RATE))


def _is_there(split: Split, utterance: Utterance, record: Record | None, rules: Rules) -> bool:
    """Can the record of an earlier run stand for the work?"""
    if record is None or REJECTED in record or RETRY in record:
        return False
    if wanted(rules) not in ("", *known(record)):
        return False
    if record.get("in_place") or judge(utterance, rules, known(record), record):
        return True
    try:
        return split.wav(utterance.key).stat().st_size == WAV_HEADER + 2 * record["samples"]
    except OSError:
        return False


def _write_files(split: Split, selection: Selection, records: list[tuple[Utterance, Record]]) -> str:
    rows, unusable = [], []
    for utterance, record in records:
        refused = _refuse(utterance, record, selection.rules)
        if refused:
            unusable.append(refused)
        else:
            rows.append(_row(split, utterance, record))
    rejected = sorted(selection.rejected + unusable, key=lambda reject: reject.line)
    write_rows(split.folder / "rejected" / f"{split.name}.jsonl", map(_reject_row, rejected))
    if not rows:
        raise UserError(f"{split.jsonl}: no utterance is left: {count_reasons(rejected)}; "
                        f"the first: {rejected[0].detail if rejected else 'there was none to begin with'}")
    hours = sum(fields["duration"] for fields in rows) / 3600
    speakers = len({fields["speaker"] for fields in rows if "speaker" in fields})
    _write_stats(split, rows, rejected, hours, speakers, selection.rules)
    write_rows(split.jsonl, rows)
    for refused in unusable:
        split.wav(refused.key or "").unlink(missing_ok=True)
    line = (f"read {len(rows) + len(rejected)} = kept {len(rows)} + {count_reasons(rejected)}; "
            f"{hours:.2f} hours, {speakers or 'unknown'} speakers -> {split.jsonl}")
    return "\n".join([line, *summary(selection.rules, ("header", "samples"), rejected)])


def _refuse(utterance: Utterance, record: Record, rules: Rules) -> Reject | None:
    """Why an utterance is left out: by a rule, else because its sound cannot be used."""
    implausible = judge(utterance, rules, known(record), record)
    if implausible or REJECTED not in record:
        return implausible
    return refuse(utterance, record[REJECTED], record["detail"])


def _reject_row(reject: Reject) -> dict[str, Any]:
    """Every reject has a rule; `value` and `bound` where it is one with a bound."""
    return asdict(reject) | {"rule": reject.reason}


def _row(split: Split, utterance: Utterance, record: Record) -> dict[str, Any]:
    audio = utterance.audio if record.get("in_place") else split.wav(utterance.key).absolute()
    fields = row(utterance.key, audio, utterance.text, record["samples"], split.prompt,
                 utterance.speaker, utterance.call)
    return fields | record.get("row", {})


def _write_stats(
    split: Split, rows: list[dict[str, Any]], rejected: list[Reject], hours: float, speakers: int, rules: Rules
) -> None:
    hashes = [fields["audio_sha256"] for fields in rows if "audio_sha256" in fields]
    stats = {
        "read": len(rows) + len(rejected),
        "kept": len(rows),
        "rejected": dict(sorted(Counter(reject.reason for reject in rejected).items())),
        "hours": round(hours, 4),
        "longest_seconds": max(fields["duration"] for fields in rows),
        "characters": sum(fields["text_length"] for fields in rows),
        "speakers": speakers,
        "settings": split.settings,
        "rules": {rule.name: rule.bound for rule in rules},
    }
    if hashes:
        stats["audio_sha256"] = hashlib.sha256("".join(hashes).encode()).hexdigest()
    text = json.dumps(stats, ensure_ascii=False, indent=2) + "\n"
    write_text(split.folder / "stats" / f"{split.name}.json", text)

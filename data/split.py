"""One split of a data folder, and where its files lie.

FOLDER/<split>.jsonl              the rows; appears last and whole, and never stands beside other sound than its own
FOLDER/shards/<split>/I-of-N/     the sounds of a shard, with its rows, rejects and records      data/shards.py
FOLDER/rejected/<split>.jsonl     FOLDER/stats/<split>.json                                      data/merge.py
FOLDER/.plan/<split>.sqlite       what is to be made                                             data/plan.py
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data import prompt as prompts
from data.audio import AudioError
from data.corpora import Utterance
from data.manifest import RATE

MIN_SAMPLES = 400  # one window of the frontend, 25 ms: less than that cannot be looked at
REJECTED, RETRY = "reject", "again"  # keys of records that a later run tries anew

Record = dict[str, Any]  # what is known of an utterance once it is made


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
    def shards(self) -> Path:
        return self.folder / "shards" / self.name

    @property
    def rejected(self) -> Path:
        return self.folder / "rejected" / f"{self.name}.jsonl"

    @property
    def stats(self) -> Path:
        return self.folder / "stats" / f"{self.name}.json"

    def ticket(self, utterance: Utterance) -> str:
        """Hash of all that determines the audio of an utterance, the time stamp of its source included."""
        try:
            status = utterance.audio.stat()
            source = [status.st_size, status.st_mtime_ns]
        except OSError:
            source = []  # missing: the reader will say so
        place = [utterance.key, str(utterance.audio), utterance.start, utterance.end, utterance.channel]
        return hashlib.sha256(json.dumps([self.name, self.settings, place, source]).encode()).hexdigest()[:32]


def file_name(key: str, suffix: str = ".wav") -> str:
    """`../../a b` to `a_b-<hash of the key>.wav`: readable, never outside a folder, never that of another key."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "_", key).strip("._-")[:60]
    return f"{slug or 'utterance'}-{hashlib.sha256(key.encode()).hexdigest()[:16]}{suffix}"


def guard(work: Callable[..., Record], utterance: Utterance, *more: Any) -> Record:
    """The record of an utterance, or of why it cannot be used, which does not stop the others."""
    try:
        return work(utterance, *more)
    except AudioError as error:
        return {REJECTED: error.reason, "detail": str(error)}


def check_length(samples: int, path: Path) -> None:
    """Raises AudioError for what is shorter than one window of the frontend. `samples` at 16 kHz."""
    if samples < MIN_SAMPLES:
        raise AudioError("too_short", f"{path}: {samples / RATE * 1000:.1f} ms; 25 ms is the least")

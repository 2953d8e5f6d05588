"""A split at the smallest size, made of utterances at hand instead of a manifest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.audio import AudioError, AudioInfo, write_wav
from data.corpora import Reject, Utterance
from data.make_split import Means, make_split
from data.manifest import read_rows
from data.plan import Plan, drafting
from data.plausibility import Rules
from data.shards import Job, Work
from data.split import Record, Split, file_name, guard


@dataclass
class Maker:
    """Writes a constant tone; remembers what it was asked for."""

    asked: list[str]
    bad: str = ""
    speech: float | None = None  # seconds, put into the record where rules want to know

    def __call__(self, utterance: Utterance, room: Path) -> Record:
        return guard(self._make, utterance, room)

    def size(self, utterance: Utterance, info: AudioInfo, seconds: float) -> int:
        return 1644

    def _make(self, utterance: Utterance, room: Path) -> Record:
        self.asked.append(utterance.key)
        if utterance.key == self.bad:
            raise AudioError("too_loud", "hurts")
        name = file_name(utterance.key)
        write_wav(room / name, np.full(800, 5, np.int16), 16000)
        facts = {"seconds": 0.05, "overrun": 0.0, "level_dbov": -20.0, "speech": self.speech}
        return {"samples": 800, "file": name} | (facts if self.speech else {})


def plan_of(path: Path, items: Iterable[Utterance | Reject]) -> Plan:
    with drafting(path) as draft:
        for item in items:
            draft.add(item)
        draft.find_talkers()
        draft.finish({})
    return Plan(path)


def utterances(folder: Path, count: int = 5) -> list[Utterance]:
    made = []
    for n in range(count):
        if not (folder / f"{n}.src").exists():  # as old as it was
            (folder / f"{n}.src").write_text("x")
        made.append(Utterance(f"u{n}", folder / f"{n}.src", f"第{n}", speaker="s", line=n + 1))
    return made


def job_of(folder: Path, items: Iterable[Utterance | Reject], work: Work, count: int = 1, rules: Rules = (), **settings) -> Job:
    """The job of a split `train` in `folder`, with seed 1 where `settings` say no other."""
    plan = plan_of(folder / ".plan" / "train.sqlite", items)
    return Job(Split(folder, "train", {"seed": 1} | settings), plan, work, count, rules)


def make(
    folder: Path, items: Iterable[Utterance | Reject], bad: str = "", count: int = 1, **settings
) -> tuple[list[str], str]:
    """Make a split of it in folder/out. What the maker was asked for, and the lines that sum it up."""
    maker = Maker([], bad)
    return maker.asked, make_split(job_of(folder / "out", items, maker, count, **settings), Means())


def sounds(folder: Path, split: str = "train") -> dict[str, Path]:
    """The sound files of a split by name, in whatever shard."""
    return {path.name: path for path in folder.glob(f"shards/{split}/*/*.*") if path.suffix in (".wav", ".flac")}


def keys_of(folder: Path) -> list[str]:
    return [row["key"] for row in read_rows(folder / "train.jsonl")]


def rejects_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "rejected" / "train.jsonl").read_text("utf-8").splitlines()]

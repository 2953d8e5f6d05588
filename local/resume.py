"""The state that an interrupted training goes on from: in two generations, each proven whole before it is used.

It goes on only with the data, settings and versions that it began with. On another number of processes it goes on with
the same utterances in the same order; what dropout draws is then another, and so are the last bits of every sum.
"""
from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from data.errors import UserError
from data.files import TEMPORARY, give_second_name
from local import checkpoint, fingerprint
from local.batches import tokens_of
from local.checkpoint import Damaged
from local.config import StageConfig
from local.distributed import World
from local.experiment import start_over
from local.fingerprint import Table
from local.marks import NO_MATTER
from local.replay import TrainingRows

NEWEST = "resume.pt"
BEFORE = "resume.before.pt"

State = dict[str, Any]


class Generations:
    """The newest state of a stage, and the one before it for the day when the newest is damaged."""

    def __init__(self, folder: Path) -> None:
        self.newest, self.before = folder / NEWEST, folder / BEFORE
        self.newest_is_damaged = False

    def save(self, state: State) -> None:
        """The newest steps back once its successor is in its place; a damaged one never does."""
        old = self.newest.with_name(f".{os.getpid()}.{BEFORE}{TEMPORARY}")
        old.unlink(missing_ok=True)
        if self.newest.exists() and not self.newest_is_damaged:
            give_second_name(self.newest, old)
        checkpoint.save(self.newest, state)
        self.newest_is_damaged = False
        if old.exists():
            os.replace(old, self.before)

    def load(self) -> tuple[State | None, str]:
        """The newest whole state, None where there is none yet; and a line for the log where the newest is damaged.

        Raises UserError when there are states and none is whole.
        """
        damaged: list[str] = []
        for path in (self.newest, self.before):
            try:
                state = checkpoint.read(path) if path.exists() else None
            except Damaged as error:
                damaged.append(str(error))
                continue
            if state:
                self.newest_is_damaged = bool(damaged)
                return state, f"{damaged[0]}: going on from {path}, the one before it" if damaged else ""
        if damaged:
            over = start_over(self.newest.parent)
            raise UserError(f"{'; '.join(damaged)}. No state is left to go on from: {over}")
        return None, ""


def made_from(
    config: StageConfig, rows: TrainingRows, dev_rows: list[dict], frozen: dict[str, str], keywords: Sequence[str] = ()
) -> Table:
    """What must be the same on a resume: settings that reach the tensors, data, what is not trained, versions."""
    settings = {name: value for name, value in _flat(dataclasses.asdict(config)) if not name.startswith(NO_MATTER)}
    return settings | {
        "training rows": _digest_of_rows(rows.own),
        "replayed rows": _digest_of_rows(rows.others),
        "dev rows": _digest_of_rows(dev_rows),
        "keywords": _digest(list(keywords)),
        "the model it starts from": _digest(sorted(frozen.items())),
        "torch": str(torch.__version__),
        "funasr": metadata.version("funasr"),
    }


def _flat(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """`section.key` and value of every leaf."""
    leaves = []
    for key, value in tree.items():
        leaves += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", str(value))]
    return leaves


def _digest_of_rows(rows: list[dict]) -> str:
    return _digest([[row["key"], tokens_of(row)] for row in rows])


def _digest(content: Any) -> str:
    """`6 of sha256 <12 digits>`: how many there are, and what they are."""
    return f"{len(content)} of sha256 {hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]}"


def refuse_changes(before: Table, now: Table, folder: Path) -> None:
    """Raises UserError naming what differs between the beginning of a training and today."""
    if changes := fingerprint.differences(before, now):
        what = f"{folder / NEWEST} goes on from something else: {'; '.join(changes)}"
        raise UserError(f"{what}. Put that back, or {start_over(folder)}")


def processes(world: World) -> str:
    """`2 process(es) on cuda`: on others a run goes on too, but not to the same bits."""
    return f"{world.size} process(es) on {world.device.type}"


def seed_dropout(seed: int, epoch: int, rank: int, done: int) -> None:
    """An epoch begins alike in every run; `done` updates into it where nobody knows what the generators would draw next."""
    words = f"{seed}/{epoch}/{rank}" + (f"/{done}" if done else "")
    torch.manual_seed(int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "little") >> 1)


def generators(world: World) -> list[dict[str, torch.Tensor]]:
    """The random state of every process. Nothing in a training draws from Python's or NumPy's global generators."""
    mine = {"cpu": torch.get_rng_state()}
    if world.device.type == "cuda":
        mine["cuda"] = torch.cuda.get_rng_state(world.device)
    everyone = [mine] * world.size
    if world.size > 1:
        dist.all_gather_object(everyone, mine)
    return everyone


def draw_on(states: list[dict[str, torch.Tensor]], world: World) -> None:
    """Go on drawing where this process stopped."""
    torch.set_rng_state(states[world.rank]["cpu"])
    if world.device.type == "cuda":
        torch.cuda.set_rng_state(states[world.rank]["cuda"], world.device)

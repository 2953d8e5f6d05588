"""What an epoch of training consists of: all of a stage's own rows and, against forgetting, some that it replays.

A stage replays what the model could do before it: stages 1 and 2 the wideband speech, stage 3 the simulated calls.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import UserError
from data.manifest import read_rows
from data.online import MARK, OnlineChannel, check_simulated
from local.batches import plan
from local.config import StageConfig
from local.left_out import trainable_rows

Row = dict[str, Any]


@dataclass(frozen=True)
class TrainingRows:
    """A stage's own rows, those of which it replays some, and what of both is left out: `{key, reason}`."""

    own: list[Row]
    others: list[Row] = field(default_factory=list)
    left_out: list[Row] = field(default_factory=list)

    @property
    def all(self) -> list[Row]:
        """The own ones come first."""
        return self.own + self.others


def read(train: Path, replay: Path | None, config: StageConfig) -> TrainingRows:
    """Raises UserError for rows that do not go with the settings, or with each other."""
    share, online = config.dataset_conf.replay_share, config.dataset_conf.simulate == "online"
    if bool(replay) != bool(share):
        raise UserError(f"dataset_conf.replay_share is {share:g}, and --replay names {replay or 'no rows'}: they go together")
    rows = choose(read_rows(train), read_rows(replay) if replay else [], config)
    check_simulated(rows.own, online, train)
    if replay and not rows.others:
        raise UserError(f"{replay}: no utterance is left to replay, the last is left out for {rows.left_out[-1]['reason']}")
    if online and any(map(_is_clean, rows.others)):
        raise UserError(f"{replay}: is to be simulated in training, as {train} is: only one of them can be")
    return rows


def choose(own: list[Row], others: list[Row], config: StageConfig) -> TrainingRows:
    """Those of both that can be used."""
    longest = config.dataset_conf.max_source_length
    own, left_out = trainable_rows(own, longest)
    others, left_out_others = trainable_rows(others, longest)
    return TrainingRows(own, others, left_out + [line | {"replay": True} for line in left_out_others])


def channel_of(train: Path, replay: Path | None, rows: TrainingRows) -> OnlineChannel | None:
    """What carries the clean ones of the rows over the telephone; None where there are none."""
    for path, part in ((train, rows.own), (replay, rows.others)):
        if path and any(map(_is_clean, part)):
            return OnlineChannel(path, part)
    return None


def _is_clean(row: Row) -> bool:
    return row.get("channel") == MARK


def count(own: int, others: int, share: float) -> int:
    """How many of the `others` an epoch replays, so that they are this share of its utterances."""
    return round(own * share / (1 - share)) if others else 0


def replayed(own: int, others: int, share: float, seed: int, epoch: int) -> list[int]:
    """Which of the `others` epoch number `epoch` (from 1) replays: it depends on (seed, epoch) alone.

    An epoch goes on where the one before stopped, and none comes again until all have come; then the order is another.
    """
    size = count(own, others, share)
    if not size:
        return []
    turn, used = divmod((epoch - 1) * size, others)
    order: list[int] = []
    while len(order) < used + size:
        order += random.Random(f"{seed}/replay/{turn}").sample(range(others), others)
        turn += 1
    return order[used : used + size]


def indices(own: int, others: int, config: StageConfig, epoch: int) -> list[int]:
    """The rows of an epoch: all own ones, then the replayed ones, which are counted after them."""
    chosen = replayed(own, others, config.dataset_conf.replay_share, config.seed, epoch)
    return [*range(own), *(own + index for index in chosen)]


def plan_epoch(costs: Sequence[int], own: int, config: StageConfig, epoch: int) -> list[list[int]]:
    """The batches of an epoch; the first `own` of the `costs` belong to own rows, the rest to the others."""
    conf = config.dataset_conf
    chosen = indices(own, len(costs) - own, config, epoch)
    batches = plan([costs[index] for index in chosen], conf.batch_size, conf.batch_size_utts, config.seed, epoch)
    return [[chosen[place] for place in batch] for batch in batches]

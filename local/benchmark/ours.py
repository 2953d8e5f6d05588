"""Our own training for the benchmarks: a stage as a run of local/train.py builds it, an epoch at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data.manifest import write_rows
from local import distributed, train
from local.batches import Utterances
from local.benchmark.corpus import batches_of
from local.benchmark.lap import Lap, LapTimer
from local.config import StageConfig, load_stage
from local.experiment import STAGE_FILES, TOP
from local.loop import Loop
from local.metrics_log import MetricsLog

SMALL = ("++dataset_conf.batch_size=2048", "++dataset_conf.batch_size_utts=16", "++dataset_conf.num_workers=1")
SMALLEST = ("++dataset_conf.batch_size=1200", "++dataset_conf.batch_size_utts=2", "++dataset_conf.num_workers=1")
DEV = 2  # rows; nothing is scored


def settings_of(size: str, device: str) -> tuple[str, ...]:
    """Over those of conf/: batches that a small model learns from, and for the released one without a GPU those that it bears."""
    return SMALL if size == "mini" else SMALLEST if device == "cpu" else ()


def config_of(number: int, settings: Sequence[str]) -> StageConfig:
    """A stage's settings as conf/ has them, some replaced."""
    return load_stage(TOP / STAGE_FILES[str(number)], list(settings))


def build_stage(
    number: int, model_dir: Path, rows: list[dict], folder: Path, device: str, settings: Sequence[str]
) -> train.Stage:
    """From a model folder's own weights; what it writes goes into `folder`."""
    train_rows, dev_rows = folder / "train.jsonl", folder / "dev.jsonl"
    write_rows(train_rows, rows)
    write_rows(dev_rows, rows[:DEV])
    words = {"--config": TOP / STAGE_FILES[str(number)], "--model_dir": model_dir, "--init": "released", "--train": train_rows,
             "--dev": dev_rows, "--output_dir": folder, "--device": device}  # fmt: skip
    arguments, replaced = train.parse([*(str(word) for pair in words.items() for word in pair), *settings])
    return train.Stage(load_stage(arguments.config, replaced), arguments, distributed.join(device))


class Listener(MetricsLog):
    """In the place of the loop's log, which hears of every update: keeps the time and the losses."""

    def __init__(self, timer: LapTimer) -> None:
        self.timer = timer
        self.losses: list[float] = []

    def begin(self, updates: int) -> None:
        """An epoch of so many."""
        self.timer.begin(updates)
        self.before = time.perf_counter()

    def say(self, line: str) -> None:
        """For people; nobody reads it here."""

    def numbers(self, kind: str, epoch: int, update: int, values: dict[str, float]) -> None:
        """An update is done."""
        now = time.perf_counter()
        self.timer.step_done(values["data_wait"] * (now - self.before))
        self.before = now
        self.losses.append(values["total"])

    def skipped(self, update: int, keys: list[str], losses: dict[str, float]) -> None:
        """An update whose loss was no number; after a few of them the loop stops by itself."""


class OurTraining:
    """The stage's loop over some rows."""

    name = "ours"

    def __init__(self, stage: train.Stage, rows: list[dict], seed: int = 1) -> None:
        self.model, self.log = stage.model, Listener(LapTimer(stage.world.device))
        every_update = replace(stage.config.train_conf, log_interval=1, save_interval=0)
        self.rows, self.config = rows, replace(stage.config, train_conf=every_update, seed=seed)
        self.loop = Loop(stage.model, Utterances(rows, stage.train_data.featuriser), self.config, stage.world, self.log)

    def epoch(self, number: int) -> Lap:
        """All updates of an epoch; the first few are not timed."""
        self.model.train()
        batches = len(batches_of(self.rows, self.config.dataset_conf, self.config.seed, number))
        self.log.begin(-(-batches // self.config.train_conf.accum_grad))
        self.loop.run(number, lambda: None)
        return self.log.timer.lap()

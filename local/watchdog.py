"""Why a training must not go on: a loss that is no number, a stall, a full memory, or somebody who asks it to stop.

Each of them ends in one line that names the culprit. What the processes must agree on (to skip an update, to stop) goes
through sums that the loop takes anyway, so none of them is left waiting for the others.
"""
from __future__ import annotations

import contextlib
import faulthandler
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from data.errors import UserError
from local.distributed import World
from local.metrics_log import BAD_BATCHES

RESUMABLE = 75  # EX_TEMPFAIL of sysexits.h: asked to stop, saved, the same command goes on
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
GRACE = 10.0  # seconds for the other processes to say where they stand, before the first one's end ends them all


def named(keys: Sequence[str], most: int = 4) -> str:
    """The first few keys and how many more there are."""
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


class Stopped(Exception):
    """The run was asked to stop, and its state is saved."""


class StopSignal:
    """SIGTERM and SIGUSR1, which Slurm and torchrun send before they kill: noted here, obeyed between two updates."""

    def __init__(self) -> None:
        self.name = ""  # of the signal that came

    def __enter__(self) -> StopSignal:
        self.before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: object) -> None:
        self.name = signal.Signals(number).name


def ignore_signals(_worker: int) -> None:
    """In a loader's worker: a signal to all processes of a job must not take away the data of the last update."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class BadUpdates:
    """Updates that would have put NaN or infinity into the weights: skipped, and not too many in a row."""

    def __init__(self, most: int) -> None:
        self.most, self.in_a_row = most, 0

    def judge(self, losses: dict[str, float], finite_gradient: bool) -> bool:
        """Whether an update may be made: the same answer in all processes, for sums over all of them."""
        sound = finite_gradient and all(map(math.isfinite, losses.values()))
        self.in_a_row = 0 if sound else self.in_a_row + 1
        return sound

    def check(self, update: int, losses: dict[str, float]) -> None:
        """Raises UserError when one more is one too many."""
        if self.in_a_row < self.most:
            return
        wrong = [f"loss became {value}" for value in losses.values() if not math.isfinite(value)] or ["gradient became infinite"]
        raise UserError(
            f"the {wrong[0]} at update {update}: lower optim_conf.lr, or look for bad utterances (those of the {self.in_a_row} "
            f"updates that were skipped are in {BAD_BATCHES}) with data/prepare_training_data.py validate --check_audio"
        )


class StallWatch:
    """Ends this process when no update is finished for too long, after telling what it was at and where every thread stands.

    A process that waits for the others says so; the one that they wait for names its data or its batch.
    """

    def __init__(self, log: Path | None, minutes: float, world: World) -> None:
        self.log, self.minutes, self.world = log, minutes, world
        self.at, self.since = "", 0.0

    def __enter__(self) -> StallWatch:
        self.beat()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, name="stall watch", daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """What the process is at, for the line that names the culprit."""
        before, self.at = self.at, what
        yield
        self.at = before

    def beat(self) -> None:
        """An update is finished."""
        self.since = time.monotonic()

    def _watch(self) -> None:
        while not self.over.wait(min(1.0, 6 * self.minutes)):
            if time.monotonic() - self.since > 60 * self.minutes:
                self._give_up()

    def _give_up(self) -> None:
        try:
            self._tell()
            time.sleep(GRACE if self.world.size > 1 else 0)
        finally:
            os._exit(1)  # no clean end: it would wait for what stalls

    def _tell(self) -> None:
        who = f"process {self.world.rank} of {self.world.size}: " if self.world.size > 1 else ""
        told = f"{who}no update finished in {self.minutes:g} minutes (train_conf.stall_minutes), it was {self.at}"
        with contextlib.ExitStack() as files:
            log = [files.enter_context(self.log.open("a", encoding="utf-8"))] if self.log else []
            for out in (*log, sys.stderr):
                print(f"error: {told}; where every thread stands:", file=out, flush=True)
                faulthandler.dump_traceback(out, all_threads=True)


@contextlib.contextmanager
def naming_the_batch(update: int, keys: Sequence[str], tokens: int, budget: int) -> Iterator[None]:
    """A memory that is full becomes a UserError that names the batch and the fix."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not memory_is_full(error):
            raise
        raise UserError(
            f"out of memory at update {update}, on a batch of {tokens} tokens with padding ({named(keys)}): free the device of "
            f"other programs, or lower dataset_conf.batch_size (now {budget}), raise train_conf.accum_grad in turn and start over"
        ) from error


def memory_is_full(error: Exception) -> bool:
    """Of the device, or of the machine: torch's allocator for the CPU has no error type of its own."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)

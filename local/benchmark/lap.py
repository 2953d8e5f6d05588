"""How long the updates of an epoch take, but for the first few: until then workers start, and memory is laid out."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from data.errors import UserError
from local.benchmark.peak import settle

WARM_UP = 2  # updates at the beginning of every epoch


@dataclass(frozen=True)
class Lap:
    """Seconds by the clock, of CPU in this process (not in the loader's workers), and of waiting for data."""

    clock: float
    cpu: float
    waited: float


class LapTimer:
    """Told of every step that is done: of an update, or of each of the `a_update` batches that one takes."""

    def __init__(self, device: torch.device, a_update: int = 1) -> None:
        self.device, self.untimed = device, WARM_UP * a_update

    def begin(self, steps: int) -> None:
        """An epoch of so many steps. Raises UserError where none would be timed."""
        if steps <= self.untimed:
            raise UserError(f"an epoch of {steps} steps is too short: the first {self.untimed} are not timed, raise --updates")
        self.left, self.done, self.waited = steps, 0, 0.0

    def step_done(self, waited: float) -> None:
        """`waited` seconds for its data."""
        self.left, self.done = self.left - 1, self.done + 1
        self.waited = self.waited + waited if self.done > self.untimed else 0.0
        if self.done == self.untimed:
            self.before = self._now()
        if not self.left:
            self.after = self._now()

    def _now(self) -> tuple[float, float]:
        settle(self.device)
        return time.perf_counter(), time.process_time()

    def lap(self) -> Lap:
        """Of the epoch that is over."""
        clock, cpu = (after - before for after, before in zip(self.after, self.before, strict=True))
        return Lap(clock, cpu, self.waited)

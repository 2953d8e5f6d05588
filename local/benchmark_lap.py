"""How long the updates of an epoch take, but for the first few: until then workers start, and memory is laid out."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from local.benchmark_peak import settle

WARM_UP = 2  # updates at the beginning of every epoch


@dataclass(frozen=True)
class Lap:
    """Seconds by the clock, of CPU in this process (not in the loader's workers), and of waiting for data."""

    clock: float
    cpu: float
    waited: float


class LapTimer:
    """Told of every batch that is done; an update takes `accum_grad` of them."""

    def __init__(self, device: torch.device, accum_grad: int) -> None:
        self.device, self.untimed = device, WARM_UP * accum_grad

    def begin(self) -> None:
        self.batches, self.waited = 0, 0.0

    def batch_done(self, waited: float) -> None:
        """`waited` seconds for its data."""
        self.batches += 1
        self.waited += waited
        if self.batches == self.untimed:
            settle(self.device)
            self.waited, self.clock, self.cpu = 0.0, time.perf_counter(), time.process_time()

    def end(self) -> Lap:
        settle(self.device)
        return Lap(time.perf_counter() - self.clock, time.process_time() - self.cpu, self.waited)

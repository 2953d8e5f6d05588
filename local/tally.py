"""Losses, audio and time since the last line of the log."""
from __future__ import annotations

import resource
import time
from dataclasses import asdict, dataclass, field

import torch

SECONDS_A_FRAME = 0.06


@dataclass
class Tally:
    """What `steps` updates have brought, the `skipped` ones among them: `audio` seconds; `waited` seconds passed without data."""

    began: float = field(default_factory=time.monotonic)
    steps: int = 0
    skipped: int = 0
    audio: float = 0.0
    waited: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, losses: dict[str, float], audio: float, sound: bool) -> None:
        """One update; the losses of one that was skipped are no numbers, and not counted."""
        self.steps += 1
        self.skipped += not sound
        self.audio += audio
        if sound:
            self.sums = {part: self.sums.get(part, 0.0) + value for part, value in losses.items()}

    def means(self, parts: list[str]) -> dict[str, float]:
        """Of the updates that were made; NaN where there was none."""
        made = self.steps - self.skipped
        return {part: self.sums[part] / made if made else float("nan") for part in parts}

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def state(self) -> dict:
        """To go on from in another process, whose clock is another."""
        return asdict(self) | {"began": self.seconds()}

    @classmethod
    def resumed(cls, state: dict) -> Tally:
        return cls(**state | {"began": time.monotonic() - state["began"]})


def memory() -> float:
    """Peak memory in GB: of the GPU where there is one in use, else of this process."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6

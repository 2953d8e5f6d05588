"""Losses, audio and time since the last line of the log."""
from __future__ import annotations

import json
import resource
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from local.distributed import World

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


def spent(metrics: Path, world: World) -> dict[str, float | int | str]:
    """Seconds of updates and of scoring on dev that metrics.jsonl tells of, over all runs of a stage, and on what.

    What an interrupted run had done since its last save is done, and counted, once.
    """
    lines = map(json.loads, metrics.read_text(encoding="utf-8").splitlines())
    seconds = sum(line.get("seconds", 0.0) for line in lines)
    name = torch.cuda.get_device_name(world.device) if world.device.type == "cuda" else "cpu"
    return {"seconds": round(seconds, 1), "processes": world.size, "device": name}

"""AdamW with linear warm-up and half a cosine down to zero, so that the last steps settle."""
from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from local.config import StageConfig


def share_of_peak(update: int, warmup: int, total: int) -> float:
    """Learning rate before update number `update` (from 0), as a share of its peak.

    The warm-up is cut to a tenth of a run that is shorter than it: such a run would never reach its rate.
    """
    warmup = min(warmup, max(1, total // 10))
    if update < warmup:
        return (update + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (update - warmup) / max(1, total - warmup)))


def make_optimiser(
    parameters: Iterable[torch.nn.Parameter], config: StageConfig, updates: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    """The optimiser and its schedule over `updates` updates."""
    conf = config.optim_conf
    optimiser = torch.optim.AdamW(parameters, lr=conf.lr, betas=tuple(conf.betas), weight_decay=conf.weight_decay)
    warmup = config.scheduler_conf.warmup_steps
    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda update: share_of_peak(update, warmup, updates))

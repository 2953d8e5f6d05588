"""AdamW with linear warm-up and half a cosine down to zero, so that the last steps settle."""
from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from local.config import StageConfig
from local.contract import group_of


def share_of_peak(update: int, warmup: int, total: int) -> float:
    """Learning rate before update number `update` (from 0), as a share of its peak.

    The warm-up is cut to a tenth of a run that is shorter than it: such a run would never reach its rate.
    """
    warmup = min(warmup, max(1, total // 10))
    if update < warmup:
        return (update + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (update - warmup) / max(1, total - warmup)))


def make_optimiser(
    named: Iterable[tuple[str, torch.nn.Parameter]], config: StageConfig, updates: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    """The optimiser of named parameters, and its schedule over `updates` updates.

    A GPU takes the whole step in one kernel; the CPU has such a kernel too, but it rounds otherwise.
    """
    conf = config.optim_conf
    groups = by_rate(named, config)
    fused = True if groups[0]["params"][0].is_cuda else None
    optimiser = torch.optim.AdamW(groups, lr=conf.lr, betas=tuple(conf.betas), weight_decay=conf.weight_decay, fused=fused)
    warmup = config.scheduler_conf.warmup_steps
    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda update: share_of_peak(update, warmup, updates))


def by_rate(named: Iterable[tuple[str, torch.nn.Parameter]], config: StageConfig) -> list[dict[str, Any]]:
    """Parameters that have one peak rate together; those of `optim_conf.lr` come first, for the log shows the first rate."""
    conf = config.optim_conf
    rates: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in named:
        rates.setdefault(conf.group_lr.get(group_of(name), conf.lr), []).append(parameter)
    return [{"params": rates[rate], "lr": rate} for rate in sorted(rates, key=lambda rate: rate != conf.lr)]

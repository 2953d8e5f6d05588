"""Sums and powers of long signals, a stretch at a time: what stays in a core's cache costs half."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

STRETCH = 2**16  # samples: 256 KiB of float32


def add_scaled(target: np.ndarray, source: np.ndarray, factor: float) -> None:
    """target += factor * source, (n,) float32 and (n,) float32 or int16."""
    for part, scaled in _stretches(len(source)):
        np.multiply(source[part], np.float32(factor), out=scaled)
        target[part] += scaled


def mean_square(samples: np.ndarray) -> float:
    """Power of (n,) float32 or int16 samples, pauses and all; 0.0 of none."""
    power = 0.0
    for part, copy in _stretches(len(samples)):
        copy[:] = samples[part]
        power += float(copy @ copy)
    return power / max(len(samples), 1)


def _stretches(length: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Where each stretch lies, and room for a copy of it."""
    room = np.empty(min(STRETCH, length), np.float32)
    for begin in range(0, length, STRETCH):
        part = slice(begin, min(begin + STRETCH, length))
        yield part, room[: part.stop - begin]

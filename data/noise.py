"""Noise that is no speech: the floor of a line, and stretches of recorded noise."""

from __future__ import annotations

import numpy as np

FADE = 400  # samples over which the end of a short recording goes over into its beginning


def line_noise(length: int, level_dbov: float, rng: np.random.Generator) -> np.ndarray:
    """(length,) float32 of white Gaussian noise at any rate; 0 dBov = mean square 1."""
    return rng.standard_normal(length, dtype=np.float32) * np.float32(10 ** (level_dbov / 20))


def excerpt(noise: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """(length,) of (n,) samples of noise from a drawn place on; if too few, as a loop without a seam.

    `noise` must hold a sample.
    """
    if length <= len(noise):
        begin = int(rng.integers(len(noise) - length + 1))
        return noise[begin : begin + length]
    loop = _closed(noise)
    return np.resize(np.roll(loop, -int(rng.integers(len(loop)))), length)


def _closed(noise: np.ndarray) -> np.ndarray:
    """(n,) to (n - fade,), whose end leads to its beginning. Powers add up to 1, as the two are unlike."""
    fade = min(FADE, len(noise) // 2)
    angle = (np.pi / 2 * (np.arange(fade) + 0.5) / max(fade, 1)).astype(np.float32)
    loop = noise[: len(noise) - fade].copy()
    loop[:fade] = loop[:fade] * np.sin(angle) + noise[len(loop) :] * np.cos(angle)
    return loop

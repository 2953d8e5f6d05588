"""The level of speech while somebody speaks, in dBov (0 dBov = the power of a full-scale square wave)."""

from __future__ import annotations

import numpy as np

FRAME = 320  # 20 ms at 16 kHz
MARGIN = 10**1.59  # ITU-T P.56: what is 15.9 dB and more below the active level is a pause


def active_power(samples: np.ndarray) -> float:
    """Mean square of (n,) float samples at 16 kHz over the 20 ms frames that hold speech; 0.0 for silence.

    A frame holds speech when it is less than 15.9 dB below the result itself, which is found by leaving out
    quieter frames until none is left to leave out. Pauses, however long, do not lower it.
    """
    powers = _frame_powers(samples)
    power, before = float(powers.mean()), -1.0
    while power > before:  # the threshold only rises, so this ends after a few rounds
        before = power
        power = float(powers[powers >= before / MARGIN].mean())
    return power


def level_dbov(samples: np.ndarray) -> float:
    """Active level of (n,) float samples at 16 kHz in dBov; -inf for silence."""
    power = active_power(samples)
    return 10 * float(np.log10(power)) if power else -np.inf


def _frame_powers(samples: np.ndarray) -> np.ndarray:
    """(frames,) float64 mean squares. Less than one frame counts as one; a rest is left out."""
    if not len(samples):
        return np.zeros(1)
    size = min(FRAME, len(samples))
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    return np.einsum("ij,ij->i", frames, frames).astype(np.float64) / size

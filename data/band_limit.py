"""The band of a telephone line: 300-3400 Hz, after the mask of ITU-T G.712.

-0.5 dB at 300 and 3400 Hz, -6 dB near 200 and 3600, below -30 dB at 3800. A filter whose *cut-off* is put
at 300 and 3400 Hz (-3 or -6 dB there) is narrower than a real line.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.signal import firwin, oaconvolve

RATE = 8000
# Two linear-phase low-passes, whose difference is the band-pass: Hz at -6 dB, and taps, as many as
# put -0.5 dB at 300 and at 3400 Hz.
LOWER_EDGE = (200, 89)
UPPER_EDGE = (3580, 51)


def band_limit(samples: np.ndarray) -> np.ndarray:
    """(n,) float32 at 8 kHz to (n,) float32 within the telephone band; lag 0."""
    taps = kernel()
    delay = len(taps) // 2
    return oaconvolve(samples, taps)[delay : delay + len(samples)]


@cache
def kernel() -> np.ndarray:
    """(89,) float32: the impulse response, symmetric and odd, so that its delay is a whole number."""
    lower = firwin(LOWER_EDGE[1], LOWER_EDGE[0], window="hamming", fs=RATE)
    upper = firwin(UPPER_EDGE[1], UPPER_EDGE[0], window="hamming", fs=RATE)
    return (np.pad(upper, (len(lower) - len(upper)) // 2) - lower).astype(np.float32)

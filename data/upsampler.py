"""From the 8 kHz of the line to the 16 kHz of the recogniser, in the two ways that it meets.

soxr        what training audio is resampled with: no trace above 4 kHz.
torchaudio  what torchaudio.functional.resample does by default, as in service when the recogniser is given a
            file of 8 kHz: a short windowed sinc, which leaves images of the band above 4 kHz at about -35 dB.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from data.audio import resample
from data.fir import RateChangingFilter

UPSAMPLERS = ("soxr", "torchaudio")
ZERO_CROSSINGS = 6  # of the sinc on either side, torchaudio's lowpass_filter_width
ROLLOFF = 0.99  # cut-off, as a share of 4 kHz


def upsample(samples: np.ndarray, how: str) -> np.ndarray:
    """(n,) float32 at 8 kHz to (2n,) float32 at 16 kHz, lag 0, by one of UPSAMPLERS."""
    return resample(samples, 8000, 16000) if how == "soxr" else _interpolator()(samples)


@cache
def _interpolator() -> RateChangingFilter:
    """r sinc(r t) cos²(π r t / 12), t in samples at 8 kHz, up to its sixth zero: sinc under a Hann window."""
    time = ROLLOFF * np.arange(-2 * ZERO_CROSSINGS, 2 * ZERO_CROSSINGS + 1) / 2
    window = np.cos(np.pi * time / ZERO_CROSSINGS / 2) ** 2
    return RateChangingFilter(ROLLOFF * np.sinc(time) * window, up=2, down=1)

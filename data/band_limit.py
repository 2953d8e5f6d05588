"""The band of a telephone line: from 16 to 8 kHz and into shape with one linear-phase filter, lag 0.

g712      300-3400 Hz after the mask of ITU-T G.712: -0.5 dB at 300 and 3400 Hz, -6 dB near 200 and 3600, below
          -30 dB at 3800. A filter whose *cut-off* is put at 300 and 3400 Hz is narrower than a real line.
irs_send  the microphone path of a handset: the nominal sending sensitivity of the Intermediate Reference
          System, ITU-T P.48, table 1, relative to 1 kHz; it rises by 12 dB from 300 Hz to 3 kHz.
none      what 8 kHz demand and no more.

Whatever would fold onto the band is 80 dB down.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from data.fir import RateChangingFilter

RATE = 16000
TAPS = 193  # 12 ms: as many as it takes to fall from 300 to 200 Hz without a ripple
STOP = -100.0  # dB aimed at where nothing may pass; also what counts as nothing

# Gain wanted, (Hz, dB): straight lines between these points in dB over log Hz.
CURVES: dict[str, tuple[tuple[float, float], ...]] = {
    "g712": (
        (1, -50), (50, -45), (100, -27), (150, -13.5), (200, -6), (250, -2), (300, -0.5), (360, -0.05), (400, 0),
        (3200, 0), (3300, -0.1), (3400, -0.5), (3500, -2.3), (3600, -6), (3700, -14), (3800, -33), (3900, -60),
        (4000, -85), (4100, STOP), (8000, STOP),
    ),
    "irs_send": (
        (1, -56), (50, -56), (100, -42.1), (125, -32.4), (160, -21.9), (200, -15.5), (250, -10.6), (315, -7.1),
        (400, -4.7), (500, -3.2), (630, -2.4), (800, -1.2), (1000, 0), (1250, 1.4), (1600, 3.1), (2000, 4),
        (2500, 5.5), (3150, 5.5), (3500, -3.6), (4000, -33.5), (4300, STOP), (8000, STOP),
    ),
    "none": ((1, 0), (3700, 0), (3701, np.nan), (4299, np.nan), (4300, STOP), (8000, STOP)),
}  # fmt: skip
BANDS = tuple(CURVES)


def to_narrowband(samples: np.ndarray, band: str) -> np.ndarray:
    """(n,) float32 at 16 kHz to (ceil(n / 2),) float32 at 8 kHz within one of BANDS."""
    return _decimator(band)(samples)


@cache
def _decimator(band: str) -> RateChangingFilter:
    return RateChangingFilter(taps(band), up=1, down=2)


def taps(band: str) -> np.ndarray:
    """(TAPS,) float64, symmetric: nearest to the curve of a band in relative error, by least squares.

    The error is relative so that a stop band weighs as much as the pass band. Where the curve is not a
    number, any gain will do.
    """
    hertz = np.arange(1.0, RATE / 2 + 1, 10)
    wanted_db = np.interp(np.log(hertz), *_columns(band))
    hertz, wanted_db = hertz[~np.isnan(wanted_db)], wanted_db[~np.isnan(wanted_db)]
    gain = 10 ** (wanted_db / 20)
    cosines = np.cos(2 * np.pi / RATE * np.outer(hertz, np.arange(TAPS // 2 + 1)))
    half = np.linalg.lstsq(cosines / gain[:, None], np.ones(len(gain)), rcond=None)[0]
    return np.concatenate([half[:0:-1] / 2, half[:1], half[1:] / 2])


def _columns(band: str) -> tuple[np.ndarray, np.ndarray]:
    """log Hz and dB of a curve."""
    hertz, decibels = np.array(CURVES[band]).T
    return np.log(hertz), decibels

"""Linear-phase filters that change the rate on the way, as products of matrices.

A block of outputs is a window of inputs times a banded matrix that holds the taps, shifted. So only the
samples that are wanted are computed, and one call of BLAS does hundreds of blocks: at filters of this length
quicker than Fourier transforms, and no process waits for the import of scipy.signal.
"""

from __future__ import annotations

import numpy as np

OUTPUTS = 48  # samples a block gives: with more of them the matrix holds more zeros, with fewer BLAS idles
BLOCKS = 256  # in one product: its operands stay in the cache, and hours need no more memory than seconds


class RateChangingFilter:
    """`up - 1` zeros put between samples, a symmetric filter, every `down`-th sample kept; lag 0.

    taps: (odd,) at the rate between. As zeros lower the mean, their sum must be `up` for a gain of 1.
    """

    def __init__(self, taps: np.ndarray, up: int, down: int) -> None:
        self.up, self.down = up, down
        self.hop = OUTPUTS * down // up  # inputs from block to block
        self.margin = -(-(len(taps) // 2) // up)  # inputs that a block needs on either side
        window = np.arange(-self.margin, self.hop + self.margin)
        tap = len(taps) // 2 + down * np.arange(OUTPUTS) - up * window[:, None]
        inside = (tap >= 0) & (tap < len(taps))
        self.matrix = np.where(inside, taps[tap * inside], 0).astype(np.float32)  # (window, OUTPUTS)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """(n,) float32 to (ceil(n * up / down),) float32; the signal is 0 beyond its ends."""
        length = -(-len(samples) * self.up // self.down)
        out = np.empty((-(-length // OUTPUTS), OUTPUTS), np.float32)
        piece = np.empty(BLOCKS * self.hop + 2 * self.margin, np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(piece, len(self.matrix))[:: self.hop]
        for first in range(0, len(out), BLOCKS):
            _cut(samples, first * self.hop - self.margin, piece)
            rows = out[first : first + BLOCKS]
            np.matmul(np.ascontiguousarray(windows[: len(rows)]), self.matrix, out=rows)
        return out.reshape(-1)[:length]


def _cut(samples: np.ndarray, begin: int, piece: np.ndarray) -> None:
    """Fill `piece` with the samples from `begin` on, with zeros before the first and after the last."""
    found = samples[max(begin, 0) : begin + len(piece)]
    before = max(-begin, 0)
    piece[:before] = 0
    piece[before : before + len(found)] = found
    piece[before + len(found) :] = 0

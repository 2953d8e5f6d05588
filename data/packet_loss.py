"""Lost packets of 20 ms, and what the receiver plays instead. All on the 8 kHz grid, where packets are."""

from __future__ import annotations

import numpy as np

FRAME = 160  # samples of a packet: 20 ms at 8 kHz
FADE = 480  # samples after which a repeated packet has faded to silence: 60 ms, as in G.711 Appendix I


def frames_in(samples: int) -> int:
    """Packets that carry `samples` samples; the last may be partly filled."""
    return -(-samples // FRAME)


def draw_lost(frames: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """(frames,) bool, True where a packet is lost: each independently with probability `rate`."""
    return rng.random(frames) < rate


def conceal(decoded: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Fill lost packets of (n,) int16 by repeating the last one that arrived, fading out over 60 ms of gap.

    `lost` is (frames_in(n),) bool. What was decoded in lost places is not looked at. Before the first
    packet that arrives there is silence. Packets that arrived stay as they are, bit for bit.
    """
    if not lost.any():
        return decoded
    packets = np.pad(decoded, (0, len(lost) * FRAME - len(decoded))).reshape(len(lost), FRAME)
    index = np.arange(len(lost))
    last_good = np.maximum.accumulate(np.where(lost, -1, index))
    gaps = np.flatnonzero(lost)
    since = (gaps - last_good[gaps] - 1) * FRAME  # samples from gap start to packet start
    gain = np.clip(1 - (since[:, None] + np.arange(FRAME)) / FADE, 0, 1)
    gain[last_good[gaps] < 0] = 0
    out = packets.copy()
    out[gaps] = np.rint(packets[last_good[gaps]] * gain)
    return out.reshape(-1)[: len(decoded)]

"""Lost packets of 20 ms, and what the receiver plays instead. All on the 8 kHz grid, where packets are."""

from __future__ import annotations

import numpy as np

from data import appendix_i
from data.errors import UserError

FRAME = 160  # samples of a packet: 20 ms at 8 kHz
FADE = 480  # samples after which a repeated packet has faded to silence: 60 ms, as in G.711 Appendix I
METHODS = ("zero", "repeat", "g711_appendix_i")


def frames_in(samples: int) -> int:
    """Packets that carry `samples` samples; the last may be partly filled."""
    return -(-samples // FRAME)


def check_burst(rate: float, mean_burst: float | None) -> None:
    """Raise UserError for a loss rate and a mean burst length that no Gilbert-Elliott channel has.

    Of two ranges it is enough to check the highest rate with the shortest burst.
    """
    if not 0 <= rate <= 1:
        raise UserError(f"a loss rate of {rate} is not between 0 and 1")
    if mean_burst is None:
        return
    least = max(1.0, rate / (1 - rate)) if rate < 1 else 1.0  # for a packet at least arrives between bursts
    if not least <= mean_burst * (1 + 1e-9) < np.inf:  # 0.9 / (1 - 0.9) is a little more than 9
        raise UserError(f"a loss rate of {rate} needs a mean burst of {least:.6g} packets or more, not {mean_burst}")


def draw_lost(frames: int, rate: float, mean_burst: float | None, rng: np.random.Generator) -> np.ndarray:
    """(frames,) bool, True where a packet is lost: the two-state channel of Gilbert (1960) and Elliott.

    The share `rate` gets lost, in bursts of `mean_burst` packets on average; None for losses independent of
    each other, whose bursts are 1 / (1 - rate) long. The first packet is as likely to be lost as any other.
    Takes one number per packet from `rng`. What check_burst refuses is not to be asked for.
    """
    enter = stay = rate  # probability of a loss after a packet that arrived, and after one that was lost
    if mean_burst is not None and 0 < rate < 1:
        enter, stay = rate / (mean_burst * (1 - rate)), 1 - 1 / mean_burst
    drawn = rng.random(frames)
    lost = drawn < min(enter, stay)
    settled = lost | (drawn >= max(enter, stay))  # whatever came before
    lost[:1], settled[:1] = drawn[:1] < rate, True
    index = np.arange(frames)
    since = np.maximum.accumulate(index * settled)  # the last packet that was settled; between, as the one before
    if enter <= stay:
        return lost[since]
    return lost[since] ^ ((index - since) & 1).astype(bool)  # between, the contrary of the one before


def conceal(decoded: np.ndarray, lost: np.ndarray, method: str) -> np.ndarray:
    """(n,) int16 with lost packets filled by one of METHODS; the very same array if none is lost.

    `lost` is (frames_in(n),) bool. What was decoded in lost places is not looked at. Before the first packet
    that arrives there is silence. Packets that arrived stay as they are, bit for bit, but for the lead-over
    of "g711_appendix_i" at the edges of a gap.
    """
    if not lost.any():
        return decoded
    if method not in METHODS:
        raise ValueError(f"concealment {method!r} is none of {', '.join(METHODS)}")
    if method == "g711_appendix_i":
        return appendix_i.conceal(decoded, lost, FRAME)
    packets = np.zeros((len(lost), FRAME), np.int16)
    played = packets.reshape(-1)[: len(decoded)]
    played[:] = decoded
    packets[lost] = _repeated(packets, lost) if method == "repeat" else 0
    return played


def _repeated(packets: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """(lost packets, FRAME): the last packet that arrived, again and again, fading out over 60 ms of gap."""
    index = np.arange(len(lost))
    last_good = np.maximum.accumulate(np.where(lost, -1, index))
    gaps = np.flatnonzero(lost)
    since = (gaps - last_good[gaps] - 1) * FRAME  # samples from gap start to packet start
    gain = np.clip(1 - (since[:, None] + np.arange(FRAME)) / FADE, 0, 1)
    gain[last_good[gaps] < 0] = 0
    return np.rint(packets[last_good[gaps]] * gain)

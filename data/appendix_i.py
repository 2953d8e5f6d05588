"""ITU-T G.711 Appendix I: lost frames of G.711 filled with the pitch periods that came before them.

The Recommendation works on a stream, frame by frame, and holds its output back by a quarter of the longest
period: when a frame fails to arrive, the end of the one before is not played yet and can still lead over into
the synthetic signal. Here all of the signal is at hand, so the work is done in place and at the gaps only;
frames away from them cost nothing. What the Recommendation's program keeps in single precision, as running
sums and truncated to int16, is kept so here: the last bit of each sample depends on it.
"""

from __future__ import annotations

from functools import cache

import numpy as np

FRAME = 80  # samples: 10 ms at 8 kHz
SHORTEST, LONGEST = 40, 120  # pitch periods searched: 5 and 15 ms
DELAY = LONGEST >> 2  # the Recommendation's output comes 3.75 ms late
HISTORY = 3 * LONGEST + DELAY  # 48.75 ms: three periods and the quarter before them
WINDOW = 160  # the last 20 ms, which the pitch search compares with what was before
LEAST_ENERGY = 250  # the search takes anything quieter to be this loud
SOUNDING = 6  # frames after which a gap is silent
ATTENUATION = np.float32(0.2)  # per frame, from the second on
LONGER_OVERLAP = 32  # samples (4 ms) by which each further lost frame prolongs the lead-over at the end


def conceal(samples: np.ndarray, lost: np.ndarray, frame: int = 2 * FRAME) -> np.ndarray:
    """(n,) int16 at 8 kHz with its lost packets concealed, lag 0; the very same array if none is lost.

    `lost` is (ceil(n / frame),) bool for packets of `frame` samples, a multiple of 10 ms; what `samples`
    holds in their place is not looked at. A gap changes the quarter of a pitch period before it and at most
    10 ms after it. The undelayed output is what ITU-T G.191's program writes to its file; for the output of
    the Recommendation's decoder itself put DELAY zeros in front.
    """
    if frame % FRAME:
        raise ValueError(f"packets of {frame} samples: not a multiple of {FRAME}")
    if not lost.any():
        return samples
    signal = np.zeros(HISTORY + len(lost) * frame, np.int16)  # silence before the first frame
    signal[HISTORY : HISTORY + len(samples)] = samples
    edges = np.flatnonzero(np.diff(lost, prepend=False, append=False)) * frame
    for start, end in edges.reshape(-1, 2).tolist():
        _fill(signal, HISTORY + start, HISTORY + end)
    return signal[HISTORY : HISTORY + len(samples)]


def find_pitch(past: np.ndarray) -> int:
    """The lag, 40 to 120 samples, at which the last 20 ms of `past` are most like what came before them.

    Every other lag on every other sample first, where the shortest of equals wins; then its two neighbours
    on all samples, where the longest does.
    """
    heard = past[-WINDOW - LONGEST :].astype(np.float64)  # sums of squares of int16 are exact
    scores = _likeness(heard[:-SHORTEST:2], heard[-WINDOW::2])
    coarse = 2 * (len(scores) - 1 - int(scores[::-1].argmax()))
    first, last = max(coarse - 1, 0), min(coarse + 1, LONGEST - SHORTEST)
    fine = _likeness(heard[first : last + WINDOW], heard[-WINDOW:])
    return LONGEST - first - int(fine.argmax())


def _likeness(before: np.ndarray, recent: np.ndarray) -> np.ndarray:
    """Correlation of `recent` with each stretch of `before`, over the root of that stretch's energy."""
    energy = np.correlate(before * before, np.ones(len(recent)))
    return np.correlate(before, recent) / np.sqrt(np.maximum(energy, LEAST_ENERGY))


def _fill(signal: np.ndarray, start: int, end: int) -> None:
    """Conceal signal[start:end] and lead over from and to its neighbours, all in place."""
    past = signal[start - HISTORY : start]
    pitch = find_pitch(past)
    quarter = pitch >> 2
    frames = (end - start) // FRAME
    overlap = min(quarter + LONGER_OVERLAP * (frames - 1), FRAME)
    sounding = min(frames, SOUNDING) * FRAME
    voice = _voice(past, pitch, sounding, overlap)  # from a past that is still whole
    signal[start - quarter : start] = _loop(past, pitch, 1)[-quarter:]
    signal[start : start + sounding] = voice[:sounding] * _gain()[:sounding]
    signal[start + sounding : end] = 0
    if end < len(signal):
        arrived = signal[end : end + overlap]
        arrived[:] = _lead_over(voice[sounding:], arrived, min(frames, SOUNDING))


def _voice(past: np.ndarray, pitch: int, sounding: int, overlap: int) -> np.ndarray:
    """(sounding + overlap,) int16, unattenuated: the last period over and over, from the second frame on the
    last two, from the third the last three, so that a long gap does not buzz.

    Where the loop grows it goes on at the same phase, within its oldest period (at that period's very end
    where that is the phase, as the Recommendation's program has it), and fades in over a quarter period.
    """
    voice = np.empty(sounding + overlap, np.int16)
    phase = 0
    for periods in range(1, min(sounding // FRAME, 3) + 1):
        rest = voice[(periods - 1) * FRAME :]
        going_on = rest[: pitch >> 2].copy()
        loop = _loop(past, pitch, periods)
        loop.take(np.arange(phase, phase + len(rest)), mode="wrap", out=rest)
        if periods > 1:
            rest[: pitch >> 2] = _lead_over(going_on, rest[: pitch >> 2])
        phase = (phase + FRAME) % len(loop)
        phase -= pitch if phase > pitch else 0
    return voice


def _loop(past: np.ndarray, pitch: int, periods: int) -> np.ndarray:
    """(periods * pitch,) int16: the last periods, their last quarter leading over into their beginning."""
    length, quarter = periods * pitch, pitch >> 2
    loop = past[-length:].copy()
    loop[-quarter:] = _lead_over(loop[-quarter:], past[-length - quarter : -length])
    return loop


def _lead_over(old: np.ndarray, new: np.ndarray, frames: int = 1) -> np.ndarray:
    """(n,) float32 from `old`, attenuated as after a gap of so many frames, to `new`: all new at the end."""
    out, into = _triangles(len(new), frames)
    return out * old + into * new


@cache
def _triangles(count: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """(count,) float32 weights of old and new. The new one's rise from 1 / count to 1."""
    step = np.float32(1) / np.float32(count)
    gain = 1 - ATTENUATION * np.float32(frames - 1)
    return _run((1 - step) * gain, -step * gain, count), _run(step, step, count)


@cache
def _gain() -> np.ndarray:
    """(480,) float32: 1 in the first frame of a gap, then down by a fifth of 1 in each to silence."""
    starts = [1 - ATTENUATION * np.float32(frame) for frame in range(SOUNDING - 1)]
    ramps = [_run(start, -ATTENUATION / np.float32(FRAME), FRAME) for start in starts]
    return np.concatenate([np.ones(FRAME, np.float32), *ramps])


def _run(first: np.float32, step: np.float32, count: int) -> np.ndarray:
    """(count,) float32: first, first + step, …, each from the one before."""
    return np.cumsum(np.r_[first, np.full(count - 1, step)], dtype=np.float32)

"""Where in a recording somebody speaks, and where a long one is best cut: pure functions over one array.

Speech is told by the envelope of ITU-T P.56, its lag taken off. P.56 counts what lies no more than 15.9 dB below the active
level; where the line is noisier than that, the threshold lies half-way in dB between noise and level, at most 6 dB below the
level. Noise is what a fifth of the time stays below: in a conversation each side is silent for more than half of it (ITU-T
P.59). What never rises 3 dB above the threshold is noise too.

A pause of half a second ends a piece; shorter ones stay inside, unless the piece would be longer than it may be: then it is cut
in the longest of them near the bound. Only speech that goes on without any pause for that long is cut inside, where it is
least loud.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from data.speech_level import LAG, MARGIN, envelope, frame, measure

PAUSE = 0.5  # s
ROOM = 0.05  # s of the pauses around a piece, for the recogniser: soft consonants begin and end below the threshold
MOST = 30.0  # s of a piece with its room
FAINT = -60.0  # dBov of active level: below it, nobody speaks (see `silent` in data/plausibility.py)
NOISE = 0.2  # of the time the envelope is no higher than the noise
LEAST_MARGIN, STANDS_OUT = 6.0, 3.0  # dB: from the threshold up to the level, and to the loudest of a stretch of speech

Span = tuple[int, int]  # from, to


@dataclass(frozen=True)
class Piece:
    """Samples of a recording: somebody speaks from `begin` to `end`; a recogniser is to be given `first` to `last`."""

    begin: int
    end: int
    first: int
    last: int


def cut_at_pauses(samples: np.ndarray, rate: int, most: float = MOST) -> list[Piece]:
    """The pieces of (n,) float samples in which somebody speaks, in order, none longer than `most` seconds."""
    loudness, active, spans = _listen(samples, rate)
    step = frame(rate)
    bound = int((most - 2 * ROOM) * rate / step)
    parts = [part for span in spans for part in _divide(span, active, loudness, bound)]
    return _with_room([(begin * step, min(end * step, len(samples))) for begin, end in parts], len(samples), round(ROOM * rate))


def activity(samples: np.ndarray, rate: int) -> np.ndarray:
    """(n / frame, rounded up) bool: in which frames of (n,) float samples somebody speaks."""
    return _listen(samples, rate)[1]


def _listen(samples: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray, list[Span]]:
    """Loudness (frames,), in which of them somebody speaks (frames,), and the spans that no pause interrupts."""
    step = frame(rate)
    lag = round(LAG * rate / step)
    loudness = envelope(np.pad(samples, (0, lag * step)), rate)[lag:]
    threshold = _threshold(loudness, measure(samples, rate).active_dbov)
    active = loudness >= threshold
    spans = _join(_runs(active), PAUSE * rate / step)
    heard = [(begin, end) for begin, end in spans if loudness[begin:end].max() >= threshold * _ratio(STANDS_OUT)]
    for begin, end in set(spans) - set(heard):
        active[begin:end] = False
    return loudness, active, heard


def _threshold(loudness: np.ndarray, level_dbov: float) -> float:
    """Of the loudness (frames,) of speech in a recording with this active level."""
    if level_dbov <= FAINT:
        return np.inf
    level = _ratio(level_dbov)
    half_way = np.sqrt(np.quantile(loudness, NOISE) * level)
    return float(np.clip(half_way, level * _ratio(-MARGIN), level * _ratio(-LEAST_MARGIN)))


def _ratio(decibels: float) -> float:
    return 10 ** (decibels / 20)


def _runs(active: np.ndarray) -> list[Span]:
    """Where (n,) bool is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _join(spans: list[Span], pause: float) -> list[Span]:
    """Spans with less than a pause between them are one."""
    joined: list[Span] = []
    for begin, end in spans:
        if joined and begin - joined[-1][1] < pause:
            begin = joined.pop()[0]
        joined.append((begin, end))
    return joined


def _divide(span: Span, active: np.ndarray, loudness: np.ndarray, bound: int) -> list[Span]:
    """A span of frames in parts of no more than `bound` frames; what lies between two parts is a pause, or nothing."""
    begin, end = span
    parts = []
    while end - begin > bound:
        stop, resume = _best_cut(begin, active, loudness, bound)
        parts.append((begin, stop))
        begin = resume
    return [*parts, (begin, end)]


def _best_cut(begin: int, active: np.ndarray, loudness: np.ndarray, bound: int) -> Span:
    """The longest pause that begins in the second half of what a piece may hold, else in the first; else the least loud place."""
    runs = _runs(active[begin : begin + bound + 1])
    pauses = [(before[1], after[0]) for before, after in pairwise(runs)]
    if not active[begin + bound]:  # the last one goes on beyond the bound
        pauses.append((runs[-1][1], bound + 1 + int(np.argmax(active[begin + bound + 1 :]))))
    half = bound // 2
    if choice := [pause for pause in pauses if pause[0] >= half] or pauses:
        stop, resume = max(choice, key=lambda pause: pause[1] - pause[0])
        return begin + stop, begin + resume
    place = begin + half + int(np.argmin(loudness[begin + half : begin + bound]))
    return place, place


def _with_room(spans: list[Span], length: int, room: int) -> list[Piece]:
    """Spans of samples with the pause around them, up to its middle where another one follows."""
    edges = [0, *((before + after) // 2 for (_, before), (after, _) in pairwise(spans)), length]
    return [
        Piece(begin, end, max(begin - room, edges[number]), min(end + room, edges[number + 1]))
        for number, (begin, end) in enumerate(spans)
    ]

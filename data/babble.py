"""Babble: other people talking in the background, taken from the same manifest as the speech itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from data.corpora import Utterance
from data.mixing import mean_square

STRETCH = 2**16  # samples mixed at a time: seven voices of them stay in a core's cache
EVERY = 8


def talker_of(utterance: Utterance) -> str:
    """Who speaks: the speaker, else the call, else the recording, where a corpus names no speaker."""
    if utterance.speaker is not None:
        return f"speaker {utterance.speaker}"
    return f"call {utterance.call}" if utterance.call is not None else f"recording {utterance.audio}"


class TalkerPool:
    """The utterances of one manifest by talker. Draws depend on them and the generator, not on their order."""

    def __init__(self, utterances: Sequence[Utterance]) -> None:
        self.by_talker: dict[str, list[Utterance]] = {}
        for utterance in sorted(utterances, key=lambda utterance: utterance.key):
            self.by_talker.setdefault(talker_of(utterance), []).append(utterance)
        self.talkers = sorted(self.by_talker)

    def others(self, utterance: Utterance, rng: np.random.Generator) -> Iterator[Utterance]:
        """One utterance of every other talker, in drawn order, as far as the caller asks."""
        own = talker_of(utterance)
        taken = {own}
        for _ in range(len(self.talkers) - (own in self.by_talker)):
            talker = self._draw(taken, rng)
            taken.add(talker)
            said = self.by_talker[talker]
            yield said[int(rng.integers(len(said)))]

    def _draw(self, taken: set[str], rng: np.random.Generator) -> str:
        """A talker not yet taken. With thousands of them the first try nearly always hits."""
        if 2 * len(taken) > len(self.talkers):
            free = [talker for talker in self.talkers if talker not in taken]
            return free[int(rng.integers(len(free)))]
        while True:
            talker = self.talkers[int(rng.integers(len(self.talkers)))]
            if talker not in taken:
                return talker


def mix(voices: Sequence[np.ndarray], length: int, rng: np.random.Generator) -> np.ndarray | None:
    """Voices, (n,) float32 or int16 each, equally loud, from a drawn place on, over and over: (length,) float32.

    Equally loud by the power of every eighth sample: what counts is the level of the sum, which P.56 sets
    later. None when no voice holds any sound.
    """
    begins = [int(rng.integers(len(voice))) for voice in voices]
    powers = np.array([mean_square(voice[::EVERY]) for voice in voices])
    if not powers.any():
        return None
    shares = np.where(powers, np.maximum(powers, 1e-30) ** -0.5, 0).astype(np.float32)
    babble = np.empty(length, np.float32)
    parts = np.empty((len(voices), min(length, STRETCH)), np.float32)
    for first in range(0, length, STRETCH):
        size = min(STRETCH, length - first)
        for part, voice, begin in zip(parts, voices, begins, strict=True):
            _go_round(part[:size], voice, (begin + first) % len(voice))
        np.matmul(shares, parts[:, :size], out=babble[first : first + size])
    return babble


def stretch(voice: np.ndarray, begin: int, length: int) -> np.ndarray:
    """(length,) samples of `voice` from `begin` on, over and over."""
    out = np.empty(length, voice.dtype)
    _go_round(out, voice, begin)
    return out


def _go_round(target: np.ndarray, voice: np.ndarray, begin: int) -> None:
    """Fill `target` with `voice` from `begin` on, over and over."""
    place = 0
    while place < len(target):
        part = voice[begin : begin + len(target) - place]
        target[place : place + len(part)] = part
        place, begin = place + len(part), 0

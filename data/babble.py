"""Babble: other people talking in the background, taken from the same manifest as the speech itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from data.corpora import Utterance
from data.speech_level import mean_square


def talker_of(utterance: Utterance) -> str:
    """Who speaks: the speaker, else the call, else the recording, where a corpus names no speaker."""
    if utterance.speaker is not None:
        return f"speaker {utterance.speaker}"
    return f"call {utterance.call}" if utterance.call is not None else f"recording {utterance.audio}"


class TalkerPool:
    """The utterances of one manifest by talker. Draws depend on them and the generator, not on their order."""

    def __init__(self, utterances: Sequence[Utterance]) -> None:
        self._by_talker: dict[str, list[Utterance]] = {}
        for utterance in sorted(utterances, key=lambda utterance: utterance.key):
            self._by_talker.setdefault(talker_of(utterance), []).append(utterance)
        self._talkers = sorted(self._by_talker)
        self.count = len(self._talkers)

    def knows(self, talker: str) -> bool:
        return talker in self._by_talker

    def name(self, rank: int) -> str:
        """A talker by its place among the sorted names."""
        return self._talkers[rank]

    def says(self, talker: str) -> int:
        """How many utterances are a talker's."""
        return len(self._by_talker[talker])

    def utterance(self, talker: str, number: int) -> Utterance:
        """One of a talker's, sorted by key."""
        return self._by_talker[talker][number]

    def others(self, utterance: Utterance, rng: np.random.Generator) -> Iterator[Utterance]:
        """One utterance of every other talker, in drawn order, as far as the caller asks."""
        own = talker_of(utterance)
        taken = {own}
        for _ in range(self.count - self.knows(own)):
            talker = self._draw(taken, rng)
            taken.add(talker)
            yield self.utterance(talker, int(rng.integers(self.says(talker))))

    def _draw(self, taken: set[str], rng: np.random.Generator) -> str:
        """A talker not yet taken. With thousands of them the first try nearly always hits."""
        if 2 * len(taken) > self.count:
            free = [talker for talker in map(self.name, range(self.count)) if talker not in taken]
            return free[int(rng.integers(len(free)))]
        while True:
            talker = self.name(int(rng.integers(self.count)))
            if talker not in taken:
                return talker


def mix(voices: Iterable[np.ndarray], length: int, rng: np.random.Generator) -> np.ndarray | None:
    """Voices, (n,) float32 or int16 each, equally loud, from a drawn place on, over and over: (length,) float32.

    Equally loud by mean square: the level of the sum is set by P.56 later. One voice is held at a time. None
    when no voice holds any sound.
    """
    babble: np.ndarray | None = None
    for voice in voices:
        begin = int(rng.integers(len(voice)))
        equal = stretch(voice, begin, length)
        power = mean_square(voice.astype(np.float32, copy=False))
        if power:
            equal *= np.float32(power**-0.5)
            babble = equal if babble is None else np.add(babble, equal, out=babble)
    return babble


def stretch(voice: np.ndarray, begin: int, length: int) -> np.ndarray:
    """(length,) float32 of `voice` from `begin` on, over and over."""
    out = np.empty(length, np.float32)
    place = 0
    while place < length:
        part = voice[begin : begin + length - place]
        out[place : place + len(part)] = part
        place, begin = place + len(part), 0
    return out

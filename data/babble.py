"""Babble: other people talking in the background, taken from the same manifest as the speech itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from data.corpora import Utterance
from data.speech_level import active_power


def talker_of(utterance: Utterance) -> str:
    """Who speaks: the speaker, else the call, else the recording, where a corpus names no speaker."""
    if utterance.speaker is not None:
        return f"speaker {utterance.speaker}"
    return f"call {utterance.call}" if utterance.call is not None else f"recording {utterance.audio}"


class TalkerPool:
    """The utterances of one manifest by talker. Draws depend on the manifest and the generator alone."""

    def __init__(self, utterances: Sequence[Utterance]) -> None:
        self.by_talker: dict[str, list[Utterance]] = {}
        for utterance in utterances:
            self.by_talker.setdefault(talker_of(utterance), []).append(utterance)
        self.talkers = list(self.by_talker)

    def others(self, utterance: Utterance, rng: np.random.Generator) -> Iterator[Utterance]:
        """One utterance of every other talker, in drawn order, as far as the caller asks."""
        taken = {talker_of(utterance)}
        while len(taken) < len(self.talkers):
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
    """Sum of the voices, (length,) float32, each equally loud, begun at a drawn place and repeated as needed.

    None when no voice holds any sound.
    """
    babble = np.zeros(length, dtype=np.float32)
    heard = False
    for voice in voices:
        begin = int(rng.integers(len(voice)))
        part = _stretch(voice, begin, length)
        power = active_power(part)
        if power:
            babble += part * np.float32(power**-0.5)
            heard = True
    return babble if heard else None


def _stretch(voice: np.ndarray, begin: int, length: int) -> np.ndarray:
    """(length,) samples of `voice` from `begin` on, over and over."""
    if begin + length <= len(voice):
        return voice[begin : begin + length]
    rounds = -(-length // len(voice))
    return np.concatenate([voice[begin:], *[voice] * rounds])[:length]

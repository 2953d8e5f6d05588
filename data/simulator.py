"""Dials the call of one utterance: what it draws, which frames get lost, and who else is in the room.

The offline command and the training dataset use the same object; only `variant` differs: 0 offline, the
number of the epoch in training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.audio import AudioError, read_info, read_voice
from data.babble import TalkerPool, mix
from data.call_profiles import Mix
from data.corpora import Utterance
from data.noise import excerpt
from data.telephone_channel import BABBLE, NOISE, WIDE, Draws, Room, as_row, draw, lost_frames

LONG = 600.0  # seconds: what is longer is carried in pieces, and what else is in the room begins again
VOICE = 60.0  # seconds: the longest stretch of another talker that is read; a longer babble repeats it
SMALL = 2**20  # bytes: a sound file of that size lasts less than LONG in any format, so nobody asks its header


@dataclass(frozen=True)
class Call:
    """What one utterance drew: `lost` (frames,) bool, keys of the talkers, keys passed over as unreadable."""

    draws: Draws
    lost: np.ndarray
    talkers: list[str]
    noise: str | None
    unreadable: list[str]

    def row(self) -> dict[str, Any]:
        """What is written beside the utterance."""
        return as_row(self.draws, self.lost, self.talkers, self.noise)


@dataclass(frozen=True)
class Simulator:
    """All that decides on the calls of one split; sent once to every worker."""

    mix: Mix
    seed: int
    pool: TalkerPool
    noises: tuple[Path, ...] = ()

    def dial(self, utterance: Utterance, length: int, variant: int = 0) -> tuple[Call, Room]:
        """The call of `length` samples at 16 kHz of `utterance`. Raises AudioError for a bad noise file."""
        draws = draw(self.mix, self.seed, utterance.key, variant)
        heard = min(length, round(LONG * WIDE))
        noise, sound = self._noise(heard, draws)
        call = Call(draws, lost_frames(draws, length), [], noise, [])
        rng = draws.generator(BABBLE)
        return call, Room(mix(self._voices(utterance, heard, call, rng), heard, rng), sound)

    def _voices(
        self, utterance: Utterance, length: int, call: Call, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """The drawn talkers, (n,) samples each; `call` notes their keys, and those that cannot be read."""
        others = self.pool.others(utterance, rng)
        while len(call.talkers) < call.draws.talkers and (other := next(others, None)):
            try:
                voice = _read_some(other, length, rng)
            except AudioError:  # it has its own line among the rejects
                call.unreadable.append(other.key)
                continue
            call.talkers.append(other.key)
            yield voice

    def _noise(self, length: int, draws: Draws) -> tuple[str | None, np.ndarray | None]:
        """A noise file's path and a stretch of it, where the profile wants one."""
        if draws.noise_snr_db is None:
            return None, None
        rng = draws.generator(NOISE)
        path = self.noises[int(rng.integers(len(self.noises)))]
        return str(path), excerpt(_read_some(Utterance(path.name, path, ""), length, rng), length, rng).astype(np.float32)


def end_of(utterance: Utterance) -> float | None:
    """Where an utterance ends in its file, in seconds; None for a whole file that is small."""
    if utterance.end is not None or _size(utterance.audio) < SMALL:
        return utterance.end
    info = read_info(utterance.audio)
    return info.frames / info.rate


def _read_some(source: Utterance, length: int, rng: np.random.Generator) -> np.ndarray:
    """A source, at any scale, whole or, of a long one, as much as `length` samples at 16 kHz need, from a drawn place."""
    place = rng.random()
    start, end = source.start or 0.0, end_of(source)
    needed = min(length / WIDE, VOICE)
    if end is None or end - start <= needed:
        return read_voice(source.audio, source.start, source.end, source.channel)
    begin = start + place * (end - start - needed)
    return read_voice(source.audio, begin, begin + needed, source.channel)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # missing: the reader will say so

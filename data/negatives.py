"""Utterances in which nobody speaks, with empty text: in training against words made up out of noise and tones, in a test
to count them.

noise  the floor of an idle line
tone   the tones of China's exchanges, 450 Hz in the cadences of GB/T 3380
dtmf   dialled digits: frequencies of ITU-T Q.23, at least as long and as far apart as Q.24 has receivers accept

They are 16 kHz WAVs like any other, and go through the telephone channel with the rest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.audio import write_wav
from data.corpora import Utterance
from data.noise import line_noise

RATE = 16000
SECONDS = (1.0, 10.0)
TONE_DBOV = (-35.0, -15.0)  # while it sounds; of DTMF each of the two frequencies
FLOOR_DBOV = (-75.0, -45.0)
EDGE = 0.005  # s in which a tone comes and goes
TONE_HERTZ = 450.0
# Seconds of sound and silence in turn, over and over.
CADENCES = {
    "dial": (1.0, 0.0),
    "ringback": (1.0, 4.0),
    "busy": (0.35, 0.35),
    "congestion": (0.7, 0.7),
    "no such number": (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.4, 0.4),
    "call waiting": (0.4, 4.0),
}
DIGITS = ("123A", "456B", "789C", "*0#D")
ROW_HERTZ, COLUMN_HERTZ = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0, 1633.0)
DIGIT_SECONDS, PAUSE_SECONDS = (0.05, 0.25), (0.05, 0.5)  # Q.24: 40 ms of either is enough for a receiver
TWIST_DB = (0.0, 4.0)  # the higher frequency above the lower


@dataclass(frozen=True)
class Negatives:
    """`rate` utterances without speech for each that has some, as WAVs in `folder`. Number i depends on (seed, name, i) alone."""

    folder: Path
    rate: float
    seed: int
    name: str = "negative"

    def made(self, speaking: int) -> Iterator[Utterance]:
        """Those that belong to so many utterances with speech. What is there already and whole stays untouched."""
        for index in range(round(self.rate * speaking)):
            yield _make(self.folder.absolute(), f"{self.name}_{index:06d}", self.seed)


def _make(folder: Path, key: str, seed: int) -> Utterance:
    digest = hashlib.sha256(json.dumps([seed, key]).encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    path = folder / f"{key}.wav"
    write_wav(path, draw_negative(rng), RATE)
    return Utterance(key, path, text="")


def draw_negative(rng: np.random.Generator) -> np.ndarray:
    """(n,) float32 at 16 kHz: one kind of negative over the noise of a line."""
    samples = line_noise(int(RATE * rng.uniform(*SECONDS)), rng.uniform(*FLOOR_DBOV), rng)
    kind = rng.choice(["noise", "tone", "dtmf"])
    if kind == "tone":
        samples += _signal_tone(len(samples), rng)
    elif kind == "dtmf":
        samples += _dialling(len(samples), rng)
    return samples


def _signal_tone(length: int, rng: np.random.Generator) -> np.ndarray:
    """(length,) float32 out of the middle of a drawn cadence."""
    cadence = CADENCES[rng.choice(list(CADENCES))]
    begin = rng.uniform(0, sum(cadence))
    parts = np.resize(cadence, len(cadence) * (2 + int((begin + length / RATE) / sum(cadence))))
    gate = _gate(parts, begin, length)
    return (gate * _sine(TONE_HERTZ, rng.uniform(*TONE_DBOV), length)).astype(np.float32)


def _dialling(length: int, rng: np.random.Generator) -> np.ndarray:
    """(length,) float32: drawn digits, one after the other; the first and the last may be cut."""
    out = np.zeros(length)
    level, twist = rng.uniform(*TONE_DBOV), rng.uniform(*TWIST_DB)
    begin = 0
    while begin < length:
        sound, pause = rng.uniform(*DIGIT_SECONDS), rng.uniform(*PAUSE_SECONDS)
        row, column = rng.integers(4, size=2)
        digit = dtmf(DIGITS[row][column], sound, level, twist)[: length - begin]
        out[begin : begin + len(digit)] = digit
        begin += round(RATE * (sound + pause))
    return out.astype(np.float32)


def dtmf(digit: str, seconds: float, level_dbov: float, twist_db: float = 0.0) -> np.ndarray:
    """(n,) float64 at 16 kHz: one digit, its lower frequency at a level, its higher `twist_db` above."""
    row = next(number for number, digits in enumerate(DIGITS) if digit in digits)
    column = DIGITS[row].index(digit)
    length = round(RATE * seconds)
    low = _sine(ROW_HERTZ[row], level_dbov, length)
    high = _sine(COLUMN_HERTZ[column], level_dbov + twist_db, length)
    return _gate(np.array([seconds, 0.0]), 0.0, length) * (low + high)


def _sine(hertz: float, level_dbov: float, length: int) -> np.ndarray:
    """(length,) float64; its mean square is the level, so the full-scale sine is at -3.01 dBov."""
    return np.sqrt(2) * 10 ** (level_dbov / 20) * np.sin(2 * np.pi * hertz / RATE * np.arange(length))


def _gate(parts: np.ndarray, begin: float, length: int) -> np.ndarray:
    """(length,) float64 in 0…1, from `begin` s on: `parts` are seconds of sound and silence in turn."""
    part = np.searchsorted(np.cumsum(parts), begin + np.arange(length) / RATE, side="right")
    slope = np.full(round(EDGE * RATE), 1 / round(EDGE * RATE))
    return np.convolve(part % 2 == 0, slope, "same")  # a tone switched at once would click

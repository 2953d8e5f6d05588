"""What the benchmarks of training and decoding are fed with: files on disk and rows as stage 0 makes them.

Lengths are spread as those of speech are: log-normal, cut at the bounds. A training sees some batches of a large corpus,
from the shortest to the longest: within them utterances are as alike as only a large corpus makes them. The sound is made;
texts are sentences of the built-in grammar, as many characters of them as somebody says in that time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from data.audio import write_wav
from data.babble import TalkerPool
from data.channel_config import read_mix
from data.manifest import RATE, row, write_rows
from data.online import MARK, write_settings
from data.simulator import Simulator
from local.batches import plan, tokens_of
from local.benchmark.channel import PROFILE, SEED, made_speech
from local.config import Dataset
from local.mini.grammar import sentence
from local.tally import SECONDS_A_FRAME

CHARACTERS_A_SECOND = 4.5  # of Mandarin on the telephone, pauses included
SOUNDS, TALKERS = 16, 40
LARGE = 20000  # utterances of the corpus whose batches are taken


@dataclass(frozen=True)
class Lengths:
    """Seconds of utterances: log-normal, `sigma` of the logarithm, cut at `least` and `most`."""

    mean: float
    sigma: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"log-normal, mean {self.mean:g} s, sigma {self.sigma:g}, {self.least:g} to {self.most:g} s"

    def draw(self, count: int) -> np.ndarray:
        """(count,) seconds, in an order that tells nothing: the quantiles, so that a few have the shape and the mean too."""
        middle = np.log(self.mean) - self.sigma**2 / 2
        quantiles = np.exp(middle + self.sigma * ndtri((np.arange(count) + 0.5) / count))
        return np.random.default_rng(SEED).permutation(np.clip(quantiles, self.least, self.most))


SHORT = Lengths(5, 0.6, 0.5, 30)  # a turn of a call
LONG = Lengths(55, 0.35, 5, 120)  # what the stated hours of the recipe's corpus imply; 120 s is max_source_length


def from_batches(lengths: Lengths, batches: int, conf: Dataset) -> np.ndarray:
    """(utterances,) seconds: those in so many batches of a large corpus."""
    seconds = lengths.draw(LARGE)
    costs = [round(one * (1 / SECONDS_A_FRAME + CHARACTERS_A_SECOND)) for one in seconds]
    planned = sorted(plan(costs, conf.batch_size, conf.batch_size_utts, SEED, epoch=1), key=lambda batch: costs[batch[0]])
    chosen = [planned[len(planned) * (2 * number + 1) // (2 * batches)] for number in range(batches)]
    return seconds[[index for batch in chosen for index in batch]]


def write_corpus(path: Path, lengths: np.ndarray) -> list[dict]:
    """Sound files of these seconds beside a training JSONL, and its rows."""
    sounds = [made_speech(seed) for seed in range(SOUNDS)]
    texts, made = random.Random(SEED), []
    for number, seconds in enumerate(lengths.tolist()):
        sound = np.resize(np.roll(sounds[number % SOUNDS], 997 * number), round(seconds * RATE))
        key = f"{path.stem}{number}"
        write_wav(path.parent / f"{key}.wav", sound, RATE)
        made.append(row(key, path.parent / f"{key}.wav", said_in(seconds, texts), len(sound)))
    write_rows(path, made)
    return made


def mark_online(path: Path, rows: Sequence[dict]) -> list[dict]:
    """The same rows as a training JSONL of clean speech, to be sent over the telephone when it is read."""
    marked = [fields | {"channel": MARK, "talker": f"talker{number % TALKERS}"} for number, fields in enumerate(rows)]
    write_rows(path, marked)
    write_settings(path, Simulator(read_mix(PROFILE), SEED, TalkerPool(())))
    return marked


def said_in(seconds: float, rng: random.Random) -> str:
    """Sentences in a row, cut where the time is over."""
    count, text = max(1, round(seconds * CHARACTERS_A_SECOND)), ""
    while len(text) < count:
        text += sentence("general", "train", rng)
    return text[:count]


def batches_of(rows: Sequence[dict], conf: Dataset, seed: int, epoch: int) -> list[list[int]]:
    """The batches of an epoch, as the training plans them."""
    return plan([tokens_of(fields) for fields in rows], conf.batch_size, conf.batch_size_utts, seed, epoch)


def padding(rows: Sequence[dict], batches: list[list[int]]) -> float:
    """The share of padding in batches of frames and characters."""
    costs = [tokens_of(fields) for fields in rows]
    room = sum(max(costs[index] for index in batch) * len(batch) for batch in batches)
    return 1 - sum(costs) / room


def duration(rows: Sequence[dict]) -> float:
    """Seconds of sound."""
    return SECONDS_A_FRAME * sum(fields["speech_length"] for fields in rows)

"""Lists of hotwords in the prompt: FunASR's wording, what an utterance is given in training, and what it is scored with.

The failure this prevents: a model that was never asked with a list writes its words where nobody said them, or does not look at
it. In training some utterances get none, some a list with the keywords that they hold, some one without. Whether a list holds
what was said must not show from the list: replayed rows get some too.
"""
from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import local.engine  # noqa: F401  before any part of FunASR

# isort: split
from funasr.models.fun_asr_nano.model import FunASRNano

from data.errors import UserError
from data.prompt import target
from data.text import normalise, scored_units
from local.config import Dataset, StageConfig
from local.keywords import KeywordFinder, read_keywords

GIVEN = 30  # words: the longest list that a set is scored with

Row = dict[str, Any]
Lists = Callable[[Row, int], list[str]]  # of a row, in an epoch


def context(hotwords: Sequence[str]) -> str:
    """What stands before the prompt: as `AutoModel.generate(…, hotwords=[…])` writes it. Empty without hotwords.

    It is the same before all of FunASR's prompts, and so before one that FunASR does not have.
    """
    return FunASRNano.get_prompt(None, list(hotwords)).removesuffix(FunASRNano.get_prompt(None, []))


class Keywords:
    """A keyword list, parted for an utterance."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._find = KeywordFinder(words)
        self._held = lru_cache(maxsize=None)(self._search)  # by text: a training asks in every epoch
        self._compared = {word: normalise(word) for word in words}

    def parted(self, row: Row) -> tuple[list[str], list[str]]:
        """Those that its target holds, as they are scored, and those that do not even stand inside another word of it."""
        text, held = self._held(target(row["messages"]))
        return held, [word for word in self.words if self._compared[word] not in text]

    def _search(self, text: str) -> tuple[str, list[str]]:
        """The text as it is compared, and the words that it holds."""
        return normalise(text), list(dict.fromkeys(word for _, word in self._find(scored_units(text))))


class DrawnLists:
    """The lists of a training: each depends on (seed, key, epoch) alone. A row's own `hotwords` take the place of a draw."""

    def __init__(self, words: Sequence[str], conf: Dataset, seed: int) -> None:
        self.keywords, self.conf, self.seed = Keywords(words), conf, seed

    def __call__(self, row: Row, epoch: int) -> list[str]:
        rng = random.Random(f"{self.seed}/hotwords/{row['key']}/{epoch}")
        if rng.random() >= self.conf.hotword_rate:
            return []
        return own_words(row) or self._drawn(row, rng)

    def _drawn(self, row: Row, rng: random.Random) -> list[str]:
        """A list of one to `hotword_most` words, in any order: with all keywords that the row holds, or with none."""
        held, others = self.keywords.parted(row)
        size = rng.randint(1, self.conf.hotword_most)
        words = rng.sample(held, min(len(held), self.conf.hotword_most)) if rng.random() < self.conf.hotword_true_rate else []
        words += rng.sample(others, min(len(others), max(size - len(words), 0)))
        rng.shuffle(words)
        return words

    def __str__(self) -> str:
        """The line of the log."""
        listed, true = (f"{100 * rate:g} %" for rate in (self.conf.hotword_rate, self.conf.hotword_true_rate))
        of = f"at most {self.conf.hotword_most} of {len(self.keywords.words)} keywords"
        return f"asks {listed} of the utterances with a list of {of}, {true} of the lists with those that were said"


def own_words(row: Row) -> list[str]:
    """The `hotwords` that a row brings: a list, or one text with `, ` between them, as FunASR's training takes them."""
    found = row.get("hotwords") or []
    words = found.split(", ") if isinstance(found, str) else found
    if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
        raise UserError(f"utterance {row['key']}: its hotwords are {found!r}, but must be a list of words")
    return words


def lists_of(keywords: Path | None, rows: Sequence[Row], config: StageConfig) -> DrawnLists | None:
    """The lists of a stage; None where there are none. Raises UserError for keywords that the settings have no use for."""
    conf = config.dataset_conf
    if not conf.hotword_rate:
        if keywords:
            raise UserError(f"dataset_conf.hotword_rate is 0, and --keywords names {keywords}: they go together")
        return None
    own = [words for row in rows if (words := own_words(row))]
    words = read_keywords(keywords) if keywords else []
    return DrawnLists(words, conf, config.seed) if words or own else None


def scored_with(words: Sequence[str]) -> dict[str, Lists]:
    """How the calls are asked once more, by the name of the score: with the list that a user would give, and with what of it
    this utterance does not hold.

    A user gives the whole list. Of one that is longer than GIVEN an utterance gets what it holds, and others drawn for it.
    """
    keywords = Keywords(words)

    def given(row: Row, epoch: int) -> list[str]:
        return _shortened(keywords, row) if len(words) > GIVEN else list(words)

    def distractors(row: Row, epoch: int) -> list[str]:
        others = set(keywords.parted(row)[1])
        return [word for word in given(row, epoch) if word in others]

    return {"hotwords": given, "distractors": distractors}


def _shortened(keywords: Keywords, row: Row) -> list[str]:
    """The same words every time, in the order of the whole list."""
    held, others = keywords.parted(row)
    rng = random.Random(f"given/{row['key']}")
    chosen = {*held[:GIVEN], *rng.sample(others, min(len(others), max(GIVEN - len(held), 0)))}
    return [word for word in keywords.words if word in chosen]

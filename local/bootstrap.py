"""95 % intervals of pooled error rates, and of their paired differences, by bootstrap.

Utterances of one call fail together, so calls are drawn with replacement and not utterances (M. Bisani, H. Ney,
"Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004). For a difference the
same calls are drawn for both systems.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from local.alignment import EditCounts

DRAWS = 10_000
AT_ONCE = 500  # draws held in memory
LEVEL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Interval:
    """A rate, or a difference of rates, in percent, with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def rate_interval(edits: Sequence[EditCounts], groups: Sequence[Hashable], seed: int = 0) -> Interval:
    """The pooled error rate of utterances, each with the group (its call) that it is drawn with."""
    return difference_interval(edits, [EditCounts(ref=one.ref) for one in edits], groups, seed)


def difference_interval(
    edits: Sequence[EditCounts], baseline: Sequence[EditCounts], groups: Sequence[Hashable], seed: int = 0
) -> Interval:
    """How much the pooled error rate of one system is above that of another on the same utterances.

    Raises ValueError without utterances or without reference units.
    """
    fewer = np.array([[one.errors - other.errors, one.ref] for one, other in zip(edits, baseline, strict=True)])
    if not len(fewer) or not fewer[:, 1].sum():
        raise ValueError("there is no reference unit to be wrong about")
    sums = _by_group(fewer, groups)
    errors, units = fewer.sum(axis=0)
    low, high = np.percentile(_draws(sums, np.random.default_rng(seed)), LEVEL)
    return Interval(float(100 * errors / units), float(low), float(high))


def _by_group(values: np.ndarray, groups: Sequence[Hashable]) -> np.ndarray:
    """(utterances, 2) to (groups, 2): sums."""
    places = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((len(places), values.shape[1]))
    np.add.at(sums, [places[group] for group in groups], values)
    return sums


def _draws(sums: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(DRAWS,) rates in percent, each of as many groups as there are, drawn with replacement."""
    count = len(sums)
    parts = []
    for _ in range(DRAWS // AT_ONCE):
        errors, units = (rng.multinomial(count, np.full(count, 1 / count), AT_ONCE) @ sums).T
        parts.append(100 * errors / np.maximum(units, 1))
    return np.concatenate(parts)

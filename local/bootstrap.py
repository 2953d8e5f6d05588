"""95 % intervals of ratios of sums, such as pooled error rates and their paired differences, by bootstrap.

Utterances of one call fail together, so calls are drawn with replacement and not utterances (M. Bisani, H. Ney,
"Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004). For a difference the
same calls are drawn for both systems. The bounds are percentiles of what the draws give, and need not be symmetric.

Of few calls they lie too near: the draws scatter by sqrt((n - 1) / n) of what they should, and percentiles take the normal
distribution for Student's (T. Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69(4),
2015). Of 10 calls a sixth of the width is missing, of 3 calls two thirds. Such an interval is marked everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from local.alignment import EditCounts

DRAWS, LEAST_DRAWS = 10_000, 1_000
CELLS = 10_000_000  # draws × groups: a set of many groups, whose rates scatter little, is drawn less often
AT_ONCE = 2_000_000  # of them held in memory
LEVEL = (2.5, 97.5)  # percentiles
FEW = 10  # calls: below, an interval is marked
MARK = re.compile(r"\] of \d calls")

Ratio = tuple[Sequence[float], Sequence[float]]  # of each utterance: what is counted, and out of how much


@dataclass(frozen=True)
class Interval:
    """A rate, or a difference of rates, in percent, with the bounds of its 95 % interval; drawn from so many calls."""

    value: float
    low: float
    high: float
    calls: int

    def __str__(self) -> str:
        return f"{self.value:.2f} {bounds_told(self.low, self.high, self.calls)}"


def is_few(calls: int | None) -> bool:
    """Whether an interval of so many calls is too narrow; of an older result the number is not known."""
    return calls is not None and calls < FEW


def bounds_told(low: float, high: float, calls: int | None) -> str:
    """`[28.73, 44.78]`, and `[0.00, 12.50] of 2 calls` where they are few."""
    return f"[{low:.2f}, {high:.2f}]{f' of {calls} calls' if is_few(calls) else ''}"


def noted(lines: Iterable[str]) -> Iterator[str]:
    """Lines as they are, and after them what the mark in one of them means."""
    marked = False
    for line in lines:
        marked |= MARK.search(line) is not None
        yield line
    if marked:
        yield (f"An interval `of N calls` is too narrow: a bootstrap over fewer than {FEW} calls (or utterances, where they name "
               "none) has seen too little of how calls differ.")  # fmt: skip


def difference_interval(
    edits: Sequence[EditCounts], baseline: Sequence[EditCounts], groups: Sequence[Hashable]
) -> Interval | None:
    """How much the pooled error rate of one system is above that of another on the same utterances, each of which is drawn
    with its group (its call); None as in `ratio_intervals`.
    """
    more = [one.errors - other.errors for one, other in zip(edits, baseline, strict=True)]
    return ratio_intervals({"rate": (more, [one.ref for one in edits])}, groups)["rate"]


def ratio_intervals(ratios: Mapping[str, Ratio], groups: Sequence[Hashable]) -> dict[str, Interval | None]:
    """Any ratios of sums over utterances, all from the same draws of groups; None where there is nothing to divide by, or
    no second group that has something: one drawn again and again shows no spread at all.

    A draw without anything to divide by (of rare keywords, say) tells nothing of that ratio and is left out.
    """
    columns = [column for ratio in ratios.values() for column in ratio]
    if not columns or len(set(groups)) < 2:
        return dict.fromkeys(ratios)
    sums = _by_group(np.array(columns, dtype=np.float64).T, groups)
    drawn = _draws(sums, np.random.default_rng(0))
    pairs = range(0, len(columns), 2)
    return {name: _interval(sums[:, at : at + 2], drawn[:, at : at + 2]) for name, at in zip(ratios, pairs, strict=True)}


def _interval(sums: np.ndarray, drawn: np.ndarray) -> Interval | None:
    """From the (groups, 2) sums of one ratio and its (draws, 2) draws."""
    part, whole = sums.sum(axis=0)
    calls = np.count_nonzero(sums[:, 1])
    if calls < 2:
        return None
    told = drawn[drawn[:, 1] > 0]
    low, high = np.percentile(100 * told[:, 0] / told[:, 1], LEVEL)
    return Interval(float(100 * part / whole), float(low), float(high), int(calls))


def _by_group(values: np.ndarray, groups: Sequence[Hashable]) -> np.ndarray:
    """(utterances, columns) to (groups, columns): sums."""
    places = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((len(places), values.shape[1]))
    np.add.at(sums, [places[group] for group in groups], values)
    return sums


def _draws(sums: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(groups, columns) to (draws, columns): sums over as many groups as there are, drawn with replacement."""
    count = len(sums)
    left = min(DRAWS, max(LEAST_DRAWS, CELLS // count))
    parts = []
    while left:
        rows = min(left, max(1, AT_ONCE // count))
        chosen = rng.integers(count, size=(rows, count), dtype=np.int32) + count * np.arange(rows)[:, None]
        times = np.bincount(chosen.ravel(), minlength=rows * count).reshape(rows, count)
        parts.append(times.astype(np.float64) @ sums)
        left -= rows
    return np.concatenate(parts)

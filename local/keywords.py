"""Keyword error rate: of the business words that were said, how many were not recognised whole.

KWER = (N - hits) / N in percent, pooled over the corpus. N counts the keyword spans of the references: read
from the left, the longest keyword at each place, none overlapping. The whole utterance is aligned unit by
unit (one CJK character or one Latin word); a span is a hit when every unit of it matches and nothing is
inserted inside. Where several alignments have the minimum cost, one with the most hits counts: a reference
`退退款` read as `退款` lost a stutter, not the keyword.

Beside it stand false alarms: keyword spans of the hypotheses, found in the same way, beyond the hits of that
keyword in that utterance; and the errors inside the spans and outside of them, by the same alignment. They sum to
the errors of the CER; where several alignments have the minimum cost, its S, D and I may be dealt out differently.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import UserError
from data.text import normalise, scored_units
from local.alignment import EditCounts, count_edits, percent
from local.bootstrap import Interval
from local.keyword_file import keyword_lines

Units = Sequence[str]
Span = tuple[int, int]  # start and end in units

DOUBT = 0.05


def read_keywords(path: Path | str) -> list[str]:
    """The keywords of a file, one a line, as written and in its order; `#` begins a comment, `[class]` a class.

    Of two that the normaliser makes equal the first stays.
    """
    return list(_read(path))


def read_classes(path: Path | str) -> dict[str, str]:
    """The class of each keyword that stands in one."""
    return {keyword: name for keyword, name in _read(path).items() if name}


def _read(path: Path | str) -> dict[str, str]:
    """Keyword to class."""
    keywords: dict[str, tuple[str, str]] = {}  # by what is compared
    for number, written, of in keyword_lines(path):
        if not normalise(written):
            raise UserError(f"{path}:{number}: {written!r} has no character that can be scored: take it out")
        keywords.setdefault(normalise(written), (written, of))
    if not keywords:
        raise UserError(f"keyword list {path} is empty: write one keyword a line")
    return dict(keywords.values())


class KeywordFinder:
    """Finds the longest non-overlapping keyword spans in lists of units, from the left."""

    def __init__(self, keywords: Iterable[str]) -> None:
        spelt = [(scored_units(keyword), keyword) for keyword in keywords]
        self._by_first: dict[str, list[tuple[tuple[str, ...], str]]] = {}  # first unit -> the longest first
        for form, keyword in sorted(spelt, key=lambda item: -len(item[0])):
            self._by_first.setdefault(form[0], []).append((form, keyword))

    def __call__(self, text: Units) -> list[tuple[Span, str]]:
        """The spans in order, each with its keyword."""
        found: list[tuple[Span, str]] = []
        place = 0
        while place < len(text):
            end = place + 1
            for form, keyword in self._by_first.get(text[place], ()):
                if tuple(text[place : place + len(form)]) == form:
                    end = place + len(form)
                    found.append(((place, end), keyword))
                    break
            place = end
        return found


@dataclass(frozen=True)
class Placed:
    """What an alignment says of keyword spans: which are hit, and the errors inside of them all and outside."""

    hits: list[Span]
    inside: EditCounts
    outside: EditCounts


def place_errors(ref: Units, hyp: Units, spans: Sequence[Span]) -> Placed:
    """By a minimum-cost alignment that hits most of the disjoint `spans` of the reference.

    Dynamic programming over (cost, -hits) in lexicographic order, held in one integer: cost * weight - hits.
    To the usual three steps comes a fourth, over a whole span at once where it matches, worth one hit. An insertion
    is inside a span where both its neighbours in the reference are.
    """
    weight = len(spans) + 1
    starts = {end: start for start, end in spans}
    table, runs = _fill(ref, hyp, {end: end - start for start, end in spans}, weight)
    within = [any(start <= place < end for start, end in spans) for place in range(len(ref))]
    between = [any(start < place < end for start, end in spans) for place in range(len(ref) + 1)]
    errors, hits, i, j = Counter[tuple[str, bool]](), [], len(ref), len(hyp)
    while i or j:
        start = starts.get(i, i)
        length = i - start
        if 0 < length <= runs[i][j] and table[i][j] == table[start][j - length] - 1:
            hits.append((start, i))
            i, j = start, j - length
        elif i and j and table[i][j] == table[i - 1][j - 1] + weight * (ref[i - 1] != hyp[j - 1]):
            i, j = i - 1, j - 1
            errors["sub", within[i]] += ref[i] != hyp[j]
        elif i and table[i][j] == table[i - 1][j] + weight:
            i -= 1
            errors["dele", within[i]] += 1
        else:
            j -= 1
            errors["ins", between[i]] += 1
    inside, outside = (
        EditCounts(errors["sub", side], errors["dele", side], errors["ins", side], within.count(side)) for side in (True, False)
    )
    return Placed(hits[::-1], inside, outside)


def _fill(ref: Units, hyp: Units, lengths: dict[int, int], weight: int) -> tuple[np.ndarray, np.ndarray]:
    """Best values and lengths of matching runs up to every (reference, hypothesis) prefix, row by row.

    `lengths`: of the span that ends at a row. Both results are (len(ref) + 1, len(hyp) + 1).
    """
    code = {unit: number for number, unit in enumerate({*ref, *hyp})}
    hyp_codes = np.array([code[unit] for unit in hyp], dtype=np.int64)
    insertions = weight * np.arange(len(hyp) + 1, dtype=np.int64)
    table = np.empty((len(ref) + 1, len(hyp) + 1), dtype=np.int64)
    runs = np.zeros_like(table)
    table[0] = insertions
    for i, unit in enumerate(ref, 1):
        matches = hyp_codes == code[unit]
        runs[i, 1:] = (runs[i - 1, :-1] + 1) * matches
        best = table[i - 1] + weight
        np.minimum(best[1:], table[i - 1, :-1] + weight * ~matches, out=best[1:])
        if length := lengths.get(i):
            whole = np.flatnonzero(runs[i] >= length)
            best[whole] = np.minimum(best[whole], table[i - length, whole - length] - 1)
        table[i] = np.minimum.accumulate(best - insertions) + insertions
    return table, runs


@dataclass(frozen=True)
class Spotted:
    """The keywords of one utterance: said, hit, and written where nobody said them; errors inside and outside of them."""

    said: Counter[str]
    hit: Counter[str]
    alarms: Counter[str]
    inside: EditCounts
    outside: EditCounts

    @property
    def missed(self) -> int:
        return self.said.total() - self.hit.total()


def spot_keywords(pairs: Iterable[tuple[Units, Units]], keywords: Iterable[str]) -> list[Spotted]:
    """For (reference, hypothesis) units of whole utterances."""
    find = KeywordFinder(keywords)
    return [_spot(ref, hyp, find) for ref, hyp in pairs]


def _spot(ref: Units, hyp: Units, find: KeywordFinder) -> Spotted:
    spoken = find(ref)
    spans = [span for span, _ in spoken]
    placed = place_errors(ref, hyp, spans) if spans else Placed([], EditCounts(), count_edits(ref, hyp))
    hit = Counter(keyword for span, keyword in spoken if span in placed.hits)
    return Spotted(
        Counter(keyword for _, keyword in spoken),
        hit,
        Counter(keyword for _, keyword in find(hyp)) - hit,
        placed.inside,
        placed.outside,
    )


def score_keywords(
    spotted: Sequence[Spotted], keywords: Iterable[str], classes: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """KWER and what belongs beside it; rates are in percent, None (n/a) where there is nothing to divide by.

    `least`: see `least_shown`. `rows`: one a keyword, with its class where it has one.
    """
    total, hits, alarms = (sum((getattr(one, part) for one in spotted), Counter[str]()) for part in ("said", "hit", "alarms"))
    named = {keyword: {"class": name} for keyword, name in (classes or {}).items()}
    rows = [{"keyword": k, **named.get(k, {}), **_rates(total[k], hits[k], alarms[k])} for k in keywords]
    parts = {part: sum((getattr(one, part) for one in spotted), EditCounts()).asdict() for part in ("inside", "outside")}
    return {**_rates(total.total(), hits.total(), alarms.total()), "least": least_shown(total.total()), **parts, "rows": rows}


def least_shown(total: int) -> float | None:
    """The upper 95 % bound of the KWER, in percent, where not one of so many keywords is missed: none below can be shown.

    1 - 0.05^(1/N), exact for independent keywords, near 3/N: the rule of three. Those of one call are hardly
    independent, so that it is the least that must be asked for.
    """
    return 100 * (1 - DOUBT ** (1 / total)) if total else None


def exact_where_alike(found: Interval | None, total: int, lowest: float = 0.0) -> Interval | None:
    """The interval of the KWER of so many keywords, or of a difference of two, which may lie as low as -100.

    Where every draw is the same, as where none or all were missed, or both sides missed the same, they say nothing. There
    the exact bound of so many keywords holds, on either side.
    """
    if found is None or found.low < found.high:
        return found
    doubt = least_shown(total) or 0.0
    return replace(found, low=max(lowest, found.low - doubt), high=min(100.0, found.high + doubt))


def too_few(total: int, limit: float) -> str:
    """The sentence where so many keywords cannot show a KWER below `limit` percent; empty where they can."""
    least = least_shown(total)
    if least is not None and least < limit:
        return ""
    needed = math.floor(math.log(DOUBT) / math.log1p(-limit / 100)) + 1
    return f"not enough keywords to show < {limit:g} %: {total}, and {needed} would do if none were missed"


def _rates(total: int, hits: int, false_alarms: int) -> dict[str, float | int | None]:
    detected = hits + false_alarms
    return {
        "kwer": percent(total - hits, total),
        "hits": hits,
        "total": total,
        "false_alarms": false_alarms,
        "precision": percent(hits, detected),
        "f1": percent(2 * hits, total + detected),
    }


def blind_guess_kwer(
    train_texts: Iterable[str], test_texts: Iterable[str], keywords: Iterable[str]
) -> float | None:
    """KWER of one who hears nothing and is told number and places of the keywords in the test.

    He always says the keyword that is most frequent in training (of equals the first in the list). None where
    the test has no keyword. Texts are normalised here.
    """
    keywords = list(keywords)
    find = KeywordFinder(keywords)
    train, test = (
        Counter(keyword for text in texts for _, keyword in find(scored_units(text)))
        for texts in (train_texts, test_texts)
    )
    guess = max(keywords, key=lambda keyword: train[keyword], default="")
    return percent(test.total() - test[guess], test.total())

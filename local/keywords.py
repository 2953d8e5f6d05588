"""Keyword error rate: of the business words that were said, how many were not recognised whole.

KWER = (N - hits) / N in percent, pooled over the corpus. N counts the keyword spans of the references: read
from the left, the longest keyword at each place, none overlapping. The whole utterance is aligned unit by
unit (one CJK character or one Latin word); a span is a hit when every unit of it matches and nothing is
inserted inside. Where several alignments have the minimum cost, one with the most hits counts: a reference
`退退款` read as `退款` lost a stutter, not the keyword.

Beside it stand false alarms: keyword spans of the hypotheses, found in the same way, beyond the hits of that
keyword in that utterance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import UserError
from data.text import normalise, units

Units = Sequence[str]
Span = tuple[int, int]  # start and end in units


def read_keywords(path: Path | str) -> list[str]:
    """The keywords of a file, one a line, as written and in its order; `#` begins a comment line.

    Of two that the normaliser makes equal the first stays.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"keyword list {path} cannot be read ({error}): one keyword a line, UTF-8") from error
    keywords: dict[str, str] = {}  # by what is compared
    for number, line in enumerate(lines, 1):
        written = line.strip()
        if not written or written.startswith("#"):
            continue
        if not normalise(written):
            raise UserError(f"{path}:{number}: {written!r} has no character that can be scored: take it out")
        keywords.setdefault(normalise(written), written)
    if not keywords:
        raise UserError(f"keyword list {path} is empty: write one keyword a line")
    return list(keywords.values())


class KeywordFinder:
    """Finds the longest non-overlapping keyword spans in lists of units, from the left."""

    def __init__(self, keywords: Iterable[str]) -> None:
        spelt = [(tuple(units(normalise(keyword))), keyword) for keyword in keywords]
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


def find_hits(ref: Units, hyp: Units, spans: Sequence[Span]) -> list[Span]:
    """Those of the disjoint `spans` of the reference that are hit, by a minimum-cost alignment with most.

    Dynamic programming over (cost, -hits) in lexicographic order, held in one integer: cost * weight - hits.
    To the usual three steps comes a fourth, over a whole span at once where it matches, worth one hit.
    """
    weight = len(spans) + 1
    table, runs = _fill(ref, hyp, {end: end - start for start, end in spans}, weight)
    starts = {end: start for start, end in spans}
    hits, i, j = [], len(ref), len(hyp)
    while i and j:
        start = starts.get(i, i)
        length = i - start
        if length and runs[i][j] >= length and table[i][j] == table[start][j - length] - 1:
            hits.append((start, i))
            i, j = start, j - length
        elif table[i][j] == table[i - 1][j - 1] + weight * (ref[i - 1] != hyp[j - 1]):
            i, j = i - 1, j - 1
        elif table[i][j] == table[i - 1][j] + weight:
            i -= 1
        else:
            j -= 1
    return hits[::-1]


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


def score_keywords(pairs: Iterable[tuple[Units, Units]], keywords: Iterable[str]) -> dict[str, Any]:
    """KWER and what belongs beside it, for (reference, hypothesis) units of whole utterances.

    Rates are in percent, None (n/a) where there is nothing to divide by.
    """
    keywords = list(keywords)
    find = KeywordFinder(keywords)
    total, hits, alarms = Counter[str](), Counter[str](), Counter[str]()
    for ref, hyp in pairs:
        spoken = find(ref)
        hit_spans = set(find_hits(ref, hyp, [span for span, _ in spoken])) if spoken else set()
        hits_here = Counter(keyword for span, keyword in spoken if span in hit_spans)
        total.update(keyword for _, keyword in spoken)
        hits.update(hits_here)
        alarms.update(Counter(keyword for _, keyword in find(hyp)) - hits_here)
    rows = [{"keyword": k, **_rates(total[k], hits[k], alarms[k])} for k in keywords]
    return {**_rates(total.total(), hits.total(), alarms.total()), "rows": rows}


def _rates(total: int, hits: int, false_alarms: int) -> dict[str, float | int | None]:
    detected = hits + false_alarms
    return {
        "kwer": _percent(total - hits, total),
        "hits": hits,
        "total": total,
        "false_alarms": false_alarms,
        "precision": _percent(hits, detected),
        "f1": _percent(2 * hits, total + detected),
    }


def _percent(part: int, whole: int) -> float | None:
    return 100.0 * part / whole if whole else None


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
        Counter(keyword for text in texts for _, keyword in find(units(normalise(text))))
        for texts in (train_texts, test_texts)
    )
    guess = max(keywords, key=lambda keyword: train[keyword], default="")
    return _percent(test.total() - test[guess], test.total())

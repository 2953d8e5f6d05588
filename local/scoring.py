"""All scores of one decoded set: pooled CER and, with a keyword list, KWER, each with its 95 % interval."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

from data.errors import UserError
from data.text import scored_units
from local.alignment import EditCounts, count_edits, percent
from local.bootstrap import Interval, Ratio, ratio_intervals
from local.keywords import exact_where_alike, score_keywords, spot_keywords
from local.runaway import goes_round


def score(
    refs: Mapping[str, str],
    hyps: Mapping[str, str],
    keywords: Sequence[str] | None = None,
    calls: Mapping[str, Hashable] | None = None,
    classes: Mapping[str, str] | None = None,
    looped: Collection[str] = (),
) -> dict[str, Any]:
    """Score the transcripts of a set, by utterance key, after the one normaliser of both sides.

    `calls` says what an utterance is drawn with (itself, where it is not there); `classes` those of keywords;
    `looped` the utterances whose text went round in a loop and was cut. Rates are in percent, None where there is
    nothing to divide by.

    Returns `cer`, its `interval` (None with a single call, of which a bootstrap cannot tell; else with the number of `calls`),
    `sub`, `del`, `ins`, `ref` (counts of units), `utterances`, `empty` (hypotheses with nothing in them) and `repeated` (those
    that say a phrase over and over, see `local.runaway.goes_round`, as their reference does not) with their rates and, where
    `keywords` are given, `keywords` (see `local.keywords.score_keywords`) with their own interval.
    Raises UserError when the two sides are not the same utterances.
    """
    _require_same_utterances(refs, hyps)
    pairs = [(scored_units(text), scored_units(hyps[key])) for key, text in refs.items()]
    edits = [count_edits(ref, hyp) for ref, hyp in pairs]
    empty = sum(not hyp for _, hyp in pairs)
    repeated = sum(key in looped or _repeats(*pair) for key, pair in zip(refs, pairs, strict=True))
    result: dict[str, Any] = {
        **sum(edits, EditCounts()).asdict(),
        "utterances": len(pairs),
        "empty": empty,
        "empty_rate": percent(empty, len(pairs)),
        "repeated": repeated,
        "repeated_rate": percent(repeated, len(pairs)),
    }
    ratios: dict[str, Ratio] = {"cer": ([one.errors for one in edits], [one.ref for one in edits])}
    if keywords is not None:
        spotted = spot_keywords(pairs, keywords)
        result["keywords"] = score_keywords(spotted, keywords, classes)
        ratios["kwer"] = ([one.missed for one in spotted], [one.said.total() for one in spotted])
    groups = [(calls or {}).get(key, key) for key in refs]
    found = ratio_intervals(ratios, groups)
    result |= _bounds(found["cer"])
    if keywords is not None:
        result["keywords"] |= _bounds(exact_where_alike(found["kwer"], result["keywords"]["total"]))
    return result


def _repeats(ref: Sequence[str], hyp: Sequence[str]) -> bool:
    return goes_round(hyp) and not goes_round(ref)


def _bounds(interval: Interval | None) -> dict[str, Any]:
    return {"interval": [interval.low, interval.high], "calls": interval.calls} if interval else {"interval": None}


def _require_same_utterances(refs: Mapping[str, str], hyps: Mapping[str, str]) -> None:
    for here, there, what in ((refs, hyps, "hypothesis"), (hyps, refs, "reference")):
        if missing := here.keys() - there.keys():
            count = f"{len(missing)} utterance{'s have' if len(missing) > 1 else ' has'}"
            raise UserError(f"{count} no {what}, {min(missing)} first: decode the set again")

"""All scores of one decoded set: pooled CER and, with a keyword list, KWER."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from data.errors import UserError
from data.text import normalise, units
from local.alignment import EditCounts, count_edits
from local.keywords import score_keywords


def score(
    refs: Mapping[str, str], hyps: Mapping[str, str], keywords: Sequence[str] | None = None
) -> dict[str, Any]:
    """Score the transcripts of a set, by utterance key, after the one normaliser of both sides.

    Returns `cer` (percent; None without any reference unit), `sub`, `del`, `ins`, `ref` (counts of units),
    `utterances`, `empty` (hypotheses with nothing in them) and, where `keywords` are given, `keywords` (see
    `local.keywords.score_keywords`). Raises UserError when the two sides are not the same utterances.
    """
    _require_same_utterances(refs, hyps)
    pairs = [(units(normalise(text)), units(normalise(hyps[key]))) for key, text in refs.items()]
    counts = sum((count_edits(ref, hyp) for ref, hyp in pairs), EditCounts())
    result: dict[str, Any] = {
        "cer": counts.rate,
        "sub": counts.sub,
        "del": counts.dele,
        "ins": counts.ins,
        "ref": counts.ref,
        "utterances": len(pairs),
        "empty": sum(not hyp for _, hyp in pairs),
    }
    if keywords is not None:
        result["keywords"] = score_keywords(pairs, keywords)
    return result


def _require_same_utterances(refs: Mapping[str, str], hyps: Mapping[str, str]) -> None:
    for here, there, what in ((refs, hyps, "hypothesis"), (hyps, refs, "reference")):
        if missing := here.keys() - there.keys():
            count = f"{len(missing)} utterance{'s have' if len(missing) > 1 else ' has'}"
            raise UserError(f"{count} no {what}, {min(missing)} first: decode the set again")

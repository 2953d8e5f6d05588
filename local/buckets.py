"""CER of both branches over parts of a set: by length, by what the channel drew, by speaker.

Of speakers there may be thousands. Those with fewer than 50 characters are left out, whose CER is mostly chance (its
standard error is 7 points at 50 %), and of the others the five worst and the five best stand here, by the LLM.
Among many the extremes are partly luck all the same: they say whom to listen to, not who is worst.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from data.listening import snr_db
from local.alignment import EditCounts
from local.compare import BRANCHES, Line, edits_of

Bucket = dict[str, Any]
Edits = dict[str, EditCounts]  # by branch

SECONDS = (0, 2, 4, 8, 15, 30)
SNR_DB = (0, 5, 10, 15, 20, 25)
LOST_PERCENT = (0, 1, 2, 5, 10)
LEAST_UNITS, EXTREMES = 50, 5  # of a speaker; worst and best


def buckets(lines: Sequence[Line]) -> dict[str, list[Bucket]]:
    """The parts of a decoded set, those that its lines know of; none that is empty.

    A part is `name`, `utterances`, `ref` (units) and the CER of each branch in percent, None where there is none.
    """
    edits = [_edits(line) for line in lines]
    found = {name: _parts(map(place, lines), edits) for name, place in PLACES.items()}
    found["speaker"] = _extremes(found["speaker"])
    return {name: parts for name, parts in found.items() if parts}


def _between(edges: Sequence[int], unit: str, value: float | None) -> tuple[int, str] | None:
    """The place of a value among the edges, and the name of its part; None for none."""
    if value is None:
        return None
    place = bisect_right(edges, value)
    if place == 0:
        return place, f"below {edges[0]} {unit}"
    if place == len(edges):
        return place, f"{edges[-1]} {unit} and more"
    return place, f"{edges[place - 1]}-{edges[place]} {unit}"


def _drawn(line: Line, name: str) -> Any:
    return line.get("channel", {}).get(name)


def _lost(line: Line) -> tuple[int, str] | None:
    rate = _drawn(line, "loss_rate")
    return (0, "none") if rate == 0 else _between(LOST_PERCENT, "%", rate and 100 * rate)


def _named(name: str | None) -> tuple[str, str] | None:
    return (name, name) if name else None


PLACES: dict[str, Callable[[Line], tuple[Any, str] | None]] = {
    "duration": lambda line: _between(SECONDS, "s", line.get("seconds")),
    "snr_db": lambda line: _between(SNR_DB, "dB", snr_db(line.get("channel", {}))),
    "loss_rate": _lost,
    "profile": lambda line: _named(_drawn(line, "profile")),
    "speaker": lambda line: _named(line.get("speaker")),
}


def _edits(line: Line) -> Edits:
    return {branch: edits_of(line, branch) for branch in BRANCHES if branch in line}


def _parts(places: Any, edits: Sequence[Edits]) -> list[Bucket]:
    """In the order of their places."""
    members: dict[tuple[Any, str], list[Edits]] = {}
    for place, one in zip(places, edits, strict=True):
        if place is not None:
            members.setdefault(place, []).append(one)
    return [_bucket(name, members[order, name]) for order, name in sorted(members)]


def _bucket(name: str, members: list[Edits]) -> Bucket:
    sums = {branch: sum((one[branch] for one in members), EditCounts()) for branch in members[0]}
    rates = {branch: sums[branch].rate if branch in sums else None for branch in BRANCHES}
    return {"name": name, "utterances": len(members), "ref": sums["llm"].ref, **rates}


def _extremes(speakers: list[Bucket]) -> list[Bucket]:
    """Worst first."""
    ranked = sorted((one for one in speakers if one["ref"] >= LEAST_UNITS), key=lambda one: (-one["llm"], one["name"]))
    return ranked if len(ranked) <= 2 * EXTREMES else ranked[:EXTREMES] + ranked[-EXTREMES:]

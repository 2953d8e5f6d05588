"""CER by kind of speech: length, what the channel drew, speaker. A card a kind, a bar a part, the baseline's above it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from data.page_parts import count, table, words
from local.figures import points
from local.report.words import WORDS, note, tr
from local.tree import CALLS, TELEPHONE, Fields, Stage, Tree

MOST_BUCKETS = 12  # of a kind on the page


def buckets(tree: Tree) -> str:
    """A card a kind, of the calls and of the simulated ones."""
    cards = [] if tree.last is None else [*_cards(tree, CALLS, "group calls"), *_cards(tree, TELEPHONE, "group telephone")]
    if tree.last is None or not cards:
        return note("no buckets")
    return note("buckets explained", stage=tree.last.name) + f"<div class='plots two'>{''.join(cards)}</div>"


def _cards(tree: Tree, name: str, title: str) -> Iterator[str]:
    earlier = _parts(tree.baseline, name) if tree.baseline is not tree.last else {}
    for kind, parts in _parts(tree.last, name).items():
        heading = tr(f"bucket {kind}") if f"bucket {kind}" in WORDS else words(kind)
        caption = f"<figcaption><b>{heading}</b><span>{tr(title)}</span></figcaption>"
        warning = tr("speakers chosen", "p", "soft small") if kind == "speaker" else ""
        yield f"<figure class='card'>{caption}{_listed(parts, earlier.get(kind, []))}{warning}</figure>"


def _parts(stage: Stage | None, name: str) -> dict[str, list[Fields]]:
    """The buckets of a set, by kind."""
    return (stage.results["sets"].get(name, {}).get("buckets") or {}) if stage else {}


def _listed(parts: list[Fields], earlier: list[Fields]) -> str:
    before = {part["name"]: part for part in earlier}
    most = max([part.get("llm") or 0.0 for part in [*parts, *earlier]] + [1.0])
    rows = [_bucket(part, before.get(part["name"]), most) for part in parts[:MOST_BUCKETS]]
    more = note("and more", count=len(parts) - MOST_BUCKETS) if len(parts) > MOST_BUCKETS else ""
    return table(["", "", "%", tr("utterances")], rows, {1: "bars"}, "buckets") + more


def _bucket(part: Fields, before: Fields | None, most: float) -> list[str]:
    bars = [_bar((before or {}).get("llm"), most, "pale"), _bar(part.get("llm"), most, "")]
    return [bucket_name(part["name"]), "".join(bars), points(part.get("llm"), 1), count(part["utterances"])]


def bucket_name(name: str) -> str:
    """The words of local/buckets.py in both languages; figures, profiles and speakers as they are."""
    if found := re.fullmatch(r"below (.+)", name):
        return tr("below", edge=found[1])
    if found := re.fullmatch(r"(.+) and more", name):
        return tr("and above", edge=found[1])
    return tr("no loss") if name == "none" else words(name)


def _bar(rate: float | None, most: float, look: str) -> str:
    return "" if rate is None else f"<span class='share {look}' style='width:{100 * rate / most:.1f}%'></span>"

"""Where it is wrong: which characters are taken for which, and the utterances with the most errors, to listen to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from data.page_parts import count, words
from data.text import scored_units
from local.alignment import align
from local.report.sounds import LONGEST, paths_of, telephone_sound
from local.report.words import note, tr
from local.tree import CALLS, Fields, Tree

MOST_PAIRS = 30  # of each kind of error
MOST_WORST = 50
Pair = tuple[str | None, str | None]  # reference unit, hypothesis unit; None: nothing


@dataclass(frozen=True)
class Heard:
    """An utterance as the LLM of one stage wrote it."""

    line: Fields

    @cached_property
    def pairs(self) -> list[Pair]:
        return align(scored_units(self.line["ref"]), scored_units(self.line["llm"]))

    @cached_property
    def wrong(self) -> list[Pair]:
        return [pair for pair in self.pairs if pair[0] != pair[1]]

    @property
    def length(self) -> int:
        """Of the reference, in units."""
        return sum(ref is not None for ref, _ in self.pairs)


def last_heard(tree: Tree) -> list[Heard]:
    """All test calls, as the last stage that was scored wrote them."""
    return [Heard(line) for line in tree.last.decoded(CALLS).values()] if tree.last else []


# --- confusions ------------------------------------------------------------------------------------------


def confusions(tree: Tree, heard: Sequence[Heard]) -> str:
    """The most frequent substitutions, deletions and insertions."""
    if not (heard and tree.last):
        return note("no worst")
    wrong = Counter(pair for one in heard for pair in one.wrong)
    kinds = {
        "sub": [(pair, number) for pair, number in wrong.items() if None not in pair],
        "del": [(pair, number) for pair, number in wrong.items() if pair[1] is None],
        "ins": [(pair, number) for pair, number in wrong.items() if pair[0] is None],
    }
    cards = "".join(_confused(kind, found) for kind, found in kinds.items())
    return note("confusions explained", stage=tree.last.name) + f"<div class='plots three'>{cards}</div>"


def _confused(kind: str, found: Iterable[tuple[Pair, int]]) -> str:
    ordered = sorted(found, key=lambda item: (-item[1], str(item[0])))
    total = sum(number for _, number in ordered)
    items = "".join(_pair(kind, pair, number) for pair, number in ordered[:MOST_PAIRS]) or f"<li>{tr('none')}</li>"
    caption = f"<figcaption><b>{tr(kind)}</b><span>{count(total)}</span></figcaption>"
    return f"<figure class='card'>{caption}<ol class='pairs'>{items}</ol></figure>"


def _pair(kind: str, pair: Pair, number: int) -> str:
    said, written = (words(unit or "") for unit in pair)
    shown = f"{said} <i>→</i> {written}" if kind == "sub" else said or written
    return f"<li class='{kind}'><b lang='zh'>{shown}</b> <span>{count(number)}</span></li>"


# --- the worst -------------------------------------------------------------------------------------------


def worst(tree: Tree, heard: Sequence[Heard]) -> str:
    """The utterances with the most errors; of equals, the shorter ones first."""
    if not (heard and tree.last):
        return note("no worst")
    ordered = sorted(heard, key=lambda one: (-len(one.wrong), one.length, one.line["key"]))
    chosen = [one for one in ordered[:MOST_WORST] if one.wrong]
    before = tree.baseline.decoded(CALLS) if tree.baseline and tree.baseline is not tree.last else {}
    paths = {} if all("audio" in one.line for one in chosen) else paths_of(tree)
    cards = [_utterance(one, before.get(one.line["key"]), paths) for one in chosen]
    legend = " ".join(f"<i class='key {kind}'></i>{tr(kind)}" for kind in ("sub", "del", "ins"))
    explained = note("worst explained", count=len(chosen), stage=tree.last.name)
    return f"{explained}<p class='soft small'>{legend}</p><ol class='worst'>{''.join(cards)}</ol>"


def _utterance(one: Heard, before: Fields | None, paths: dict[str, str]) -> str:
    key = one.line["key"]
    facts = [tr("errors of", errors=len(one.wrong), ref=one.length), words(key)]
    facts += [words(one.line[name]) for name in ("speaker",) if name in one.line]
    earlier = f"<p class='soft'>{tr('baseline wrote', text=before['llm'] or '–')}</p>" if before else ""
    sound = _sound(key, one.line.get("audio") or paths.get(key, ""))
    return f"<li class='card'>{aligned(one.pairs)}{earlier}<p class='soft small'>{' · '.join(facts)}</p>{sound}</li>"


def aligned(pairs: Iterable[Pair]) -> str:
    """Reference above hypothesis, a column a unit; errors have the class of their kind. Read aloud, one after the other."""
    pairs = list(pairs)
    columns = "".join(_column(said, written) for said, written in pairs)
    said, written = (words("".join(unit or "" for unit in side)) for side in zip(*pairs, strict=True))
    aloud = f"<span class='aloud'>{tr('reference')}: <q lang='zh'>{said}</q> {tr('written')}: <q lang='zh'>{written}</q></span>"
    return f"<p class='aligned'>{aloud}<span aria-hidden='true' lang='zh'>{columns}</span></p>"


def _column(said: str | None, written: str | None) -> str:
    kind = "ins" if said is None else "del" if written is None else "sub" if said != written else ""
    look = f" class='{kind}'" if kind else ""
    return f"<span{look}><b>{words(said or '·')}</b><i>{words(written or '·')}</i></span>"


def _sound(key: str, named: str) -> str:
    found = telephone_sound(named) if named else None
    if found is None:
        return f"<p class='soft small'>{tr('sound gone')}</p>"
    sound, cut = found
    shortened = f"<p class='soft small'>{tr('sound cut', seconds=f'{LONGEST:g}')}</p>" if cut else ""
    return f"<audio controls preload='metadata' aria-label='{words(key)}' src='{sound}'></audio>{shortened}"

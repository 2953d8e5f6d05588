"""Edit counts and alignments between a reference and a hypothesis, both lists of scoring units.

Error rates are pooled: counts are added over a corpus and divided once, never a mean of rates. Every rate of
this package is in percent, as the gates of the stages are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True)
class EditCounts:
    """Substitutions, deletions and insertions against `ref` reference units; sums with `+`."""

    sub: int = 0
    dele: int = 0
    ins: int = 0
    ref: int = 0

    def __add__(self, other: EditCounts) -> EditCounts:
        return EditCounts(
            self.sub + other.sub, self.dele + other.dele, self.ins + other.ins, self.ref + other.ref
        )

    @property
    def errors(self) -> int:
        return self.sub + self.dele + self.ins

    @property
    def rate(self) -> float | None:
        """(S + D + I) / N in percent; None where there is no reference unit to be wrong about."""
        return percent(self.errors, self.ref)

    def asdict(self) -> dict[str, float | int | None]:
        """As results.json has it."""
        return {"cer": self.rate, "sub": self.sub, "del": self.dele, "ins": self.ins, "ref": self.ref}


def percent(part: float, whole: float) -> float | None:
    """None where there is nothing to divide by."""
    return 100.0 * part / whole if whole else None


def count_edits(ref: Sequence[str], hyp: Sequence[str]) -> EditCounts:
    """The fewest edits, each of cost 1, that make `hyp` of `ref`."""
    tags = [edit.tag for edit in Levenshtein.editops(ref, hyp)]
    return EditCounts(tags.count("replace"), tags.count("delete"), tags.count("insert"), len(ref))


def align(ref: Sequence[str], hyp: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """One alignment of minimum cost, as (reference unit, hypothesis unit); None is a missing counterpart."""
    pairs: list[tuple[str | None, str | None]] = []
    for step in Levenshtein.opcodes(ref, hyp):
        pairs += zip_longest(ref[step.src_start : step.src_end], hyp[step.dest_start : step.dest_end])
    return pairs


def marked(ref: Sequence[str], hyp: Sequence[str]) -> str:
    """The reference with every error in its place: `我要(取消->开通)套餐`; `*` stands for nothing."""
    parts = []
    for same, pairs in groupby(align(ref, hyp), key=lambda pair: pair[0] == pair[1]):
        left, right = ("".join(unit or "" for unit in side) for side in zip(*pairs, strict=True))
        parts.append(left if same else f"({left or '*'}->{right or '*'})")
    return "".join(parts)

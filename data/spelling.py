"""Words for people: a misspelt name is answered with the nearest known one, a single thing is told in the singular."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?` for the closest known name, or the list of all."""
    names = list(known)
    close = closest(name, names)
    return f"; did you mean {close}?" if close else f"; known: {', '.join(names)}"


def closest(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known name of which two neighbouring letters changed places, else the most alike by difflib's ratio, if so much."""
    names = list(known)
    swapped = {name[:at] + name[at : at + 2][::-1] + name[at + 2 :] for at in range(len(name) - 1)}
    found = [other for other in names if other in swapped] or difflib.get_close_matches(name, names, n=1, cutoff=likeness)
    return found[0] if found else None


def counted(number: int, noun: str) -> str:
    """`1 speaker`, `2,000 speakers`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")

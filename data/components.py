"""Two halves of a set of calls: no call is in both, nor, where they can be kept apart, a speaker.

What stays together has a name, and a name has its half by its hash: it keeps it when calls are added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable


class Groups:
    """Calls that share a speaker belong together, and so do those that share one with them, and so on."""

    def __init__(self, pairs: Iterable[tuple[str | None, str | None]]) -> None:
        """`pairs` of call and speaker, each once."""
        self._above: dict[tuple[str, str], tuple[str, str]] = {}
        for call, speaker in pairs:
            if call and speaker:
                self._join(("call", call), ("speaker", speaker))

    def of(self, call: str | None, speaker: str | None, key: str | None, line: int) -> str:
        """The first call of those that belong together; else the speaker, the key, the line."""
        if call:
            return self._first(("call", call))[1]
        return self._first(("speaker", speaker))[1] if speaker else key or str(line)

    def _first(self, node: tuple[str, str]) -> tuple[str, str]:
        """The least of all that belong together: a call, as "call" comes before "speaker"."""
        path = []
        while (above := self._above.get(node, node)) != node:
            path.append(node)
            node = above
        self._above.update(dict.fromkeys(path, node))
        return node

    def _join(self, one: tuple[str, str], other: tuple[str, str]) -> None:
        first, second = sorted((self._first(one), self._first(other)))
        self._above[second] = first


def of_call(call: str | None, speaker: str | None, key: str | None, line: int) -> str:
    """Each call by itself."""
    return call or key or str(line)


def halving(names: Iterable[str]) -> Callable[[str], int] | None:
    """Gives each name its half, 0 or 1, by its hash; where all of few names would have one half, by the order of hashes.

    None where there is only one name.
    """
    names = set(names)
    if len(names) < 2:
        return None
    if len(set(map(_half, names))) == 2:
        return _half
    later = set(sorted(names, key=_hash)[len(names) // 2 :])
    return lambda name: int(name in later)


def _half(name: str) -> int:
    return _hash(name)[0] & 1


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()

"""Two halves of a set of calls: no call is in both, nor, where they can be kept apart, a speaker."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


class Halves:
    """Calls that share a speaker belong together, and so do those that share one with them, and so on."""

    def __init__(self, pairs: Iterable[tuple[str | None, str | None]]) -> None:
        """`pairs` of call and speaker, each once."""
        self._above: dict[tuple[str, str], tuple[str, str]] = {}
        for call, speaker in pairs:
            if call and speaker:
                self._join(("call", call), ("speaker", speaker))

    def of(self, call: str | None, speaker: str | None, key: str | None, line: int) -> int:
        """0 or 1, by hash of the first call of those that belong together; else of the speaker, the key, the line."""
        if call:
            return _half(self._first(("call", call))[1])
        return _half(self._first(("speaker", speaker))[1] if speaker else key or str(line))

    def of_call(self, call: str | None, speaker: str | None, key: str | None, line: int) -> int:
        """The same for each call by itself."""
        return _half(call or key or str(line))

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


def _half(name: str) -> int:
    return hashlib.sha256(name.encode()).digest()[0] & 1

"""What must be remembered of every line of a corpus, in a few bytes: a number for a text.

Only 8 bytes of a text's hash are kept. Two different texts are taken for the same one with a probability of
n² / 2⁶⁵ among n of them: 3 in a million for ten million lines.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b

FULLEST = 2 / 3  # of the slots, before their number is doubled: 18 to 36 bytes a text


class Tally:
    """Numbers by text: a hash table with linear probing, 12 bytes a slot."""

    def __init__(self) -> None:
        self.most = 0  # the greatest count of all
        self._make_slots(1024)

    def get(self, text: str) -> int:
        """The number of a text; 0 where it has none."""
        return self._numbers[self._slot(_hash(text))]

    def note(self, text: str, number: int) -> int:
        """The number that a text has; 0 where it had none and now gets this one, 1 … 2³²-1."""
        key = _hash(text)
        before = self._numbers[self._slot(key)]
        if not before:
            self._put(key, number)
        return before

    def add(self, text: str) -> int:
        """Count a text; how often that makes it."""
        key = _hash(text)
        count = self._numbers[self._slot(key)] + 1
        self._put(key, count)
        self.most = max(self.most, count)
        return count

    def _make_slots(self, count: int) -> None:
        self._hashes = array("Q", bytes(8 * count))  # 0: free
        self._numbers = array("I", bytes(4 * count))
        self._used = 0

    def _slot(self, key: int) -> int:
        """Where a hash stands, or the free slot where it would."""
        mask = len(self._hashes) - 1
        slot = key & mask
        while self._hashes[slot] not in (0, key):
            slot = slot + 1 & mask
        return slot

    def _put(self, key: int, number: int) -> None:
        slot = self._slot(key)
        self._used += not self._hashes[slot]
        self._hashes[slot], self._numbers[slot] = key, number
        if self._used > FULLEST * len(self._hashes):
            self._grow()

    def _grow(self) -> None:
        pairs = zip(self._hashes, self._numbers, strict=True)
        self._make_slots(2 * len(self._hashes))
        for key, number in pairs:
            if key:
                self._put(key, number)


def _hash(text: str) -> int:
    """From 1 to 2⁶⁴-1; the same in every process, unlike `hash`."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") or 1

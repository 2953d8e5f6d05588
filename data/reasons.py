"""Why lines were rejected: how often each reason, and between which values where it is a bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


class Reasons:
    """Counts of pairs of reason and value."""

    def __init__(self, rejects: Iterable[tuple[str, float | str | None]] = ()) -> None:
        self.counts: Counter[str] = Counter()
        self.ranges: dict[str, tuple[float, float]] = {}
        for reason, value in rejects:
            self.add(reason, value)

    def add(self, reason: str, value: float | str | None) -> None:
        self.counts[reason] += 1
        if isinstance(value, float):
            low, high = self.ranges.get(reason, (value, value))
            self.ranges[reason] = min(low, value), max(high, value)

    def __str__(self) -> str:
        """`rejected 3 (annotation_error: 2, bad_json: 1)`, most frequent first."""
        ordered = Counter(dict(sorted(self.counts.items()))).most_common()
        reasons = ", ".join(f"{reason}: {count}" for reason, count in ordered)
        return f"rejected {self.counts.total()}" + (f" ({reasons})" if reasons else "")

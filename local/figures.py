"""Figures as people read them. Standard library only."""

from __future__ import annotations


def points(rate: float | None, digits: int = 2) -> str:
    """A rate in percent, or a difference of two: `12.35`; `n/a` where there was nothing to divide by."""
    return "n/a" if rate is None else f"{rate:.{digits}f}"


def in_percent(rate: float | None) -> str:
    """`12.35 %`."""
    return "n/a" if rate is None else f"{points(rate)} %"


def clock(seconds: float) -> str:
    """h:mm:ss"""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def size(count: int) -> str:
    """Bytes: `1,234.5 GB`, `63 MB`, `8 kB`."""
    for unit, bytes_a_unit in (("GB", 1e9), ("MB", 1e6)):
        if count >= bytes_a_unit:
            return f"{count / bytes_a_unit:,.{int(unit == 'GB')}f} {unit}"
    return f"{count / 1e3:.0f} kB"

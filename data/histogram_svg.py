"""A histogram as inline SVG: bars, the median, axes with figures and units. Its colours come from the page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 36, 10, 26, 40  # around the bars
FLOOR = HEIGHT - BOTTOM
ACROSS, UP = 5, 4  # figures at an axis, about


def histogram(found: dict[str, Any], title: str) -> str:
    """`found` as `corpus_report.summarise` gives it: unit, median, histogram.edges and .counts."""
    edges, counts = found["histogram"]["edges"], found["histogram"]["counts"]
    unit = escape(found["unit"])
    parts = [*_scale(max(counts)), *_bars(edges, counts, unit), *_axis(edges, unit)]
    if edges[0] <= found["median"] <= edges[-1]:
        x = _across(found["median"], edges)
        parts.append(f'<line class="median" x1="{x}" x2="{x}" y1="{TOP}" y2="{FLOOR}"/>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def round_figures(low: float, high: float, about: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten from `low` to `high`, at most one more than `about`."""
    power = 10 ** math.floor(math.log10((high - low) / about))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * about >= 0.999 * (high - low))
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [round(number * step, 9) for number in range(first, last + 1)]


def figure(value: float) -> str:
    """As many digits as it takes, and a true minus: 0.25, −3.5, 12."""
    return np.format_float_positional(round(value, 4) + 0.0, trim="-").replace("-", "−")


def _bars(edges: list[float], counts: list[int], unit: str) -> Iterator[str]:
    for first, last, count in zip(edges, edges[1:], counts, strict=False):
        if not count:
            continue
        left, right, top = _across(first, edges), _across(last, edges), _up(count, max(counts))
        says = f"<title>{figure(first)} to {figure(last)} {unit}: {count:,}</title>"
        size = f'width="{max(0.5, right - left - 1):.1f}" height="{FLOOR - top:.1f}"'
        yield f'<rect class="bar" x="{left}" y="{top}" {size} rx="1">{says}</rect>'


def _scale(most: int) -> Iterator[str]:
    for count in round_figures(0, most, UP):
        if count != int(count):
            continue
        y = _up(count, most)
        yield f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(int(count))}</text>'
    yield '<text x="0" y="10">utterances</text>'


def _axis(edges: list[float], unit: str) -> Iterator[str]:
    for value in round_figures(edges[0], edges[-1], ACROSS):
        yield f'<text x="{_across(value, edges)}" y="{FLOOR + 16}" text-anchor="middle">{figure(value)}</text>'
    yield f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 5}" text-anchor="middle">{unit}</text>'


def _across(value: float, edges: list[float]) -> float:
    share = (value - edges[0]) / (edges[-1] - edges[0])
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _up(count: float, most: int) -> float:
    return round(FLOOR - count / most * (FLOOR - TOP), 1)


def _short(count: int) -> str:
    """12345 to 12.3k: what fits beside an axis."""
    for size, letter in ((10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)

"""Loss, CER and learning rate of every stage as inline SVG; colours come from the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from data.histogram_svg import figure, round_figures
from data.page_parts import count, words
from local.report.words import note, tr
from local.tree import Stage, Tree

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 40, 10, 12, 40  # around the curves
FLOOR = HEIGHT - BOTTOM
ACROSS, UP = 4, 4  # figures at an axis, about
MOST_POINTS = 200  # of a curve: what a few hundred dots across can show
MOST_DOTS = 60
CURVES = (  # title, then (kind of line in metrics.jsonl, value, class of the curve, its name)
    ("curve loss", (("train", "total", "thin", "train"), ("dev", "total", "llm", "dev"))),
    ("curve cer", (("dev", "cer_llm", "llm", "LLM"), ("dev", "cer_ctc", "ctc", "CTC"))),
    ("curve lr", (("train", "lr", "llm", "lr"),)),
)
Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """Points from left to right, with the class that colours them and what they are called."""

    points: list[Point]
    look: str
    name: str


def curves(tree: Tree) -> str:
    """A row of plots a stage that was trained."""
    cards = [card for stage in tree.stages.values() for card in _stage(stage)]
    if not cards:
        return note("no curves")
    return note("curves explained") + f"<div class='plots three'>{''.join(cards)}</div>"


def _stage(stage: Stage) -> Iterator[str]:
    for title, members in CURVES:
        found = [Curve(points_of(stage.metrics, kind, value), look, name) for kind, value, look, name in members]
        shown = [curve for curve in found if curve.points]
        if shown:
            keys = " ".join(f"<i class='key {curve.look}'></i>{_named(curve.name)}" for curve in shown)
            name = f"{stage.name}-{title.split()[1]}"
            caption = f"<figcaption id='{name}'><b>{tr(f'stage {stage.name}')} · {tr(title)}</b><span>{keys}</span></figcaption>"
            yield f"<figure class='card'>{caption}{plot(shown, name)}</figure>"


def _named(name: str) -> str:
    return tr(f"key {name}") if name in ("train", "dev") else words(name)


def points_of(metrics: Sequence[dict[str, Any]], kind: str, value: str) -> list[Point]:
    """(update, value) of the lines of one kind; NaN, as of updates that were skipped, has no place on a plot."""
    lines = (line for line in metrics if line["kind"] == kind and value in line)
    found = [(float(line["update"]), float(line[value])) for line in lines]
    return thinned([point for point in found if math.isfinite(point[1])])


def thinned(points: list[Point]) -> list[Point]:
    """At most MOST_POINTS: means of neighbours, but the first and the last as they are."""
    size = math.ceil(len(points) / MOST_POINTS)
    if size <= 1:
        return points
    inner = points[1:-1]
    parts = [inner[start : start + size] for start in range(0, len(inner), size)]
    means = [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]
    return [points[0], *means, points[-1]]


def plot(shown: Sequence[Curve], label: str) -> str:
    """One plot from zero up; `label` is the id of what names it."""
    right = max(x for curve in shown for x, _ in curve.points) or 1.0
    top = max(y for curve in shown for _, y in curve.points) or 1.0
    parts = [*_scale(top), *_axis(right)]
    for curve in shown:
        places = [(_across(x, right), _up(y, top)) for x, y in curve.points]
        line = " ".join(f"{x},{y}" for x, y in places)
        parts.append(f'<polyline class="curve {curve.look}" points="{line}"/>')
        if len(places) <= MOST_DOTS:
            parts += [_dot(curve, place, point) for place, point in zip(places, curve.points, strict=True)]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{label}">{"".join(parts)}</svg>'


def _dot(curve: Curve, place: Point, point: Point) -> str:
    says = f"<title>{count(round(point[0]))}: {words(curve.name)} {_short(point[1])}</title>"
    small = "1.6" if curve.look == "thin" else "2.6"
    return f'<circle class="dot {curve.look}" cx="{place[0]}" cy="{place[1]}" r="{small}">{says}</circle>'


def _scale(top: float) -> Iterator[str]:
    for value in round_figures(0, top, UP):
        y = _up(value, top)
        yield f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>'


def _axis(right: float) -> Iterator[str]:
    for value in round_figures(0, right, ACROSS):
        yield f'<text x="{_across(value, right)}" y="{FLOOR + 16}" text-anchor="middle">{_thousands(value)}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield tr("updates", "text", more=f' x="{middle}" y="{HEIGHT - 5}" text-anchor="middle"')


def _across(value: float, right: float) -> float:
    return round(LEFT + value / right * (WIDTH - LEFT - RIGHT), 1)


def _up(value: float, top: float) -> float:
    return round(FLOOR - max(value, 0.0) / top * (FLOOR - TOP), 1)


def _short(value: float) -> str:
    """0.0004 is 4e-4: a learning rate has no room for its noughts."""
    if value and abs(value) < 0.01:
        mantissa, power = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(power)}".replace("-", "−")
    return figure(round(value, 3))


def _thousands(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else figure(value)

"""Figures of a benchmark as records for programs, and as Markdown tables for README."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.benchmark.stopwatch import Timings

Record = dict[str, Any]  # `table` and `name`, then its figures
Columns = Mapping[str, tuple[str, Callable[[Any], str]]]  # title -> the figure that stands there, and how it is written

NOTHING = "-"
RACE: Columns = {
    "× real time": ("times_real_time", "{:,.0f}".format),
    "CPU-s an audio hour": ("cpu_seconds_an_hour", "{:.2f}".format),
    "× real time by the clock": ("times_real_time_by_clock", "{:,.0f}".format),
    "speed : ours": ("speed_to_ours", "{:.3g}".format),
}


@dataclass(frozen=True)
class Outcome:
    """Lines for people, and groups of records with the columns of their tables, each under its name in the JSON."""

    said: list[str]
    groups: dict[str, tuple[list[Record], Columns]]


def results(timings: Timings, seconds: float, by: str = "cpu") -> list[Record]:
    """One record a contestant, the first of all being ours; `seconds` of audio were in each pass.

    Speeds are held against ours `by` CPU time or by the clock. What is not installed has its title and name only.
    """
    ours = next(iter(timings.values()))
    assert ours is not None
    records: list[Record] = []
    for (title, name), timing in timings.items():
        record: Record = {"table": title, "name": name}
        if timing:
            record |= {
                "times_real_time": seconds / timing.cpu,
                "cpu_seconds_an_hour": 3600 * timing.cpu / seconds,
                "times_real_time_by_clock": seconds / timing.clock,
                "speed_to_ours": getattr(ours, by) / getattr(timing, by),
            }
        records.append(record)
    return records


def tables(records: Sequence[Record], columns: Columns = RACE) -> Iterator[str]:
    """Lines of one Markdown table a title."""
    for title in dict.fromkeys(record["table"] for record in records):
        rows = [[record["name"], *_cells(record, columns)] for record in records if record["table"] == title]
        yield from ("", *grid([title, *columns], rows))


def _cells(record: Record, columns: Columns) -> list[str]:
    """A figure that is missing is a dash; a contestant that has none at all says why in its first cell."""
    cells = [NOTHING if record.get(figure) is None else write(record[figure]) for figure, write in columns.values()]
    if all(cell == NOTHING for cell in cells):
        cells[0] = record.get("why", "not installed")
    return cells


def grid(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Lines of a Markdown table, padded to even columns; all but the first are numbers."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    for first, *others in (head, rule, *rows):
        yield "| " + " | ".join([first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]) + " |"

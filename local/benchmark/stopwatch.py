"""Contestants race over the same utterances, round after round; the best round of each counts."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

WARM_UP = 2  # utterances before the first round: imports, tables, the page cache

Work = Callable[[int], object]  # does its part of the utterance of that number


@dataclass(frozen=True)
class Contestant:
    """Something to be timed; `work` is None where it is not installed."""

    name: str
    work: Work | None


@dataclass(frozen=True)
class Timing:
    """Seconds for one pass over the utterances: of CPU, and by the clock."""

    cpu: float
    clock: float


Groups = dict[str, list[Contestant]]  # by the title of their table
Timings = dict[tuple[str, str], Timing | None]  # by title and name; None: not installed


def race(
    groups: Groups, utterances: int, rounds: int, tidy: Callable[[], object], warm_up: int = WARM_UP, by: str = "cpu"
) -> Timings:
    """The best round of every contestant `by` CPU time or the clock. `tidy` is called, untimed, before each pass."""
    best: Timings = {}
    for number in range(rounds + 1):
        for title, contestants in groups.items():
            for contestant in contestants:
                tidy()
                timing = _one_pass(contestant.work, utterances if number else warm_up)
                known = best.get((title, contestant.name)) if number > 1 else None
                better = known if known and timing and getattr(known, by) <= getattr(timing, by) else timing
                best[title, contestant.name] = better
    return best


def _one_pass(work: Work | None, utterances: int) -> Timing | None:
    if work is None:
        return None
    cpu, clock = _cpu_seconds(), time.perf_counter()
    for number in range(utterances):
        work(number)
    return Timing(_cpu_seconds() - cpu, time.perf_counter() - clock)


def _cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    uses = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)

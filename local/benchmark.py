#!/usr/bin/env python3
"""How fast: Markdown tables for README, measured on this machine in one run.

    python -m local.benchmark channel [--json FILE]

channel   the telephone channel beside what others do of it, then what it costs in training, then its steps

One process, one thread. Contestants take turns, round after round; the best round of each counts. Speed goes
by CPU time, that of child processes included, so that a busy neighbour changes little; the clock stands
beside it. Audio is made for the purpose in a temporary folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/benchmark.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

from data.errors import run
from data.files import write_text
from data.one_core import settle_on_one_core
from data.options import positive
from local.stopwatch import Timings, race

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
COLUMNS = ("× real time", "CPU-s an audio hour", "× real time by the clock", "speed : ours")

def results(timings: Timings, seconds: float) -> list[dict[str, Any]]:
    """One record a contestant, the first of all being ours; `seconds` of audio were in each pass.

    What is not installed has its title and name only.
    """
    ours = next(iter(timings.values()))
    assert ours is not None
    records: list[dict[str, Any]] = []
    for (title, name), timing in timings.items():
        record: dict[str, Any] = {"table": title, "name": name}
        if timing:
            record |= {
                "times_real_time": seconds / timing.cpu,
                "cpu_seconds_an_hour": 3600 * timing.cpu / seconds,
                "times_real_time_by_clock": seconds / timing.clock,
                "speed_to_ours": ours.cpu / timing.cpu,
            }
        records.append(record)
    return records


def tables(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Lines of one Markdown table a title."""
    for title in dict.fromkeys(record["table"] for record in records):
        rows = [_cells(record) for record in records if record["table"] == title]
        yield from ("", *grid([title, *COLUMNS], rows))


def _cells(record: dict[str, Any]) -> list[str]:
    if "times_real_time" not in record:
        return [record["name"], "not installed", "-", "-", "-"]
    return [
        record["name"],
        f"{record['times_real_time']:,.0f}",
        f"{record['cpu_seconds_an_hour']:.2f}",
        f"{record['times_real_time_by_clock']:,.0f}",
        f"{record['speed_to_ours']:.3g}",
    ]


def grid(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Lines of a Markdown table, padded to even columns; all but the first are numbers."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    for first, *others in (head, rule, *rows):
        yield "| " + " | ".join([first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]) + " |"


def machine() -> dict[str, str]:
    """Names of what the figures depend on."""
    versions = {name: metadata.version(name) for name in ("numpy", "soxr")}
    return {"cpu": _cpu_name(), "python": platform.python_version()} | versions


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def channel(args: argparse.Namespace) -> int:
    """Time the telephone channel and its rivals, print, and write the JSON."""
    from local import benchmark_channel  # with numpy, which counts its threads when it is imported

    settle_on_one_core()  # as every worker does
    with tempfile.TemporaryDirectory() as folder:
        bench = benchmark_channel.prepare(Path(folder), args.utterances)
        timings = race(bench.groups(), args.utterances, args.rounds, bench.tidy)
    here, seconds = machine(), benchmark_channel.SECONDS
    records = results(timings, seconds * args.utterances)
    print(", ".join(f"{name} {value}" for name, value in here.items()))
    print(f"{args.utterances} utterances of {seconds} s, best of {args.rounds} rounds, one thread, by CPU time")
    print("\n".join(tables(records)))
    if args.json:
        settings = {"machine": here, "utterances": args.utterances, "seconds": seconds, "rounds": args.rounds}
        write_text(args.json, json.dumps(settings | {"rows": records}, ensure_ascii=False, indent=1) + "\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("channel", help="the telephone channel")
    command.add_argument("--utterances", type=positive, default=40, metavar="N")
    command.add_argument("--rounds", type=positive, default=7, metavar="N")
    command.add_argument("--json", type=Path, metavar="FILE", help="the same figures for programs")
    command.set_defaults(run=channel)
    args = parser.parse_args(argv)
    os.environ.update(dict.fromkeys(THREADS, "1"))
    return args.run(args)


if __name__ == "__main__":
    raise SystemExit(run(main))

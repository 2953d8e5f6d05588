#!/usr/bin/env python3
"""How fast: Markdown tables for README, measured on this machine in one run.

    python -m local.benchmark lines|channel [--json FILE]
    python -m local.benchmark input|train|decode --size mini|full [--device cpu|cuda] [--json FILE]

lines     manifests of each form, read, judged by their text and planned; their sound is not opened
channel   the telephone channel beside what others do of it, then what it costs in training, then its steps
input     files on disk to batches, beside FunASR's dataset, then its parts
train     each stage's updates, beside FunASR's trainer; on a GPU also whether bf16 learns as fp32 does
decode    files on disk to texts, beside FunASR's generate

Contestants take turns, round after round; the best round of each counts. Without a GPU speed goes by CPU time, that of
child processes included, so that a busy neighbour changes little; the clock stands beside it. With one it goes by the
clock, and the device is waited for. Models have random weights: `mini` is the small architecture of the built-in
experiment, `full` the released one. Audio is made for the purpose in a temporary folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/benchmark`: the top folder, not this one, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import argparse
import json
import logging
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from typing import Any

from data.errors import UserError, run
from data.files import write_text
from data.one_core import keep_freed_memory, settle_on_one_core
from data.options import positive
from local.benchmark.stopwatch import race
from local.benchmark.tables import RACE, Outcome, results, tables

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
STAGES = (1, 2, 3)


def machine(*packages: str) -> dict[str, str]:
    """Names of what the figures depend on."""
    versions = {name: metadata.version(name) for name in packages}
    return {"cpu": _cpu_name(), "python": platform.python_version()} | versions


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def report(path: Path | None, here: dict[str, str], settings: dict[str, Any], outcome: Outcome) -> None:
    """Print an outcome; write it as JSON, with the machine and the settings that it depends on."""
    print(", ".join(f"{name} {value}" for name, value in here.items()))
    print("\n".join(outcome.said))
    for records, columns in outcome.groups.values():
        print("\n".join(tables(records, columns)))
    if path:
        figures = {name: records for name, (records, _) in outcome.groups.items()}
        content = {"machine": here} | settings | {"said": outcome.said} | figures
        write_text(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def channel(args: argparse.Namespace) -> int:
    """Time the telephone channel and its rivals, print, and write the JSON."""
    os.environ.update(dict.fromkeys(THREADS, "1"))
    from local.benchmark import channel as of_channel  # with numpy, which counts its threads when it is imported

    settle_on_one_core()  # as every worker does
    with tempfile.TemporaryDirectory() as folder:
        bench = of_channel.prepare(Path(folder), args.utterances)
        timings = race(bench.groups(), args.utterances, args.rounds, bench.tidy)
    seconds = of_channel.SECONDS
    records = results(timings, seconds * args.utterances)
    settings = {"utterances": args.utterances, "seconds": seconds, "rounds": args.rounds}
    said = [f"{args.utterances} utterances of {seconds} s, best of {args.rounds} rounds, one thread, by CPU time"]
    report(args.json, machine("numpy", "soxr"), settings, Outcome(said, {"rows": (records, RACE)}))
    return 0


def lines(args: argparse.Namespace) -> int:
    """Time what stage 0 does with the text of a manifest, print, and write the JSON."""
    from local.benchmark import lines as of_lines

    with tempfile.TemporaryDirectory() as folder:
        records = of_lines.measure(Path(folder), args.lines, args.rounds)
    said = [f"{args.lines:,} lines of each form, best of {args.rounds} rounds, one process"]
    outcome = Outcome(said, {"rows": (records, of_lines.COLUMNS)})
    report(args.json, machine("numpy"), {"lines": args.lines, "rounds": args.rounds}, outcome)
    return 0


def with_model(args: argparse.Namespace) -> int:
    """Make a model with random weights, measure with it what the command says, print, and write the JSON."""
    import torch  # takes seconds, and the channel needs none of it

    from local.benchmark import model

    measure = import_module(f"local.benchmark.{args.command}").measure
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda, but torch reaches no GPU: python local/devices.py verify says why")
    logging.disable(logging.WARNING)  # FunASR tells of every part that it builds
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))  # as in a training of one process
    if args.device == "cpu":
        keep_freed_memory()  # so too
    with tempfile.TemporaryDirectory(prefix="benchmark_") as folder:
        model.write_model(Path(folder) / "model", args.size)
        outcome = measure(args, Path(folder) / "model", Path(folder))
    here = machine("numpy", "torch", "funasr", "transformers") | {"threads": str(torch.get_num_threads())}
    if args.device == "cuda":
        here = {"gpu": torch.cuda.get_device_name()} | here
    settings = {name: value for name, value in vars(args).items() if name not in ("run", "json")}
    report(args.json, here, settings, outcome)
    return 0


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")

    def command(name: str, text: str, work: Callable[[argparse.Namespace], int], rounds: int) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text)
        added.add_argument("--rounds", type=positive, default=rounds, metavar="N")
        added.add_argument("--json", type=Path, metavar="FILE", help="the same figures for programs")
        added.set_defaults(run=work)
        if work is with_model:
            added.add_argument("--size", choices=("mini", "full"), required=True)
            added.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
        return added

    one = command("lines", "the text of manifests", lines, 3)
    one.add_argument("--lines", type=positive, default=50_000, metavar="N", help="of each form")
    one = command("channel", "the telephone channel", channel, 7)
    one.add_argument("--utterances", type=positive, default=40, metavar="N")
    one = command("input", "files to batches", with_model, 3)
    one.add_argument("--batches", type=positive, default=16, metavar="N", help="of an epoch")
    one.add_argument("--workers", type=positive, metavar="N", help="loader processes (default: as conf/ has them)")
    one = command("train", "updates of each stage", with_model, 3)
    one.add_argument("--updates", type=positive, default=10, metavar="N", help="timed in an epoch")
    one.add_argument("--stages", type=int, nargs="+", choices=STAGES, default=STAGES)
    agreement = "updates of the first stage in bf16 and in fp32 (default: 200 on a GPU, else none)"
    one.add_argument("--agreement", type=int, metavar="N", help=agreement)
    one = command("decode", "files to texts", with_model, 3)
    one.add_argument("--batches", type=positive, default=2, metavar="N", help="of ours")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run one benchmark."""
    args = arguments(argv)
    return args.run(args)


if __name__ == "__main__":
    raise SystemExit(run(main))

"""What one result buys over another, with its interval: `python local/compare.py FOLDER BASELINE [FOLDER BASELINE …]`.

Folders are those of stages, with decode/SET.jsonl in them; several pairs (runs of other seeds, say) are pooled. Prints
the CER of both sides and their paired difference for both branches, 95 % intervals by bootstrap over calls.
"""
from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/compare.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
from collections.abc import Hashable, Iterator

from data.errors import UserError, run
from data.text import normalise, units
from local.alignment import EditCounts, count_edits
from local.bootstrap import difference_interval, rate_interval

BRANCHES = {"llm": "LLM", "ctc": "CTC"}
Line = dict[str, str]


def read_decoded(folder: Path, name: str) -> dict[str, Line]:
    """The decoded lines of a set by key. Raises UserError when there are none."""
    path = folder / "decode" / f"{name}.jsonl"
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {line["key"]: line for line in lines}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a scored stage has it") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: is no file of decoded lines; score the stage again") from None


def paired(folder: Path, baseline: Path, name: str) -> Iterator[tuple[Hashable, Line, Line]]:
    """Call (else key) and both lines of each utterance. Raises UserError when they are not the same utterances."""
    here, there = read_decoded(folder, name), read_decoded(baseline, name)
    for key, line in here.items():
        other = there.get(key)
        if other is None or other["ref"] != line["ref"]:
            raise UserError(f"{baseline}: has not the utterance {key} of {folder}: score both on the same set")
        yield (str(folder), call_of(line)), line, other
    if len(there) > len(here):
        raise UserError(f"{folder}: lacks {len(there) - len(here)} utterances of {baseline}: score both on the same set")


def compare(pairs: list[tuple[Path, Path]], name: str) -> Iterator[str]:
    """A line a branch."""
    rows = [row for folder, baseline in pairs for row in paired(folder, baseline, name)]
    groups = [group for group, _, _ in rows]
    for branch, title in BRANCHES.items():
        edits, before = ([edits_of(line, branch) for line in side] for side in list(zip(*rows, strict=True))[1:])
        yield (f"{name} CER ({title}), %: {rate_interval(edits, groups)} against {rate_interval(before, groups)}, "
               f"difference {difference_interval(edits, before, groups)}")  # fmt: skip
    yield f"{len(rows)} utterances of {len(set(groups))} calls; 95 % intervals by bootstrap over calls"


def call_of(line: Line) -> str:
    """What an utterance is drawn with: its call, else itself."""
    return line.get("call", line["key"])


def edits_of(line: Line, branch: str) -> EditCounts:
    """The errors of one branch in one utterance."""
    return count_edits(*(units(normalise(line[side])) for side in ("ref", branch)))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER BASELINE")
    parser.add_argument("--set", default="calls_test", dest="name")
    arguments = parser.parse_args(argv)
    if len(arguments.folders) % 2:
        parser.error("folders come in pairs: FOLDER BASELINE")
    for line in compare(list(zip(arguments.folders[::2], arguments.folders[1::2], strict=True)), arguments.name):
        print(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))

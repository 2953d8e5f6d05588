"""What one result buys over another, with its interval: `python -m local.compare NEW OLD [NEW OLD …]`.

Folders are those of stages or of `python -m local.evaluate`, with decode/SET.jsonl in them; several pairs (runs of other
seeds, say) are pooled, and a call that all of them have heard is drawn as one, since it is as hard for each. Prints CER and,
where keywords were scored, KWER of both sides and their paired difference for the branches that both have, 95 % intervals by
bootstrap over calls; of keywords where all draws are alike, the exact bound of so many.
"""
from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/compare.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any

from data.errors import UserError, run
from data.text import scored_units
from local.alignment import EditCounts, count_edits, percent
from local.bootstrap import Ratio, noted, ratio_intervals
from local.figures import points
from local.keywords import exact_where_alike, spot_keywords

BRANCHES = {"llm": "LLM", "ctc": "CTC"}
Line = dict[str, Any]  # of decode/SET.jsonl


def read_decoded(folder: Path, name: str) -> dict[str, Line]:
    """The decoded lines of a set by key. Raises UserError when there are none."""
    path = folder / "decode" / f"{name}.jsonl"
    try:
        with path.open(encoding="utf-8") as content:  # a text may hold what str.splitlines() takes for the end of a line
            lines = {line["key"]: line for line in map(json.loads, content)}
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: no such file; give the folder of a scored stage, or of an evaluation") from None
    except (ValueError, KeyError, TypeError):
        lines = {}
    if not lines:
        raise UserError(f"{path}: is no file of decoded lines; score the stage again")
    return lines


def paired(folder: Path, baseline: Path, name: str) -> Iterator[tuple[str, Line, Line]]:
    """Call and both lines of each utterance. Raises UserError when they are not the same utterances.

    A call goes by the key of its first utterance: in another corpus its own name may be that of another call.
    """
    here, there = read_decoded(folder, name), read_decoded(baseline, name)
    first: dict[str, str] = {}
    for key, line in here.items():
        other = there.get(key)
        if other is None or other["ref"] != line["ref"]:
            raise UserError(f"{baseline}: has not the utterance {key} of {folder}: score both on the same set")
        yield first.setdefault(call_of(line), key), line, other
    if len(there) > len(here):
        raise UserError(f"{folder}: lacks {len(there) - len(here)} utterances of {baseline}: score both on the same set")


def compare(pairs: list[tuple[Path, Path]], name: str) -> Iterator[str]:
    """A line a branch for CER, and for KWER where there are keywords."""
    rows = [row for folder, baseline in pairs for row in paired(folder, baseline, name)]
    groups, *sides = map(list, zip(*rows, strict=True))
    keywords = keywords_of(pairs[0][0], name)
    for branch, title in BRANCHES.items():
        if not all(branch in line for side in sides for line in side):
            continue
        here, there = (errors_of(side, branch) for side in sides)
        yield f"{name} CER ({title}), %: {difference(here, there, groups)}"
        if keywords:
            here, there = (missed_of(side, branch, keywords) for side in sides)
            said = {line["key"]: count for line, count in zip(sides[0], here[1], strict=True)}  # several pairs are no more words
            yield f"{name} KWER ({title}), %: {difference(here, there, groups, int(sum(said.values())))}"
    yield f"{len(rows)} utterances of {len(set(groups))} calls; 95 % intervals by bootstrap over calls"


def difference(here: Ratio, there: Ratio, groups: list[str], keywords: int = 0) -> str:
    """Both rates, and what the first has more: of the same draws; of so many `keywords`, where it is those that are counted.

    A single call has no interval.
    """
    more = [one - other for one, other in zip(here[0], there[0], strict=True)]
    ratios = {"here": here, "there": there, "more": (more, here[1])}
    found = ratio_intervals(ratios, groups)
    if keywords:
        found = {name: exact_where_alike(one, keywords, -100.0 if name == "more" else 0.0) for name, one in found.items()}
    rate, before, change = (found[name] or pooled(*ratio) for name, ratio in ratios.items())
    return f"{rate} against {before}, difference {change}"


def pooled(part: Sequence[float], whole: Sequence[float]) -> str:
    """A rate without an interval."""
    return points(percent(sum(part), sum(whole)))


def errors_of(lines: list[Line], branch: str) -> Ratio:
    """Errors and units of each utterance."""
    edits = [edits_of(line, branch) for line in lines]
    return [one.errors for one in edits], [one.ref for one in edits]


def missed_of(lines: list[Line], branch: str, keywords: list[str]) -> Ratio:
    """Keywords missed and said in each utterance."""
    pairs = ((scored_units(line["ref"]), scored_units(line[branch])) for line in lines)
    spotted = spot_keywords(pairs, keywords)
    return [one.missed for one in spotted], [one.said.total() for one in spotted]


def keywords_of(folder: Path, name: str) -> list[str]:
    """The keywords with which a set was scored; none where it was scored without, or has no results.json."""
    path = folder / "results.json"
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))["sets"][name]["llm"]
    except (FileNotFoundError, KeyError):
        return []
    except ValueError:
        raise UserError(f"{path}: is not JSON; score the stage again") from None
    return [row["keyword"] for row in scores.get("keywords", {}).get("rows", [])]


def call_of(line: Line) -> str:
    """What an utterance is drawn with: its call, else itself."""
    return line.get("call") or line["key"]


def edits_of(line: Line, branch: str) -> EditCounts:
    """The errors of one branch in one utterance."""
    return count_edits(scored_units(line["ref"]), scored_units(line[branch]))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="NEW OLD")
    parser.add_argument("--set", default="calls_test", dest="name", help="calls_test, or another one that was decoded: guard …")
    arguments = parser.parse_args(argv)
    if len(arguments.folders) % 2:
        parser.error("folders come in pairs: NEW OLD")
    pairs = list(zip(arguments.folders[::2], arguments.folders[1::2], strict=True))
    for line in noted(compare(pairs, arguments.name)):
        print(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))

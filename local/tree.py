"""What an output folder holds of an experiment: whatever is there, in the results' form of today or an older one.

The one reader of finished work: for the table, the report, an export and its card. Imports neither torch nor funasr.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from data.errors import UserError
from data.text import scored_units
from local.bootstrap import Interval, difference_interval
from local.compare import call_of, edits_of, read_decoded
from local.experiment import STAGE_FOLDERS, TOP, Experiment, read_memory, shown_path

Fields = dict[str, Any]
HOME = Path("exp", "8k_telephone")
CONTROL = Path("controls", "stage1_clean")  # beside it
CALLS, TELEPHONE, GUARD = "calls_test", "telephone_test", "guard"


@dataclass(frozen=True, eq=False)  # each is itself: what is remembered of one is never that of an older reading
class Stage:
    """One scored folder: `name` is baseline, 1, 2, 3 or control. What is missing is empty."""

    name: str
    folder: Path

    @cached_property
    def results(self) -> Fields:
        return read_json(self.folder / "results.json")

    @cached_property
    def summary(self) -> Fields:
        return read_json(self.folder / "summary.json")

    @cached_property
    def mark(self) -> Fields:
        return read_json(self.folder / ".stage.json")

    @cached_property
    def metrics(self) -> list[Fields]:
        return list(read_lines(self.folder / "metrics.jsonl"))

    @cached_property
    def settings(self) -> str:
        """Its config.yaml, as text."""
        return _text(self.folder / "config.yaml")

    @cached_property
    def conf(self) -> Fields:
        """The same, read."""
        return yaml.safe_load(self.settings) or {}

    @cache  # noqa: B019  the few stages of one report live as long as it is made
    def decoded(self, name: str) -> dict[str, Fields]:
        """The decoded lines of a set by key; none where it was not decoded."""
        there = (self.folder / "decode" / f"{name}.jsonl").is_file()
        return read_decoded(self.folder, name) if there else {}

    def score(self, name: str, branch: str) -> Fields:
        """One SCORE of results.json."""
        return self.results.get("sets", {}).get(name, {}).get(branch) or {}


@dataclass(frozen=True)
class Tree:
    """An output folder."""

    root: Path
    stages: dict[str, Stage]  # those that were begun, in order
    control: Stage

    @cached_property
    def data(self) -> Fields:
        """Stage 0's figures."""
        return read_json(self.root / "data" / "report.json")

    @cached_property
    def data_mark(self) -> Fields:
        return read_json(self.root / "data" / ".stage.json")

    @cached_property
    def memory(self) -> Fields:
        """Its configuration, and the variables that were given."""
        return read_memory(self.root)

    @property
    def page(self) -> Path:
        return self.root / HOME / "report.html"

    @cached_property
    def scored(self) -> dict[str, Stage]:
        return {name: stage for name, stage in self.stages.items() if stage.results.get("sets")}

    @property
    def baseline(self) -> Stage | None:
        return self.scored.get("baseline")

    @property
    def last(self) -> Stage | None:
        """The newest stage that was scored; the baseline where it is the only one."""
        return next(reversed(self.scored.values()), None)

    def rows(self, name: str) -> Iterator[Fields]:
        """Rows of a set that stage 0 made, such as `real_8k_telephone/test`."""
        return read_lines(self.root / "data" / f"{name}.jsonl")


def load(folder: Path) -> Tree:
    """The experiment in an output folder, or in the `exp/8k_telephone` of one. Raises UserError where there is none."""
    folder = folder.resolve()
    for root in (folder, folder.parent.parent):
        if (root / HOME).is_dir() and folder in (root, root / HOME):
            return tree_of(root / HOME)
    first = Experiment(os.environ | {"OUTPUT_ROOT": shown_path(folder)}).command("0 3")
    raise UserError(f"{folder}: no stage has been trained or scored there yet; a first result comes from {first}")


def tree_of(home: Path) -> Tree:
    """The experiment whose stages have their folders in `home`, OUTPUT_ROOT/exp/8k_telephone."""
    stages = {name: Stage(name, home / room) for name, room in STAGE_FOLDERS.items()}
    begun = {name: stage for name, stage in stages.items() if stage.folder.is_dir()}
    return Tree(home.parents[1], begun, Stage("control", home.parent / CONTROL))


@cache
def difference(baseline: Stage | None, stage: Stage | None, name: str, branch: str) -> Interval | None:
    """Of the CER on a set to the baseline's on the same utterances, drawn by call; None where they do not compare."""
    now, before = (one.decoded(name) if one else {} for one in (stage, baseline))
    if not _comparable(now, before, branch):
        return None
    here, there = ([edits_of(lines[key], branch) for key in now] for lines in (now, before))
    return difference_interval(here, there, [call_of(line) for line in now.values()])


def _comparable(now: dict[str, Fields], before: dict[str, Fields], branch: str) -> bool:
    """Whether both have texts of this branch (a model may have no CTC) for the same utterances, and something was said."""
    alike = now.keys() == before.keys() and all(line["ref"] == before[key]["ref"] for key, line in now.items())
    known = all(branch in line for lines in (now, before) for line in lines.values())
    return alike and known and any(scored_units(line["ref"]) for line in now.values())


def read_json(path: Path) -> Fields:
    """A JSON object; empty where there is no file. Raises UserError when it is damaged."""
    try:
        found = json.loads(_text(path) or "{}")
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}): delete it and run its stage again") from None
    return found


def read_lines(path: Path) -> Iterator[Fields]:
    """JSON lines; none where there is no file. A last line that is still being written is not told."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}:{number}: is not JSON ({error}); mend or delete the line") from None


def found_file(named: str) -> Path:
    """A path as a row names it: relative ones count from the folder of the recipe."""
    return TOP / named


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""

"""An experiment whose stage 0 has run, at the smallest size: a model folder of links, and a few rows for each set."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from small_stage import MICRO

from data.manifest import write_rows
from data.prompt import DEFAULT_PROMPT
from local.devices import Choice
from local.experiment import Experiment

CPU = Choice("cpu", [], 1, "DEVICE=cpu")
SETS = (
    "real_8k_telephone/train", "real_8k_telephone/dev", "real_8k_telephone/test",
    "simulated_8k_telephone/train", "simulated_8k_telephone/dev",
)  # fmt: skip
Row = dict[str, Any]


def link_model(model_dir: Path, folder: Path, *left_out: str) -> Path:
    """A model folder made of links to another one's files."""
    folder.mkdir()
    for item in model_dir.iterdir():
        if item.name not in left_out:
            (folder / item.name).symlink_to(item)
    return folder


def split_rows(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows, divided among the sets; copies, to be changed at will."""
    share = len(rows) // len(SETS)
    return {name: copy.deepcopy(rows[share * n : share * (n + 1)]) for n, name in enumerate(SETS)}


def experiment_in(folder: Path, model: Path, sets: dict[str, list[Row]], **variables: str) -> Experiment:
    """The experiment of an output folder, with these rows written."""
    for name, rows in sets.items():
        write_rows(folder / "data" / f"{name}.jsonl", rows)
    micro = " ".join(MICRO)
    values = {
        "CONFIG": "conf/small.sh", "OUTPUT_ROOT": str(folder), "MODEL": str(model), "PROMPT": DEFAULT_PROMPT, "SEED": "1",
        "DEV_CAP": "2", "INIT": "trained", "NNODES": "1", "CONTROLS": "0", "STAGE1_SET": micro, "STAGE2_SET": micro,
        "STAGE3_SET": micro, "CALLS_TEST": "x", "ORIGINALS": "0",
    }  # fmt: skip
    return Experiment(values | variables)


@dataclass
class Look:
    """Call it to check the stages ahead of an experiment: whether they pass, and what is printed."""

    folder: Path
    model: Path
    rows: list[Row]
    capsys: Any

    def __call__(
        self, names: str = "1 2 3", model: Path | None = None, sets: dict[str, list[Row]] | None = None, **variables: str
    ) -> tuple[bool, str]:
        from local.preflight_stages import check
        from local.stages_ahead import StagesAhead

        experiment = experiment_in(self.folder, model or self.model, sets or split_rows(self.rows), **variables)
        passed = check(StagesAhead(experiment, names.split(), CPU))
        return passed, self.capsys.readouterr().out


def only_fault(answer: tuple[bool, str]) -> str:
    """The one line that says what is wrong."""
    passed, printed = answer
    faults = [line for line in printed.splitlines() if "✗" in line]
    assert not passed and len(faults) == 1, printed
    return faults[0]

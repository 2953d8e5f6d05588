"""Checks of what a run was asked for, before anything is made, and the first lines that it prints.

Standard library only.
"""

from __future__ import annotations

import fcntl
import re
import sys
import time
from pathlib import Path

from data.errors import UserError
from data.fragment import split_fragment
from local.devices import wishes
from local.experiment import STAGE_FILES, TOP, Experiment, shown_path
from local.keyword_file import keyword_lines

CHOICES = {
    "INIT": ("trained", "released"),
    "SIMULATE": ("", "offline", "online"),
    "CONTROLS": ("0", "1"),
    "KNOWN_SPEAKERS": ("0", "1"),
    "STORAGE": ("wav", "flac", "mu-law"),
    "ENGINE": ("local", "ray"),
}
NUMBERS = {
    "SEED": 0,
    "DEV_CAP": 1,
    "ORIGINALS": 0,
    "SILENCE": 0,
    "NNODES": 1,
    "NODE_RANK": 0,
    "MASTER_PORT": 1,
    "JOBS": 1,
}  # smallest value
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
PATIENCE = 20  # seconds: the last processes of a killed run notice by themselves


def check(experiment: Experiment, first: int, last: int) -> None:
    """Raise the one line for the first thing that is wrong with the request."""
    check_values(experiment)
    check_machines(experiment, first, last)
    check_model(experiment)
    check_keywords(experiment)
    if first == 0:
        check_corpora(experiment)
    if experiment.released and first in (1, 2) and last < 3:
        raise UserError("INIT=released leaves stages 1 and 2 out: ask for stage 3, or set INIT=trained")


def check_values(experiment: Experiment) -> None:
    """Words are known ones, numbers are numbers."""
    for name, known in CHOICES.items():
        if experiment[name] not in known:
            raise UserError(f"{name}={experiment[name]} is unknown; known: {', '.join(filter(None, known))}")
    wishes(experiment.values)
    for name in (f"STAGE{stage}_SET" for stage in STAGE_FILES):
        if odd := [word for word in experiment[name].split() if not word.startswith("++")]:
            raise UserError(f"{name}: {odd[0]} must read ++section.key=value")
    numbers = dict(NUMBERS)
    if experiment.built_in:
        numbers |= {name: 1 for name in experiment.values if name.startswith("MINI_")}
    if not re.fullmatch(r"0|1|0?\.\d+", experiment["NEGATIVE_RATE"]):
        raise UserError(f"NEGATIVE_RATE={experiment['NEGATIVE_RATE']} must lie between 0 and 1")
    for name, least in numbers.items():
        value = experiment[name]
        if not re.fullmatch(r"\d+", value) or int(value) < least:
            raise UserError(f"{name}={value} must be a whole number of at least {least}")


def check_machines(experiment: Experiment, first: int, last: int) -> None:
    """Several machines train one stage together; each of them is given the same command."""
    machines, rank = experiment.machines, int(experiment["NODE_RANK"])
    if rank >= machines:
        raise UserError(f"NODE_RANK={rank} must be below NNODES={machines}")
    if machines > 1 and (first != last or first == 0):
        raise UserError("with NNODES > 1 give one trained stage at a time (1 1, 2 2 or 3 3) on every machine")
    if machines > 1 and not experiment["MASTER_ADDR"]:
        raise UserError("with NNODES > 1 set MASTER_ADDR to the address of the machine with NODE_RANK=0")


def check_model(experiment: Experiment) -> None:
    """MODEL is a folder that holds a model, or can be a name on the hub."""
    name = experiment["MODEL"]
    folder = TOP / name
    if name and folder.is_dir():
        for part in ("config.yaml", "model.pt"):
            if not (folder / part).is_file():
                raise UserError(f"MODEL={name}: the folder has no {part}")
    elif not HUB_NAME.fullmatch(name):
        raise UserError(f"MODEL={name} is neither a folder nor a name on the model hub (owner/name)")


def check_keywords(experiment: Experiment) -> None:
    """The list can be read, where stage 0 does not make it itself."""
    path = TOP / experiment["KEYWORDS"]
    if experiment["KEYWORDS"] and not made_here(experiment, path):
        for _ in keyword_lines(path):
            return
        raise UserError(f"KEYWORDS={path} holds no keyword: write one a line, or leave it empty (KEYWORDS=)")


def made_here(experiment: Experiment, path: Path) -> bool:
    """Whether it is a file of the built-in experiment, which stage 0 writes."""
    return experiment.built_in and path.is_relative_to(experiment.root)


def check_corpora(experiment: Experiment) -> None:
    """Every corpus that stage 0 reads is named and there, but for those that it makes itself."""
    for name in experiment.corpora():
        path = TOP / experiment[name]
        if not experiment[name]:
            hint = " (or INIT=released, for calls only)" if name.startswith("GENERAL") and not experiment.released else ""
            raise UserError(
                f"{name} is empty: set it to a manifest in {experiment['CONFIG']} or the environment{hint}"
            )
        if not made_here(experiment, path) and not split_fragment(path)[0].exists():
            raise UserError(
                f"{name}={path} does not exist: set it in {experiment['CONFIG']} or the environment"
            )


def announce(experiment: Experiment, first: int, last: int) -> None:
    """The first lines: which experiment, and where. On stderr: stdout carries the list of stages."""
    built_in = " (built in, needs no data)" if experiment.built_in else ""
    where = shown_path(experiment.root)
    lines = [f"experiment  {experiment['CONFIG']}{built_in}, stages {first} to {last}, in {where}"]
    recalled = experiment["RECALLED"].split()
    given = [name for name in experiment["GIVEN"].split() if name not in recalled]
    for source, names in (("from the environment", given), ("as this folder remembers", recalled)):
        if names:
            lines.append(f"            {source}: {' '.join(f'{name}={experiment[name]}' for name in names)}")
    if experiment.released:
        lines.append(
            "            INIT=released: stage 3 starts from the released model, stages 1 and 2 are left out"
        )
    if not experiment["CALLS_TEST"]:
        lines.append("            no CALLS_TEST: the calls' dev set is divided by call into dev and test")
    if experiment.machines > 1:
        rank = f"{experiment['NODE_RANK']} of {experiment['NNODES']}"
        lines.append(f"            machine {rank}; the baseline is left out")
    print("\n".join(lines), file=sys.stderr)


def lock(descriptor: int, patience: float | None = None) -> int:
    """Hold the output folder while the calling shell, or a process that it started, keeps the file open."""
    deadline = time.monotonic() + (PATIENCE if patience is None else patience)
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return 0
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise UserError(
                    "another run is at work in this output folder: wait for it or end it"
                ) from None
            if not told:
                print("another run is at work in this output folder: waiting a moment", file=sys.stderr, flush=True)
                told = True
        time.sleep(0.5)

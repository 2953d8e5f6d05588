"""Where each stage stands, and what to type next: from marks, metrics.jsonl and results.json, at once.

Standard library only. It may be asked beside a training that is writing, after a kill, or of a folder that nobody touched.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass

from data.colour import Colour, paint
from data.errors import UserError
from local import footprints, marks
from local.experiment import STAGE_FILES, Experiment, shown_path
from local.figures import clock, size

UNKNOWN = "-"
HEAD = ("", "state", "update", "epoch", "loss", "best dev CER", "by CTC", "calls CER", "left", "disk")
COLOURS: dict[str, Colour] = {
    "not run yet": "dim",
    "finished": "green",
    "running": "cyan",
    "interrupted": "yellow",
    "incomplete": "yellow",
    "changed": "red",
}


@dataclass(frozen=True)
class Standing:
    """A stage: a state of COLOURS, the few words that follow it, and what is wrong where something is."""

    name: str
    state: str
    more: str = ""
    trouble: str = ""


def show(experiment: Experiment, names: list[str]) -> int:
    """The table of these stages, what is wrong with any, and the command that goes on."""
    standings = stand(experiment, names, footprints.is_held(experiment.root / ".lock"))
    total, disk = footprints.used(experiment.root, map(experiment.folder, names))
    place = next(parent for parent in (experiment.root, *experiment.root.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    print(f"{experiment['CONFIG']} in {shown_path(experiment.root)}: {size(total)} on disk, {size(free)} free")
    print_table([(one.state, cells(experiment, one, disk[experiment.folder(one.name)])) for one in standings])
    for one in standings:
        if one.trouble:
            print(one.trouble)
    if "changed" not in (one.state for one in standings):  # else the ways on have just been named
        print_next(next_command(experiment, standings))
    return 0


def stand(experiment: Experiment, names: list[str], running: bool) -> list[Standing]:
    """The state of each stage. While a run is at work, it is so on the first of those that are begun."""
    standings: list[Standing] = []
    for name in names:
        at_work = running and "running" not in (one.state for one in standings)
        standings.append(_standing(experiment, name, "running" if at_work else "interrupted"))
    return standings


def _standing(experiment: Experiment, name: str, begun: str) -> Standing:
    try:
        decision, mark = marks.decide(experiment, name), marks.read(experiment, name)
    except UserError as error:
        return Standing(name, "changed", trouble=str(error))
    if decision.verdict == "run":
        return Standing(name, "not run yet")
    if decision.verdict == "skip":
        return Standing(name, "finished", f" {mark['time']}")
    if mark["state"] == "finished":
        return Standing(name, "incomplete", trouble=f"{marks.title(name)} {decision.reason}")
    return Standing(name, begun, _doing(experiment, name))


def _doing(experiment: Experiment, name: str) -> str:
    """What a begun stage is at, where metrics.jsonl does not tell."""
    if name == "0":
        files = experiment.data_rows()
        shards = [footprints.shards_of(path) for path in files if not path.is_file()]
        parts = [f", {there} of {count} shards of the next" for there, count in shards if there][:1]
        return "".join([f", {len(files) - len(shards)} of {len(files)} files", *parts])
    scoring = name == "baseline" or (experiment.folder(name) / "model.pt").is_file()
    return ", scoring" if scoring else ""


def cells(experiment: Experiment, one: Standing, disk: int) -> tuple[str, ...]:
    """A row of the table."""
    folder = experiment.folder(one.name)
    known = footprints.training(folder / "metrics.jsonl", one.state == "running")
    left = None if one.more else known.left  # finished, or at something else
    return (
        marks.title(one.name),
        one.state + one.more,
        _of(known.update, known.updates),
        _of(known.epoch, _epochs(experiment, one.name)),
        _format(known.loss, ".3f"),
        _format(known.cer_llm, ".2f"),
        _format(known.cer_ctc, ".2f"),
        _format(footprints.calls_cer(folder / "results.json"), ".2f"),
        UNKNOWN if left is None else clock(left),
        size(disk) if disk else UNKNOWN,
    )


def _epochs(experiment: Experiment, name: str) -> float | None:
    """How many the stage has, by today's settings: they are those that it was begun with, or it says `changed`."""
    if name not in (*STAGE_FILES, "control"):
        return None
    try:
        return float(experiment.settings(name)["train_conf.max_epoch"])
    except ValueError:
        return None  # who trains says what is wrong with it


def _of(done: float | None, total: float | None) -> str:
    return UNKNOWN if done is None else f"{done:,.0f}" if total is None else f"{done:,.0f} of {total:,.0f}"


def _format(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)


def print_table(rows: list[tuple[str, tuple[str, ...]]]) -> None:
    """Aligned rows below HEAD, each with the state that gives its colour."""
    widths = [max(map(len, column)) for column in zip(HEAD, *(cells for _, cells in rows), strict=True)]
    for state, (name, told, *others) in [("", HEAD), *rows]:
        padded = told.ljust(widths[1])
        coloured = paint(padded, COLOURS[state], sys.stdout) if state else padded
        print("  ".join([name.ljust(widths[0]), coloured, *map(str.rjust, others, widths[2:])]))


def next_command(experiment: Experiment, standings: list[Standing], one_by_one: bool = False) -> str:
    """What to type next: to watch a run, to go on with a stage, or after all of them to see what came out, and to use it."""
    if running := [one.name for one in standings if one.state == "running"]:
        log = "stage0.log" if running[0] == "0" else "train.log"
        return f"tail -f {shown_path(experiment.folder(running[0]) / log)}"
    todo = [one.name for one in standings if one.state != "finished"]
    if not todo:
        return experiment.command("export" if (experiment.stages / "report.html").is_file() else "report")
    trained = [one.name for one in standings if one.name in STAGE_FILES]
    one_by_one |= experiment.machines > 1
    stage = todo[0] if todo[0].isdigit() else trained[0]  # brings the baseline before it and the control after it
    return experiment.command(f"{stage} {stage if one_by_one else 3}")


def print_next(command: str) -> None:
    """The last line of what people are told."""
    print(f"{paint('next:', 'bold', sys.stdout)} {command}", flush=True)

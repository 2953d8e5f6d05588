"""Which stage runs, goes on, is skipped or must stop, and why. Standard library only: it answers at once.

A stage's folder carries a mark: begun or finished, with the tables of what it is made from (settings,
inputs). A stage whose tables differ from today's is neither mixed nor thrown away: the run stops and names
what differs.

    stages.py recall            shell lines: which configuration, and the variables that were given before
    stages.py begin FIRST LAST  checks all that can be checked now, prints the stages to go through
    stages.py check FIRST LAST  the first thing that is wrong with the variables, if any
    stages.py remember          writes down which configuration and variables this output folder is made with
    stages.py lock FD           one run at a time in an output folder; FD stays open in the calling shell
    stages.py ask STAGE         exit 0: it has work; exit 10: it is finished; exit 1: it must not run, and why
    stages.py open STAGE        marks it begun
    stages.py close STAGE       marks it finished and notes what it hands on
    stages.py settings STAGE …  the YAML file of each trained stage, with the ++key=value words over it
    stages.py simulated         online or offline: who simulates the training speech
    stages.py rows              the row files that stage 0 makes, such as real_8k_telephone/train
    stages.py replays STAGE     the rows of which a stage replays some; an empty line where it replays none
    stages.py hotwords STAGE    the keyword file of which a stage gives lists; an empty line where it gives none
    stages.py status            where each stage stands (local/status.py)
    stages.py clean STAGE       removes what a stage made; `silence` the set in which nobody speaks, `scores` all scores
    stages.py command WORD …    the command line that does this in this output folder
    stages.py next FIRST LAST   what to type after a run of these stages
    stages.py final             the folder of the last trained stage, whose model is to be put into service
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/stages.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import os
import shutil

from data.colour import paint
from data.errors import UserError, run
from data.files import write_text
from local import experiment as experiments
from local import marks, request, status
from local.experiment import STAGE_FILES, Experiment, shown_path
from local.marks import Decision

SKIP = 10
ALL = ("0", "baseline", "1", "2", "3", "control")


def begin(experiment: Experiment, first: int, last: int) -> int:
    """Check the whole request, print the stages that the run goes through."""
    names = list(outlook(experiment, first, last))
    request.announce(experiment, first, last)
    print(" ".join(names))
    return 0


def outlook(experiment: Experiment, first: int, last: int) -> dict[str, Decision]:
    """The stages that a request goes through, and what is known today of each. Writes nothing.

    Raises:
        UserError: the first thing that is wrong with the request.
    """
    request.check(experiment, first, last)
    names = chosen(experiment, first, last)
    marks.require_predecessor(experiment, next(name for name in names if name.isdigit()))
    decisions: dict[str, Decision] = {}
    settled = True  # until a stage is going to make anew what the later ones start from
    for name in names:
        marks.refuse_changes(experiment, name, upstream=settled)
        if settled or not marks.read(experiment, name):
            decisions[name] = marks.decide(experiment, name)
        else:
            decisions[name] = Decision("continue", "made before, compared again once the stages before it are done")
        settled = settled and decisions[name].verdict == "skip"
    return decisions


def chosen(experiment: Experiment, first: int, last: int) -> list[str]:
    """The stages of FIRST..LAST in order, with the baseline before and the control after the trained ones."""
    names = [str(number) for number in range(first, last + 1)]
    if experiment.released:
        names = [name for name in names if name not in ("1", "2")]
    trained = [name for name in names if name != "0"]
    one_machine = experiment.machines == 1
    if trained and one_machine:
        names.insert(names.index(trained[0]), "baseline")
    if "1" in trained and one_machine and experiment["CONTROLS"] == "1":
        names.append("control")
    return names


def ask(experiment: Experiment, name: str) -> int:
    """Decide about one stage and say why."""
    marks.require_predecessor(experiment, name)
    decision = marks.decide(experiment, name)
    for note in decision.notes:
        print(f"   note: {note}", flush=True)
    heading = "control (stage 1 on clean audio)" if name == "control" else marks.title(name)
    told = "begins" if decision.verdict == "run" else decision.reason
    print(f"{paint(f'== {heading}:', 'bold', sys.stdout)} {told}", flush=True)
    return SKIP if decision.verdict == "skip" else 0


def open_stage(experiment: Experiment, name: str) -> int:
    """Mark a stage as begun: from now on its settings and inputs stand."""
    marks.write(experiment, name, "begun")
    return 0


def close_stage(experiment: Experiment, name: str) -> int:
    """Check that the stage left what it owes, note what it hands on, mark it as finished."""
    for path in marks.outputs(experiment, name):
        if not path.is_file() or path.stat().st_size == 0:
            raise UserError(f"{marks.title(name)} ended, but {shown_path(path)} is missing or empty")
    if name in STAGE_FILES:
        handed_on = shown_path(experiment.folder(name) / "model.pt") + "\n"
        write_text(experiment.checkpoint_note(name), handed_on)
        note_final(experiment)
    marks.write(experiment, name, "finished")
    return 0


def note_final(experiment: Experiment) -> None:
    """final_checkpoint.txt = what the last finished stage hands on; gone when there is none."""
    final = experiment.stages / "final_checkpoint.txt"
    notes = [note for note in map(experiment.checkpoint_note, ("3", "2", "1")) if note.is_file()]
    if notes:
        write_text(final, notes[0].read_text(encoding="utf-8"))
    else:
        final.unlink(missing_ok=True)


def tell_next(experiment: Experiment, one_by_one: bool) -> int:
    """The last line: the stages that are left, or the next one where somebody goes one by one."""
    standings = status.stand(experiment, chosen(experiment, 0, 3), running=False)
    status.print_next(status.next_command(experiment, standings, one_by_one))
    return 0


def final(experiment: Experiment) -> str:
    """The folder of the stage whose model the experiment ends with, so far; a note where today's settings would make another."""
    note = experiment.stages / "final_checkpoint.txt"
    if not note.is_file():
        raise UserError(f"no stage has been trained yet: {experiment.command('0 3')}")
    folder = Path(note.read_text(encoding="utf-8").strip()).parent
    try:
        marks.refuse_changes(experiment, next(name for name in STAGE_FILES if experiment.folder(name).name == folder.name))
    except UserError as error:
        print(f"{paint('note:', 'yellow', sys.stderr)} its model is taken as it is: {error}", file=sys.stderr)
    return str(folder)


def clean(experiment: Experiment, name: str) -> int:
    """Remove what a stage made. The others stay; those that started from it say so at their next run."""
    if not experiment.root.is_dir():
        raise UserError(f"nothing to clean: there is no {shown_path(experiment.root)}")
    with (experiment.root / ".lock").open("a") as file:
        request.lock(file.fileno(), patience=0)  # a run that ends in a moment would lose what it has just made
        for path in leavings(experiment, name):
            if path.exists():
                print(f"removing {shown_path(path)}")
                remove(path)
        note_final(experiment)
    for later in (stage for stage in STAGE_FILES if name in STAGE_FILES and stage > name and marks.read(experiment, stage)):
        note = paint("note:", "yellow", sys.stdout)
        print(f"{note} stage {later} started from it: it stops the next run, unless this one comes out the same")
    return tell_next(experiment, one_by_one=True)


def leavings(experiment: Experiment, name: str) -> list[Path]:
    """The files and folders that `clean` of a stage removes."""
    if name == "scores":
        folders = [experiment.folder(stage) for stage in ALL if stage != "0"]
        return [folder / part for folder in folders for part in ("results.json", "decode")]
    if name == "silence":
        return [experiment.rows(marks.SILENT).parent]
    extra = {"0": [experiment.root / "mini"], "baseline": [], "control": []}
    return [*extra.get(name, [experiment.checkpoint_note(name)]), experiment.folder(name)]


def remove(path: Path) -> None:
    """Remove a file or a folder; a folder leaves in one step, so that a kill leaves no half of it behind."""
    if path.is_file():
        path.unlink()
        return
    leaving = path.with_name(f".{path.name}.removed")
    shutil.rmtree(leaving, ignore_errors=True)
    path.rename(leaving)
    shutil.rmtree(leaving)


def settings(experiment: Experiment, names: list[str]) -> list[str]:
    """The words that local/config.py takes for these stages; those that train nothing have none."""
    trained = [name for name in names if name in STAGE_FILES]
    return [word for name in trained for word in (STAGE_FILES[name], *experiment.overrides(name))]


def print_lines(lines: list[str]) -> int:
    """For the shell to read."""
    print("\n".join(lines))
    return 0


def main(argv: list[str] | None = None) -> int:
    """The commands of the module's docstring, on the variables in the environment."""
    command, *words = sys.argv[1:] if argv is None else argv
    experiment = Experiment(os.environ)
    commands = {
        "recall": lambda: print_lines(experiments.recall(os.environ)),
        "begin": lambda: begin(experiment, int(words[0]), int(words[1])),
        "check": lambda: request.check(experiment, int(words[0]), int(words[1])),
        "remember": lambda: experiments.remember(experiment),
        "lock": lambda: request.lock(int(words[0])),
        "ask": lambda: ask(experiment, words[0]),
        "open": lambda: open_stage(experiment, words[0]),
        "close": lambda: close_stage(experiment, words[0]),
        "settings": lambda: print_lines([" ".join(settings(experiment, words))]),
        "simulated": lambda: print_lines([marks.simulated(experiment)]),
        "rows": lambda: print_lines(experiment.data_names()),
        "replays": lambda: print_lines([experiment.replays(words[0])]),
        "hotwords": lambda: print_lines([experiment.hotwords(words[0])]),
        "status": lambda: status.show(experiment, chosen(experiment, 0, 3)),
        "clean": lambda: clean(experiment, words[0]),
        "command": lambda: print_lines([experiment.command(" ".join(words))]),
        "next": lambda: tell_next(experiment, one_by_one=words[0] == words[1]),
        "final": lambda: print_lines([final(experiment)]),
    }
    return commands[command]() or 0


if __name__ == "__main__":
    raise SystemExit(run(main))

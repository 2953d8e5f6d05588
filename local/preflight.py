"""What would waste GPU hours, said before the first of them: ✓ a fact, ! worth knowing, ✗ must be mended, and how.

    preflight.py check FIRST LAST    all that can be told within seconds; run_experiment.sh asks before it uses the model
    preflight.py plan FIRST LAST     the same, then a few real steps of every stage: memory, speed, does it learn, does it
                                     save; and what the stages will need. For `run_experiment.sh --dry-run`; keeps nothing

Reads the variables of the experiment. Exit status 1 where something must be mended.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/preflight.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import os

from data.errors import run
from local import devices, request, stages, status
from local.experiment import Experiment
from local.findings import passes
from local.marks import Decision, title
from local.preflight_machine import devices_fit, engine_knows_its_model, packages_fit


def check(experiment: Experiment, decisions: dict[str, Decision]) -> int:
    """The checks that cost seconds."""
    ahead = with_work(decisions)
    return 0 if not ahead or look(experiment, ahead, costly=False) else 1


def plan(experiment: Experiment, decisions: dict[str, Decision], first: int, last: int) -> int:
    """What a run would do and why, all checks, and what it would take."""
    request.announce(experiment, first, last)
    for name, decision in decisions.items():
        print(f"{title(name):<11} {decision.reason}", flush=True)
    ahead = with_work(decisions)
    passed = not ahead or look(experiment, ahead, costly=True)
    status.print_next(experiment.command(f"{first} {last}" if passed else f"--dry-run {first} {last}"))
    return 0 if passed else 1


def with_work(decisions: dict[str, Decision]) -> list[str]:
    """The stages that are not finished."""
    return [name for name, decision in decisions.items() if decision.verdict != "skip"]


def look(experiment: Experiment, ahead: list[str], costly: bool) -> bool:
    """From the machine to the stages; what stands on something broken is not looked at."""
    print("preflight", flush=True)
    gpus = devices.list_gpus()
    choice = devices.choose(os.environ, devices.is_present(gpus), gpus)
    fit = passes("packages", packages_fit()) and passes("devices", devices_fit(choice, gpus))
    if not fit or not passes("funasr", engine_knows_its_model()):
        return False
    from local import plan_table, preflight_stages  # import the model's code: only where that is known to work
    from local.stages_ahead import StagesAhead

    coming = StagesAhead(experiment, ahead, choice)
    passed = preflight_stages.check(coming)
    if costly and passed:
        passed, paces = preflight_stages.try_out(coming)
        print("\n".join(plan_table.plan_lines(coming, paces)))
    return passed


def main(argv: list[str] | None = None) -> int:
    """The commands of the module's docstring, on the variables in the environment."""
    command, *words = sys.argv[1:] if argv is None else argv
    first, last = map(int, words)
    experiment = Experiment(os.environ)
    decisions = stages.outlook(experiment, first, last)
    return check(experiment, decisions) if command == "check" else plan(experiment, decisions, first, last)


if __name__ == "__main__":
    raise SystemExit(run(main))

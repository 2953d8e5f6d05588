"""The final table of an experiment: what each stage bought, then the gates and the controls.

Usage: python local/table.py exp_output/exp

All rates are in percent, on the test sets, each looked at once a stage. `-` stands where a set was not
scored, `n/a` where there was nothing to score (no keyword was said). Tables are Markdown that reads as text.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/table.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from data.errors import UserError, run
from local.experiment import STAGE_FOLDERS
from local.gates import gate_lines

Results = dict[str, Any]  # one results.json
Column = tuple[str, str, str]  # set, branch, measure

COLUMNS: dict[str, Column] = {
    "calls CER (LLM)": ("calls_test", "llm", "cer"),
    "calls CER (CTC)": ("calls_test", "ctc", "cer"),
    "calls KWER": ("calls_test", "llm", "kwer"),
    "telephone CER (LLM)": ("telephone_test", "llm", "cer"),
    "telephone CER (CTC)": ("telephone_test", "ctc", "cer"),
    "wideband CER (LLM)": ("guard", "llm", "cer"),
}
CONTROLS = {"other_audio": "other audio", "hotwords": "with the keyword list", "distractors": "distractors only"}
WAYS = ("stage 0's 16 kHz", "AutoModel", "difference", "95 % interval", "utterances")
SET_TITLES = {"calls_test": "calls", "telephone_test": "general telephone", "guard": "general wideband"}


def report(exp_dir: Path) -> Iterator[str]:
    """All lines: the table, what it was scored on, gates, controls, the calls from their original files."""
    stages = load_stages(exp_dir)
    yield from grid("test sets, %", COLUMNS, {title(stage): cells(stages.get(stage, {})) for stage in STAGE_FOLDERS})
    yield from ("", sizes(next(iter(stages.values()))))
    gates = [line for stage, results in stages.items() for line in gate_lines(stage, results)]
    if gates:
        yield from ("", "Gates, on dev:", "", *gates)
    controls = dict(control_rows(stages, load(exp_dir / "controls" / "stage1_clean" / "results.json")))
    if controls:
        yield ""
        yield from grid("controls, %", COLUMNS, controls)
    ways = dict(row for stage, results in stages.items() for row in way_rows(stage, results.get("originals")))
    if ways:
        yield ""
        yield from grid("calls from their original files, CER %", WAYS, ways)


def load(path: Path) -> Results | None:
    """A results.json, or None where there is none. Raises UserError when it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}): delete it and run its stage again") from error


def load_stages(exp_dir: Path) -> dict[str, Results]:
    """The results of the scored stages in order, `baseline` and `1` to `3`.

    Raises UserError when there is none, or when two were scored by different normalisers and do not compare.
    """
    home = exp_dir / "8k_telephone"
    paths = {stage: home / folder / "results.json" for stage, folder in STAGE_FOLDERS.items()}
    stages = {stage: results for stage, path in paths.items() if (results := load(path)) is not None}
    if not stages:
        raise UserError(f"no results.json under {exp_dir}: run `bash run_experiment.sh 0 3` first")
    versions = {results["normaliser"]: paths[stage] for stage, results in stages.items()}
    if len(versions) > 1:
        scored = ", ".join(f"{path} by {version}" for version, path in versions.items())
        raise UserError(f"scored by different normalisers: {scored}; delete the older, run its stage again")
    return stages


def cells(results: Results) -> list[str]:
    """The row of one results.json."""
    return [cell(results, *column) for column in COLUMNS.values()]


def cell(results: Results, name: str, branch: str | None, measure: str) -> str:
    """One rate as text."""
    score = results.get("sets", {}).get(name, {}).get(branch)
    if score and measure == "kwer":
        score = score.get("keywords")
    return percent(score[measure]) if score else "-"


def percent(rate: float | None) -> str:
    return "n/a" if rate is None else f"{rate:.2f}"


def title(stage: str) -> str:
    return stage if stage == "baseline" else f"stage {stage}"


def grid(corner: str, columns: Iterable[str], rows: dict[str, list[str]]) -> Iterator[str]:
    """A Markdown table of named rows, padded to even columns."""
    lines = [[corner, *columns], *([name, *row] for name, row in rows.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    for first, *others in lines:
        padded = [first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]
        yield "| " + " | ".join(padded) + " |"


def sizes(results: Results) -> str:
    """How much was scored: a rate without its N says little."""
    parts = []
    for name, words in SET_TITLES.items():
        if score := results["sets"].get(name, {}).get("llm"):
            part = f"{words} {score['utterances']:,} utterances, {score['ref']:,} characters"
            if name == "calls_test" and score.get("keywords"):
                part += f", {score['keywords']['total']:,} keywords"
            parts.append(part)
    return "Scored on: " + "; ".join(parts) + "."


def control_rows(stages: dict[str, Results], clean: Results | None) -> Iterator[tuple[str, list[str]]]:
    """What the gains are to be held against, under the same columns.

    Another utterance's audio should be far worse than its own (else the model does not listen), stage 1's
    steps on clean audio should gain clearly less than on telephone audio, KWER should beat a blind guess.
    A list of keywords in the prompt should help, and one of words that are not said should do no harm.
    """
    for stage, results in stages.items():
        for control in filter(results["sets"].get("calls_test", {}).get, CONTROLS):
            swapped = {"llm": control, "ctc": None}  # they are of the LLM only
            yield f"{title(stage)}, {CONTROLS[control]}", [
                cell(results, name, swapped[branch], of) for name, branch, of in COLUMNS.values()
            ]
    if clean:
        yield "stage 1, clean audio", cells(clean)
    last = list(stages.values())[-1]
    if "blind_kwer" in last:
        guess = percent(last["blind_kwer"])
        yield "keywords guessed blind", [guess if of == "kwer" else "-" for *_, of in COLUMNS.values()]


def way_rows(stage: str, ways: Results | None) -> Iterator[tuple[str, list[str]]]:
    """Both ways of the same calls to the model, a row a branch: by stage 0, and as an unmodified AutoModel takes the files.

    The difference is paired, its interval by bootstrap over calls.
    """
    for branch in ("llm", "ctc") if ways else ():
        score = ways[branch]
        low, high = score.get("interval", (None, None))
        numbers = [percent(score.get(name)) for name in ("cer", "cer_originals", "difference")]
        interval = f"{percent(low)} to {percent(high)}"
        yield f"{title(stage)}, {branch.upper()}", [*numbers, interval, f"{ways['utterances']:,} of {ways['of']:,}"]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Print the final table of an experiment.")
    parser.add_argument("exp_dir", type=Path, help="folder of 8k_telephone/, such as exp_output/exp")
    print("\n".join(report(parser.parse_args(argv).exp_dir)))
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))

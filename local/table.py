"""The final table of an experiment: what each stage bought, how sure that is, then the gates, the guard and the controls.

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
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from data.errors import UserError, run
from local.bootstrap import bounds_told, is_few, noted
from local.figures import points
from local.gates import gate_lines, guard_lines, listening_of
from local.keywords import too_few
from local.tree import Tree, tree_of

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
SCORES = ("CER", "95 %", "S", "D", "I", "empty", "repeated", "KWER", "95 %", "keywords")
CONTROLS = {"other_audio": "other audio", "hotwords": "with the keyword list", "distractors": "distractors only"}
KWER_WANTED = 5.0  # where no gate says another
WAYS = ("stage 0's 16 kHz", "AutoModel", "difference", "95 % interval", "utterances")
SET_TITLES = {"calls_test": "calls", "telephone_test": "general telephone", "guard": "general wideband"}
ALARMS = "{:.1f}".format
DETAILS: dict[str, tuple[str, Callable[[Any], str]]] = {  # where it stands in results.json, and how it is shown
    "hits": ("sets/calls_test/llm/keywords/hits", str),
    "false alarms": ("sets/calls_test/llm/keywords/false_alarms", str),
    "CER inside keywords": ("sets/calls_test/llm/keywords/inside/cer", points),
    "CER outside": ("sets/calls_test/llm/keywords/outside/cer", points),
    "KWER, listed": ("sets/calls_test/hotwords/keywords/kwer", points),
    "CER, distractors": ("sets/calls_test/distractors/cer", points),
    "empty": ("sets/calls_test/llm/empty_rate", points),
    "repeated": ("sets/calls_test/llm/repeated_rate", points),
    "alarms an hour (LLM)": ("silence/llm/per_hour", ALARMS),
    "alarms an hour (CTC)": ("silence/ctc/per_hour", ALARMS),
}


def report(exp_dir: Path) -> Iterator[str]:
    """All lines: the table, what it was scored on, gates, controls, the calls from their original files."""
    tree = tree_of(exp_dir.resolve() / "8k_telephone")
    stages = scored_stages(tree)
    yield from grid("test sets, %", COLUMNS, {title(stage): cells(results) for stage, results in stages.items()})
    yield from ("", sizes(next(iter(stages.values()))), *doubts(stages), "")
    sure = {f"{title(stage)}, 95 %": cells(results, bounds) for stage, results in stages.items()}
    yield from grid("intervals by bootstrap over calls", COLUMNS, sure)
    yield from details(stages)
    gates = [line for stage, results in stages.items() for line in gate_lines(stage, results)]
    if gates:
        yield from ("", "Gates, on dev:", "", *gates)
    if guard := list(guard_lines(stages)):
        yield from ("", "Guard, wideband test set:", "", *guard)
    controls = dict(control_rows(stages, tree.control.results))
    if controls:
        yield ""
        yield from grid("controls, %", COLUMNS, controls)
    ways = dict(row for stage, results in stages.items() for row in way_rows(stage, results.get("originals")))
    if ways:
        yield ""
        yield from grid("calls from their original files, CER %", WAYS, ways)


def scored_stages(tree: Tree) -> dict[str, Results]:
    """The results of the scored stages in order, `baseline` and `1` to `3`.

    Raises UserError when there is none, or when two were scored by different normalisers and do not compare.
    """
    if not tree.scored:
        raise UserError(f"no results.json under {tree.root}: `OUTPUT_ROOT={tree.root} bash run_experiment.sh 0 3` makes them")
    versions = {stage.results["normaliser"]: stage.folder for stage in tree.scored.values()}
    if len(versions) > 1:
        scored = ", ".join(f"{folder}/results.json by {version}" for version, folder in versions.items())
        raise UserError(f"scored by different normalisers: {scored}; delete the older, run its stage again")
    return {name: stage.results for name, stage in tree.scored.items()}


def rate(score: Results, measure: str) -> str:
    return points(score[measure])


def bounds(score: Results, _: str = "") -> str:
    """The interval of a score; of a single call, or of nothing, there is none."""
    if not score.get("interval"):
        return "n/a"
    low, high = score["interval"]
    return bounds_told(low, high, score.get("calls"))


def cells(results: Results, show: Callable[[Results, str], str] = rate) -> list[str]:
    """The row of one results.json: its rates, or what else is to be shown of their scores."""
    return [cell(results, *column, show) for column in COLUMNS.values()]


def cell(
    results: Results, name: str, branch: str | None, measure: str, show: Callable[[Results, str], str] = rate
) -> str:
    """One of its scores as text."""
    score = results.get("sets", {}).get(name, {}).get(branch)
    if score and measure == "kwer":
        score = score.get("keywords")
    return show(score, measure) if score else "-"


def details(stages: dict[str, Results]) -> Iterator[str]:
    """What lies behind the rates of the calls' test set, and false alarms where nobody speaks; no column that is empty."""
    columns = {name: {stage: detail(results, *of) for stage, results in stages.items()} for name, of in DETAILS.items()}
    columns = {name: column for name, column in columns.items() if set(column.values()) != {"-"}}
    if columns:
        yield ""
        rows = {f"{title(stage)}, in detail": [column[stage] for column in columns.values()] for stage in stages}
        yield from grid("calls; silence", columns, rows)


def detail(results: Results, path: str, show: Callable[[Any], str]) -> str:
    """What stands at a path of keys, as text."""
    place: Any = results
    for name in path.split("/"):
        if not isinstance(place, dict) or name not in place:
            return "-"
        place = place[name]
    return show(place)


def doubts(stages: dict[str, Results]) -> Iterator[str]:
    """What these test sets cannot show."""
    last = list(stages.values())[-1]
    yield from _known_speakers(last)
    limits = [gate["kwer"] for results in stages.values() if (gate := results.get("gate") or {}).get("kwer")]
    keywords = last["sets"].get("calls_test", {}).get("llm", {}).get("keywords")
    if limits and keywords and (doubt := too_few(keywords["total"], limits[-1])):
        yield f"The calls' test set has {doubt}."


def _known_speakers(results: Results) -> Iterator[str]:
    for name, speakers in results.get("known_speakers", {}).items():
        yield f"{len(speakers)} speakers of {name} are in train too (KNOWN_SPEAKERS=1)."


def score_lines(results: Results) -> Iterator[str]:
    """The table of one results.json: a row a set and branch."""
    rows = {
        f"{name}, {branch.upper()}": _score_cells(scores[branch])
        for name, scores in results["sets"].items()
        for branch in ("llm", "ctc")
        if branch in scores
    }
    if rows:
        yield from grid("%", SCORES, rows)
    keywords = results["sets"].get("calls_test", {}).get("llm", {}).get("keywords")
    if keywords and (doubt := too_few(keywords["total"], KWER_WANTED)):
        yield f"The calls' test set has {doubt}."
    if listening := listening_of(results["sets"].get("calls_test", {})):
        sure = listening.low > 0 and not is_few(listening.calls)
        heard = "it listens" if sure else "no proof that it listens"
        yield f"With the texts of other utterances the CER on calls_test differs by {listening}: {heard}."
    yield from _known_speakers(results)


def _score_cells(score: Results) -> list[str]:
    counts = [f"{score[name]:,}" for name in ("sub", "del", "ins")]
    said = ["-"] * 3
    if keywords := score.get("keywords"):
        said = [points(keywords["kwer"]), bounds(keywords), f"{keywords['hits']:,} of {keywords['total']:,}"]
    return [points(score["cer"]), bounds(score), *counts, points(score["empty_rate"]), points(score["repeated_rate"]), *said]


def title(stage: str) -> str:
    return stage if stage == "baseline" else f"stage {stage}"


def grid(corner: str, columns: Iterable[str], rows: dict[str, list[str]]) -> Iterator[str]:
    """A Markdown table of named rows, padded to even columns."""
    lines = [[corner, *columns], *([name, *row] for name, row in rows.items())]
    widths = [max(2, *map(len, column)) for column in zip(*lines, strict=True)]  # a rule is `-:` at least
    lines.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    for first, *others in lines:
        padded = [first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]
        yield "| " + " | ".join(padded) + " |"


def sizes(results: Results) -> str:
    """How much was scored: a rate without its N says little."""
    parts = []
    for name, words in SET_TITLES.items():
        if score := results["sets"].get(name, {}).get("llm"):
            calls = f" of {score['calls']:,} calls" if "calls" in score else ""
            part = f"{words} {score['utterances']:,} utterances{calls}, {score['ref']:,} characters"
            if name == "calls_test" and score.get("keywords"):
                part += f", {score['keywords']['total']:,} keywords"
            parts.append(part)
    return "Scored on: " + "; ".join(parts) + "."


def control_rows(stages: dict[str, Results], clean: Results) -> Iterator[tuple[str, list[str]]]:
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
        guess = points(last["blind_kwer"])
        yield "keywords guessed blind", [guess if of == "kwer" else "-" for *_, of in COLUMNS.values()]


def way_rows(stage: str, ways: Results | None) -> Iterator[tuple[str, list[str]]]:
    """Both ways of the same calls to the model, a row a branch: by stage 0, and as an unmodified AutoModel takes the files.

    The difference is paired, its interval by bootstrap over calls.
    """
    if ways is None:
        return
    for branch in filter(ways.__contains__, ("llm", "ctc")):
        score = ways[branch]
        numbers = [points(score.get(name)) for name in ("cer", "cer_originals", "difference")]
        interval = bounds(score | {"calls": ways["calls"]})
        yield f"{title(stage)}, {branch.upper()}", [*numbers, interval, f"{ways['utterances']:,} of {ways['of']:,}"]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Print the final table of an experiment.")
    parser.add_argument("exp_dir", type=Path, help="folder of 8k_telephone/, such as exp_output/exp")
    print("\n".join(noted(report(parser.parse_args(argv).exp_dir))))
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))

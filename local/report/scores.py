"""The table of scores, baseline to stage 3: a row a measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from data.page_parts import count, words
from local.bootstrap import FEW, is_few
from local.figures import points
from local.gates import listening_of
from local.report.words import WORDS, both, note, tr
from local.tree import CALLS, GUARD, TELEPHONE, Fields, Stage, Tree, difference

NOTHING = "–"  # where there is nothing to measure
FEW_LOOK = "few warn"  # of the mark at an interval
Cell = str | None  # HTML; None where it was not measured


@dataclass(frozen=True)
class Row:
    """A measure, and how a stage's cell of it is made."""

    key: str
    cell: Callable[[Stage], Cell]


def comparison(tree: Tree) -> str:
    """Measures down, stages across. What no stage has is named below and not shown."""
    if not tree.scored:
        return note("nothing scored")
    stages = list(tree.scored.values())
    titles = [tr("measure"), *(tr(f"stage {stage.name}") for stage in stages)]
    head = "".join(f"<th scope='col'>{title}</th>" for title in titles)
    missing: dict[str, list[str]] = {}
    body = "".join(_group(name, rows, stages, missing) for name, rows in groups(tree).items())
    shown = f"<div class='wide'><table class='scores'><thead><tr>{head}</tr></thead>{body}</table></div>"
    few = note("few explained", few=FEW) if FEW_LOOK in body else ""
    return f"{note('scores explained')}{_size(tree)}{shown}{few}{_missing(missing)}"


def _missing(missing: dict[str, list[str]]) -> str:
    """The measures that no stage has, by group."""
    if not missing:
        return ""
    texts = []
    for place, (comma, semicolon, end) in enumerate(((", ", "; ", "."), ("、", "；", "。"))):
        parts = [f"{WORDS[group][place]}: {comma.join(WORDS[key][place] for key in keys)}" for group, keys in missing.items()]
        texts.append(words(WORDS["not in"][place] + semicolon.join(parts) + end))
    return both(texts, "p", "soft small")


def _size(tree: Tree) -> str:
    stage = tree.last
    score = stage.score(CALLS, "llm") if stage else {}
    if not (stage and score):
        return ""
    amounts = {"utterances": count(score["utterances"]), "ref": count(score["ref"])}
    return note("scored on", **amounts, normaliser=stage.results.get("normaliser", "?"))


def _group(name: str, rows: Sequence[Row], stages: Sequence[Stage], missing: dict[str, list[str]]) -> str:
    lines = []
    for row in rows:
        cells = [row.cell(stage) for stage in stages]
        if not any(cell and cell != NOTHING for cell in cells):
            missing.setdefault(name, []).append(row.key)
            continue
        texts = "".join(f"<td>{cell or tr('not measured', look='soft small')}</td>" for cell in cells)
        lines.append(f"<tr><th scope='row'>{tr(row.key)}</th>{texts}</tr>")
    if not lines:
        return ""
    title = f"<tr><th colspan='{len(stages) + 1}' scope='rowgroup'>{tr(name)}</th></tr>"
    return f"<tbody>{title}{''.join(lines)}</tbody>"


def groups(tree: Tree) -> dict[str, list[Row]]:
    """All measures, in the order of the page."""
    return {
        "group calls": [
            _cer("cer llm", CALLS, "llm"),
            Row("difference llm", _difference(tree, "llm")),
            _cer("cer ctc", CALLS, "ctc"),
            Row("difference ctc", _difference(tree, "ctc")),
            *_keywords(),
        ],
        "group hotwords": [
            _kwer("kwer hotwords", "hotwords"),
            _cer("cer hotwords", CALLS, "hotwords"),
            Row("alarms distractors", lambda stage: _count(keywords_of(stage, "distractors"), "false_alarms")),
            _kwer("kwer distractors", "distractors"),
            _cer("cer distractors", CALLS, "distractors"),
        ],
        "group telephone": [_cer("cer llm", TELEPHONE, "llm"), _cer("cer ctc", TELEPHONE, "ctc")],
        "group guard": [_cer("cer llm", GUARD, "llm"), _cer("cer ctc", GUARD, "ctc")],
        "group errors": [
            *(Row(kind, partial(_of_calls, make=_count, name=kind)) for kind in ("sub", "del", "ins")),
            *(Row(kind, partial(_of_calls, make=_rate, name=f"{kind}_rate")) for kind in ("empty", "repeated")),
            Row("cut", _cut),
        ],
        "group silence": [_silence(branch) for branch in ("llm", "ctc")],
        "group controls": [
            _cer("other audio", CALLS, "other_audio"),
            Row("listening", _listening),
            Row("clean audio", _clean(tree)),
            Row("blind", lambda stage: _rate(stage.results, "blind_kwer")),
            Row("originals", _originals),
        ],
    }


def _cer(key: str, name: str, branch: str) -> Row:
    return Row(key, lambda stage: _rate(stage.score(name, branch), "cer"))


def _kwer(key: str, branch: str) -> Row:
    return Row(key, lambda stage: _rate(keywords_of(stage, branch), "kwer"))


def _keywords() -> Iterator[Row]:
    yield _kwer("kwer", "llm")
    yield Row("false alarms", lambda stage: _count(keywords_of(stage), "false_alarms"))
    yield Row("inside", lambda stage: _rate(keywords_of(stage).get("inside") or {}, "cer"))
    yield Row("outside", lambda stage: _rate(keywords_of(stage).get("outside") or {}, "cer"))


def keywords_of(stage: Stage, branch: str = "llm") -> Fields:
    return stage.score(CALLS, branch).get("keywords") or {}


def _of_calls(stage: Stage, make: Callable[[Fields, str], Cell], name: str) -> Cell:
    return make(stage.score(CALLS, "llm"), name)


def _silence(branch: str) -> Row:
    return Row(f"alarms {branch}", lambda stage: _rate((stage.results.get("silence") or {}).get(branch) or {}, "per_hour"))


def _cut(stage: Stage) -> Cell:
    cuts = stage.score(CALLS, "llm").get("cut")
    return count(sum(cuts.values())) if cuts else None


def _listening(stage: Stage) -> Cell:
    found = listening_of(stage.results["sets"].get(CALLS, {}))
    return points(found.value) + _interval(found.low, found.high, found.calls) if found else None


def _originals(stage: Stage) -> Cell:
    return _rate((stage.results.get("originals") or {}).get("llm") or {}, "cer_originals")


def _clean(tree: Tree) -> Callable[[Stage], Cell]:
    """Stands beside stage 1, whose steps it took."""
    found = _rate(tree.control.score(CALLS, "llm"), "cer")
    return lambda stage: found if stage.name == "1" else found and NOTHING


def _difference(tree: Tree, branch: str) -> Callable[[Stage], Cell]:
    def cell(stage: Stage) -> Cell:
        if stage is tree.baseline:
            return NOTHING
        found = difference(tree.baseline, stage, CALLS, branch)
        return f"{signed(found.value)}{_interval(found.low, found.high, found.calls)}" if found else None

    return cell


def _rate(fields: Fields, name: str) -> Cell:
    """A rate with the interval that stands beside it; `n/a` where there was nothing to divide by."""
    if name not in fields:
        return None
    if name not in ("cer", "kwer") or not fields.get("interval"):
        return points(fields[name])
    low, high = fields["interval"]
    return points(fields[name]) + _interval(low, high, fields.get("calls"))


def _interval(low: float, high: float, calls: int | None) -> str:
    """With the number of calls that it was drawn from, where they are few."""
    bounds = f"{points(low)} … {points(high)}".replace("-", "−")
    return f"<small>{bounds}{' ' + tr('few calls', look=FEW_LOOK, calls=calls) if is_few(calls) else ''}</small>"


def _count(fields: Fields, name: str) -> Cell:
    return count(fields[name]) if name in fields else None


def signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")

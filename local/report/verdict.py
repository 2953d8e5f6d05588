"""What came of it: a line, a few figures, every gate with what to try next, the guard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from data.page_parts import words
from local.bootstrap import is_few
from local.experiment import BUILT_IN, STAGE_FILES
from local.figures import points
from local.gates import GUARD_STEPS, NEXT_STEPS, Verdict, guard_verdicts, verdicts
from local.keywords import least_shown
from local.report.words import both, note, tr
from local.tree import CALLS, GUARD, Stage, Tree, difference

NEXT_STEPS_ZH = {  # as local.gates has them in English
    ("loss", "1"): "如果 train.log 里开发集损失仍在下降，提高 train_conf.max_epoch 或 optim_conf.lr",
    ("loss", "2"): "提高 train_conf.max_epoch 或 optim_conf.lr；阶段 1 的 CTC 损失会让这里可降的变少",
    ("cer", "1"): "模拟更多小时和说话人，让信道更接近真实通话；阶段 3 还会继续适应",
    ("cer", "2"): "把阶段 1 训练得更久，编码器起主要作用；阶段 3 会适应通话",
    ("cer", "3"): "标注更多通话，或提高 lora_conf.r 或 optim_conf.lr",
    ("listening", "1"): "先在 data/report.html 听语音与文本是否对应，再提高 train_conf.max_epoch",
    ("listening", "2"): "提高 train_conf.max_epoch 或 optim_conf.lr：编码器听到的还没有传到 LLM",
    ("listening", "3"): "把阶段 1 和 2 训练得更久；如果之前在听，就降低 optim_conf.lr",
    ("kwer", "3"): "标注更多含有漏识关键词的通话：results.json 的 `rows` 列出了它们",
}
GUARD_STEPS_ZH = "提高 dataset_conf.replay_share，或降低 optim_conf.lr 或 train_conf.max_epoch"
BUILT_IN_CONFIGS = (BUILT_IN, "conf/micro.sh")
_short = partial(points, digits=1)
GOOD, BAD, DOUBT, OPEN = ("✓", "good"), ("✗", "bad"), ("!", "warn"), ("–", "soft")


def header(tree: Tree) -> str:
    """Title, the one sentence, and the figures that it rests on."""
    config = tree.memory.get("config", "8k_telephone")
    about = note("tells of", config=config, stage=tree.last.name) if tree.last else ""
    about += note("built in") if config in BUILT_IN_CONFIGS else ""
    return f"<header>\n{tr('title', 'h1')}\n{about}\n{_sentence(tree)}\n{_figures(tree)}\n</header>"


def _sentence(tree: Tree) -> str:
    rates = [stage.score(CALLS, "llm").get("cer") if stage else None for stage in (tree.baseline, tree.last)]
    before, after = rates
    if before is None:
        if after is None:
            return tr("nothing scored", "p", "verdict")
        return tr("no baseline", "p", "verdict", after=_short(after))
    if tree.last is tree.baseline or after is None:
        return tr("only baseline", "p", "verdict", before=_short(before))
    found = difference(tree.baseline, tree.last, CALLS, "llm")
    sure = found is not None and found.high < 0 and not is_few(found.calls)
    key = "no gain" if after >= before else "gain" if sure else "unsure"
    look = {"gain": "verdict good", "unsure": "verdict warn", "no gain": "verdict bad"}[key]
    bounds = note("interval", low=_short(-found.high), high=_short(-found.low)) if found and key == "gain" else ""
    return tr(key, "p", look, before=_short(before), after=_short(after)) + bounds + _price(tree)


def _price(tree: Tree) -> str:
    """Said at once, where the wideband speech has paid for it."""
    for verdict in _guards(tree):
        if tree.last and verdict.stage == tree.last.name and not verdict.met:
            return tr("price", "p", "verdict bad", before=_short(verdict.before), after=_short(verdict.found))
    return ""


def _figures(tree: Tree) -> str:
    shown = [
        ("group calls", "cer llm", CALLS, "llm", "cer"),
        ("group calls", "cer ctc", CALLS, "ctc", "cer"),
        ("group calls", "kwer", CALLS, "llm", "kwer"),
        ("group guard", "cer llm", GUARD, "llm", "cer"),
    ]
    parts = []
    for group, key, name, branch, measure in shown:
        after = rate(tree.last, name, branch, measure)
        before = rate(tree.baseline, name, branch, measure)
        if after is not None:
            earlier = tr("before", rate=_short(before)) if before is not None and tree.last is not tree.baseline else ""
            label = f"{tr(key)}<small>{tr(group)}</small>"
            parts.append(f"<div><dt>{label}</dt><dd>{_short(after)}<i>%</i><small>{earlier}</small></dd></div>")
    return f"<dl class='figures'>{''.join(parts)}</dl>" if parts else ""


def rate(stage: Stage | None, name: str, branch: str, measure: str) -> float | None:
    """CER, or KWER, of a set; None where it was not measured."""
    score = stage.score(name, branch) if stage else {}
    return (score.get("keywords") or {}).get("kwer") if measure == "kwer" else score.get(measure)


# --- gates and guard -------------------------------------------------------------------------------------


def judged(tree: Tree) -> str:
    """How many gates are met, then each of them, the guard, and what speaks against comparing."""
    found = [verdict for stage in tree.scored.values() for verdict in verdicts(stage.name, stage.results)]
    met = sum(verdict.met is True for verdict in found)
    look = "verdict good" if met == len(found) else "verdict"
    key = "no gates" if not found else "all met" if met == len(found) else "some met"
    lines = [*map(_gate, found), *_guard(tree), *_few_keywords(tree), *_known_speakers(tree), *_normalisers(tree)]
    listed = f"<ul class='checks'>{''.join(lines)}</ul>" if lines else ""
    return f"{tr(key, 'p', look, met=met, count=len(found))}\n{note('gates explained')}\n{listed}"


def _gate(verdict: Verdict) -> str:
    mark = OPEN if verdict.met is None else GOOD if verdict.met else BAD
    advice = ""
    if verdict.met is False:
        place = (verdict.measure, verdict.stage)
        english = NEXT_STEPS.get(place, f"see {verdict.measure} in train.log")
        advice = _advice(english, NEXT_STEPS_ZH.get(place, english), _file(verdict.stage))
    return line(mark, f"<b>{tr(f'stage {verdict.stage}')}</b> {_said(verdict)}", advice)


def _said(verdict: Verdict) -> str:
    if verdict.met is None or verdict.found is None:
        return tr("gate unmeasured", measure=verdict.measure.upper())
    if verdict.measure == "loss" and verdict.before and verdict.change is not None:
        change = f"{100 * verdict.change:+.1f}".replace("-", "−")
        falls = {"before": f"{verdict.before:.3f}", "found": f"{verdict.found:.3f}", "change": change}
        return tr("gate loss", name=verdict.name, wanted=f"{100 * verdict.wanted:g}", **falls)
    if found := verdict.interval:
        more, low, high = (points(value).replace("-", "−") for value in (found.value, found.low, found.high))
        few = " " + tr("few calls", look="warn", calls=found.calls) if is_few(found.calls) else ""
        return tr("gate listening", found=more, low=low, high=high) + few
    return tr("gate rate", measure=verdict.measure.upper(), found=points(verdict.found), wanted=f"{verdict.wanted:g}")


def _file(stage: str) -> str:
    return f" <code>{words(STAGE_FILES[stage])}</code>"


def _advice(english: str, chinese: str, file: str) -> str:
    said = both([re.sub("`(.+?)`", r"<code>\1</code>", words(text)) for text in (english, chinese)])
    return f"<p class='findings'>{tr('try')}{said}{file}</p>"


def line(mark: tuple[str, str], html: str, more: str = "") -> str:
    """One entry of a list of findings."""
    sign, look = mark
    return f"<li><p><span class='mark {look}'>{sign}</span>{html}</p>{more}</li>"


def _guards(tree: Tree) -> Iterator[Verdict]:
    return guard_verdicts({name: stage.results for name, stage in tree.scored.items()})


def _guard(tree: Tree) -> Iterator[str]:
    """Each stage's wideband CER against the bound that the baseline sets."""
    for verdict in _guards(tree):
        said = tr("guard kept" if verdict.met else "guard lost", found=points(verdict.found),
                  before=points(verdict.before), bound=points(verdict.wanted))  # fmt: skip
        advice = "" if verdict.met else _advice(GUARD_STEPS, GUARD_STEPS_ZH, _file(verdict.stage))
        yield line(GOOD if verdict.met else BAD, f"<b>{tr(f'stage {verdict.stage}')}</b> {said}", advice)


def _few_keywords(tree: Tree) -> Iterator[str]:
    """Said where no keyword was said, or so few that even a list without a miss would prove too little."""
    wanted = [gate["kwer"] for stage in tree.scored.values() if (gate := stage.results.get("gate") or {}).get("kwer")]
    for name in ("calls_dev", CALLS):
        keywords = (tree.last.score(name, "llm").get("keywords") if tree.last else None) or {}
        least = least_shown(keywords.get("total", 0))
        if wanted and keywords and least is None:
            yield line(DOUBT, tr("no keyword said", set=name))
        elif wanted and least is not None and least >= wanted[-1]:
            figures = {"total": keywords["total"], "wanted": f"{wanted[-1]:g}", "least": _short(least)}
            yield line(DOUBT, tr("too few keywords", set=name, **figures))


def _known_speakers(tree: Tree) -> Iterator[str]:
    """Said where speakers of a test set were trained on, and that was allowed."""
    for name, speakers in ((tree.last.results.get("known_speakers") or {}) if tree.last else {}).items():
        yield line(DOUBT, tr("known speakers", set=name, count=len(speakers)))


def _normalisers(tree: Tree) -> Iterator[str]:
    names = dict.fromkeys(stage.results.get("normaliser", "?") for stage in tree.scored.values())
    if len(names) > 1:
        yield line(BAD, tr("normalisers differ", names=", ".join(names)))

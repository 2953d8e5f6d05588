"""Gates: what a stage should reach on dev. Reported as met or missed with what to try next, never forced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from local.experiment import STAGE_FILES
from local.keywords import too_few

GUARD_FACTOR, GUARD_POINTS = 1.5, 2.0  # of the baseline's CER on wideband speech: what a stage may cost there

NEXT_STEPS = {  # (measure, stage) -> what to try when the gate is missed
    ("loss", "1"): "raise train_conf.max_epoch or optim_conf.lr if dev loss was still falling in train.log",
    ("loss", "2"): "raise train_conf.max_epoch or optim_conf.lr; a CTC loss in stage 1 leaves less",
    ("cer", "1"): "simulate more hours and talkers, a channel closer to the calls; stage 3 adapts further",
    ("cer", "2"): "train stage 1 longer, the encoder carries most of it; stage 3 adapts to the calls",
    ("cer", "3"): "label more calls, or raise lora_conf.r or optim_conf.lr",
    ("kwer", "3"): "label more calls that hold the missed keywords: `rows` in results.json names them",
}


def gate_lines(stage: str, results: dict[str, Any]) -> Iterator[str]:
    """One line for each gate of a stage (`1`, `2`, `3`), judged on its results.json.

    The dev loss, in eval mode, is that of what the stage hands on against what it started from; CER and KWER
    are the LLM's on the calls' dev set, in percent.
    """
    gate = results.get("gate") or {}
    if name := gate.get("loss"):
        yield _loss_line(stage, name, results["loss_before"][name], results["loss"][name], gate["loss_drop"])
    score = results["sets"].get("calls_dev", {}).get("llm", {})
    for measure, rate in (("cer", score.get("cer")), ("kwer", score.get("keywords", {}).get("kwer"))):
        if (limit := gate.get(measure)) is not None:
            found = "n/a" if rate is None else f"{rate:.2f} %"
            words = f"{measure.upper()} on the calls' dev set {found}, wanted below {limit:g} %"
            if measure == "kwer" and (doubt := too_few(score.get("keywords", {}).get("total", 0), limit)):
                words += f"; {doubt}"
            yield _judged(stage, measure, words, None if rate is None else rate < limit)


def _loss_line(stage: str, name: str, before: float | None, after: float | None, wanted: float) -> str:
    goal = f"wanted down by {100 * wanted:g} %"
    if not before or after is None:
        return _judged(stage, "loss", f"{name} loss on dev n/a, {goal}", None)
    change = after / before - 1
    words = f"{name} loss on dev {before:.3f} -> {after:.3f} ({100 * change:+.1f} %), {goal}"
    return _judged(stage, "loss", words, -change >= wanted)


def _judged(stage: str, measure: str, words: str, met: bool | None) -> str:
    if met is None:
        return f"- stage {stage}: {words}: not measured"
    if met:
        return f"- stage {stage}: {words}: met"
    advice = NEXT_STEPS.get((measure, stage), f"see {measure} in train.log")
    return f"- stage {stage}: {words}: MISSED. Try: {advice} ({STAGE_FILES[stage]})"


def guard_lines(stages: dict[str, dict[str, Any]]) -> Iterator[str]:
    """One line for each stage whose wideband guard was scored: whether what it gained on calls was paid for there.

    `stages`: results.json by stage, `baseline` among them. Its bound is max(1.5 × the baseline's CER, the baseline's + 2
    points), by the LLM; one beyond it is flagged.
    """
    before = _cer(stages.get("baseline"), "guard")
    for stage, results in stages.items():
        rate = _cer(results, "guard")
        if stage == "baseline" or before is None or rate is None:
            continue
        most = max(GUARD_FACTOR * before, before + GUARD_POINTS)
        words = f"- stage {stage}: CER on wideband speech {before:.2f} -> {rate:.2f} %, at most {most:.2f} % wanted"
        if rate <= most:
            yield f"{words}: kept"
        else:
            yield (f"{words}: EXCEEDED{_gain(stages['baseline'], results)}. Try: raise dataset_conf.replay_share, or lower "
                   f"optim_conf.lr or train_conf.max_epoch ({STAGE_FILES[stage]})")  # fmt: skip


def _gain(baseline: dict[str, Any], results: dict[str, Any]) -> str:
    before, after = _cer(baseline, "calls_test"), _cer(results, "calls_test")
    if before is None or after is None:
        return ""
    return f", while calls went {before:.2f} -> {after:.2f} %"


def _cer(results: dict[str, Any] | None, name: str) -> float | None:
    return results["sets"].get(name, {}).get("llm", {}).get("cer") if results else None

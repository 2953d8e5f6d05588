"""Gates: what a stage should reach on dev. Reported as met or missed with what to try next, never forced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from local.bootstrap import Interval
from local.experiment import STAGE_FILES
from local.figures import in_percent, points
from local.keywords import too_few

GUARD_FACTOR, GUARD_POINTS = 1.5, 2.0  # of the baseline's CER on wideband speech: what a stage may cost there

NEXT_STEPS = {  # (measure, stage) -> what to try when the gate is missed
    ("loss", "1"): "raise train_conf.max_epoch or optim_conf.lr if dev loss was still falling in train.log",
    ("loss", "2"): "raise train_conf.max_epoch or optim_conf.lr; a CTC loss in stage 1 leaves less",
    ("cer", "1"): "simulate more hours and talkers, a channel closer to the calls; stage 3 adapts further",
    ("cer", "2"): "train stage 1 longer, the encoder carries most of it; stage 3 adapts to the calls",
    ("cer", "3"): "label more calls, or raise lora_conf.r or optim_conf.lr",
    ("listening", "1"): "hear in data/report.html whether sounds and texts belong together, then raise train_conf.max_epoch",
    ("listening", "2"): "raise train_conf.max_epoch or optim_conf.lr: what the encoder hears does not reach the LLM",
    ("listening", "3"): "train stages 1 and 2 longer; if it listened after them, lower optim_conf.lr",
    ("kwer", "3"): "label more calls that hold the missed keywords: `rows` in results.json names them",
}
GUARD_STEPS = "raise dataset_conf.replay_share, or lower optim_conf.lr or train_conf.max_epoch"


class Verdict(NamedTuple):
    """One gate of a stage: `measure` is loss, cer, kwer, listening or guard. `met` is None where there was nothing to measure.

    The dev loss `name`, in eval mode, is that of what the stage hands on (`found`) against what it started from
    (`before`), and `wanted` the share that it is to fall by; CER and KWER are the LLM's on the calls' dev set, in percent.
    Listening is by how many points its CER rises there with the texts of other utterances, as long: the lower bound of the
    `interval` must be above `wanted`.
    The guard is the LLM's CER on the wideband test set, `before` that of the baseline. `doubt` says why less than was wanted
    could not be shown.
    """

    stage: str
    measure: str
    wanted: float
    met: bool | None
    found: float | None
    before: float | None = None
    name: str = ""
    doubt: str = ""
    interval: Interval | None = None

    @property
    def change(self) -> float | None:
        """Of a loss, as a share."""
        return self.found / self.before - 1 if self.before and self.found is not None else None


def verdicts(stage: str, results: dict[str, Any]) -> Iterator[Verdict]:
    """The gates of a stage (`1`, `2`, `3`), judged on its results.json."""
    gate = results.get("gate") or {}
    if name := gate.get("loss"):
        before, after, wanted = results["loss_before"][name], results["loss"][name], gate["loss_drop"]
        met = 1 - after / before >= wanted if before and after is not None else None
        yield Verdict(stage, "loss", wanted, met, after, before, name)
    score = results["sets"].get("calls_dev", {}).get("llm", {})
    for measure, rate in (("cer", score.get("cer")), ("kwer", score.get("keywords", {}).get("kwer"))):
        if (limit := gate.get(measure)) is not None:
            doubt = too_few(score.get("keywords", {}).get("total", 0), limit) if measure == "kwer" else ""
            yield Verdict(stage, measure, limit, None if rate is None else rate < limit, rate, doubt=doubt)
    if gate and "listening" in results["sets"].get("calls_dev", {}):
        found = listening_of(results["sets"]["calls_dev"])
        met, more = (None, None) if found is None else (found.low > 0, found.value)
        yield Verdict(stage, "listening", 0.0, met, more, interval=found)


def listening_of(scores: dict[str, Any]) -> Interval | None:
    """By how many points the CER of a set rises with the texts of other utterances; None where that was not measured."""
    found = scores.get("listening") or {}
    if not found.get("interval"):
        return None
    low, high = found["interval"]
    return Interval(found["difference"], low, high, found["calls"])


def gate_lines(stage: str, results: dict[str, Any]) -> Iterator[str]:
    """One line for each gate of a stage."""
    for verdict in verdicts(stage, results):
        words = WORDS.get(verdict.measure, _rate_words)(verdict)
        yield f"- stage {stage}: {words}: {_judged(verdict)}"


def _loss_words(verdict: Verdict) -> str:
    goal = f"wanted down by {100 * verdict.wanted:g} %"
    if verdict.change is None:
        return f"{verdict.name} loss on dev n/a, {goal}"
    fall = f"{verdict.before:.3f} -> {verdict.found:.3f} ({100 * verdict.change:+.1f} %)"
    return f"{verdict.name} loss on dev {fall}, {goal}"


def _rate_words(verdict: Verdict) -> str:
    words = f"{verdict.measure.upper()} on the calls' dev set {in_percent(verdict.found)}, wanted below {verdict.wanted:g} %"
    return "; ".join(filter(None, (words, verdict.doubt)))


def _listening_words(verdict: Verdict) -> str:
    points_more = verdict.interval or "n/a"
    return f"with the texts of other utterances the CER on the calls' dev set differs by {points_more}, wanted above 0"


WORDS = {"loss": _loss_words, "listening": _listening_words}


def _judged(verdict: Verdict) -> str:
    if verdict.met is None:
        return "not measured"
    if verdict.met:
        return "met"
    advice = NEXT_STEPS.get((verdict.measure, verdict.stage), f"see {verdict.measure} in train.log")
    return f"MISSED. Try: {advice} ({STAGE_FILES[verdict.stage]})"


def guard_verdicts(stages: dict[str, dict[str, Any]]) -> Iterator[Verdict]:
    """Of each stage whose wideband guard was scored. `stages`: results.json by stage, `baseline` among them.

    The bound is max(1.5 × the baseline's CER, the baseline's + 2 points).
    """
    before = _cer(stages.get("baseline"), "guard")
    for stage, results in stages.items():
        rate = _cer(results, "guard")
        if stage != "baseline" and before is not None and rate is not None:
            most = max(GUARD_FACTOR * before, before + GUARD_POINTS)
            yield Verdict(stage, "guard", most, rate <= most, rate, before)


def guard_lines(stages: dict[str, dict[str, Any]]) -> Iterator[str]:
    """One line for each of them: whether what the stage gained on calls was paid for there."""
    for verdict in guard_verdicts(stages):
        stage = verdict.stage
        rates = f"{points(verdict.before)} -> {in_percent(verdict.found)}"
        words = f"CER on wideband speech {rates}, at most {in_percent(verdict.wanted)} wanted"
        judged = f"EXCEEDED{_gain(stages['baseline'], stages[stage])}. Try: {GUARD_STEPS} ({STAGE_FILES[stage]})"
        yield f"- stage {stage}: {words}: {'kept' if verdict.met else judged}"


def _gain(baseline: dict[str, Any], results: dict[str, Any]) -> str:
    before, after = _cer(baseline, "calls_test"), _cer(results, "calls_test")
    if before is None or after is None:
        return ""
    return f", while calls went {points(before)} -> {in_percent(after)}"


def _cer(results: dict[str, Any] | None, name: str) -> float | None:
    return results["sets"].get(name, {}).get("llm", {}).get("cer") if results else None

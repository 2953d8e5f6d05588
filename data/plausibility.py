"""Rules against utterances that are no match of speech and text, though nobody has marked them.

Each rule measures one thing and holds it against a bound; `--rule too_fast=12` sets a bound, `--rule silent=off`
switches a rule off. They clean training sets. Dev and test are never filtered by them: a score that leaves out
what is odd flatters.

Bounds are wide on purpose. They are to catch texts that belong to other sounds, not speech that is hard.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.annotation import HAN
from data.audio import AudioInfo
from data.corpora import Reject, Utterance
from data.errors import UserError, run
from data.reasons import Reasons
from data.speech_level import SpeechLevel, measure
from data.spelling import nearest

LONG_TEXT = 10  # characters, some two seconds of speech; what is shorter is said again and again
FLOOR_DBOV = -100.0  # stands for digital silence, whose level has no figure; a step of 16 bits is -90

Facts = dict[str, float]  # of a sound: seconds and overrun by its header, level_dbov and speech by its samples


@dataclass(frozen=True)
class Rule:
    """What `measure` finds must be at most the bound (`is_most`), or at least.

    `of` is what it looks at: "text"; "corpus", how often a text stands in it; "header" or "samples" of the sound.
    """

    name: str
    of: str
    is_most: bool
    bound: float
    measures: str
    why: str
    measure: Callable[[str, Facts], float] | None = None

    def allows(self, value: float) -> bool:
        """Is a value within the bound? The bound itself is."""
        return value <= self.bound if self.is_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'at most' if self.is_most else 'at least'} {self.bound:g} {self.measures}"


Rules = tuple[Rule, ...]

# --- measures -------------------------------------------------------------------------------------------

_SPOKEN = re.compile(rf"[{HAN}]|\d|[^\W\d_{HAN}]+")
_MARKUP = re.compile(
    r"<(?=[A-Za-z/|!])|(?<=[A-Za-z/|\"])>|[\[\]{}|\\]|\(\(|\)\)|\*\*"
    r"|(?<!\d)%(?=[a-z])|&(?:[a-z]{2,6}|#\d+);"  # LDC's %um, HTML's &lt;
    r"|\ufffd"  # what a wrong encoding leaves
)
_RUN = re.compile(r"(\w)\1+")


def spoken(text: str) -> int:
    """What is pronounced in a text: Chinese characters, digits, and words of other scripts."""
    return len(_SPOKEN.findall(text))


def _words(text: str, _: Facts) -> float:
    return spoken(text)


def _markup(text: str, _: Facts) -> float:
    return len(_MARKUP.findall(text))


def _longest_run(text: str, _: Facts) -> float:
    return max((len(run[0]) for run in _RUN.finditer(text)), default=1)


def _overrun(_: str, sound: Facts) -> float:
    return max(sound["overrun"], 0.0)


def _seconds(_: str, sound: Facts) -> float:
    return max(sound["seconds"], 0.0)


def _level(_: str, sound: Facts) -> float:
    return sound["level_dbov"]


def _rate(text: str, sound: Facts) -> float:
    seconds = sound["speech"] or sound["seconds"]  # where P.56 finds no speech at all, by all of it
    return spoken(text) / max(seconds, 0.001)


RULES: Rules = (
    Rule("no_words", "text", False, 1, "characters or words in the text",
         "a text of punctuation alone says nothing about the sound", _words),
    Rule("leftover_markup", "text", True, 0, "signs that nobody pronounces (tags, entities, damaged characters)",
         "what the table of tags has not taken off would be learned as words", _markup),
    Rule("repeated_character", "text", True, 12, "times the same character in a row",
         "people say 对对对对 and laugh 哈哈哈, and a mobile number has 11 digits; a recogniser that got stuck "
         "writes dozens", _longest_run),
    Rule("copied_text", "corpus", True, 1000, f"utterances with the same text of {LONG_TEXT} characters or more",
         "an export that pastes one text everywhere; lower it for small corpora, but mind what agents say in "
         "every call"),
    Rule("outside_file", "header", True, 0.5, "seconds beyond the end of the file",
         "Kaldi's extract-segments cuts up to half a second off; more is a time of another file", _overrun),
    Rule("too_short", "header", False, 0.1, "seconds",
         "a Mandarin syllable lasts about 0.2 s in conversation, and hardly ever less than half of that", _seconds),
    Rule("too_long", "header", True, 120, "seconds",
         "longer than what the recipe is meant for, and than the memory of a GPU likes", _seconds),
    Rule("silent", "samples", False, -60, "dBov active speech level (ITU-T P.56)",
         "telephone speech lies around -26 and faint far-field speech around -40; at -60, near the noise of an "
         "idle line, G.711 has few steps left", _level),
    Rule("too_slow", "samples", False, 0.5, "characters per second of speech (ITU-T P.56)",
         "one drawn-out 嗯 in two seconds; with less, most of what is said is missing in the text", _rate),
    Rule("too_fast", "samples", True, 15, "characters per second of speech (ITU-T P.56)",
         "Mandarin conversation has 5 to 6 syllables per second, fast phrases 10; nobody articulates 15", _rate),
)  # fmt: skip


# --- what is to be known of a sound ---------------------------------------------------------------------


def wanted(rules: Rules) -> str:
    """What of a sound the rules look at: nothing, its "header", or its "samples" too."""
    of = {rule.of for rule in rules}
    return "samples" if "samples" in of else "header" if "header" in of else ""


def header_facts(utterance: Utterance, info: AudioInfo) -> Facts:
    """How long an utterance is, and by how many seconds its times reach beyond the file (less than 0: within)."""
    whole = info.frames / info.rate
    start, end = utterance.start or 0.0, whole if utterance.end is None else utterance.end
    return {"seconds": min(end, whole) - start, "overrun": max(start, end) - whole}


def sample_facts(samples: np.ndarray, rate: int = 16000) -> Facts:
    """Level and seconds of the speech in (n,) float samples, by ITU-T P.56."""
    return level_facts(measure(samples, rate), len(samples) / rate)


def level_facts(level: SpeechLevel, seconds: float) -> Facts:
    """The same of a sound that has been measured already."""
    return {"level_dbov": max(level.active_dbov, FLOOR_DBOV), "speech": level.activity * seconds}


def known(facts: Mapping[str, object]) -> tuple[str, ...]:
    """What of the sound has been looked at."""
    return tuple(of for of, name in (("header", "seconds"), ("samples", "speech")) if name in facts)


# --- their use ------------------------------------------------------------------------------------------


def choose_rules(changes: Iterable[str] = ()) -> Rules:
    """All rules, changed by `name=bound` and `name=off`. Raises UserError for anything else."""
    bounds: dict[str, float | None] = {rule.name: rule.bound for rule in RULES}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in bounds:
            raise UserError(f"--rule {change}: unknown rule {name!r}{nearest(name, list(bounds))}")
        bounds[name] = _bound(name, text)
    chosen = ((rule, bounds[rule.name]) for rule in RULES)
    return tuple(replace(rule, bound=bound) for rule, bound in chosen if bound is not None)


def main(argv: list[str] | None = None) -> int:
    """The rules with these changes, a line each: `python -m data.plausibility too_fast=12 silent=off`."""
    for rule in choose_rules(sys.argv[1:] if argv is None else argv):
        print(f"{rule.name}: {rule}")
    return 0


def judge(utterance: Utterance, rules: Rules, of: Sequence[str], sound: Facts | None = None) -> Reject | None:
    """The reject that an utterance becomes by the first of the rules that it breaks; `of`: which to ask.

    Where nobody speaks, as in negatives, there is no text and no rule for it.
    """
    for rule in rules if utterance.text else ():
        if rule.of in of and rule.measure is not None:
            value = rule.measure(utterance.text, sound or {})
            if not rule.allows(value):
                return reject(utterance, rule, value)
    return None


def reject(utterance: Utterance, rule: Rule, value: float) -> Reject:
    """The reject that an utterance becomes by a rule."""
    value = round(float(value), 3)
    detail = f"line {utterance.line}: {utterance.key}: {value:g}, must be {rule}"
    return Reject(utterance.key, utterance.line, rule.name, detail, utterance.text, utterance.call,
                  value, rule.bound)


def summary(rules: Rules, of: Sequence[str], rejected: Reasons) -> list[str]:
    """A line for each rule that rejected something: how much, of what values, and its bound."""
    return [
        f"  {rule.name}: {rejected.counts[rule.name]:,} rejected{_range(rejected, rule)}; must be {rule}"
        for rule in rules
        if rule.of in of and rejected.counts[rule.name]
    ]


def _range(rejected: Reasons, rule: Rule) -> str:
    """Nothing of a sound that was too short to be measured."""
    least, most = rejected.ranges.get(rule.name, (None, None))
    return "" if least is None else f", {least:g}" if least == most else f", {least:g} to {most:g}"


def _bound(name: str, text: str) -> float | None:
    """None for a rule that is off."""
    try:
        bound = None if text == "off" else float(text)
    except ValueError:
        bound = math.nan
    if bound is not None and not math.isfinite(bound):
        raise UserError(f"--rule {name}={text}: write it as {name}=NUMBER or {name}=off")
    return bound


if __name__ == "__main__":
    raise SystemExit(run(main))

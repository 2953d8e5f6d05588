"""What of a manifest can be used, judged by its text alone. Every line is accounted for."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from data import plausibility
from data.annotation import Marked, clean, is_marked
from data.corpora import Reject, Utterance, detect, read_corpus
from data.errors import UserError
from data.funasr_rows import speech_length_unit
from data.plausibility import LONG_TEXT, Rules, spoken
from data.tally import Tally

TEXT = ("text", "corpus")  # what the rules here look at


@dataclass(frozen=True)
class Selection:
    """The lines of a manifest: those that can be used, in order, and those that cannot, with the reason.

    `rules` are those that hold for it; the ones about sound are still to be applied. `marked` lines say that
    their text is wrong; they are among the rejects where such are to be filtered. `form`: as which it was read.
    """

    kept: list[Utterance]
    rejected: list[Reject]
    rules: Rules = ()
    marked: int = 0
    form: str = ""

    @property
    def read(self) -> int:
        """Lines of the manifest. kept + rejected = read, always."""
        return len(self.kept) + len(self.rejected)

    def head(self, limit: int | None) -> Selection:
        """The first `limit` usable utterances and the rejects in front of the last of them."""
        if limit is None or limit >= len(self.kept):
            return self
        kept = self.kept[:limit]
        return replace(self, kept=kept, rejected=[r for r in self.rejected if r.line < kept[-1].line])

    def half(self, which: int) -> Selection:
        """One of two halves by hash of the call (else the key, else the line), so that no call is in both."""
        kept = [utterance for utterance in self.kept if _half(utterance) == which]
        return replace(self, kept=kept, rejected=[r for r in self.rejected if _half(r) == which])

    def _unit(self, manifest: Path | str) -> str | None:
        """What FunASR's rows count their lengths in."""
        return speech_length_unit(Path(manifest)) if self.form == "funasr" else None

    def summary(self, manifest: Path | str) -> str:
        """What was found in the text of all lines, a line a rule."""
        lines = [f"{manifest} ({self.form}): {self.read} lines, {len(self.kept)} usable by their text, "
                 f"{count_reasons(self.rejected)}",
                 *([f"  its lengths count {unit}; they are counted anew"] if (unit := self._unit(manifest)) else []),
                 f"  {self.marked:,} of {self.read:,} marked as annotation errors"]
        return "\n".join(lines + plausibility.summary(self.rules, TEXT, self.rejected))


def select(
    manifest: Path | str,
    filter_annotation_error: bool = True,
    rules: Rules = (),
    format: str = "auto",
    min_confidence: float = 0.0,
) -> Selection:
    """Read and clean a whole manifest. Raises UserError when not a single line of it can be used.

    Marked lines become rejects with `filter_annotation_error`, implausible ones by `rules` (of training sets
    only). A line costs its Utterance and, for its key and a long text, 18 to 36 bytes each.
    """
    form = detect(manifest) if format == "auto" else format
    judge = _Judge(filter_annotation_error, rules)
    kept: list[Utterance] = []
    rejected: list[Reject] = []
    for item in read_corpus(manifest, form, min_confidence):
        judged = item if isinstance(item, Reject) else judge(item)
        if isinstance(judged, Reject):
            rejected.append(judged)
        else:
            kept.append(judged)
    kept, copied = judge.part_copied(kept)
    if copied:
        rejected = sorted(rejected + copied, key=lambda reject: reject.line)
    if not kept:
        first = f"; the first: {rejected[0].detail}" if rejected else ""
        raise UserError(f"{manifest}: none of its {len(rejected)} lines can be used{first}")
    return Selection(kept, rejected, rules, judge.marked, form)


def count_reasons(rejected: list[Reject]) -> str:
    """`rejected 3 (annotation_error: 2, bad_json: 1)`, most frequent first."""
    counts = Counter(sorted(reject.reason for reject in rejected)).most_common()
    reasons = ", ".join(f"{reason}: {count}" for reason, count in counts)
    return f"rejected {len(rejected)}" + (f" ({reasons})" if reasons else "")


def refuse(utterance: Utterance, reason: str, detail: str) -> Reject:
    """The reject that an utterance becomes."""
    where = f"line {utterance.line}: {utterance.key}"
    return Reject(utterance.key, utterance.line, reason, f"{where}: {detail}", utterance.text, utterance.call)


class _Judge:
    """Judges one utterance after the other; remembers in which line each key stood first, and long texts."""

    def __init__(self, filter_annotation_error: bool, rules: Rules) -> None:
        self.filters, self.rules = filter_annotation_error, rules
        self.marked = 0
        self._lines, self._copies = Tally(), Tally()
        self._copied = next((rule for rule in rules if rule.of == "corpus"), None)

    def __call__(self, utterance: Utterance) -> Utterance | Reject:
        self.marked += is_marked(utterance.text)
        first = self._lines.note(utterance.key, utterance.line)
        if first:
            return refuse(utterance, "duplicate_key", f"the key is that of line {first}")
        try:
            cleaned = replace(utterance, text=clean(utterance.text, self.filters))
        except Marked as mark:
            return refuse(utterance, mark.reason, mark.detail)
        implausible = plausibility.judge(cleaned, self.rules, TEXT)
        if not implausible and self._copied and spoken(cleaned.text) >= LONG_TEXT:
            self._copies.add(cleaned.text)
        return implausible or cleaned

    def part_copied(self, kept: list[Utterance]) -> tuple[list[Utterance], list[Reject]]:
        """Those whose text is their own, and rejects of all that share one: nobody knows whose it was."""
        rule = self._copied
        if not rule or rule.allows(self._copies.most):
            return kept, []
        own: list[Utterance] = []
        copied: list[Reject] = []
        for utterance in kept:
            count = self._copies.get(utterance.text)
            if rule.allows(count):
                own.append(utterance)
            else:
                copied.append(plausibility.reject(utterance, rule, count))
        return own, copied


def _half(item: Utterance | Reject) -> int:
    name = item.call or item.key or str(item.line)
    return hashlib.sha256(name.encode()).digest()[0] & 1

"""What of a manifest can be used, judged by its text alone, as a plan. Every line is accounted for."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from data import plausibility
from data.annotation import Marked, clean, is_marked
from data.calls import SOUNDS
from data.corpora import Reject, Utterance, described, detect, read_corpus, split_fragment
from data.errors import UserError
from data.funasr_rows import speech_length_unit
from data.negatives import Negatives
from data.plan import Draft, Plan, drafting
from data.plausibility import LONG_TEXT, Rules, spoken
from data.tally import Tally

TEXT = ("text", "corpus")  # what the rules here look at
SOURCES = Path(__file__).parent


@dataclass(frozen=True)
class Request:
    """What is asked of a manifest.

    Marked lines become rejects with `filter_annotation_error`, implausible ones by `rules` (of training sets only).
    `halved` divides it into dev and test; `limit` makes the first so many utterances of each part alone, while all
    text is still checked; `negatives` adds utterances in which nobody speaks.
    """

    manifest: Path | str
    filter_annotation_error: bool = True
    rules: Rules = ()
    format: str = "auto"
    min_confidence: float = 0.0
    halved: bool = False
    limit: int | None = None
    negatives: Negatives | None = None

    def made_from(self) -> str:
        """Hash of all that the plan is made from: this, the manifest as it lies there, and how lines are read."""
        rules = [(rule.name, rule.bound) for rule in self.rules]
        asked = asdict(replace(self, rules=())) | {"rules": rules}
        code = [path.read_text(encoding="utf-8") for path in sorted(SOURCES.glob("*.py"))]
        content = json.dumps([asked, _stamps(split_fragment(self.manifest)[0]), code], default=str)
        return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def select(request: Request, path: Path) -> Plan:
    """Read and clean a whole manifest into a plan at `path`. Raises UserError when not a single line can be used.

    A line costs, of memory, 18 to 36 bytes for its key and as many for a long text.
    """
    form = detect(request.manifest) if request.format == "auto" else request.format
    with drafting(path) as draft:
        judge = _Judge(request.filter_annotation_error, request.rules)
        for item in read_corpus(request.manifest, form, request.min_confidence):
            draft.add(item if isinstance(item, Reject) else judge(item))
        judge.reject_copied(draft)
        _refuse_nothing(draft, request.manifest)
        summary = _summary(draft, request, form, judge.marked)
        draft.find_talkers()
        if request.halved and (note := draft.halve()):
            summary.append(f"  {note}")
        if request.limit:
            draft.limit(request.limit)
        spoken = draft.count("utterance")
        for negative in request.negatives.made(spoken) if request.negatives else ():
            draft.add(negative)
        if silent := draft.count("utterance") - spoken:
            summary.append(f"  {silent:,} utterances in which nobody speaks are added")
        draft.finish({"made from": request.made_from(), "summary": summary})
    return Plan(path)


def planned(request: Request, path: Path) -> Plan:
    """The plan that is there, where it is of this very request; else a new one. For the tasks of one array."""
    return Plan(path) if _is_of(request, path) else select(request, path)


def _is_of(request: Request, path: Path) -> bool:
    try:
        return path.is_file() and Plan(path).facts().get("made from") == request.made_from()
    except sqlite3.DatabaseError:
        return False


def _stamps(place: Path) -> list[Any]:
    """Size and time of a file, or of all tables and texts below a folder; of sounds the names."""
    if not place.is_dir():
        return _stamp(place)
    files = (Path(folder, name) for folder, _, names in os.walk(place, followlinks=False) for name in names)
    return [[str(path), [] if path.suffix.lower() in SOUNDS else _stamp(path)] for path in sorted(files)]


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _refuse_nothing(draft: Draft, manifest: Path | str) -> None:
    if not draft.count("utterance"):
        if not draft.count("reject"):
            raise UserError(f"{manifest}: holds no utterance{' of that name' if '#' in str(manifest) else ''}")
        first = f"; the first: {detail}" if (detail := draft.first_reject()) else ""
        raise UserError(f"{manifest}: none of its {draft.count('reject')} lines can be used{first}")


def _summary(draft: Draft, request: Request, form: str, marked: int) -> list[str]:
    """What was found in the text of all lines, a line a rule."""
    usable, reasons = draft.count("utterance"), draft.reasons()
    read = usable + reasons.counts.total()
    unit = speech_length_unit(Path(request.manifest)) if form == "funasr" else None
    return [
        f"{request.manifest} ({described(form)}): {read} lines, {usable} usable by their text, {reasons}",
        *([f"  its lengths count {unit}; they are counted anew"] if unit else []),
        f"  {marked:,} of {read:,} marked as annotation errors",
        *plausibility.summary(request.rules, TEXT, reasons),
    ]


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

    def reject_copied(self, draft: Draft) -> None:
        """A text that very many share is nobody's: all of them go."""
        rule = self._copied
        if not rule or rule.allows(self._copies.most):
            return
        for number, utterance in draft.texts():
            count = self._copies.get(utterance.text)
            if not rule.allows(count):
                draft.reject(number, plausibility.reject(utterance, rule, count))

"""What of a manifest can be used, judged by its text alone. Every line is accounted for."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from data.annotation import Marked, clean
from data.corpora import Reject, Utterance, read_corpus
from data.errors import UserError


@dataclass(frozen=True)
class Selection:
    """The lines of a manifest: those that can be used, in order, and those that cannot, with the reason."""

    kept: list[Utterance]
    rejected: list[Reject]

    @property
    def read(self) -> int:
        """Lines of the manifest. kept + rejected = read, always."""
        return len(self.kept) + len(self.rejected)

    def head(self, limit: int | None) -> Selection:
        """The first `limit` usable utterances and the rejects in front of the last of them."""
        if limit is None or limit >= len(self.kept):
            return self
        kept = self.kept[:limit]
        return Selection(kept, [reject for reject in self.rejected if reject.line < kept[-1].line])

    def half(self, which: int) -> Selection:
        """One of two halves by hash of the call (else the key, else the line), so that no call is in both."""
        kept = [utterance for utterance in self.kept if _half(utterance) == which]
        return Selection(kept, [reject for reject in self.rejected if _half(reject) == which])


def select(manifest: Path | str, filter_annotation_error: bool = True) -> Selection:
    """Read and clean a whole manifest. Raises UserError when not a single line of it can be used."""
    kept: list[Utterance] = []
    rejected: list[Reject] = []
    lines: dict[str, int] = {}
    for item in read_corpus(manifest):
        judged = item if isinstance(item, Reject) else _judge(item, lines, filter_annotation_error)
        if isinstance(judged, Reject):
            rejected.append(judged)
        else:
            kept.append(judged)
    if not kept:
        first = f"; the first: {rejected[0].detail}" if rejected else ""
        raise UserError(f"{manifest}: none of its {len(rejected)} lines can be used{first}")
    return Selection(kept, rejected)


def count_reasons(rejected: list[Reject]) -> str:
    """`rejected 3 (annotation_error: 2, bad_json: 1)`, most frequent first."""
    counts = Counter(sorted(reject.reason for reject in rejected)).most_common()
    reasons = ", ".join(f"{reason}: {count}" for reason, count in counts)
    return f"rejected {len(rejected)}" + (f" ({reasons})" if reasons else "")


def refuse(utterance: Utterance, reason: str, detail: str) -> Reject:
    """The reject that an utterance becomes."""
    where = f"line {utterance.line}: {utterance.key}"
    return Reject(utterance.key, utterance.line, reason, f"{where}: {detail}", utterance.text, utterance.call)


def _judge(utterance: Utterance, lines: dict[str, int], filter_annotation_error: bool) -> Utterance | Reject:
    """`lines` remembers in which line each key was seen first."""
    first = lines.setdefault(utterance.key, utterance.line)
    if first != utterance.line:
        return refuse(utterance, "duplicate_key", f"the key is that of line {first}")
    try:
        return replace(utterance, text=clean(utterance.text, filter_annotation_error))
    except Marked as mark:
        return refuse(utterance, mark.reason, mark.detail)


def _half(item: Utterance | Reject) -> int:
    name = item.call or item.key or str(item.line)
    return hashlib.sha256(name.encode()).digest()[0] & 1

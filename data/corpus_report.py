"""The numbers of a set of utterances: how much of it there is, of whom, how long, how loud, over what lines.

A row leaves some thirty bytes behind, whatever it holds. All figures are functions of the rows, never of their
order or of the time.
"""

from __future__ import annotations

import json
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import UserError
from data.leakage import Names, call, speaker
from data.listening import snr_db
from data.manifest import LFR_STEP, RATE, SHIFT
from data.online import MARK
from data.row_checks import number
from data.spelling import counted

Row = dict[str, Any]
FRAME = LFR_STEP * SHIFT / RATE  # seconds of one frame of the encoder
FEWEST_BINS, MOST_BINS = 8, 32  # about, of a histogram
BARS = "▁▂▃▄▅▆▇█"
TOP_REASONS = 8
MOST_NAMES, OTHERS = 200, "others"


@dataclass(frozen=True)
class Measure:
    """Something that is counted in a histogram."""

    name: str
    title: str
    unit: str
    digits: int = 1
    span: tuple[float, float] | None = None  # of the axis, where it is always the same


MEASURES = (
    Measure("duration", "Duration", "seconds"),
    Measure("characters_per_second", "Speaking rate", "characters a second"),
    Measure("level_dbov", "Speech level drawn", "dBov (ITU-T P.56)"),
    Measure("snr_db", "SNR drawn", "dB"),
    Measure("loss_percent", "Frames lost, drawn", "%", 2),
    Measure("bandwidth_khz", "Bandwidth found", "kHz", 2, (0, 8)),
)


@dataclass
class Survey:
    """What is remembered of the rows of one file, or of several."""

    utterances: int = 0
    characters: int = 0
    negatives: int = 0
    online: int = 0
    values: dict[str, array[float]] = field(default_factory=lambda: {m.name: array("f") for m in MEASURES})
    speakers: Names = field(default_factory=Names)
    calls: Names = field(default_factory=Names)
    profiles: Counter[str] = field(default_factory=Counter)
    legs: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, row: Row, bandwidth: float | None = None) -> None:
        """Count one row in; `bandwidth` in Hz, where it was listened to."""
        seconds = row.get("duration", row["speech_length"] * FRAME)
        self.utterances += 1
        self.characters += row["text_length"]
        self.negatives += bool(row.get("negative"))
        self.speakers.add(speaker(row))
        self.calls.add(call(row))
        self._note("duration", seconds)
        if seconds and not row.get("negative"):
            self._note("characters_per_second", row["text_length"] / seconds)
        self._note("bandwidth_khz", bandwidth and bandwidth / 1000)
        self._add_channel(row.get("channel"))

    def _add_channel(self, drawn: Any) -> None:
        self.online += drawn == MARK
        if not isinstance(drawn, dict):
            return
        self._note("level_dbov", drawn.get("level_dbov"))
        self._note("snr_db", snr_db(drawn))
        if (loss := number(drawn.get("loss_rate"))) is not None:
            self._note("loss_percent", 100 * loss)
        tally(self.profiles, str(drawn.get("profile", "unnamed")))
        if isinstance(drawn.get("legs"), list):
            tally(self.legs, " → ".join(str(leg).partition(" ")[0] for leg in drawn["legs"]))

    def add_rejects(self, jsonl: Path) -> None:
        """Count what stage 0 left out, from FOLDER/rejected beside FOLDER/NAME.jsonl, where that is."""
        for fields in _read_rejects(jsonl.parent / "rejected" / jsonl.name):
            reason = tally(self.rejected, str(fields.get("reason", "unnamed")))
            self.examples.setdefault(reason, printable(str(fields.get("detail") or fields.get("key") or "")))

    def _note(self, name: str, value: Any) -> None:
        if (found := number(value)) is not None:
            self.values[name].append(max(-3e38, min(3e38, found)))

    @property
    def hours(self) -> float:
        return float(np.frombuffer(self.values["duration"], np.float32).sum(dtype=np.float64)) / 3600


def tally(counts: Counter[str], name: str) -> str:
    """Count a name under itself, or under OTHERS where there are so many that it cannot be what it should."""
    shown = printable(name)
    if shown not in counts and len(counts) >= MOST_NAMES:
        shown = OTHERS
    counts[shown] += 1
    return shown


def together(surveys: Iterable[Survey]) -> Survey:
    """One survey of all."""
    total = Survey()
    for part in surveys:
        for name in ("utterances", "characters", "negatives", "online"):
            setattr(total, name, getattr(total, name) + getattr(part, name))
        for name, values in part.values.items():
            total.values[name].extend(values)
        for name in ("speakers", "calls"):
            getattr(total, name).hashes.extend(getattr(part, name).hashes)
        for name in ("profiles", "legs", "rejected"):
            getattr(total, name).update(getattr(part, name))
        total.examples = part.examples | total.examples
    return total


def summarise(survey: Survey) -> dict[str, Any]:
    """A survey as numbers that a program can read. What is unknown is 0, empty or left out."""
    reasons = sorted(survey.rejected.items(), key=lambda item: (-item[1], item[0]))
    return {
        "utterances": survey.utterances,
        "hours": round(survey.hours, 4),
        "characters": survey.characters,
        "speakers": len(survey.speakers.different()),
        "calls": len(survey.calls.different()),
        "negatives": survey.negatives,
        "online": survey.online,
        "measures": {m.name: _distribution(survey.values[m.name], m) for m in MEASURES if survey.values[m.name]},
        "profiles": dict(survey.profiles.most_common()),
        "codecs": dict(survey.legs.most_common()),
        "rejected": [{"reason": reason, "count": count, "example": survey.examples[reason]} for reason, count in reasons],
    }


def printable(text: str) -> str:
    """One line that every terminal takes, whatever a corpus has put into its keys."""
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return shown if len(shown) <= 500 else f"{shown[:500]} …"


def lines(figures: dict[str, Any]) -> Iterator[str]:
    """A summary for the terminal, compact: what is there, then a line for every histogram."""
    yield ", ".join(_amounts(figures))
    for measure in MEASURES:
        if found := figures["measures"].get(measure.name):
            yield _sparkline(measure, found)
    for title, name in (("Profiles", "profiles"), ("Codecs", "codecs")):
        if figures[name]:
            yield f"{title:<22} " + ", ".join(f"{label} {count:,}" for label, count in figures[name].items())
    if figures["rejected"]:
        top = figures["rejected"][:TOP_REASONS]
        total = sum(reject["count"] for reject in figures["rejected"])
        reasons = ", ".join(f"{reject['reason']} {reject['count']:,}" for reject in top)
        yield f"{'Rejected':<22} {total:,}: {reasons}"


def _amounts(figures: dict[str, Any]) -> Iterator[str]:
    yield counted(figures["utterances"], "utterance")
    yield f"{figures['hours']:,.2f} hours"
    if duration := figures["measures"].get("duration"):
        yield f"longest {duration['max']:,.1f} s"
    yield counted(figures["characters"], "character")
    for noun in ("speaker", "call"):
        if count := figures[f"{noun}s"]:
            yield counted(count, noun)
    if figures["negatives"]:
        yield f"{figures['negatives']:,} of them without speech"
    if figures["online"]:
        yield f"{figures['online']:,} to be simulated in training"


def _sparkline(measure: Measure, found: dict[str, Any]) -> str:
    """`Duration   0 ▁▃█▅▂ 12 seconds, median 3.2`."""
    counts, edges = np.array(found["histogram"]["counts"]), found["histogram"]["edges"]
    heights = np.ceil(counts * (len(BARS) - 1) / counts.max()).astype(int)
    bars = "".join(BARS[height] if count else " " for height, count in zip(heights, counts, strict=True))
    middle = f"median {found['median']:,.{measure.digits}f}"
    return f"{measure.title:<22} {edges[0]:>6g} {bars} {edges[-1]:g} {measure.unit}, {middle}"


def _distribution(values: array[float], measure: Measure) -> dict[str, Any]:
    """Order statistics and a histogram. A value on an edge counts below it; what lies beyond, in the last bin."""
    found = np.frombuffer(values, np.float32).astype(np.float64)
    low, median, high = np.percentile(found, (5, 50, 95))
    edges = nice_edges(measure.span or np.percentile(found, (0.5, 99.5)).tolist(), len(found))
    counts = np.histogram(np.clip(found - 1e-3 * (edges[1] - edges[0]), edges[0], edges[-1]), edges)[0]
    figures = {"min": found.min(), "p5": low, "median": median, "p95": high, "max": found.max(), "mean": found.mean()}
    rounded = {name: round(float(value), measure.digits + 1) for name, value in figures.items()}
    histogram = {"edges": [round(float(edge), 6) for edge in edges], "counts": counts.tolist()}
    return {"unit": measure.unit, "count": len(found)} | rounded | {"histogram": histogram}


def nice_edges(span: Sequence[float], values: int) -> np.ndarray:
    """(bins + 1,) edges at multiples of 1, 2, 2.5 or 5 times a power of ten around `span`: the more values, the more bins.

    With a span that leaves out the outermost values a single recording of two hours does not squeeze all others
    into one bar.
    """
    low, high = span
    bins = min(MOST_BINS, max(FEWEST_BINS, 2 * math.isqrt(values)))
    width = max(high - low, 1e-3 * max(abs(high), 1.0)) / bins
    power = 10.0 ** math.floor(math.log10(width))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= 0.999 * width)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    return np.arange(first, max(last, first + 1) + 1) * step


def _read_rejects(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    with path.open("rb") as rejects:
        for line in rejects:
            try:
                fields = json.loads(line)
            except ValueError:
                raise UserError(f"{path}: is damaged; run stage 0 again") from None
            if isinstance(fields, dict):
                yield fields

"""What a split will take, before it is made: hours of speech, files and bytes, and whether the disk can hold them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data.audio import AudioError, AudioInfo, read_info
from data.corpora import Utterance
from data.errors import UserError
from data.plan import Plan

LOOKED_AT = 1000  # headers of sound files, the same ones each time
GB = 1e9
ROW = 1000  # bytes of a row and of what is noted beside it, about

Size = Callable[[Utterance, AudioInfo, float], int | None]  # bytes of so many seconds; None where a sound stays as it is


@dataclass(frozen=True)
class Forecast:
    """`hours` of all utterances; `files` of `size` bytes in all are to be written. By all headers, or by some of them."""

    utterances: int
    hours: float
    files: int
    size: float
    by_all: bool

    def __str__(self) -> str:
        about = "" if self.by_all else "about "
        kept = f"{about}{self.files:,} sound files, {self.size / GB:,.3f} GB"
        return f"{self.utterances:,} utterances, {about}{self.hours:,.2f} hours; to be kept here: {kept}"


def forecast(plan: Plan, size: Size) -> Forecast:
    """By the headers of all sounds of a small split, of some of a large one. What cannot be read counts for nothing."""
    utterances = plan.kept()
    seconds, files, stored, looked = 0.0, 0, 0, 0
    for utterance in plan.some(LOOKED_AT):
        looked += 1
        try:
            info = read_info(utterance.audio)
        except AudioError:
            continue
        lasts = _seconds(utterance, info)
        seconds += lasts
        if (needed := size(utterance, info, lasts)) is not None:
            files, stored = files + 1, stored + needed
    share = utterances / max(looked, 1)
    return Forecast(
        utterances, share * seconds / 3600, round(share * files), share * stored + ROW * utterances, looked == utterances
    )


def refuse_full_disk(wanted: Forecast, share: float, folder: Path) -> None:
    """Raises UserError where there is no room for that share of it."""
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free, needed = shutil.disk_usage(place).free, share * wanted.size
    if needed > free:
        raise UserError(f"{folder}: {needed / GB:,.1f} GB are to be written and {free / GB:,.1f} GB are free: free some, choose "
                        "another output folder, or keep the sound in less space (--storage flac or mu-law)")  # fmt: skip


def _seconds(utterance: Utterance, info: AudioInfo) -> float:
    whole = info.frames / info.rate
    end = whole if utterance.end is None else min(utterance.end, whole)
    return max(0.0, end - (utterance.start or 0.0))

"""Checks of training JSONL: small functions, each looking for one kind of mistake in all rows of a file.

A check returns what is wrong, a line each, and nothing when all is well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from data import prompt as prompts
from data.audio import AudioError, read_info
from data.errors import UserError
from data.files import sha256_of
from data.manifest import RATE, fbank_frames, read_rows, speech_length

Row = dict[str, Any]
SHOWN = 3  # findings printed of each check


def validate(files: list[Path], check_audio: bool = False) -> bool:
    """Print ✓ or ✗ for every check of every file, and of the splits together. True when all passed."""
    checks = [*CHECKS, *(AUDIO_CHECKS if check_audio else [])]
    passed, sets = [], {}
    for path in files:
        try:
            sets[path] = read_rows(path)
        except UserError as error:
            passed.append(_report("rows can be read", [str(error)]))
            continue
        print(f"{path}: {_summary(sets[path])}")
        passed += [_report(name, list(check(sets[path]))) for name, check in checks]
    if len({path.stem for path in sets}) > 1:
        print("splits together")
        passed.append(_report("no sound file is in two splits", list(splits_share_no_audio(sets))))
        _report("no call is in two splits", list(splits_share_no_call(sets)), warning=True)
    return all(passed)


def _summary(rows: list[Row]) -> str:
    seconds = [row.get("duration", row["speech_length"] * 0.06) for row in rows]
    characters = sum(row["text_length"] for row in rows)
    hours = f"{sum(seconds) / 3600:.2f} hours, longest {max(seconds):.1f} s"
    return f"{len(rows)} utterances, {hours}, {characters} characters"


def _report(name: str, findings: list[str], warning: bool = False) -> bool:
    mark = ("!" if warning else "✗") if findings else "✓"
    print(f"  {mark} {name}" + (f": {len(findings)} against it" if findings else ""))
    for finding in findings[:SHOWN]:
        print(f"      {finding}")
    if len(findings) > SHOWN:
        print(f"      … and {len(findings) - SHOWN} more")
    return not findings


# --- one file ----------------------------------------------------------------------------------


def keys_are_unique(rows: Iterable[Row]) -> Iterator[str]:
    for key, count in Counter(row["key"] for row in rows).items():
        if count > 1:
            yield f"{key}: {count} times"


def prompts_are_one(rows: Iterable[Row]) -> Iterator[str]:
    """Mixed prompts teach a model two ways of answering."""
    counts = Counter(prompts.prompt_of(row["messages"]) for row in rows)
    for words, count in counts.most_common()[1:]:
        yield f"{count} rows say {words!r}, the others {counts.most_common(1)[0][0]!r}"


def texts_are_words(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        text = prompts.target(row["messages"])
        speechless = row.get("negative") and not text
        if not speechless and (not text.strip() or "<|" in text):
            yield f"{row['key']}: {text!r} is no transcript"


def text_lengths_fit(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        length = len(prompts.target(row["messages"]))
        if row["text_length"] != length:
            yield f"{row['key']}: text_length is {row['text_length']}, the text has {length} characters"


def speech_lengths_are_positive(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        if row["speech_length"] < 1:
            yield f"{row['key']}: speech_length is {row['speech_length']}"


def audio_is_there(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        path = prompts.audio_path(row["messages"])
        if not Path(path).is_file():
            yield f"{row['key']}: {path}: no such file"


# --- one file, audio opened --------------------------------------------------------------------


def audio_fits(rows: Iterable[Row]) -> Iterator[str]:
    """16 kHz, mono, and as long as the row says, in the right unit."""
    for row in rows:
        path = prompts.audio_path(row["messages"])
        try:
            info = read_info(path)
        except AudioError as error:
            yield f"{row['key']}: {error}"
            continue
        if (info.rate, info.channels) != (RATE, 1):
            yield f"{row['key']}: {path}: {info.rate} Hz, {info.channels} channels; must be {RATE} Hz, 1"
        elif row["speech_length"] != speech_length(info.frames):
            yield f"{row['key']}: {_wrong_length(row['speech_length'], info.frames)}"


def sound_is_unchanged(rows: Iterable[Row]) -> Iterator[str]:
    """Dev and test carry the hash of what was simulated: a score of other sound would be another's score."""
    for row in rows:
        path = Path(prompts.audio_path(row["messages"]))
        if "audio_sha256" in row and path.is_file() and sha256_of(path) != row["audio_sha256"]:
            yield f"{row['key']}: {path} has changed since it was simulated; run stage 0 again"


def _wrong_length(found: int, samples: int) -> str:
    right = speech_length(samples)
    if abs(found - fbank_frames(samples)) <= 3:
        return f"speech_length {found} counts 10 ms frames, as FunASR's tool does; it is {right} of 60 ms"
    return f"speech_length is {found}, the audio has {right} frames of 60 ms"


# --- several splits ------------------------------------------------------------------------------


def splits_share_no_audio(sets: dict[Path, list[Row]]) -> Iterator[str]:
    """What is trained on must not be tested on. Files of one name (two train.jsonl) are one split."""
    yield from _shared(sets, lambda row: prompts.audio_path(row["messages"]))


def splits_share_no_call(sets: dict[Path, list[Row]]) -> Iterator[str]:
    """Sentences of one call are alike: a test on calls that were trained on flatters. Only a warning."""
    yield from _shared(sets, lambda row: row.get("call"))


def _shared(sets: dict[Path, list[Row]], name_of: Callable[[Row], str | None]) -> Iterator[str]:
    seen: dict[str, Path] = {}
    for path, rows in sets.items():
        for name in dict.fromkeys(map(name_of, rows)):
            if name is not None and seen.setdefault(name, path).stem != path.stem:
                yield f"{name}: in {seen[name]} and in {path}"


CHECKS = [
    ("keys are unique", keys_are_unique),
    ("the prompt is one and the same", prompts_are_one),
    ("targets are words", texts_are_words),
    ("text_length fits the text", text_lengths_fit),
    ("speech_length is positive", speech_lengths_are_positive),
    ("sound files are there", audio_is_there),
]
AUDIO_CHECKS = [
    ("sound is 16 kHz mono, as long as speech_length says", audio_fits),
    ("sound of dev and test is what was simulated", sound_is_unchanged),
]

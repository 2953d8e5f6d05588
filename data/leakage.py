"""What two splits share. A name is remembered as 8 bytes of its hash; whose it was is looked up afterwards.

Files of one name (two train.jsonl) are one split: only what is in two splits is a leak.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data import prompt as prompts
from data.files import sha256_of
from data.row_checks import not_a_file

Row = dict[str, Any]
Name = Callable[[Row], str | None]
LOOKED_UP = 10_000  # names, at most; where there are more, all of a set is wrong
APART = ("test", "train")  # files of these names must not share even a speaker
BEGINNING = 2**16  # bytes of a sound that are hashed at once; the rest only where these agree


def sound_file(row: Row) -> str:
    return prompts.audio_path(row["messages"])


def key_and_text(row: Row) -> str:
    """One key may well name two utterances of two corpora; that they also say the same is no accident."""
    return f"{row['key']}: {prompts.target(row['messages'])}"


def source(row: Row) -> str | None:
    """The recording that was simulated, and where in it: another line does not make it another sentence."""
    if "source" not in row:
        return None
    return " ".join(str(row[name]) for name in ("source", "start", "end", "source_channel") if name in row)


def call(row: Row) -> str | None:
    return _if_there(row, "call")


def speaker(row: Row) -> str | None:
    return _if_there(row, "speaker")


def beginning(row: Row) -> str | None:
    """Size and first 64 kB of the sound: what is cheap to know of every file."""
    path = sound_file(row)
    if not_a_file(path):
        return None
    try:
        with open(path, "rb") as content:
            first = content.read(BEGINNING)
        return f"{Path(path).stat().st_size} {hashlib.sha256(first).hexdigest()}"
    except OSError:
        return None  # another check says so


def whole_sound(row: Row) -> str | None:
    """SHA-256 of the sound file; what stage 0 wrote down is believed."""
    known = row.get("audio_sha256")
    return known if isinstance(known, str) else sha256_of(Path(sound_file(row))) if beginning(row) else None


def known_sound(row: Row) -> str | None:
    """The SHA-256 that rows of dev and test bring along."""
    return _if_there(row, "audio_sha256")


@dataclass(frozen=True)
class Leak:
    """One way in which splits can overlap. `confirm` names what is the same, where `name` only suspects it."""

    title: str
    name: Name
    confirm: Name | None = None
    warning: bool = False


SPEAKERS = Leak("no speaker is in two splits", speaker, warning=True)
LEAKS = [
    Leak("no sound file is in two splits", sound_file),
    Leak("no part of a recording is in two splits", source),
    Leak("no key with its text is in two splits", key_and_text),
    Leak("no call is in two splits", call, warning=True),
    SPEAKERS,
]
KNOWN_SOUND = Leak("no sound of dev is in test", known_sound)
SAME_SOUND = Leak("no sound is in two splits under two names", beginning, whole_sound)


def ways(sounds: Leak, known_speakers: bool) -> list[Leak]:
    """All that are looked for, with one way to compare sounds; not speakers, where the user knows that splits share some."""
    return [leak for leak in (*LEAKS, sounds) if not (known_speakers and leak is SPEAKERS)]


@dataclass
class Names:
    """The names in one file, 8 bytes a row."""

    hashes: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, name: str | None) -> None:
        if name is not None:
            self.hashes.append(_hash(name))

    def different(self) -> np.ndarray:
        """(names,) uint64, sorted, each once."""
        return np.unique(np.frombuffer(self.hashes, np.uint64))

    def repeated(self) -> np.ndarray:
        """(names,) uint64: those that came more than once."""
        names, counts = np.unique(np.frombuffer(self.hashes, np.uint64), return_counts=True)
        return names[counts > 1]


def shared(names: dict[Path, Names]) -> np.ndarray:
    """(names,) uint64 that stand in files of more than one split."""
    splits: dict[str, list[np.ndarray]] = {}
    for path, found in names.items():
        splits.setdefault(path.stem, []).append(found.different())
    every = [np.unique(np.concatenate(parts)) for parts in splits.values()]
    together, counts = np.unique(np.concatenate(every), return_counts=True)
    return together[counts > 1]


def is_error(leak: Leak, names: dict[Path, Names]) -> bool:
    """Whether what is shared is no matter of a warning: what train shares with test is none, training would refuse it."""
    apart = {path: found for path, found in names.items() if path.stem in APART}
    return not leak.warning or (bool(apart) and len(shared(apart)) > 0)


def places(leak: Leak, hashes: np.ndarray, rows: Iterable[tuple[Path, Row]]) -> Iterator[str]:
    """Read the rows again for the names behind the hashes: `NAME: in FILE and in FILE`."""
    wanted = set(hashes[:LOOKED_UP].tolist())
    first: dict[str, tuple[Path, str]] = {}
    told: set[str] = set()
    for path, row in rows:
        suspect = leak.name(row)
        if suspect is None or _hash(suspect) not in wanted:
            continue
        same, shown = (leak.confirm(row), sound_file(row)) if leak.confirm else (suspect, suspect)
        if same is None or same in told:
            continue
        seen, called = first.setdefault(same, (path, shown))
        if seen.stem != path.stem and not (leak.confirm and called == shown):
            told.add(same)
            yield f"{called}: in {seen} and in {path}" + (f" as {shown}" if called != shown else "")


def repeats(name: Name, hashes: np.ndarray, rows: Iterable[Row]) -> Iterator[str]:
    """Read the rows again for the names behind the hashes: `NAME: n times`."""
    wanted = set(hashes[:LOOKED_UP].tolist())
    counts: dict[str, int] = {}
    for row in rows:
        if (found := name(row)) is not None and _hash(found) in wanted:
            counts[found] = counts.get(found, 0) + 1
    yield from (f"{found}: {count} times" for found, count in counts.items() if count > 1)


def _hash(name: str) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _if_there(row: Row, field_name: str) -> str | None:
    value = row.get(field_name)
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None

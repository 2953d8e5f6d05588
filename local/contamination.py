"""What a test set shares with the training rows: a score on what was trained on proves nothing.

Calls, recordings and sounds must not be shared at all. A speaker must not be either, unless the user says that he knows
(KNOWN_SPEAKERS=1): in real calls the same agents serve all customers, and no test can be cut without them. The results
then carry their names. Names are compared across corpora: two speakers of one name are one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from data.errors import UserError
from data.files import write_text
from data.leakage import Name, Row, beginning, call, sound_file, source, speaker, whole_sound
from data.manifest import read_rows

SHOWN = 10  # lines of the list; all of them stand in LIST
LIST = "in_train.txt"
SPEAKERS = "speakers"
Shared = dict[str, dict[str, list[str]]]  # set -> what -> names


def recording(row: Row) -> str:
    """Where the speech comes from, whatever was made of it."""
    return source(row) or sound_file(row)


NAMES: dict[str, Name] = {"calls": call, SPEAKERS: speaker, "recordings": recording}


def shared(sets: Mapping[str, list[Row]], train: Iterable[Path]) -> Shared:
    """What each set has in common with the rows in the files of `train`, by kind; nothing of what is all apart."""
    trained = [row for path in train for row in read_rows(path)]
    known = {kind: _names(trained, name) for kind, name in NAMES.items()}
    heads = _heads(trained, {size for rows in sets.values() for size in map(_size, rows)} - {None})
    found: Shared = {}
    for title, rows in sets.items():
        common = {kind: _names(rows, name) & known[kind] for kind, name in NAMES.items()}
        common["sounds"] = {sound_file(row) for row in rows if _is_heard(row, heads)}
        if any(common.values()):
            found[title] = {kind: sorted(names) for kind, names in common.items() if names}
    return found


def in_common(rows: Iterable[Row], others: Iterable[Row], kind: str) -> list[str]:
    """The names of a kind of NAMES that stand in both."""
    return sorted(_names(rows, NAMES[kind]) & _names(others, NAMES[kind]))


def _names(rows: Iterable[Row], name: Name) -> set[str]:
    return {found for row in rows if (found := name(row)) is not None}


def _heads(rows: Iterable[Row], sizes: set[int | None]) -> dict[str | None, list[Row]]:
    """Rows by the first of their sound; only files of a size that matters are opened."""
    heads: dict[str | None, list[Row]] = {}
    for row in rows:
        if _size(row) in sizes:
            heads.setdefault(beginning(row), []).append(row)
    return heads


def _size(row: Row) -> int | None:
    try:
        return Path(sound_file(row)).stat().st_size
    except OSError:
        return None  # who opens it says so


def _is_heard(row: Row, heads: Mapping[str | None, list[Row]]) -> bool:
    """Whether its sound is that of a training row, under whatever name."""
    alike = heads.get(beginning(row), ()) if heads else ()
    return any(whole_sound(row) == whole_sound(other) for other in alike)


def check(sets: Mapping[str, list[Row]], train: Iterable[Path], known_speakers: bool, room: Path) -> dict[str, list[str]]:
    """The speakers of each set who are also in train, where the user knows it. All else that is shared raises UserError: the
    beginning is printed, the whole list written to LIST in `room`: set, kind and name, tabs between them."""
    found = shared(sets, train)
    refused = {
        title: {kind: names for kind, names in kinds.items() if not (known_speakers and kind == SPEAKERS)}
        for title, kinds in found.items()
    }
    if not any(refused.values()):
        return {title: kinds[SPEAKERS] for title, kinds in found.items()}
    lines = [f"{title}\t{kind}\t{name}" for title, kinds in refused.items() for kind, names in kinds.items() for name in names]
    write_text(room / LIST, "".join(f"{line}\n" for line in lines))
    more = [f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    print("\n".join([*lines[:SHOWN], *more]), flush=True)
    counts = [f"{len(names)} {kind} of {title}" for title, kinds in refused.items() for kind, names in kinds.items()]
    kinds = {kind for kinds in refused.values() for kind in kinds}
    raise UserError(f"{', '.join(counts)} are in train too, as listed in {room / LIST}: {way_on(kinds == {SPEAKERS})}")


def way_on(only_speakers: bool) -> str:
    if only_speakers:
        return ("take a test set of other speakers; or where that cannot be (agents who serve all customers), say that you "
                "know it: KNOWN_SPEAKERS=1 (--known_speakers), and the results will carry it")  # fmt: skip
    return "take them out of train or out of the test set; a score on what was trained on proves nothing"

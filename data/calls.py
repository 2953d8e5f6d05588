"""Reader of recorded calls: a folder with a text file of turns for every recording, matched by name.

magicdata_ramc  [start,end]<TAB>speaker<TAB>gender,dialect<TAB>text
hkust           `start end A: text` or `start end B: text`: A speaks in channel 0, B in channel 1. In LDC2005T32
                it is GBK beside SPHERE files; two-channel WAVs of any call centre can be written up like that.

The recordings (WAV, SPHERE, FLAC …) may lie anywhere below the folder. Lines are counted over all files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data.errors import UserError, describe
from data.lines import encoding_of, head, numbered_lines
from data.spelling import nearest
from data.utterance import BadLine, Reject, Utterance, made_key, times_of, writable

SOUNDS = (".wav", ".flac", ".sph", ".opus", ".ogg", ".mp3")  # of two of one name the earlier: sph2pipe leaves both
SPEAKERS = re.compile(r"_A(\d+)_B(\d+)")  # in the name of a call of HKUST: who was on which side
NOBODY = "G00000000"  # the speaker of music, noise and laughter in MagicData-RAMC
SNIFFED = 20  # lines of a text file that are looked at for its form

Turn = tuple[int | None, str | None, str]  # channel, speaker, text


@dataclass(frozen=True)
class Form:
    """How a line looks, start and end first, and what the rest of it says of a call."""

    line: re.Pattern[str]
    sample: str
    turn: Callable[[str, re.Match[str]], Turn]


def _ramc_turn(call: str, found: re.Match[str]) -> Turn:
    """Both speakers are in one channel."""
    return None, found[3] if found[3] != NOBODY else None, found[4]


def _hkust_turn(call: str, found: re.Match[str]) -> Turn:
    """`A1:` is another speaker on the side of A."""
    side, which = "AB".index(found[3]), found[4]
    named = SPEAKERS.search(call)
    speaker = named[side + 1] if named and not which else f"{call}-{found[3]}{which}"
    return side, speaker, found[5]


FORMS = {
    "magicdata_ramc": Form(
        re.compile(r"\s*\[([^,\]]*),([^\]]*)\]\t([^\t]*)\t[^\t]*\t(.*)"), "[start,end]\tspeaker\tgender,dialect\ttext", _ramc_turn
    ),
    "hkust": Form(re.compile(r"\s*(\S+)\s+(\S+)\s+([AB])(\d*):\s*(.*)"), "start end A: text", _hkust_turn),
}


def read_calls(path: Path, name: str, part: str | None = None) -> Iterator[Utterance | Reject]:
    """Every turn of the calls below a folder (or of one text file), in the form of that name.

    `part` leaves only the calls that a file PART.tsv lists (MagicData-RAMC's DataPartition) or, where there is
    none, whose text lies in a folder of that name (HKUST's train and dev). Raises UserError when there is no
    such part, and when no text is left.
    """
    folder = path if path.is_dir() else path.parent
    sounds = _sounds(folder)
    texts = [text for text in _texts(path) if text.stem.lower() in sounds or _has_form(text, FORMS[name])]
    if not texts:
        raise UserError(f"{path}: holds no text file with lines like {FORMS[name].sample!r}")
    chosen = texts if part is None else _of_part(texts, folder, part)
    if not chosen:
        raise UserError(f"{path}#{part}: there is no such part{nearest(str(part), _parts(texts, folder))}")
    return _read(folder, chosen, sounds, FORMS[name])


def form_of_calls(path: Path) -> str | None:
    """The name of the form that the first text file has which has one; None where there is none."""
    return next((name for text in _texts(path) for name, form in FORMS.items() if _has_form(text, form)), None)


def _read(folder: Path, texts: list[Path], sounds: dict[str, Path], form: Form) -> Iterator[Utterance | Reject]:
    number = 0
    for text in texts:
        sound = sounds.get(text.stem.lower())
        for line in numbered_lines(text):
            if line.content.startswith(b"#"):  # HKUST: the name of the call
                continue
            number += 1
            words = None
            try:
                words = line.text()
                yield _utterance(folder, text.stem, sound, words, number, form)
            except BadLine as bad:
                yield bad.reject(f"{text}:{line.number}", number, None, words, text.stem)


def _utterance(folder: Path, call: str, sound: Path | None, line: str, number: int, form: Form) -> Utterance:
    found = form.line.fullmatch(line)
    if found is None:
        raise BadLine("bad_field", f"does not look like {form.sample!r}")
    if sound is None:
        raise BadLine("no_audio", f"no sound file {call} ({', '.join(SOUNDS)}) lies below {folder}")
    path = writable(sound.absolute())  # and so is the name of the call, which is the same
    start, end = times_of({"start": found[1], "end": found[2]})
    channel, speaker, text = form.turn(call, found)
    key = made_key(folder.absolute().name, str(sound.relative_to(folder)), start, end, channel)
    return Utterance(key, path, text, start, end, channel, speaker or None, call, number)


# --- files -----------------------------------------------------------------------------------------------


def _sounds(folder: Path) -> dict[str, Path]:
    """The recordings below a folder by their names in lower case, without suffix."""
    sounds: dict[str, Path] = {}
    found = [path for path in _files(folder) if path.suffix.lower() in SOUNDS]
    for path in sorted(found, key=lambda path: SOUNDS.index(path.suffix.lower())):
        sounds.setdefault(path.stem.lower(), path)
    return sounds


def _texts(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in _files(path) if file.suffix.lower() == ".txt"]


def _parts(texts: list[Path], folder: Path) -> list[str]:
    """What can be asked for: the lists, or else the folders that texts lie in."""
    lists = {path.stem for path in _files(folder) if path.suffix.lower() == ".tsv"}
    return sorted(lists or {name for text in texts for name in text.relative_to(folder).parts[:-1]})


def _of_part(texts: list[Path], folder: Path, part: str) -> list[Path]:
    lists = [path for path in _files(folder) if path.name.lower() == f"{part}.tsv".lower()]
    if not lists:
        return [text for text in texts if part.lower() in (name.lower() for name in text.relative_to(folder).parts[:-1])]
    words = (word for path in lists for line in numbered_lines(path) for word in line.content.decode(errors="replace").split())
    wanted = {Path(word).stem.lower() for word in words}
    return [text for text in texts if text.stem.lower() in wanted]


def _files(folder: Path) -> list[Path]:
    """Every file below a folder, in the order of their paths. Links are followed, but never in a circle."""
    found, seen = [], set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        found += [path for name in names if (path := Path(place, name)).is_file()]
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise UserError(f"{error.filename}: cannot be read ({describe(error)})")


def _has_form(text: Path, form: Form) -> bool:
    return any(form.line.fullmatch(line) for line in _first_lines(text))


def _first_lines(text: Path) -> list[str]:
    beginning = head(text)
    lines = beginning.decode(encoding_of(beginning, text), "replace").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")][:SNIFFED]

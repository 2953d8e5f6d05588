"""What can be wrong with the sound that a row points to: each check a generator of findings."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from data import online
from data.audio import AudioError, AudioInfo, read_audio, read_info
from data.bandwidth import FULL_SCALE, TELEPHONE_ENDS, bandwidth
from data.files import sha256_of
from data.manifest import RATE, fbank_frames, speech_length
from data.row_checks import not_a_file
from data.telephone_channel import NARROW

Row = dict[str, Any]
HEARD = 600.0  # seconds of a file that are listened to: of speech, all; of a mistake, enough
RUN = 3  # full-scale samples in a row that no voice makes
CLIPPED = 0.001  # share of samples from which clipping is worth a warning
CHUNKS = 100  # of a WAV that are looked at for the one with the sound


@dataclass(frozen=True)
class Sound:
    """What a file holds. `clipped` is a share, `bandwidth` in Hz; None where it was not listened to."""

    path: Path
    info: AudioInfo | None = None
    unusable: str | None = None
    clipped: float | None = None
    bandwidth: float | None = None


def listen(path: Path) -> Sound:
    """Read a file once for all checks. Whatever is wrong with it stands in the result."""
    if not_a_file(str(path)):
        return Sound(path)  # has its own check
    try:
        info = read_info(path)
        if info.channels != 1 or not (info.rate == RATE or is_mu_law(info)):
            return Sound(path, info)
        samples, _ = read_audio(path, 0.0, min(HEARD, info.frames / info.rate))
    except AudioError as error:
        return Sound(path, unusable=str(error))
    return Sound(path, info, None, clipped_share(samples), bandwidth(samples, info.rate))


def is_mu_law(info: AudioInfo) -> bool:
    """Is it telephone speech as the line brought it? See data/storage.py."""
    return (info.rate, info.channels, info.subtype) == (NARROW, 1, "ULAW")


def clipped_share(samples: np.ndarray) -> float:
    """Share of (n,) float samples that stand at full scale in runs of at least RUN."""
    full = np.concatenate([[0], np.abs(samples) >= FULL_SCALE, [0]])
    begins, ends = np.flatnonzero(np.diff(full)).reshape(-1, 2).T
    runs = ends - begins
    return float(runs[runs >= RUN].sum() / max(1, len(samples)))


# --- checks ----------------------------------------------------------------------------------------------


def can_be_read(row: Row, sound: Sound) -> Iterator[str]:
    if sound.unusable:
        yield sound.unusable


def headers_are_true(row: Row, sound: Sound) -> Iterator[str]:
    """A WAV says how many bytes of sound it holds: a copy that was cut short, or written on, says so wrongly."""
    if sound.info and sound.info.format in ("WAV", "WAVEX", "RF64") and (lie := header_lie(sound.path)):
        yield f"{sound.path}: {lie}"


def form_fits(row: Row, sound: Sound) -> Iterator[str]:
    """Sound of 8 kHz needs to say how long it will be at 16."""
    if sound.info is None or (sound.info.rate, sound.info.channels) == (RATE, 1):
        return
    if not (is_mu_law(sound.info) and isinstance(row.get("samples"), int)):
        found = f"{sound.info.rate} Hz, {sound.info.channels} channels"
        yield f"{sound.path}: {found}; must be {RATE} Hz, 1"


def lengths_fit(row: Row, sound: Sound) -> Iterator[str]:
    if sound.info is None or not (sound.info.rate == RATE or is_mu_law(sound.info)):
        return
    samples = sound.info.frames if sound.info.rate == RATE else row.get("samples")
    if not isinstance(samples, int) or sound.info.frames not in (samples, -(-samples // 2)):
        yield f"{sound.path}: {sound.info.frames} samples at {sound.info.rate} Hz are no {samples!r} at {RATE}"
    elif row["speech_length"] != speech_length(samples):
        yield _wrong_length(row["speech_length"], samples)


def sound_is_unchanged(row: Row, sound: Sound) -> Iterator[str]:
    """Dev and test carry the hash of what was simulated: a score of other sound would be another's score."""
    if "audio_sha256" in row and sound.info and sha256_of(sound.path) != row["audio_sha256"]:
        yield f"{sound.path} has changed since it was simulated; run stage 0 again"


def voices_are_not_clipped(row: Row, sound: Sound) -> Iterator[str]:
    if sound.clipped is not None and sound.clipped > CLIPPED:
        yield f"{sound.path}: {sound.clipped:.1%} of it stands at full scale"


def bands_fit(row: Row, sound: Sound, folder: str) -> Iterator[str]:
    """Telephone speech ends at 4 kHz; wideband speech that does too came from a telephone."""
    telephone = over_telephone(row, folder)
    if telephone is None or sound.bandwidth is None:
        return
    reaches = f"{sound.path}: reaches {sound.bandwidth / 1000:.2f} kHz"
    if telephone and sound.bandwidth > TELEPHONE_ENDS:
        yield f"{reaches}, a telephone no further than 4"
    elif not telephone and sound.bandwidth <= TELEPHONE_ENDS:
        yield f"{reaches} only: 8 kHz speech in a file of 16 kHz"


SOUND_CHECKS = [
    ("sound files can be read", can_be_read),
    ("headers say how much sound there is", headers_are_true),
    ("sound is 16 kHz mono, or µ-law of 8 kHz", form_fits),
    ("sound is as long as speech_length says", lengths_fit),
    ("sound of dev and test is what was simulated", sound_is_unchanged),
]
SOUND_WARNINGS = [("voices are not clipped", voices_are_not_clipped)]


def over_telephone(row: Row, folder: str) -> bool | None:
    """Did the speech come over a telephone? None where neither the row nor the name of its folder tells."""
    channel = row.get("channel")
    if channel == online.MARK:
        return False
    if isinstance(channel, dict) or folder.endswith("_8k_telephone"):
        return True
    return False if folder.endswith("_16k") else None


def header_lie(path: Path) -> str | None:
    """What the header of a WAV says wrongly about its length, if anything."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(12)
        for _ in range(CHUNKS):
            name, declared = _chunk(file)
            if name == b"data":
                return _data_lie(file, declared, size)
            file.seek(declared + declared % 2, os.SEEK_CUR)
    return "its header names no sound"


def _data_lie(file: BinaryIO, declared: int, size: int) -> str | None:
    there = size - file.tell()
    if declared > there:
        return f"its header declares {declared:,} bytes of sound, the file has {there:,}"
    file.seek(declared + declared % 2, os.SEEK_CUR)
    name, more = _chunk(file)
    left = there - declared - declared % 2
    known = left <= 0 or (name.isascii() and name.decode("ascii").isprintable() and more + 8 <= left)
    return None if known else f"{left:,} bytes follow the {declared:,} that its header declares"


def _chunk(file: BinaryIO) -> tuple[bytes, int]:
    """Name and size of the RIFF chunk that begins here; no name at the end of the file."""
    header = file.read(8)
    return struct.unpack("<4sI", header) if len(header) == 8 else (b"", 0)


def _wrong_length(found: int, samples: int) -> str:
    right = speech_length(samples)
    if abs(found - fbank_frames(samples)) <= 3:
        return f"speech_length {found} counts 10 ms frames, as FunASR's tool does; it is {right} of 60 ms"
    return f"speech_length is {found}, the audio has {right} frames of 60 ms"

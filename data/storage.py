"""Forms in which stage 0 keeps sound.

wav     16 kHz, 16 bit: what training reads without any work
flac    the same samples, packed
mu-law  8 kHz, 8 bit: telephone speech as the line brought it, a quarter of the space. Whoever reads it brings it to
        16 kHz with the resampler that its row drew. After a µ-law leg that lost nothing it is the very same sound;
        what another codec or a concealed gap left is rounded to the steps of µ-law.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from data.audio import read_audio, resample, to_int16, write_wav
from data.files import whole_file
from data.g711_codec import encode
from data.manifest import RATE
from data.prompt import audio_path
from data.telephone_channel import NARROW, WIDE, widen

WAV, FLAC, MU_LAW = "wav", "flac", "mu-law"
MU_LAW_TAG = 7  # WAVE_FORMAT_MULAW
HEADER = struct.Struct("<4sI4s4sIHHIIHHH4sII4sI")  # RIFF, fmt with its extension of no bytes, fact, data

Pieces = np.ndarray | Iterable[np.ndarray]


@dataclass(frozen=True)
class Form:
    """`bytes` of a second of sound, about."""

    suffix: str
    bytes: int
    write: Callable[[Path, Pieces], None]


def store(path: Path, sound: Pieces, form: str) -> None:
    """Write (n,) int16, or pieces of it, whole or not at all: at 16 kHz, but for `mu-law` at 8 kHz."""
    FORMS[form].write(path, sound)


def hear(row: dict[str, Any]) -> np.ndarray:
    """(n,) float32 at 16 kHz: the sound of a row, in whatever form it is kept. Raises AudioError."""
    samples, rate = read_audio(audio_path(row["messages"]))
    if rate != NARROW or "samples" not in row:
        return resample(samples, rate, RATE)
    drawn = row.get("channel")
    upsampler = drawn["upsampler"] if isinstance(drawn, dict) else "soxr"
    return widen(to_int16(samples), upsampler, row["samples"]) * np.float32(1 / 32768)


def _write_wav(path: Path, sound: Pieces) -> None:
    write_wav(path, sound, WIDE)


def _write_flac(path: Path, sound: Pieces) -> None:
    """Packed in memory first: libsndfile hides a full disk behind an assertion."""
    packed = io.BytesIO()
    with soundfile.SoundFile(packed, "w", WIDE, 1, "PCM_16", format="FLAC") as out:
        for piece in _pieces(sound):
            out.write(to_int16(piece))
    with whole_file(path, flushed=False) as temporary:
        temporary.write_bytes(packed.getbuffer())


def _write_mu_law(path: Path, sound: Pieces) -> None:
    with whole_file(path, flushed=False) as temporary:
        temporary.write_bytes(mu_law_wav(sound))


def mu_law_wav(sound: Pieces) -> bytes:
    """Sound at 8 kHz as a WAV of one byte a sample, as ITU-T G.711 codes it."""
    codes = b"".join(encode(to_int16(piece)).tobytes() for piece in _pieces(sound))
    size, padding = len(codes), len(codes) % 2
    form = (b"fmt ", 18, MU_LAW_TAG, 1, NARROW, NARROW, 1, 8, 0)
    header = HEADER.pack(b"RIFF", HEADER.size - 8 + size + padding, b"WAVE", *form, b"fact", 4, size, b"data", size)
    return header + codes + bytes(padding)


def _pieces(sound: Pieces) -> Iterable[np.ndarray]:
    return [sound] if isinstance(sound, np.ndarray) else sound


FORMS = {
    WAV: Form(".wav", 2 * WIDE, _write_wav),
    FLAC: Form(".flac", round(0.45 * 2 * WIDE), _write_flac),  # 0.39 to 0.45 measured on telephone speech
    MU_LAW: Form(".wav", NARROW, _write_mu_law),
}

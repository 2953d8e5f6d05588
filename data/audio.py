"""The only door to sound files: read, resample, write."""

from __future__ import annotations

import os
import stat
import struct
import wave
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from data.errors import UserError
from data.files import whole_file

# TypeError: a name in .raw, whose rate nothing tells; ValueError: a name with a NUL in it
UNREADABLE = (soundfile.SoundFileError, OSError, TypeError, ValueError, MemoryError)
UNKNOWN = 2**63 - 1  # frames that libsndfile reports where a header leaves them open, as in a FLAC written to a pipe
LOUDEST = 65536.0  # a float file may be scaled as int16 is; what is beyond that was never sound
PLAIN = struct.Struct("<4sI4s4sIHHIIHH4sI")  # the header of a WAV that has no other chunks
PLAIN_FIELDS = (b"RIFF", b"WAVE", b"fmt ", 16, 1, 1, 16, b"data")
RATES = range(2000, 768001)  # a header that says another lies, and would be believed at the cost of the memory
LONGEST = 6 * 3600  # seconds that are read at once; a compressed file of a megabyte may claim years
OVERSHOOT = 0.5  # seconds that a segment may reach beyond its file and be cut, as in Kaldi's extract-segments


class AudioError(UserError):
    """A sound file that cannot be used. `reason` is a word to count by, the message says what and where."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason, self.message = reason, message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class AudioInfo:
    """What the header of a sound file says. `frames` counts samples of one channel."""

    frames: int
    rate: int
    channels: int
    format: str
    subtype: str


def read_info(path: Path | str) -> AudioInfo:
    """The header only. Raises AudioError when the file is missing, no sound file, or empty."""
    try:
        _check_file(path)
        found = soundfile.info(str(path))
    except UNREADABLE as error:
        raise _unreadable(path, error) from None
    _check_header(path, found.frames, found.samplerate)
    return AudioInfo(found.frames, found.samplerate, found.channels, found.format, found.subtype)


def read_audio(
    path: Path | str, start: float | None = None, end: float | None = None, channel: int | None = None
) -> tuple[np.ndarray, int]:
    """Samples (n,) as float32 in -1…1 (int16 / 32768, exact), and their rate.

    `start` and `end` in seconds cut a segment; `channel` (from 0) picks one of several, else they are
    averaged. Raises AudioError: missing, unreadable, empty, of unknown length, no such channel or segment,
    not a number, rate or length that cannot be.
    """
    try:
        _check_file(path)
        plain = None if channel else _read_plain(path, start, end)
        if plain is not None:
            return plain[0] * np.float32(1 / 32768), plain[1]
        with soundfile.SoundFile(str(path)) as sound:
            _check_header(path, sound.frames, sound.samplerate)
            first, count = _segment(path, sound.frames, sound.samplerate, start, end)
            rate, subtype = sound.samplerate, sound.subtype
            samples = _read(sound, first, count)
    except UNREADABLE as error:
        raise _unreadable(path, error) from None
    _check_frames(path, len(samples))
    mono = _one_channel(path, samples, channel)
    if subtype in ("FLOAT", "DOUBLE") and not np.abs(mono).max() <= LOUDEST:  # nor is NaN
        raise AudioError("bad_samples", f"{path}: holds samples that are not finite numbers or far too loud")
    return mono, rate


def read_wideband(
    path: Path | str, start: float | None = None, end: float | None = None, channel: int | None = None
) -> np.ndarray:
    """As `read_audio`, brought to 16 kHz."""
    samples, rate = read_audio(path, start, end, channel)
    return resample(samples, rate, 16000)


def read_voice(
    path: Path | str, start: float | None = None, end: float | None = None, channel: int | None = None
) -> np.ndarray:
    """As `read_wideband`, for who does not mind the scale: int16 where the file has that, at half the memory."""
    with suppress(OSError, ValueError):  # the other reader will say so
        _check_file(path)
        plain = None if channel else _read_plain(path, start, end)
        if plain is not None and plain[1] == 16000:
            return plain[0]
    return read_wideband(path, start, end, channel)


def resample(samples: np.ndarray, rate: int, to: int) -> np.ndarray:
    """Change the rate of (n,) float32 samples with soxr HQ, lag 0; the length is n * to / rate, rounded."""
    if rate == to:
        return samples
    length = (len(samples) * to + rate // 2) // rate
    out = soxr.resample(samples, rate, to, quality="HQ")[:length]
    return np.pad(out, (0, length - len(out))) if len(out) < length else out


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Round and clip float samples in -1…1 to int16; int16 passes through."""
    if samples.dtype == np.int16:
        return samples
    scaled = samples * np.float32(32768)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -32768, 32767, out=scaled)
    return scaled.astype(np.int16)


def write_wav(path: Path | str, samples: np.ndarray | Iterable[np.ndarray], rate: int) -> None:
    """Write (n,) samples or pieces of them, int16 or float in -1…1, as a 16-bit mono WAV, whole or not at all.

    It is not flushed to the disk: whoever lists many sounds does that once, before the list appears.
    """
    # not by libsndfile, which hides a full disk behind an assertion
    with whole_file(path, flushed=False) as temporary, wave.open(str(temporary), "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        for piece in [samples] if isinstance(samples, np.ndarray) else samples:
            out.writeframes(to_int16(piece).astype("<i2", copy=False).data)


def _check_file(path: Path | str) -> None:
    """Opening a FIFO would wait for ever, and a device may do anything."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise AudioError("unreadable_audio", f"{path}: is no file but a folder, pipe or device")


def _check_header(path: Path | str, frames: int, rate: int) -> None:
    _check_frames(path, frames)
    if rate not in RATES:
        raise AudioError("bad_rate", f"{path}: its header says {rate} samples a second; mend it or leave the file out")


def _check_frames(path: Path | str, frames: int) -> None:
    if frames <= 0:
        raise AudioError("empty_audio", f"{path}: holds no samples")
    if frames == UNKNOWN:
        raise AudioError("unknown_length", f"{path}: does not say how long it is; convert it to WAV")


def _segment(path: Path | str, frames: int, rate: int, start: float | None, end: float | None) -> tuple[int, int]:
    """First sample and number of samples of a segment."""
    first = round((start or 0.0) * rate)
    last = frames if end is None else round(end * rate)
    if not (0 <= first < min(last, frames) and last <= frames + OVERSHOOT * rate):
        wanted = f"{start or 0} s to {'its end' if end is None else f'{end} s'}"
        raise AudioError("bad_segment", f"{path}: is {frames / rate:.3f} s long, the segment is {wanted}")
    if min(last, frames) - first > LONGEST * rate:
        hours = (min(last, frames) - first) / rate / 3600
        raise AudioError("too_long", f"{path}: claims {hours:.1f} hours, {LONGEST // 3600} can be read at once; cut it up")
    return first, min(last, frames) - first


def _read_plain(path: Path | str, start: float | None, end: float | None) -> tuple[np.ndarray, int] | None:
    """(n,) int16 and rate of a WAV that holds 16-bit mono samples right behind its header; None of any other file.

    Ours are like that, and babble reads half a dozen for every utterance: twice as fast as by libsndfile.
    """
    with open(path, "rb") as file:
        header = file.read(PLAIN.size)
        if len(header) < PLAIN.size:
            return None
        riff, _, form, fmt, fmt_size, tag, channels, rate, _, _, bits, data, size = PLAIN.unpack(header)
        if (riff, form, fmt, fmt_size, tag, channels, bits, data) != PLAIN_FIELDS:
            return None
        if not 0 < size <= os.fstat(file.fileno()).st_size - PLAIN.size or rate not in RATES:
            return None
        first, count = _segment(path, size // 2, rate, start, end)
        file.seek(PLAIN.size + 2 * first)
        return np.fromfile(file, "<i2", count), rate


def _read(sound: soundfile.SoundFile, first: int, count: int) -> np.ndarray:
    """(count, channels) float32 from sample `first` on; fewer where the file has fewer.

    Where decoding cannot begin at any sample it begins earlier: at the start for the GSM of call recorders,
    half a second ahead for MP3, whose frames lean on those before them.
    """
    ahead = first
    if sound.seekable():
        ahead = min(first, sound.samplerate // 2) if sound.format == "MP3" else 0
        sound.seek(first - ahead)
    if sound.subtype != "PCM_16":
        return sound.read(ahead + count, "float32", always_2d=True)[ahead:]
    # the same values, several times as fast as libsndfile makes them
    return sound.read(ahead + count, "int16", always_2d=True)[ahead:] * np.float32(1 / 32768)


def _one_channel(path: Path | str, samples: np.ndarray, channel: int | None) -> np.ndarray:
    """(n, channels) to (n,)."""
    channels = samples.shape[1]
    if channel is not None and not 0 <= channel < channels:
        raise AudioError("no_channel", f"{path}: has {channels} channel(s), not channel {channel} (from 0)")
    if channel is None and channels > 1:
        return sum(samples.T) / np.float32(channels)  # numpy's mean over so short an axis is slow
    return np.ascontiguousarray(samples[:, channel or 0])


def _unreadable(path: Path | str, error: Exception) -> AudioError:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return AudioError("missing_audio", f"{path}: no such file")
    what = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[-1]
    if _is_shortened(path):
        what = "SPHERE compressed by shorten; unpack it with sph2pipe -f wav"
    return AudioError("unreadable_audio", f"{path}: cannot be read as sound ({what})")


def _is_shortened(path: Path | str) -> bool:
    with suppress(OSError, ValueError), open(path, "rb") as file:
        header = file.read(1024)
        return header.startswith(b"NIST_1A") and b"shorten" in header
    return False

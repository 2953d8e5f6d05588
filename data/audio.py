"""The only door to sound files: read, resample, write."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from data.errors import UserError
from data.files import whole_file

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
        found = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError) as error:
        raise _unreadable(path, error) from None
    if found.frames <= 0:
        raise AudioError("empty_audio", f"{path}: holds no samples")
    return AudioInfo(found.frames, found.samplerate, found.channels, found.format, found.subtype)


def read_audio(
    path: Path | str, start: float | None = None, end: float | None = None, channel: int | None = None
) -> tuple[np.ndarray, int]:
    """Samples (n,) as float32 in -1…1 (int16 / 32768, exact), and their rate.

    `start` and `end` in seconds cut a segment; `channel` (from 0) picks one of several, else they are
    averaged. Raises AudioError: missing, unreadable, empty, no such channel or segment, not a number.
    """
    try:
        with soundfile.SoundFile(str(path)) as sound:
            first, count = _segment(path, sound.frames, sound.samplerate, start, end)
            sound.seek(first)
            samples = sound.read(count, dtype="float32", always_2d=True)
            rate, subtype = sound.samplerate, sound.subtype
    except (soundfile.SoundFileError, OSError) as error:
        raise _unreadable(path, error) from None
    if not len(samples):
        raise AudioError("empty_audio", f"{path}: holds no samples")
    mono = _one_channel(path, samples, channel)
    if subtype in ("FLOAT", "DOUBLE") and not np.isfinite(mono).all():
        raise AudioError("bad_samples", f"{path}: holds samples that are not finite numbers")
    return mono, rate


def read_wideband(
    path: Path | str, start: float | None = None, end: float | None = None, channel: int | None = None
) -> np.ndarray:
    """As `read_audio`, brought to 16 kHz."""
    samples, rate = read_audio(path, start, end, channel)
    return resample(samples, rate, 16000)


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


def write_wav(path: Path | str, samples: np.ndarray, rate: int) -> None:
    """Write (n,) samples, int16 or float in -1…1, as a 16-bit mono WAV that appears whole or not at all."""
    # not by libsndfile, which hides a full disk behind an assertion
    with whole_file(path) as temporary, wave.open(str(temporary), "wb") as out:
        out.setparams((1, 2, rate, len(samples), "NONE", "not compressed"))
        out.writeframes(to_int16(samples).astype("<i2", copy=False).tobytes())


def _segment(
    path: Path | str, frames: int, rate: int, start: float | None, end: float | None
) -> tuple[int, int]:
    """First sample and number of samples of a segment."""
    first = round((start or 0.0) * rate)
    last = frames if end is None else round(end * rate)
    if last > frames + OVERSHOOT * rate or (first >= frames > 0):
        wanted = f"{start or 0} s to {'its end' if end is None else f'{end} s'}"
        raise AudioError("bad_segment", f"{path}: is {frames / rate:.3f} s long, the segment is {wanted}")
    return first, min(last, frames) - first


def _one_channel(path: Path | str, samples: np.ndarray, channel: int | None) -> np.ndarray:
    """(n, channels) to (n,)."""
    channels = samples.shape[1]
    if channel is not None and channel >= channels:
        raise AudioError("no_channel", f"{path}: has {channels} channel(s), not channel {channel} (from 0)")
    if channel is None and channels > 1:
        return samples.mean(axis=1, dtype=np.float32)
    return np.ascontiguousarray(samples[:, channel or 0])


def _unreadable(path: Path | str, error: Exception) -> AudioError:
    if not Path(path).exists():
        return AudioError("missing_audio", f"{path}: no such file")
    return AudioError("unreadable_audio", f"{path}: cannot be read as sound ({str(error).splitlines()[-1]})")

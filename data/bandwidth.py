"""How high the speech in a sound file really reaches, whatever rate the file has.

The long-term spectrum of the frames in which somebody speaks is held against three things that are no speech:
what lies more than 55 dB below its strongest band, what rounding to 16 bits adds, and the images that the
recogniser's own upsampler leaves above 4 kHz (data/upsampler.py), which are known from what lies below. The
highest band that exceeds all three is where the speech ends. A telephone's ends at 4 kHz or below even in a
file of 16 kHz; wideband speech reaches beyond 5 kHz, if only in its sibilants.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from data.upsampler import upsample

TELEPHONE_ENDS = 4500.0  # Hz: what reaches no further came over a telephone, what does never did
BINS_A_BAND, BIN = 8, 31.25  # 250 Hz, out of frames of 32 ms at any rate
FRAMES = 512  # looked at, evenly over the file: an hour takes no longer than a quarter of a minute
ACTIVE_DB = -30.0  # a frame below the loudest by more is no speech
FAINT_DB = -55.0  # a band below the strongest by more is no speech
MARGIN = 10**0.6  # 6 dB over rounding noise and images
VOICE = slice(10, 109)  # bins of 300-3400 Hz, in which frames are compared
FULL_SCALE = 32766.5 / 32768
ROUNDING = 2.0**-30 / 12  # mean square of the error of 16 bits


def bandwidth(samples: np.ndarray, rate: int = 16000) -> float | None:
    """Upper end, Hz in steps of 250, of the speech in (n,) float samples in -1…1; None where there is none."""
    window = _window(round(rate / BIN))
    frames = _unclipped(_frames(samples, len(window)))
    spectra = np.abs(np.fft.rfft(frames * window)) ** 2
    loud = spectra[:, VOICE].sum(1)
    if not loud.max() > ROUNDING:
        return None
    spectrum = spectra[loud >= loud.max() * 10 ** (ACTIVE_DB / 10)].mean(0)
    explained = ROUNDING * float(window @ window) + (_images(spectrum) if rate == 16000 else 0.0)
    level, noise = _bands(spectrum), _bands(np.broadcast_to(explained, spectrum.shape))
    heard = np.flatnonzero((level > level.max() * 10 ** (FAINT_DB / 10)) & (level > MARGIN * noise))
    return float(heard[-1] + 1) * BINS_A_BAND * BIN if len(heard) else None


def _frames(samples: np.ndarray, length: int) -> np.ndarray:
    """(up to FRAMES, length) float32: evenly spaced over (n,) samples, overlapping by half at most."""
    samples = np.asarray(samples, np.float32)
    padded = np.pad(samples, (0, max(0, length - len(samples))))
    every = np.lib.stride_tricks.sliding_window_view(padded, length)[:: length // 2]
    return every[:: -(-len(every) // FRAMES)]


def _unclipped(frames: np.ndarray) -> np.ndarray:
    """The frames that never touch full scale, if there are any: a clipped peak has a spectrum of its own."""
    clean = np.abs(frames).max(1) < FULL_SCALE
    return frames[clean] if clean.any() else frames


@cache
def _window(length: int) -> np.ndarray:
    """(length,) float32, Hann."""
    return (np.sin(np.pi * np.arange(length) / length) ** 2).astype(np.float32)


def _images(spectrum: np.ndarray) -> np.ndarray:
    """(257,) power at 16 kHz: the images above 4 kHz, had all below come through the recogniser's upsampler."""
    return _image_gains() * spectrum[::-1]


@cache
def _image_gains() -> np.ndarray:
    """(257,) power in which a bin of up to 8 kHz mirrors the one as far below 4 kHz; 0 for those below.

    A pulse has the same of everything and its images, so they come out as the upsampler has weighed them.
    """
    pulse = np.zeros(256, np.float32)
    pulse[128] = 1
    response = np.abs(np.fft.rfft(upsample(pulse, "torchaudio"))) ** 2
    gains = response / np.maximum(response[::-1], 1e-12)
    gains[:129] = 0
    gains[129:] += 1e-6  # -60 dB: windows and rounding blur the deepest notches
    return gains.astype(np.float32)


def _bands(spectrum: np.ndarray) -> np.ndarray:
    """(bins,) to (bands,), without 0 Hz."""
    bands = (len(spectrum) - 1) // BINS_A_BAND
    return spectrum[1 : 1 + bands * BINS_A_BAND].reshape(bands, BINS_A_BAND).mean(1)

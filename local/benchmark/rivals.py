"""What others do of a telephone channel, WAV to WAV, for the benchmark only: the same work as ours or less.

Nothing in the recipe needs their packages and programs; what is not installed is left out by name.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile

from local.benchmark.stopwatch import Contestant, Work

RATE, FRAME, MU = 16000, 160, 255

Make = Callable[[list[Path], Path], Work]  # from the clean files and the folder for results


def rivals(clean: list[Path], out: Path) -> list[Contestant]:
    """All of them; without work where their package or program is not installed."""
    found: dict[str, tuple[object, Make]] = {name: (find_spec(need), make) for name, (need, make) in PACKAGES.items()}
    found |= {name: (shutil.which(need), make) for name, (need, make) in PROGRAMS.items()}
    return [Contestant(name, make(clean, out) if there else None) for name, (there, make) in found.items()]


def _scipy(clean: list[Path], out: Path) -> Work:
    """As one writes it in an afternoon: band, µ-law and noise by formula, loss as zeros, levels by mean square."""
    from scipy.signal import fftconvolve, firwin, resample_poly

    taps = firwin(257, [300, 3400], pass_zero=False, fs=RATE)

    def work(i: int) -> None:
        rng = np.random.default_rng(i)
        speech, _ = soundfile.read(clean[i])
        talkers = rng.choice(len(clean), min(int(rng.integers(3, 8)), len(clean)), replace=False)
        babble = sum(soundfile.read(clean[talker])[0] for talker in talkers)
        gain = np.sqrt(np.mean(speech**2) / np.mean(babble**2)) * 10 ** (-rng.uniform(10, 25) / 20)
        narrow = resample_poly(fftconvolve(speech + gain * babble, taps, "same"), 1, 2)
        codes = np.rint(127.5 * _compress(np.clip(narrow, -1, 1)))
        heard = np.sign(codes) * ((1 + MU) ** np.abs(codes / 127.5) - 1) / MU
        heard[np.repeat(rng.random(-(-len(heard) // FRAME)) < 0.015, FRAME)[: len(heard)]] = 0
        soundfile.write(out / f"{i}.wav", resample_poly(heard, 2, 1), RATE, subtype="PCM_16")

    return work


def _compress(samples: np.ndarray) -> np.ndarray:
    return np.sign(samples) * np.log1p(MU * np.abs(samples)) / np.log1p(MU)


def _lhotse(clean: list[Path], out: Path) -> Work:
    from lhotse import Recording

    def work(i: int) -> None:
        heard = Recording.from_file(clean[i]).narrowband("mulaw").load_audio()
        soundfile.write(out / f"{i}.wav", heard[0], RATE, subtype="PCM_16")

    return work


def _audiomentations(clean: list[Path], out: Path) -> Work:
    from audiomentations import AddBackgroundNoise, BandPassFilter, Compose

    chain = Compose([
        AddBackgroundNoise(clean, min_snr_db=10, max_snr_db=25, p=1),
        BandPassFilter(1850, 1850, 3100 / 1850, 3100 / 1850, p=1),
    ])  # fmt: skip

    def work(i: int) -> None:
        speech, rate = soundfile.read(clean[i], dtype="float32")
        soundfile.write(out / f"{i}.wav", chain(speech, rate), rate, subtype="PCM_16")

    return work


def _sox(clean: list[Path], out: Path) -> Work:
    def work(i: int) -> None:
        codes = _pipe("sox", "-D", clean[i], "-t", "ul", "-r", "8000", "-", "sinc", "300-3400")
        back = ("-r", "16000", "-e", "signed", "-b", "16")
        _pipe("sox", "-D", "-t", "ul", "-r", "8000", "-c", "1", "-", *back, out / f"{i}.wav", sound=codes)

    return work


def _ffmpeg(clean: list[Path], out: Path) -> Work:
    quiet = ("ffmpeg", "-v", "error", "-threads", "1")

    def work(i: int) -> None:
        band = ("-af", "highpass=f=300,lowpass=f=3400", "-ar", "8000")
        codes = _pipe(*quiet, "-nostdin", "-i", clean[i], *band, "-c:a", "pcm_mulaw", "-f", "mulaw", "pipe:1")
        back = ("-ar", "16000", "-c:a", "pcm_s16le")
        _pipe(*quiet, "-f", "mulaw", "-ar", "8000", "-ac", "1", "-i", "pipe:0", *back, out / f"{i}.wav", sound=codes)

    return work


def _pipe(*command: str | Path, sound: bytes | None = None) -> bytes:
    return subprocess.run(command, input=sound, stdout=subprocess.PIPE, check=True).stdout


PACKAGES: dict[str, tuple[str, Make]] = {
    "scipy: babble, band, µ-law, loss; no P.56, no concealment": ("scipy", _scipy),
    "lhotse narrowband: µ-law only": ("lhotse", _lhotse),
    "audiomentations: one noise file, band": ("audiomentations", _audiomentations),
}
PROGRAMS: dict[str, tuple[str, Make]] = {
    "sox, two processes a file: band, µ-law": ("sox", _sox),
    "ffmpeg, two processes a file: band, µ-law": ("ffmpeg", _ffmpeg),
}

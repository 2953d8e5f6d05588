"""The telephone channel: one pure function over one array, used offline and in training alike.

Speech at a drawn ITU-T P.56 level + babble and noise below it → 8 kHz and the band of the telephone → line
noise → int16 → the legs of the call, each a codec, of which the first loses 20 ms frames → gaps concealed →
16 kHz int16. Noise of the room comes before the band-pass, for it passes the same handset and codec. Nothing
is normalised after the codec; the length is that of the input and the lag is 0.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data import call_codecs
from data.audio import AudioError, to_int16
from data.band_limit import to_narrowband
from data.call_profiles import Mix, Profile, Range
from data.noise import line_noise
from data.packet_loss import conceal, draw_lost, frames_in
from data.speech_level import gain_to, mean_square
from data.upsampler import upsample

VERSION = 2  # what changes the output for the same draws must change this too
WIDE, NARROW = 16000, 8000
PROFILE, PARAMETERS, LOSS, BABBLE, NOISE, LINE = range(6)  # generators of an utterance: none moves another


@dataclass(frozen=True)
class Leg:
    """One codec on the way, and its bit rate where it has a choice of them."""

    codec: str
    kbps: float | None = None


@dataclass(frozen=True)
class Draws:
    """What one utterance drew. `seed` feeds the generators of its losses, its babble and its noises."""

    profile: str
    seed: int
    legs: tuple[Leg, ...]
    band: str
    level_dbov: float
    snr_db: float
    talkers: int
    loss_rate: float
    mean_burst: float | None
    concealment: str
    upsampler: str
    noise_snr_db: float | None = None
    line_noise_dbov: float | None = None

    def generator(self, purpose: int, part: int = 0) -> np.random.Generator:
        """A generator for LOSS, BABBLE, NOISE or LINE, the same whenever and wherever it is asked for."""
        return _generator(self.seed, purpose, part)


@dataclass(frozen=True)
class Room:
    """What else is heard beside the speech: (n,) float32 at 16 kHz of any level, or None."""

    babble: np.ndarray | None = None
    noise: np.ndarray | None = None


QUIET = Room()


def draw(mix: Mix, seed: int, key: str, variant: int = 0) -> Draws:
    """What the utterance `key` draws: a function of its arguments alone, never of order, worker or time."""
    digest = hashlib.sha256(json.dumps([seed, key, variant]).encode()).digest()
    own = int.from_bytes(digest[:6], "big")  # 48 bits: exact in every JSON reader
    profile = mix.pick(_generator(own, PROFILE).random())
    rng = _generator(own, PARAMETERS)
    return Draws(
        profile=profile.name,
        seed=own,
        level_dbov=_between(rng, profile.level_dbov, 2),
        snr_db=_between(rng, profile.snr_db, 2),
        talkers=int(rng.integers(profile.talkers[0], profile.talkers[1] + 1)),
        loss_rate=_between(rng, profile.loss_rate, 5),
        mean_burst=_if_bounded(rng, profile.mean_burst, 3),
        concealment=_one_of(rng, profile.concealment),
        upsampler=_one_of(rng, profile.upsampler),
        noise_snr_db=_if_bounded(rng, profile.noise_snr_db, 2),
        line_noise_dbov=_if_bounded(rng, profile.line_noise_dbov, 2),
        legs=tuple(Leg(codec, _rate(rng, profile, codec)) for codec in profile.legs),
        band=profile.band,
    )


def simulate(samples: np.ndarray, draws: Draws, lost: np.ndarray, room: Room = QUIET) -> np.ndarray:
    """(n,) float32 at 16 kHz to (n,) int16 at 16 kHz, as the recogniser hears what comes over the line.

    `lost` is `lost_frames(draws, n)`. Raises AudioError for samples that are not numbers.
    """
    return widen(receive(samples, draws, lost, room), draws.upsampler, len(samples))


def receive(samples: np.ndarray, draws: Draws, lost: np.ndarray, room: Room = QUIET) -> np.ndarray:
    """The same, as it arrives at the other end of the line: (n / 2, rounded up) int16 at 8 kHz."""
    if not np.isfinite(samples).all():
        raise AudioError("bad_samples", "holds samples that are not finite numbers")
    return carry(set_levels(samples, draws, room), draws, lost)


def set_levels(samples: np.ndarray, draws: Draws, room: Room = QUIET) -> np.ndarray:
    """(n,) float32: speech at the drawn active level, babble and noise below it. Silence stays silent."""
    mixed = samples * np.float32(gain_to(samples, draws.level_dbov))
    add_background(mixed, draws, room)
    return mixed


def add_background(mixed: np.ndarray, draws: Draws, room: Room) -> None:
    """Add babble and noise to (n,) float32, each as far below the drawn level of the speech as was drawn."""
    if room.babble is not None:
        mixed += room.babble * np.float32(gain_to(room.babble, draws.level_dbov - draws.snr_db))
    if room.noise is not None and draws.noise_snr_db is not None and (power := mean_square(room.noise)):
        mixed += room.noise * np.float32(10 ** ((draws.level_dbov - draws.noise_snr_db) / 20) * power**-0.5)


def carry(mixed: np.ndarray, draws: Draws, lost: np.ndarray, part: int = 0) -> np.ndarray:
    """(n,) float32 at 16 kHz through the line to (n / 2, rounded up) int16 at 8 kHz; `lost` is (frames,) bool.

    `part` numbers the pieces of a recording that is too long to be carried at once.
    """
    narrow = to_narrowband(mixed, draws.band)
    if draws.line_noise_dbov is not None:
        narrow = narrow + line_noise(len(narrow), draws.line_noise_dbov, draws.generator(LINE, part))
    return transmit(to_int16(narrow), draws, lost)


def widen(received: np.ndarray, upsampler: str, length: int) -> np.ndarray:
    """(length / 2, rounded up) int16 at 8 kHz to (length,) int16 at 16 kHz, by one of UPSAMPLERS."""
    return to_int16(upsample(received.astype(np.float32) / 32768, upsampler)[:length])


def transmit(samples: np.ndarray, draws: Draws, lost: np.ndarray) -> np.ndarray:
    """(n,) int16 at 8 kHz over all legs; (n,) int16 at 8 kHz. The first leg loses the frames in `lost`."""
    first, *others = draws.legs
    if first.codec in call_codecs.CONCEALS:
        heard = call_codecs.transmit(samples, first.codec, first.kbps, lost)
    else:
        heard = conceal(call_codecs.transmit(samples, first.codec, first.kbps), lost, draws.concealment)
    for leg in others:
        heard = call_codecs.transmit(heard, leg.codec, leg.kbps)
    return heard


def lost_frames(draws: Draws, samples: int) -> np.ndarray:
    """(frames,) bool: which of the 20 ms frames of `samples` samples at 16 kHz get lost."""
    frames = frames_in(-(-samples // 2))
    return draw_lost(frames, draws.loss_rate, draws.mean_burst, draws.generator(LOSS))


def as_row(draws: Draws, lost: np.ndarray, talkers: list[str], noise: str | None = None) -> dict[str, Any]:
    """What is written beside the utterance: its draws, who babbled, the noise file, frames lost of all."""
    realised = {"talkers": talkers, "noise": noise, "frames": len(lost), "lost": int(lost.sum())}
    fields = asdict(draws) | realised
    fields["legs"] = [leg.codec if leg.kbps is None else f"{leg.codec} {leg.kbps:g}" for leg in draws.legs]
    if draws.legs[0].codec in call_codecs.CONCEALS:
        fields["concealment"] = "codec"
    return {name: value for name, value in fields.items() if value is not None}


def _generator(seed: int, purpose: int, part: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, purpose, part])))


def _between(rng: np.random.Generator, bounds: Range, digits: int) -> float:
    return round(float(rng.uniform(*bounds)), digits)


def _if_bounded(rng: np.random.Generator, bounds: Range | None, digits: int) -> float | None:
    return None if bounds is None else _between(rng, bounds, digits)


def _one_of(rng: np.random.Generator, choices: tuple) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _rate(rng: np.random.Generator, profile: Profile, codec: str) -> float | None:
    return float(_one_of(rng, profile.kbps)) if codec in call_codecs.RATES else None

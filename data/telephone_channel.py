"""The telephone channel: one pure function over one array, used offline and in training alike.

Speech at a drawn level + babble at a drawn SNR → 8 kHz, 300-3400 Hz → int16 → G.711 → packets of 20 ms lost
→ decoded, gaps concealed → 16 kHz int16. Noise comes before the band-pass, for it passes the same handset
and codec. Nothing is normalised after the codec; the length is that of the input and the lag is 0.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from data import g711_codec
from data.audio import AudioError, resample, to_int16
from data.band_limit import band_limit
from data.errors import UserError
from data.packet_loss import conceal, draw_lost, frames_in
from data.speech_level import active_power

WIDE, NARROW = 16000, 8000
CONFIG = Path(__file__).resolve().parents[1] / "conf" / "telephone_channel.yaml"
PARAMETERS, LOSS, BABBLE = 1, 2, 3  # generators of an utterance: none moves another


@dataclass(frozen=True)
class Profile:
    """The ranges from which every utterance draws its own line."""

    name: str
    level_dbov: tuple[float, float]  # active level of the speech
    snr_db: tuple[float, float]  # active level of the speech over that of the babble, before the band-pass
    talkers: tuple[int, int]  # of the babble
    loss_rate: tuple[float, float]  # share of the 20 ms packets that are lost
    codec: str

    def __post_init__(self) -> None:
        _check_range(self, "level_dbov", -90, 0)
        _check_range(self, "snr_db", -30, 90)
        _check_range(self, "talkers", 1, 100)
        _check_range(self, "loss_rate", 0, 1)
        if self.codec not in g711_codec.LAWS:
            laws = ", ".join(g711_codec.LAWS)
            raise UserError(f"profile {self.name}: codec {self.codec!r} is none of {laws}")


@dataclass(frozen=True)
class Draws:
    """What one utterance drew. `seed` feeds the generators of its lost packets and its babble."""

    profile: str
    seed: int
    level_dbov: float
    snr_db: float
    talkers: int
    loss_rate: float
    codec: str

    def generator(self, purpose: int) -> np.random.Generator:
        """A generator for LOSS or BABBLE, the same whenever and wherever it is asked for."""
        return np.random.default_rng(np.random.SeedSequence([self.seed, purpose]))


def read_profile(name: str, path: Path | str = CONFIG) -> Profile:
    """A profile of conf/telephone_channel.yaml. Raises UserError for anything that nobody would read."""
    profiles = _read_yaml(Path(path))
    if name not in profiles:
        raise UserError(f"{path}: has no profile {name!r}{_nearest(name, list(profiles))}")
    settings = profiles[name]
    known = [field.name for field in fields(Profile)][1:]
    for key in settings if isinstance(settings, dict) else ():
        if key not in known:
            raise UserError(f"{path}: {name}: unknown key {key!r}{_nearest(str(key), known)}")
    missing = [key for key in known if not isinstance(settings, dict) or key not in settings]
    if missing:
        raise UserError(f"{path}: {name}: has no {missing[0]!r}")
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()}
    return Profile(name, **values)


def draw(profile: Profile, seed: int, key: str, variant: int = 0) -> Draws:
    """What the utterance `key` draws: a function of its arguments alone, never of order, worker or time."""
    digest = hashlib.sha256(json.dumps([seed, key, variant]).encode()).digest()
    own = int.from_bytes(digest[:6], "big")  # 48 bits: exact in every JSON reader
    rng = np.random.default_rng(np.random.SeedSequence([own, PARAMETERS]))
    return Draws(
        profile=profile.name,
        seed=own,
        level_dbov=round(float(rng.uniform(*profile.level_dbov)), 2),
        snr_db=round(float(rng.uniform(*profile.snr_db)), 2),
        talkers=int(rng.integers(profile.talkers[0], profile.talkers[1] + 1)),
        loss_rate=round(float(rng.uniform(*profile.loss_rate)), 5),
        codec=profile.codec,
    )


def simulate(samples: np.ndarray, draws: Draws, babble: np.ndarray | None = None) -> np.ndarray:
    """(n,) float32 at 16 kHz to (n,) int16 at 16 kHz, as heard at the other end of the line.

    `babble` is (n,) float32, any level, or None for none. Raises AudioError for samples that are not numbers.
    """
    if not np.isfinite(samples).all():
        raise AudioError("bad_samples", "holds samples that are not finite numbers")
    narrow = resample(set_levels(samples, draws, babble), WIDE, NARROW)
    received = transmit(to_int16(band_limit(narrow)), draws)
    wide = resample(received.astype(np.float32) / 32768, NARROW, WIDE)
    return to_int16(wide[: len(samples)])


def set_levels(samples: np.ndarray, draws: Draws, babble: np.ndarray | None) -> np.ndarray:
    """(n,) float32: speech at the drawn active level, babble `snr_db` below it. Silence stays silent."""
    mixed = samples * _gain(samples, draws.level_dbov)
    if babble is not None:
        mixed = mixed + babble * _gain(babble, draws.level_dbov - draws.snr_db)
    return mixed


def transmit(samples: np.ndarray, draws: Draws) -> np.ndarray:
    """(n,) int16 at 8 kHz through codec, packet loss, decoder and concealment; (n,) int16 at 8 kHz."""
    decoded = g711_codec.decode(g711_codec.encode(samples, draws.codec), draws.codec)
    return conceal(decoded, lost_packets(draws, len(samples)))


def lost_packets(draws: Draws, samples: int) -> np.ndarray:
    """(packets,) bool: which of the packets of `samples` samples at 8 kHz get lost."""
    return draw_lost(frames_in(samples), draws.loss_rate, draws.generator(LOSS))


def as_row(draws: Draws, samples: int, talkers: list[str]) -> dict[str, Any]:
    """What is written beside the utterance: the draws, who babbled, packets lost of packets sent."""
    lost = lost_packets(draws, -(-samples // 2))
    realised = {"talkers": talkers, "packets": len(lost), "lost": int(lost.sum()), "concealment": "repeat"}
    return asdict(draws) | realised


def _gain(samples: np.ndarray, level_dbov: float) -> np.float32:
    """The factor that brings samples to an active level; 1 for silence."""
    power = active_power(samples)
    return np.float32(10 ** (level_dbov / 20) * power**-0.5) if power else np.float32(1)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: holds no profiles")
    return content


def _check_range(profile: Profile, name: str, low: float, high: float) -> None:
    value = getattr(profile, name)
    is_pair = isinstance(value, tuple) and len(value) == 2
    if not is_pair or not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value):
        raise UserError(f"profile {profile.name}: {name} must be a pair [from, to] of numbers, not {value!r}")
    if not low <= value[0] <= value[1] <= high:
        raise UserError(f"profile {profile.name}: {name} {list(value)} must rise and lie within {low}…{high}")
    if name == "talkers" and not all(isinstance(v, int) for v in value):
        raise UserError(f"profile {profile.name}: talkers {list(value)} must be whole numbers")


def _nearest(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"

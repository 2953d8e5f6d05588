"""Call profiles: the ranges from which every utterance draws its own line.

A profile describes one kind of call, a mix names several with weights. An impossible value is one line that
names the profile, the key and what is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data import call_codecs
from data.band_limit import BANDS
from data.errors import UserError
from data.packet_loss import METHODS, check_burst
from data.upsampler import UPSAMPLERS

Range = tuple[float, float]
BOUNDS: dict[str, Range] = {
    "level_dbov": (-90, 0),
    "snr_db": (-30, 90),
    "talkers": (0, 100),
    "noise_snr_db": (-30, 90),
    "line_noise_dbov": (-120, 0),
    "loss_rate": (0, 1),
    "mean_burst": (1, 1000),
}
WHOLE = ("talkers",)


@dataclass(frozen=True)
class Profile:
    """One kind of call. A pair is a range to draw from evenly, a longer list a choice of words or bit rates."""

    name: str
    legs: tuple[str, ...]  # codecs that the speech passes one after the other; the first leg loses frames
    level_dbov: Range  # ITU-T P.56 active level of the speech
    snr_db: Range  # active level of the speech over that of the babble, before the band-pass
    talkers: tuple[int, int]  # of the babble; 0 is none
    loss_rate: Range  # share of the 20 ms frames that are lost
    mean_burst: Range | None = None  # frames lost in a row; None: each is lost independently of the others
    concealment: tuple[str, ...] = ("repeat",)  # where the codec of the first leg has none of its own
    kbps: tuple[float, ...] = ()  # bit rates of the legs that have several
    band: str = "g712"
    line_noise_dbov: Range | None = None  # noise floor of the line
    noise_snr_db: Range | None = None  # active level of the speech over a noise file's; None: no noise file
    upsampler: tuple[str, ...] = ("soxr",)

    def __post_init__(self) -> None:
        _check_choices(self, "legs", call_codecs.CODECS)
        _check_choices(self, "concealment", METHODS)
        _check_choices(self, "upsampler", UPSAMPLERS)
        if self.band not in BANDS:
            raise _wrong(self, "band", f"{self.band!r} is none of {', '.join(BANDS)}")
        for name, bounds in BOUNDS.items():
            _check_range(self, name, bounds)
        _check_rates(self)
        _check_losses(self)

    @property
    def missing(self) -> str | None:
        """Why this machine cannot make such a call; None when it can."""
        return next(filter(None, map(call_codecs.missing, self.legs)), None)


@dataclass(frozen=True)
class Mix:
    """Profiles with the share of the calls that each of them gets."""

    name: str
    profiles: tuple[Profile, ...]
    weights: tuple[float, ...]

    def pick(self, share: float) -> Profile:
        """The profile that a number in [0, 1) falls upon."""
        total, reached = sum(self.weights), 0.0
        for profile, weight in zip(self.profiles, self.weights, strict=True):
            reached += weight
            if share * total < reached:
                return profile
        return self.profiles[-1]


def _check_choices(profile: Profile, name: str, allowed: Sequence[str]) -> None:
    value = getattr(profile, name)
    if not isinstance(value, tuple) or not value:
        raise _wrong(profile, name, f"must be a list of one or more of {', '.join(allowed)}, not {value!r}")
    for one in value:
        if one not in allowed:
            raise _wrong(profile, name, f"{one!r} is none of {', '.join(allowed)}")


def _check_range(profile: Profile, name: str, bounds: Range) -> None:
    value = getattr(profile, name)
    if value is None and Profile.__dataclass_fields__[name].default is None:
        return
    if not isinstance(value, tuple) or len(value) != 2 or not all(map(is_number, value)):
        raise _wrong(profile, name, f"must be a pair [from, to] of numbers, not {value!r}")
    low, high = bounds
    if not low <= value[0] <= value[1] <= high:
        raise _wrong(profile, name, f"{list(value)} must rise and lie within {low}…{high}")
    if name in WHOLE and not all(isinstance(one, int) for one in value):
        raise _wrong(profile, name, f"{list(value)} must be whole numbers")


def _check_rates(profile: Profile) -> None:
    """Every bit rate must be one of every leg that has a choice of them."""
    if not isinstance(profile.kbps, tuple):
        raise _wrong(profile, "kbps", f"must be a list of bit rates, not {profile.kbps!r}")
    rated = [leg for leg in profile.legs if leg in call_codecs.RATES]
    if bool(rated) != bool(profile.kbps):
        need = f"{rated[0]} needs one or more" if rated else f"none of {', '.join(profile.legs)} has a choice"
        raise _wrong(profile, "kbps", need)
    for leg in rated:
        for rate in profile.kbps:
            if rate not in call_codecs.RATES[leg]:
                allowed = ", ".join(f"{one:g}" for one in call_codecs.RATES[leg])
                raise _wrong(profile, "kbps", f"{leg} has no {rate!r} kb/s; it has {allowed}")


def _check_losses(profile: Profile) -> None:
    """The corner of both ranges that is hardest to reach: most losses in the shortest bursts."""
    try:
        check_burst(profile.loss_rate[1], None if profile.mean_burst is None else profile.mean_burst[0])
    except UserError as error:
        raise _wrong(profile, "mean_burst", str(error)) from None


def _wrong(profile: Profile, key: str, what: str) -> UserError:
    return UserError(f"profile {profile.name}: {key}: {what}")


def is_number(value: Any) -> bool:
    """Neither a word nor true or false."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)

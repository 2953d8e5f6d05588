"""conf/telephone_channel.yaml: profiles and mixes of them, read and checked as a whole.

Whatever is wrong in the file is one line that names the key, the nearest right one and the fix.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import yaml

from data.call_profiles import BOUNDS, Mix, Profile, is_number
from data.errors import UserError
from data.spelling import nearest

CONFIG = Path(__file__).resolve().parents[1] / "conf" / "telephone_channel.yaml"
CHOICES = ("legs", "concealment", "upsampler", "kbps")


def read_mix(name: str, path: Path | str = CONFIG, changes: Sequence[str] = ()) -> Mix:
    """A mix by name, or a profile as a mix of one; `changes` are `key=value` for all of its profiles.

    Profiles whose codec is not installed are switched off with one warning. Raises UserError for whatever is
    wrong in the file or in a change, and where no profile is left.
    """
    sections = _read_sections(Path(path))
    profiles = sections["profiles"]
    if name in profiles:
        shares = {name: 1.0}
    elif name in sections["mixes"]:
        shares = _shares(sections["mixes"][name], f"{path}: mix {name}", list(profiles))
    else:
        known = [*profiles, *sections["mixes"]]
        raise UserError(f"{path}: has no profile or mix {name!r}{nearest(name, known)}")
    read = [_profile(one, profiles[one], path, changes) for one in shares]
    return _switch_off(Mix(name, tuple(read), tuple(shares.values())))


def names(path: Path | str = CONFIG) -> list[str]:
    """The names of all profiles."""
    return list(_read_sections(Path(path))["profiles"])


def from_settings(settings: dict[str, Any]) -> Mix:
    """A mix from `dataclasses.asdict` of one, as JSON brings it back."""
    read = [Profile(**{key: _frozen(value) for key, value in one.items()}) for one in settings["profiles"]]
    return _switch_off(Mix(settings["name"], tuple(read), tuple(settings["weights"])))


def _profile(name: str, settings: Any, path: Path | str, changes: Sequence[str]) -> Profile:
    known = {field.name: field for field in fields(Profile)[1:]}
    where = f"{path}: {name}"
    for key in settings if isinstance(settings, dict) else ():
        if key not in known:
            raise UserError(f"{where}: unknown key {key!r}{nearest(str(key), list(known))}")
    for key, field in known.items():
        if field.default is MISSING and (not isinstance(settings, dict) or key not in settings):
            raise UserError(f"{where}: has no {key!r}")
    return _changed(Profile(name, **{key: _frozen(value) for key, value in settings.items()}), changes)


def _changed(profile: Profile, changes: Sequence[str]) -> Profile:
    """`snr_db=10` pins a range to one value, `legs=[a-law]` and `concealment=zero` replace a choice."""
    known = [field.name for field in fields(Profile)[1:]]
    values: dict[str, Any] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise UserError(f"{change!r}: write it as key=value, such as snr_db=10")
        if key not in known:
            raise UserError(f"{change!r}: unknown key {key!r}{nearest(key, known)}")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UserError(f"{change!r}: the value is not YAML") from None
        if key in BOUNDS and isinstance(value, (int, float)):
            value = [value, value]
        elif key in CHOICES and not isinstance(value, list):
            value = [value]
        values[key] = _frozen(value)
    return replace(profile, **values)


def _switch_off(mix: Mix) -> Mix:
    reasons = {profile.name: profile.missing for profile in mix.profiles}
    off = [f"{name} ({reason})" for name, reason in reasons.items() if reason]
    if not off:
        return mix
    if len(off) == len(mix.profiles):
        raise UserError(f"{mix.name}: none of its calls can be made here: {', '.join(off)}")
    print(f"warning: switched off: {', '.join(off)}", file=sys.stderr)
    left = [pair for pair in zip(mix.profiles, mix.weights, strict=True) if not reasons[pair[0].name]]
    profiles, weights = zip(*left, strict=True)
    return Mix(mix.name, profiles, weights)


def _read_sections(path: Path) -> dict[str, dict[str, Any]]:
    """`profiles` and `mixes`, each a table; the latter may be left out."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or not isinstance(content.get("profiles"), dict):
        raise UserError(f"{path}: holds no profiles")
    for key in content:
        if key not in ("profiles", "mixes"):
            raise UserError(f"{path}: unknown section {key!r}; there are profiles, mixes")
    mixes = content.get("mixes") or {}
    if not isinstance(mixes, dict):
        raise UserError(f"{path}: mixes must be a table of tables")
    if both := [name for name in mixes if name in content["profiles"]]:
        raise UserError(f"{path}: {both[0]!r} is the name of a profile and of a mix")
    return {"profiles": content["profiles"], "mixes": mixes}


def _shares(mix: Any, where: str, known: list[str]) -> dict[str, float]:
    if not isinstance(mix, dict) or not mix:
        raise UserError(f"{where}: must be a table of profiles and weights")
    for name, weight in mix.items():
        if name not in known:
            raise UserError(f"{where}: no profile is called {name!r}{nearest(str(name), known)}")
        if not is_number(weight) or weight <= 0:
            raise UserError(f"{where}: the weight of {name} must be a positive number, not {weight!r}")
    return mix


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

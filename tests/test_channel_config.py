"""conf/telephone_channel.yaml: what is read from it, and how what is wrong in it is said."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from data import call_codecs
from data.channel_config import from_settings, names, read_mix
from data.errors import UserError

GOOD = """\
profiles:
  p:
    legs: [amr-nb, a-law]
    kbps: [4.75, 12.2]
    level_dbov: [-30, -20]
    snr_db: [10, 20]
    talkers: [3, 7]
    loss_rate: [0, 0.1]
  q:
    legs: [mu-law]
    level_dbov: [-30, -20]
    snr_db: [10, 20]
    talkers: [0, 0]
    loss_rate: [0, 0]
mixes:
  m: {p: 1, q: 2.5}
"""


@pytest.fixture
def read(tmp_path):
    def reader(name="p", text=GOOD, changes=()):
        path = tmp_path / "channel.yaml"
        path.write_text(text, encoding="utf-8")
        return read_mix(name, path, changes)

    return reader


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("snr_db", "snr_bd"), "p: unknown key 'snr_bd'; did you mean snr_db"),
        (("    legs: [amr-nb, a-law]\n", ""), "p: has no 'legs'"),
        (("[amr-nb, a-law]", "[g729]"), "legs: 'g729' is none of mu-law, a-law"),
        (("[amr-nb, a-law]", "a-law"), "legs: must be a list"),
        (("[4.75, 12.2]", "[4.8]"), "amr-nb has no 4.8 kb/s; it has 4.75, 5.15"),
        (("    kbps: [4.75, 12.2]\n", ""), "kbps: amr-nb needs one or more"),
        (("[amr-nb, a-law]", "[gsm]"), "kbps: none of gsm has a choice"),
        (("[0, 0.1]", "[0.1, 0]"), "must rise"),
        (("[0, 0.1]", "0.1"), "must be a pair"),
        (("[0, 0.1]", "[0, 1.5]"), "lie within 0…1"),
        (("[0, 0.1]", "[0, 0.6]\n    mean_burst: [1, 2]"), "mean_burst: "),
        (("[0, 0.1]", "[0, 0.1]\n    mean_burst: [0.5, 2]"), "lie within 1…1000"),
        (("[0, 0.1]", "[0, 0.1]\n    concealment: [guess]"), "'guess' is none of zero, repeat, g711_appendix_i"),
        (("[0, 0.1]", "[0, 0.1]\n    band: narrow"), "'narrow' is none of g712, irs_send, none"),
        (("[0, 0.1]", "[0, 0.1]\n    upsampler: [linear]"), "'linear' is none of soxr, torchaudio"),
        (("[3, 7]", "[3.5, 7]"), "whole numbers"),
        (("[3, 7]", "[true, 7]"), "must be a pair"),
        (("  p:\n", "  pp:\n"), "has no profile or mix 'p'; did you mean pp?"),
        ((GOOD, "profiles: {p: 3}"), "has no 'legs'"),
        ((GOOD, "a: [b"), "is not YAML"),
        ((GOOD, ""), "holds no profiles"),
        ((GOOD, "profile: {}"), "holds no profiles"),
        (("mixes:", "mix:"), "unknown section 'mix'"),
        (("  m: {", "  p: {"), "'p' is the name of a profile and of a mix"),
    ],
)
def test_a_wrong_profile_is_one_line_that_names_the_fix(read, change, message):
    with pytest.raises(UserError) as error:
        read("p", GOOD.replace(*change))
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ("{p: 1, r: 1}", "no profile is called 'r'"),
        ("{p: 0}", "the weight of p must be a positive number"),
        ("{p: yes}", "the weight of p must be a positive number"),
        ("{}", "must be a table"),
        ("[p]", "must be a table"),
    ],
)
def test_a_wrong_mix_is_one_line_too(read, mix, message):
    with pytest.raises(UserError, match=message):
        read("m", GOOD.replace("{p: 1, q: 2.5}", mix))


def test_a_mix_holds_its_profiles_and_weights(read):
    mix = read("m")
    assert [profile.name for profile in mix.profiles] == ["p", "q"] and mix.weights == (1, 2.5)
    assert [mix.pick(share).name for share in (0, 0.285, 0.286, 0.999)] == ["p", "p", "q", "q"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml: no such file"):
        read_mix("default", tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ("snr_db=10", "snr_db", (10, 10)),
        ("snr_db=[5, 6]", "snr_db", (5, 6)),
        ("legs=mu-law", "legs", ("mu-law",)),
        ("legs=[a-law, mu-law]", "legs", ("a-law", "mu-law")),
        ("concealment=zero", "concealment", ("zero",)),
        ("band=none", "band", "none"),
        ("mean_burst=2", "mean_burst", (2, 2)),
    ],
)
def test_a_change_pins_one_value(read, change, field, value):
    assert getattr(read("q", changes=[change]).profiles[0], field) == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("snr_bd=10", "did you mean snr_db"),
        ("snr_db", "write it as key=value"),
        ("snr_db=loud", "must be a pair"),
        ("snr_db=200", "lie within"),
        ("legs=[", "is not YAML"),
        ("kbps=12.2", "none of mu-law has a choice"),
    ],
)
def test_a_wrong_change_is_one_line(read, change, message):
    with pytest.raises(UserError, match=message):
        read("q", changes=[change])


def test_a_missing_codec_switches_its_profiles_off_with_one_warning(read, monkeypatch, capsys):
    monkeypatch.setattr(call_codecs, "missing", lambda codec: "no av" if codec == "amr-nb" else None)
    mix = read("m")
    assert [profile.name for profile in mix.profiles] == ["q"] and mix.weights == (2.5,)
    assert capsys.readouterr().err == "warning: switched off: p (no av)\n"
    with pytest.raises(UserError, match=r"none of its calls can be made here: p \(no av\)"):
        read("p")


def test_a_mix_comes_back_from_json_as_it_was(read):
    mix = read("m")
    assert from_settings(json.loads(json.dumps(asdict(mix)))) == mix


def test_the_shipped_profiles_are_valid_and_the_default_is_the_experiment():
    """µ-law, 300-3400 Hz, 1-2 % of the frames lost, 3-7 talkers at 10-25 dB."""
    default = read_mix("default").profiles[0]
    assert default.legs == ("mu-law",) and default.band == "g712"
    assert default.loss_rate == (0.01, 0.02) and default.mean_burst is None
    assert default.snr_db == (10, 25) and default.talkers == (3, 7)
    assert len({replace(read_mix(name).profiles[0], name="") for name in names()}) == len(names())

"""local/packages.py: the pins lie in the tested ranges, and a misfit is named."""

from __future__ import annotations

import re

import pytest

from local.experiment import TOP
from local.packages import TESTED, misfit, release

LINES = (TOP / "requirements.txt").read_text(encoding="utf-8").splitlines()
PINS = dict(
    re.match(r"([\w-]+)==(\S+)", line).groups() for line in LINES if line and not line.startswith("#")
)


def test_every_requirement_is_an_exact_pin_with_a_word_on_why():
    for line in LINES:
        assert not line or line.startswith("#") or re.fullmatch(r"[\w-]+==[\w.]+ *(# .+)?", line), line
    assert PINS["torch"] == PINS["torchaudio"] == "2.11.0" and PINS["funasr"] == "1.4.16"


def test_the_pins_are_what_was_tested():
    assert set(TESTED) <= set(PINS)
    assert misfit(PINS) is None
    for name, (low, _) in TESTED.items():
        assert release(low) <= release(PINS[name])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"funasr": "1.4.0"}, "its funasr is 1.4.0, tested are 1.4.16 to below 1.4.17"),
        ({"torch": "2.12.0"}, "its torch is 2.12.0"),
        ({"soxr": None}, "it has no soxr"),
        ({"av": "19.0.2"}, "its av is 19.0.2, tested are 17.1.0 to below 19"),
        ({"torch": "2.11.0+cpu"}, "its torch 2.11.0+cpu and torchaudio 2.11.0 are no pair"),
    ],
)
def test_a_misfit_is_named(change, said):
    assert misfit({**PINS, **change}).startswith(said)


@pytest.mark.parametrize("name", sorted(TESTED))
def test_only_what_is_optional_may_be_missing(name):
    assert (misfit({**PINS, name: None}) is None) == (name == "av")


def test_both_of_another_build_are_a_pair():
    assert misfit({**PINS, "torch": "2.11.0+cpu", "torchaudio": "2.11.0+cpu"}) is None


@pytest.mark.parametrize(
    ("version", "numbers"), [("2.11.0+cu130", (2, 11, 0)), ("1.4.16", (1, 4, 16)), ("5.0rc1", (5, 0))]
)
def test_a_version_is_read_as_numbers(version, numbers):
    assert release(version) == numbers

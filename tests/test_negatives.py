"""Negatives: what sounds is found again with Fourier transforms; files are the same however often they are made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_sound import tree

from data import negatives
from data.corpora import Utterance
from data.negatives import CADENCES, DIGITS, Negatives, dtmf

# ITU-T Q.23
Q23 = {
    "1": (697, 1209), "2": (697, 1336), "3": (697, 1477), "A": (697, 1633),
    "4": (770, 1209), "5": (770, 1336), "6": (770, 1477), "B": (770, 1633),
    "7": (852, 1209), "8": (852, 1336), "9": (852, 1477), "C": (852, 1633),
    "*": (941, 1209), "0": (941, 1336), "#": (941, 1477), "D": (941, 1633),
}  # fmt: skip


def goertzel(samples: np.ndarray, hertz: float) -> float:
    """Amplitude of one frequency in (n,) samples at 16 kHz."""
    return 2 * abs(np.mean(samples * np.exp(-2j * np.pi * hertz / 16000 * np.arange(len(samples)))))


def cadence_of(gate: np.ndarray) -> list[float]:
    """Seconds between the switchings of a gate, the first and the last left out."""
    return list(np.diff(np.flatnonzero(np.diff(gate > 0.5))) / 16000)


@pytest.mark.parametrize("digit", Q23)
def test_digits_are_those_of_q23(digit):
    samples = dtmf(digit, 0.1, -20, 2)
    frequencies = sorted({f for pair in Q23.values() for f in pair})
    strongest = sorted(frequencies, key=lambda f: -goertzel(samples, f))[:2]
    assert sorted(strongest) == sorted(Q23[digit])
    low, high = (20 * np.log10(goertzel(samples, f) / np.sqrt(2)) for f in Q23[digit])
    assert low == pytest.approx(-20, abs=1) and high - low == pytest.approx(2, abs=1)


def test_every_digit_is_on_the_pad():
    assert sorted("".join(DIGITS)) == sorted(Q23)


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # GB/T 3380
        ("busy", [0.35, 0.35]),
        ("ringback", [1, 4]),
        ("congestion", [0.7, 0.7]),
        ("no such number", [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.4, 0.4]),
        ("call waiting", [0.4, 4]),
    ],
)
def test_cadences_are_those_of_the_standard(monkeypatch, name, expected):
    monkeypatch.setattr(negatives, "CADENCES", {name: CADENCES[name]})
    samples = negatives._signal_tone(25 * 16000, np.random.default_rng(1))
    envelope = np.sqrt(np.convolve(samples.astype(float) ** 2, np.ones(320) / 320, "same"))
    found = cadence_of(envelope / envelope.max())
    begin = next(i for i in range(len(expected)) if np.allclose(found[: len(expected)], np.roll(expected, -i), atol=0.02))
    np.testing.assert_allclose(found, np.resize(np.roll(expected, -begin), len(found)), atol=0.02)
    sounding = samples[envelope > 0.9 * envelope.max()]
    assert np.argmax(np.abs(np.fft.rfft(samples))) / 25 == pytest.approx(450, abs=5)
    assert -36 < 10 * np.log10(np.mean(sounding**2)) < -14


def test_the_dial_tone_never_stops(monkeypatch):
    monkeypatch.setattr(negatives, "CADENCES", {"dial": CADENCES["dial"]})
    samples = negatives._signal_tone(80000, np.random.default_rng(0))[100:-100]
    envelope = np.convolve(samples.astype(float) ** 2, np.ones(320) / 320, "valid")
    assert np.ptp(10 * np.log10(envelope)) < 0.2


def test_digits_last_and_pause_as_long_as_q24_asks():
    """At least 40 ms of either; and nothing but sound of Q.23 in between."""
    samples = negatives._dialling(160000, np.random.default_rng(3)).astype(float)
    loud = np.convolve(np.abs(samples), np.ones(80) / 80, "same") > 1e-4
    times = cadence_of(loud)
    assert len(times) > 20 and min(times) >= 0.04


def made_in(folder: Path, count: int, seed: int) -> list[Utterance]:
    return list(Negatives(folder, 0.1, seed).made(10 * count))


def test_utterances_say_nothing_and_name_nobody(tmp_path):
    made = made_in(tmp_path / "new" / "folder", 30, seed=1)
    assert len({one.key for one in made}) == len({one.audio for one in made}) == 30
    for one in made:
        assert one.text == "" and one.speaker is None and one.audio.is_absolute()
        info = soundfile.info(one.audio)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert 1 <= info.duration <= 10
        samples, _ = soundfile.read(one.audio)
        assert samples.any() and np.abs(samples).max() < 0.99


def test_a_number_depends_on_seed_and_index_alone(tmp_path):
    made_in(tmp_path / "few", 3, seed=5)
    made_in(tmp_path / "many", 6, seed=5)
    made_in(tmp_path / "other", 3, seed=6)
    few, many, other = (tree(tmp_path / name) for name in ("few", "many", "other"))
    assert few.items() <= many.items() and len(many) == 6
    assert not set(few.values()) & set(other.values()) and len(set(many.values())) == 6


def test_a_second_call_mends_and_rewrites_nothing_that_is_whole(tmp_path):
    made = made_in(tmp_path, 4, seed=2)
    before, times = tree(tmp_path), [one.audio.stat().st_mtime_ns for one in made]
    made[1].audio.write_bytes(b"RIFF")
    assert made_in(tmp_path, 4, seed=2) == made
    assert tree(tmp_path) == before
    assert [made[i].audio.stat().st_mtime_ns for i in (0, 2, 3)] == [times[i] for i in (0, 2, 3)]


def test_all_kinds_are_drawn(monkeypatch):
    """Told apart by where the energy is: nowhere in particular, at 450 Hz, at the frequencies of Q.23."""
    monkeypatch.setattr(negatives, "FLOOR_DBOV", (-75.0, -70.0))
    kinds = set()
    for seed in range(40):
        samples = negatives.draw_negative(np.random.default_rng(seed)).astype(float)
        if 10 * np.log10(np.mean(samples**2)) < -65:
            kinds.add("noise")
            continue
        spectrum = np.abs(np.fft.rfft(samples)) ** 2
        hertz = np.argmax(spectrum) / len(samples) * 16000
        kinds.add("tone" if abs(hertz - 450) < 5 else "dtmf" if 690 < hertz < 1640 else "?")
    assert kinds == {"noise", "tone", "dtmf"}


def test_another_name_makes_other_sounds(tmp_path):
    training = list(Negatives(tmp_path, 1.0, 1).made(3))
    test = list(Negatives(tmp_path, 1.0, 1, "silence").made(3))
    assert [one.key for one in test] == ["silence_000000", "silence_000001", "silence_000002"]
    assert not {one.audio.read_bytes() for one in training} & {one.audio.read_bytes() for one in test}

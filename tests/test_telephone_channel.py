"""What a telephony expert would try on the channel."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sound import voice

from data.audio import AudioError, resample
from data.errors import UserError
from data.g711_codec import decoder_table
from data.speech_level import level_dbov
from data.telephone_channel import (
    Draws,
    as_row,
    draw,
    lost_packets,
    read_profile,
    set_levels,
    simulate,
    transmit,
)

LINE = Draws("test", seed=7, level_dbov=-26.0, snr_db=15.0, talkers=3, loss_rate=0.0, codec="mu-law")
PINNED = Draws(
    profile="default",
    seed=207739971502235,
    level_dbov=-20.87,
    snr_db=18.27,
    talkers=3,
    loss_rate=0.01961,
    codec="mu-law",
)
LOSSY = dataclasses.replace(LINE, loss_rate=0.1)


def spectrum_db(samples: np.ndarray, low: float, high: float) -> float:
    """Energy between two frequencies over all energy, in dB."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / 16000)
    inside = power[(frequency >= low) & (frequency < high)].sum()
    return 10 * np.log10(inside / power.sum() + 1e-20)


def tone(frequency: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency / 16000 * np.arange(int(16000 * seconds))).astype(np.float32)


# --- the signal -----------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [0, 1, 2, 159, 160, 319, 320, 321, 16000, 16001])
@pytest.mark.parametrize("draws", [LINE, LOSSY, dataclasses.replace(LINE, loss_rate=1.0)])
def test_length_and_type_are_kept(samples, draws):
    out = simulate(voice(2)[:samples], draws, voice(2, seed=9)[:samples])
    assert out.shape == (samples,) and out.dtype == np.int16


def test_lag_is_zero():
    speech = voice(2)
    out = simulate(speech, LINE).astype(float)
    reference = resample(resample(speech, 16000, 8000), 8000, 16000).astype(float)
    lags = range(-40, 41)
    similarity = [np.dot(out[1000:-1000], np.roll(reference, lag)[1000:-1000]) for lag in lags]
    assert lags[int(np.argmax(similarity))] == 0


def test_nothing_above_4_khz():
    speech = voice(3)
    wide = resample(transmit_floats(speech), 8000, 16000)
    assert spectrum_db(speech, 4000, 8000) > -40
    assert spectrum_db(wide, 4000, 8000) < -70


def transmit_floats(speech: np.ndarray) -> np.ndarray:
    narrow = resample(set_levels(speech, LINE, None), 16000, 8000)
    return transmit(np.rint(narrow * 32768).astype(np.int16), LINE).astype(np.float32) / 32768


@pytest.mark.parametrize("frequency", [4600, 5500, 7000])
def test_tones_above_the_band_leave_no_alias(frequency):
    """A tone in the band keeps its level; one above must not come back mirrored at 8000 - f."""
    mixed = tone(1700) + tone(frequency)
    out = simulate(mixed, LINE).astype(float)
    assert (
        spectrum_db(out, 8000 - frequency - 60, 8000 - frequency + 60) < -35
    )  # what is there is µ-law's own noise


@pytest.mark.parametrize(
    ("frequency", "low", "high"),
    [(100, -60, -18), (300, -1.5, 0.5), (1500, -0.3, 0.3), (3400, -1.5, 0.5), (3800, -80, -25)],
)
def test_band_of_the_whole_chain(frequency, low, high):
    def heard(f: float) -> float:
        out = (
            simulate((tone(1020) + tone(f)) / 2, LINE)[1600:-1600]
            if f != 1020
            else simulate(tone(1020), LINE)
        )
        return spectrum_db(out, f - 30, f + 30) - spectrum_db(out, 990, 1050)

    assert low <= heard(frequency) <= high


def test_noise_goes_through_the_band_pass_too():
    """The tell-tale of the order: hum added to the speech is gone; added after the filter it would stay."""
    hum = np.tile(tone(60), 2)
    assert spectrum_db(simulate(voice(2), dataclasses.replace(LINE, snr_db=0.0), hum), 0, 80) < -25


def test_silence_stays_silent():
    assert not simulate(np.zeros(16000, np.float32), LOSSY).any()


def test_direct_current_does_not_pass():
    speech = voice(1)
    offset = simulate(speech * 0.1 + np.float32(0.3), LINE)[2000:-2000].astype(float)
    assert abs(offset.mean()) < 30


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(bad):
    speech = voice(0.1)
    speech[7] = bad
    with pytest.raises(AudioError, match="not finite"):
        simulate(speech, LINE)


# --- levels ---------------------------------------------------------------------------------------


@given(st.floats(-40, -15), st.floats(-5, 40), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_speech_level_and_snr_are_those_drawn(level, snr, seed):
    draws = dataclasses.replace(LINE, level_dbov=level, snr_db=snr)
    speech, babble = voice(1, seed=seed, level_dbov=-33), voice(1, seed=seed + 50, level_dbov=-5)
    clean = set_levels(speech, draws, None)
    noise = set_levels(speech, draws, babble) - clean
    assert level_dbov(clean) == pytest.approx(level, abs=0.05)
    assert level_dbov(clean) - level_dbov(noise) == pytest.approx(snr, abs=0.1)


def test_nothing_is_normalised_after_the_codec():
    quiet, loud = (
        simulate(voice(1), dataclasses.replace(LINE, level_dbov=level)) for level in (-40.0, -20.0)
    )
    assert level_dbov(loud / 32768) - level_dbov(quiet / 32768) == pytest.approx(20, abs=0.3)


# --- codec and loss ---------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["mu-law", "a-law"])
def test_what_is_heard_at_8_khz_are_the_levels_of_the_codec(codec):
    narrow = np.rint(voice(2, rate=8000) * 32768).astype(np.int16)
    heard = transmit(narrow, dataclasses.replace(LINE, codec=codec))
    assert set(np.unique(heard)) <= set(decoder_table(codec).tolist())


def test_packets_that_arrive_are_those_of_the_loss_free_line():
    narrow = np.rint(voice(20, rate=8000) * 32768).astype(np.int16)
    lost = np.repeat(lost_packets(LOSSY, len(narrow)), 160)
    clean, lossy = transmit(narrow, LINE), transmit(narrow, LOSSY)
    np.testing.assert_array_equal(lossy[~lost], clean[~lost])
    assert (lossy[lost] != clean[lost]).mean() > 0.4  # the rest are pauses


def test_realised_loss_over_many_utterances_is_the_drawn_rate():
    profile = read_profile("default")
    draws = [draw(profile, 1, f"u{n}") for n in range(600)]
    lost = np.concatenate([lost_packets(one, 80000) for one in draws])
    assert len(lost) >= 1e5
    assert lost.mean() == pytest.approx(np.mean([one.loss_rate for one in draws]), rel=0.05)
    assert 0.01 <= lost.mean() <= 0.02


# --- draws ------------------------------------------------------------------------------------------


def test_draws_lie_in_the_profile_and_fill_it():
    profile = read_profile("default")
    draws = [draw(profile, 3, f"u{n}") for n in range(2000)]
    for name in ("level_dbov", "snr_db", "loss_rate", "talkers"):
        low, high = getattr(profile, name)
        values = [getattr(one, name) for one in draws]
        assert low <= min(values) and max(values) <= high
        assert min(values) <= low + 0.02 * (high - low) and max(values) >= high - 0.02 * (high - low)


def test_draws_depend_on_seed_key_and_variant_and_on_nothing_else():
    profile = read_profile("default")
    first = draw(profile, 1, "键")
    np.random.seed(99)
    assert draw(profile, 1, "键") == first
    others = {draw(profile, 2, "键"), draw(profile, 1, "键2"), draw(profile, 1, "键", variant=1)}
    assert len(others | {first}) == 4


def test_draws_are_fixed_for_ever():
    """A change here changes all simulated data: raise VERSION of data/data_simulation.py with it."""
    assert draw(read_profile("default"), 1, "utt1") == PINNED


def test_a_row_holds_all_that_is_needed_to_repeat_it():
    row = as_row(LOSSY, 32001, ["a", "b"])
    again = Draws(**{field.name: row[field.name] for field in dataclasses.fields(Draws)} | {"talkers": 2})
    assert row["packets"] == 101 and row["lost"] == int(lost_packets(again, 16001).sum())


def test_the_same_utterance_sounds_the_same_every_time():
    speech, babble = voice(1), voice(1, seed=4)
    np.testing.assert_array_equal(simulate(speech, LOSSY, babble), simulate(speech, LOSSY, babble))


# --- profiles -----------------------------------------------------------------------------------------

GOOD = """\
p:
  level_dbov: [-30, -20]
  snr_db: [10, 20]
  talkers: [3, 7]
  loss_rate: [0, 0.1]
  codec: mu-law
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("snr_db", "snr_bd"), "unknown key 'snr_bd'; did you mean 'snr_db'"),
        (("  codec: mu-law\n", ""), "has no 'codec'"),
        (("mu-law", "g729"), "codec 'g729' is none of mu-law, a-law"),
        (("[0, 0.1]", "[0.1, 0]"), "must rise"),
        (("[0, 0.1]", "0.1"), "must be a pair"),
        (("[0, 0.1]", "[0, 1.5]"), "lie within 0…1"),
        (("[3, 7]", "[3.5, 7]"), "whole numbers"),
        (("p:", "q:"), "has no profile 'p'; there are q"),
        ((GOOD, "p: 3"), "has no 'level_dbov'"),
        ((GOOD, "a: [b"), "is not YAML"),
        ((GOOD, ""), "holds no profiles"),
    ],
)
def test_a_wrong_profile_is_one_line_that_names_the_fix(tmp_path, change, message):
    path = tmp_path / "channel.yaml"
    path.write_text(GOOD.replace(*change), encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_profile("p", path)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml: no such file"):
        read_profile("default", tmp_path / "nowhere.yaml")


def test_the_shipped_profiles_are_valid():
    assert read_profile("default").snr_db == (10, 25)
    assert read_profile("call_centre").loss_rate == (0.02, 0.04)

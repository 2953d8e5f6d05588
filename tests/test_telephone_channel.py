"""What a telephony expert would try on the channel."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sound import voice

from data import telephone_channel
from data.audio import AudioError, resample
from data.channel_config import read_mix
from data.g711_codec import decoder_table
from data.packet_loss import METHODS
from data.speech_level import measure
from data.telephone_channel import (
    Draws,
    Leg,
    Room,
    as_row,
    draw,
    lost_frames,
    set_levels,
    transmit,
)

LINE = Draws(
    profile="test",
    seed=7,
    legs=(Leg("mu-law"),),
    band="g712",
    level_dbov=-26.0,
    snr_db=15.0,
    talkers=3,
    loss_rate=0.0,
    mean_burst=None,
    concealment="repeat",
    upsampler="soxr",
)
LOSSY = dataclasses.replace(LINE, loss_rate=0.1)


def simulate(samples: np.ndarray, draws: Draws, babble: np.ndarray | None = None) -> np.ndarray:
    return telephone_channel.simulate(samples, draws, lost_frames(draws, len(samples)), Room(babble))


def level_dbov(samples: np.ndarray) -> float:
    return measure(samples).active_dbov


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
    narrow = np.rint(resample(set_levels(speech, LINE), 16000, 8000) * 32768).astype(np.int16)
    return transmit(narrow, LINE, lost_frames(LINE, len(speech))).astype(np.float32) / 32768


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
    clean = set_levels(speech, draws)
    noise = set_levels(speech, draws, Room(babble)) - clean
    assert level_dbov(clean) == pytest.approx(level, abs=0.05)
    assert level_dbov(clean) - level_dbov(noise) == pytest.approx(snr, abs=0.1)


def test_noise_files_and_the_noise_of_the_line_have_their_levels():
    """Noise is no speech: its level is the mean square of all of it, the line's is taken at 8 kHz."""
    hiss = np.random.default_rng(1).standard_normal(32000).astype(np.float32)
    draws = dataclasses.replace(LINE, noise_snr_db=12.0, line_noise_dbov=-50.0)
    heard = set_levels(np.zeros_like(hiss), draws, Room(noise=hiss))
    assert 10 * np.log10(np.mean(heard**2)) == pytest.approx(draws.level_dbov - 12, abs=0.01)
    silent = telephone_channel.simulate(np.zeros(160000, np.float32), draws, lost_frames(draws, 160000))
    assert 10 * np.log10(np.mean((silent / 32768) ** 2)) == pytest.approx(-50, abs=0.3)  # µ-law adds -88 dB


def test_what_is_too_loud_clips_at_full_scale():
    loud = simulate(tone(1000), dataclasses.replace(LINE, level_dbov=0.0))
    assert np.abs(loud.astype(int)).max() > 32000 and (np.abs(loud[2000:-2000].astype(int)) > 31000).mean() > 0.3


def test_nothing_is_normalised_after_the_codec():
    quiet, loud = (
        simulate(voice(1), dataclasses.replace(LINE, level_dbov=level)) for level in (-40.0, -20.0)
    )
    assert level_dbov(loud / 32768) - level_dbov(quiet / 32768) == pytest.approx(20, abs=0.3)


# --- codec and loss ---------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["mu-law", "a-law"])
def test_what_is_heard_at_8_khz_are_the_levels_of_the_codec(codec):
    narrow = np.rint(voice(2, rate=8000) * 32768).astype(np.int16)
    heard = transmit(narrow, dataclasses.replace(LINE, legs=(Leg(codec),)), lost_frames(LINE, 32000))
    assert set(np.unique(heard)) <= set(decoder_table(codec).tolist())


@pytest.mark.parametrize("method", METHODS)
def test_frames_that_arrive_are_those_of_the_loss_free_line(method):
    """Appendix I goes over into the first frame after a gap, and takes a quarter of a pitch period before it."""
    narrow = np.rint(voice(20, rate=8000) * 32768).astype(np.int16)
    draws = dataclasses.replace(LOSSY, concealment=method)
    lost = lost_frames(draws, 320000)
    touched = lost.copy()
    if method == "g711_appendix_i":
        touched |= np.roll(lost, 1) | np.roll(lost, -1)
    arrived, gone = ~np.repeat(touched, 160), np.repeat(lost, 160)
    clean, lossy = transmit(narrow, LINE, np.zeros_like(lost)), transmit(narrow, draws, lost)
    np.testing.assert_array_equal(lossy[arrived], clean[arrived])
    assert (lossy[gone] != clean[gone]).mean() > 0.4  # the rest are pauses


def test_only_the_first_leg_loses_frames():
    """Silence where a frame was lost, at the far end of a second codec too."""
    draws = dataclasses.replace(LOSSY, legs=(Leg("mu-law"), Leg("a-law")), concealment="zero")
    narrow = np.rint(voice(5, rate=8000) * 32768).astype(np.int16)
    lost = lost_frames(draws, 80000)
    heard = transmit(narrow, draws, lost).reshape(-1, 160)
    assert (np.abs(heard[lost]) <= 8).all() and (np.abs(heard[~lost]).max(axis=1) > 8).mean() > 0.5


def test_realised_loss_over_many_utterances_is_the_drawn_rate():
    mix = read_mix("default")
    draws = [draw(mix, 1, f"u{n}") for n in range(600)]
    lost = np.concatenate([lost_frames(one, 160000) for one in draws])
    assert len(lost) >= 1e5
    assert lost.mean() == pytest.approx(np.mean([one.loss_rate for one in draws]), rel=0.05)
    assert 0.01 <= lost.mean() <= 0.02


# --- draws ------------------------------------------------------------------------------------------


def test_draws_lie_in_the_profile_and_fill_it():
    mix = read_mix("default")
    profile = mix.profiles[0]
    draws = [draw(mix, 3, f"u{n}") for n in range(2000)]
    for name in ("level_dbov", "snr_db", "loss_rate", "talkers"):
        low, high = getattr(profile, name)
        values = [getattr(one, name) for one in draws]
        assert low <= min(values) and max(values) <= high
        assert {one.upsampler for one in draws} == {"soxr", "torchaudio"}
        assert min(values) <= low + 0.02 * (high - low) and max(values) >= high - 0.02 * (high - low)


def test_draws_depend_on_seed_key_and_variant_and_on_nothing_else():
    mix = read_mix("default")
    first = draw(mix, 1, "键")
    np.random.seed(99)
    assert draw(mix, 1, "键") == first
    others = {draw(mix, 2, "键"), draw(mix, 1, "键2"), draw(mix, 1, "键", variant=1)}
    assert len(others | {first}) == 4


def test_a_mix_gives_each_profile_its_share():
    mix = read_mix("china")
    drawn = [draw(mix, 1, f"u{n}").profile for n in range(4000)]
    for profile, weight in zip(mix.profiles, mix.weights, strict=True):
        share = weight / sum(mix.weights)
        assert drawn.count(profile.name) / 4000 == pytest.approx(share, abs=3 * (share * (1 - share) / 4000) ** 0.5)


def test_draws_are_fixed_for_ever():
    """A change here changes all simulated data: raise VERSION of data/telephone_channel.py with it.

    The seed is the first 48 bits of the SHA-256 of `[1, "utt1", 0]`, the values come from numpy's PCG64.
    """
    drawn = draw(read_mix("default"), 1, "utt1")
    assert drawn.seed == int(hashlib.sha256(b'[1, "utt1", 0]').hexdigest()[:12], 16)
    rng = np.random.default_rng(np.random.SeedSequence([drawn.seed, 1, 0]))
    assert drawn.level_dbov == round(-32 + 12 * rng.random(), 2)
    assert drawn.snr_db == round(10 + 15 * rng.random(), 2)
    assert drawn.talkers == 3 + rng.integers(5)
    assert drawn.loss_rate == round(0.01 + 0.01 * rng.random(), 5)


def test_a_row_says_all_that_was_drawn():
    draws = dataclasses.replace(LOSSY, legs=(Leg("amr-nb", 12.2), Leg("a-law")), noise_snr_db=9.0)
    lost = lost_frames(draws, 32001)
    row = as_row(draws, lost, ["a", "b"], "hiss.wav")
    assert row["legs"] == ["amr-nb 12.2", "a-law"] and row["concealment"] == "codec"
    assert row["frames"] == 101 and row["lost"] == lost.sum() and row["talkers"] == ["a", "b"]
    assert row["seed"] == 7 and row["loss_rate"] == 0.1 and row["noise"] == "hiss.wav"
    assert "mean_burst" not in row and "line_noise_dbov" not in row


def test_the_same_utterance_sounds_the_same_every_time():
    speech, babble = voice(1), voice(1, seed=4)
    np.testing.assert_array_equal(simulate(speech, LOSSY, babble), simulate(speech, LOSSY, babble))

"""Speech of known bandwidth is found to have it: real recordings, and what other tools have filtered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sound import voice
from scipy import signal

from data.audio import read_wideband
from data.bandwidth import TELEPHONE_ENDS, bandwidth
from data.channel_config import names, read_mix
from data.errors import UserError
from data.telephone_channel import draw, lost_frames, simulate
from data.upsampler import UPSAMPLERS, upsample

SHARED = Path(__file__).resolve().parents[2] / "shared"
RECORDINGS = sorted((SHARED / "speech").glob("*.wav"))
PROFILES = names()


def recordings():
    missing = pytest.mark.skip(reason="../shared/speech with real recordings is not here")
    return RECORDINGS or [pytest.param(None, marks=missing)]


def as_int16(samples: np.ndarray) -> np.ndarray:
    return (np.clip(np.rint(samples * 32768), -32768, 32767) / 32768).astype(np.float32)


def over(profile: str, speech: np.ndarray, key: str) -> np.ndarray:
    try:
        draws = draw(read_mix(profile), 1, key)
    except UserError as error:
        pytest.skip(str(error))
    return simulate(speech, draws, lost_frames(draws, len(speech))) / 32768


@pytest.mark.parametrize("path", recordings())
def test_real_wideband_recordings_reach_beyond_7_khz(path):
    assert bandwidth(read_wideband(path)) >= 7000


@pytest.mark.parametrize("path", recordings())
@pytest.mark.parametrize("how", [*UPSAMPLERS, "scipy"])
def test_real_recordings_that_were_at_8_khz_reach_no_further_than_4(path, how):
    narrow = signal.resample_poly(read_wideband(path), 1, 2, window=("kaiser", 12.0)).astype(np.float32)
    wide = signal.resample_poly(narrow, 2, 1, window=("kaiser", 12.0)) if how == "scipy" else upsample(narrow, how)
    for gain in (1.0, 0.05):
        assert 3000 <= bandwidth(as_int16(gain * wide)) <= 4250


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", recordings())
def test_real_recordings_over_every_profile_end_with_the_telephone(path, profile):
    assert 3000 <= bandwidth(over(profile, read_wideband(path), path.stem)) <= TELEPHONE_ENDS


@pytest.mark.parametrize("profile", PROFILES)
def test_made_speech_over_every_profile_ends_with_the_telephone(profile):
    for number in range(6):
        assert 3000 <= bandwidth(over(profile, voice(2.0, seed=number), f"u{number}")) <= TELEPHONE_ENDS


@settings(max_examples=40)
@given(st.integers(4, 30), st.floats(0.02, 0.9), st.integers(0, 99), st.sampled_from([8000, 16000, 22050, 44100, 48000]))
def test_speech_cut_at_a_known_frequency_reaches_that(step, gain, seed, rate):
    cut = 250 * step
    if cut > 0.45 * rate:
        return
    steep = signal.firwin(2001, cut, fs=rate)
    speech = signal.fftconvolve(voice(1.0, rate, seed), steep, "same")
    assert abs(bandwidth(as_int16(gain * speech / np.abs(speech).max()), rate) - cut) <= 250


def test_noise_above_4_khz_that_no_upsampler_leaves_is_heard():
    narrow = upsample(voice(2.0, 8000), "torchaudio")
    hiss = signal.sosfilt(signal.butter(8, [6000, 7000], "band", fs=16000, output="sos"), voice(2.0, seed=3))
    assert bandwidth(narrow) <= 4250
    level = np.std(narrow) / np.std(hiss)
    assert bandwidth(narrow + 10 ** (-30 / 20) * level * hiss.astype(np.float32)) >= 6000


def test_peaks_that_were_clipped_after_upsampling_are_no_bandwidth():
    wide = upsample(voice(3.0, 8000, level_dbov=-12), "soxr")
    clipped = as_int16(np.clip(wide, -1, 32767 / 32768))
    assert (np.abs(clipped) > 0.999).any()
    assert bandwidth(clipped) <= 4250


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(1), np.zeros(16000)])
def test_silence_has_none(samples):
    assert bandwidth(samples.astype(np.float32)) is None


def test_less_than_a_frame_is_heard():
    assert bandwidth(voice(0.01)) > 6000

"""Both ways up to 16 kHz, against soxr and torchaudio themselves, and by the images that they leave."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from made_sound import voice

from data.upsampler import UPSAMPLERS, upsample


def image_db(samples: np.ndarray) -> float:
    """Energy above 4 kHz over all energy of (n,) samples at 16 kHz, through a Hann window."""
    power = np.abs(np.fft.rfft(samples.astype(np.float64) * np.hanning(len(samples)))) ** 2
    return 10 * np.log10(power[len(power) // 2 + 4 :].sum() / power.sum())


@pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 13, 23, 24, 25, 100, 6143, 6144, 6145, 20000])
def test_torchaudios_default_is_torchaudios(length):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchaudio.functional")
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    theirs = functional.resample(torch.from_numpy(samples), 8000, 16000).numpy()
    ours = upsample(samples, "torchaudio")
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-6, rtol=0)


def test_soxr_is_soxr_in_high_quality():
    samples = voice(1, 8000)
    np.testing.assert_array_equal(upsample(samples, "soxr"), soxr.resample(samples, 8000, 16000, quality="HQ"))


def test_images_above_4_khz():
    """On speech as a telephone passes it, to 3.4 kHz."""
    noise = np.random.default_rng(0).standard_normal(80000)
    spectrum = np.fft.rfft(noise)
    hertz = np.fft.rfftfreq(80000, 1 / 8000)
    spectrum *= ((hertz > 300) & (hertz < 3400)) / np.maximum(hertz, 300) ** 0.5
    speech = (0.05 * np.fft.irfft(spectrum)).astype(np.float32)
    assert image_db(upsample(speech, "soxr")) < -70
    assert -42 < image_db(upsample(speech, "torchaudio")) < -28


def test_image_of_the_upper_edge():
    """torchaudio leaves what stands at 3.4 kHz at 4.6 kHz as well, 20 dB down."""
    tone = np.sin(2 * np.pi * 3400 / 8000 * np.arange(16000)).astype(np.float32)
    assert image_db(upsample(tone, "torchaudio")[2000:30000]) == pytest.approx(-20, abs=2)
    assert image_db(upsample(tone, "soxr")[2000:30000]) < -100


@pytest.mark.parametrize("how", UPSAMPLERS)
@pytest.mark.parametrize("length", [0, 1, 2, 79, 80, 159, 160, 8001])
def test_length_is_doubled(how, length):
    assert upsample(np.ones(length, np.float32), how).shape == (2 * length,)


@pytest.mark.parametrize("how", UPSAMPLERS)
def test_lag_is_zero_and_level_is_kept(how):
    time = np.arange(8000) / 8000
    tone = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    expected = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    np.testing.assert_allclose(upsample(tone, how)[500:-500], expected[500:-500], atol=0.01)


def test_the_two_are_unlike():
    samples = voice(1, 8000)
    assert np.abs(upsample(samples, "soxr") - upsample(samples, "torchaudio")).max() > 1e-3

"""The bands, from 16 to 8 kHz: masks by multitones, aliases, lag and length, with scipy as a second opinion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.band_limit import BANDS, taps, to_narrowband

# Gain of the IRS sending filter for 8 kHz in ITU-T G.191 relative to 1 kHz, dB: the transform of its taps.
G191_IRS_SEND = {
    125: -32.12, 160: -21.89, 200: -15.47, 250: -10.49, 315: -6.82, 400: -4.15, 500: -2.76, 630: -1.85, 800: -1.08,
    1250: 1.83, 1600: 3.63, 2000: 4.38, 2500: 5.52, 3000: 5.77, 3150: 5.51, 3500: -3.47,
}  # fmt: skip


def gains_db(band: str, frequencies: list[float]) -> np.ndarray:
    """Gain of each of the tones in one multitone, relative to 1020 Hz; all of them multiples of 10 Hz."""
    time = np.arange(48000) / 16000
    phases = np.random.default_rng(0).uniform(0, 6, len(frequencies))
    tones = sum(np.sin(2 * np.pi * f * time + p) for f, p in zip(frequencies, phases, strict=True))
    spectrum = np.abs(np.fft.rfft(to_narrowband(tones.astype(np.float32), band)[4000:20000].astype(np.float64)))
    gain = spectrum[[round(2 * f) for f in frequencies]] / 8000
    return 20 * np.log10(gain + 1e-12) - tone_db(band, 1020)


def tone_db(band: str, frequency: float) -> float:
    """Level of what comes of one tone in 16 kHz, wherever it ends up, relative to the tone."""
    tone = np.sin(2 * np.pi * frequency / 16000 * np.arange(32000)).astype(np.float32)
    return 10 * np.log10(2 * np.mean(to_narrowband(tone, band)[2000:14000].astype(np.float64) ** 2) + 1e-20)


def test_the_mask_of_g712():
    for frequency, low, high in [
        (50, -99, -35), (100, -99, -20), (200, -7, -5), (300, -0.8, -0.3), (3400, -0.8, -0.3), (3600, -7, -5),
        (3800, -99, -30), (3900, -99, -50),
    ]:  # fmt: skip
        assert low <= gains_db("g712", [frequency])[0] <= high, frequency


def test_g712_is_flat_in_band():
    gains = gains_db("g712", [float(f) for f in range(400, 3301, 50)])
    assert np.abs(gains).max() < 0.3
    edges = gains_db("g712", [float(f) for f in range(300, 3401, 50)])
    assert np.abs(edges).max() < 1


def test_irs_send_is_that_of_g191():
    gains = gains_db("irs_send", [float(f) for f in G191_IRS_SEND]) - gains_db("irs_send", [1000.0])
    np.testing.assert_allclose(gains[2:], list(G191_IRS_SEND.values())[2:], atol=0.7)
    np.testing.assert_allclose(gains[:2], list(G191_IRS_SEND.values())[:2], atol=1.5)  # 22 and 32 dB down
    assert gains_db("irs_send", [3950.0])[0] < -25


def test_none_is_flat_to_3700_hz():
    assert np.abs(gains_db("none", [float(f) for f in range(10, 3701, 90)])).max() < 0.1


@pytest.mark.parametrize("band", BANDS)
def test_1020_hz_passes_at_its_level(band):
    assert tone_db(band, 1020) == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("frequency", [4310, 4600, 5000, 5555, 6000, 7000, 7980])
def test_aliases_are_80_db_down(band, frequency):
    assert tone_db(band, frequency) < -80


@pytest.mark.parametrize("band", BANDS)
def test_lag_is_zero(band):
    noise = np.random.default_rng(3).standard_normal(16000).astype(np.float32)
    noise = np.convolve(noise, np.hanning(9), "same").astype(np.float32)  # little above 4 kHz
    out = to_narrowband(noise, band)
    lags = range(-20, 21)
    match = [np.dot(out[100:-100], noise[200 + 2 * lag : 15800 + 2 * lag : 2]) for lag in lags]
    assert lags[int(np.argmax(match))] == 0


@pytest.mark.parametrize("band", BANDS)
def test_an_impulse_comes_out_symmetric_and_in_its_place(band):
    impulse = np.zeros(4001, np.float32)
    impulse[2000] = 1
    out = to_narrowband(impulse, band)
    assert np.abs(out).argmax() == 1000
    np.testing.assert_allclose(out, out[::-1], atol=1e-7)


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("length", [0, 1, 2, 95, 96, 97, 192, 193, 1000, 24575, 24576, 24577, 24673, 50001])
def test_length_and_values_are_those_of_plain_convolution(band, length):
    samples = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    out = to_narrowband(samples, band)
    assert out.dtype == np.float32 and out.shape == (-(-length // 2),)
    kernel = taps(band)
    plain = np.convolve(np.pad(samples.astype(np.float64), len(kernel) // 2), kernel, "valid")[::2] if length else out
    np.testing.assert_allclose(out, plain, atol=1e-5)


@given(st.integers(1, 3000), st.integers(0, 3000), st.sampled_from(BANDS))
def test_what_comes_later_does_not_matter(length, more, band):
    """Beyond the reach of the filter, an output is the same to the bit, however long the signal goes on."""
    samples = np.random.default_rng(1).standard_normal(length + more).astype(np.float32)
    until = max(0, length - 200) // 2
    np.testing.assert_array_equal(to_narrowband(samples, band)[:until], to_narrowband(samples[:length], band)[:until])


def test_scipy_sees_the_same_response():
    signal = pytest.importorskip("scipy.signal")
    hertz, response = signal.freqz(taps("g712"), worN=[50.0, 200, 300, 1020, 3400, 3600, 3800, 4600, 7000], fs=16000)
    gain = 20 * np.log10(np.abs(response))
    assert gain[3] == pytest.approx(0, abs=0.2)
    assert gain[1] == pytest.approx(-6, abs=0.5) and gain[5] == pytest.approx(-6, abs=0.5)
    assert gain[6] < -30 and (gain[7:] < -80).all(), dict(zip(hertz, gain, strict=True))


def test_an_unknown_band_is_an_error():
    with pytest.raises(KeyError):
        to_narrowband(np.zeros(10, np.float32), "g722")

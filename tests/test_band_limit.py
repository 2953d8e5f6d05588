"""The band against the mask of G.712, measured with tones."""

from __future__ import annotations

import numpy as np
import pytest

from data.band_limit import band_limit, kernel


def gain_db(frequency: float) -> float:
    tone = np.sin(2 * np.pi * frequency / 8000 * np.arange(16000)).astype(np.float32)
    middle = slice(4000, 12000)
    return 20 * np.log10(np.sqrt(np.mean(band_limit(tone)[middle] ** 2) / np.mean(tone[middle] ** 2)) + 1e-9)


@pytest.mark.parametrize(
    ("frequency", "low", "high"),
    [
        (50, -200, -35),
        (200, -7, -5),
        (300, -0.6, -0.4),
        (500, -0.1, 0.1),
        (2000, -0.1, 0.1),
        (3000, -0.1, 0.1),
        (3400, -0.6, -0.4),
        (3600, -8, -5),
        (3800, -200, -30),
    ],
)
def test_mask(frequency, low, high):
    assert low <= gain_db(frequency) - gain_db(1020) <= high


def test_passes_1020_hz_unchanged():
    assert gain_db(1020) == pytest.approx(0, abs=0.02)


def test_lag_is_zero():
    impulse = np.zeros(801, np.float32)
    impulse[400] = 1
    out = band_limit(impulse)
    assert out.argmax() == 400
    np.testing.assert_allclose(out, out[::-1], atol=1e-6)


def test_the_kernel_is_that_of_a_second_design_tool():
    signal = pytest.importorskip("scipy.signal")
    lower, upper = (
        signal.firwin(taps, edge, window="hamming", fs=8000) for edge, taps in ((200, 89), (3580, 51))
    )
    np.testing.assert_allclose(kernel(), np.pad(upper, 19) - lower, atol=1e-7)


@pytest.mark.parametrize("samples", [1, 2, 50, 88, 89, 90, 935, 936, 937, 1000, 1024, 80000])
def test_length_and_values_are_those_of_plain_convolution(samples):
    x = np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    expected = np.convolve(x, kernel())[44 : 44 + samples]
    out = band_limit(x)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_empty_stays_empty():
    assert len(band_limit(np.zeros(0, np.float32))) == 0

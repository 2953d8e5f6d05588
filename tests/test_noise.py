"""Line noise by its statistics, excerpts by where they come from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.noise import excerpt, line_noise


@pytest.mark.parametrize("level", [-80.0, -50.0, -20.0])
def test_line_noise_has_its_level_and_is_gaussian_and_white(level):
    noise = line_noise(200000, level, np.random.default_rng(0)).astype(np.float64)
    assert 10 * np.log10(np.mean(noise**2)) == pytest.approx(level, abs=0.05)
    assert np.mean(noise**4) / np.mean(noise**2) ** 2 == pytest.approx(3, abs=0.1)  # of a normal distribution
    bands = (np.abs(np.fft.rfft(noise)[1:]) ** 2).reshape(10, -1).mean(axis=1)
    assert np.ptp(10 * np.log10(bands)) < 0.5


def test_draws_come_from_the_generator_alone():
    first, second, other = (line_noise(50, -30, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@given(st.integers(1, 500), st.integers(0, 500), st.integers(0, 99))
def test_a_long_recording_is_cut(length, more, seed):
    recording = np.arange(length + more, dtype=np.float32)
    part = excerpt(recording, length, np.random.default_rng(seed))
    np.testing.assert_array_equal(part, part[0] + np.arange(length))


def test_every_place_is_drawn():
    begins = {int(excerpt(np.arange(8.0), 5, np.random.default_rng(seed))[0]) for seed in range(100)}
    assert begins == {0, 1, 2, 3}


@given(st.integers(1, 3000), st.integers(0, 9000), st.integers(0, 99))
def test_a_short_recording_goes_on_at_its_level(length, more, seed):
    recording = np.full(length, 0.5, np.float32)
    part = excerpt(recording, length + more, np.random.default_rng(seed))
    assert part.shape == (length + more,) and part.dtype == np.float32
    assert (part > 0.499).all() and (part < 0.5 * 1.42).all()  # √2 where a constant meets itself


def test_the_seam_is_no_step_and_no_dip():
    """A ramp would jump from 1 back to 0; noise keeps its power where it crosses over."""
    ramp = excerpt(np.linspace(0, 1, 4000, dtype=np.float32), 20000, np.random.default_rng(0))
    assert np.abs(np.diff(ramp)).max() < 0.01
    noise = line_noise(2000, 0, np.random.default_rng(5))
    power = np.mean([excerpt(line_noise(900, 0, rng), 90000, rng) ** 2 for rng in map(np.random.default_rng, range(40))])
    assert power == pytest.approx(1, abs=0.03)
    assert len(excerpt(noise, 10000, np.random.default_rng(1))) == 10000

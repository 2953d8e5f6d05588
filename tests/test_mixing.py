"""Sums and powers in stretches: what numpy computes at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.mixing import STRETCH, add_scaled, mean_square


@given(st.integers(0, 3 * STRETCH + 7), st.sampled_from([np.float32, np.int16]), st.floats(-4, 4))
def test_a_sum_is_a_sum(length, kind, factor):
    rng = np.random.default_rng(length)
    target, source = rng.standard_normal(length).astype(np.float32), rng.integers(-9, 9, length).astype(kind)
    expected = target + np.float32(factor) * source.astype(np.float32)
    add_scaled(target, source, factor)
    np.testing.assert_allclose(target, expected, atol=1e-5)


@pytest.mark.parametrize("length", [0, 1, STRETCH, STRETCH + 1, 3 * STRETCH])
def test_a_power_is_the_mean_of_the_squares(length):
    samples = np.random.default_rng(1).integers(-32768, 32767, length).astype(np.int16)
    expected = np.mean(samples.astype(float) ** 2) if length else 0
    assert mean_square(samples) == pytest.approx(expected, rel=1e-5)

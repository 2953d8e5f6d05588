"""Loss rate over many packets; what arrived is untouched; gaps repeat and fade."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.packet_loss import FADE, FRAME, conceal, draw_lost, frames_in


def ramp(samples: int) -> np.ndarray:
    return np.arange(1, samples + 1).astype(np.int16)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_loss_rate_and_independence_over_many_packets(rate):
    lost = draw_lost(400_000, rate, np.random.default_rng(1))
    assert lost.mean() == pytest.approx(rate, rel=0.05)
    assert lost[1:][lost[:-1]].mean() == pytest.approx(
        rate, rel=0.1
    )  # after a loss no likelier than elsewhere


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(1, FRAME))
def test_what_arrived_is_bit_for_bit_what_was_decoded(pattern, in_last):
    lost = np.array(pattern)
    decoded = ramp((len(lost) - 1) * FRAME + in_last)
    out = conceal(decoded, lost)
    arrived = ~np.repeat(lost, FRAME)[: len(decoded)]
    assert out.dtype == np.int16 and len(out) == len(decoded)
    np.testing.assert_array_equal(out[arrived], decoded[arrived])


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_what_was_lost_is_not_looked_at(pattern):
    lost = np.array(pattern)
    decoded = ramp(len(lost) * FRAME)
    other = decoded.copy()
    other[np.repeat(lost, FRAME)] = -1234
    np.testing.assert_array_equal(conceal(decoded, lost), conceal(other, lost))


def test_a_gap_repeats_the_last_packet_and_fades_to_silence():
    decoded = np.full(6 * FRAME, 9600, np.int16)
    out = conceal(decoded, np.array([False, True, True, True, True, False])).astype(float)
    expected = 9600 * (1 - np.arange(FADE) / FADE)
    np.testing.assert_allclose(out[FRAME : FRAME + FADE], expected, atol=0.5)
    assert not out[FRAME + FADE : 5 * FRAME].any()


def test_nothing_to_repeat_is_silence():
    assert not conceal(ramp(3 * FRAME), np.array([True, True, True])).any()


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 1), (160, 1), (161, 2), (80000, 500)])
def test_frames_in(samples, frames):
    assert frames_in(samples) == frames


def test_repeating_harms_less_than_silence():
    tone = np.rint(8000 * np.sin(2 * np.pi * 200 / 8000 * np.arange(80000))).astype(np.int16)
    lost = draw_lost(500, 0.05, np.random.default_rng(3))
    silent = np.where(np.repeat(lost, FRAME), 0, tone)

    def error(heard: np.ndarray) -> float:
        return float(np.mean((heard.astype(float) - tone) ** 2))

    assert error(conceal(tone, lost)) < 0.6 * error(silent)

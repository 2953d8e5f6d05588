"""Losses come at their rate and in their bursts from the first packet on; gaps are filled as asked, no more."""

from __future__ import annotations

import itertools
from math import sqrt

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data import appendix_i
from data.errors import UserError
from data.packet_loss import FADE, FRAME, METHODS, check_burst, conceal, draw_lost, frames_in

PATTERNS = st.lists(st.booleans(), min_size=1, max_size=30)
CHANNELS = [(0.015, 1.5), (0.05, 3.0), (0.2, 2.0), (0.2, 1.25), (0.5, 1.0), (0.6, 1.5), (0.9, 30.0)]
MANY = 1_000_000


def chances(rate: float, mean_burst: float | None) -> tuple[float, float]:
    """P(lost | arrived before), P(lost | lost before): one definition of the channel, from Gilbert's two."""
    burst = 1 / (1 - rate) if mean_burst is None else mean_burst
    return rate / (burst * (1 - rate)), 1 - 1 / burst


def bursts(lost: np.ndarray) -> np.ndarray:
    """Lengths of the runs of losses."""
    return np.array([sum(run) for is_lost, run in itertools.groupby(lost.tolist()) if is_lost])


def ramp(samples: int) -> np.ndarray:
    return np.arange(1, samples + 1).astype(np.int16)


@pytest.mark.parametrize(("rate", "mean_burst"), [*CHANNELS, (0.01, None), (0.2, None)])
def test_rate_and_burst_length_over_a_million_packets(rate, mean_burst):
    enter, stay = chances(rate, mean_burst)
    lost = draw_lost(MANY, rate, mean_burst, np.random.default_rng(20))
    # The mean of a two-state chain has the variance of independent draws times (1 + r) / (1 - r), where r is
    # the correlation of neighbours: r^k summed over all lags k.
    neighbours = stay - enter
    of_rate = sqrt(rate * (1 - rate) / MANY * (1 + neighbours) / (1 - neighbours))
    assert lost.mean() == pytest.approx(rate, abs=3 * of_rate + 1 / MANY)
    # A burst is geometric: mean B, variance B (B - 1).
    lengths = bursts(lost)
    burst = 1 / (1 - stay)
    assert lengths.mean() == pytest.approx(burst, abs=3 * sqrt(burst * (burst - 1) / len(lengths)) + 1e-12)


@given(st.integers(0, 60), st.sampled_from([*CHANNELS, (0.3, None), (0.0, 2.0), (1.0, 2.0)]), st.integers(0, 999))
def test_draws_are_those_of_a_chain_that_takes_one_step_a_packet(frames, channel, seed):
    rate, mean_burst = channel
    enter, stay = (rate, rate) if rate in (0, 1) else chances(rate, mean_burst)
    expected: list[bool] = []
    for number in np.random.default_rng(seed).random(frames):
        expected.append(bool(number < ((stay if expected[-1] else enter) if expected else rate)))
    drawn = draw_lost(frames, rate, mean_burst, np.random.default_rng(seed))
    assert drawn.dtype == bool and drawn.tolist() == expected


@pytest.mark.parametrize(("rate", "mean_burst"), [(0.05, 3.0), (0.2, None), (0.6, 1.5)])
def test_the_first_packets_are_lost_as_often_as_any(rate, mean_burst):
    rng = np.random.default_rng(21)
    starts = np.array([draw_lost(3, rate, mean_burst, rng) for _ in range(20_000)])
    np.testing.assert_allclose(starts.mean(axis=0), rate, atol=3 * sqrt(rate * (1 - rate) / len(starts)))


def test_without_a_burst_length_losses_are_independent():
    lost = draw_lost(400_000, 0.2, None, np.random.default_rng(1))
    after = lost[1:][lost[:-1]]
    assert after.mean() == pytest.approx(0.2, abs=3 * sqrt(0.2 * 0.8 / len(after)))
    np.testing.assert_array_equal(lost, draw_lost(400_000, 0.2, 1.25, np.random.default_rng(1)))


@pytest.mark.parametrize("mean_burst", [None, 1.0, 5.0])
def test_rates_of_none_and_all(mean_burst):
    rng = np.random.default_rng(0)
    assert not draw_lost(1000, 0.0, mean_burst, rng).any()
    assert draw_lost(1000, 1.0, mean_burst, rng).all()
    assert draw_lost(0, 0.5, mean_burst, rng).shape == (0,)


@pytest.mark.parametrize(("rate", "mean_burst"), [*CHANNELS, (0, None), (1, None), (0, 1), (1, 1), (0.9, 9), (0.99, None)])
def test_channels_that_exist_pass(rate, mean_burst):
    check_burst(rate, mean_burst)


@pytest.mark.parametrize(
    ("rate", "mean_burst", "named"),
    [
        (0.8, 2, "0.8 needs a mean burst of 4 packets or more, not 2"),
        (0.02, 0.9, "mean burst of 1 packets or more, not 0.9"),
        (1, 0, "mean burst of 1 packets"),
        (0.1, float("nan"), "not nan"),
        (0.1, float("inf"), "not inf"),
        (1.2, None, "1.2 is not between 0 and 1"),
        (-0.1, 2, "-0.1 is not between 0 and 1"),
        (float("nan"), 2, "nan is not between 0 and 1"),
    ],
)
def test_channels_that_cannot_be_name_the_bound(rate, mean_burst, named):
    with pytest.raises(UserError, match=named) as caught:
        check_burst(rate, mean_burst)
    assert "\n" not in str(caught.value)


@given(st.floats(0, 0.99), st.floats(0.5, 100))
def test_the_bound_is_where_the_chance_of_a_loss_would_pass_one(rate, mean_burst):
    enter, stay = chances(rate, mean_burst)
    try:
        check_burst(rate, mean_burst)
    except UserError:
        assert enter > 1 - 1e-6 or stay < 0
    else:
        assert enter < 1 + 1e-6 and stay > -1e-6


@given(PATTERNS, st.integers(1, FRAME), st.sampled_from(["zero", "repeat"]))
@example([True], 1, "repeat")
def test_what_arrived_is_bit_for_bit_what_was_decoded(pattern, in_last, method):
    lost = np.array(pattern)
    decoded = ramp((len(lost) - 1) * FRAME + in_last)
    out = conceal(decoded, lost, method)
    arrived = ~np.repeat(lost, FRAME)[: len(decoded)]
    assert out.dtype == np.int16 and len(out) == len(decoded)
    np.testing.assert_array_equal(out[arrived], decoded[arrived])
    np.testing.assert_array_equal(decoded, ramp(len(decoded)))


@given(PATTERNS, st.sampled_from(METHODS))
def test_what_was_lost_is_not_looked_at(pattern, method):
    lost = np.array(pattern)
    decoded = ramp(len(lost) * FRAME)
    other = decoded.copy()
    other[np.repeat(lost, FRAME)] = -1234
    np.testing.assert_array_equal(conceal(decoded, lost, method), conceal(other, lost, method))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("samples", [0, 1, FRAME, 1000])
def test_without_a_loss_the_samples_are_the_very_same(method, samples):
    decoded = ramp(samples)
    assert conceal(decoded, np.zeros(frames_in(samples), bool), method) is decoded


def test_an_unknown_method_is_not_taken_for_another():
    assert conceal(ramp(FRAME), np.array([True]), "zero").tolist() == [0] * FRAME
    with pytest.raises(ValueError, match="'none'"):
        conceal(ramp(FRAME), np.array([True]), "none")


@given(PATTERNS)
def test_zero_is_silence_in_every_gap(pattern):
    lost = np.array(pattern)
    heard = conceal(ramp(len(lost) * FRAME), lost, "zero").reshape(-1, FRAME)
    np.testing.assert_array_equal(~heard.any(axis=1), lost)


def test_a_gap_repeats_the_last_packet_and_fades_to_silence():
    decoded = np.full(6 * FRAME, 9600, np.int16)
    out = conceal(decoded, np.array([False, True, True, True, True, False]), "repeat").astype(float)
    expected = 9600 * (1 - np.arange(FADE) / FADE)
    np.testing.assert_allclose(out[FRAME : FRAME + FADE], expected, atol=0.5)
    assert not out[FRAME + FADE : 5 * FRAME].any()


@pytest.mark.parametrize("method", METHODS)
def test_nothing_to_go_on_from_is_silence(method):
    assert not conceal(ramp(3 * FRAME), np.array([True, True, True]), method).any()


@given(PATTERNS, st.integers(1, FRAME))
def test_appendix_i_gets_packets_of_20_ms(pattern, in_last):
    lost = np.array(pattern)
    decoded = ramp((len(lost) - 1) * FRAME + in_last)
    np.testing.assert_array_equal(
        conceal(decoded, lost, "g711_appendix_i"), appendix_i.conceal(decoded, lost.repeat(2), FRAME // 2)
    )


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 1), (160, 1), (161, 2), (80000, 500)])
def test_frames_in(samples, frames):
    assert frames_in(samples) == frames


@pytest.mark.parametrize("method", ["repeat", "g711_appendix_i"])
def test_going_on_harms_less_than_silence(method):
    tone = np.rint(8000 * np.sin(2 * np.pi * 200 / 8000 * np.arange(80000))).astype(np.int16)
    lost = draw_lost(500, 0.05, None, np.random.default_rng(3))

    def error(method: str) -> float:
        return float(np.mean((conceal(tone, lost, method).astype(float) - tone) ** 2))

    assert error(method) < 0.6 * error("zero")

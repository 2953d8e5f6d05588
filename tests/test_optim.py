"""The learning rate over a run."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_stage import config

from local.optim import make_optimiser, share_of_peak

TOTALS = st.integers(2, 500)


@given(TOTALS, st.integers(0, 300))
def test_rises_to_its_peak_once_and_falls_to_zero(total, warmup):
    shares = [share_of_peak(update, warmup, total) for update in range(total + 1)]
    peak = shares.index(max(shares))
    assert shares[peak] == pytest.approx(1.0)
    assert all(a < b for a, b in itertools.pairwise(shares[: peak + 1]))
    assert all(a >= b for a, b in itertools.pairwise(shares[peak:]))
    assert all(share > 0 for share in shares[:total]), "an update without a rate is wasted"
    assert shares[total] == pytest.approx(0.0, abs=1e-12)


@given(TOTALS)
def test_a_warm_up_longer_than_the_run_is_cut_to_a_tenth(total):
    shares = [share_of_peak(update, 10_000, total) for update in range(total)]
    assert shares.index(max(shares)) <= max(1, total // 10)


def test_a_single_update_has_the_whole_rate():
    assert share_of_peak(0, 100, 1) == 1.0


def test_half_way_down_is_half():
    assert share_of_peak(10 + 50, 10, 110) == pytest.approx(0.5)


def test_the_optimiser_follows_the_schedule():
    chosen = config(
        1, "++optim_conf.lr=0.01", "++scheduler_conf.warmup_steps=2", "++optim_conf.weight_decay=0.1"
    )
    optimiser, schedule = make_optimiser([torch.nn.Parameter(torch.ones(1))], chosen, updates=20)
    assert optimiser.param_groups[0]["betas"] == (0.9, 0.98)
    assert optimiser.param_groups[0]["weight_decay"] == 0.1
    rates = []
    for _ in range(20):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx([0.01 * share_of_peak(update, 2, 20) for update in range(20)])
    assert rates[0] == pytest.approx(0.005)

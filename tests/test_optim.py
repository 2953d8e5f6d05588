"""The learning rate over a run."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_stage import config

from data.errors import UserError
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
    optimiser, schedule = make_optimiser([("audio_encoder.w", torch.nn.Parameter(torch.ones(1)))], chosen, updates=20)
    assert optimiser.param_groups[0]["betas"] == (0.9, 0.98)
    assert optimiser.param_groups[0]["weight_decay"] == 0.1
    rates = []
    for _ in range(20):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx([0.01 * share_of_peak(update, 2, 20) for update in range(20)])
    assert rates[0] == pytest.approx(0.005)


NAMES = ("audio_adaptor.linear1.weight", "ctc_decoder.linear1.weight", "ctc.ctc_lo.weight", "ctc.ctc_lo.bias")


def rates(*settings: str) -> dict[str, float]:
    """The peak rate of each parameter of a stage 2, by whole steps of AdamW: the first one moves by its rate."""
    named = [(name, torch.nn.Parameter(torch.zeros(1))) for name in NAMES]
    optimiser, schedule = make_optimiser(named, config(2, "++scheduler_conf.warmup_steps=1", *settings), updates=100)
    for _, parameter in named:
        parameter.grad = torch.ones(1)
    optimiser.step()
    assert schedule.get_last_lr()[0] == pytest.approx(0.001), "the rate that the log shows"
    return {name: -parameter.item() for name, parameter in named}


def test_a_group_can_have_a_rate_of_its_own():
    assert rates() == pytest.approx(dict.fromkeys(NAMES, 0.001))
    assert rates("++optim_conf.group_lr.ctc=0.01", "++optim_conf.group_lr.audio_adaptor=0.002") == pytest.approx(
        {NAMES[0]: 0.002, NAMES[1]: 0.001, NAMES[2]: 0.01, NAMES[3]: 0.01}
    )


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("++optim_conf.group_lr.ctc_decode=1", "no group is called 'ctc_decode'; did you mean ctc_decoder?"),
        ("++optim_conf.group_lr.lora=1", "optim_conf.group_lr.lora is of a group that this stage does not train"),
        ("++optim_conf.group_lr.ctc=0", "optim_conf.group_lr.ctc must be positive"),
        ("++optim_conf.group_lr.ctc=fast", "optim_conf.group_lr.ctc is 'fast', but must be a number"),
        ("++optim_conf.group_lr=0.1", "optim_conf.group_lr is 0.1, but must be a section of keys"),
    ],
)
def test_a_rate_for_nothing_is_one_line(setting, said):
    with pytest.raises(UserError) as caught:
        config(2, setting)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_cpu_keeps_its_arithmetic():
    optimiser, _ = make_optimiser([(NAMES[0], torch.nn.Parameter(torch.ones(1)))], config(2), updates=9)
    assert not optimiser.defaults["fused"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_steps_in_one_kernel():
    optimiser, _ = make_optimiser([(NAMES[0], torch.nn.Parameter(torch.ones(1, device="cuda")))], config(2), updates=9)
    assert optimiser.defaults["fused"]

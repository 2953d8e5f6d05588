"""What a stage declares to train, and the proof that nothing else changed."""

from __future__ import annotations

import pytest
import torch
from small_stage import config
from torch import nn

from data.errors import UserError
from local.contract import check_frozen, declare, frozen_digest, group_of
from local.nano import build
from local.train import overrides

GROUPS = {1: {"audio_encoder"}, 2: {"audio_adaptor", "ctc_decoder", "ctc"}, 3: {"lora"}}


class Toy(nn.Module):
    """Two groups, a buffer and a half-precision tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.ctc = nn.Linear(2, 3)
        self.llm = nn.Linear(2, 3).half()
        self.register_buffer("seen", torch.zeros(()))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_stage_trains_its_groups_and_counts_them(number, model_dir):
    chosen = config(number)
    model, _ = build(str(model_dir), None, overrides(chosen))
    report = declare(model, chosen.stage.groups)
    assert {group for group, counts in report.items() if counts["trainable"]} == GROUPS[number]
    assert sum(counts["parameters"] for counts in report.values()) == sum(
        p.numel() for p in model.parameters()
    )
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert sum(report[group]["parameters"] for group in GROUPS[number]) == trainable


def test_a_group_that_the_model_lacks_is_an_error(model_dir):
    model, _ = build(str(model_dir), None, {})
    with pytest.raises(UserError, match="trains lora"):
        declare(model, ["lora"])


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("audio_encoder.encoders.0.norm1.weight", "audio_encoder"),
        ("ctc_decoder.linear1.weight", "ctc_decoder"),
        ("ctc.ctc_lo.bias", "ctc"),
        ("llm.model.layers.0.self_attn.q_proj.weight", "llm"),
        ("llm.model.layers.0.self_attn.q_proj.lora_A", "lora"),
    ],
)
def test_a_tensor_belongs_to_its_module_or_to_the_adapters(name, group):
    assert group_of(name) == group


def test_what_is_trained_may_change():
    model = Toy()
    declare(model, ["ctc"])
    before = frozen_digest(model)
    with torch.no_grad():
        model.ctc.weight += 1
    check_frozen(model, before)


@pytest.mark.parametrize("name", ["llm.weight", "llm.bias", "seen"])
def test_a_single_bit_of_what_is_frozen_may_not(name):
    model = Toy()
    declare(model, ["ctc"])
    before = frozen_digest(model)
    tensor = model.state_dict()[name]
    tensor.view(-1).view(torch.uint8)[0] ^= 1
    with pytest.raises(UserError, match=f"1 frozen tensors changed .*{name}"):
        check_frozen(model, before)

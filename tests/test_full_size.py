"""The released architecture at its full size: what each stage trains, counted from first principles, and one pass of each.

The numbers are those of Fun-ASR-Nano-2512 on ModelScope: 868.9 M parameters in 1347 tensors. About 6 GB of memory.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_stage import CONFIGS, TRAINED

from local.batches import Featuriser, Utterances, collate
from local.config import load_stage
from local.contract import declare, group_of
from local.nano import construct
from local.preflight_model import outline
from local.released_architecture import write_folder
from local.train import overrides

FRAME = 7 * 80  # stacked mel bands
WIDE, LLM, VOCABULARY, CTC_VOCABULARY = 512, 1024, 151936, 60515


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def norm(width: int) -> int:
    return 2 * width


def sanm_layer(inputs: int) -> int:
    """Query, key and value at once, their memory of 11 frames, output; feed-forward; two norms."""
    attention = linear(inputs, 3 * WIDE) + 11 * WIDE + linear(WIDE, WIDE)
    return attention + linear(WIDE, 2048) + linear(2048, WIDE) + norm(inputs) + norm(WIDE)


def transformer(inputs: int, width: int, layers: int) -> int:
    """FunASR's adaptor class: two linear layers, then blocks whose feed-forward is a quarter as wide."""
    block = 4 * linear(width, width) + linear(width, width // 4) + linear(width // 4, width) + 2 * norm(width)
    return linear(inputs, 2048) + linear(2048, width) + layers * block


def qwen3(layers: int = 28, heads: int = 16, pairs: int = 8, head: int = 128, inner: int = 3072) -> int:
    """No bias anywhere; RMS norms have a scale only; the output layer is the embedding."""
    attention = 2 * LLM * heads * head + 2 * LLM * pairs * head + 2 * head
    return VOCABULARY * LLM + layers * (attention + 3 * LLM * inner + 2 * LLM) + LLM


def lora(rank: int = 16, layers: int = 28) -> int:
    """On q, k, v and o: rank times what goes in and comes out."""
    return layers * rank * ((LLM + 2048) + (LLM + 1024) + (LLM + 1024) + (2048 + LLM))


# Group: tensors, parameters. SPEC's table and the counts of the checkpoint round to these.
WHOLE = {
    "audio_encoder": (914, sanm_layer(FRAME) + 69 * sanm_layer(WIDE) + 2 * norm(WIDE)),
    "audio_adaptor": (36, transformer(WIDE, LLM, 2)),
    "ctc_decoder": (84, transformer(WIDE, WIDE, 5)),
    "ctc": (2, linear(WIDE, CTC_VOCABULARY)),
    "llm": (310, qwen3()),  # a checkpoint has 311: the embedding once more, as the output layer
}
ADAPTERS = {"lora": (28 * 4 * 2, lora())}
STAGES = {1: {"audio_encoder"}, 2: {"audio_adaptor", "ctc_decoder", "ctc"}, 3: {"lora"}}


def test_first_principles_give_the_published_counts():
    published = {"audio_encoder": 221.1, "audio_adaptor": 12.60, "ctc_decoder": 8.02, "ctc": 31.04, "llm": 596.05}
    for group, (_, parameters) in WHOLE.items():
        assert parameters / 1e6 == pytest.approx(published[group], abs=0.05 if group == "audio_encoder" else 0.005), group
    assert sum(parameters for _, parameters in WHOLE.values()) == 868_857_667
    assert ADAPTERS["lora"][1] == 4_587_520


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("full_size")
    write_folder(path)
    return path


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_stage_trains_its_groups_and_counts_them(number, folder):
    """Without a byte behind the tensors."""
    config = load_stage(CONFIGS[number], [])
    model, _ = outline(str(folder), overrides(config))
    report = declare(model, config.stage.groups)
    wanted = WHOLE | (ADAPTERS if number == 3 else {})
    assert {group: (counts["tensors"], counts["parameters"]) for group, counts in report.items()} == wanted
    trained = {group: counts["trainable"] for group, counts in report.items() if counts["trainable"]}
    assert trained == {group: wanted[group][1] for group in STAGES[number]}
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    if number == 3:
        layers = (f"llm.model.layers.{layer}.self_attn." for layer in range(28))
        assert names == {f"{layer}{kind}_proj.lora_{side}" for layer in layers for kind in "qkvo" for side in "AB"}
    else:
        assert names == {name for name, _ in model.named_parameters() if name.startswith(TRAINED[number])}


@pytest.fixture(scope="module")
def built(folder) -> tuple:
    """Random numbers in all places, which takes most of this file's time, and FunASR's settings; adapters as in stage 3."""
    torch.manual_seed(1)
    model, settings = construct(str(folder), overrides(load_stage(CONFIGS[3], [])))
    for name, parameter in model.named_parameters():
        if name.endswith("lora_B"):  # at zero it would let no gradient through to A
            torch.nn.init.normal_(parameter, std=0.01)
    return model, settings


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_gradients_of_a_stages_losses_reach_what_it_trains_and_nothing_else(number, built, rows):
    model, settings = built
    config = load_stage(CONFIGS[number], [])
    weights = {part: weight for part, weight in (("llm", config.llm_weight), ("ctc", config.ctc_weight)) if weight}
    model.llm_weight, model.ctc_weight, model.detach_ctc_decoder = config.llm_weight, config.ctc_weight, config.detach_ctc_decoder
    declare(model, config.stage.groups)
    featuriser = Featuriser(settings, model)
    model.zero_grad()
    losses = model.train()(**collate([Utterances(rows, featuriser)[index] for index in (0, 1)]))
    sum(weight * losses[part] / losses[f"{part}_count"] for part, weight in weights.items()).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert set(gradients) == {name for name, _ in model.named_parameters() if group_of(name) in STAGES[number]}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    silent = [name for name, gradient in gradients.items() if not gradient.any()]
    assert [name for name in silent if not name.endswith("linear_k.bias")] == []  # softmax takes theirs away, up to rounding

"""The model: both losses against oracles of their own, what is frozen, and which checkpoints are taken."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from small_stage import config

from data.errors import UserError
from local.batches import collate
from local.contract import declare
from local.nano import FunASRNano, FunASRNanoWithCTC, build, construct
from local.train import overrides

BATCH = 5
FROZEN = {
    1: "audio_adaptor ctc_decoder ctc llm",
    2: "audio_encoder llm",
    3: "audio_encoder audio_adaptor ctc_decoder ctc",
}
LOSSES = ("llm", "llm_count", "ctc", "ctc_count")


def staged(number: int, model_dir: Path, *settings: str) -> FunASRNanoWithCTC:
    """A model of its own, declared and in train mode as stage `number` has it."""
    chosen = config(number, *settings)
    torch.manual_seed(0)
    model, _ = build(str(model_dir), None, overrides(chosen))
    declare(model, chosen.stage.groups)
    return model.train()


def test_ctc_loss_is_that_of_torch_on_the_stock_model_one_by_one(ours, stock, examples, rows, model_dir):
    with torch.no_grad():
        losses = ours[0](**collate(examples[:BATCH]))
    vocabulary = json.loads((model_dir / "ctc_tokens.json").read_text(encoding="utf-8"))
    numbers = {token: number for number, token in enumerate(vocabulary)}
    oracle = torch.nn.CTCLoss(blank=len(vocabulary) - 1, reduction="sum")
    expected, characters = 0.0, 0
    for example, row in zip(examples[:BATCH], rows, strict=False):
        length = torch.tensor([len(example["speech"])])
        target = torch.tensor([[numbers[character] for character in row["messages"][2]["content"]]])
        with torch.no_grad():
            hidden, lengths = stock.model.ctc_decoder(
                *stock.model.audio_encoder(example["speech"][None].clone(), length)
            )
            log_probs = torch.log_softmax(stock.model.ctc.ctc_lo(hidden), -1).transpose(0, 1)
            expected += oracle(log_probs, target, lengths, torch.tensor([target.shape[1]])).item()
        characters += target.shape[1]
    assert "ctc" in losses, "the CTC loss is missing"
    assert losses["ctc_count"] == characters
    assert losses["ctc"].item() == pytest.approx(expected, rel=1e-4)


def test_llm_loss_is_the_mean_of_the_stock_forward(ours, stock, examples):
    for example in examples[:BATCH]:
        with torch.no_grad():
            losses = ours[0](**collate([example]))
            mean, _, _ = stock.model(**collate([example]))
        assert losses["llm"].item() / losses["llm_count"].item() == pytest.approx(mean.item(), rel=1e-5)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_llm_gradients_are_those_of_the_stock_forward_to_the_bit(number, model_dir, examples):
    model = staged(number, model_dir)
    model.ctc_weight = 0.0
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("ctc")}
    found = []
    for forward in (model, partial(FunASRNano.forward, model)):
        batch = collate(examples[:BATCH])
        torch.manual_seed(3)  # the same dropout
        losses = forward(**batch)
        mean = losses["llm"] / losses["llm_count"] if isinstance(losses, dict) else losses[0]
        found.append(torch.autograd.grad(mean, trained.values()))
    assert [name for name, ours, stock in zip(trained, *found, strict=True) if not torch.equal(ours, stock)] == []


def test_llm_counts_every_character_and_the_end(ours, examples, rows):
    with torch.no_grad():
        losses = ours[0](**collate(examples[:BATCH]))
    assert losses["llm_count"] == sum(row["text_length"] + 1 for row in rows[:BATCH])


def test_a_batch_loses_what_its_utterances_lose_alone(ours, examples):
    with torch.no_grad():
        together = ours[0](**collate(examples[:BATCH]))
        alone = [ours[0](**collate([example])) for example in examples[:BATCH]]
    for name in LOSSES:
        assert together[name].item() == pytest.approx(
            sum(losses[name].item() for losses in alone), rel=1e-4
        ), name


def test_weight_zero_leaves_a_loss_out(model_dir, examples):
    model, _ = build(str(model_dir), None, {"ctc_weight": 0.0})
    assert set(model.eval()(**collate(examples[:1]))) == {"llm", "llm_count"}
    model.ctc_weight, model.llm_weight = 1.0, 0.0
    assert set(model(**collate(examples[:1]))) == {"ctc", "ctc_count"}


@pytest.mark.parametrize("part", ["llm", "ctc"])
def test_stage_1_gets_gradients_from_either_loss_in_every_encoder_tensor(part, model_dir, examples):
    model = staged(1, model_dir)
    model(**collate(examples[:2]))[part].backward()
    without = [
        name
        for name, p in model.named_parameters()
        if name.startswith("audio_encoder.") and (p.grad is None or not p.grad.any())
    ]
    assert without == []


def test_a_detached_ctc_decoder_sends_no_gradient_back(model_dir, examples):
    model = staged(1, model_dir)
    model.detach_ctc_decoder = True
    assert not model(**collate(examples[:1]))["ctc"].requires_grad


@pytest.mark.parametrize("number", [1, 2, 3])
def test_frozen_modules_stay_in_eval_mode(number, model_dir):
    model = staged(number, model_dir)
    resting = {
        name for name, module in model.named_children() if not any(part.training for part in module.modules())
    }
    assert resting == set(FROZEN[number].split())


def test_a_frozen_encoder_hears_the_same_twice_in_training(model_dir, examples):
    """It has dropout 0.1, which `train()` would switch on."""
    model = staged(2, model_dir)
    assert model.audio_encoder.encoders[0].dropout_rate == 0.1
    batch = collate(examples[:2])
    with torch.no_grad():
        first, second = (model.encode(batch["speech"], batch["speech_lengths"])[0] for _ in range(2))
    assert torch.equal(first, second)


def test_a_trained_encoder_has_its_dropout(model_dir, examples):
    model = staged(1, model_dir)
    batch = collate(examples[:2])
    with torch.no_grad():
        first, second = (model.encode(batch["speech"], batch["speech_lengths"])[0] for _ in range(2))
    assert not torch.equal(first, second)


def test_encoding_leaves_its_input_alone(ours, examples):
    batch = collate(examples[:2])
    before = batch["speech"].clone()
    with torch.no_grad():
        ours[0].encode(batch["speech"], batch["speech_lengths"])
    assert torch.equal(batch["speech"], before)


def test_tensors_have_the_stock_names_and_shapes(ours, stock):
    shapes = [
        {name: tensor.shape for name, tensor in model.state_dict().items()}
        for model in (ours[0], stock.model)
    ]
    assert shapes[0] == shapes[1]


def test_loading_fills_every_tensor(ours, model_dir):
    saved = torch.load(model_dir / "model.pt", weights_only=True)
    for name, tensor in ours[0].state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, saved[name].float()), name


def test_lora_is_fp32_on_the_four_projections_and_starts_as_nothing(model_dir, ours, examples):
    model = staged(3, model_dir).eval()
    adapters = {name: p for name, p in model.named_parameters() if "lora_" in name}
    assert {name.split(".")[-2] for name in adapters} == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert len(adapters) == 2 * 4 * model.llm.config.num_hidden_layers
    assert {p.dtype for p in adapters.values()} == {torch.float32}
    with torch.no_grad():
        fresh, plain = (m(**collate(examples[:2]))["llm"] for m in (model, ours[0]))
    assert fresh.item() == pytest.approx(plain.item(), rel=1e-6)


Spoil = Callable[[dict[str, torch.Tensor], Path], None]


def damaged(state: dict[str, torch.Tensor], path: Path) -> None:
    path.write_bytes(b"no checkpoint")


def truncated(state: dict[str, torch.Tensor], path: Path) -> None:
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(state: dict[str, torch.Tensor], path: Path) -> None:
    path.touch()


def absent(state: dict[str, torch.Tensor], path: Path) -> None:
    path.unlink(missing_ok=True)


def misshapen(state: dict[str, torch.Tensor], path: Path) -> None:
    torch.save(state | {"ctc.ctc_lo.weight": torch.zeros(3, 3)}, path)


def without_ctc(state: dict[str, torch.Tensor], path: Path) -> None:
    torch.save({name: tensor for name, tensor in state.items() if not name.startswith("ctc")}, path)


def without_encoder(state: dict[str, torch.Tensor], path: Path) -> None:
    torch.save({name: tensor for name, tensor in state.items() if not name.startswith("audio_encoder")}, path)


def a_list(state: dict[str, torch.Tensor], path: Path) -> None:
    torch.save(list(state.values())[:2], path)


def a_number_inside(state: dict[str, torch.Tensor], path: Path) -> None:
    torch.save(state | {"ctc.ctc_lo.weight": 3}, path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (damaged, "not a readable checkpoint"),
        (truncated, "not a readable checkpoint"),
        (empty, "not a readable checkpoint"),
        (absent, "not a readable checkpoint"),
        (a_list, "not a readable checkpoint"),
        (misshapen, "ctc.ctc_lo.weight is (3, 3)"),
        (a_number_inside, "ctc.ctc_lo.weight"),
        (without_ctc, "holds no CTC tensors"),
        (without_encoder, "tensors are missing"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_one_line(spoil: Spoil, says: str, model_dir, tmp_path):
    path = tmp_path / "broken.pt"
    spoil(torch.load(model_dir / "model.pt", weights_only=True), path)
    with pytest.raises(UserError) as caught:
        build(str(model_dir), path, {})
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def linked(model_dir: Path, folder: Path, *left_out: str) -> Path:
    """A model folder made of links to another one's files."""
    for item in model_dir.iterdir():
        if item.name not in left_out:
            (folder / item.name).symlink_to(item)
    return folder


def test_another_class_of_model_is_refused(model_dir, tmp_path):
    settings = yaml.safe_load((model_dir / "config.yaml").read_text(encoding="utf-8"))
    folder = linked(model_dir, tmp_path, "config.yaml")
    (folder / "config.yaml").write_text(yaml.safe_dump(settings | {"model": "Paraformer"}), encoding="utf-8")
    with pytest.raises(UserError, match="model: Paraformer"):
        build(str(folder), None, {})


def test_a_folder_without_weights_is_refused(model_dir, tmp_path):
    """FunASR would go on with random ones."""
    with pytest.raises(UserError, match="has no weights"):
        build(str(linked(model_dir, tmp_path, "model.pt")), None, {})


def test_a_constructed_model_is_random(model_dir, ours):
    """The base model's training begins there, also in a folder that holds trained weights."""
    model, _ = construct(str(model_dir), {})
    name = "ctc.ctc_lo.weight"
    assert not torch.equal(model.state_dict()[name], ours[0].state_dict()[name])


@pytest.mark.parametrize(("number", "part"), [(2, "audio_encoder"), (3, "audio_encoder"), (3, "audio_adaptor")])
def test_what_is_frozen_runs_without_a_graph(number, part, model_dir, examples):
    """Nothing in front of it is trained, so nothing of it is kept for a backward pass."""
    model = staged(number, model_dir)
    outputs = []
    getattr(model, part).register_forward_hook(lambda module, inputs, output: outputs.append(output[0]))
    losses = model(**collate(examples[:2]))
    assert len(outputs) == 1 and outputs[0].grad_fn is None and not outputs[0].requires_grad
    assert losses["llm"].requires_grad

"""What a stage writes: whole files, merged adapters, the best epochs, a model that FunASR itself takes."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from pathlib import Path

import pytest
import torch
from funasr import AutoModel
from hypothesis import given
from hypothesis import strategies as st
from released_form import llm_logits
from small_stage import config, tensors
from torch import nn

from data.errors import UserError
from local import checkpoint
from local.batches import collate
from local.contract import declare
from local.nano import FunASRNanoWithCTC, build
from local.train import overrides


@pytest.fixture()
def adapted(model_dir) -> FunASRNanoWithCTC:
    """A model of stage 3 whose adapters say something."""
    chosen = config(3)
    torch.manual_seed(3)
    model, _ = build(str(model_dir), None, overrides(chosen))
    declare(model, chosen.stage.groups)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("lora_B"):
                parameter.normal_(std=0.1)
    return model.eval()


def logits(model, examples) -> torch.Tensor:
    return llm_logits(model, collate(examples[:2]))


def test_merged_adapters_say_what_adapters_beside_say(adapted, ours, model_dir, examples):
    beside = logits(adapted, examples)
    assert not torch.allclose(beside, logits(ours[0], examples), atol=1e-2), (
        "the adapters say nothing: the test would be empty"
    )
    merged, _ = build(str(model_dir), None, {})
    checkpoint.install(merged, checkpoint.changed(adapted))
    torch.testing.assert_close(logits(merged.eval(), examples), beside, rtol=1e-4, atol=1e-4)


def test_installing_silences_adapters(adapted, examples):
    beside = logits(adapted, examples)
    checkpoint.install(adapted, checkpoint.changed(adapted))
    torch.testing.assert_close(logits(adapted, examples), beside, rtol=1e-4, atol=1e-4)


def test_only_the_four_projections_change_by_adapters(adapted):
    names = checkpoint.changed(adapted)
    assert {name.split(".")[-2] for name in names} == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert len(names) == 4 * adapted.llm.config.num_hidden_layers


def test_what_is_handed_on_is_the_merged_model_in_the_stock_class(adapted, model_dir, examples, tmp_path):
    beside = logits(adapted, examples)
    checkpoint.install(adapted, checkpoint.changed(adapted))
    path = checkpoint.hand_on(adapted, tmp_path)
    state = tensors(path)
    assert not [name for name in state if "lora" in name]
    stock = AutoModel(
        model=str(model_dir), init_param=str(path), device="cpu", disable_update=True, ncpu=1
    ).model
    assert set(stock.state_dict()) == set(state)
    for name, tensor in stock.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    alone = llm_logits(stock, collate(examples[:1]))  # in a batch the stock encoder lets padding in
    torch.testing.assert_close(alone, beside[:1, : alone.shape[1]], rtol=1e-3, atol=1e-3)


def test_a_crash_while_saving_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    checkpoint.save(path, {"w": torch.ones(2)})

    def crash(_content, out):
        out.write(b"half")
        raise RuntimeError("power is off")

    monkeypatch.setattr(torch, "save", crash)
    with pytest.raises(RuntimeError):
        checkpoint.save(path, {"w": torch.zeros(2)})
    assert torch.equal(checkpoint.read(path)["w"], torch.ones(2))
    assert [item.name for item in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.parametrize("size", [0, 10, 64, 500, -1])
def test_a_file_that_was_cut_short_is_one_line(size, tmp_path):
    path = tmp_path / "epoch_01.pt"
    checkpoint.save(path, {"w": torch.ones(1000)})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match=r"epoch_01\.pt: is damaged") as caught:
        checkpoint.read(path)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_a_flipped_bit_anywhere_is_noticed(data):
    """torch itself notices none in a tensor."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "epoch_01.pt"
        checkpoint.save(path, {"w": torch.arange(300.0), "update": 7})
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        with pytest.raises(checkpoint.Damaged):
            checkpoint.read(path)


def test_the_checksum_is_a_comment_to_everyone_else(tmp_path):
    path, content = tmp_path / "model.pt", {"w": torch.arange(300.0)}
    checkpoint.save(path, content)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.comment.decode() == hashlib.sha256(path.read_bytes()[:-64]).hexdigest()
    for mapped in (False, True):
        assert torch.equal(torch.load(path, weights_only=True, mmap=mapped)["w"], content["w"])


def test_average_is_the_mean_of_each_tensor():
    states = [{"a": torch.full((2, 2), n), "b": torch.tensor(10 * n).half()} for n in (1.0, 2.0, 6.0)]
    mean = checkpoint.average(states)
    assert torch.equal(mean["a"], torch.full((2, 2), 3.0))
    assert mean["b"] == 30.0
    assert mean["b"].dtype == torch.float32


def epochs_of(folder: Path, keep: int, ranks: list[float]) -> checkpoint.Epochs:
    """A stage after some epochs; the weight of each is its number."""
    epochs, model = checkpoint.Epochs(folder, keep), nn.Linear(1, 1)
    for number, rank in enumerate(ranks):
        with torch.no_grad():
            model.weight.fill_(number)
        epochs.scores.append({"rank": rank})
        epochs.save(model)
        epochs.drop_others()
    return epochs


def test_the_best_epochs_are_kept_and_no_others(tmp_path):
    epochs = epochs_of(tmp_path, 2, [0.0, 9.0, 3.0, 7.0, 3.0, 8.0])  # entry 0 is the start, which is no epoch
    assert epochs.best(3) == [2, 4, 3]
    assert sorted(path.name for path in (tmp_path / "epochs").iterdir()) == ["epoch_02.pt", "epoch_04.pt"]
    assert checkpoint.read(epochs.file(4))["weight"] == 4.0


def test_a_damaged_epoch_is_left_out_and_named(tmp_path):
    epochs = epochs_of(tmp_path, 3, [9.0, 1.0, 2.0, 3.0])
    whole, damaged = epochs.read_best(2)
    assert (list(whole), damaged) == ([1, 2], [])
    content = bytearray(epochs.file(1).read_bytes())
    content[300] ^= 1
    epochs.file(1).write_bytes(content)
    whole, damaged = epochs.read_best(2)
    assert [(epoch, state["weight"].item()) for epoch, state in whole.items()] == [(2, 2.0), (3, 3.0)]
    assert len(damaged) == 1 and "epoch_01.pt" in damaged[0]


def test_no_whole_epoch_is_one_line_with_the_fix(tmp_path):
    epochs = epochs_of(tmp_path, 1, [9.0, 1.0])
    epochs.file(1).write_bytes(b"")
    with pytest.raises(UserError, match=r"epoch_01\.pt: is damaged .* start the stage over: bash run_experiment\.sh clean"):
        epochs.read_best(1)

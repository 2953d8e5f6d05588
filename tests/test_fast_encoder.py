"""The encoder at less memory and at more speed computes what FunASR's own does, with the same tensors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from small_stage import config
from torch import nn

from data.errors import UserError
from local.batches import collate
from local.contract import declare
from local.fast_encoder import layers
from local.nano import FunASRNanoWithCTC, build
from local.train import overrides

ON = "++audio_encoder_conf.activation_checkpoint=true"


def stage_1(model_dir, *settings: str) -> FunASRNanoWithCTC:
    chosen = config(1, *settings)
    model, _ = build(str(model_dir), None, overrides(chosen))
    declare(model, chosen.stage.groups)
    return model.train()


def losses_and_gradients(model: FunASRNanoWithCTC, examples) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Of both losses over one batch with padding, with whatever dropout the model has."""
    torch.manual_seed(5)
    losses = model(**collate(examples))
    (losses["llm"] + losses["ctc"]).backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    return [losses["llm"].item(), losses["ctc"].item()], gradients


def kept_bytes(compute: Callable[[], object]) -> int:
    """What the graph of a forward pass keeps for the backward pass, each storage once."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = compute()  # alive until the sum is taken: no storage's address is used twice
    del result
    return sum(kept.values())


def test_layers_that_are_recomputed_have_the_same_gradients_to_the_bit(model_dir, examples):
    """With dropout: what is drawn anew must be what was drawn before."""
    losses, gradients = losses_and_gradients(stage_1(model_dir), examples[:4])
    same_losses, same_gradients = losses_and_gradients(stage_1(model_dir, ON), examples[:4])
    assert same_losses == losses
    assert all(torch.equal(same_gradients[name], gradient) for name, gradient in gradients.items())
    assert set(same_gradients) == set(gradients)


def test_layers_that_are_recomputed_keep_little(model_dir, examples):
    """Without its option the encoder keeps several activations a layer, with it the input alone."""
    batch = collate(examples[:4])
    plain, sparing = (stage_1(model_dir, *more) for more in ((), (ON,)))
    parameters = sum(p.numel() for p in plain.audio_encoder.parameters()) * 4

    def kept(model: FunASRNanoWithCTC) -> int:
        return kept_bytes(lambda: model.encode(batch["speech"], batch["speech_lengths"]))

    whole, little = kept(plain) - parameters, kept(sparing)
    assert little < whole / 5, (little, whole)


def test_only_an_encoder_that_is_trained_can_be_recomputed():
    with pytest.raises(UserError, match="saves nothing in an encoder that is frozen"):
        config(2, ON)


def fused(model: FunASRNanoWithCTC) -> FunASRNanoWithCTC:
    model.use_fused_kernels()
    return model


def test_fused_kernels_compute_what_stock_ones_do(model_dir, stock, examples):
    """One batch of unlike lengths: the encoder, both losses, all gradients."""
    plain, fast = stage_1(model_dir).eval(), fused(stage_1(model_dir)).eval()
    batch = collate(examples[:6])
    assert len(set(batch["speech_lengths"].tolist())) > 1
    with torch.no_grad():
        expected, lengths = stock.model.audio_encoder(batch["speech"].clone(), batch["speech_lengths"])
        encoded, _ = fast.encode(batch["speech"], batch["speech_lengths"])
    for ours, theirs, length in zip(encoded, expected, lengths.tolist(), strict=True):
        torch.testing.assert_close(ours[:length], theirs[:length], rtol=1e-4, atol=1e-4)
    losses, gradients = losses_and_gradients(plain, examples[:6])
    fast_losses, fast_gradients = losses_and_gradients(fast, examples[:6])
    assert fast_losses == pytest.approx(losses, rel=1e-5)
    for name, gradient in gradients.items():
        assert (fast_gradients[name] - gradient).norm() <= 1e-3 * gradient.norm() + 1e-6, name


def test_fused_attention_drops_as_much_as_stock_attention(model_dir, examples):
    """Dropout 0.5 on the attention alone: other draws of the same mean and spread."""
    encoders = [stage_1(model_dir).audio_encoder, fused(stage_1(model_dir)).audio_encoder]
    x = torch.randn(1, 40, 128, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(1, 1, 40)
    drawn = []
    for encoder in encoders:
        attention = next(iter(encoder.encoders)).self_attn.eval()
        attention.dropout = nn.Dropout(0.5).train()
        attention.training = True
        attention.forward_fsmn = lambda values, mask, *_: 0.0  # its dropout is another, and stays as it is
        torch.manual_seed(2)
        with torch.no_grad():
            drawn.append(torch.stack([attention(x, mask) for _ in range(400)]))
    stock_draws, fused_draws = drawn
    spread = stock_draws.std(0)
    assert ((fused_draws.mean(0) - stock_draws.mean(0)).abs() < 6 * spread / 400**0.5).all()
    assert fused_draws.std(0).mean().item() == pytest.approx(spread.mean().item(), rel=0.05)


def test_without_a_mask_the_llm_takes_the_causal_kernel(model_dir, examples, monkeypatch):
    """Right padding needs no mask: torch's attention is asked for plain causality."""
    asked = []
    attention = nn.functional.scaled_dot_product_attention

    def watched(*arguments, attn_mask=None, is_causal=False, **more):
        asked.append((attn_mask is None, is_causal))
        return attention(*arguments, attn_mask=attn_mask, is_causal=is_causal, **more)

    batch = collate(examples[:4])
    assert not batch["attention_mask"].all()
    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", watched)
    for make, expected in ((stage_1(model_dir), (False, False)), (fused(stage_1(model_dir)), (True, True))):
        asked.clear()
        make(**{name: value for name, value in batch.items()})
        assert set(asked[-make.llm.config.num_hidden_layers :]) == {expected}


def test_the_cpu_keeps_its_arithmetic(ours):
    model, _ = ours
    assert not model.causal_only
    assert not any("forward" in vars(layer) or "forward" in vars(layer.self_attn) for layer in layers(model.audio_encoder))


def test_fast_or_sparing_it_has_the_stock_names(model_dir, ours):
    model = fused(stage_1(model_dir, ON))
    assert list(model.state_dict()) == list(ours[0].state_dict())

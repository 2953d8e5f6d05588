"""The SenseVoice encoder at less memory and at more speed, with the tensors and the names that it has.

Its class keeps every activation, its `activation_checkpoint` breaks on the input that it scales in place, and its
attention is written out: scores, mask, softmax and product, each of them a pass over (batch, heads, frames, frames).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import local.engine  # noqa: F401  before any part of FunASR

# isort: split
import torch
import torch.nn.functional as F
from funasr.models.sense_voice.model import MultiHeadedAttentionSANM
from torch import nn
from torch.utils.checkpoint import checkpoint


def layers(encoder: nn.Module) -> Iterator[nn.Module]:
    """All of them, in order."""
    yield from (*encoder.encoders0, *encoder.encoders, *encoder.tp_encoders)


def recompute_layers(encoder: nn.Module) -> None:
    """Keep of each layer its input alone; the backward pass computes the rest anew, with the dropout that it had."""
    for layer in layers(encoder):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def fuse_attention(encoder: nn.Module) -> None:
    """Attention by torch's fused kernels. Equal up to rounding, which is why the CPU does without: its results must repeat."""
    for layer in layers(encoder):
        layer.self_attn.forward = partial(_fused, layer.self_attn)


def _fused(attention: MultiHeadedAttentionSANM, x: torch.Tensor, mask: torch.Tensor, **_: None) -> torch.Tensor:
    """`x` (batch, frames, dim) and `mask` (batch, 1, frames), 1 for sound → (batch, frames, dim): with its memory block."""
    q, k, v, values = attention.forward_qkv(x)
    memory = attention.forward_fsmn(values, mask)
    dropout = attention.dropout.p if attention.training else 0.0
    heard = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None].bool(), dropout_p=dropout)
    return attention.linear_out(heard.transpose(1, 2).flatten(2)) + memory

"""What a stage declares to train is what it trains: set before the first step, proven after the last."""
from __future__ import annotations

import hashlib

import torch
from torch import nn

from data.errors import UserError
from local.nano import is_adapter


def group_of(name: str) -> str:
    """The parameter group of a tensor: its module's name, or `lora` for an adapter inside the LLM."""
    return "lora" if is_adapter(name) else name.split(".", 1)[0]


def declare(model: nn.Module, groups: list[str]) -> dict[str, dict[str, int]]:
    """Make exactly `groups` trainable. Returns per group its tensors, parameters and trainable parameters.

    Raises UserError when the model lacks a declared group.
    """
    report: dict[str, dict[str, int]] = {}
    for name, parameter in model.named_parameters():
        group = group_of(name)
        parameter.requires_grad_(group in groups)
        counts = report.setdefault(group, {"tensors": 0, "parameters": 0, "trainable": 0})
        counts["tensors"] += 1
        counts["parameters"] += parameter.numel()
        counts["trainable"] += parameter.numel() if parameter.requires_grad else 0
    for group in groups:
        if not report.get(group, {}).get("trainable"):
            raise UserError(f"this stage trains {group}, and the model has no such tensors: check its YAML")
    return report


def frozen_digest(model: nn.Module) -> dict[str, str]:
    """SHA-256 of every tensor that must not change (parameters without gradient, and buffers)."""
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {name: _digest(tensor) for name, tensor in model.state_dict().items() if name not in trainable}


def check_frozen(model: nn.Module, before: dict[str, str]) -> None:
    """Raise UserError unless every frozen tensor is byte for byte what it was."""
    after = frozen_digest(model)
    changed = [name for name in before if after.get(name) != before[name]]
    if changed:
        raise UserError(f"{len(changed)} frozen tensors changed in training (first: {changed[0]}): do not use this checkpoint")


def _digest(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()).hexdigest()

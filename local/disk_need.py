"""What a stage is going to write, counted before it does: the sum is larger than what lies there at any moment."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from local.config import StageConfig
from local.findings import Finding, fact, fault
from local.nano import is_adapter

FP32 = 4  # bytes
STATES = 2  # kept to go on from: the newest, and the one before it
LINE = 1000  # bytes that a line of train.log leaves there, in metrics.jsonl and in TensorBoard's file: 620 to 780 measured
GB = 1e9


@dataclass(frozen=True)
class Need:
    """Bytes of one stage."""

    epochs: int
    states: int
    handed_on: int
    logs: int

    @property
    def total(self) -> int:
        return self.epochs + self.states + self.handed_on + self.logs


def need_of(model: nn.Module, config: StageConfig, updates: int) -> Need:
    """`model` may be without numbers, its trained groups declared (`local.contract`). Files in the making count too."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    adapted = sum(module.weight.numel() for module in model.modules() if hasattr(module, "lora_A"))
    changed = adapted + sum(p.numel() for name, p in model.named_parameters() if p.requires_grad and not is_adapter(name))
    whole = sum(tensor.numel() for name, tensor in model.state_dict().items() if not is_adapter(name))
    return Need(
        epochs=FP32 * changed * (config.train_conf.keep_nbest_models + 1),
        states=FP32 * sum(p.numel() for p in trained) * 3 * (STATES + 1),  # with AdamW's two moments
        handed_on=FP32 * whole,
        logs=LINE * (updates // config.train_conf.log_interval + config.train_conf.max_epoch),
    )


def disk_suffices(needs: Mapping[str, Need], written: Mapping[str, int], folder: Path) -> Iterator[Finding]:
    """What the stages still have to write against what is free where the output folder is, or will be."""
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    left = sum(max(0, need.total - written.get(name, 0)) for name, need in needs.items())
    each = ", ".join(f"{name} {need.total / GB:.2f} GB" for name, need in needs.items())
    figures = f"{each}: {left / GB:.2f} GB to write, {free / GB:.2f} GB are free in {place}"
    yield fault(f"{figures}: free some, or choose OUTPUT_ROOT") if left > free else fact(figures)


def bytes_in(folder: Path) -> int:
    """What a folder holds already."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

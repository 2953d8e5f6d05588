"""What a stage writes: a state to go on from after every epoch, the best epochs' tensors, and what it hands on.

An epoch's file holds only what the stage changes, adapters merged into the weights that they adapt (in fp32): small, and
the right thing to average. Every file appears whole or not at all.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from data.errors import UserError
from data.files import sweep, whole_file
from local.nano import is_adapter

RESUME = "resume.pt"
HANDED_ON = "model.pt"


def save(path: Path, content: Any) -> None:
    """The same content makes the same bytes: through an open file torch does not write the temporary name into it."""
    with whole_file(path) as temporary, temporary.open("wb") as out:
        torch.save(content, out)


def read(path: Path) -> Any:
    """Raises UserError for a file that torch cannot read."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for every way a file can be broken
        raise UserError(f"{path}: is damaged ({type(error).__name__}); delete it, or start the stage over: "
                        "bash run_experiment.sh clean STAGE") from error  # fmt: skip


def changed(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copies of all tensors that the stage changes, on CPU, in the original's names and without adapters."""
    trained = ((name, p) for name, p in model.named_parameters() if p.requires_grad and not is_adapter(name))
    weights = {name: parameter.detach().cpu().clone() for name, parameter in trained}
    merged = {f"{name}.weight": _merged(module).cpu() for name, module in model.named_modules() if hasattr(module, "lora_A")}
    return weights | merged


def _merged(module: nn.Module) -> torch.Tensor:
    """W + α/r · B·A of one LoRA layer, in fp32."""
    return (module.weight + module.scaling * (module.lora_B @ module.lora_A).float()).detach().clone()


def install(model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Put `changed` tensors into the model and silence its adapters."""
    model.load_state_dict(tensors, strict=False)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("lora_B"):
                parameter.zero_()


def average(files: list[Path]) -> dict[str, torch.Tensor]:
    """The mean of each tensor over several epochs' files."""
    states = [read(path) for path in files]
    return {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}


def hand_on(model: nn.Module, folder: Path) -> Path:
    """Write the whole model, in FunASR's names, for the next stage and for `AutoModel`."""
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items() if not is_adapter(name)}
    save(folder / HANDED_ON, state)
    return folder / HANDED_ON


class Epochs:
    """The epochs of one stage: which are done, how they scored, which files are kept."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self.scores: list[dict[str, float]] = []  # entry n: dev score after n epochs; entry 0 is the start

    def tidy(self) -> None:
        """Away with what a killed run had half written. For one process alone: others may be writing by then."""
        for room in (self.folder, self.folder / "epochs"):
            sweep(room)

    def file(self, epoch: int) -> Path:
        return self.folder / "epochs" / f"epoch_{epoch:02d}.pt"

    def best(self, count: int) -> list[int]:
        """Epochs from the best dev CER on."""
        return sorted(range(1, len(self.scores)), key=lambda epoch: (self.scores[epoch]["rank"], epoch))[:count]

    def record(self, model: nn.Module, score: dict[str, float], resume: dict[str, Any]) -> None:
        """After an epoch: its tensors first, then the state to go on from, and only then away with what is not needed."""
        self.scores.append(score)
        if len(self.scores) > 1:
            save(self.file(len(self.scores) - 1), changed(model))
        trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        save(self.folder / RESUME, {"scores": self.scores, "trained": trained} | resume)
        kept = {self.file(epoch) for epoch in self.best(self.keep)}
        for path in (self.folder / "epochs").glob("epoch_*.pt"):
            if path not in kept:
                path.unlink()

    def resume(self, model: nn.Module) -> dict[str, Any] | None:
        """Put an interrupted run's tensors into the model and return its other states; None where there is none."""
        path = self.folder / RESUME
        if not path.exists():
            return None
        state = read(path)
        self.scores = state["scores"]
        model.load_state_dict(state["trained"], strict=False)
        return state

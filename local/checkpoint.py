"""What a stage writes: the best epochs' tensors and what it hands on, each file whole and sealed with its own checksum.

An epoch's file holds only what the stage changes, adapters merged into the weights that they adapt (in fp32): small, and
the right thing to average. torch.load notices no flipped bit in a tensor, hence the seal.
"""
from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import nn

from data.errors import UserError
from data.files import whole_file
from local.experiment import start_over
from local.nano import is_adapter

HANDED_ON = "model.pt"
SEAL = 64  # bytes: SHA-256 in hexadecimal, the comment at the end of the ZIP archive that torch writes


class Damaged(UserError):
    """A file is not what was written. The message names it and what is wrong, not yet what to do about it."""


def save(path: Path, content: Any) -> None:
    """The same content makes the same bytes: through an open file torch does not write the temporary name into it."""
    with whole_file(path) as temporary:
        with temporary.open("wb") as out:
            torch.save(content, out)
        with temporary.open("r+b") as file:
            _seal(file)


def _seal(file: BinaryIO) -> None:
    """Append the SHA-256 of all that comes before it. To everyone else it is the comment of a ZIP archive."""
    file.seek(-2, 2)  # the archive's last field is the length of its comment
    file.write(SEAL.to_bytes(2, "little"))
    file.write(_digest(file, file.tell()))


def _digest(file: BinaryIO, size: int) -> bytes:
    """SHA-256 of the first `size` bytes, in hexadecimal; the file is left there."""
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(min(size - file.tell(), 2**20)):
        digest.update(block)
    return digest.hexdigest().encode()


def _is_sealed(path: Path) -> bool:
    size = path.stat().st_size - SEAL
    with path.open("rb") as file:
        return size > 0 and _digest(file, size) == file.read()


def read(path: Path) -> Any:
    """Raises Damaged for a file that is missing, cut short, or differs from what was written by a single bit."""
    try:
        if not _is_sealed(path):
            raise Damaged(f"{path}: is damaged (it does not match the checksum at its end)")
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise Damaged(f"{path}: cannot be read ({error.strerror})") from error


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


def average(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of each tensor over several epochs."""
    return {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}


def hand_on(model: nn.Module, folder: Path) -> Path:
    """Write the whole model, in FunASR's names, for the next stage and for `AutoModel`."""
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items() if not is_adapter(name)}
    save(folder / HANDED_ON, state)
    return folder / HANDED_ON


class Epochs:
    """The epochs of one stage: which are done, how they scored, which files are kept."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder / "epochs", keep
        self.scores: list[dict[str, float]] = []  # entry n: dev score after n epochs; entry 0 is the start

    def file(self, epoch: int) -> Path:
        return self.folder / f"epoch_{epoch:02d}.pt"

    def best(self, count: int) -> list[int]:
        """Epochs from the best dev CER on."""
        return sorted(range(1, len(self.scores)), key=lambda epoch: (self.scores[epoch]["rank"], epoch))[:count]

    def save(self, model: nn.Module) -> None:
        """The tensors of the epoch that was scored last; the start is no epoch."""
        if len(self.scores) > 1:
            save(self.file(len(self.scores) - 1), changed(model))

    def drop_others(self) -> None:
        """Away with all but the best, once the state that knows of the newest is safe."""
        kept = {self.file(epoch) for epoch in self.best(self.keep)}
        for path in self.folder.glob("epoch_*.pt"):
            if path not in kept:
                path.unlink()

    def read_best(self, count: int) -> tuple[dict[int, dict[str, torch.Tensor]], list[str]]:
        """The tensors of the best epochs whose files are whole, best first, and what is wrong with the others.

        Raises UserError when none is whole.
        """
        whole: dict[int, dict[str, torch.Tensor]] = {}
        damaged: list[str] = []
        for epoch in self.best(self.keep):
            try:
                whole[epoch] = read(self.file(epoch))
            except Damaged as error:
                damaged.append(str(error))
            if len(whole) == count:
                break
        if not whole:
            raise UserError(f"{'; '.join(damaged)}. No epoch is left to hand on: {start_over(self.folder.parent)}")
        return whole, damaged

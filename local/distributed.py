"""The processes of one program: who am I, and sums over all of us. One process needs no process group at all."""
from __future__ import annotations

import datetime
import os
from dataclasses import dataclass

import torch
import torch.distributed as dist

PATIENCE = datetime.timedelta(minutes=30)  # the slowest rank may be writing a checkpoint to a slow disk


@dataclass(frozen=True)
class World:
    """`rank` of `size` processes, this one computing on `device`."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def sums(self, values: list[float]) -> list[float]:
        """The sum over all processes of each number."""
        if self.size == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return tensor.tolist()

    def gather(self, items: list) -> list:
        """The items of all processes, in the order of the ranks, for rank 0; the others get none."""
        if self.size == 1:
            return items
        parts: list | None = [None] * self.size if self.is_main else None
        dist.gather_object(items, parts)
        return [item for part in parts or [] for item in part]

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.size > 1:
            dist.barrier()


def join(device: str) -> World:
    """Join the processes that torchrun started (gloo on CPU, NCCL on GPUs); alone without torchrun."""
    rank, size, local_rank = (int(os.environ.get(name, alone)) for name, alone in
                              (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))  # fmt: skip
    place = torch.device("cuda", local_rank) if device == "cuda" else torch.device("cpu")
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if size > 1:
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=PATIENCE)
    return World(rank, size, place)


def leave(world: World) -> None:
    if world.size > 1:
        dist.destroy_process_group()

"""A set of utterances → texts: shared by the processes, the longest first."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

from tqdm import tqdm

from local.batches import Utterances, loader, plan, to_device
from local.decode import Heard, decode
from local.distributed import World

T = TypeVar("T")


@dataclass(frozen=True)
class Batching:
    """How a set is decoded: tokens and utterances of a batch, and the processes that load it."""

    tokens: int
    utterances: int
    workers: int


# A step of the LLM takes a GPU as long for many texts as for few, and a worker makes features at some hundred times real
# time. The largest batch of the released model there: 8 GB of keys and values, 1 GB of CTC scores.
BATCHING = {"cpu": Batching(8192, 32, 1), "cuda": Batching(32768, 256, 4)}


def hear(
    model, tokenizer, data: Utterances, batching: Batching, world: World, title: str = ""
) -> Iterator[tuple[list[int], dict, list[Heard]]]:
    """This process's part of `data`, batch by batch: the places of its rows, its tensors, and what was heard.

    Where memory does not suffice, it shows at once: the largest batch comes first. With a title there is a progress bar.
    """
    costs = data.costs(data.epoch)
    mine = portion(costs, world.rank, world.size)
    planned = plan([costs[index] for index in mine], batching.tokens, batching.utterances, seed=0, epoch=0)
    batches = [[mine[place] for place in batch] for batch in planned]
    batches.sort(key=lambda batch: -len(batch) * max(costs[index] for index in batch))
    hidden = None if title and world.is_main else True
    for part, batch in zip(batches, tqdm(loader(data, batches, batching.workers), title, disable=hidden), strict=True):
        batch = to_device(batch, world.device)
        yield part, batch, decode(model, tokenizer, batch, batch["sources"])


def in_order(numbered: Iterable[tuple[int, T]], world: World) -> list[T]:
    """What all processes have made, in the order of its numbers; nothing but in process 0."""
    return [item for _, item in sorted(world.gather(list(numbered)), key=itemgetter(0))]


def portion(costs: Sequence[int], rank: int, size: int) -> list[int]:
    """The places of what falls to one of `size` processes: the longest first, each to whom has least so far."""
    loads, mine = [0] * size, []
    for index in sorted(range(len(costs)), key=lambda index: (-costs[index], index)):
        least = loads.index(min(loads))
        loads[least] += costs[index]
        if least == rank:
            mine.append(index)
    return sorted(mine)

"""Every utterance falls to one process, and no process is left with the long ones."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from local.batches import Utterances, tokens_of
from local.distributed import World
from local.hearing import Batching, hear, portion

COSTS = st.lists(st.integers(1, 2000), max_size=40)


@given(COSTS, st.integers(1, 9))
def test_every_utterance_falls_to_exactly_one_process(costs, size):
    mine = [portion(costs, rank, size) for rank in range(size)]
    assert sorted(index for part in mine for index in part) == list(range(len(costs)))


@given(COSTS, st.integers(1, 9))
def test_nobody_has_more_than_one_utterance_over_another(costs, size):
    """Who gets an utterance had least until then."""
    mine = [portion(costs, rank, size) for rank in range(size)]
    loads = [sum(costs[index] for index in part) for part in mine]
    most = loads.index(max(loads))
    if mine[most]:
        assert max(loads) - min(loads) <= min(costs[index] for index in mine[most])


@pytest.fixture(scope="module")
def parts(ours, rows, featuriser):
    """What each of two processes hears of all rows, batch by batch."""
    model, settings = ours
    data = Utterances(rows, featuriser)

    def of(rank: int, size: int):
        world = World(rank, size, torch.device("cpu"))
        return list(hear(model, settings["tokenizer"], data, Batching(200, 4, 0), world))

    return [of(0, 2), of(1, 2)], of(0, 1)


def test_the_largest_batch_comes_first(parts, rows):
    for batches in (*parts[0], parts[1]):
        padded = [len(part) * max(tokens_of(rows[index]) for index in part) for part, _, _ in batches]
        assert padded == sorted(padded, reverse=True) and len(padded) > 1


def test_batches_keep_to_their_bounds(parts, rows):
    for part, batch, heard in parts[1]:
        assert len(part) == len(batch["speech"]) == len(heard) <= 4
        assert len(part) == 1 or len(part) * max(tokens_of(rows[index]) for index in part) <= 200


def test_two_processes_hear_what_one_hears(parts):
    def texts(batches):
        return {index: one for part, _, heard in batches for index, one in zip(part, heard, strict=True)}

    both, alone = parts
    assert texts(both[0]) | texts(both[1]) == texts(alone)
    assert not texts(both[0]).keys() & texts(both[1]).keys()


def test_a_process_may_have_nothing_to_hear(ours, rows, featuriser):
    model, settings = ours
    world = World(1, 2, torch.device("cpu"))
    assert list(hear(model, settings["tokenizer"], Utterances(rows[:1], featuriser), Batching(200, 4, 0), world)) == []

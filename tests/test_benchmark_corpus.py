"""What the benchmarks are fed with: lengths with the stated distribution, batches as of a large corpus, rows that are true."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from data.audio import read_audio
from data.manifest import read_rows, speech_length
from data.online import OnlineChannel, check_simulated
from data.prompt import audio_path, target
from local.benchmark.corpus import (
    CHARACTERS_A_SECOND,
    LONG,
    SHORT,
    Lengths,
    batches_of,
    from_batches,
    mark_online,
    padding,
    said_in,
    write_corpus,
)
from local.config import Dataset

BOTH = pytest.mark.parametrize("lengths", [SHORT, LONG], ids=["short", "long"])


@BOTH
@pytest.mark.parametrize("count", [50, 20000])
def test_lengths_have_the_stated_mean_spread_and_bounds(lengths: Lengths, count: int) -> None:
    seconds = lengths.draw(count)
    assert len(seconds) == count
    assert seconds.min() >= lengths.least and seconds.max() <= lengths.most
    assert seconds.mean() == pytest.approx(lengths.mean, rel=0.02)
    assert np.log(seconds).std() == pytest.approx(lengths.sigma, rel=0.05)


def test_lengths_are_the_same_every_time_and_in_no_order() -> None:
    assert np.array_equal(SHORT.draw(100), SHORT.draw(100))
    assert abs(np.corrcoef(np.arange(1000), SHORT.draw(1000))[0, 1]) < 0.1


@BOTH
def test_batches_are_full_and_alike_in_length_as_in_a_large_corpus(lengths: Lengths) -> None:
    conf = Dataset(batch_size=8192, batch_size_utts=64)
    seconds = from_batches(lengths, 10, conf)
    costs = seconds * (1 / 0.06 + CHARACTERS_A_SECOND)
    assert costs.sum() > 0.6 * 10 * min(8192, 64 * costs.mean())  # ten batches, not ten utterances
    assert seconds.mean() == pytest.approx(lengths.mean, rel=0.2)


def test_rows_say_what_is_in_the_files(tmp_path: Path) -> None:
    rows = write_corpus(tmp_path / "c" / "rows.jsonl", np.array([0.7, 3.25]))
    assert rows == read_rows(tmp_path / "c" / "rows.jsonl")
    for row, seconds in zip(rows, (0.7, 3.25), strict=True):
        sound, rate = read_audio(audio_path(row["messages"]))
        assert (rate, len(sound)) == (16000, round(16000 * seconds))
        assert row["speech_length"] == speech_length(len(sound))
        assert row["text_length"] == len(target(row["messages"])) == round(CHARACTERS_A_SECOND * seconds)
        assert sound.std() > 0.005, "silence costs less than speech in some codecs"


def test_the_same_rows_can_go_over_the_telephone(tmp_path: Path) -> None:
    rows = write_corpus(tmp_path / "rows.jsonl", np.full(9, 1.0))
    marked = mark_online(tmp_path / "online.jsonl", rows)
    check_simulated(marked, True, tmp_path / "online.jsonl")
    channel = OnlineChannel(tmp_path / "online.jsonl", marked)
    first, second = (channel.hear(marked[0]["key"], epoch) for epoch in (1, 2))
    assert len(first) == 16000 and not np.array_equal(first, second)


def test_a_text_is_as_long_as_its_time() -> None:
    assert len(said_in(55.0, random.Random(1))) == round(55 * CHARACTERS_A_SECOND)
    assert said_in(0.01, random.Random(1))


def test_padding_is_the_part_of_a_batch_that_is_nobodys() -> None:
    rows = [{"speech_length": 90, "text_length": 10}, {"speech_length": 40, "text_length": 10}]
    assert padding(rows, [[0, 1]]) == pytest.approx(50 / 200)
    assert padding(rows, [[0], [1]]) == 0


def test_batches_are_those_of_the_training(tmp_path: Path) -> None:
    rows = write_corpus(tmp_path / "rows.jsonl", np.linspace(0.5, 2, 12))
    batches = batches_of(rows, Dataset(batch_size=200, batch_size_utts=3), seed=1, epoch=1)
    assert sorted(index for batch in batches for index in batch) == list(range(12))
    assert max(map(len, batches)) <= 3

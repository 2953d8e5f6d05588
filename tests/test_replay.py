"""What an epoch consists of: every own row, and a share of others that takes turns."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_stage import config, metrics, run, words

from data import online
from data.errors import UserError
from data.manifest import write_rows
from data.online import MARK
from local import replay
from local.batches import Utterances, loader, tokens_of
from local.loop import Loop
from local.replay import TrainingRows
from local.train import main

OWN, OTHERS = st.integers(1, 60), st.integers(1, 60)
SHARES = st.floats(0, 0.9)
SEED = st.integers(0, 5)


def drawn(own: int, others: int, share: float, seed: int, epochs: int) -> list[list[int]]:
    return [replay.replayed(own, others, share, seed, epoch) for epoch in range(1, epochs + 1)]


@given(OWN, OTHERS, SHARES, SEED)
def test_they_are_the_stated_share_of_every_epoch(own, others, share, seed):
    for chosen in drawn(own, others, share, seed, 3):
        assert abs(len(chosen) - share * (own + len(chosen))) <= 0.5
        assert all(0 <= index < others for index in chosen)


@given(OWN, OTHERS, SHARES, SEED)
def test_none_comes_again_until_all_have_come(own, others, share, seed):
    order = [index for chosen in drawn(own, others, share, seed, 6) for index in chosen]
    counts = Counter({index: 0 for index in range(others)})
    for index in order:
        counts[index] += 1
        assert max(counts.values()) - min(counts.values()) <= 1, "one came twice before another came at all"


def test_another_turn_and_another_seed_have_another_order():
    (first, second), (other, _) = drawn(30, 30, 0.5, 1, 2), drawn(30, 30, 0.5, 2, 2)
    assert sorted(first) == sorted(second) == sorted(other) == list(range(30))
    assert len({str(order) for order in (first, second, other)}) == 3


def test_without_a_share_nothing_is_replayed():
    assert drawn(5, 5, 0.0, 1, 1) == [[]]
    assert drawn(5, 0, 0.5, 1, 1) == [[]]


@given(st.lists(st.integers(1, 300), min_size=4, max_size=60), st.integers(1, 3), st.floats(0.1, 0.8), st.integers(1, 4))
def test_batches_hold_every_own_row_once_and_what_is_replayed(costs, own, share, epoch):
    chosen = config(3, f"++dataset_conf.replay_share={share}", "++dataset_conf.batch_size=400")
    batches = replay.plan_epoch(costs, own, chosen, epoch)
    used = Counter(index for batch in batches for index in batch)
    others = Counter(own + index for index in replay.replayed(own, len(costs) - own, share, chosen.seed, epoch))
    assert used == Counter(range(own)) + others
    assert all(len(batch) == 1 or len(batch) * max(costs[index] for index in batch) <= 400 for batch in batches)


def test_the_model_hears_own_and_replayed_rows(rows, featuriser):
    """Told apart by their sound: twelve own rows, and four of the eight others in each of two epochs."""
    own, others = rows[:12], rows[12:]
    chosen = config(3, "++dataset_conf.replay_share=0.25")
    data = Utterances(own + others, featuriser, own=len(own))
    sums = [example["speech"].sum().item() for example in data]
    heard: Counter[int] = Counter()
    for epoch in (1, 2):
        batches = replay.plan_epoch([tokens_of(row) for row in data.rows], data.own, chosen, epoch)
        for batch in loader(data, batches, 0):
            for speech, length in zip(batch["speech"], batch["speech_lengths"], strict=True):
                heard[int(np.argmin(np.abs(np.array(sums) - speech[:length].sum().item())))] += 1
    assert heard == Counter(dict.fromkeys(range(12), 2) | dict.fromkeys(range(12, 20), 1))


class Call:
    """In the place of data.online.OnlineChannel: a second of noise, and which rows went over it."""

    def __init__(self, jsonl: Path, rows: list[dict]) -> None:
        self.keys = [row["key"] for row in rows]

    def hear(self, key: str, variant: int) -> np.ndarray:
        assert key in self.keys
        return np.random.default_rng(variant).integers(-999, 999, 16000).astype(np.int16)


@pytest.mark.parametrize("own_online", [True, False])
def test_only_what_is_clean_goes_over_a_call(own_online, rows, featuriser, tmp_path, monkeypatch):
    """Stages 1 and 2 online replay wideband rows as they are; stage 3 replays the clean rows over calls. Keys may be alike."""
    monkeypatch.setattr(online, "OnlineChannel", Call)
    monkeypatch.setattr(replay, "OnlineChannel", Call)
    clean = [row | {"channel": MARK} for row in rows[:3]]
    own, others = (clean, rows[:3]) if own_online else (rows[:3], clean)
    files = tmp_path / "own.jsonl", tmp_path / "others.jsonl"
    for path, part in zip(files, (own, others), strict=True):
        write_rows(path, part)
    number, way = (1, "online") if own_online else (3, "offline")
    chosen = config(number, "++dataset_conf.replay_share=0.5", f"++dataset_conf.simulate={way}")
    found = replay.read(*files, chosen)
    data = Utterances(found.all, featuriser, replay.channel_of(*files, found), len(found.own))
    lengths = [len(example["speech"]) for example in data]
    as_they_are = [row["speech_length"] for row in rows[:3]]
    assert lengths == ([17] * 3 + as_they_are if own_online else as_they_are + [17] * 3)


def read(tmp_path: Path, own: list[dict], others: list[dict], *settings: str) -> TrainingRows:
    for name, part in (("own", own), ("others", others)):
        write_rows(tmp_path / f"{name}.jsonl", part)
    return replay.read(tmp_path / "own.jsonl", tmp_path / "others.jsonl" if others else None, config(1, *settings))


def test_share_and_rows_go_together(rows, tmp_path):
    with pytest.raises(UserError, match=r"replay_share is 0\.5, and --replay names no rows"):
        read(tmp_path, rows, [], "++dataset_conf.replay_share=0.5")
    with pytest.raises(UserError, match=r"replay_share is 0, and --replay names .*others\.jsonl"):
        read(tmp_path, rows, rows)


def test_two_sets_cannot_both_be_simulated_in_training(rows, tmp_path):
    clean = [row | {"channel": MARK} for row in rows]
    with pytest.raises(UserError, match=r"others\.jsonl: is to be simulated in training, as .*own\.jsonl is"):
        read(tmp_path, clean, clean, "++dataset_conf.replay_share=0.5", "++dataset_conf.simulate=online")


def test_what_is_left_out_of_either_is_listed(rows, tmp_path):
    lengths = sorted(row["speech_length"] for row in rows)
    settings = ("++dataset_conf.replay_share=0.5", f"++dataset_conf.max_source_length={lengths[10]}")
    found = read(tmp_path, rows, rows, *settings)
    assert len(found.own) == len(found.others) < len(rows)
    assert len(found.left_out) == 2 * (len(rows) - len(found.own))
    half = len(found.left_out) // 2
    assert [line.get("replay") for line in found.left_out] == [None] * half + [True] * half
    with pytest.raises(UserError, match=r"others\.jsonl: no utterance is left to replay"):
        read(tmp_path, [row for row in rows if row["speech_length"] <= lengths[0]], [max(rows, key=tokens_of)],
             "++dataset_conf.replay_share=0.5", f"++dataset_conf.max_source_length={lengths[0]}")  # fmt: skip


BRIEF = (
    "++dataset_conf.replay_share=0.4", "++dataset_conf.batch_size_utts=2", "++train_conf.accum_grad=1",
    "++train_conf.max_epoch=2", "++train_conf.avg_nbest_model=1", "++train_conf.save_interval=1",
)  # fmt: skip


def test_interrupted_in_an_epoch_it_replays_the_same_as_undisturbed(model_dir, rows, tmp_path, monkeypatch):
    """Six own rows and, in each of two epochs, four of the others: five updates each."""
    ordered = sorted(rows, key=lambda row: row["speech_length"])
    write_rows(tmp_path / "others.jsonl", ordered[8:15])
    more = ("--replay", str(tmp_path / "others.jsonl"), *BRIEF)
    undisturbed = run(3, model_dir, tmp_path / "undisturbed", ordered[:8], *more)
    log = (tmp_path / "undisturbed/train.log").read_text(encoding="utf-8")
    mean = sum(row["speech_length"] for row in ordered[8:15]) * 0.06 / 3600 / 7
    assert f"replays 4 of 7 other utterances in every epoch, {4 * mean:.2f} h: 40 % of its utterances" in log
    assert len(metrics(tmp_path / "undisturbed", "train")) == 10
    with monkeypatch.context() as patch:
        step = Loop.step

        def guarded(self, batches):
            if self.update == 7:
                raise KeyboardInterrupt
            return step(self, batches)

        patch.setattr(Loop, "step", guarded)
        with pytest.raises(KeyboardInterrupt):
            run(3, model_dir, tmp_path / "resumed", ordered[:8], *more)
    resumed = run(3, model_dir, tmp_path / "resumed", ordered[:8], *more)
    assert all(tensor.equal(undisturbed[name]) for name, tensor in resumed.items())
    assert metrics(tmp_path / "resumed", "train") == metrics(tmp_path / "undisturbed", "train")
    write_rows(tmp_path / "others.jsonl", ordered[9:16])
    (tmp_path / "resumed/model.pt").unlink()
    with pytest.raises(UserError, match="replayed rows was 7 of sha256"):
        main(words(3, model_dir, tmp_path / "resumed", ordered[:8], *more))


def test_left_out_rows_of_both_are_in_the_file(model_dir, rows, tmp_path):
    ordered = sorted(rows, key=lambda row: row["speech_length"])
    write_rows(tmp_path / "others.jsonl", ordered[7:10])
    limit = ordered[8]["speech_length"]
    more = (*BRIEF, "++train_conf.max_epoch=1", f"++dataset_conf.max_source_length={limit}")
    own = [*ordered[:3], ordered[15], *ordered[3:5]]
    run(3, model_dir, tmp_path / "stage", own, "--replay", str(tmp_path / "others.jsonl"), *more)
    listed = [json.loads(line) for line in (tmp_path / "stage/left_out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["key"], line.get("replay")) for line in listed] == [(ordered[15]["key"], None), (ordered[9]["key"], True)]

"""Rows of a training JSONL → padded batches. Every row is used exactly once an epoch; none is replaced or cut in silence."""
from __future__ import annotations

import os
import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import local.engine  # noqa: F401  before any part of FunASR

# isort: split
import numpy as np
import torch
from funasr.models.fun_asr_nano.model import FunASRNano
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from data import prompt, storage
from data.errors import UserError
from data.online import MARK, OnlineChannel
from local.experiment import Experiment
from local.hotwords import Lists, context
from local.specaug import SpecAugment
from local.watchdog import ignore_signals

IGNORED = -100  # label of what the LLM does not have to predict
JITTER = 0.1  # neighbours in length change from epoch to epoch by this share of their length


class Remembering:
    """A tokenizer that works out the words of a prompt once, not for every utterance: a tenth of what a short one costs."""

    def __init__(self, tokenizer) -> None:
        self.encode = lru_cache(maxsize=16)(tokenizer.encode)  # its lists are read, never changed


class Featuriser:
    """One utterance → what the model takes, by the very function that FunASR's inference uses: one prompt for both."""

    def __init__(self, settings: dict, model) -> None:
        """`settings` and `model` are what `local.nano.build` gives; a model may have no CTC branch."""
        self.tokenizer = Remembering(settings["tokenizer"])
        self.frontend = settings["frontend"]
        self.dataset_conf = settings.get("dataset_conf", {})
        self.ctc_tokenizer: Any = getattr(model, "ctc_tokenizer", None)
        self.use_low_frame_rate = model.use_low_frame_rate  # FunASRNano.data_load_speech reads it from its `self`

    def __call__(self, messages: list[dict], waveform: torch.Tensor, hotwords: Sequence[str] = ()) -> dict[str, torch.Tensor]:
        """`waveform` (samples,) float32 in ±1 at 16 kHz → tensors without a batch dimension."""
        target = prompt.target(messages)
        before = context(hotwords) + prompt.prompt_of(messages)
        contents = {
            "system": [messages[0]["content"]],
            "user": [[f"{before}{prompt.SPEECH_START}!{prompt.SPEECH_END}", waveform]],  # `!!`: samples, not a path
            "assistant": [target],
        }
        made = FunASRNano.data_load_speech(
            self, contents, self.tokenizer, self.frontend, meta_data={}, dataset_conf=self.dataset_conf
        )
        return {
            "speech": made["speech"][0],
            "input_ids": made["input_ids"][0],
            "source_ids": made["source_ids"][0],
            "labels_ids": made["labels_ids"],
            "fbank_beg": made["fbank_beg"][0],
            "fake_token_len": made["fake_token_len"][0],
            "ctc_targets": torch.tensor(self.ctc_tokenizer.encode(target) if self.ctc_tokenizer else [], dtype=torch.int64),
        }


class Utterances(Dataset):
    """Rows with their sound; a file that cannot be read becomes an `error`, raised in the training process.

    The channel sends what is marked as clean over another call in every `epoch`. The first `own` rows (all, unless said
    otherwise) are a stage's own, the others are there to be replayed. What `specaug` hides is other in every epoch too, and so
    are the `hotwords` that a row is asked with.
    """

    def __init__(
        self,
        rows: list[dict],
        featuriser: Featuriser,
        channel: OnlineChannel | None = None,
        own: int | None = None,
        specaug: SpecAugment | None = None,
        hotwords: Lists | None = None,
    ) -> None:
        self.rows = rows
        self.featuriser = featuriser
        self.channel = channel
        self.own = len(rows) if own is None else own
        self.specaug = specaug
        self.hotwords = hotwords
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict:
        row = self.rows[index]
        try:
            samples = self._sound(row)
        except UserError as error:
            return {"error": f"utterance {row['key']}: {error}; {_way_on(row)}"}
        example = self.featuriser(row["messages"], torch.from_numpy(samples), self._hotwords(row))
        if self.specaug:
            example["speech"] = self.specaug(example["speech"], len(samples), row["key"], self.epoch)
        return example

    def _hotwords(self, row: dict) -> list[str]:
        return self.hotwords(row, self.epoch) if self.hotwords else []

    def costs(self, epoch: int) -> list[int]:
        """Of every row."""
        return costs_of(self.rows, self.hotwords, epoch)

    def _sound(self, row: dict) -> np.ndarray:
        """(samples,) float32 at 16 kHz."""
        if row.get("channel") == MARK:
            assert self.channel  # replay.channel_of gives one where a row is marked
            return self.channel.hear(row["key"], self.epoch).astype(np.float32) / 32768
        return storage.hear(row)


def _way_on(row: dict) -> str:
    """What to do about a sound that cannot be read: stage 0 makes its own anew."""
    experiment = Experiment(os.environ)
    if Path(prompt.audio_path(row["messages"])).is_relative_to(experiment.folder("0")):
        return f"run stage 0 again: {experiment.command('clean 0')}"
    return "bring the file back, or leave out the row"


def collate(examples: list[dict]) -> dict:
    """Pad on the right: speech (batch, frames, 560), ids and labels (batch, tokens), CTC targets (batch, characters).

    `sources` stays a list of the prompts' ids (tokens,), which decoding pads on the left.
    """
    broken = [example["error"] for example in examples if "error" in example]
    if broken:
        return {"error": broken[0]}

    def padded(name: str, value: int = 0) -> torch.Tensor:
        return pad_sequence([example[name] for example in examples], batch_first=True, padding_value=value)

    def lengths(name: str) -> torch.Tensor:
        return torch.tensor([len(example[name]) for example in examples])

    token_lengths = lengths("input_ids")
    return {
        "speech": padded("speech"),
        "speech_lengths": lengths("speech"),
        "input_ids": padded("input_ids"),
        "attention_mask": (torch.arange(int(token_lengths.max())) < token_lengths[:, None]).int(),
        "labels_ids": padded("labels_ids", IGNORED),
        "fbank_beg": torch.stack([example["fbank_beg"] for example in examples]),
        "fake_token_len": torch.stack([example["fake_token_len"] for example in examples]),
        "ctc_targets": padded("ctc_targets"),
        "ctc_target_lengths": lengths("ctc_targets"),
        "sources": [example["source_ids"] for example in examples],
    }


def ctc_count(batch: dict) -> torch.Tensor:
    """By what the CTC loss of a batch is divided: its characters, where nobody speaks one an utterance, as torch's mean does.

    Blanks are wanted there, and a batch of nothing else would divide their loss by nothing.
    """
    return batch["ctc_target_lengths"].clamp(min=1).sum()


def pieces_of(batch: dict, count: int) -> list[dict]:
    """A collated batch in so many pieces of its utterances, or in fewer where it has fewer."""
    size = len(batch["sources"])
    count = min(count, size)
    if count == 1:
        return [batch]
    edges = [size * number // count for number in range(count + 1)]
    return [_narrowed({name: value[begin:end] for name, value in batch.items()}) for begin, end in pairwise(edges)]


def _narrowed(batch: dict) -> dict:
    """No wider than the longest of it: what the model makes of the lengths must fit."""
    tokens = int(batch["attention_mask"].sum(1).max())
    widths = dict.fromkeys(("input_ids", "attention_mask", "labels_ids"), tokens)
    widths |= {"speech": int(batch["speech_lengths"].max()), "ctc_targets": int(batch["ctc_target_lengths"].max())}
    return batch | {name: batch[name][:, :width] for name, width in widths.items()}


def tokens_of(row: dict) -> int:
    """Cost of an utterance: LFR frames (60 ms) and characters."""
    return row["speech_length"] + row["text_length"]


def costs_of(rows: list[dict], hotwords: Lists | None, epoch: int) -> list[int]:
    """The cost of every row in an epoch. What a list of hotwords adds to its prompt costs as much as a text of that length.

    So memory is bounded, and a row with a long list seldom pads the prompts of others that have none.
    """
    return [tokens_of(row) + (len(context(hotwords(row, epoch))) if hotwords else 0) for row in rows]


def plan(costs: Sequence[int], budget: int, most: int, seed: int, epoch: int) -> list[list[int]]:
    """Batches of indices, each index once: alike in length, at most `most` utterances and `budget` tokens with padding.

    The order depends on (seed, epoch) alone, at any number of processes. An utterance over the budget is a batch by itself.
    """
    rng = random.Random(f"{seed}/{epoch}")
    order = sorted(range(len(costs)), key=lambda index: (costs[index] * rng.uniform(1 - JITTER, 1 + JITTER), index))
    batches: list[list[int]] = []
    longest = 0
    for index in order:
        longest = max(longest, costs[index])
        if not batches or len(batches[-1]) == most or longest * (len(batches[-1]) + 1) > budget:
            batches.append([])
            longest = costs[index]
        batches[-1].append(index)
    rng.shuffle(batches)
    return batches


def shares(batches: list[list[int]], rank: int, size: int) -> list[tuple[list[int], bool]]:
    """This process's part of every batch, and whether it counts.

    A batch with fewer utterances than processes lends its first one to the rest, which must take part in the step
    but add nothing to it.
    """
    return [(batch[rank::size] or batch[:1], rank < len(batch)) for batch in batches]


def loader(data: Utterances, batches: list[list[int]], workers: int) -> DataLoader:
    """Collated batches in the order of `batches`; where a GPU is in use, in memory that it can fetch from by itself."""
    return DataLoader(
        data, batch_sampler=batches, collate_fn=collate, num_workers=workers, worker_init_fn=ignore_signals,
        pin_memory=torch.cuda.is_initialized(),
    )  # fmt: skip


def to_device(batch: dict, device: torch.device) -> dict:
    """Tensors of a batch on `device`. Raises UserError when an utterance of it could not be read."""
    if "error" in batch:
        raise UserError(batch["error"])
    moved = {name: value.to(device, non_blocking=True) for name, value in batch.items() if name != "sources"}
    return moved | {"sources": [ids.to(device) for ids in batch["sources"]]}

"""A few real steps of a stage on a throwaway model, in a temporary folder: memory, speed, and whether it learns and saves."""

from __future__ import annotations

import dataclasses
import gc
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from local import checkpoint, distributed, engine, nano, train
from local.batches import Utterances, collate, to_device
from local.config import load_stage
from local.dev_score import choose, score_dev
from local.loop import Loop
from local.replay import plan_epoch
from local.tally import SECONDS_A_FRAME, memory
from local.watchdog import naming_the_batch

STEPS = 20  # of the smoke run
UTTERANCES = 8  # of its one batch
TIMED = 3  # batches, spread evenly from the shortest to the longest
DECODED = 16  # dev utterances


@dataclass(frozen=True)
class Pace:
    """Peak memory in GB; hours of audio an hour, of one process that never waits for its data; seconds until it is at work."""

    memory: float
    training: float
    decoding: float
    start: float


class Trial:
    """One stage, ready to step. Use as a context manager: nothing of it stays.

    `words` are arguments of local/train.py but for --output_dir.
    """

    def __init__(self, words: list[str]) -> None:
        began = time.monotonic()
        self._folder = tempfile.TemporaryDirectory(prefix="preflight_")
        arguments, settings = train.parse([*words, "--output_dir", self._folder.name])
        self.model_dir, self.folder = arguments.model_dir, Path(self._folder.name)
        self.config = load_stage(arguments.config, settings)
        self.world = distributed.join(arguments.device)
        self.stage = train.Stage(self.config, arguments, self.world)
        self.data = self.stage.train_data
        self.loop = Loop(self.stage.model, self.data, self.config, self.world, None)
        self.data.epoch = 1
        self.costs = self.data.costs(1)
        self.batches = plan_epoch(self.costs, self.data.own, self.config, epoch=1)
        self.start = engine.SECONDS + time.monotonic() - began

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
        del self.stage, self.loop, self.data  # a GPU's memory is wanted back at once
        gc.collect()
        torch.cuda.empty_cache()

    def pace(self) -> Pace:
        """The largest batch first: what fails, fails there. Raises UserError where it does not fit."""
        return Pace(self._peak_memory(), self._training_speed(), self._decoding_speed(), self.start)

    def _collated(self, batch: list[int]) -> dict:
        return to_device(collate([self.data[index] for index in batch]), self.world.device)

    def _cost(self, batch: list[int]) -> int:
        """Tokens with padding."""
        return max(self.costs[index] for index in batch) * len(batch)

    def _peak_memory(self) -> float:
        """Of one update over the largest batch."""
        largest = max(self.batches, key=self._cost)
        if self.world.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self.stage.model.train()
        keys, budget = [self.data.rows[index]["key"] for index in largest], self.config.dataset_conf.batch_size
        with naming_the_batch(1, keys, self._cost(largest), budget):
            self.loop.step([(self._collated(largest), True)])
        return memory()

    def _training_speed(self) -> float:
        ordered = sorted(self.batches, key=self._cost)
        timed = [ordered[len(ordered) * (2 * number + 1) // (2 * TIMED)] for number in range(TIMED)]
        self.stage.model.train()
        seconds = 0.0
        for batch in timed:
            tensors = self._collated(batch)
            began = self._now()
            self.loop.step([(tensors, True)])
            seconds += self._now() - began
        return self._audio(timed) / seconds

    def _decoding_speed(self) -> float:
        """Of both decoders, on dev."""
        rows = choose(self.stage.dev_data.rows, DECODED)
        data = Utterances(rows, self.stage.dev_data.featuriser)
        began = self._now()
        score_dev(self.stage.model, self.stage.tokenizer, data, self.config, self.world)
        return sum(row["speech_length"] for row in rows) * SECONDS_A_FRAME / (self._now() - began)

    def _now(self) -> float:
        if self.world.device.type == "cuda":
            torch.cuda.synchronize()
        return time.monotonic()

    def _audio(self, batches: list[list[int]]) -> float:
        """Seconds of sound."""
        return sum(self.data.rows[index]["speech_length"] for batch in batches for index in batch) * SECONDS_A_FRAME

    def smoke(self) -> tuple[float, float]:
        """Loss before and after a run of steps over one batch: with the stage's rate, warmed up and down again."""
        batch = self.batches[0][:UTTERANCES]
        rows = [self.data.rows[index] for index in batch]
        short = dataclasses.replace(self.config.train_conf, max_epoch=STEPS, accum_grad=1)
        config = dataclasses.replace(self.config, train_conf=short)
        sample = Utterances(rows, self.data.featuriser, self.data.channel)
        loop = Loop(self.stage.model, sample, config, self.world, None)
        tensors = self._collated(batch)
        before = self._loss(tensors)
        for _ in range(STEPS):
            self.stage.model.train()
            loop.step([(dict(tensors), True)])
        return before, self._loss(tensors)

    @torch.inference_mode()
    def _loss(self, batch: dict) -> float:
        """The stage's weighted loss per token, in eval mode and fp32: nothing random is in it."""
        model, precision = self.stage.model.eval(), self.stage.model.llm_dtype
        model.llm_dtype = "fp32"
        losses = model(**batch)
        model.llm_dtype = precision
        weights = {"llm": self.config.llm_weight, "ctc": self.config.ctc_weight}
        return sum(weight * float(losses[part] / losses[f"{part}_count"]) for part, weight in weights.items() if weight)

    def save_loads(self) -> bool:
        """Hand the model on, open it as the next stage does: every tensor must be what it was. Raises UserError."""
        model = self.stage.model
        checkpoint.install(model, checkpoint.changed(model))
        opened, _ = nano.build(self.model_dir, checkpoint.hand_on(model, self.folder), {})
        before = model.state_dict()
        return all(torch.equal(tensor, before[name].cpu()) for name, tensor in opened.state_dict().items())

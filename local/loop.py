"""One epoch of training: batches in, updates out, a line every interval."""
from __future__ import annotations

import contextlib
import resource
import sys
import time

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from data.errors import UserError
from local.batches import IGNORED, Utterances, loader, plan, shares, to_device, tokens_of
from local.config import StageConfig
from local.distributed import World
from local.metrics_log import MetricsLog, clock, describe
from local.optim import make_optimiser

SECONDS_A_FRAME = 0.06


class Loop:
    """Model, optimiser and schedule of one stage, an epoch at a time."""

    def __init__(self, model: nn.Module, data: Utterances, config: StageConfig, world: World, log: MetricsLog | None) -> None:
        if not data.rows:
            raise UserError("no utterance is left to train on: left_out.jsonl and stage 0's rejected/ say why")
        self.model, self.data, self.config, self.world, self.log = model, data, config, world, log
        self.costs = [tokens_of(row) for row in data.rows]
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.updates = sum(len(self._groups(epoch)) for epoch in range(1, config.train_conf.max_epoch + 1))
        self.optimiser, self.schedule = make_optimiser(self.trained, config, self.updates)
        self.parallel = DistributedDataParallel(model) if world.size > 1 else model
        self.update = 0
        self.weights = {"llm": config.llm_weight, "ctc": config.ctc_weight}

    def _groups(self, epoch: int) -> list[list[list[int]]]:
        """The epoch's batches, `accum_grad` of them an update; the last update takes what is left."""
        conf = self.config.dataset_conf
        batches = plan(self.costs, conf.batch_size, conf.batch_size_utts, self.config.seed, epoch)
        size = self.config.train_conf.accum_grad
        return [batches[begin : begin + size] for begin in range(0, len(batches), size)]

    def run(self, epoch: int) -> None:
        """All updates of one epoch."""
        groups = self._groups(epoch)
        self.data.epoch = epoch
        parts = shares([batch for group in groups for batch in group], self.world.rank, self.world.size)
        batches = iter(loader(self.data, [part for part, _ in parts], self.config.dataset_conf.num_workers))
        counted = iter(parts)
        tally = Tally()
        for number, group in enumerate(tqdm(groups, f"epoch {epoch}", disable=not (self.log and sys.stderr.isatty())), 1):
            taken = [(to_device(next(batches), self.world.device), next(counted)[1]) for _ in group]
            frames = sum(self.data.rows[index]["speech_length"] for batch in group for index in batch)
            tally.add(self.step(taken), frames)
            if number % self.config.train_conf.log_interval == 0 or number == len(groups):
                self._tell(epoch, number, len(groups), tally)
                tally = Tally()

    def step(self, batches: list[tuple[dict, bool]]) -> dict[str, float]:
        """One update over several batches; each loss is divided by its token count over all batches and processes."""
        counts = self._counts(batches)
        sums = dict.fromkeys(counts, 0.0)
        for number, (batch, counted) in enumerate(batches, 1):
            with self._exchange(gradients=number == len(batches)), self._precision():
                losses = self.parallel(**batch)
                total = sum(self.weights[part] * losses[part] / counts[part] for part in counts)
                # DistributedDataParallel averages gradients over processes, and their sum is wanted
                (total * self.world.size * counted).backward()
            sums = {part: sums[part] + losses[part].item() * counted for part in sums}
        norm = nn.utils.clip_grad_norm_(self.trained, self.config.train_conf.grad_clip)
        if not torch.isfinite(norm):
            raise UserError(f"the loss became {norm.item()} at update {self.update + 1}: lower optim_conf.lr, or look for bad "
                            "utterances with data/prepare_training_data.py validate --check_audio")  # fmt: skip
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.update += 1
        means = self.world.sums(list(sums.values()))
        return {part: mean / counts[part] for part, mean in zip(sums, means, strict=True)}

    def _counts(self, batches: list[tuple[dict, bool]]) -> dict[str, float]:
        """Target tokens of each weighted loss in one update: what the LLM and what the CTC branch has to say."""
        here = {
            "llm": sum(int((batch["labels_ids"][:, 1:] != IGNORED).sum()) * counted for batch, counted in batches),
            "ctc": sum(int(batch["ctc_target_lengths"].sum()) * counted for batch, counted in batches),
        }
        everywhere = dict(zip(here, self.world.sums(list(map(float, here.values()))), strict=True))
        return {part: max(everywhere[part], 1) for part, weight in self.weights.items() if weight}  # 0: nobody speaks

    def _exchange(self, gradients: bool) -> contextlib.AbstractContextManager:
        """Processes exchange gradients once an update, with its last batch."""
        return contextlib.nullcontext() if gradients or self.world.size == 1 else self.parallel.no_sync()

    def _precision(self) -> contextlib.AbstractContextManager:
        """bf16 arithmetic over fp32 weights on a GPU that has it."""
        return torch.autocast("cuda", torch.bfloat16, enabled=self.model.llm_dtype == "bf16")

    def _tell(self, epoch: int, number: int, groups: int, tally: Tally) -> None:
        if not self.log:
            return
        losses = tally.means()
        losses["total"] = sum(self.weights[part] * value for part, value in losses.items())
        left = (self.updates - self.update) * tally.seconds() / tally.steps
        rate = self.schedule.get_last_lr()[0]
        speed = tally.hours() / (tally.seconds() / 3600)
        self.log.say(
            f"epoch {epoch}/{self.config.train_conf.max_epoch} step {number}/{groups} {describe(losses)} lr {rate:.2e} "
            f"speed {speed:.0f} audio h/h memory {memory():.1f} GB left {clock(left)}"
        )
        self.log.numbers("train", epoch, self.update, losses | {"lr": rate, "audio_hours_per_hour": speed, "memory_gb": memory()})

    def state(self) -> dict:
        """All that a resumed run needs beside the weights."""
        return {"optimiser": self.optimiser.state_dict(), "schedule": self.schedule.state_dict(), "update": self.update}

    def load(self, state: dict) -> None:
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.update = state["update"]


class Tally:
    """Losses, audio and time since the last line of the log."""

    def __init__(self) -> None:
        self.began, self.steps, self.frames = time.monotonic(), 0, 0
        self.sums: dict[str, float] = {}

    def add(self, losses: dict[str, float], frames: int) -> None:
        self.steps += 1
        self.frames += frames
        self.sums = {part: self.sums.get(part, 0.0) + value for part, value in losses.items()}

    def means(self) -> dict[str, float]:
        return {part: value / self.steps for part, value in self.sums.items()}

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def hours(self) -> float:
        return self.frames * SECONDS_A_FRAME / 3600


def memory() -> float:
    """Peak memory in GB: of the GPU where there is one in use, else of this process."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6

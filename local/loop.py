"""One epoch of training: batches in, updates out, a line every interval, a state to go on from now and then."""
from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from data.errors import UserError
from local.batches import IGNORED, Utterances, ctc_count, loader, pieces_of, shares, to_device
from local.config import StageConfig
from local.distributed import World
from local.figures import clock
from local.metrics_log import MetricsLog, describe
from local.optim import make_optimiser
from local.replay import plan_epoch
from local.resume import State, draw_on, generators, processes, seed_dropout
from local.tally import SECONDS_A_FRAME, Tally, memory
from local.watchdog import BadUpdates, StallWatch, Stopped, StopSignal, memory_is_full, named, naming_the_batch

Share = list[tuple[list[int], bool]]  # this process's part of an update: the rows of each batch, and whether they count


class Loop:
    """Model, optimiser and schedule of one stage, an epoch at a time. Stalls are told in `story`, beside the terminal."""

    def __init__(
        self,
        model: nn.Module,
        data: Utterances,
        config: StageConfig,
        world: World,
        log: MetricsLog | None,
        story: Path | None = None,
    ) -> None:
        if not data.own:
            raise UserError("no utterance is left to train on: left_out.jsonl and stage 0's rejected/ say why")
        self.model, self.data, self.config, self.world, self.log = model, data, config, world, log
        trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self.trained = list(trained.values())
        self.updates = sum(len(self._groups(data.costs(epoch), epoch)) for epoch in range(1, config.train_conf.max_epoch + 1))
        self.optimiser, self.schedule = make_optimiser(trained.items(), config, self.updates)
        self.parallel = DistributedDataParallel(model) if world.size > 1 else model
        self.weights = {"llm": config.llm_weight, "ctc": config.ctc_weight}
        self.update = 0
        self.epoch, self.done = 0, 0  # the epoch in hand, and its updates that are done
        self.costs: list[int] = []  # of the rows in that epoch
        self.drawn: list[dict[str, torch.Tensor]] = []  # what dropout's generators were when that epoch was left
        self.tally = Tally()
        self.bad = BadUpdates(config.train_conf.max_bad_updates)
        self.stall = StallWatch(story, config.train_conf.stall_minutes, world)
        self.stop, self.stopping = StopSignal(), False
        self.pieces = 1  # that a batch is cut into: more once memory was full, where that is allowed

    def _groups(self, costs: list[int], epoch: int) -> list[list[list[int]]]:
        """The epoch's batches, `accum_grad` of them an update; the last update takes what is left."""
        batches = plan_epoch(costs, self.data.own, self.config, epoch)
        size = self.config.train_conf.accum_grad
        return [batches[begin : begin + size] for begin in range(0, len(batches), size)]

    def run(self, epoch: int, save: Callable[[], None]) -> None:
        """All updates of one epoch that are not done yet; `save` is called every so often, and at the end.

        Raises Stopped, after a save, when a signal came.
        """
        if epoch != self.epoch:
            self.epoch, self.done, self.drawn, self.tally = epoch, 0, [], Tally()
        self.costs = self.data.costs(epoch)
        groups = self._groups(self.costs, epoch)
        todo = groups[self.done :]
        mine = [shares(group, self.world.rank, self.world.size) for group in todo]
        batches = self._batches(mine)
        bar = tqdm(todo, f"epoch {epoch}", len(groups), initial=self.done, disable=not (self.log and sys.stderr.isatty()))
        with self.stall:
            for group, share in zip(bar, mine, strict=True):
                losses = self._next_update(batches, share)
                self.done += 1
                self._count(group, losses)
                if self.done % self.config.train_conf.log_interval == 0 or self.done == len(groups):
                    self._tell(len(groups))
                    self.tally = Tally()
                self._save_or_stop(save, over=self.done == len(groups))

    def _batches(self, mine: list[Share]) -> Iterator[dict]:
        """The loader's batches of the updates to come; dropout goes on where it was."""
        self.data.epoch = self.epoch
        source = loader(self.data, [part for share in mine for part, _ in share], self.config.dataset_conf.num_workers)
        seed_dropout(self.config.seed, self.epoch, self.world.rank, self.done)
        batches = iter(source)  # draws a number itself
        if self.drawn:
            draw_on(self.drawn, self.world)
        return batches

    def _next_update(self, batches: Iterator[dict], share: Share) -> dict[str, float]:
        """Wait for the data of one update and make it, with both watched."""
        keys = self._keys([part for part, _ in share])
        tokens = max(len(part) * max(self.costs[index] for index in part) for part, _ in share)
        with naming_the_batch(self.update + 1, keys, tokens, self.config.dataset_conf.batch_size):
            began = time.monotonic()
            with self.stall.doing(f"waiting for the data of {named(keys)}"):
                taken = [(to_device(next(batches), self.world.device), counted) for _, counted in share]
            self.tally.waited += time.monotonic() - began
            others = ", or waiting for the gradients of the other processes" if self.world.size > 1 else ""
            with self.stall.doing(f"computing on {named(keys)}{others}"):
                losses = self._step_that_fits(taken)
        self.stall.beat()
        return losses

    def _step_that_fits(self, batches: list[tuple[dict, bool]]) -> dict[str, float]:
        """One update; where memory is full and that is allowed, in smaller pieces, this one and all to come.

        The update is the same but for rounding: its losses are divided by counts over all of it. Several processes cannot:
        some may have handed their gradients over already.
        """
        while True:
            cut = [(piece, counted) for batch, counted in batches for piece in pieces_of(batch, self.pieces)]
            try:
                return self.step(cut)
            except (RuntimeError, MemoryError) as error:
                smallest = all(len(piece["sources"]) == 1 for piece, _ in cut)
                allowed = self.config.train_conf.halve_when_full and self.world.size == 1 and not smallest
                if not (allowed and memory_is_full(error)):
                    raise
            self._halve()

    def _halve(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        if self.world.device.type == "cuda":
            torch.cuda.empty_cache()
        self.pieces *= 2
        if self.log:
            self.log.say(f"memory was full at update {self.update + 1}: from here on each batch goes in {self.pieces} pieces "
                         "(train_conf.halve_when_full); a lower dataset_conf.batch_size would be faster")  # fmt: skip

    def _keys(self, batches: list[list[int]]) -> list[str]:
        return [self.data.rows[index]["key"] for batch in batches for index in batch]

    def step(self, batches: list[tuple[dict, bool]]) -> dict[str, float]:
        """One update over several batches; each loss is divided by its token count over all batches and processes.

        An update that is no number in any process is skipped in all of them.
        """
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
        *totals, infinite, asked = self._sums([*sums.values(), not torch.isfinite(norm), bool(self.stop.name)])
        means = {part: total / counts[part] for part, total in zip(sums, totals, strict=True)}
        if self.bad.judge(means, finite_gradient=not infinite):
            self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.update += 1
        self.stopping = bool(asked)
        return means

    def _counts(self, batches: list[tuple[dict, bool]]) -> dict[str, float]:
        """Target tokens of each weighted loss in one update: what the LLM and what the CTC branch has to say."""
        here = {
            "llm": sum(int((batch["labels_ids"][:, 1:] != IGNORED).sum()) * counted for batch, counted in batches),
            "ctc": sum(int(ctc_count(batch)) * counted for batch, counted in batches),
        }
        everywhere = dict(zip(here, self._sums(list(here.values())), strict=True))
        return {part: everywhere[part] for part, weight in self.weights.items() if weight}

    def _sums(self, values: list[float]) -> list[float]:
        """Over all processes."""
        with self.stall.doing("waiting for the other processes"):
            return self.world.sums(list(map(float, values)))

    def _exchange(self, gradients: bool) -> contextlib.AbstractContextManager:
        """Processes exchange gradients once an update, with its last batch."""
        return contextlib.nullcontext() if gradients or self.world.size == 1 else self.parallel.no_sync()

    def _precision(self) -> contextlib.AbstractContextManager:
        """bf16 arithmetic over fp32 weights where the model asks for it: on a GPU that has it."""
        return torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.model.llm_dtype == "bf16")

    def _count(self, group: list[list[int]], losses: dict[str, float]) -> None:
        """Add an update to what the next line will tell. Raises UserError after too many bad ones."""
        sound = self.bad.in_a_row == 0
        frames = sum(self.data.rows[index]["speech_length"] for batch in group for index in batch)
        self.tally.add(losses, frames * SECONDS_A_FRAME, sound)
        if not sound:
            if self.log:
                self.log.skipped(self.update, self._keys(group), losses)
            self.bad.check(self.update, losses)

    def _tell(self, groups: int) -> None:
        if not self.log:
            return
        tally, update = self.tally, self.update
        losses = tally.means([part for part, weight in self.weights.items() if weight])
        losses["total"] = sum(self.weights[part] * value for part, value in losses.items())
        figures = {
            "lr": self.schedule.get_last_lr()[0],
            "skipped": tally.skipped,
            "audio_hours_per_hour": tally.audio / tally.seconds(),
            "data_wait": tally.waited / tally.seconds(),
            "memory_gb": memory(),
            "seconds": tally.seconds(),
        }
        skipped = f" skipped {tally.skipped}" if tally.skipped else ""
        left = (self.updates - update) * tally.seconds() / tally.steps
        self.log.say(
            f"epoch {self.epoch}/{self.config.train_conf.max_epoch} step {self.done}/{groups} {describe(losses)}{skipped} "
            f"lr {figures['lr']:.2e} speed {figures['audio_hours_per_hour']:.0f} audio h/h "
            f"wait {100 * figures['data_wait']:.0f} % memory {figures['memory_gb']:.1f} GB left {clock(left)}"
        )
        self.log.numbers("train", self.epoch, update, losses | figures | {"updates": self.updates, "seconds_left": left})

    def _save_or_stop(self, save: Callable[[], None], over: bool) -> None:
        interval = self.config.train_conf.save_interval
        if over or self.stopping or (interval and self.update % interval == 0):
            with self.stall.doing("saving the state to go on from"):
                save()
            self.stall.beat()
        if self.stopping:
            self.world.wait()  # the first process that ends takes the others with it
            if self.log:
                asked = self.stop.name or "a signal to another process"
                self.log.say(f"{asked} came: saved after update {self.update}, the same command goes on from there")
                self.log.close()
            raise Stopped

    def state(self) -> State:
        """All that a resumed run needs beside the weights. Every process must take part."""
        return {
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "update": self.update,
            "epoch": self.epoch,
            "done": self.done,
            "skipped in a row": self.bad.in_a_row,
            "pieces": self.pieces,
            "tally": self.tally.state(),
            "generators": generators(self.world),
            "processes": processes(self.world),
        }

    def load(self, state: State) -> None:
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.update, self.epoch, self.done = state["update"], state["epoch"], state["done"]
        self.bad.in_a_row, self.pieces = state["skipped in a row"], state["pieces"]
        self.tally = Tally.resumed(state["tally"])
        self.drawn = state["generators"] if state["processes"] == processes(self.world) else []

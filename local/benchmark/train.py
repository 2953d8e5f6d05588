"""What `benchmark.py train` times: the stages' own loop over files on disk, and FunASR's trainer over the same batches.

Both start from the same random weights and take turns, epoch by epoch; the best epoch of each counts. The first one is not
timed: in it the memory is measured, and the operations are counted, those on padding too.
"""

from __future__ import annotations

import gc
import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from data.prompt import target
from local.benchmark import agreement as of_agreement
from local.benchmark.agreement import run_all
from local.benchmark.corpus import LONG, SHORT, batches_of, duration, from_batches, padding, write_corpus
from local.benchmark.lap import WARM_UP, Lap
from local.benchmark.ours import OurTraining, build_stage, config_of, settings_of
from local.benchmark.peak import TERA, Peak, peak_of
from local.benchmark.stock import StockTraining, build_stock
from local.benchmark.tables import Columns, Outcome, Record
from local.config import StageConfig

LENGTHS = {"short": SHORT, "long": LONG}
Found = TypeVar("Found")
AGREEMENT = {"cpu": 0, "cuda": 200}  # updates in bf16 and in fp32
END = "<|im_end|>"  # a target token too
COLUMNS: Columns = {
    "audio h/h": ("audio_hours_an_hour", "{:,.0f}".format),
    "target tokens/s": ("tokens_a_second", "{:,.0f}".format),
    "CPU-s an audio hour": ("cpu_seconds_an_hour", "{:,.0f}".format),
    "memory GB": ("memory_gb", "{:.1f}".format),
    "data wait %": ("wait_percent", "{:.1f}".format),
    "TFLOP/s": ("tflops", "{:.3g}".format),
    "of the peak %": ("peak_percent", "{:.1f}".format),
    "speed : ours": ("speed_to_ours", "{:.3g}".format),
}


class Contestant(Protocol):
    """Somebody who trains, an epoch at a time."""

    name: str
    model: torch.nn.Module

    def epoch(self, number: int) -> Lap: ...


@dataclass(frozen=True)
class Corpus:
    """Rows on disk, enough for an epoch of a stage."""

    name: str
    rows: list[dict]
    path: Path
    config: StageConfig

    def batches(self, epoch: int) -> list[list[int]]:
        """Of an epoch, rows by number."""
        return batches_of(self.rows, self.config.dataset_conf, self.config.seed, epoch)

    def audio(self, batches: list[list[int]]) -> float:
        """Seconds."""
        return duration([self.rows[index] for batch in batches for index in batch])

    def tokens(self, tokenizer: Any) -> list[int]:
        """Target tokens of every row."""
        return [len(tokenizer.encode(target(fields["messages"]) + END)) for fields in self.rows]

    def describe(self) -> str:
        """One line for people."""
        share = 100 * padding(self.rows, self.batches(epoch=1))
        mean = duration(self.rows) / len(self.rows)
        return f"{LENGTHS[self.name]}: {len(self.rows)} utterances, mean {mean:.2f} s, {share:.1f} % of a batch is padding"


def measure(args: Namespace, model_dir: Path, folder: Path) -> Outcome:
    """The stages asked for, and of the first of them how bf16 agrees with fp32.

    What is known already goes to stderr: a GPU may be taken away.
    """
    bench = Bench(model_dir, folder, args.size, args.device, args.updates, args.rounds)
    speed: list[Record] = []
    for record in chain.from_iterable(map(bench.stage, args.stages)):
        print(json.dumps(record), file=sys.stderr, flush=True)
        speed.append(record)
    updates = AGREEMENT[args.device] if args.agreement is None else args.agreement
    agreement: list[Record] = []
    for number in args.stages[:1] if updates else ():
        _free_memory()
        runs = run_all(number, model_dir, folder, args.device, updates)
        bench.said.append(runs.verdict())
        agreement += runs.records()
    return Outcome(bench.said, {"rows": (speed, COLUMNS), "agreement": (agreement, of_agreement.COLUMNS)})


def _free_memory() -> None:
    """A GPU's memory is wanted back at once."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@dataclass
class Bench:
    """A model folder and a place for files; some `updates` are timed in each of the `rounds` epochs."""

    model_dir: Path
    folder: Path
    size: str
    device: str
    updates: int
    rounds: int
    said: list[str] = field(default_factory=list)

    def stage(self, number: int) -> Iterator[Record]:
        """Records of one stage: ours and FunASR's trainer, over short and over long utterances."""
        _free_memory()
        settings = settings_of(self.size, self.device)
        corpora = [self._corpus(name, config_of(number, settings)) for name in LENGTHS]
        folder = self.folder / f"stage{number}"
        stage = build_stage(number, self.model_dir, corpora[0].rows, folder, self.device, settings)
        precision, device = stage.model.llm_dtype, stage.world.device
        stock = build_stock(self.model_dir, stage.config, precision)
        peak = peak_of(device, precision)
        self.said.append(f"stage {number}, {precision}: the peak is {peak}")
        for corpus in corpora:
            self.said.append(f"stage {number}, {corpus.describe()}")
            theirs = StockTraining(*stock, corpus.path, corpus.rows, stage.config, device, precision, folder / "stock")
            race = Race([OurTraining(stage, corpus.rows), theirs], corpus, corpus.tokens(stage.tokenizer), device)
            table = {"table": f"utterances of {LENGTHS[corpus.name].mean:g} s", "precision": precision}
            for record in race.records(self.rounds, peak):
                yield table | record | {"name": f"stage {number}, {record['name']}"}

    def _corpus(self, name: str, config: StageConfig) -> Corpus:
        batches = (self.updates + WARM_UP) * config.train_conf.accum_grad
        path = self.folder / f"{name}{config.stage.number}" / "rows.jsonl"
        return Corpus(name, write_corpus(path, from_batches(LENGTHS[name], batches, config.dataset_conf)), path, config)


@dataclass(frozen=True)
class First:
    """What is found out in the first epoch: operations a second of audio, and peak memory where a GPU counts it."""

    flops: float
    memory: float | None


class Race:
    """Contestants over the same epochs, turn by turn; the first one is ours. `tokens` has the target tokens of each row."""

    def __init__(self, contestants: list[Contestant], corpus: Corpus, tokens: list[int], device: torch.device) -> None:
        self.contestants, self.corpus, self.tokens, self.device = contestants, corpus, tokens, device
        self.failures: dict[str, str] = {}

    def records(self, rounds: int, peak: Peak) -> list[Record]:
        """One for each contestant, of its fastest epoch: by the clock on a GPU, by CPU time without one."""
        first = {one.name: self._unless_it_fails(one, self._first_epoch) for one in self.contestants}
        laps: dict[str, list[Record]] = {one.name: [] for one in self.contestants}
        for epoch in range(2, rounds + 2):
            for one in self.contestants:
                if (lap := self._unless_it_fails(one, partial(self._timed_epoch, epoch=epoch))) is not None:
                    laps[one.name].append(lap)
        by = "audio_hours_an_hour" if self.device.type == "cuda" else "audio_hours_a_cpu_hour"
        best = {name: max(found, key=itemgetter(by)) for name, found in laps.items() if found}
        ours = best[self.contestants[0].name]
        return [
            {"name": name, "why": self.failures[name]}
            if name in self.failures
            else {"name": name, "speed_to_ours": best[name][by] / ours[by]} | best[name] | _against(peak, first[name], best[name])
            for name in laps
        ]

    def _unless_it_fails(self, one: Contestant, work: Callable[[Contestant], Found]) -> Found | None:
        """A rival that cannot do it is out of the race, with torch's reason; ours must not fail."""
        if one.name in self.failures:
            return None
        try:
            return work(one)
        except RuntimeError as error:
            if one is self.contestants[0]:
                raise
            self.failures[one.name] = f"failed: {str(error).splitlines()[0]}"
            return None

    def _first_epoch(self, one: Contestant) -> First:
        gpu = self.device.type == "cuda"
        if gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
            others = torch.cuda.memory_allocated(self.device) - _bytes_of(one.model)
        with FlopCounterMode(display=False) as counter:
            one.epoch(1)
        memory = (torch.cuda.max_memory_allocated(self.device) - others) / 1e9 if gpu else None
        return First(counter.get_total_flops() / self.corpus.audio(self.corpus.batches(1)), memory)

    def _timed_epoch(self, one: Contestant, epoch: int) -> Record:
        lap = one.epoch(epoch)
        timed = self.corpus.batches(epoch)[WARM_UP * self.corpus.config.train_conf.accum_grad :]
        audio = self.corpus.audio(timed)
        return {
            "audio_hours_an_hour": audio / lap.clock,
            "audio_hours_a_cpu_hour": audio / lap.cpu,
            "cpu_seconds_an_hour": 3600 * lap.cpu / audio,
            "tokens_a_second": sum(self.tokens[index] for batch in timed for index in batch) / lap.clock,
            "wait_percent": 100 * lap.waited / lap.clock,
        }


def _against(peak: Peak, first: First | None, best: Record) -> Record:
    assert first is not None  # whose first epoch failed has no best one
    flops = first.flops * best["audio_hours_an_hour"]
    shares = {"tflops": flops / TERA, "peak_percent": 100 * flops / peak.flops}
    return shares | {"gflops_a_second_of_audio": first.flops / 1e9, "memory_gb": first.memory}


def _bytes_of(model: torch.nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in chain(model.parameters(), model.buffers()))

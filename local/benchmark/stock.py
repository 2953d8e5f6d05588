"""FunASR's own training beside ours: its dataset and collator, its model, its trainer, its optimiser and schedule.

Three things are added, without which there is nothing to compare: the CTC loss, which its forward lacks and a subclass
has to add; our batches, for its sampler drops utterances; and a loader that tells the time. `train_ds.main` around the
trainer is left out: it insists on a GPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import local.engine  # noqa: F401  before any part of FunASR

# isort: split
import torch
import torch.nn.functional as F
from funasr import AutoModel
from funasr.download.download_model_from_hub import download_model
from funasr.models.fun_asr_nano.model import FunASRNano
from funasr.register import tables
from funasr.train_utils.trainer_ds import Trainer
from torch.utils.data import DataLoader, Dataset

from data.one_core import M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, keep_freed_memory
from local.batches import plan, tokens_of
from local.benchmark.lap import Lap, LapTimer
from local.config import StageConfig
from local.contract import declare
from local.train import overrides

NAME = "FunASRNanoAndCTC"
NO_BOUND = 10**9
GLIBC_MOST = 2**25  # bytes: to here glibc raises its threshold by itself, and beyond it maps and zeroes pages every time
# FunASR's bounds below which, or above which, it leaves utterances out in silence
KEEP_ALL = {
    "index_ds": "FunASR", "min_source_length": 0, "max_source_length": NO_BOUND, "max_target_length": NO_BOUND,
    "max_token_length": NO_BOUND, "batch_size_token_max": NO_BOUND, "batch_type": "token",
}  # fmt: skip


@tables.register("model_classes", NAME)
class StockWithCTC(FunASRNano):
    """FunASR's model with the loss that a user has to add to it: the mean over the batch's target tokens."""

    llm_weight: float = 1.0

    def encode(self, speech: torch.Tensor, speech_lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.encoded = super().encode(speech, speech_lengths)
        return self.encoded

    def forward(self, item: list[dict[str, Any]], **batch: torch.Tensor) -> tuple[torch.Tensor, dict, torch.Tensor]:
        """`item` holds the rows, as FunASR's dataset passes them on."""
        loss, stats, weight = super().forward(**batch)
        loss = self.llm_weight * loss
        if self.ctc_weight:
            loss = loss + self.ctc_weight * self._ctc_loss([row["assistant"][0] for row in item])
        return loss, stats, weight

    def _ctc_loss(self, texts: list[str]) -> torch.Tensor:
        encoded, lengths = self.encoded
        hidden, lengths = self.ctc_decoder(encoded.detach() if self.detach_ctc_decoder else encoded, lengths)
        log_probs = self.ctc.log_softmax(hidden.float()).transpose(0, 1)
        targets = [torch.tensor(self.ctc_tokenizer.encode(text), device=hidden.device) for text in texts]
        sizes = torch.tensor([len(target) for target in targets], device=hidden.device)
        total = F.ctc_loss(
            log_probs.float(), torch.cat(targets), lengths, sizes, self.blank_id, reduction="sum", zero_infinity=True
        )
        return total / sizes.sum()


def build_stock(model_dir: Path, config: StageConfig, precision: str) -> tuple[StockWithCTC, dict[str, Any]]:
    """The model with the folder's weights, and FunASR's settings. Trains what the stage trains.

    In bf16 the LLM's weights are bf16, as the released configuration has them.
    """
    settings = download_model(model=str(model_dir), is_training=True, device="cpu")
    settings |= {"model": NAME, "model_conf": {}, "disable_log": True, "ncpu": torch.get_num_threads()}
    for section, values in overrides(config).items():
        settings[section] = {**settings.get(section, {}), **values} if isinstance(values, dict) else values
    settings["llm_conf"] = {**settings["llm_conf"], "llm_dtype": precision}
    settings["frontend_conf"] = {**settings["frontend_conf"], "dither": 0.0}  # as ours: the same features
    with contextlib.redirect_stdout(io.StringIO()):  # a line for every adapter that the folder's weights lack
        model, settings = AutoModel.build_model(**settings)
    model.llm_weight = config.llm_weight
    declare(model, config.stage.groups)
    return model, settings


def dataset(path: Path, settings: dict[str, Any]) -> Dataset:
    """FunASR's own, over all rows of a training JSONL."""
    its_class = tables.dataset_classes["FunASR"]  # its module has two classes of that name
    return its_class(str(path), frontend=settings["frontend"], tokenizer=settings["tokenizer"], is_training=True, **KEEP_ALL)


class OurBatches:
    """The batches of our plan, in the place of FunASR's sampler."""

    def __init__(self, rows: list[dict], config: StageConfig) -> None:
        self.costs, self.config = [tokens_of(row) for row in rows], config
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        conf = self.config.dataset_conf
        self.batches = plan(self.costs, conf.batch_size, conf.batch_size_utts, self.config.seed, epoch)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class Feed:
    """The loader that the trainer sees. Whoever asks for a batch has done with the one before."""

    def __init__(self, rows: list[dict], data: Dataset, config: StageConfig, timer: LapTimer) -> None:
        self.batch_sampler, self.timer = OurBatches(rows, config), timer
        workers = config.dataset_conf.num_workers
        self.loader = DataLoader(data, batch_sampler=self.batch_sampler, collate_fn=data.collator, num_workers=workers)

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[dict]:
        batches = iter(self.loader)
        for _ in range(len(self)):
            began = time.perf_counter()
            batch = next(batches)
            waited = time.perf_counter() - began
            yield batch
            self.timer.step_done(waited)


@contextlib.contextmanager
def as_it_starts() -> Iterator[None]:
    """Memory as glibc has it, not as our commands set it on the CPU (data.one_core): FunASR's processes do not."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, GLIBC_MOST)
        library.mallopt(M_TRIM_THRESHOLD, 2 * GLIBC_MOST)
        library.malloc_trim(0)
    yield
    keep_freed_memory()


class StockTraining:
    """FunASR's trainer over our batches, an epoch at a time."""

    name = "FunASR's trainer"

    def __init__(
        self, model: StockWithCTC, settings: dict[str, Any], path: Path, rows: list[dict], config: StageConfig,
        device: torch.device, precision: str, folder: Path,
    ) -> None:  # fmt: skip
        self.timer = LapTimer(device, config.train_conf.accum_grad)
        self.feed = Feed(rows, dataset(path, settings), config, self.timer)
        self.trainer = Trainer(
            device=str(device), output_dir=str(folder), use_bf16=precision == "bf16",
            accum_grad=config.train_conf.accum_grad, grad_clip=config.train_conf.grad_clip,
            log_interval=config.train_conf.log_interval, validate_interval=NO_BOUND, save_checkpoint_interval=NO_BOUND,
        )  # fmt: skip
        self.model = self.trainer.warp_model(model, device=str(device))
        optim_conf = {"lr": config.optim_conf.lr, "weight_decay": config.optim_conf.weight_decay}
        self.model, self.optimiser, self.schedule = self.trainer.warp_optim_scheduler(
            self.model, optim="adamw", optim_conf=optim_conf, scheduler="warmuplr",
            scheduler_conf={"warmup_steps": max(1, config.scheduler_conf.warmup_steps)},
        )  # fmt: skip

    def epoch(self, number: int) -> Lap:
        """All batches of an epoch; the first few are not timed."""
        self.feed.batch_sampler.set_epoch(number)  # as the trainer will
        self.timer.begin(len(self.feed))
        with as_it_starts():
            self.trainer.train_epoch(
                model=self.model, optim=self.optimiser, scheduler=self.schedule, dataloader_train=self.feed, epoch=number
            )
        return self.timer.lap()

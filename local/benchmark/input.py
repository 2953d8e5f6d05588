"""What `benchmark.py input` times: rows on disk to collated batches, whole in the loader's workers, then part by part.

Beside ours stands FunASR's own dataset and collator, over the same rows in the same batches.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import local.engine  # noqa: F401  before any part of FunASR

# isort: split
import torch
from funasr.utils.load_utils import extract_fbank
from torch.utils.data import DataLoader

from data.audio import read_wideband
from data.online import OnlineChannel
from data.prompt import audio_path, prompt_of, target
from local import nano
from local.batches import Featuriser, Utterances, collate, loader
from local.benchmark.corpus import LONG, SEED, SHORT, batches_of, duration, from_batches, mark_online, write_corpus
from local.benchmark.ours import config_of, settings_of
from local.benchmark.stock import dataset
from local.benchmark.stopwatch import Contestant, Work, race
from local.benchmark.tables import RACE, Outcome, Record, results
from local.config import Dataset

EPOCH = 1


@dataclass(frozen=True)
class Bench:
    """A model folder's frontend and tokenizers, rows on disk, and the batches of an epoch."""

    settings: dict[str, Any]
    featuriser: Featuriser
    path: Path
    rows: list[dict]
    conf: Dataset

    def __post_init__(self) -> None:
        mark_online(self._online, self.rows)

    @property
    def _online(self) -> Path:
        return self.path.with_name("online.jsonl")

    def whole(self) -> list[Contestant]:
        """All rows in the batches of an epoch; a work takes all of them at once."""
        workers, batches = self.conf.num_workers, batches_of(self.rows, self.conf, SEED, EPOCH)
        clean = mark_online(self._online, self.rows)
        called = Utterances(clean, self.featuriser, OnlineChannel(self._online, clean))
        stock = dataset(self.path, self.settings)
        loaders = {
            "ours, offline rows": loader(Utterances(self.rows, self.featuriser), batches, workers),
            "ours, online channel": loader(called, batches, workers),
            "FunASR's dataset": DataLoader(stock, batch_sampler=batches, collate_fn=stock.collator, num_workers=workers),
        }
        return [Contestant(name, _drain(each)) for name, each in loaders.items()]

    def parts(self) -> list[Contestant]:
        """Each part by itself, in this process, with what the parts before it have left; a work takes one row."""
        chats = [row["messages"] for row in self.rows]
        sounds = [torch.from_numpy(read_wideband(audio_path(chat))) for chat in chats]
        data = Utterances(self.rows, self.featuriser)
        examples = list(data)
        batches = {batch[0]: [examples[index] for index in batch] for batch in batches_of(self.rows, self.conf, SEED, EPOCH)}
        channel, frontend = OnlineChannel(self._online, mark_online(self._online, self.rows)), self.settings["frontend"]
        works: dict[str, Work] = {
            "a row, offline": data.__getitem__,
            "of it: read": lambda i: read_wideband(audio_path(chats[i])),
            "of it: fbank and LFR": lambda i: extract_fbank(sounds[i], data_type="sound", frontend=frontend, is_final=True),
            "of it: tokens": lambda i: self._tokens(chats[i]),
            "read and channel, online": lambda i: channel.hear(self.rows[i]["key"], EPOCH),
            "collate": lambda i: collate(batches[i]) if i in batches else None,
        }
        return [Contestant(name, work) for name, work in works.items()]

    def _tokens(self, chat: list[dict]) -> None:
        """Prompt and answer for the LLM, the answer for the CTC branch."""
        for text in (prompt_of(chat), target(chat)):
            self.settings["tokenizer"].encode(text)
        self.featuriser.ctc_tokenizer.encode(target(chat))


def _drain(batches: DataLoader) -> Work:
    def work(_: int) -> None:
        for _ in batches:
            pass

    return work


def measure(args: Namespace, model_dir: Path, folder: Path) -> Outcome:
    """Over utterances of 5 s and, apart from them, of 55 s."""
    settings = [f"++dataset_conf.num_workers={args.workers}"] if args.workers else []
    conf = config_of(1, [*settings_of(args.size, "cuda"), *settings]).dataset_conf
    model, built = nano.construct(str(model_dir), {})
    featuriser = Featuriser(built, model)
    torch.set_num_threads(1)  # as in a worker
    said = [f"best of {args.rounds} rounds, by CPU time; parts in one process, the loader with {conf.num_workers} beside it"]
    records: list[Record] = []
    for lengths in (SHORT, LONG):
        path = folder / f"mean{lengths.mean:g}" / "rows.jsonl"
        bench = Bench(built, featuriser, path, write_corpus(path, from_batches(lengths, args.batches, conf)), conf)
        seconds, title = duration(bench.rows), f"utterances of {lengths.mean:g} s"
        said.append(f"{lengths}: {len(bench.rows)} utterances, mean {seconds / len(bench.rows):.2f} s, on disk 16 kHz PCM")
        whole = race({f"{title}, loader": bench.whole()}, 1, args.rounds, _nothing, warm_up=1)
        parts = race({f"{title}, parts": bench.parts()}, len(bench.rows), args.rounds, _nothing)
        records += results(whole, seconds) + results(parts, seconds)
    return Outcome(said, {"rows": (records, RACE)})


def _nothing() -> None:
    """There is nothing to tidy between the rounds."""

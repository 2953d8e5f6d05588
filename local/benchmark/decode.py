"""What `benchmark.py decode` times: files on disk to texts, ours in batches, FunASR's own path one by one.

All of them write the same text by `benchmark.model.Script`, as long as the sound is; random weights would never end theirs.
"""

from __future__ import annotations

import contextlib
import io
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import local.engine  # noqa: F401  before any part of FunASR

# isort: split
import torch
from funasr import AutoModel

from data.prompt import audio_path
from local import distributed
from local.batches import Utterances, loader, plan, to_device, tokens_of
from local.benchmark.corpus import LONG, SHORT, duration, from_batches, write_corpus
from local.benchmark.model import TOKENS_A_SECOND, Script, script_ctc
from local.benchmark.stock import as_it_starts
from local.benchmark.stopwatch import Contestant, Groups, Work, race
from local.benchmark.tables import RACE, Columns, Outcome, Record, results
from local.config import Dataset
from local.decode import ctc_texts, encode, prompts_of, write
from local.evaluate import Recogniser
from local.hearing import BATCHING, Batching, hear
from local.nano import FunASRNanoWithCTC
from local.tally import SECONDS_A_FRAME

MOST_TOKENS = 2000  # FunASR's default would cut the longest texts
COLUMNS: Columns = {**RACE, "LLM's texts as ours": ("same_texts", "{:,}".format)}

Texts = dict[int, str]  # the LLM's, by row


@dataclass
class Bench:
    """Both models over the same rows; `heard` keeps the LLM's texts of each contestant."""

    ours: Recogniser
    stock: AutoModel
    rows: list[dict]
    heard: dict[str, Texts] = field(default_factory=dict)

    def groups(self, title: str) -> Groups:
        """A work takes all rows at once."""
        batched = BATCHING[self.ours.world.device.type]
        single = Batching(batched.tokens, 1, batched.workers)
        works: dict[str, Callable[[], Texts]] = {
            "ours: LLM and CTC, in batches": lambda: self._ours(batched),
            "ours: LLM and CTC, one by one": lambda: self._ours(single),
            "FunASR's generate: LLM, CTC and its time stamps, one by one": lambda: self._generate(1),
            "FunASR's generate without CTC branch: LLM alone, one by one": lambda: self._without_ctc(1),
            f"FunASR's generate without CTC branch: LLM alone, {batched.utterances} at a time":
                lambda: self._without_ctc(batched.utterances),
            "ours: LLM alone, in batches": lambda: self._branch(batched, _llm),
            "ours: CTC alone, in batches": lambda: self._branch(batched, _ctc),
            "ours: CTC alone, one by one": lambda: self._branch(single, _ctc),
        }  # fmt: skip
        return {title: [Contestant(name, self._keeping(name, work)) for name, work in works.items()]}

    def _keeping(self, name: str, work: Callable[[], Texts]) -> Work:
        def kept(_: int) -> None:
            self.heard[name] = work()

        return kept

    def _ours(self, batching: Batching) -> Texts:
        data = Utterances(self.rows, self.ours.featuriser)
        parts = hear(self.ours.model, self.ours.tokenizer, data, batching, self.ours.world)
        return {index: one.llm for part, _, heard in parts for index, one in zip(part, heard, strict=True)}

    @torch.inference_mode()
    def _branch(self, batching: Batching, answer: Callable[..., object]) -> Texts:
        """One branch alone: `answer` takes model, batch, encoded frames and their lengths. Texts are not kept."""
        data, model = Utterances(self.rows, self.ours.featuriser), self.ours.model
        batches = plan([tokens_of(row) for row in self.rows], batching.tokens, batching.utterances, seed=0, epoch=0)
        for batch in loader(data, batches, batching.workers):
            batch = to_device(batch, self.ours.world.device)
            answer(model, batch, *encode(model, batch["speech"], batch["speech_lengths"]))
        return {}

    def _generate(self, batch_size: int) -> Texts:
        """In the order of length, so that batches are alike in length as ours are."""
        order = sorted(range(len(self.rows)), key=lambda index: tokens_of(self.rows[index]))
        paths = [audio_path(self.rows[index]["messages"]) for index in order]
        with as_it_starts():
            answers = self.stock.generate(input=paths, batch_size=batch_size, max_length=MOST_TOKENS)
        return {index: answer["text"] for index, answer in zip(order, answers, strict=True)}

    def _without_ctc(self, batch_size: int) -> Texts:
        with _lacking(self.stock.model, "ctc_decoder"):
            return self._generate(batch_size)

    def compare(self, records: list[Record]) -> list[Record]:
        """The records with how many of the LLM's texts are ours."""
        ours = next(iter(self.heard.values()))
        return [
            record | {"same_texts": sum(texts[index] == ours[index] for index in ours)}
            if (texts := self.heard[record["name"]])
            else record
            for record in records
        ]


def _ctc(model: FunASRNanoWithCTC, _batch: dict, _encoded: torch.Tensor, _lengths: torch.Tensor) -> None:
    ctc_texts(model)


def _llm(model: FunASRNanoWithCTC, batch: dict, encoded: torch.Tensor, lengths: torch.Tensor) -> None:
    audio, _ = model.audio_adaptor(encoded, lengths)
    seconds = [frames * SECONDS_A_FRAME for frames in lengths.tolist()]
    write(model.llm, *prompts_of(model, batch, batch["sources"], audio), seconds)


@contextlib.contextmanager
def _lacking(module: torch.nn.Module, part: str) -> Iterator[None]:
    whole = getattr(module, part)
    setattr(module, part, None)
    yield
    setattr(module, part, whole)


def prepare(model_dir: Path, device: str, rows: list[dict]) -> Bench:
    """Ours and FunASR's, with the same weights and the same script."""
    ours = Recogniser(str(model_dir), "released", distributed.join(device))
    quiet = dict.fromkeys(("disable_update", "disable_pbar", "disable_log"), True)
    with contextlib.redirect_stdout(io.StringIO()):  # its greetings
        stock = AutoModel(model=str(model_dir), device=device, ncpu=torch.get_num_threads(), **quiet)
    example = Utterances(rows[:1], ours.featuriser)[0]
    around = len(example["source_ids"]) - int(example["fake_token_len"][0])
    for model in (ours.model, stock.model):
        Script(model.llm, _end_of(model.llm), around)
        script_ctc(model.ctc.ctc_lo, model.blank_id)
    return Bench(ours, stock, rows)


def _end_of(llm: Any) -> int:
    ends = llm.generation_config.eos_token_id
    return ends if isinstance(ends, int) else ends[0]


def measure(args: Namespace, model_dir: Path, folder: Path) -> Outcome:
    """Over utterances of 5 s and, apart from them, of 55 s."""
    by = "clock" if args.device == "cuda" else "cpu"
    said = [f"best of {args.rounds} rounds, by {by}; files to texts of {TOKENS_A_SECOND} tokens a second of sound"]
    batching, records, bench = BATCHING[args.device], [], None
    conf = Dataset(batch_size=batching.tokens, batch_size_utts=batching.utterances)
    for lengths in (SHORT, LONG):
        rows = write_corpus(folder / f"mean{lengths.mean:g}" / "rows.jsonl", from_batches(lengths, args.batches, conf))
        bench = bench or prepare(model_dir, args.device, rows)
        bench.rows = rows
        said.append(f"{lengths}: {len(rows)} utterances, mean {duration(rows) / len(rows):.2f} s")
        timings = race(bench.groups(f"utterances of {lengths.mean:g} s"), 1, args.rounds, dict, warm_up=1, by=by)
        records += bench.compare(results(timings, duration(rows), by))
    return Outcome(said, {"rows": (records, COLUMNS)})

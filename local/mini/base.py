"""Train the small base model that plays the released one: `python -m local.mini.base --output_dir local/mini/model`.

It learns daily-life sentences of the training talkers, synthesised anew for every batch, wideband or mildly band-limited
and never through a telephone; it never meets a talker, a sentence or a business word of any dev or test set. First the
encoder with its CTC branch, until characters come out, then everything together: from scratch, joint training stays at the
language prior. A second lesson mixes in made-up words: after the first, the LLM knows its sentences and hardly listens to
any other. In a third it is asked with lists of hotwords, as the released one was: some of them were said, most were not.
In a fourth words come in any order: after the third it knew any word, and hardly heard a sentence built in another way.
"""
from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.signal
import torch
from rapidfuzz.distance import Levenshtein
from torch.utils.data import DataLoader, IterableDataset

from data.prompt import messages
from local import checkpoint
from local.batches import Featuriser, collate
from local.decode import decode
from local.mini import architecture, grammar, talkers
from local.mini.speech import RATE, speak
from local.nano import FunASRNanoWithCTC, construct, load

BATCH = 16
MOST_HOTWORDS = 24
LETTERS = (2, 2, 3, 4)  # of a hotword
CHARACTERS = sorted(grammar.characters("general"))
DEV = {  # its grammar, and whether it is asked with hotwords
    "": ("general", False), "_made_up": ("drills", False), "_listed": ("drills", True), "_scrambled": ("scrambled", False),
}  # fmt: skip
VOICES = talkers.talkers("general_train") + talkers.talkers("base_only")
SEED = 20260101
ALL_TRAINABLE = {
    "audio_encoder_conf": {"freeze": False, "dropout_rate": 0.0, "attention_dropout_rate": 0.0},  # no sentence comes twice
    "audio_adaptor_conf": {"freeze": False},
    "ctc_decoder_conf": {"freeze": False},
    "llm_conf": {"freeze": False},
    "detach_ctc_decoder": False,
    "ctc_weight": 1.0,
}


@dataclass(frozen=True)
class Lesson:
    """What is said, for how many updates, and the learning rate: warm-up to `peak`, then a cosine to zero at `horizon`.

    `listed` is the share of utterances that are asked with a list of hotwords.
    """

    grammars: tuple[str, ...]
    steps: int
    ctc_only: int
    peak: float
    warmup: int
    horizon: int
    listed: float = 0.0

    def share(self, step: int) -> float:
        """Learning rate of an update (from 0) as a share of its peak."""
        return min((step + 1) / self.warmup, 0.5 * (1 + math.cos(math.pi * step / self.horizon)))


LESSONS = (
    Lesson(("general",), steps=4500, ctc_only=975, peak=1.5e-3, warmup=300, horizon=6500),
    Lesson(("general", "drills"), steps=2000, ctc_only=0, peak=8e-4, warmup=100, horizon=2000),
    Lesson(("general", "drills", "drills"), steps=2500, ctc_only=0, peak=1e-3, warmup=100, horizon=2500, listed=0.6),
    Lesson(
        ("general", "drills", "scrambled", "scrambled"), steps=1200, ctc_only=0, peak=1e-3, warmup=100, horizon=1200, listed=0.4
    ),
)


def mildly_degrade(speech: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A level, some hiss, and for half of the utterances a gentle low-pass and high-pass: less than any telephone."""
    x = speech / (np.sqrt(np.mean(speech**2)) + 1e-9) * 10 ** (rng.uniform(-35, -18) / 20)
    if rng.random() < 0.5:
        low, high = rng.uniform(50, 200), rng.uniform(3800, 7500)
        x = scipy.signal.sosfilt(scipy.signal.butter(2, (low, high), "bandpass", fs=RATE, output="sos"), x)
    hiss = np.sqrt(np.mean(x**2)) * 10 ** (-rng.uniform(20, 50) / 20)
    return np.clip(x + hiss * rng.standard_normal(len(x)), -1, 1).astype(np.float32)


class FreshSpeech(IterableDataset):
    """Endless batches of one lesson; its n-th batch depends on (SEED, lesson, n) up to espeak-ng's own jitter."""

    def __init__(self, featuriser: Featuriser, number: int) -> None:
        self.featuriser, self.number = featuriser, number

    def __iter__(self):
        torch.set_num_threads(1)
        words, sounds = random.Random(f"{SEED}/{self.number}"), np.random.default_rng([SEED, self.number])
        while True:
            yield collate([self._example(words, sounds) for _ in range(BATCH)])

    def _example(self, words: random.Random, sounds: np.random.Generator) -> dict[str, torch.Tensor]:
        lesson = LESSONS[self.number]
        text = grammar.sentence(words.choice(lesson.grammars), "train", words)
        wave = mildly_degrade(speak(text, words.choice(VOICES)), sounds)
        listed = hotwords(text, words) if words.random() < lesson.listed else []
        return self.featuriser(messages("", text), torch.from_numpy(wave), listed)


def hotwords(text: str, rng: random.Random) -> list[str]:
    """A list of at most MOST_HOTWORDS words in any order: of the sentence up to three, or none, and made-up ones."""
    said = {text[begin : begin + rng.choice(LETTERS)] for begin in rng.sample(range(len(text)), min(rng.randrange(4), len(text)))}
    others = {"".join(rng.choices(CHARACTERS, k=rng.choice(LETTERS))) for _ in range(rng.randint(1, MOST_HOTWORDS - 3))}
    return rng.sample(words := sorted(said | others - set(grammar.KEYWORDS)), len(words))


def dev_batches(featuriser: Featuriser, domain: str, listed: bool, count: int) -> list[tuple[dict, list, list[str]]]:
    """Clean wideband sentences of `domain` in the voices of the general dev set; `listed`: asked with hotwords."""
    rng = random.Random(SEED)
    texts = [grammar.sentence(domain, "dev", rng) for _ in range(count)]
    voices = talkers.talkers("general_dev")
    sounds = [torch.from_numpy(speak(text, rng.choice(voices))) for text in texts]
    lists = [hotwords(text, rng) if listed else [] for text in texts]
    examples = [featuriser(messages("", text), *given) for text, *given in zip(texts, sounds, lists, strict=True)]
    groups = [slice(begin, begin + 32) for begin in range(0, count, 32)]
    return [(collate(examples[g]), [e["source_ids"] for e in examples[g]], texts[g]) for g in groups]


def error_rates(model: FunASRNanoWithCTC, tokenizer, batches: list) -> tuple[float, float]:
    """Character error rate in % of the LLM and of the CTC branch."""
    model.eval()
    edits, total = np.zeros(2), 0
    for batch, sources, texts in batches:
        for text, heard in zip(texts, decode(model, tokenizer, batch, sources), strict=True):
            edits += [Levenshtein.distance(text, heard.llm), Levenshtein.distance(text, heard.ctc)]
        total += sum(map(len, texts))
    model.train()
    return tuple(100 * edits / total)


def teach(folder: Path, number: int, steps: int, check_every: int, dev_count: int) -> None:
    """One lesson, from the folder's weights (the first one: from random ones), and its weights and log into the folder."""
    lesson = LESSONS[number]
    torch.manual_seed(SEED + number)
    model, settings = construct(str(folder), ALL_TRAINABLE)
    if number:
        load(model, folder / "model.pt")
    featuriser = Featuriser(settings, model)
    dev = {name: dev_batches(featuriser, *kind, dev_count) for name, kind in DEV.items()}
    optimiser = torch.optim.AdamW(model.parameters(), lr=lesson.peak, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lesson.share)
    model.train()
    began = time.monotonic()
    speech = DataLoader(FreshSpeech(featuriser, number), batch_size=None, num_workers=1, prefetch_factor=8)
    for step, batch in enumerate(itertools.islice(speech, steps), start=1):
        model.llm_weight = float(step > lesson.ctc_only)
        losses = model(**batch)
        means = {part: losses[part] / losses[f"{part}_count"] for part in ("llm", "ctc") if part in losses}
        optimiser.zero_grad()
        sum(means.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if step % check_every == 0 or step == steps:
            line: dict[str, float] = {"lesson": number + 1, "step": step, "seconds": round(time.monotonic() - began)}
            for name, batches in dev.items():
                rates = zip(("llm", "ctc"), error_rates(model, settings["tokenizer"], batches), strict=True)
                line |= {f"dev_cer_{part}{name}": round(rate, 2) for part, rate in rates}
            line |= {f"loss_{part}": round(mean.item(), 4) for part, mean in means.items()}
            note(folder / "train.jsonl", line)
            save(model, folder / "model.pt")


def note(log: Path, line: dict[str, float]) -> None:
    """One line of the log, on the terminal too."""
    with log.open("a", encoding="utf-8") as out:
        print(json.dumps(line), file=out)
    print(json.dumps(line), file=sys.stderr, flush=True)


def save(model: FunASRNanoWithCTC, path: Path) -> None:
    """In half precision: the file stays small, and loading makes fp32 of it."""
    state = model.state_dict()
    state["llm.lm_head.weight"] = state["llm.model.embed_tokens.weight"]  # tied: one storage, written once
    halves = {tensor.data_ptr(): tensor.half() for tensor in state.values()}
    checkpoint.save(path, {name: halves[tensor.data_ptr()] for name, tensor in state.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--lessons", type=int, nargs="+", default=[1, 2, 3, 4], help="without 1 from the folder's weights")
    parser.add_argument("--steps", type=int, help="updates of each lesson, to try the command")
    parser.add_argument("--check_every", type=int, default=500)
    parser.add_argument("--dev_utterances", type=int, default=128)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    if 1 in arguments.lessons:
        architecture.write_folder(arguments.output_dir)
        (arguments.output_dir / "train.jsonl").unlink(missing_ok=True)
    for number in (lesson - 1 for lesson in arguments.lessons):
        steps = arguments.steps or LESSONS[number].steps
        teach(arguments.output_dir, number, steps, arguments.check_every, arguments.dev_utterances)


if __name__ == "__main__":
    main()

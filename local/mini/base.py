"""Train the small base model that plays the released one: `python -m local.mini.base --output_dir local/mini/base_model`.

It learns daily-life sentences of the training talkers, synthesised anew for every batch, wideband or mildly band-limited and never
through a telephone; it never meets a talker, a sentence or a business word of any dev or test set. First the encoder with its
CTC branch, until characters come out, then everything together: from scratch, joint training stays at the language prior.
"""
from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from pathlib import Path

import numpy as np
import scipy.signal
import torch
from rapidfuzz.distance import Levenshtein
from torch.utils.data import DataLoader, IterableDataset

from data.prompt import messages
from local.batches import Featuriser, collate
from local.decode import decode
from local.mini import architecture, grammar, talkers
from local.mini.speech import RATE, speak
from local.nano import FunASRNanoWithCTC, construct

BATCH = 16
VOICES = talkers.talkers("general_train") + talkers.talkers("base_only")
CTC_ONLY = 975  # the first updates train encoder and CTC branch alone
LEARNING_RATE = 1.5e-3
WARMUP = 300
HORIZON = 6500  # updates until the rate would reach zero; characters on dev are right long before
SEED = 20260101
ALL_TRAINABLE = {
    "audio_encoder_conf": {"freeze": False, "dropout_rate": 0.0, "attention_dropout_rate": 0.0},  # no sentence comes twice
    "audio_adaptor_conf": {"freeze": False},
    "ctc_decoder_conf": {"freeze": False},
    "llm_conf": {"freeze": False},
    "detach_ctc_decoder": False,
    "ctc_weight": 1.0,
}


def mildly_degrade(speech: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A level, some hiss, and for half of the utterances a gentle low-pass and high-pass: less than any telephone."""
    x = speech / (np.sqrt(np.mean(speech**2)) + 1e-9) * 10 ** (rng.uniform(-35, -18) / 20)
    if rng.random() < 0.5:
        low, high = rng.uniform(50, 200), rng.uniform(3800, 7500)
        x = scipy.signal.sosfilt(scipy.signal.butter(2, (low, high), "bandpass", fs=RATE, output="sos"), x)
    hiss = np.sqrt(np.mean(x**2)) * 10 ** (-rng.uniform(20, 50) / 20)
    return np.clip(x + hiss * rng.standard_normal(len(x)), -1, 1).astype(np.float32)


class FreshSpeech(IterableDataset):
    """Endless batches; what worker w says as its n-th batch depends on (SEED, w, n) up to espeak-ng's own jitter."""

    def __init__(self, featuriser: Featuriser) -> None:
        self.featuriser = featuriser

    def __iter__(self):
        torch.set_num_threads(1)
        worker = torch.utils.data.get_worker_info()
        number = 0 if worker is None else worker.id
        words, sounds = random.Random(f"{SEED}/{number}"), np.random.default_rng([SEED, number])
        while True:
            yield collate([self._example(words, sounds) for _ in range(BATCH)])

    def _example(self, words: random.Random, sounds: np.random.Generator) -> dict[str, torch.Tensor]:
        text = grammar.sentence("general", "train", words)
        wave = mildly_degrade(speak(text, words.choice(VOICES)), sounds)
        return self.featuriser(messages("", text), torch.from_numpy(wave))


def dev_batches(featuriser: Featuriser, count: int) -> list[tuple[dict, list[torch.Tensor], list[str]]]:
    """Clean wideband sentences and talkers of the general dev set."""
    rng = random.Random(SEED)
    texts = [grammar.sentence("general", "dev", rng) for _ in range(count)]
    voices = talkers.talkers("general_dev")
    examples = [featuriser(messages("", text), torch.from_numpy(speak(text, rng.choice(voices)))) for text in texts]
    groups = [slice(begin, begin + 32) for begin in range(0, count, 32)]
    return [(collate(examples[g]), [e["source_ids"] for e in examples[g]], texts[g]) for g in groups]


def error_rates(model: FunASRNanoWithCTC, tokenizer, batches: list) -> tuple[float, float]:
    """Character error rate in % of the LLM and of the CTC branch."""
    model.eval()
    edits, total = np.zeros(2), 0
    for batch, sources, texts in batches:
        for number, hypotheses in enumerate(decode(model, tokenizer, batch, sources)):
            edits[number] += sum(Levenshtein.distance(text, hyp) for text, hyp in zip(texts, hypotheses, strict=True))
        total += sum(map(len, texts))
    model.train()
    return tuple(100 * edits / total)


def rate_at(step: int) -> float:
    """Linear warm-up, then cosine to zero at HORIZON, as a share of LEARNING_RATE."""
    return min((step + 1) / WARMUP, 0.5 * (1 + math.cos(math.pi * step / HORIZON)))


def train(folder: Path, steps: int, check_every: int, dev_count: int, threads: int) -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(threads)
    architecture.write_folder(folder)
    model, settings = construct(str(folder), ALL_TRAINABLE)
    featuriser = Featuriser(settings, model.ctc_tokenizer, model.use_low_frame_rate)
    tokenizer = settings["tokenizer"]
    dev = dev_batches(featuriser, dev_count)
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate_at)
    log = (folder / "train.jsonl").open("w", encoding="utf-8")
    model.train()
    began = time.monotonic()
    for step, batch in enumerate(DataLoader(FreshSpeech(featuriser), batch_size=None, num_workers=1, prefetch_factor=8), start=1):
        model.llm_weight = float(step > CTC_ONLY)
        losses = model(**batch)
        means = {part: losses[part] / losses[f"{part}_count"] for part in ("llm", "ctc") if part in losses}
        optimiser.zero_grad()
        sum(means.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if step % check_every == 0 or step == steps:
            llm, ctc = error_rates(model, tokenizer, dev)
            line = {"step": step, "seconds": round(time.monotonic() - began), "dev_cer_llm": round(llm, 2), "dev_cer_ctc": round(ctc, 2)}
            line |= {f"loss_{part}": round(mean.item(), 4) for part, mean in means.items()}
            print(json.dumps(line), file=log, flush=True)
            print(json.dumps(line), file=sys.stderr, flush=True)
            save(model, folder / "model.pt")
        if step == steps:
            return


def save(model: FunASRNanoWithCTC, path: Path) -> None:
    """In half precision: the file stays small, and loading makes fp32 of it."""
    state = model.state_dict()
    state["llm.lm_head.weight"] = state["llm.model.embed_tokens.weight"]  # tied: one storage, written once
    halves = {tensor.data_ptr(): tensor.half() for tensor in state.values()}
    torch.save({name: halves[tensor.data_ptr()] for name, tensor in state.items()}, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--check_every", type=int, default=500)
    parser.add_argument("--dev_utterances", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    train(arguments.output_dir, arguments.steps, arguments.check_every, arguments.dev_utterances, arguments.threads)


if __name__ == "__main__":
    main()

"""Batches → text, by the LLM and by the CTC branch, equal to FunASR's own one-by-one decoding.

FunASR falls back to one utterance at a time as soon as a CTC branch is loaded; here the whole batch goes through both.
What the company of an utterance is, changes nothing for it: its text ends, or is stopped, by its own sound alone.

As a command it transcribes calls: `python -m local.decode --model FOLDER call.wav …` (`local.transcribe`).
"""
from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/decode.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

if __name__ == "__main__":  # before the imports below, which take seconds
    from data.errors import run
    from local.transcribe import main

    raise SystemExit(run(main))

import re
from dataclasses import dataclass

import local.engine  # noqa: F401  before any part of FunASR

# isort: split
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache

from local.nano import FunASRNanoWithCTC
from local.runaway import Text
from local.tally import SECONDS_A_FRAME

FRAMES_AT_ONCE = 4096  # that the CTC output layer looks at: 1 GB of fp32 scores of the released vocabulary
LONG = 500  # frames, 30 s: from here on a batch gains a CPU nothing but the padding in it
THINNED = 0.75  # rows that have ended leave the batch once no more than this share of it is left


@dataclass(frozen=True)
class Heard:
    """The texts of one utterance, that of the CTC branch None where the model has none.

    `cut` says why the LLM's was stopped (`local.runaway`), empty where it ended by itself.
    """

    llm: str
    ctc: str | None
    cut: str


@torch.inference_mode()
def decode(model: FunASRNanoWithCTC, tokenizer, batch: dict, sources: list[torch.Tensor]) -> list[Heard]:
    """What both branches hear in each utterance.

    `batch` is what `local.batches.collate` makes, `sources` the prompts' token ids (tokens,) with room for the audio.
    """
    encoded, lengths = encode(model, batch["speech"], batch["speech_lengths"])
    audio, _ = model.audio_adaptor(encoded, lengths)
    seconds = [frames * SECONDS_A_FRAME for frames in lengths.tolist()]
    written = write(model.llm, *prompts_of(model, batch, sources, audio), seconds)
    return [
        Heard(_llm_text(tokenizer, text), ctc, text.cut) for text, ctc in zip(written, ctc_texts(model), strict=True)
    ]


def encode(model: FunASRNanoWithCTC, speech: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As `model.encode`; on a CPU one by one where utterances are long: their attention grows by the square of the padding."""
    if speech.is_cuda or speech.shape[1] < LONG:
        return model.encode(speech, lengths)
    alone = [model.encode(one[None, :length], length[None])[0][0] for one, length in zip(speech, lengths, strict=True)]
    model.encoded = pad_sequence(alone, batch_first=True), lengths
    return model.encoded


def prompts_of(model, batch: dict, sources: list[torch.Tensor], audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts with their audio in them, padded on the left: (batch, tokens, dim), and the mask of what is real."""
    ids = pad_sequence([source.flip(0) for source in sources], batch_first=True).flip(1)
    pads = [ids.shape[1] - len(source) for source in sources]
    inputs = model.llm.get_input_embeddings()(ids).clone()
    places = zip(pads, batch["fbank_beg"][:, 0].tolist(), batch["fake_token_len"][:, 0].tolist(), strict=True)
    for row, (pad, begin, count) in enumerate(places):
        inputs[row, pad + begin : pad + begin + count] = audio[row, :count]
    mask = torch.arange(ids.shape[1], device=ids.device) >= torch.tensor(pads, device=ids.device)[:, None]
    return inputs, mask.long()


def write(llm: nn.Module, inputs: torch.Tensor, mask: torch.Tensor, seconds: list[float]) -> list[Text]:
    """What the LLM answers to each prompt, greedily.

    `inputs` (batch, tokens, dim) and `mask` (batch, tokens) are padded on the left; `seconds` is how long each one's
    sound lasts. Texts that have ended soon leave the batch and cost no further steps.
    """
    texts = [Text(length) for length in seconds]
    rows, ends = list(texts), _ends(llm)
    cache = DynamicCache(config=llm.config)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    given = {"inputs_embeds": inputs}
    while any(text.open for text in rows):
        told = llm(
            **given, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        best = told.logits[:, -1].argmax(-1)
        for text, token in zip(rows, best.tolist(), strict=True):
            if text.open:
                text.add(token, ends)
        left = [row for row, text in enumerate(rows) if text.open]
        if len(left) <= THINNED * len(rows):
            rows = [rows[row] for row in left]
            places = torch.tensor(left, dtype=torch.int64, device=best.device)
            cache.batch_select_indices(places)
            best, mask, positions = best[places], mask[places], positions[places]
        mask, positions = F.pad(mask, (0, 1), value=1), positions[:, -1:] + 1
        given = {"input_ids": best[:, None]}
    return texts


def _ends(llm: nn.Module) -> tuple[int, ...]:
    """The tokens that end a text."""
    ends = llm.generation_config.eos_token_id
    return () if ends is None else (ends,) if isinstance(ends, int) else tuple(ends)


def _llm_text(tokenizer, text: Text) -> str:
    """As FunASR's inference writes it; a cut may have gone through a character that has several tokens."""
    words = tokenizer.decode(text.tokens, skip_special_tokens=True)
    return re.sub(r"\s+", " ", (words.rstrip("\ufffd") if text.cut else words).replace("/sil", " "))


def ctc_texts(model: FunASRNanoWithCTC) -> list[str | None]:
    """Best path: the best token of every frame, repeats joined, blanks dropped; nothing of a model without CTC branch."""
    if model.ctc_decoder is None:
        return [None] * len(model.encoded[1])
    hidden, lengths = model.ctc_hidden()
    real = torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None]
    best = torch.cat([model.ctc.ctc_lo(frames).argmax(-1) for frames in hidden[real].split(FRAMES_AT_ONCE)]).cpu()
    texts = []
    for path in best.split(lengths.tolist()):
        tokens = torch.unique_consecutive(path)
        texts.append(model.ctc_tokenizer.decode(tokens[tokens != model.blank_id].tolist()).replace("<|nospeech|>", ""))
    return texts

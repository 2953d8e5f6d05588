"""Batches → text, by the LLM and by the CTC branch, equal to FunASR's own one-by-one decoding.

FunASR falls back to one utterance at a time as soon as a CTC branch is loaded; here the whole batch goes through both.
"""
from __future__ import annotations

import re

import torch
from torch.nn.utils.rnn import pad_sequence

from local.nano import FunASRNanoWithCTC

CHARACTERS_A_SECOND = 12  # nobody speaks faster; an LLM that never ends its text is cut there
SPARE_TOKENS = 16
SECONDS_A_FRAME = 0.06


@torch.inference_mode()
def decode(model: FunASRNanoWithCTC, tokenizer, batch: dict, sources: list[torch.Tensor]) -> tuple[list[str], list[str]]:
    """Texts of the LLM and of the CTC branch, one each an utterance.

    `batch` is what `local.batches.collate` makes, `sources` the prompts' token ids (tokens,) with room for the audio.
    """
    encoded, lengths = model.encode(batch["speech"], batch["speech_lengths"])
    return _llm_texts(model, tokenizer, batch, sources, encoded, lengths), _ctc_texts(model)


def _llm_texts(model, tokenizer, batch, sources, encoded, lengths) -> list[str]:
    audio, _ = model.audio_adaptor(encoded, lengths)
    embed = model.llm.get_input_embeddings()
    prompts = []
    for number, ids in enumerate(sources):
        prompt = embed(ids).clone()
        begin, count = int(batch["fbank_beg"][number, 0]), int(batch["fake_token_len"][number, 0])
        prompt[begin : begin + count] = audio[number, :count]
        prompts.append(prompt)
    inputs, mask = _pad_left(prompts)
    longest = float(lengths.max()) * SECONDS_A_FRAME
    generated = model.llm.generate(
        inputs_embeds=inputs,
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        max_new_tokens=SPARE_TOKENS + int(longest * CHARACTERS_A_SECOND),
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
    )
    texts = tokenizer.batch_decode(generated, skip_special_tokens=True)
    return [re.sub(r"\s+", " ", text.replace("/sil", " ")) for text in texts]  # as FunASR's inference does


def _pad_left(prompts: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts (tokens, dim) → (batch, longest, dim) and the mask of what is real (batch, longest)."""
    inputs = pad_sequence([prompt.flip(0) for prompt in prompts], batch_first=True).flip(1)
    sizes = torch.tensor([len(prompt) for prompt in prompts], device=inputs.device)
    mask = torch.arange(inputs.shape[1], device=inputs.device) >= inputs.shape[1] - sizes[:, None]
    return inputs, mask.long()


def _ctc_texts(model: FunASRNanoWithCTC) -> list[str]:
    """Best path: the best token of every frame, repeats joined, blanks dropped."""
    hidden, lengths = model.ctc_hidden()
    best = model.ctc.argmax(hidden)
    texts = []
    for path, length in zip(best, lengths.tolist(), strict=True):
        tokens = torch.unique_consecutive(path[:length])
        texts.append(model.ctc_tokenizer.decode(tokens[tokens != model.blank_id].tolist()).replace("<|nospeech|>", ""))
    return texts

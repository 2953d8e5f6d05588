"""Is the model folder whole, and do its tensors, tokens and prompt belong together? Costs seconds and no memory.

The model is built on torch's "meta" device: names and shapes without a byte behind them.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import local.engine  # noqa: F401  before any part of FunASR

# isort: split
import torch
from funasr.models.fun_asr_nano.checkpoint_utils import normalize_checkpoint_state
from torch import nn

from local import nano
from local.contract import group_of
from local.experiment import shown_path
from local.findings import Finding, fact, fault, verdict

# Tensors of Fun-ASR-Nano-2512 as ModelScope has it, and what tells its config.yaml from others.
RELEASED = {"audio_encoder": 914, "audio_adaptor": 36, "llm": 311, "ctc_decoder": 84, "ctc": 2}
RELEASED_ENCODER = {"output_size": 512, "num_blocks": 50, "tp_blocks": 20}
BLANKS = ("<blank>", "<blk>")
CHAT_MARKS = ("<|im_start|>", "<|im_end|>")
FETCH_AGAIN = "take the whole folder from ModelScope again"


def outline(model_dir: str, overrides: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    """A folder's model as its config describes it, without numbers, and FunASR's settings. Raises UserError."""
    with torch.device("meta"):
        return nano.construct(model_dir, overrides, "meta")


def weights_fit(model: nn.Module, settings: dict[str, Any], checkpoint: Path | None) -> Iterator[Finding]:
    """Every tensor of the model is in the file in its shape, and every tensor of the file is in the model."""
    path = Path(checkpoint or settings["released"] or settings["model_path"])
    if not path.is_file():
        yield fault(f"{path}: has no weights (model.pt): {FETCH_AGAIN}")
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*meta parameter")  # nothing is to be copied
        nano.load(model, path)
    names = tensor_names(path)
    problem = _misfit(names, model, settings)
    shown = ", ".join(f"{group} {count}" for group, count in Counter(map(group_of, names)).items())
    sound = f"{shown_path(path)}: {len(names)} tensors, all of the model's ({shown})"
    yield verdict(problem and f"{path}: {problem}", sound)


def _misfit(names: list[str], model: nn.Module, settings: dict[str, Any]) -> str | None:
    """What a checkpoint holds that has no place, or not in the published number."""
    own = model.state_dict()
    strange = [name for name in names if name not in own]
    if strange:
        return f"{len(strange)} tensors have no place in the model (first: {strange[0]}); is it of this model?"
    found = Counter(map(group_of, names))
    wanted = RELEASED if is_released(settings) else Counter(map(group_of, own))
    wrong = [f"{found[group]} of {group} where {count} belong" for group, count in wanted.items() if found[group] != count]
    return f"holds tensors {', '.join(wrong)}: {FETCH_AGAIN}" if wrong else None


def is_released(settings: dict[str, Any]) -> bool:
    """Whether a config describes the architecture of Fun-ASR-Nano-2512."""
    encoder = settings["audio_encoder_conf"]
    return all(encoder.get(key) == value for key, value in RELEASED_ENCODER.items())


def tensor_names(path: Path) -> list[str]:
    """The tensors of a checkpoint that `nano.load` could read."""
    state = normalize_checkpoint_state(torch.load(path, map_location="meta", weights_only=True))
    return [name for name, tensor in state.items() if isinstance(tensor, torch.Tensor)]


def ctc_tokens_fit(model: nn.Module, characters: Iterable[str]) -> Iterator[Finding]:
    """Token list as long as the CTC branch is wide, blank where the model has it, no character beyond."""
    problem = _ctc_misfit(model, characters)
    sound = f"{model.ctc.ctc_lo.out_features} CTC tokens, the blank is {model.blank_id}" if model.ctc_decoder else ""
    yield verdict(problem and f"{problem}: {FETCH_AGAIN}", sound)


def _ctc_misfit(model: nn.Module, characters: Iterable[str]) -> str | None:
    if model.ctc_decoder is None:
        return "config.yaml describes no CTC branch"
    width, blank, tokenizer = model.ctc.ctc_lo.out_features, model.blank_id, model.ctc_tokenizer
    tokens = getattr(tokenizer, "token_list", None)  # SenseVoice's falls back to bytes and has none
    if tokens is not None and len(tokens) != width:
        return f"the CTC token list has {len(tokens)} tokens, ctc_vocab_size is {width}"
    if tokens is not None and tokens[blank] not in BLANKS:
        return f"the CTC token list has {tokens[blank]!r} where the model has its blank ({blank})"
    beyond = [
        letter for letter in characters if any(not 0 <= token < width or token == blank for token in tokenizer.encode(letter))
    ]
    return f"the CTC tokenizer gives {beyond[0]!r} a number that is the blank's or beyond all {width}" if beyond else None


def unknown_to(tokenizer: Any, characters: Iterable[str]) -> set[str]:
    """The characters that a CTC tokenizer can only call unknown; none where it falls back to bytes."""
    unknown = getattr(tokenizer, "unk_id", None)
    return {letter for letter in characters if unknown is not None and unknown in tokenizer.encode(letter)}


def llm_tokens_fit(model: nn.Module, tokenizer: Any, prompt: str) -> Iterator[Finding]:
    """The LLM's tokenizer and embedding belong together, and the prompt survives them."""
    rows = model.llm.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        yield fault(f"the LLM's tokenizer has {len(tokenizer)} tokens, its embedding {rows}: {FETCH_AGAIN}")
    for words in (prompt, *CHAT_MARKS):
        back = tokenizer.decode(tokenizer.encode(words, add_special_tokens=False))
        if back != words:
            yield fault(f"the LLM's tokenizer makes {back!r} of {words!r}: set PROMPT to words that it knows")
    yield fact(f"{len(tokenizer)} LLM tokens, the prompt is {prompt!r}")

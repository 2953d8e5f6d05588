"""The model that the benchmarks run: the small or the released architecture, with random weights.

What is computed does not depend on the weights, but how long an answer gets does. So the model answers by a script: as
many tokens as the utterance lasts, whoever decodes it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from local import checkpoint, nano, released_architecture
from local.mini import architecture

SEED = 20260101
TOKENS_A_SECOND = 4.5
SECONDS_AN_AUDIO_TOKEN = 0.48  # eight LFR frames
FRAMES_A_CHARACTER = 4  # of the CTC branch: 4.2 characters a second
CERTAIN = 1e4  # a logit that no random one reaches
FIRST = 1000  # of the tokens that stand for numbers: what comes before are pieces of the prompt

WRITERS: dict[str, Callable[[Path], None]] = {"mini": architecture.write_folder, "full": released_architecture.write_folder}


def write_model(folder: Path, size: str) -> None:
    """A model folder with random weights, the same every time."""
    WRITERS[size](folder)
    torch.manual_seed(SEED)
    model, _ = nano.construct(str(folder), {})
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    checkpoint.save(folder / checkpoint.HANDED_ON, state)


class Script:
    """Makes an LLM count down: the number of tokens that are left is the token that it writes, and the end comes after 1.

    The count starts from how long the prompt is. All that a step needs is the token before it, so any loop around the
    LLM, in batches or not, makes the same text.
    """

    def __init__(self, llm: Any, end: int, around: int) -> None:
        """`end` is the end-of-text token, `around` the tokens of a prompt that are not audio."""
        self.end, self.around = end, around
        self.before = torch.zeros(0, dtype=torch.long)
        llm.get_input_embeddings().register_forward_pre_hook(self._note)
        llm.register_forward_hook(self._answer, with_kwargs=True)

    def _note(self, _module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.before = inputs[0]

    def _answer(self, _module: torch.nn.Module, _inputs: tuple, named: dict[str, Any], output: Any) -> None:
        logits = output.logits[:, -1]
        embeds = named.get("inputs_embeds")
        if embeds is not None and embeds.shape[1] > 1:
            mask = named.get("attention_mask")  # none where nothing is padded; FunASR's is too long by an answer
            tokens = embeds.new_ones(embeds.shape[:2], dtype=torch.long) if mask is None else mask[:, : embeds.shape[1]]
            left = self.count(tokens.sum(-1))
        else:
            left = self.before.view(len(logits), -1)[:, -1] - FIRST - 1
        following = torch.where(left > 0, FIRST + left, self.end)
        logits[torch.arange(len(logits), device=logits.device), following] = CERTAIN

    def count(self, prompt_tokens: torch.Tensor) -> torch.Tensor:
        """How many tokens the answer has."""
        seconds = (prompt_tokens - self.around) * SECONDS_AN_AUDIO_TOKEN
        return (seconds * TOKENS_A_SECOND).round().long().clamp(min=1)


def script_ctc(layer: torch.nn.Module, blank: int) -> None:
    """Makes the CTC output layer say a character every so many frames, and blanks between them."""

    def answer(_module: torch.nn.Module, _inputs: tuple, logits: torch.Tensor) -> None:
        frames = torch.arange(logits.shape[-2], device=logits.device)
        said = FIRST + frames // FRAMES_A_CHARACTER
        tokens = torch.where(frames % FRAMES_A_CHARACTER == 0, said, torch.full_like(said, blank))
        logits[..., frames, tokens] = CERTAIN

    layer.register_forward_hook(answer)

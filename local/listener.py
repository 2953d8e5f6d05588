"""A model folder that turns sounds into texts: many at a time, by both branches, as scoring does."""
from __future__ import annotations

import logging
from collections.abc import Sequence

import local.engine  # noqa: F401  before any part of FunASR

# isort: split
import numpy as np
import torch
from funasr.models.fun_asr_nano.model import FunASRNano
from tqdm import tqdm

from data.manifest import speech_length
from data.prompt import messages
from local.batches import Featuriser, collate, plan, to_device
from local.decode import Heard, decode
from local.hearing import BATCHING
from local.nano import build


class Listener:
    """Listens with the model of `model_dir`, which asks as AutoModel does with the same hotwords."""

    def __init__(self, model_dir: str, device: torch.device, hotwords: Sequence[str] = ()) -> None:
        logging.getLogger().setLevel(logging.ERROR)  # FunASR tells of every part that it builds
        self.device = device
        self.model, settings = build(model_dir, None, {}, str(device), needs_ctc=False)
        self.model.eval()
        self.tokenizer = settings["tokenizer"]
        self.featuriser = Featuriser(settings, self.model)
        self.prompt = FunASRNano.get_prompt(None, list(hotwords), settings.get("language"), settings.get("itn", True))

    def hear(self, sounds: Sequence[np.ndarray]) -> list[Heard]:
        """The texts of (samples,) float32 at 16 kHz, in their order."""
        lengths = [speech_length(len(sound)) for sound in sounds]
        heard: dict[int, Heard] = {}
        batching = BATCHING[self.device.type]
        batches = plan(lengths, batching.tokens, batching.utterances, seed=0, epoch=0)
        for part in tqdm(batches, disable=None, leave=False):  # on a terminal
            chats = [messages("", "", self.prompt) for _ in part]
            examples = [self.featuriser(chat, torch.from_numpy(sounds[index])) for chat, index in zip(chats, part, strict=True)]
            batch = to_device(collate(examples), self.device)
            heard |= dict(zip(part, decode(self.model, self.tokenizer, batch, batch["sources"]), strict=True))
        return [heard[index] for index in range(len(sounds))]

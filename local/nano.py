"""FunASR's `FunASRNano` with the loss that its training forward lacks, and with frozen parts that stay frozen.

The released forward is the LLM's cross-entropy alone: `ctc_weight` and `detach_ctc_decoder` are read by nobody, and
`model.train()` switches dropout back on in frozen modules. The subclass here mends both; its state-dict keys are the
original's, so what it trains loads in an unmodified `funasr.AutoModel`.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import local.engine  # noqa: F401  before any part of FunASR

# isort: split
import torch
import torch.nn.functional as F
from funasr import AutoModel
from funasr.download.download_model_from_hub import download_model
from funasr.models.fun_asr_nano.checkpoint_utils import normalize_checkpoint_state
from funasr.models.fun_asr_nano.model import FunASRNano
from funasr.register import tables
from torch import nn

from data.errors import UserError
from local.batches import IGNORED, ctc_count
from local.fast_encoder import fuse_attention, recompute_layers

NAME = "FunASRNanoWithCTC"
CTC_PARTS = ("ctc.", "ctc_decoder.")
STOCK_NAME = "FunASRNano"


def is_adapter(name: str) -> bool:
    """Whether a tensor of this name belongs to a LoRA adapter: FunASR's LoRA layers call theirs lora_A and lora_B."""
    return name.rsplit(".", 1)[-1] in ("lora_A", "lora_B")


@tables.register("model_classes", NAME)
class FunASRNanoWithCTC(FunASRNano):
    """`FunASRNano` whose forward returns sums of both losses, each with the count that it is to be divided by."""

    llm_weight: float = 1.0
    causal_only: bool = False
    audio_encoder_activation_checkpoint: bool  # FunASR's, from audio_encoder_conf

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        if self.audio_encoder_activation_checkpoint:
            self.audio_encoder_activation_checkpoint = False  # its way: around the whole encoder, which then saves nothing
            recompute_layers(self.audio_encoder)

    def use_fused_kernels(self) -> None:
        """What a GPU is fastest at: the same but for rounding, so the CPU, whose results must repeat, does without."""
        fuse_attention(self.audio_encoder)
        self.causal_only = True

    def encode(self, speech: torch.Tensor, speech_lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames (batch, frames, 560) → (batch, frames, dim) and lengths; kept for the CTC branch.

        The encoder scales its input in place, hence the copy. What it says of padding is set to zero: the adaptor joins
        frames in groups, and a group across an utterance's end must be what it is when the utterance stands alone.
        """
        encoded, lengths = self.audio_encoder(speech.clone(), speech_lengths)
        inside = torch.arange(encoded.shape[1], device=encoded.device) < lengths[:, None]
        self.encoded = encoded * inside[..., None], lengths
        return self.encoded

    def forward(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """One batch of `local.batches.collate` → {"llm": sum, "llm_count": tokens, "ctc": sum, "ctc_count": tokens}.

        Sums and not means, so that several processes and accumulation steps can be divided by their common count.
        """
        losses: dict[str, torch.Tensor] = {}
        if self.llm_weight:
            losses |= self._llm_loss(batch)
        else:
            self.encode(batch["speech"], batch["speech_lengths"])
        if self.ctc_weight:
            losses |= self._ctc_loss(batch)
        return losses

    def _llm_loss(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """As the released forward, whose gradients are the same to the bit, with scores for the target tokens alone.

        The released one scores prompt and audio too, three positions of four, and looks for the best token of each.
        """
        inputs, mask = self._heard(batch), batch["attention_mask"]
        if self.causal_only:  # padding is on the right, where no token looks: without a mask for it there are faster kernels
            mask = torch.ones_like(mask)
        following = F.pad(batch["labels_ids"][:, 1:], (0, 1), value=IGNORED)  # a position predicts the label after it
        wanted = following != IGNORED
        half = self.llm_dtype == "bf16"
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=half):
            inputs = inputs.to(torch.bfloat16) if half else inputs
            hidden = self.llm.model(inputs_embeds=inputs, attention_mask=mask).last_hidden_state
            scores = self.llm.lm_head(hidden[wanted]).float()
        count = wanted.sum()
        return {"llm": F.cross_entropy(scores, following[wanted]) * count, "llm_count": count}

    def _heard(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """What the LLM reads, (batch, tokens, dim): embedded tokens, and in their place what the adaptor makes of the speech."""
        audio, _ = self.audio_adaptor(*self.encode(batch["speech"], batch["speech_lengths"]))
        tokens = self.llm.get_input_embeddings()(batch["input_ids"])
        place = torch.arange(tokens.shape[1], device=tokens.device) - batch["fbank_beg"]  # in the audio, where there is some
        inside = (place >= 0) & (place < batch["fake_token_len"])
        index = place.clamp(0, audio.shape[1] - 1)[..., None].expand(-1, -1, audio.shape[2])
        return torch.where(inside[..., None], audio.gather(1, index).to(tokens.dtype), tokens)

    def _ctc_loss(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        hidden, lengths = self.ctc_hidden()
        log_probs = F.log_softmax(self.ctc.ctc_lo(hidden).float(), dim=-1).transpose(0, 1)
        targets, target_lengths = batch["ctc_targets"], batch["ctc_target_lengths"]
        total = F.ctc_loss(
            log_probs, targets, lengths, target_lengths, blank=self.blank_id, reduction="sum", zero_infinity=True
        )
        return {"ctc": total, "ctc_count": ctc_count(batch)}

    def ctc_hidden(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What the CTC output layer sees of the batch that was encoded last: (batch, frames, dim) and lengths."""
        encoded, lengths = self.encoded
        if self.detach_ctc_decoder:
            encoded = encoded.detach()
        return self.ctc_decoder(encoded, lengths)

    def train(self, mode: bool = True) -> FunASRNanoWithCTC:
        """A module without a trainable tensor stays in eval mode: frozen means no dropout either."""
        super().train(mode)
        for module in self.children():
            if not any(parameter.requires_grad for parameter in module.parameters()):
                module.eval()
        return self


def construct(model_dir: str, overrides: dict, device: str = "cpu") -> tuple[FunASRNanoWithCTC, dict]:
    """The model of a FunASR folder (or hub name) as our subclass, in fp32, with random weights.

    Returns the model and FunASR's resolved settings, among them `tokenizer`, `frontend` and `released`, the path of the
    folder's own weights (None where it has none).
    """
    with buildable(model_dir):
        settings = _settings(model_dir, overrides, device)
        model, settings = AutoModel.build_model(**settings)
    if torch.device(device).type == "cuda":
        model.use_fused_kernels()
    return model, settings


def _settings(model_dir: str, overrides: dict, device: str) -> dict:
    """FunASR's settings of a folder, with ours over them."""
    folder = Path(model_dir)
    if folder.is_dir() and not (folder / "configuration.json").is_file():  # FunASR would look for the parts elsewhere
        raise UserError(f"{model_dir}: has no configuration.json, which names the model's parts: take the whole folder again")
    settings = download_model(model=str(model_dir), device=device)
    if settings.get("model") != STOCK_NAME:
        raise UserError(f"{model_dir}: config.yaml says model: {settings.get('model')}, and {STOCK_NAME} is needed")
    settings["released"] = settings.pop("init_param", None)
    settings |= {"model": NAME, "model_conf": {}, "disable_log": True, "ncpu": torch.get_num_threads()}
    settings["frontend_conf"] = {**settings["frontend_conf"], "dither": 0.0}  # features must repeat
    for section, values in overrides.items():
        settings[section] = {**settings.get(section, {}), **values} if isinstance(values, dict) else values
    return settings | {"llm_conf": {**settings["llm_conf"], "llm_dtype": "fp32"}}


@contextmanager
def buildable(model_dir: str) -> Iterator[None]:
    """A folder that lacks a part or holds a broken one ends in errors of all kinds; each becomes a UserError."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, AssertionError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{model_dir}: no model can be built of it ({first}): take the whole folder again") from None


def build(
    model_dir: str, checkpoint: str | Path | None, overrides: dict, device: str = "cpu", needs_ctc: bool = True
) -> tuple[FunASRNanoWithCTC, dict]:
    """As `construct`, with the weights of `checkpoint` (None: the folder's own); see `load` for `needs_ctc`."""
    model, settings = construct(model_dir, overrides, device)
    path = checkpoint or settings["released"]
    if path is None:
        raise UserError(f"{model_dir}: has no weights (model.pt): copy or download the model again")
    load(model, path, needs_ctc)
    return model, settings


def load(model: nn.Module, path: str | Path, needs_ctc: bool = True) -> None:
    """Fill every tensor of `model` but fresh LoRA adapters from a checkpoint; anything missing or misshapen is an error.

    A model that need not have a CTC branch loses it, as in FunASR, where the checkpoint lacks tensors of it.
    """
    try:
        state = normalize_checkpoint_state(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises a different type for every way a file can be broken
        raise UserError(f"{path}: not a readable checkpoint ({type(error).__name__}); copy or train it again") from error
    state = {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}
    if not needs_ctc and any(name.startswith(CTC_PARTS) and name not in state for name in model.state_dict()):
        model.ctc_decoder = model.ctc = None
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in state and not is_adapter(name)]
    misshapen = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    if any(name.startswith(CTC_PARTS) for name in missing):
        raise UserError(f"{path}: holds no CTC tensors (first: {missing[0]}); take the copy on ModelScope, which has them")
    if missing:
        raise UserError(f"{path}: {len(missing)} tensors are missing (first: {missing[0]}); is it of this model?")
    if misshapen:
        name = misshapen[0]
        raise UserError(
            f"{path}: {name} is {tuple(state[name].shape)} and the model has {tuple(wanted[name].shape)}; is it of this model?"
        )
    model.load_state_dict({name: state.get(name, tensor) for name, tensor in wanted.items()})

"""A model folder in the exact form of the released Fun-ASR-Nano-2512, small enough to be trained in a test."""

from __future__ import annotations

from pathlib import Path

import torch

from local.released_architecture import Sizes, write_folder

SMALL = Sizes(
    encoder=64, encoder_heads=4, encoder_ffn=128, blocks=3, tp_blocks=1, adaptor_ffn=128, ctc_ffn=128, ctc_layers=1,
    llm=64, llm_ffn=192, llm_layers=2, llm_heads=4, llm_key_value_heads=2, llm_head=16, llm_vocabulary=22016,
)  # fmt: skip
STOCK = ("speech", "speech_lengths", "input_ids", "attention_mask", "labels_ids", "fbank_beg", "fake_token_len")


def write_released(folder: Path) -> Path:
    """The folder with weights that were never trained: the LLM's in bf16, all others in fp32, as in the released file."""
    from local.nano import construct

    write_folder(folder, SMALL)
    torch.manual_seed(3)
    model, _ = construct(str(folder), {})
    state = {name: tensor.bfloat16() if name.startswith("llm.") else tensor for name, tensor in model.state_dict().items()}
    torch.save(state, folder / "model.pt")
    return folder


def stock_model(folder: Path, **settings: str):
    """The folder in FunASR's own hands."""
    from funasr import AutoModel

    return AutoModel(model=str(folder), device="cpu", disable_update=True, disable_pbar=True, ncpu=1, **settings)


def llm_logits(model, batch: dict) -> torch.Tensor:
    """(batch, tokens, vocabulary): the head's scores of all that the LLM's layers make of a batch in training."""
    seen: list[torch.Tensor] = []

    def see(_module, _inputs, output) -> None:
        seen.append(output.last_hidden_state)

    with model.llm.model.register_forward_hook(see), torch.no_grad():
        model(**{name: batch[name].clone() for name in (batch if hasattr(model, "llm_weight") else STOCK) if name != "sources"})
        return model.llm.lm_head(seen[0])

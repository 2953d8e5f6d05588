"""A model folder in the exact form of the released Fun-ASR-Nano-2512, small enough to be trained in a test."""

from __future__ import annotations

from local.released_architecture import Sizes

SMALL = Sizes(
    encoder=64, encoder_heads=4, encoder_ffn=128, blocks=3, tp_blocks=1, adaptor_ffn=128, ctc_ffn=128, ctc_layers=1,
    llm=64, llm_ffn=192, llm_layers=2, llm_heads=4, llm_key_value_heads=2, llm_head=16, llm_vocabulary=24576,
)  # fmt: skip

"""A model folder of Fun-ASR-Nano-2512's form, at its own size or at a smaller one, with everything but weights.

For what needs the shape and not the knowledge: the benchmark, and tests. config.yaml has the released one's sections and
values; both tokenizers are stand-ins made here, one token a Chinese character, since the real ones come with the real model.
"""
from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import yaml
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config

LLM_FOLDER = "Qwen3-0.6B"
CTC_TOKENS = "multilingual.tiktoken"
CTC_SPECIALS = 1679  # what SenseVoiceTokenizer adds to its file by itself: languages, events, time stamps …
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
WORDS = ("system", "user", "assistant", "You", " are", " a", " helpful", " assistant")  # each a token, as to Qwen3
KNOWN = (range(0x4E00, 0xA000), range(0x3000, 0x3040), range(0xFF00, 0xFFF0))  # Han, and the punctuation that goes with it


@dataclass(frozen=True)
class Sizes:
    """Widths and depths. The defaults are the released model's: 868.9 M parameters in 1347 tensors."""

    encoder: int = 512
    encoder_heads: int = 4
    encoder_ffn: int = 2048
    blocks: int = 50
    tp_blocks: int = 20
    adaptor_ffn: int = 2048
    adaptor_layers: int = 2
    ctc_ffn: int = 2048
    ctc_layers: int = 5
    ctc_vocabulary: int = 60515  # the last one is the blank
    llm: int = 1024
    llm_ffn: int = 3072
    llm_layers: int = 28
    llm_heads: int = 16
    llm_key_value_heads: int = 8
    llm_head: int = 128
    llm_vocabulary: int = 151936  # more than the tokenizer has


def write_folder(folder: Path, sizes: Sizes = Sizes()) -> None:
    """Everything of the model folder but `model.pt`; local.nano.construct fills the model with random numbers."""
    (folder / LLM_FOLDER).mkdir(parents=True, exist_ok=True)
    tokenizer = _llm_tokenizer()
    tokenizer.save_pretrained(folder / LLM_FOLDER)
    _llm_config(tokenizer, sizes).save_pretrained(folder / LLM_FOLDER)
    _write_ctc_tokens(folder / CTC_TOKENS, sizes.ctc_vocabulary - 1 - CTC_SPECIALS)
    config = yaml.safe_dump(_config(sizes), allow_unicode=True, sort_keys=False)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "configuration.json").write_text(json.dumps(_CONFIGURATION, indent=1), encoding="utf-8")


def _write_ctc_tokens(path: Path, count: int) -> None:
    """A vocabulary in tiktoken's form, a line a token: its bytes in base64, and its rank.

    All bytes, then characters of three bytes, the most usual ones first; each after its first two bytes, from which it is
    merged. Nothing is merged across characters.
    """
    ranks = {bytes([byte]): byte for byte in range(256)}
    for character in _three_byte_characters():
        for part in (character[:2], character):
            if len(ranks) < count:
                ranks.setdefault(part, len(ranks))
    path.write_bytes(b"".join(b"%b %d\n" % (base64.b64encode(token), rank) for token, rank in ranks.items()))


def _three_byte_characters() -> Iterator[bytes]:
    """UTF-8 of what lies between U+0800 and U+FFFF without the surrogates, Chinese first."""
    rest = (0x3040, 0x4E00), (0xA000, 0xD800), (0xE000, 0xFF00), (0xFFF0, 0x10000), (0x800, 0x3000)
    return (chr(code).encode() for code in chain(*KNOWN, *(range(*part) for part in rest)))


def _llm_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE as Qwen3's, whose merges make Han characters of their bytes and nothing more."""
    by_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges: dict[tuple[str, str], None] = {}
    for code in chain(*KNOWN):
        [(spelt, _)] = by_bytes.pre_tokenize_str(chr(code))  # three letters, each of which stands for a byte
        merges |= {(spelt[0], spelt[1]): None, (spelt[:2], spelt[2]): None}
    tokens += [first + second for first, second in merges]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, list(merges)))
    tokenizer.pre_tokenizer, tokenizer.decoder = by_bytes, decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in WORDS])
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in MARKS])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def _llm_config(tokenizer: PreTrainedTokenizerFast, sizes: Sizes) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=sizes.llm_vocabulary, hidden_size=sizes.llm, intermediate_size=sizes.llm_ffn,
        num_hidden_layers=sizes.llm_layers, num_attention_heads=sizes.llm_heads,
        num_key_value_heads=sizes.llm_key_value_heads, head_dim=sizes.llm_head, max_position_embeddings=40960,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0}, tie_word_embeddings=True, dtype="bfloat16",
        architectures=["Qwen3ForCausalLM"], bos_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip


def _config(sizes: Sizes) -> dict:
    return {
        "model": "FunASRNano",
        "model_conf": {"lsm_weight": 0.1, "length_normalized_loss": True},
        "audio_encoder": "SenseVoiceEncoderSmall",
        "audio_encoder_conf": {
            "output_size": sizes.encoder, "attention_heads": sizes.encoder_heads, "linear_units": sizes.encoder_ffn,
            "num_blocks": sizes.blocks, "tp_blocks": sizes.tp_blocks, "dropout_rate": 0.1, "positional_dropout_rate": 0.1,
            "attention_dropout_rate": 0.1, "input_layer": "pe", "pos_enc_class": "SinusoidalPositionEncoder",
            "normalize_before": True, "kernel_size": 11, "sanm_shfit": 0, "selfattention_layer_type": "sanm",
            "freeze": True, "freeze_layer_num": -1, "feat_permute": True,
        },
        "llm": "Qwen3-0.6b",
        "llm_conf": {
            "hub": "hf", "freeze": True, "llm_dtype": "bf16", "init_param_path": LLM_FOLDER, "use_lora": False,
            "lora_conf": {
                "freeze_lora": True, "task_type": "CAUSAL_LM", "r": 16, "lora_alpha": 32, "lora_dropout": 0.05, "bias": "none",
                "target_modules": ["q_proj", "v_proj"],
            },
        },
        "audio_adaptor": "Transformer",
        "audio_adaptor_conf": {
            "downsample_rate": 1, "use_low_frame_rate": True, "ffn_dim": sizes.adaptor_ffn, "llm_dim": sizes.llm,
            "encoder_dim": sizes.encoder, "n_layer": sizes.adaptor_layers, "freeze": True,
        },
        "ctc_decoder": "Transformer",
        "ctc_decoder_conf": {
            "downsample_rate": 1, "ffn_dim": sizes.ctc_ffn, "llm_dim": sizes.encoder, "encoder_dim": sizes.encoder,
            "n_layer": sizes.ctc_layers, "freeze": False,
        },
        "detach_ctc_decoder": True,
        "ctc_weight": 1.0,
        "ctc_conf": {"dropout_rate": 0.0, "ctc_type": "builtin", "reduce": True, "ignore_nan_grad": True},
        "ctc_vocab_size": sizes.ctc_vocabulary,
        **_WHAT_NO_SIZE_CHANGES,
    }  # fmt: skip


_WHAT_NO_SIZE_CHANGES = {
    "frontend": "WavFrontend",
    "frontend_conf": {
        "fs": 16000, "window": "hamming", "n_mels": 80, "frame_length": 25, "frame_shift": 10, "lfr_m": 7, "lfr_n": 6,
        "cmvn_file": None,
    },
    "train_conf": {
        "use_lora": "${llm_conf.use_lora}", "accum_grad": 1, "grad_clip": 5, "max_epoch": 2, "keep_nbest_models": 200,
        "avg_nbest_model": 100, "log_interval": 100, "validate_interval": 2000, "save_checkpoint_interval": 2000,
        "effective_save_name_excludes": ["llm."], "resume": True, "use_bf16": False, "use_deepspeed": True,
        "deepspeed_config": None, "save_init_model": False,
    },
    "optim": "adamw",
    "optim_conf": {"lr": 5.0e-06, "weight_decay": 0.0},
    "scheduler": "warmuplr",
    "scheduler_conf": {"warmup_steps": 2500},
    "dataset": "FunASR",
    "dataset_conf": {
        "index_ds": "FunASR", "batch_sampler": "BatchSampler", "batch_type": "token", "batch_size": 6000,
        "max_token_length": 3500, "shuffle": True, "sort_size": 1024, "batch_size_scale_ratio_max": 2, "num_workers": 4,
        "audio_adaptor_downsample_rate": "${audio_adaptor_conf.downsample_rate}", "audio_encoder_downsample_rate": 6,
        "data_split_num": 256, "batch_size_sample_max": 10, "retry": 2000, "batch_size_token_max": 6000,
        "max_source_length": 12000, "max_target_length": 2048, "min_source_length": 10, "batch_size_scale_threshold": 3000,
        "prompt_classes": "MultiContextPrompt",
        "prompt_conf": {
            "max_neg_hotwords_num": 0, "min_neg_hotwords_num": 0, "use_hist": False, "use_one_pass_result": True,
            "use_hotwords": True, "use_asr_hotwords": True, "chinese_hotwords_list": None, "english_hotwords_list": None,
        },
        "ctc_tokenizer": "SenseVoiceTokenizer", "ctc_target_normalize": True,
        "ctc_tokenizer_conf": {"vocab_path": None, "is_multilingual": True, "num_languages": 8749},
        "use_dynamic_output_ratio": 0.0,
    },
    "tokenizer": "HuggingfaceTokenizer",
    "tokenizer_conf": {"init_param_path": "${llm_conf.init_param_path}"},
    "enable_tf32": True, "debug": False, "train_data_set_list": None, "valid_data_set_list": None, "init_param": None,
    "output_dir": None,
}  # fmt: skip
_CONFIGURATION = {
    "framework": "pytorch",
    "task": "auto-speech-recognition",
    "model": {"type": "funasr"},
    "pipeline": {"type": "funasr-pipeline"},
    "file_path_metas": {
        "init_param": "model.pt",
        "config": "config.yaml",
        "tokenizer_conf": {"init_param_path": LLM_FOLDER},
        "llm_conf": {"init_param_path": LLM_FOLDER},
        "dataset_conf": {"ctc_tokenizer_conf": {"vocab_path": CTC_TOKENS}},
    },
}

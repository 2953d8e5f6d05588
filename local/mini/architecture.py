"""The folder of the small Fun-ASR-Nano: the released model's classes and directory form at a few million parameters."""
from __future__ import annotations

import json
from pathlib import Path

import yaml
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config

LLM_FOLDER = "Qwen3-mini"
CTC_TOKENS = "ctc_tokens.json"
UNKNOWN, BLANK = "<unk>", "<blank>"
END = "<|im_end|>"
PROMPT_PIECES = (
    "<|endoftext|>", "<|im_start|>", END, "<think>", "</think>", "system\nYou are a helpful assistant.", "user\n", "assistant\n",
    "\n", "语音转写：", "语音转写，不进行文本规整：",
)  # fmt: skip


def characters() -> list[str]:
    """Common Han (GB 2312, level 1: rows 16–55, 3755 characters), printable ASCII and the usual punctuation."""
    han = [bytes((row, cell)).decode("gb2312") for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF)
           if not (row == 0xD7 and cell > 0xF9)]  # fmt: skip
    return [chr(code) for code in range(0x20, 0x7F)] + list("，。？！、：；“”（）【】《》…") + han


def _tokenizer() -> PreTrainedTokenizerFast:
    """One token a character; each fixed piece of the prompt is one token, so that a prompt stays short."""
    pieces = [UNKNOWN, *PROMPT_PIECES, *characters()]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()  # characters are joined without blanks
    tokenizer.add_special_tokens([AddedToken(p, special=True, normalized=False) for p in PROMPT_PIECES])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token="<|endoftext|>", unk_token=UNKNOWN)


def _llm_config(tokenizer: PreTrainedTokenizerFast) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=384, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, max_position_embeddings=1024, tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.pad_token_id,
    )  # fmt: skip


def _config(ctc_vocabulary: int) -> dict:
    return {
        "model": "FunASRNano",
        "audio_encoder": "SenseVoiceEncoderSmall",
        "audio_encoder_conf": {
            "output_size": 128, "attention_heads": 4, "linear_units": 512, "num_blocks": 5, "tp_blocks": 1, "dropout_rate": 0.1,
            "positional_dropout_rate": 0.1, "attention_dropout_rate": 0.1, "input_layer": "pe",
            "pos_enc_class": "SinusoidalPositionEncoder",
            "normalize_before": True, "kernel_size": 11, "sanm_shfit": 0, "selfattention_layer_type": "sanm", "freeze": True,
        },
        "audio_adaptor": "Transformer",
        "audio_adaptor_conf": {
            "downsample_rate": 8, "use_low_frame_rate": True, "ffn_dim": 512, "llm_dim": 128, "encoder_dim": 128, "n_layer": 2,
            "attention_heads": 4, "freeze": True,
        },
        "llm": "Qwen3-0.6b",
        "llm_conf": {"hub": "hf", "freeze": True, "llm_dtype": "fp32", "init_param_path": LLM_FOLDER, "use_lora": False},
        "ctc_decoder": "Transformer",
        "ctc_decoder_conf": {
            "downsample_rate": 1, "ffn_dim": 512, "llm_dim": 128, "encoder_dim": 128, "n_layer": 1, "attention_heads": 4,
            "freeze": True,
        },
        "ctc_weight": 0.3,
        "ctc_vocab_size": ctc_vocabulary,
        "frontend": "WavFrontend",
        "frontend_conf": {
            "fs": 16000, "window": "hamming", "n_mels": 80, "frame_length": 25, "frame_shift": 10, "lfr_m": 7, "lfr_n": 6,
            "cmvn_file": None, "dither": 0.0,
        },
        "dataset": "FunASR",
        "dataset_conf": {
            "index_ds": "FunASR", "ctc_tokenizer": "CharTokenizer", "ctc_tokenizer_conf": {"token_list": CTC_TOKENS},
        },
        "tokenizer": "HuggingfaceTokenizer",
        "tokenizer_conf": {"init_param_path": LLM_FOLDER},
    }  # fmt: skip


_PATHS = {
    "init_param": "model.pt",
    "config": "config.yaml",
    "tokenizer_conf": {"init_param_path": LLM_FOLDER},
    "llm_conf": {"init_param_path": LLM_FOLDER},
    "dataset_conf": {"ctc_tokenizer_conf": {"token_list": CTC_TOKENS}},
}


def write_folder(folder: Path) -> None:
    """Everything of the model folder but its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = [UNKNOWN, *characters(), BLANK]
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder / LLM_FOLDER)
    _llm_config(tokenizer).save_pretrained(folder / LLM_FOLDER)
    (folder / CTC_TOKENS).write_text(json.dumps(tokens, ensure_ascii=False), encoding="utf-8")
    config = yaml.safe_dump(_config(len(tokens)), allow_unicode=True, sort_keys=False)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    paths = {"framework": "pytorch", "task": "auto-speech-recognition", "model": {"type": "funasr"}, "file_path_metas": _PATHS}
    (folder / "configuration.json").write_text(json.dumps(paths, indent=1), encoding="utf-8")

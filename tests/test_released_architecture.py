"""The folder of the released form: what both stand-in tokenizers make of text, and what FunASR builds of the folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from released_form import SMALL

from local.preflight_model import RELEASED, outline
from local.released_architecture import CTC_SPECIALS, LLM_FOLDER, Sizes, write_folder

MIXED = "今天，hello 天气é龘！ 3.5％"


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("released")
    write_folder(folder, SMALL)
    return folder


@pytest.fixture(scope="module")
def built(small):
    return outline(str(small), {})


def test_each_chinese_character_is_one_token_and_nothing_is_lost(built):
    model, settings = built
    for tokenizer in (settings["tokenizer"], model.ctc_tokenizer):
        assert len(tokenizer.encode("今天，天气！")) == 6
        assert tokenizer.decode(tokenizer.encode(MIXED)) == MIXED


def test_the_prompt_is_as_long_as_to_qwen3(built):
    """Its vocabulary has each of these words and signs as one token, beside 语音 for two characters."""
    chat = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n语音转写："
    assert len(built[1]["tokenizer"].encode(chat)) == 9 + 2 + 3 + 5


def test_the_blank_follows_the_last_token(built):
    model, _ = built
    assert model.ctc_tokenizer.get_vocab_size() == model.blank_id == SMALL.ctc_vocabulary - 1 == 60514


def test_the_file_of_ctc_tokens_is_as_long_as_the_specials_leave_room(small, built):
    lines = (small / "multilingual.tiktoken").read_text().splitlines()
    assert len(lines) == 60514 - CTC_SPECIALS == len(set(lines))
    assert len(built[0].ctc_tokenizer.special_tokens) == CTC_SPECIALS


def test_the_embedding_is_longer_than_the_tokenizer_as_in_qwen3(built):
    model, settings = built
    assert len(settings["tokenizer"]) < model.llm.get_input_embeddings().num_embeddings == SMALL.llm_vocabulary
    assert model.llm.config.eos_token_id == settings["tokenizer"].encode("<|im_end|>")[0]


def test_the_folder_has_no_weights(built):
    assert built[1]["released"] is None


def test_the_defaults_are_the_released_model(tmp_path):
    """868.9 M parameters in 1347 tensors, counted without making them."""
    write_folder(tmp_path)
    model, _ = outline(str(tmp_path), {})
    state = model.state_dict()
    tensors = {name: tensor for name, tensor in state.items() if name != "llm.lm_head.weight"}  # tied to the embedding
    assert sum(tensor.numel() for tensor in tensors.values()) == pytest.approx(868.9e6, abs=0.05e6)
    assert len(state) == sum(RELEASED.values()) == 1347
    assert (tmp_path / LLM_FOLDER / "config.json").is_file()


def test_every_size_is_used(tmp_path):
    """A size that changed nothing would be a key that nobody reads."""
    def count(sizes: Sizes) -> list[tuple[str, tuple[int, ...]]]:
        write_folder(tmp_path, sizes)
        model, _ = outline(str(tmp_path), {})
        heads = next(module.h for module in model.modules() if hasattr(module, "h"))
        config = model.llm.config
        attention = ("heads", (heads, config.num_attention_heads, config.num_key_value_heads))
        return [attention, *((name, tuple(tensor.shape)) for name, tensor in model.state_dict().items())]

    before = count(SMALL)
    for field in dataclasses.fields(Sizes):
        value = getattr(SMALL, field.name) * 2
        assert count(dataclasses.replace(SMALL, **{field.name: value})) != before, field.name

"""Our batched decoder says what unmodified FunASR says one by one."""

from __future__ import annotations

import pytest
import torch

from data.prompt import audio_path
from local.batches import collate
from local.decode import CHARACTERS_A_SECOND, SPARE_TOKENS, decode


def texts(ours, examples) -> list[tuple[str, str]]:
    model, settings = ours
    batch = collate(examples)
    return list(zip(*decode(model, settings["tokenizer"], batch, batch["sources"]), strict=True))


@pytest.fixture(scope="module")
def heard(ours, examples) -> list[tuple[str, str]]:
    """(LLM, CTC) of all utterances as one batch."""
    return texts(ours, examples)


def test_a_batch_is_decoded_as_stock_funasr_decodes_one_by_one(heard, stock, rows):
    answers = stock.generate(input=[audio_path(row["messages"]) for row in rows])
    assert [llm for llm, _ in heard] == [answer["text"] for answer in answers], "the LLM's texts"
    assert [ctc for _, ctc in heard] == [answer["ctc_text"] for answer in answers], "the CTC branch's texts"


def test_texts_are_not_empty(heard):
    assert all(llm and ctc for llm, ctc in heard)


def test_the_company_of_an_utterance_changes_nothing(heard, ours, examples):
    alone = [texts(ours, [example])[0] for example in examples[:6]]
    assert heard[:6] == alone
    assert heard[::-1][:7] == texts(ours, examples[::-1][:7])


def test_an_llm_that_never_ends_is_cut_by_the_length_of_the_sound(ours, examples, monkeypatch):
    model, settings = ours
    monkeypatch.setattr(model.llm.generation_config, "eos_token_id", None)
    (text,), _ = decode(model, settings["tokenizer"], (batch := collate(examples[:1])), batch["sources"])
    seconds = 0.06 * len(examples[0]["speech"])
    assert 0 < len(text) <= SPARE_TOKENS + CHARACTERS_A_SECOND * seconds


def test_decoding_draws_nothing(ours, examples):
    torch.manual_seed(1)
    first = texts(ours, examples[:3])
    torch.manual_seed(2)
    assert texts(ours, examples[:3]) == first

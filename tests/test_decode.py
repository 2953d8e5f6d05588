"""Our batched decoder says what unmodified FunASR says one by one."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from data.audio import read_wideband
from data.prompt import audio_path
from local.batches import collate
from local.decode import Heard, decode, write
from local.runaway import limit

EXTREME = (0.03, 0.3, 9.0, 40.0)  # seconds: one window of the frontend, a breath, and what a batch hardly ever holds


def texts(ours, examples) -> list[Heard]:
    model, settings = ours
    batch = collate(examples)
    return decode(model, settings["tokenizer"], batch, batch["sources"])


def seconds(example) -> float:
    return 0.06 * len(example["speech"])


@pytest.fixture(scope="module")
def heard(ours, examples) -> list[Heard]:
    """All utterances as one batch."""
    return texts(ours, examples)


@pytest.fixture(scope="module")
def waves(rows) -> list[torch.Tensor]:
    """(samples,) of extreme lengths, cut from all speech in a row."""
    speech = torch.cat([torch.from_numpy(read_wideband(audio_path(row["messages"]))) for row in rows])
    return [speech[: int(16000 * length)] for length in EXTREME]


@pytest.fixture(scope="module")
def mixed(waves, rows, featuriser, examples) -> list[dict[str, torch.Tensor]]:
    """The extreme lengths among ordinary ones."""
    return [*(featuriser(rows[0]["messages"], wave) for wave in waves), *examples[:4]]


@pytest.fixture
def endless(ours, monkeypatch) -> None:
    """An LLM whose texts never end by themselves."""
    monkeypatch.setattr(ours[0].llm.generation_config, "eos_token_id", None)


def test_a_batch_is_decoded_as_stock_funasr_decodes_one_by_one(heard, stock, rows):
    answers = stock.generate(input=[audio_path(row["messages"]) for row in rows])
    assert [one.llm for one in heard] == [answer["text"] for answer in answers], "the LLM's texts"
    assert [one.ctc for one in heard] == [answer["ctc_text"] for answer in answers], "the CTC branch's texts"


def test_extreme_lengths_in_one_batch_are_decoded_as_stock_funasr_decodes_one_by_one(ours, mixed, stock, waves):
    found = texts(ours, mixed)[: len(waves)]
    answers = stock.generate(input=waves)
    assert [one.ctc for one in found] == [answer["ctc_text"] for answer in answers]
    whole = [(one.llm, answer["text"]) for one, answer in zip(found, answers, strict=True) if not one.cut]
    assert len(whole) >= 2 and all(llm == stocks for llm, stocks in whole)


def test_texts_are_whole_and_not_empty(heard):
    assert all(one.llm and one.ctc and not one.cut for one in heard)


@pytest.mark.parametrize("size", [1, 3, 8])
def test_neither_order_nor_size_of_the_batch_changes_anything(size, heard, ours, examples):
    order = random.Random(size).sample(range(len(examples)), len(examples))
    found = {}
    for begin in range(0, len(order), size):
        part = order[begin : begin + size]
        found |= dict(zip(part, texts(ours, [examples[index] for index in part]), strict=True))
    assert [found[index] for index in range(len(examples))] == heard


def test_an_utterance_that_never_ends_is_cut_by_its_own_sound_in_any_company(ours, mixed, endless):
    together = texts(ours, mixed)
    assert all(one.cut for one in together)
    assert all(len(one.llm) <= limit(seconds(example)) for one, example in zip(together, mixed, strict=True))
    assert together == [texts(ours, [example])[0] for example in mixed]


@torch.inference_mode()
def test_a_cut_text_begins_as_the_text_of_generate(ours, mixed, endless):
    """The same tokens as FunASR's decoder finds, which is told to stop at the same length."""
    model, settings = ours
    for example, one in zip(mixed, texts(ours, mixed), strict=True):
        most = limit(seconds(example))
        tokens = model.llm.generate(inputs_embeds=prepared(model, example), max_new_tokens=most, do_sample=False)[0]
        text = settings["tokenizer"].decode(tokens, skip_special_tokens=True)
        assert text == one.llm if one.cut == "length" else text.startswith(one.llm)


def prepared(model, example) -> torch.Tensor:
    """FunASR's way to the embedded prompt (1, tokens, dim) of one utterance."""
    speech, lengths = example["speech"][None], torch.tensor([len(example["speech"])])
    audio, _ = model.audio_adaptor(*model.audio_encoder(speech.clone(), lengths))
    inputs = model.llm.get_input_embeddings()(example["source_ids"][None])
    begin, count = int(example["fbank_beg"][0]), int(example["fake_token_len"][0])
    inputs[0, begin : begin + count] = audio[0, :count]
    return inputs


class Reader(nn.Module):
    """In the place of an LLM: reads out what is written for each row, whose number is the first of its prompt."""

    END = 1

    def __init__(self, config, lines: list[list[int]]) -> None:
        super().__init__()
        self.config, self.lines = config, [[*line, self.END] for line in lines]
        self.generation_config = type("Settings", (), {"eos_token_id": [self.END, 2]})
        self.batches: list[list[int]] = []  # the rows of every step

    def forward(self, attention_mask, position_ids, inputs_embeds=None, input_ids=None, **_):
        if input_ids is None:
            self.rows = [int(row[mask.argmax(), 0]) for row, mask in zip(inputs_embeds, attention_mask, strict=True)]
            self.prompts = dict(zip(self.rows, attention_mask.sum(1).tolist(), strict=True))
        else:
            self.rows = [token // 1000 for token in input_ids[:, 0].tolist()]
        self.batches.append(self.rows)
        logits = torch.zeros(len(self.rows), 1, 10000)
        for place, row in enumerate(self.rows):
            step = int(position_ids[place, -1]) + 1 - self.prompts[row]
            assert int(attention_mask[place].sum()) == self.prompts[row] + step
            logits[place, 0, self.lines[row][min(step, len(self.lines[row]) - 1)]] = 1.0
        return type("Answer", (), {"logits": logits})


def read_out(ours, lines: list[list[int]], lengths: list[float]):
    reader = Reader(ours[0].llm.config, lines)
    prompts = [torch.full((3 + row, 4), float(row)) for row in range(len(lines))]
    widest = len(prompts[-1])
    inputs = torch.stack([torch.cat([torch.zeros(widest - len(prompt), 4), prompt]) for prompt in prompts])
    mask = torch.stack([torch.tensor([0] * (widest - len(prompt)) + [1] * len(prompt)) for prompt in prompts])
    return reader, write(reader, inputs, mask, lengths)


def test_texts_that_have_ended_leave_the_batch(ours):
    lines = [[1000 * row + number for number in range(10, 10 + length)] for row, length in enumerate((2, 9, 30, 2))]
    reader, found = read_out(ours, lines, [60.0] * 4)
    assert [text.tokens for text in found] == lines and not any(text.cut for text in found)
    assert len(reader.batches) == 31, "no step after the last text has ended"
    assert reader.batches[4] == [1, 2] and reader.batches[11:] == [[2]] * 20


def test_a_loop_costs_no_steps_beyond_what_its_sound_allows(ours):
    lines = [[11, *[12, 13] * 500], [1000 + number for number in range(10, 16)]]
    reader, (lost, whole) = read_out(ours, lines, [10.0, 1.0])
    assert (lost.tokens, lost.cut, whole.tokens, whole.cut) == ([11, 12, 13], "loop", lines[1], "")
    assert len(reader.batches) == 88 < limit(10.0), "the first multiple of 8 with over 10 s x 8 tokens of it"


def test_decoding_draws_nothing(ours, examples):
    torch.manual_seed(1)
    first = texts(ours, examples[:3])
    torch.manual_seed(2)
    assert texts(ours, examples[:3]) == first

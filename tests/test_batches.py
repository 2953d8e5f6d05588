"""From rows to batches: the prompt is inference's, no utterance is lost, padding is told from speech."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.audio import write_wav
from data.errors import UserError
from data.manifest import row
from data.online import MARK
from local.batches import IGNORED, Utterances, collate, loader, pieces_of, plan, shares, to_device, tokens_of

COSTS = st.lists(st.integers(1, 300), min_size=1, max_size=60)
BUDGET, MOST = st.integers(50, 1000), st.integers(1, 12)
SEED, EPOCH = st.integers(0, 5), st.integers(0, 5)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def stock_inputs(stock, rows):
    """What unmodified FunASR makes of each file's path when it decodes, {name: tensor} a row."""
    made = []
    for fields in rows:
        path = (
            fields["messages"][1]["content"]
            .partition("<|startofspeech|>!")[2]
            .partition("<|endofspeech|>")[0]
        )
        chat = stock.model.generate_chatml(stock.model.get_prompt([]), path)
        conf = {
            name: value
            for name, value in stock.kwargs.items()
            if name not in ("tokenizer", "frontend", "model")
        }
        contents = stock.model.data_template(chat)
        made.append(
            stock.model.data_load_speech(
                contents, stock.kwargs["tokenizer"], stock.kwargs["frontend"], {}, **conf
            )
        )
    return made


class Echo:
    """In the place of data.online.OnlineChannel: another noise for every variant."""

    def hear(self, key: str, variant: int) -> np.ndarray:
        return np.random.default_rng(variant).integers(-999, 999, 16000).astype(np.int16)


@pytest.mark.parametrize("workers", [0, 1])
def test_with_a_channel_every_epoch_hears_another_call(rows, featuriser, workers):
    data = Utterances([fields | {"channel": MARK} for fields in rows[:4]], featuriser, Echo())
    heard = []
    for epoch in (1, 2, 2):
        data.epoch = epoch
        batches = list(loader(data, [[0, 1], [2, 3]], workers))
        assert all(batch["speech"].shape[1] == 17 for batch in batches)
        heard.append(batches[0]["speech"])
    assert not heard[0].equal(heard[1]) and heard[1].equal(heard[2])


def test_training_hears_and_is_asked_what_stock_inference_is(examples, stock_inputs):
    for example, expected in zip(examples, stock_inputs, strict=True):
        prompt = expected["source_ids"][0]
        assert torch.equal(example["source_ids"], prompt), "another prompt for decoding"
        assert torch.equal(example["input_ids"][: len(prompt)], prompt), "another prompt in training"
        assert torch.equal(example["speech"], expected["speech"][0])
        assert torch.equal(example["fbank_beg"], expected["fbank_beg"][0])
        assert torch.equal(example["fake_token_len"], expected["fake_token_len"][0])


def test_the_batch_carries_the_prompts_of_stock_inference(examples, stock_inputs):
    sources = collate(examples)["sources"]
    assert len(sources) == len(examples)
    for source, expected in zip(sources, stock_inputs, strict=True):
        assert torch.equal(source, expected["source_ids"][0]), "another prompt for decoding"


def test_labels_are_the_text_and_its_end_and_nothing_else(examples, rows, stock):
    tokenizer = stock.kwargs["tokenizer"]
    for example, fields in zip(examples, rows, strict=True):
        answer = example["labels_ids"][example["labels_ids"] != IGNORED]
        assert tokenizer.decode(answer) == fields["messages"][2]["content"] + "<|im_end|>"
        assert torch.equal(example["input_ids"][-len(answer) :], answer)


def test_speech_has_the_length_that_its_row_states(examples, rows):
    assert [len(example["speech"]) for example in examples] == [fields["speech_length"] for fields in rows]


def test_collate_pads_on_the_right_and_says_where(examples):
    batch = collate(examples[:4])
    assert len(batch["speech"]) == 4
    for number, example in enumerate(examples[:4]):
        for name, length in (("speech", "speech_lengths"), ("ctc_targets", "ctc_target_lengths")):
            size = len(example[name])
            assert batch[length][number] == size
            assert torch.equal(batch[name][number, :size], example[name])
            assert not batch[name][number, size:].any()
        size = len(example["input_ids"])
        assert torch.equal(batch["input_ids"][number, :size], example["input_ids"])
        assert batch["attention_mask"][number].tolist() == [1] * size + [0] * (
            batch["input_ids"].shape[1] - size
        )
        assert (batch["labels_ids"][number, size:] == IGNORED).all()


def test_an_epoch_gives_the_model_every_row_once(rows, featuriser):
    """Told apart by their sound, after batching, loading and collating."""
    batches = plan([tokens_of(fields) for fields in rows], 400, 4, seed=1, epoch=1)
    heard = [
        speech[:length].sum().item()
        for batch in loader(Utterances(rows, featuriser), batches, 0)
        for speech, length in zip(batch["speech"], batch["speech_lengths"], strict=True)
    ]
    wanted = [example["speech"].sum().item() for example in Utterances(rows, featuriser)]
    assert sorted(heard) == pytest.approx(sorted(wanted)), "an utterance was lost, doubled or changed"


def test_workers_change_nothing(rows, featuriser):
    data, batches = Utterances(rows[:6], featuriser), [[0, 3], [5], [1, 2, 4]]
    for alone, other in zip(loader(data, batches, 0), loader(data, batches, 2), strict=True):
        assert torch.equal(alone["speech"], other["speech"])
        assert torch.equal(alone["input_ids"], other["input_ids"])


def test_telephone_rate_is_brought_to_16_khz(rows, featuriser, tmp_path):
    sound = torch.sin(torch.arange(8000) * 0.3).numpy()
    write_wav(tmp_path / "call.wav", sound, 8000)
    fields = row("call", tmp_path / "call.wav", "喂", 16000)
    assert len(Utterances([fields], featuriser)[0]["speech"]) == fields["speech_length"]


@pytest.mark.parametrize("content", [None, b"", b"no sound at all"])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_cannot_be_read_stops_with_its_utterance(content, workers, rows, featuriser, tmp_path):
    path = tmp_path / "broken.wav"
    if content is not None:
        path.write_bytes(content)
    data = Utterances([rows[0], row("the_broken_one", path, "喂", 16000)], featuriser)
    batch = next(iter(loader(data, [[0, 1]], workers)))
    with pytest.raises(UserError, match=r"utterance the_broken_one: .*broken\.wav.*; bring the file back") as caught:
        to_device(batch, CPU)
    assert "\n" not in str(caught.value)


def test_only_what_stage_0_made_is_made_again_by_it(featuriser, tmp_path, monkeypatch):
    monkeypatch.setenv("OUTPUT_ROOT", str(tmp_path))
    data = Utterances([row("gone", tmp_path / "data/real_8k_telephone/gone.wav", "喂", 16000)], featuriser)
    assert data[0]["error"].endswith("bash run_experiment.sh clean 0")


@given(COSTS, BUDGET, MOST, SEED, EPOCH)
def test_plan_uses_each_index_once_within_budget(costs, budget, most, seed, epoch):
    batches = plan(costs, budget, most, seed, epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(costs)))
    for batch in batches:
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or len(batch) * max(costs[index] for index in batch) <= budget


@given(COSTS, BUDGET, MOST, SEED, EPOCH)
def test_plan_repeats(costs, budget, most, seed, epoch):
    assert plan(costs, budget, most, seed, epoch) == plan(list(costs), budget, most, seed, epoch)


def test_plan_differs_from_epoch_to_epoch():
    costs = list(range(20, 60))
    assert len({str(plan(costs, 500, 8, 1, epoch)) for epoch in range(4)}) == 4


def test_plan_puts_like_lengths_together():
    """Padding is small: under 15 % of what is computed, though lengths differ fivefold."""
    costs = [50 + (37 * number) % 200 for number in range(400)]
    padded = sum(len(batch) * max(costs[index] for index in batch) for batch in plan(costs, 4000, 64, 1, 1))
    assert sum(costs) / padded > 0.85


@given(COSTS, MOST, st.integers(1, 5))
@settings(max_examples=60)
def test_shares_of_all_processes_are_the_batches(costs, most, size):
    batches = plan(costs, 500, most, 1, 1)
    parts = [shares(batches, rank, size) for rank in range(size)]
    for number, batch in enumerate(batches):
        of_batch = [part[number] for part in parts]
        assert sorted(index for indices, counts in of_batch if counts for index in indices) == sorted(batch)
        for indices, counts in of_batch:
            assert indices, "a process without an utterance cannot take part in the step"
            assert counts or indices == batch[:1]


@given(st.integers(1, 20), st.integers(1, 25))
def test_pieces_of_a_batch_are_batches_of_their_own(examples, size, count):
    """Each is what collating its utterances makes; together they are all of them, in order."""
    pieces = pieces_of(collate(examples[:size]), count)
    assert len(pieces) == min(size, count)
    begin = 0
    for piece in pieces:
        end = begin + len(piece["sources"])
        for name, value in collate(examples[begin:end]).items():
            if name == "sources":
                assert all(map(torch.equal, piece[name], value))
            else:
                assert torch.equal(piece[name], value), name
        begin = end
    assert begin == size

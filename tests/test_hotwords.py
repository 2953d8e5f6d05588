"""Lists of hotwords: FunASR's words around them, the stated rates, and that they reach the model."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_stage import config, run, words

from data.errors import UserError
from data.prompt import DEFAULT_PROMPT, audio_path, messages
from data.storage import hear
from local.batches import Featuriser, Utterances, collate, tokens_of
from local.contract import declare
from local.decode import decode
from local.distributed import World
from local.hotwords import GIVEN, DrawnLists, Keywords, context, lists_of, own_words, scored_with
from local.loop import Loop
from local.nano import build
from local.train import main, overrides

WORDS = ["套餐", "流量", "话费", "来电显示", "来电", "ETC", "一零零八六"]
LISTS = st.lists(st.text(min_size=1).filter(lambda word: "<|" not in word), max_size=40)
CHAT = 11  # tokens of the small model around the sound and the list; there a character is one
ALONE = World(0, 1, torch.device("cpu"))
ASKED = ([], ["话费"], WORDS, ["天气", "没有人说的词", "Wi-Fi"])


def said(text: str, key: str = "a", **more) -> dict:
    return {"key": key, "messages": messages("a.wav", text), **more}


def drawn(*settings: str, keywords: list[str] = WORDS, seed: int = 1) -> DrawnLists:
    return DrawnLists(keywords, config(3, *settings).dataset_conf, seed)


def always(hotwords: list[str]):
    return lambda row, epoch: hotwords


@given(LISTS)
def test_the_prompt_is_the_one_that_funasr_builds(stock, hotwords):
    for itn, prompt in ((True, DEFAULT_PROMPT), (False, "语音转写，不进行文本规整：")):
        assert context(hotwords) + prompt == stock.model.get_prompt(hotwords, itn=itn)


@pytest.mark.parametrize("hotwords", ASKED)
def test_its_tokens_and_the_place_of_the_sound_are_those_of_stock_inference(stock, rows, featuriser, hotwords):
    example = Utterances(rows[:1], featuriser, hotwords=always(hotwords))[0]
    chat = stock.model.generate_chatml(stock.model.get_prompt(hotwords), audio_path(rows[0]["messages"]))
    conf = {name: value for name, value in stock.kwargs.items() if name not in ("tokenizer", "frontend", "model")}
    expected = stock.model.data_load_speech(
        stock.model.data_template(chat), stock.kwargs["tokenizer"], stock.kwargs["frontend"], {}, **conf
    )
    asked = expected["source_ids"][0]
    assert torch.equal(example["source_ids"], asked), "another prompt for decoding"
    assert torch.equal(example["input_ids"][: len(asked)], asked), "another prompt in training"
    assert torch.equal(example["fbank_beg"], expected["fbank_beg"][0])


def test_an_empty_list_changes_nothing(rows, featuriser, examples):
    for example, plain in zip(Utterances(rows, featuriser, hotwords=always([])), examples, strict=True):
        assert all(torch.equal(example[name], plain[name]) for name in plain)


def test_a_batch_of_unlike_lists_is_decoded_as_stock_funasr_decodes_one_by_one(ours, stock, rows, featuriser):
    model, settings = ours
    asked = [ASKED[number % len(ASKED)] for number in range(12)]
    sounds = [torch.from_numpy(hear(row)) for row in rows]
    batch = collate([featuriser(row["messages"], *more) for row, *more in zip(rows, sounds, asked, strict=False)])
    heard = decode(model, settings["tokenizer"], batch, batch["sources"])
    answers = [
        stock.generate(input=[audio_path(row["messages"])], hotwords=hotwords)[0]
        for row, hotwords in zip(rows, asked, strict=False)
    ]
    assert [one.llm for one in heard if not one.cut] == [
        answer["text"] for answer, one in zip(answers, heard, strict=True) if not one.cut
    ]
    assert sum(not one.cut for one in heard) > 6
    assert [one.ctc for one in heard] == [answer["ctc_text"] for answer in answers]


@pytest.mark.parametrize(
    ("text", "held", "others"),
    [
        ("请查一下套餐和话费，套餐。", ["套餐", "话费"], ["流量", "来电显示", "来电", "ETC", "一零零八六"]),
        ("我要办etc，打10086", ["ETC", "一零零八六"], ["套餐", "流量", "话费", "来电显示", "来电"]),
        ("", [], WORDS),
    ],
)
def test_keywords_are_found_as_they_are_scored(text, held, others):
    assert Keywords(WORDS).parted(said(text)) == (held, others)


def test_what_stands_inside_a_keyword_that_was_said_is_no_distractor():
    assert Keywords(WORDS).parted(said("开通来电显示")) == (["来电显示"], ["套餐", "流量", "话费", "ETC", "一零零八六"])


@given(st.lists(st.sampled_from([*WORDS, "你", "好"]), max_size=6).map("".join), st.integers(0, 5), st.integers(1, 9))
def test_a_list_holds_all_that_was_said_or_none_of_it(text, epoch, most):
    row = said(text)
    held, _ = Keywords(WORDS).parted(row)
    found = drawn("++dataset_conf.hotword_rate=1", f"++dataset_conf.hotword_most={most}")(row, epoch)
    assert len(set(found)) == len(found) <= most and set(found) <= set(WORDS)
    true = set(found) & set(held)
    assert len(true) in (0, min(len(held), most))
    assert not any(word in text for word in set(found) - true), "a word that was said is called a distractor"


def test_rates_hold_and_a_list_does_not_tell_whether_a_keyword_was_said():
    """Of 4,000 utterances, in each of two epochs, within five standard deviations."""
    lists = drawn("++dataset_conf.hotword_rate=0.4", "++dataset_conf.hotword_true_rate=0.8")
    rows = [said("查话费" if number % 2 else "你好", key=str(number)) for number in range(4000)]
    for epoch in (1, 2):
        found = [lists(row, epoch) for row in rows]
        asked = [number for number, words in enumerate(found) if words]
        calls = [number for number in asked if number % 2]
        true = sum("话费" in found[number] for number in calls)
        for count, of, rate in ((len(asked), 4000, 0.4), (len(calls), len(asked), 0.5), (true, len(calls), 0.8)):
            assert abs(count - of * rate) < 5 * math.sqrt(of * rate * (1 - rate))
        assert sum("话费" in words for words in found[::2]) > 100, "a keyword in a list says nothing of what was said"


def test_lists_depend_on_seed_key_and_epoch_alone():
    rows = [said("查话费", key=str(number)) for number in range(30)]

    def all_of(seed: int, epoch: int, order: int) -> list[list[str]]:
        lists = drawn("++dataset_conf.hotword_rate=0.5", seed=seed)
        found = {row["key"]: lists(row, epoch) for row in rows[::order]}
        return [found[row["key"]] for row in rows]

    assert all_of(1, 1, 1) == all_of(1, 1, -1)
    assert len({str(all_of(seed, epoch, 1)) for seed in (1, 2) for epoch in (1, 2)}) == 4
    assert len({str(words) for words in all_of(1, 1, 1)}) > 10, "another list for every key"


def test_words_come_in_any_order():
    lists = drawn("++dataset_conf.hotword_rate=1", "++dataset_conf.hotword_true_rate=1")
    found = [lists(said("查话费", key=str(number)), 1) for number in range(200)]
    assert {words.index("话费") for words in found} == set(range(len(WORDS)))


@pytest.mark.parametrize("own", [["积分", "话费"], "积分, 话费"])
def test_a_rows_own_list_takes_the_place_of_a_draw(own):
    lists = drawn("++dataset_conf.hotword_rate=0.5")
    found = [lists(said("查话费", key=str(number), hotwords=own), 1) for number in range(200)]
    assert {tuple(words) for words in found} == {(), ("积分", "话费")}


@pytest.mark.parametrize("own", [3, ["a", 4], [""], {"a": 1}])
def test_what_is_no_list_of_words_is_refused(own):
    with pytest.raises(UserError, match=r"utterance a: its hotwords are .* must be a list of words"):
        own_words(said("你好", hotwords=own))


def test_keywords_and_their_rate_go_together(tmp_path):
    path = tmp_path / "keywords.txt"
    path.write_text("话费\n", encoding="utf-8")
    asking, silent = config(3), config(1)
    with pytest.raises(UserError, match=r"hotword_rate is 0, and --keywords names .*keywords\.txt"):
        lists_of(path, [said("你好")], silent)
    assert lists_of(None, [said("你好")], silent) is None
    assert lists_of(None, [said("你好")], asking) is None, "no keywords: no lists"
    assert lists_of(None, [said("你好", hotwords=["积分"])], asking).keywords.words == []
    assert lists_of(path, [said("你好")], asking).keywords.words == ["话费"]


def test_a_list_costs_its_characters(rows, featuriser):
    plain = Utterances(rows[:3], featuriser).costs(0)
    assert plain == [tokens_of(row) for row in rows[:3]]
    asked = Utterances(rows[:3], featuriser, hotwords=lambda row, epoch: ASKED[2] if row is rows[1] else []).costs(0)
    assert [more - cost for more, cost in zip(asked, plain, strict=True)] == [0, len(context(ASKED[2])), 0]


def test_a_set_is_scored_with_the_whole_list_and_with_what_nobody_says():
    ways = scored_with(WORDS)
    row = said("查话费和来电显示")
    assert ways["hotwords"](row, 0) == WORDS
    assert ways["distractors"](row, 0) == ["套餐", "流量", "ETC", "一零零八六"]


def test_of_a_long_list_a_user_gives_what_the_call_is_about():
    many = [f"词{chr(0x4E00 + 7 * number)}" for number in range(3 * GIVEN)]
    ways = scored_with(many)
    row, other = said(f"我说{many[70]}和{many[3]}"), said("你好", key="b")
    found = ways["hotwords"](row, 0)
    assert len(found) == len(set(found)) == GIVEN and {many[3], many[70]} <= set(found)
    assert found == sorted(found, key=many.index) == scored_with(many)["hotwords"](row, 0)
    assert ways["distractors"](row, 0) == [word for word in found if word not in (many[3], many[70])]
    assert len(ways["hotwords"](other, 0)) == GIVEN and ways["hotwords"](other, 0) != found


def test_stage_3_learns_to_read_the_list(model_dir, rows):
    """One sound, two texts: only the list says which was meant."""
    spoken = ("话费", "流量")
    two = [rows[0] | {"key": word, "hotwords": [word], "messages": messages(audio_path(rows[0]["messages"]), f"查{word}")}
           for word in spoken]  # fmt: skip
    chosen = config(3, "++dataset_conf.hotword_rate=1", "++train_conf.max_epoch=200", "++optim_conf.lr=4e-3")
    torch.manual_seed(0)
    model, settings = build(str(model_dir), None, overrides(chosen))
    model.llm_weight = chosen.llm_weight
    declare(model, chosen.stage.groups)
    featuriser = Featuriser(settings, model)
    data = Utterances(two, featuriser, hotwords=drawn("++dataset_conf.hotword_rate=1"))
    batch = collate(list(data))
    loop = Loop(model.train(), data, chosen, ALONE, None)
    losses = [loop.step([(dict(batch), True)])["llm"] for _ in range(200)]
    assert losses[-1] < 0.05 < math.log(2) / 4 < losses[0], "who guesses between the two loses ln 2 at one of four tokens"
    heard = decode(model.eval(), settings["tokenizer"], batch, batch["sources"])
    assert [one.llm for one in heard] == [f"查{word}" for word in spoken]


def test_no_batch_of_an_epoch_is_over_its_budget_with_its_lists(model_dir, rows, featuriser, monkeypatch):
    budget = 400
    chosen = config(3, f"++dataset_conf.batch_size={budget}", "++dataset_conf.batch_size_utts=20", "++train_conf.accum_grad=1")
    model, _ = build(str(model_dir), None, overrides(chosen))
    declare(model, chosen.stage.groups)
    asked = drawn("++dataset_conf.hotword_rate=0.5")
    loop = Loop(model, Utterances(rows, featuriser, hotwords=asked), chosen, ALONE, None)
    sizes, heard = [], []

    def step(batches):
        for batch, _ in batches:
            sizes.append(len(batch["sources"]))
            heard.extend(zip(batch["sources"], batch["fake_token_len"], strict=True))
            assert sizes[-1] == 1 or sizes[-1] * (batch["input_ids"].shape[1] - CHAT) <= budget
        return {"llm": 0.0}

    monkeypatch.setattr(loop, "step", step)
    for epoch in (1, 2):
        heard.clear()
        loop.run(epoch, lambda: None)
        added = sorted(len(source) - int(sound) - CHAT for source, sound in heard)
        assert added == sorted(len(context(asked(row, epoch))) for row in rows), "other lists than the epoch's"
    assert max(sizes) > 2


def test_a_training_gives_lists_and_goes_on_with_the_same_keywords_alone(model_dir, rows, tmp_path, monkeypatch):
    """Undisturbed and interrupted, the same lists: the same tensors."""
    path = tmp_path / "keywords.txt"
    path.write_text("天气\n提醒\n电话\n", encoding="utf-8")
    more = ("--keywords", str(path), "++dataset_conf.batch_size_utts=2", "++train_conf.accum_grad=1", "++train_conf.max_epoch=2",
            "++train_conf.avg_nbest_model=1", "++train_conf.save_interval=1")  # fmt: skip
    undisturbed = run(3, model_dir, tmp_path / "undisturbed", rows[:6], *more)
    log = (tmp_path / "undisturbed/train.log").read_text(encoding="utf-8")
    assert "asks 50 % of the utterances with a list of at most 30 of 3 keywords, 70 % of the lists with those that" in log
    plain = run(3, model_dir, tmp_path / "plain", rows[:6], *more[2:])
    assert "list of at most" not in (tmp_path / "plain/train.log").read_text(encoding="utf-8")
    assert any(not tensor.equal(plain[name]) for name, tensor in undisturbed.items()), "lists make no difference"
    with monkeypatch.context() as patch:
        step = Loop.step

        def guarded(self, batches):
            if self.update == 3:
                raise KeyboardInterrupt
            return step(self, batches)

        patch.setattr(Loop, "step", guarded)
        with pytest.raises(KeyboardInterrupt):
            run(3, model_dir, tmp_path / "resumed", rows[:6], *more)
    path.write_text("天气\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"keywords was 3 of sha256 .* is now 1 of sha256"):
        main(words(3, model_dir, tmp_path / "resumed", rows[:6], *more))
    path.write_text("天气\n提醒\n电话\n", encoding="utf-8")
    resumed = run(3, model_dir, tmp_path / "resumed", rows[:6], *more)
    assert all(tensor.equal(undisturbed[name]) for name, tensor in resumed.items())

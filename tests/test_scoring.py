"""Scores of a whole set: against jiwer, kaldialign and edits that were made on purpose; what must not pass in silence."""

from __future__ import annotations

import json
import random

import jiwer
import kaldialign
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UserError
from local.scoring import score

texts = st.text(alphabet="退款订单卡", max_size=8)
HAN = "的一是了我不人在他有这上个来到时大地为子中你说生国年着就那和要她出也得里后自以会"
KEYWORDS = ("退款", "订单", "信用卡")  # none of their characters is in HAN


@given(st.lists(st.tuples(texts.filter(bool), texts), min_size=1, max_size=5))
def test_pooled_cer_equals_jiwer(corpus: list[tuple[str, str]]) -> None:
    refs, hyps = ({f"u{n}": side for n, side in enumerate(sides)} for sides in zip(*corpus, strict=True))
    result, oracle = score(refs, hyps), jiwer.process_characters(list(refs.values()), list(hyps.values()))
    assert result["cer"] == pytest.approx(100 * oracle.cer)
    counts = oracle.substitutions, oracle.deletions, oracle.insertions
    assert (result["sub"], result["del"], result["ins"]) == counts
    assert result["ref"] == sum(map(len, refs.values()))


def test_a_thousand_random_pairs_are_scored_as_by_jiwer_and_kaldialign() -> None:
    rng = random.Random(5)
    refs, hyps = {}, {}
    for number in range(1000):
        letters = HAN[: rng.randint(2, len(HAN))]
        refs[f"u{number}"], hyps[f"u{number}"] = ("".join(rng.choices(letters, k=rng.randint(1, 40))) for _ in range(2))
    for key in list(refs)[::2]:  # half of them alike, as recognition is
        hyps[key] = "".join(rng.choice(HAN) if rng.random() < 0.2 else one for one in refs[key] if rng.random() < 0.9)
    result = score(refs, hyps)
    assert result["cer"] == pytest.approx(100 * jiwer.cer(list(refs.values()), list(hyps.values())), abs=1e-9)
    found = [kaldialign.edit_distance(ref, hyps[key]) for key, ref in refs.items()]
    assert result["sub"] + result["del"] + result["ins"] == sum(one["total"] for one in found)
    assert result["del"] - result["ins"] == sum(one["del"] - one["ins"] for one in found)


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, str, dict[str, int]]:
    """A reference of keywords between words, what edits of one kind make of it, and their counts.

    Every character stands once and what is put in is new, so that no other edits are as few.
    """
    kind, rest, new = draw(st.sampled_from(["sub", "del", "ins"])), iter(HAN), iter("abcdefghijklmnopqrstuvwxyz")
    ref, hyp = "", []
    counts = dict.fromkeys(("sub", "del", "ins", "hits", "total", "inside"), 0)
    for word in draw(st.permutations(KEYWORDS)):
        beside = "".join(next(rest) for _ in range(draw(st.integers(1, 4))))
        ref += beside + word
        errors = [draw(st.booleans()) for _ in beside + word]
        for unit, wrong in zip(beside + word, errors, strict=True):
            hyp += [next(new)] if wrong and kind != "del" else []
            hyp += [unit] if not wrong or kind == "ins" else []
        before = len(beside) + (kind == "ins")  # what is put in front of a keyword is outside of it
        counts[kind] += sum(errors)
        counts["inside"] += sum(errors[before:])
        counts["hits"] += not any(errors[before:])
        counts["total"] += 1
    return ref, " ".join(hyp), counts


@given(st.lists(edited(), min_size=1, max_size=4))
def test_known_edits_give_their_exact_counts(corpus: list[tuple[str, str, dict[str, int]]]) -> None:
    refs = {f"u{n}": ref for n, (ref, _, _) in enumerate(corpus)}
    hyps = {f"u{n}": hyp for n, (_, hyp, _) in enumerate(corpus)}
    made = {name: sum(counts[name] for *_, counts in corpus) for name in corpus[0][2]}
    result = score(refs, hyps, KEYWORDS)
    errors = made["sub"] + made["del"] + made["ins"]
    assert {kind: result[kind] for kind in ("sub", "del", "ins")} == {kind: made[kind] for kind in ("sub", "del", "ins")}
    assert result["cer"] == pytest.approx(100 * errors / sum(map(len, refs.values())))
    keywords = result["keywords"]
    assert (keywords["hits"], keywords["total"]) == (made["hits"], made["total"])
    assert keywords["kwer"] == pytest.approx(100 * (made["total"] - made["hits"]) / made["total"])
    inside, outside = (sum(keywords[side][kind] for kind in ("sub", "del", "ins")) for side in ("inside", "outside"))
    assert (inside, outside) == (made["inside"], errors - made["inside"])


def test_a_stutter_that_is_lost_is_no_keyword_lost() -> None:
    result = score({"a": "退退款"}, {"a": "退款"}, ["退款"])
    assert (result["sub"], result["del"], result["ins"], result["keywords"]["kwer"]) == (0, 1, 0, 0.0)
    assert result["keywords"]["inside"]["cer"] == 0 and result["keywords"]["outside"]["del"] == 1


def test_both_sides_are_normalised() -> None:
    result = score({"a": "我要退兩百塊"}, {"a": "我要，退200块！"})
    assert (result["cer"], result["ref"]) == (0.0, 6)


def test_whole_result() -> None:
    result = score({"a": "退款", "b": "你好"}, {"b": "。", "a": "退款了"}, ["退款"])
    keywords = result.pop("keywords")
    assert result == {
        "cer": 75.0, "interval": [50.0, 100.0], "calls": 2, "sub": 0, "del": 2, "ins": 1, "ref": 4, "utterances": 2,
        "empty": 1, "empty_rate": 50.0, "repeated": 0, "repeated_rate": 0.0,
    }  # fmt: skip
    assert (keywords["kwer"], keywords["total"]) == (0.0, 1)
    json.dumps(keywords, allow_nan=False)


def test_nothing_to_score_is_not_zero() -> None:
    assert score({}, {})["cer"] is None and score({}, {})["empty_rate"] is None
    nothing = score({"a": "。", "b": ""}, {"a": "退款", "b": ""}, ["退款"])
    assert nothing["cer"] is None and nothing["interval"] is None
    assert nothing["keywords"]["kwer"] is None and nothing["keywords"]["interval"] is None


def test_intervals_are_of_calls_and_of_one_call_there_is_none() -> None:
    refs = {f"u{n}": "退款" for n in range(40)}
    hyps = {key: "退款" if number % 2 else "退宽" for number, key in enumerate(refs)}
    alone, one_call = score(refs, hyps, ["退款"]), score(refs, hyps, ["退款"], dict.fromkeys(refs, "call"))
    assert one_call["interval"] is None and one_call["keywords"]["interval"] is None
    pairs = score(refs, hyps, ["退款"], {key: number // 2 for number, key in enumerate(refs)})
    assert pairs["interval"] == [25.0, 25.0], "every call has one right and one wrong"
    low, high = alone["keywords"]["interval"]
    assert 30 < low < 40 and 60 < high < 70


@pytest.mark.parametrize(("hyp", "bounds"), [("退款", (0, 5)), ("退", (95, 100))])
def test_no_miss_among_few_keywords_is_no_certainty(hyp: str, bounds: tuple[int, int]) -> None:
    refs = {f"u{n}": "退款" for n in range(59)}
    low, high = score(refs, dict.fromkeys(refs, hyp), ["退款"])["keywords"]["interval"]
    assert (low, high) == pytest.approx(bounds, abs=0.05)


def test_keywords_of_one_call_have_no_interval_however_many_calls_there_are() -> None:
    refs = {"a": "退款", "b": "退款", "c": "你好", "d": "你好"}
    hyps = refs | {"b": "退"}
    keywords = score(refs, hyps, ["退款"], {"a": "1", "b": "1", "c": "2", "d": "3"})["keywords"]
    assert keywords["kwer"] == 50 and keywords["interval"] is None and "calls" not in keywords
    assert score(refs, hyps, ["退款"])["keywords"]["calls"] == 2


def test_repetitions_are_counted_where_nobody_repeated() -> None:
    refs = {"a": "好的", "b": "哈哈哈哈哈哈哈哈", "c": "好的", "d": "对对对对", "e": "好的"}
    hyps = {"a": "嗯退款退款退款退款了", "b": "哈哈哈哈哈哈哈哈哈", "c": "好的", "d": "对对对对对", "e": "好好好好好好好好"}
    assert score(refs, hyps)["repeated"] == 2
    result = score(refs, hyps, looped={"c"})
    assert (result["repeated"], result["repeated_rate"]) == (3, 60.0)


def test_order_of_utterances_does_not_matter() -> None:
    assert score({"a": "退", "b": "款"}, {"b": "款", "a": "退"})["cer"] == 0.0


@pytest.mark.parametrize(
    ("refs", "hyps", "message"),
    [
        ({"a": "退", "b": "款", "c": "卡"}, {"a": "退"}, "2 utterances have no hypothesis, b first"),
        ({"a": "退"}, {"a": "退", "z": "款"}, "1 utterance has no reference, z first"),
    ],
)
def test_utterances_on_one_side_only_are_an_error(refs: dict, hyps: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        score(refs, hyps)

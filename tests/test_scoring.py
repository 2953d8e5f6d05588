"""Scores of a whole set: against jiwer, and what must never pass in silence."""

from __future__ import annotations

import json

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UserError
from local.scoring import score

texts = st.text(alphabet="退款订单卡", max_size=8)


@given(st.lists(st.tuples(texts.filter(bool), texts), min_size=1, max_size=5))
def test_pooled_cer_equals_jiwer(corpus: list[tuple[str, str]]) -> None:
    refs, hyps = ({f"u{n}": side for n, side in enumerate(sides)} for sides in zip(*corpus, strict=True))
    result, oracle = score(refs, hyps), jiwer.process_characters(list(refs.values()), list(hyps.values()))
    assert result["cer"] == pytest.approx(100 * oracle.cer)
    counts = oracle.substitutions, oracle.deletions, oracle.insertions
    assert (result["sub"], result["del"], result["ins"]) == counts
    assert result["ref"] == sum(map(len, refs.values()))


def test_both_sides_are_normalised() -> None:
    result = score({"a": "我要退兩百塊"}, {"a": "我要，退200块！"})
    assert (result["cer"], result["ref"]) == (0.0, 6)


def test_whole_result() -> None:
    result = score({"a": "退款", "b": "你好"}, {"b": "。", "a": "退款了"}, ["退款"])
    keywords = result.pop("keywords")
    assert result == {"cer": 75.0, "sub": 0, "del": 2, "ins": 1, "ref": 4, "utterances": 2, "empty": 1}
    assert (keywords["kwer"], keywords["total"]) == (0.0, 1)
    json.dumps(keywords, allow_nan=False)


def test_nothing_to_score_is_not_zero() -> None:
    assert score({}, {})["cer"] is None
    assert score({"a": "。"}, {"a": "退款"})["cer"] is None


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

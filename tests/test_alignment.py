"""Edit counts against jiwer and kaldialign; alignments against what an alignment is."""

from __future__ import annotations

import jiwer
import kaldialign
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.alignment import EditCounts, align, count_edits, marked

texts = st.text(alphabet="退款订单卡", max_size=12)


@given(texts.filter(bool), texts)
def test_counts_equal_jiwer(ref: str, hyp: str) -> None:
    counts, oracle = count_edits(list(ref), list(hyp)), jiwer.process_characters(ref, hyp)
    assert counts == EditCounts(oracle.substitutions, oracle.deletions, oracle.insertions, len(ref))
    assert abs(counts.rate - 100 * oracle.cer) < 1e-9


@given(st.lists(st.tuples(texts, texts), min_size=1))
def test_pooled_errors_equal_kaldialign(corpus: list[tuple[str, str]]) -> None:
    # kaldialign may split the same minimum otherwise into S, D and I: only the sum is determined
    pooled = sum((count_edits(list(ref), list(hyp)) for ref, hyp in corpus), EditCounts())
    assert pooled.errors == sum(kaldialign.edit_distance(ref, hyp)["total"] for ref, hyp in corpus)
    assert pooled.ref == sum(len(ref) for ref, _ in corpus)


@given(texts, texts)
def test_alignment_spells_both_sides_at_minimum_cost(ref: str, hyp: str) -> None:
    pairs = align(list(ref), list(hyp))
    assert "".join(r or "" for r, _ in pairs) == ref and "".join(h or "" for _, h in pairs) == hyp
    assert (None, None) not in pairs
    assert sum(r != h for r, h in pairs) == count_edits(list(ref), list(hyp)).errors


def test_pooling_is_no_mean_of_rates() -> None:
    long = list("我的订单退款呢好吗")
    pooled = count_edits(list("退"), list("单")) + count_edits(long, long)
    assert pooled.rate == 10.0


def test_without_reference_there_is_no_rate() -> None:
    assert count_edits([], list("退款")) == EditCounts(ins=2)
    assert EditCounts(ins=2).rate is None


def test_words_and_characters_are_units_alike() -> None:
    assert count_edits(["打", "开", "wechat"], ["打", "开", "wifi"]) == EditCounts(sub=1, ref=3)
    assert align(["a", "b"], ["b"]) == [("a", None), ("b", "b")]


@pytest.mark.parametrize(
    ("ref", "hyp", "shown"),
    [
        ("我要取消套餐", "我要开通套餐", "我要(取消->开通)套餐"),
        ("退款", "退款吧", "退款(*->吧)"),
        ("请退款", "退款", "(请->*)退款"),
        ("退款", "退款", "退款"),
        ("", "", ""),
    ],
)
def test_errors_are_shown_in_their_place(ref: str, hyp: str, shown: str) -> None:
    assert marked(ref, hyp) == shown

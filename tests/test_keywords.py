"""Keyword scores: by hand, and against every minimum-cost alignment there is of short random strings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import UserError
from data.text import normalise, units
from local.alignment import count_edits
from local.keywords import (
    KeywordFinder,
    blind_guess_kwer,
    least_shown,
    place_errors,
    read_classes,
    read_keywords,
    score_keywords,
    spot_keywords,
    too_few,
)

Alignment = tuple[tuple[int | None, int | None], ...]


def score(pairs: list[tuple[str, str]], keywords: list[str], classes: dict[str, str] | None = None) -> dict:
    spotted = spot_keywords([(units(normalise(r)), units(normalise(h))) for r, h in pairs], keywords)
    return score_keywords(spotted, keywords, classes)


@pytest.mark.parametrize(
    ("ref", "hyp", "hits"),
    [
        ("我要退款", "我要退款", 1),
        ("我要退款", "我要退宽", 0),  # substitution
        ("我要退款", "我要退", 0),  # deletion
        ("我要退款", "我要退了款", 0),  # insertion inside the span
        ("我要退款", "我要了退款了", 1),  # insertions beside it
        ("退退款", "退款", 1),  # a tie: the stutter is what was lost
        ("退款款", "退款", 1),
        ("退款退款", "退款", 1),
        ("退款", "退退款", 1),
        ("退款", "退款退款", 1),
        ("退款", "", 0),
        ("退款一二三", "一二三退款", 0),  # it is there, but matching it costs 6 edits and not 4
    ],
)
def test_hits_by_hand(ref: str, hyp: str, hits: int) -> None:
    assert score([(ref, hyp)], ["退款"])["hits"] == hits


def test_longest_keyword_from_the_left_without_overlap() -> None:
    find = KeywordFinder(["退款", "退款申请", "请单", "VIP 卡"])
    assert find(list("退款申")) == [((0, 2), "退款")]
    assert find(list("退款申请单退款")) == [((0, 4), "退款申请"), ((5, 7), "退款")]
    assert find(units(normalise("办vip卡，不是vips卡"))) == [((1, 3), "VIP 卡")]


def test_rates_and_rows() -> None:
    pairs = [("退款和订单", "退款和定单"), ("订单", "订单退款"), ("你好", "订单")]
    result = score(pairs, ["退款", "订单", "余额"])
    assert (result["hits"], result["total"], result["false_alarms"]) == (2, 3, 2)
    assert result["kwer"] == pytest.approx(100 / 3)
    assert result["precision"] == 50.0 and result["f1"] == pytest.approx(400 / 7)
    rows = {row["keyword"]: row for row in result["rows"]}
    assert rows["退款"]["hits"] == rows["退款"]["total"] == rows["退款"]["false_alarms"] == 1
    assert rows["订单"]["kwer"] == 50.0 and rows["余额"]["kwer"] is None


def test_no_keyword_said_is_not_zero_errors() -> None:
    result = score([("你好", "你好")], ["退款"])
    assert result["kwer"] is None and result["precision"] is None and result["total"] == 0


def test_both_sides_and_the_list_are_normalised() -> None:
    assert score([("办兩百M套餐", "办200 m，套餐")], ["200M套餐"])["kwer"] == 0.0


def alignments(ref: str, hyp: str, i: int = 0, j: int = 0) -> Iterator[Alignment]:
    """Every alignment of ref[i:] and hyp[j:], as pairs of places."""
    if i == len(ref) and j == len(hyp):
        yield ()
    if i < len(ref) and j < len(hyp):
        yield from (((i, j), *rest) for rest in alignments(ref, hyp, i + 1, j + 1))
    if i < len(ref):
        yield from (((i, None), *rest) for rest in alignments(ref, hyp, i + 1, j))
    if j < len(hyp):
        yield from (((None, j), *rest) for rest in alignments(ref, hyp, i, j + 1))


def is_hit(alignment: Alignment, ref: str, hyp: str, span: tuple[int, int]) -> bool:
    first = next(n for n, (i, _) in enumerate(alignment) if i == span[0])
    inside = alignment[first : first + span[1] - span[0]]
    return all(i is not None and j is not None and ref[i] == hyp[j] for i, j in inside)


def inside_errors(alignment: Alignment, ref: str, hyp: str, spans: list[tuple[int, int]]) -> tuple[int, int, int]:
    """Substitutions, deletions and insertions inside spans; an insertion where both its neighbours in `ref` are."""
    sub = dele = ins = place = 0
    for i, j in alignment:
        place = place if i is None else i + 1
        within = i is not None and any(a <= i < b for a, b in spans)
        sub += within and j is not None and ref[i] != hyp[j]
        dele += within and j is None
        ins += i is None and any(a < place < b for a, b in spans)
    return sub, dele, ins


short = st.text(alphabet="ab", max_size=5) | st.text(alphabet="abc", max_size=5)
cuts = st.lists(st.integers(0, 5), unique=True, max_size=4).map(sorted)


@settings(max_examples=300, deadline=None)
@given(short, short, cuts)
def test_most_hits_of_all_minimum_cost_alignments(ref: str, hyp: str, cuts: list[int]) -> None:
    spans = [(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False) if b <= len(ref)]
    every = list(alignments(ref, hyp))
    costs = [sum(i is None or j is None or ref[i] != hyp[j] for i, j in a) for a in every]
    best = [a for a, cost in zip(every, costs, strict=True) if cost == min(costs)]
    most = max(sum(is_hit(a, ref, hyp, span) for span in spans) for a in best)
    placed = place_errors(ref, hyp, spans)
    assert len(placed.hits) == most
    assert any(all(is_hit(a, ref, hyp, span) for span in placed.hits) for a in best)
    assert placed.inside.errors + placed.outside.errors == min(costs)
    assert placed.inside.ref == sum(b - a for a, b in spans) and placed.outside.ref == len(ref) - placed.inside.ref
    places = [inside_errors(a, ref, hyp, spans) for a in best if sum(is_hit(a, ref, hyp, span) for span in spans) == most]
    assert (placed.inside.sub, placed.inside.dele, placed.inside.ins) in places


def test_two_hits_do_not_pay_for_one_more_edit() -> None:
    spans = [(0, 2), (2, 4)]
    assert count_edits("aaabb", "abaaab").errors == 2  # both hits can be had for three
    assert place_errors("aaabb", "abaaab", spans).hits == []


@given(st.lists(st.sampled_from(["退款", "订单", "我", "要"])), st.randoms())
def test_hits_never_exceed_what_the_hypothesis_holds(words: list[str], random) -> None:
    ref = list("".join(words))
    hyp = [unit for unit in ref if random.random() > 0.3]
    spans = [span for span, _ in KeywordFinder(["退款", "订单"])(ref)]
    hits = place_errors(ref, hyp, spans).hits
    assert len(hits) >= len(spans) - count_edits(ref, hyp).errors  # an edit can break one span at most
    assert len(hits) <= "".join(hyp).count("退款") + "".join(hyp).count("订单")


def test_errors_are_told_apart_by_where_they_are() -> None:
    result = score([("我要退款吗", "我退宽吗啊"), ("你好", "您好")], ["退款"])
    assert result["inside"] == {"cer": 50.0, "sub": 1, "del": 0, "ins": 0, "ref": 2}
    assert result["outside"] == {"cer": 60.0, "sub": 1, "del": 1, "ins": 1, "ref": 5}
    assert score([("你好", "")], ["退款"])["inside"]["cer"] is None


def test_how_many_keywords_can_show_what() -> None:
    assert least_shown(0) is None
    assert least_shown(300) == pytest.approx(1, rel=0.01)  # the rule of three
    assert (1 - least_shown(40) / 100) ** 40 == pytest.approx(0.05)
    assert too_few(59, 5) == "" and least_shown(59) < 5 < least_shown(58)
    assert too_few(58, 5) == "not enough keywords to show < 5 %: 58, and 59 would do if none were missed"
    assert too_few(0, 5).startswith("not enough keywords to show < 5 %: 0,")
    assert score([("退款", "退款")] * 40, ["退款"])["least"] == least_shown(40)


def test_blind_guess() -> None:
    keywords = ["退款", "订单", "余额"]
    train = ["订单退款", "订单"]
    assert blind_guess_kwer(train, ["订单和退款", "余额", "订单"], keywords) == 50.0
    assert blind_guess_kwer(train, ["你好"], keywords) is None


def test_ten_thousand_long_utterances_take_about_a_minute() -> None:
    draw = np.random.default_rng(1)
    text = "".join(draw.choice(list("的一是了我不人在他有"), 45)) + "退款"
    pairs = [(list(text * 2 + "我要订单卡号"), list((text * 2)[5:] + "我要定单卡号"))] * 100
    start = time.perf_counter()
    assert score_keywords(spot_keywords(pairs, ["退款", "订单"]), ["退款", "订单"])["hits"] == 200
    assert time.perf_counter() - start < 2.0  # 0.6 s would be a minute for all; the rest is for busy machines


def test_keyword_list(tmp_path: Path) -> None:
    path = tmp_path / "keywords.txt"
    path.write_text("\ufeff# business\n退款  # money\n\nVIP卡\t#1\nC#\n退 款\n", encoding="utf-8")
    assert read_keywords(path) == ["退款", "VIP卡", "C#"]
    assert read_classes(path) == {}


def test_classes_of_keywords(tmp_path: Path) -> None:
    path = tmp_path / "keywords.txt"
    path.write_text("客服\n[ money matters ]\n退款\n# not this\n分期\n[]\n你好\n[products] # cards\nVIP卡\n退 款\n", "utf-8")
    assert read_keywords(path) == ["客服", "退款", "分期", "你好", "VIP卡"]
    classes = read_classes(path)
    assert classes == {"退款": "money matters", "分期": "money matters", "VIP卡": "products"}
    rows = {row["keyword"]: row.get("class") for row in score([("退款", "退款")], read_keywords(path), classes)["rows"]}
    assert rows == {"客服": None, "退款": "money matters", "分期": "money matters", "你好": None, "VIP卡": "products"}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"\xff\xfe\x00", "UTF-8"), ("退款\n。。\n".encode(), r"keywords\.txt:2: ")],
)
def test_bad_keyword_list_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "keywords.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_keywords(path)
    assert "\n" not in str(caught.value)


def test_missing_keyword_list(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.txt"):
        read_keywords(tmp_path / "none.txt")

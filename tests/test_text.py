"""The normaliser: every documented rule by hand, counting against cn2an, and what holds for any text."""

from __future__ import annotations

import cn2an
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.numerals import cardinal
from data.text import normalise, units

SPOKEN = {
    # NFKC, case, blanks, punctuation
    "ＡＢＣ，好！": "abc好",
    "  你 好 。\n": "你好",
    "Don't 打开 Wi-Fi": "dont打开wi fi",
    "hello, world": "hello world",
    "……？！": "",
    "": "",
    "\ud800退\x00款": "退款",
    # traditional characters, by phrase
    "後來乾淨的頭髮": "后来干净的头发",
    "乾隆皇后": "乾隆皇后",
    # numbers in digits
    "2024-05-01": "二零二四年五月一日",
    "2024/12/31": "二零二四年十二月三十一日",
    "2024年5月1日": "二零二四年五月一日",
    "10:05": "十点零五分",
    "10:30:15": "十点三十分十五秒",
    "02:00": "两点",
    "010-6275-1234": "零一零六二七五一二三四",
    "涨了3.5%": "涨了百分之三点五",
    "100％": "百分之百",
    "2‰": "千分之二",
    "½": "二分之一",
    "1/3": "三分之一",
    "￥20": "二十元",
    "3～5 天": "三到五天",
    "-5℃": "负五度",
    "2个第2个200个": "两个第二个二百个",
    "2年级": "二年级",
    "3.14": "三点一四",
    "v1.2.3": "v一点二点三",
    "1,234,567": "一百二十三万四千五百六十七",
    "100，200": "一百二百",
    "10086": "一零零八六",
    "12000": "一万二千",
    "12345元": "一万二千三百四十五元",
    "007": "零零七",
    "a380": "a三八零",
    "iPhone 15": "iphone十五",
    "尾号1234": "尾号一二三四",
    "13800138000": "一三八零零一三八零零零",
    "0": "零",
    # two spellings of one number
    "两百块": "二百块",
    "二〇二四": "二零二四",
    "幺三八": "一三八",
    "老幺两个": "老幺两个",
}


@pytest.mark.parametrize(("written", "spoken"), SPOKEN.items())
def test_documented_rules(written: str, spoken: str) -> None:
    assert normalise(written) == spoken


@given(st.integers(0, 10**8 - 1))
def test_counting_agrees_with_cn2an(number: int) -> None:
    assert cardinal(str(number)) == cn2an.an2cn(number)


@given(st.integers(0, 10**16 - 1))
def test_counting_can_be_read_back(number: int) -> None:
    assert cn2an.cn2an(cardinal(str(number)), "smart") == number


def test_more_digits_than_can_be_counted_are_spelt() -> None:
    assert normalise("9" * 5000 + "元") == "九" * 5000 + "元"


ALPHABET = "退款後乾两幺〇零一三百万年月日个号Aé'’-/.,:，。 %￥~°\u3000\n0123456789"


@given(st.text(alphabet=ALPHABET, max_size=30))
def test_twice_is_once(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.text())
def test_any_text_leaves_no_digit_no_capital_and_no_punctuation(text: str) -> None:
    result = normalise(text)
    assert all(c == " " or c.isalnum() for c in result)
    assert not set(result) & set("0123456789") and result == result.strip()


@given(st.text())
def test_units_lose_nothing_but_blanks(text: str) -> None:
    result = normalise(text)
    assert "".join(units(result)) == result.replace(" ", "")


def test_units_are_characters_and_words() -> None:
    assert units(normalise("打开 WeChat Pay，アプリ!")) == ["打", "开", "wechat", "pay", "ア", "プ", "リ"]

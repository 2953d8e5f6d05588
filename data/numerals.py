"""Numbers written in Arabic digits, written out in Chinese characters as a speaker would say them.

Scoring compares what was said, so `15%` and `百分之十五` must be the same thing on both sides. The rules, in
the order in which they are applied to text that is already NFKC, lower case and simplified:

    date          2024-05-01      二零二四年五月一日  (`-`, `/` or `.` between year, month and day)
    time          10:05           十点零五分  (10:30:15 十点三十分十五秒, 10:00 十点)
    telephone     010-6275-1234   零一零六二七五一二三四  (groups of 3 and more digits joined by hyphens)
    percent       3.5%            百分之三点五  (100% 百分之百, 2‰ 千分之二)
    fraction      1/2, ½          二分之一
    money         ¥20             二十元
    range         3~5天           三到五天
    minus         -5              负五  (not after a letter, a digit or a character)
    degrees       38.5°, 38.5℃    三十八点五度
    year          2024年          二零二四年
    two of them   2个             两个  (a lone 2 before a counter, not after 第)
    decimal       3.14            三点一四  (1.2.3 一点二点三)
    thousands     1,234,567       一百二十三万四千五百六十七
    identifier    10086           一零零八六  (read digit by digit: a leading zero; 3 and more digits after a
                                  Latin letter or 号, 码, 电话, 热线; without a counter or unit behind them,
                                  8 and more digits, or 5 to 7 that do not end in 000)
    any other     15              十五  (12000 一万二千, 12345元 一万二千三百四十五元)

and then, for what is already in characters: 〇 is 零, 两 before 百千万亿 is 二, and 幺 in a run of three and
more digits is 一, because these are two spellings of one number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from string import ascii_lowercase
from typing import Union

DIGITS = "零一二三四五六七八九"
COUNTERS = "个位件次天条张台部遍种份单人名家笔户元块角分秒点年周岁斤米倍"
UNITS = tuple(COUNTERS + "十百千万亿日月度吨克升里亩平公小")  # behind a long number: a quantity (公里, 小时)
ANNOUNCES = (*ascii_lowercase, "号", "码", "电话", "热线")  # before a short number: an identifier
PLACES = ((10**8, "亿"), (10**4, "万"), (1000, "千"), (100, "百"), (10, "十"))

YEAR = r"(1[1-9][0-9]{2}|20[0-9]{2})"
NUMBER = r"([0-9]+(?:\.[0-9]+)?)"


def spell(digits: str) -> str:
    """Digit by digit: `"10086"` -> `一零零八六`."""
    return "".join(DIGITS[int(digit)] for digit in digits)


def cardinal(digits: str) -> str:
    """As a number is counted: `"10010"` -> `一万零一十`. More than 16 digits are spelt instead."""
    if len(digits) > 16:
        return spell(digits)
    text = _count(int(digits))
    return text[1:] if text.startswith("一十") else text


def _count(number: int) -> str:
    for base, unit in PLACES:
        if number >= base:
            high, low = divmod(number, base)
            gap = "零" if 0 < low < base // 10 else ""
            return _count(high) + unit + gap + (_count(low) if low else "")
    return DIGITS[number]


def quantity(text: str) -> str:
    """Digits with any number of decimal points: the first group is counted, the others are spelt."""
    whole, *decimals = text.split(".")
    return "点".join([cardinal(whole), *map(spell, decimals)])




def _date(match: re.Match[str]) -> str:
    year, _, month, day = match.groups()
    return f"{spell(year)}年{cardinal(month)}月{cardinal(day)}日"


def _time(match: re.Match[str]) -> str:
    hour, minute, second = match.groups()
    text = ("两" if int(hour) == 2 else cardinal(hour)) + "点"
    if int(minute) or second:
        text += _two_digits(minute) + "分"
    return text + _two_digits(second) + "秒" if second else text


def _two_digits(digits: str) -> str:
    return "零" * (digits[0] == "0" and digits != "00") + cardinal(digits)


def _percent(match: re.Match[str]) -> str:
    share = "百" if match[1] == "100" else quantity(match[1])
    return ("百分之" if match[2] == "%" else "千分之") + share


def _fraction(match: re.Match[str]) -> str:
    return f"{cardinal(match[2])}分之{cardinal(match[1])}"


def _integer(match: re.Match[str]) -> str:
    digits = match[0]
    announced = len(digits) >= 3 and match.string.endswith(ANNOUNCES, 0, match.start())
    quantified = match.string.startswith(UNITS, match.end())
    long = len(digits) >= 8 or (len(digits) >= 5 and not digits.endswith("000"))
    identifier = (len(digits) > 1 and digits[0] == "0") or announced or (long and not quantified)
    return spell(digits) if identifier else cardinal(digits)


Replacement = Union[str, Callable[[re.Match[str]], str]]  # noqa: UP007
Rule = tuple[re.Pattern[str], Replacement]


def _rules(*rules: tuple[str, Replacement]) -> list[Rule]:
    return [(re.compile(pattern), replacement) for pattern, replacement in rules]


IN_DIGITS = _rules(
    (rf"(?<![0-9]){YEAR}([-/.])(0?[1-9]|1[0-2])\2(0?[1-9]|[12][0-9]|3[01])(?![0-9])", _date),
    (r"(?<![0-9:])([01]?[0-9]|2[0-4]):([0-5][0-9])(?::([0-5][0-9]))?(?![0-9:])", _time),
    (r"(?<![0-9-])[0-9]{3,}(?:-[0-9]{3,})+(?![0-9-])", lambda m: spell(m[0].replace("-", ""))),
    (NUMBER + r"\s*([%‰])", _percent),
    (r"(?<![0-9/.])([0-9]+)[/⁄]([0-9]+)(?![0-9/.])", _fraction),
    (rf"[¥￥]\s*{NUMBER}", lambda m: quantity(m[1]) + "元"),
    (r"(?<=[0-9])\s*[~∼〜]\s*(?=[0-9])", "到"),
    (r"(?<!\w)[-−](?=[0-9])", "负"),
    (r"(?<=[0-9])\s*°c?", "度"),
    (rf"(?<![0-9]){YEAR}(?=年)", lambda m: spell(m[0])),
    (rf"(?<![0-9.,第])2(?=[{COUNTERS}])(?!年级|单元)", "两"),
    (r"[0-9]+(?:\.[0-9]+)+", lambda m: quantity(m[0])),
    (r"(?<![0-9,])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])", lambda m: cardinal(m[0].replace(",", ""))),
    (r"[0-9]+", _integer),
)
IN_CHARACTERS = _rules(
    ("〇", "零"),
    ("两(?=[百千万亿])", "二"),
    (rf"[{DIGITS}幺]{{3,}}", lambda m: m[0].replace("幺", "一")),
)


def write_out(text: str) -> str:
    """Write every number in Chinese characters, by the rules above; no Arabic digit is left."""
    return _apply(IN_DIGITS, text)


def unify(text: str) -> str:
    """One spelling for numbers that have two (两百 and 二百). Wants text without punctuation or digits."""
    return _apply(IN_CHARACTERS, text)


def _apply(rules: list[Rule], text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text

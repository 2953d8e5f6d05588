"""The one normaliser for scores and keyword lists: what was said, however it was written.

`normalise` is applied to both sides of every score and to the keyword list, never to training targets (a
model's own punctuation is to survive training). Its steps, in this order:

1. NFKC and case folding: full-width forms, ligatures and capitals make no difference. Control characters go.
2. Traditional characters become simplified ones (OpenCC's `t2s`: 乾淨 is 干净, 乾隆 stays).
3. Numbers in digits are written out in characters; the rules stand in `data/numerals.py`.
4. Punctuation, symbols and blanks go. One blank stays between two Latin words; `don't` is `dont`, `wi-fi` is
   `wi fi`.

A unit of scoring is one CJK character, or one word of any other script: CER means what it means for Mandarin,
and an English product name counts once.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from opencc import OpenCC

from data import numerals

NORMALISER = "nfkc-t2s-numerals-nopunct/1"  # goes into results.json; scores of two versions are not compared

_CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNIT = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")
_BLANKS_AT_CJK = re.compile(rf"(?<=[{_CJK}])\s+|\s+(?=[{_CJK}])")
_BLANKS_AT_NUMBER = re.compile(rf"(?<=[0-9])\s+(?=[{_CJK}])|(?<=[{_CJK}])\s+(?=[0-9])")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # a lone surrogate (JSON can hold one) is no text
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])['\u2019](?=[^\W\d_])")
_PUNCTUATION = re.compile(r"[\W_]+")
_SIMPLIFIER = OpenCC("t2s")


def normalise(text: str) -> str:
    """The form in which two transcripts are compared; empty when nothing but punctuation was there."""
    text = _SIMPLIFIER.convert(_fold(text))
    text = numerals.write_out(_BLANKS_AT_NUMBER.sub("", text))
    text = _PUNCTUATION.sub(" ", _APOSTROPHE.sub("", text))
    return numerals.unify(_BLANKS_AT_CJK.sub("", text).strip())


def units(text: str) -> list[str]:
    """Units of normalised text, a CJK character or a word each: `"打开app"` -> `["打", "开", "app"]`."""
    return _UNIT.findall(text)


@lru_cache(maxsize=2**16)
def scored_units(text: str) -> tuple[str, ...]:
    """The units of any text after the normaliser: what every score compares. A reference comes back with each hypothesis."""
    return tuple(units(normalise(text)))


def _fold(text: str) -> str:
    # NFKC would make a full-width comma the thousands separator of 100，200
    text = _CONTROLS.sub(" ", text).replace("，", " ")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())

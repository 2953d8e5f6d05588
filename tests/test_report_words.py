"""What the report says is said in both languages, safe, and can be read in light and dark."""

from __future__ import annotations

import re

import pytest

from data import report_page
from local.experiment import TOP
from local.gates import NEXT_STEPS
from local.report.verdict import NEXT_STEPS_ZH
from local.report.words import LANGUAGES, WORDS, tr


def test_every_text_is_there_in_both_languages():
    for key, texts in WORDS.items():
        assert len(texts) == len(LANGUAGES) and all(text.strip() for text in texts), key
        fields = [set(re.findall(r"\{(\w+)\}", text)) for text in texts]
        assert fields[0] == fields[1], key
        neutral = not re.search("[a-z]{4}", texts[0])
        assert neutral or texts[0] == "中文" or re.search("[\u4e00-\u9fff]", texts[1]), key
        assert texts[0] == "中文" or not re.search("[\u4e00-\u9fff]", texts[0]), key


def test_every_text_is_used():
    sources = "".join(path.read_text(encoding="utf-8") for path in (TOP / "local/report").glob("*.py") if path.name != "words.py")
    families = ("stage ", "bucket ", "curve ", "key ", "difference ", "alarms ")
    assert not [key for key in WORDS if not key.startswith(families) and not re.search(f"""['"]{key}['"]""", sources)]


def test_values_cannot_break_out_of_their_text():
    shown = tr("baseline wrote", text="{text}</span><script>")
    assert shown.count("<span") == shown.count("</span>") == 2 and "<script" not in shown


def test_every_gate_has_its_advice_in_both_languages():
    assert NEXT_STEPS.keys() == NEXT_STEPS_ZH.keys()


def contrast(first: str, second: str) -> float:
    """Of two colours `#rrggbb`, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("place", [0, 1])
def test_words_stand_out_from_the_page_in_light_and_dark(place):
    style = report_page.STYLE.read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", style.split("@media")[place]))
    for word in ("ink", "soft", "accent", "good", "warn", "bad"):
        assert min(contrast(colours[word], colours[ground]) for ground in ("page", "card")) >= 4.5, word

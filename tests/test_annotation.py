"""Every tag of public Mandarin corpora has its action; words and their punctuation survive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.annotation import ACTIONS, REJECT, Marked, clean


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("你好，世界。", "你好，世界。"),
        ("  你  好\t吗\n", "你 好 吗"),
        ("<SIL>你好<NOISE>", "你好"),
        ("你<sil>好", "你 好"),
        ("[LAUGHTER] 你好 [+] {breath}", "你好"),
        ("你[ENS]好[NPS][SYSTEM][SONANT][MUSIC]", "你 好"),
        ('用<foreign language="English"> email </foreign>发', "用 email 发"),
        ("<foreign>OK</foreign>", "OK"),
        ("我((觉得))可以", "我觉得可以"),
        ("YES <COMMA> SIR <PERIOD>", "YES SIR"),
        ("3<5 和 5>3, a[1], {}", "3<5 和 5>3, a[1], {}"),
        ("我 <3 你", "我 <3 你"),
    ],
)
def test_clean_up(text, words):
    assert clean(text) == words


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("你好<ANNOTATION_ERROR>", "annotation_error"),
        ("<annotation_error>", "annotation_error"),
        ("你[UNK]好", "marked_unintelligible"),
        ("[*]", "marked_unintelligible"),
        ("我(())", "marked_unintelligible"),
        ("我叫[PII]", "marked_unintelligible"),
        ("<unk>", "marked_unintelligible"),
        ("", "empty_text"),
        (" \u3000", "empty_text"),
        ("<NOISE>", "empty_text"),
        ("<MUSIC><SIL>", "empty_text"),
        ("你<WHATEVER>好", "unknown_tag"),
        ("你[ABC]好", "unknown_tag"),
        ("你{hum}好", "unknown_tag"),
        ("你<|im_end|>好", "unknown_tag"),
    ],
)
def test_rejects(text, reason):
    with pytest.raises(Marked) as error:
        clean(text)
    assert error.value.reason == reason


def test_an_annotation_error_is_kept_without_its_mark_where_no_filter_is_wanted():
    assert clean("你好<ANNOTATION_ERROR>", filter_annotation_error=False) == "你好"


def test_unknown_tags_are_named():
    with pytest.raises(Marked, match="<WHATEVER>"):
        clean("你<WHATEVER>好")


@pytest.mark.parametrize("tag", [tag for tag in ACTIONS if "…" not in tag])
def test_every_tag_of_the_table_is_found_in_a_text_in_any_case(tag):
    for written in (tag, tag.upper()):
        if ACTIONS[tag] == REJECT:
            with pytest.raises(Marked):
                clean(f"你{written}好")
        else:
            assert clean(f"你{written}好").replace(" ", "") == "你好"


@given(st.text())
def test_any_text_is_cleaned_or_rejected_and_cleaning_again_changes_nothing(text):
    try:
        words = clean(text)
    except Marked:
        return
    assert words == words.strip() != ""
    assert clean(words) == words or "((" in text

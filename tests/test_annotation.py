"""Every tag of public Mandarin corpora has its action; words and their punctuation survive."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.annotation import REJECT, STRIP, TAGS, UNWRAP, Marked, clean, is_marked

OF_THE_CORPORA = (
    *("<SIL>", "<MUSIC>", "<NOISE>", "<OTHER>", "<SPOKEN_NOISE>", "<sil>", "[*]", "[+]", "[LAUGHTER]", "[SONANT]"),
    *("[MUSIC]", "[ENS]", "[NPS]", "[SYSTEM]", "[UNK]", "[PII]", "{breath}", "<foreign>", "</foreign>", "((…))"),
    *("<PERIOD>", "<ANNOTATION_ERROR>"),
)
SENTENCE = "，。！？；：、（）《》“”…—～"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("你好，世界。", "你好，世界。"),
        ("  你  好\t吗\n", "你好吗"),
        ("你\u3000好 ， 吗 ？", "你好，吗？"),
        ("打开 app 看 一 下", "打开 app 看一下"),
        ("see  you 明 天", "see you 明天"),
        ("５Ｇ　ＯＫ，１００％！", "5G OK，100%！"),
        ("你＜ｓｉｌ＞好［＋］", "你好"),
        ("你\u200b好\ufeff\u202e吗\x00", "你好吗"),
        ("你<s\u200bil>好", "你好"),
        ("你[static/]好[/static]", "你好"),
        ("你<%>好<->", "你好"),
        ("<SIL>你好<NOISE>", "你好"),
        ("你<sil>好", "你好"),
        ("[LAUGHTER] 你好 [+] {breath}", "你好"),
        ("你[ENS]好[NPS][SYSTEM][SONANT][MUSIC]", "你好"),
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


def test_every_tag_of_the_corpora_stands_in_the_table_with_its_origin():
    assert {tag.lower() for tag in OF_THE_CORPORA} <= set(TAGS)
    for tag in TAGS.values():
        assert tag.action in (STRIP, UNWRAP, REJECT) and len(tag.origin) > 5


@pytest.mark.parametrize("tag", [tag for tag in TAGS if "…" not in tag])
def test_every_tag_of_the_table_is_found_in_a_text_in_any_case(tag):
    for written in (tag, tag.upper()):
        if TAGS[tag].action == REJECT:
            with pytest.raises(Marked):
                clean(f"你{written}好")
        else:
            assert clean(f"你{written}好") == "你好"


def test_a_mark_is_seen_however_it_is_written():
    assert is_marked("你好<ANNOTATION_ERROR>") and is_marked("＜annotation_error＞") and not is_marked("你好<SIL>")


def test_no_character_without_width_survives_and_the_punctuation_of_sentences_does():
    """Of the basic plane, by Unicode's own categories; the format characters of Arabic script have a width."""
    for code in range(0x10000):
        character = chr(code)
        if unicodedata.category(character) in ("Cc", "Cf") and unicodedata.bidirectional(character) not in ("AN", "AL"):
            assert clean(f"你{character}好") == "你好", hex(code)
    assert clean(f"你{SENTENCE}好") == f"你{SENTENCE}好"


def test_half_width_is_what_unicode_says():
    """NFKC is the oracle; what it would do to the punctuation of a sentence is not done."""
    for code in range(0xFF01, 0xFF5F):
        character = chr(code)
        expected = character if character in "！（），．：；？～" else unicodedata.normalize("NFKC", character)
        assert clean(f"a{character}b") == f"a{expected}b"


HAN = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5)
LATIN = st.text("abcXYZ019", min_size=1)


@given(st.lists(st.one_of(HAN, LATIN, st.sampled_from(["，", "。"])), min_size=1), st.data())
def test_blanks_go_between_chinese_characters_and_stay_between_words(units, data):
    text, expected = units[0], units[0]
    for before, unit in pairwise(units):
        blank = data.draw(st.sampled_from(["", " ", "\u3000 ", "\t"]))
        text += blank + unit
        both_chinese = before[-1] > "\u2fff" and unit[0] > "\u2fff"
        expected += ("" if both_chinese or not blank else " ") + unit
    assert clean(text) == expected


PIECES = st.one_of(st.sampled_from([tag for tag in TAGS if "…" not in tag]), HAN, LATIN, st.just(" "))


@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_any_text_is_cleaned_or_rejected_and_cleaning_again_changes_nothing(text):
    try:
        words = clean(text)
    except Marked:
        return
    assert words == words.strip() != ""
    assert clean(words) == words or "((" in text

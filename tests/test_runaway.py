"""What no mouth can say is stopped; what one can is left alone, repeats and all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from local.runaway import LENGTH, LOOP, Text, limit, loop_at_end

END = 0
FASTEST = 7  # repeats of a syllable a second, by the literature on oral diadochokinesis
TOKENS = st.integers(1, 3)  # few, so that loops are common


def said(tokens: list[int], seconds: float) -> Text:
    """As much of the tokens as the text takes; what follows is never asked for."""
    text = Text(seconds)
    for token in tokens:
        if text.open:
            text.add(token, (END,))
    return text


@given(st.lists(TOKENS), st.lists(TOKENS, min_size=1, max_size=6), st.integers(0, 30), st.floats(0.03, 60))
def test_a_text_that_ends_before_its_bounds_is_left_alone(head, phrase, rounds, seconds):
    tokens = head + phrase * rounds
    text = said([*tokens, END], seconds)
    if len(tokens) < min(limit(seconds), max(32, 8 * seconds)):
        assert (text.tokens, text.cut, text.open) == (tokens, "", False)


@given(st.floats(0.03, 120), st.integers(1, 8))
def test_what_a_tongue_can_repeat_in_the_whole_sound_is_left_alone(seconds, phrase):
    """对对对对, and longer phrases, as fast as anybody can, from beginning to end."""
    tokens = (list(range(1, phrase + 1)) * 1000)[: int(FASTEST * seconds)]
    assert said([*tokens, END], seconds).tokens == tokens


def test_equal_digits_of_a_number_are_left_alone():
    for digits in (4, 11, 19):  # a code, a telephone number, a card number: the shorter the sound the harder
        assert said([*[8] * digits, END], digits / 8).cut == ""


@given(st.lists(TOKENS, max_size=20), st.lists(TOKENS, min_size=1, max_size=8), st.floats(0.03, 30))
def test_a_text_that_never_ends_is_stopped_by_its_own_sound(head, phrase, seconds):
    text, taken = Text(seconds), 0
    for token in head + phrase * 1000:
        if text.open:
            text.add(token, (END,))
            taken += 1
    assert not text.open and taken <= limit(seconds)
    assert text.cut in (LENGTH, LOOP)
    assert text.tokens == (head + phrase * 1000)[: len(text.tokens)], "what is kept is what was said first"


@given(st.lists(TOKENS, max_size=20), st.integers(1, 8), st.floats(8, 30))
def test_a_loop_is_stopped_early_and_keeps_one_round(head, length, seconds):
    phrase = list(range(10, 10 + length))
    text, taken = Text(seconds), 0
    for token in head + phrase * 1000:
        if text.open:
            text.add(token, (END,))
            taken += 1
    assert (text.tokens, text.cut) == (head + phrase, LOOP)
    assert taken <= len(head) + 8 * seconds + 8 < limit(seconds) + len(head)


def test_without_a_loop_all_is_kept_up_to_the_limit():
    text = said(list(range(1, 100)), 2.0)
    assert (text.tokens, text.cut) == (list(range(1, 41)), LENGTH), "16 + 2 s x 12"


def test_a_loop_that_breaks_off_before_the_end_is_none():
    assert loop_at_end([5, 6] * 20 + [7]) is None


def test_three_rounds_are_no_loop_and_the_last_may_be_cut_short():
    assert loop_at_end([9, 1, 2, 3] + [1, 2, 3] * 2) is None
    assert loop_at_end([9, 1, 2, 3] + [1, 2, 3] * 3 + [1]) == (1, 3)


def test_a_phrase_that_repeats_within_is_one_phrase():
    assert loop_at_end([5] + [1, 7, 7, 7, 7] * 4) == (1, 5), "not the four sevens at the end"
    assert loop_at_end([5] + [1] * 12) == (1, 1), "the shortest of the phrases that fill as much"

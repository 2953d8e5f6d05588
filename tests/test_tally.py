"""A tally holds what a dict would, in a few bytes a text."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from data.tally import Tally


@given(st.lists(st.text()))
def test_it_counts_as_a_dict_would(texts):
    tally, counts = Tally(), {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
        assert tally.add(text) == counts[text]
    assert {text: tally.get(text) for text in texts} == counts
    assert tally.most == max(counts.values(), default=0)


def test_it_remembers_a_number_for_each_of_many_texts_in_36_bytes():
    count = 50_000
    tracemalloc.start()
    tally = Tally()
    for number in range(count):
        assert tally.note(f"key {number}", number + 1) == 0
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 36 * count + 10_000
    assert all(tally.note(f"key {number}", 7) == number + 1 for number in range(count))
    assert tally.get("key") == 0

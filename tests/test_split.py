"""File names that no key can misuse."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from small_split import make, sounds

from data.corpora import Utterance
from data.manifest import read_rows
from data.split import file_name


@given(st.text(min_size=1))
@example("../../x")
@example("/etc/passwd")
@example("..")
@example("a" * 5000)
@example(".part")
def test_a_key_never_leaves_the_folder(key):
    name = file_name(key)
    assert name.isascii() and "/" not in name and not name.startswith((".", "-")) and name.endswith(".wav")
    assert len(name) <= 100
    assert (Path("/a/b") / name).resolve().parent == Path("/a/b")


@given(st.sets(st.text(min_size=1), min_size=2))
def test_keys_never_collide_not_even_where_case_does_not_count(keys):
    assert len({file_name(key).lower() for key in keys}) == len(keys)


def test_keys_that_look_alike_do_not_collide():
    keys = ["a/b", "a_b", "a b", "A_b", "a_b.", "../a_b", "a" * 100, "a" * 101]
    assert len({file_name(key) for key in keys}) == len(keys)


ODD_KEYS = ["../../x", "../x", "x", "/etc/passwd", "..", ".", "-rf", "~", "A", "a", "a/b", "a\\b", "C:\\x", "con"]
ODD_KEYS += ["%2e%2e%2fx", "．．/x", "é", "e\u0301", "字" * 3000, "字" * 3001, "\u202evaw.x", "👩\u200d👧", "👩👧", "a\nb"]


def test_odd_keys_make_a_file_each_in_the_folder_of_the_split(tmp_path):
    (tmp_path / "a.src").write_text("x")
    items = [Utterance(key, tmp_path / "a.src", "字", line=n + 1) for n, key in enumerate(ODD_KEYS)]
    make(tmp_path / "deep" / "er", items, count=3)
    out = tmp_path / "deep" / "er" / "out"
    assert len(sounds(out)) == len(ODD_KEYS)
    assert sorted(tmp_path.rglob("*.wav")) == sorted(sounds(out).values())
    assert {path.name for path in tmp_path.iterdir()} == {"a.src", "deep"}
    assert [fields["key"] for fields in read_rows(out / "train.jsonl")] == ODD_KEYS

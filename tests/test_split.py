"""File names that no key can misuse, and what is taken from an earlier run and what is not."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.audio import AudioError, write_wav
from data.corpora import Utterance
from data.errors import UserError
from data.manifest import read_rows
from data.selection import Selection
from data.split import Split, file_name, guard, make_split


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


@dataclass
class Maker:
    """Writes a constant tone; remembers what it was asked for."""

    split: Split
    asked: list[str]
    bad: str = ""

    def __call__(self, utterance: Utterance) -> dict:
        return guard(self._make, utterance)

    def _make(self, utterance: Utterance) -> dict:
        self.asked.append(utterance.key)
        if utterance.key == self.bad:
            raise AudioError("too_loud", "hurts")
        write_wav(self.split.wav(utterance.key), np.full(800, 5, np.int16), 16000)
        return {"samples": 800}


def utterances(folder: Path, count: int = 5) -> Selection:
    kept = []
    for n in range(count):
        (folder / f"{n}.src").write_text("x")
        kept.append(Utterance(f"u{n}", folder / f"{n}.src", f"第{n}", speaker="s", line=n + 1))
    return Selection(kept, [])


def make(folder: Path, selection: Selection, bad: str = "", **settings) -> tuple[list[str], str]:
    split = Split(folder / "out", "train", {"seed": 1} | settings)
    maker = Maker(split, [], bad)
    return maker.asked, make_split(split, selection, maker, jobs=1)


ODD_KEYS = ["../../x", "../x", "x", "/etc/passwd", "..", ".", "-rf", "~", "A", "a", "a/b", "a\\b", "C:\\x", "con"]
ODD_KEYS += ["%2e%2e%2fx", "．．/x", "é", "e\u0301", "字" * 3000, "字" * 3001, "\u202evaw.x", "👩\u200d👧", "👩👧", "a\nb"]


def test_odd_keys_make_a_file_each_in_the_folder_of_the_split(tmp_path):
    (tmp_path / "a.src").write_text("x")
    kept = [Utterance(key, tmp_path / "a.src", "字", line=n + 1) for n, key in enumerate(ODD_KEYS)]
    make(tmp_path / "deep" / "er", Selection(kept, []))
    wavs = tmp_path / "deep" / "er" / "out" / "wav" / "train"
    assert len(list(wavs.iterdir())) == len(ODD_KEYS)
    assert sorted(tmp_path.rglob("*.wav")) == sorted(wavs.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"a.src", "deep"}
    rows = read_rows(tmp_path / "deep" / "er" / "out" / "train.jsonl")
    assert [fields["key"] for fields in rows] == ODD_KEYS


def test_rows_stand_in_the_order_of_the_manifest(tmp_path):
    asked, line = make(tmp_path, utterances(tmp_path))
    assert asked == ["u0", "u1", "u2", "u3", "u4"]
    rows = read_rows(tmp_path / "out" / "train.jsonl")
    assert [fields["key"] for fields in rows] == asked
    assert (
        line == f"read 5 = kept 5 + rejected 0; 0.00 hours, 1 speakers -> {tmp_path / 'out' / 'train.jsonl'}"
    )
    assert [path.name for path in (tmp_path / "out").glob("*.jsonl")] == ["train.jsonl"]


def test_nothing_is_done_twice(tmp_path):
    selection = utterances(tmp_path)
    make(tmp_path, selection)
    assert make(tmp_path, selection)[0] == []


def test_only_the_missing_is_done(tmp_path):
    selection = utterances(tmp_path)
    make(tmp_path, selection)
    wavs = tmp_path / "out" / "wav" / "train"
    (wavs / file_name("u1")).unlink()
    (wavs / file_name("u3")).write_bytes(b"RIFF, cut short")
    assert make(tmp_path, selection)[0] == ["u1", "u3"]
    assert (wavs / file_name("u3")).stat().st_size == 44 + 1600


def test_what_has_changed_is_done_again(tmp_path):
    selection = utterances(tmp_path)
    make(tmp_path, selection)
    os.utime(tmp_path / "2.src", (5, 5))
    assert make(tmp_path, selection)[0] == ["u2"]
    assert make(tmp_path, selection, seed=2)[0] == ["u0", "u1", "u2", "u3", "u4"]


def test_another_text_changes_the_row_and_no_audio(tmp_path):
    selection = utterances(tmp_path)
    make(tmp_path, selection)
    texts = [Utterance(u.key, u.audio, "新", line=u.line) for u in selection.kept]
    assert make(tmp_path, Selection(texts, []))[0] == []
    assert read_rows(tmp_path / "out" / "train.jsonl")[0]["text_length"] == 1


def test_a_bad_utterance_is_listed_and_tried_again_next_time(tmp_path):
    selection = utterances(tmp_path)
    _, line = make(tmp_path, selection, bad="u3")
    assert "read 5 = kept 4 + rejected 1 (too_loud: 1)" in line
    reject = json.loads((tmp_path / "out" / "rejected" / "train.jsonl").read_text(encoding="utf-8"))
    assert (reject["key"], reject["line"], reject["reason"], reject["text"]) == ("u3", 4, "too_loud", "第3")
    stats = json.loads((tmp_path / "out" / "stats" / "train.json").read_text(encoding="utf-8"))
    assert stats["read"] == 5 and stats["kept"] == 4 and stats["rejected"] == {"too_loud": 1}
    assert make(tmp_path, selection)[0] == ["u3"]
    assert (tmp_path / "out" / "rejected" / "train.jsonl").read_text() == ""


def test_when_nothing_is_left_no_jsonl_stands(tmp_path):
    make(tmp_path, utterances(tmp_path, 1))
    with pytest.raises(
        UserError, match=r"no utterance is left: rejected 1 \(too_loud: 1\); the first: .*u0: hurts"
    ):
        make(tmp_path, utterances(tmp_path, 1), bad="u0", seed=2)
    assert not (tmp_path / "out" / "train.jsonl").exists()

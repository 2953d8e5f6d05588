"""File names that no key can misuse, and what is taken from an earlier run and what is not."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data.audio import AudioError, write_wav
from data.corpora import Utterance
from data.errors import UserError
from data.manifest import read_rows
from data.plausibility import choose_rules
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
    speech: float | None = None  # seconds, put into the record where rules want to know

    def __call__(self, utterance: Utterance) -> dict:
        return guard(self._make, utterance)

    def _make(self, utterance: Utterance) -> dict:
        self.asked.append(utterance.key)
        if utterance.key == self.bad:
            raise AudioError("too_loud", "hurts")
        write_wav(self.split.wav(utterance.key), np.full(800, 5, np.int16), 16000)
        facts = {"seconds": 0.05, "overrun": 0.0, "level_dbov": -20.0, "speech": self.speech}
        return {"samples": 800} | (facts if self.speech else {})


def utterances(folder: Path, count: int = 5) -> Selection:
    kept = []
    for n in range(count):
        if not (folder / f"{n}.src").exists():  # as old as it was
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
    assert (reject["rule"], reject["value"], reject["bound"]) == ("too_loud", None, None)
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


# --- rules ----------------------------------------------------------------------------------------------


def filtered(folder: Path, *changes: str, speech: float | None = 0.4, texts: dict[int, str] | None = None) -> tuple:
    """What was asked for, the keys that were kept, the rejects, the sound files that are there; two characters an utterance."""
    kept = utterances(folder).kept
    kept = [replace(u, text=(texts or {}).get(n, u.text)) for n, u in enumerate(kept)]
    split = Split(folder / "out", "train", {"seed": 1})
    maker = Maker(split, [], speech=speech)
    rules = choose_rules(["too_short=off", *changes])
    make_split(split, Selection(kept, [], rules), maker, jobs=1)
    rejects = [json.loads(line) for line in (split.folder / "rejected" / "train.jsonl").read_text("utf-8").splitlines()]
    files = sorted(path.name[:2] for path in split.wavs.iterdir())
    return maker.asked, [row["key"] for row in read_rows(split.jsonl)], rejects, files


def test_what_breaks_a_rule_is_rejected_with_its_sound(tmp_path):
    _, kept, rejects, files = filtered(tmp_path, texts={2: "二十个字也许太多" * 3})
    assert kept == files == ["u0", "u1", "u3", "u4"]
    found = [(r["key"], r["line"], r["reason"], r["rule"], r["value"], r["bound"]) for r in rejects]
    assert found == [("u2", 3, "too_fast", "too_fast", 60, 15)]
    stats = json.loads((tmp_path / "out" / "stats" / "train.json").read_text(encoding="utf-8"))
    assert stats["rejected"] == {"too_fast": 1} and stats["rules"]["too_fast"] == 15


def test_another_bound_or_text_is_judged_without_a_second_look_at_the_sound(tmp_path):
    long = {2: "二十个字也许太多" * 3}
    asked, *first = filtered(tmp_path, texts=long)
    assert len(asked) == 5
    again, *same = filtered(tmp_path, texts=long)
    assert again == [] and same == first
    asked, kept, *_ = filtered(tmp_path, "too_fast=4.9", texts=long | {0: "一"})
    assert asked == [] and kept == ["u0"]
    asked, kept, rejects, files = filtered(tmp_path, texts={2: "好"})  # only what was thrown away is made again
    assert asked == ["u1", "u2", "u3", "u4"] and kept == files == ["u0", "u1", "u2", "u3", "u4"] and rejects == []


def test_what_was_never_measured_is_made_again_when_rules_want_to_know(tmp_path):
    make(tmp_path, utterances(tmp_path))
    assert filtered(tmp_path, "silent=off", "too_slow=off", "too_fast=off")[0] == ["u0", "u1", "u2", "u3", "u4"]
    assert filtered(tmp_path)[0] == []
    assert make(tmp_path, utterances(tmp_path))[0] == []  # what is known harms nobody who has no rules


@dataclass
class Claims:
    """Makes no sound, but says of each utterance what it is told to."""

    records: dict[str, dict]

    def __call__(self, utterance: Utterance) -> dict:
        return self.records[utterance.key]


SECONDS = st.floats(0, 200)
RECORDS = st.one_of(
    st.builds(lambda detail: {"reject": "bad_segment", "detail": detail}, st.text(min_size=1)),
    st.builds(lambda s: {"reject": "bad_segment", "detail": "x", "seconds": -s, "overrun": s}, SECONDS),
    st.builds(
        lambda s, level, speech: {"samples": 1 + round(16000 * s), "in_place": True, "seconds": s, "overrun": -s}
        | {"level_dbov": level, "speech": speech},
        SECONDS,
        st.floats(-100, 0),
        SECONDS,
    ),
)


@settings(max_examples=30)
@given(st.lists(RECORDS, min_size=1, max_size=8), st.sampled_from([[], ["too_long=off"], ["silent=-10", "too_slow=2"]]))
def test_every_utterance_becomes_a_row_or_a_reject(records, changes):
    with tempfile.TemporaryDirectory() as folder:
        kept = [Utterance(f"u{n}", Path(folder) / "a.wav", "几个字", line=n + 1) for n in range(len(records))]
        split = Split(Path(folder), "train", {})
        work = Claims({u.key: record for u, record in zip(kept, records, strict=True)})
        rules = choose_rules(changes)
        try:
            make_split(split, Selection(kept, [], rules), work, jobs=1)
            rows = [row["key"] for row in read_rows(split.jsonl)]
        except UserError:
            rows = []
        lines = (split.folder / "rejected" / "train.jsonl").read_bytes().splitlines()
    rejects = {reject["key"]: reject for reject in map(json.loads, lines)}
    assert sorted([*rows, *rejects]) == [u.key for u in kept] and len(lines) == len(rejects)
    for key, reject in rejects.items():
        assert reject["line"] == int(key[1:]) + 1 and reject["rule"]
        assert (reject["bound"] is None) == (reject["rule"] == "bad_segment")
    for key in rows:
        facts = work.records[key]
        assert all(rule.allows(rule.measure("几个字", facts)) for rule in rules if rule.of in ("header", "samples"))


def test_the_summary_ends_with_a_line_a_rule(tmp_path):
    selection = replace(utterances(tmp_path), rules=choose_rules(["too_short=off", "too_fast=3"]))
    split = Split(tmp_path / "out", "train", {})
    with pytest.raises(UserError, match=r"no utterance is left: rejected 5 \(too_fast: 5\)"):
        make_split(split, selection, Maker(split, [], speech=0.4), jobs=1)
    lines = make_split(split, replace(selection, rules=choose_rules(["too_short=off"])), Maker(split, [], speech=0.4), 1)
    names = [line.split(":")[0].strip() for line in lines.splitlines()[1:]]
    assert names == ["outside_file", "too_long", "silent", "too_slow", "too_fast"]

"""Rules of plausibility where a split is made: asked of what is known of a sound, without hearing it again."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_split import Maker, job_of, keys_of, make, rejects_of, sounds, utterances

from data.audio import AudioInfo
from data.corpora import Utterance
from data.errors import UserError
from data.make_split import Means, make_split
from data.plausibility import choose_rules


def filtered(folder: Path, *changes: str, speech: float | None = 0.4, texts: dict[int, str] | None = None) -> tuple:
    """What was asked for, the keys that were kept, the rejects, the sound files that are there; two characters an utterance."""
    items = [replace(u, text=(texts or {}).get(n, u.text)) for n, u in enumerate(utterances(folder))]
    maker = Maker([], speech=speech)
    job = job_of(folder / "out", items, maker, rules=choose_rules(["too_short=off", *changes]))
    make_split(job, Means())
    return maker.asked, keys_of(folder / "out"), rejects_of(folder / "out"), sorted(name[:2] for name in sounds(folder / "out"))


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

    def __call__(self, utterance: Utterance, _: Path) -> dict:
        return self.records[utterance.key]

    def size(self, utterance: Utterance, info: AudioInfo, seconds: float) -> None:
        return None


SECONDS = st.floats(0, 200)
RECORDS = st.one_of(
    st.builds(lambda detail: {"reject": "bad_segment", "detail": detail}, st.text(min_size=1)),
    st.builds(lambda s: {"reject": "bad_segment", "detail": "x", "seconds": -s, "overrun": s}, SECONDS),
    st.builds(
        lambda s, level, speech: {"samples": 1 + round(16000 * s), "seconds": s, "overrun": -s}
        | {"level_dbov": level, "speech": speech},
        SECONDS,
        st.floats(-100, 0),
        SECONDS,
    ),
)


@settings(max_examples=30)
@given(st.lists(RECORDS, min_size=1, max_size=8), st.sampled_from([[], ["too_long=off"], ["silent=-10", "too_slow=2"]]))
def test_every_utterance_becomes_a_row_or_a_reject(records, changes):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        items = [Utterance(f"u{n}", folder / "a.wav", "几个字", line=n + 1) for n in range(len(records))]
        work = Claims({u.key: record for u, record in zip(items, records, strict=True)})
        rules = choose_rules(changes)
        try:
            make_split(job_of(folder, items, work, rules=rules), Means())
            rows = keys_of(folder)
        except UserError:
            rows = []
        lines = (folder / "rejected" / "train.jsonl").read_bytes().splitlines()
    rejects = {reject["key"]: reject for reject in map(json.loads, lines)}
    assert sorted([*rows, *rejects]) == [u.key for u in items] and len(lines) == len(rejects)
    for key, reject in rejects.items():
        assert reject["line"] == int(key[1:]) + 1 and reject["rule"]
        assert (reject["bound"] is None) == (reject["rule"] == "bad_segment")
    for key in rows:
        facts = work.records[key]
        assert all(rule.allows(rule.measure("几个字", facts)) for rule in rules if rule.of in ("header", "samples"))


def test_the_summary_ends_with_a_line_for_each_rule_that_rejected_something(tmp_path):
    items = utterances(tmp_path)
    strict = job_of(tmp_path / "out", items, Maker([], speech=0.4), rules=choose_rules(["too_short=off", "too_fast=3"]))
    with pytest.raises(UserError, match=r"no utterance is left: rejected 5 \(too_fast: 5\)"):
        make_split(strict, Means())
    for texts, said in ((items, []), ([*items[1:], replace(items[0], text="字" * 24)], ["too_fast"])):
        usual = job_of(tmp_path / "out", texts, Maker([], speech=0.4), rules=choose_rules(["too_short=off"]))
        assert [line.split(":")[0].strip() for line in make_split(usual, Means()).splitlines()[1:]] == said

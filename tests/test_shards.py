"""A shard is whole or not there; what an earlier run made is taken, what it did not is made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_split import Maker, job_of, make, sounds, utterances

from data import held_folder, shards
from data.audio import AudioInfo
from data.corpora import Reject, Utterance
from data.errors import UserError
from data.make_split import Means, make_split
from data.manifest import read_rows
from data.plausibility import choose_rules
from data.shards import make_shard, usual_count
from data.split import file_name


def keys_of(folder: Path) -> list[str]:
    return [row["key"] for row in read_rows(folder / "train.jsonl")]


def rejects_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "rejected" / "train.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("count", [1, 3, 50])
def test_rows_stand_in_the_order_of_the_manifest(tmp_path, count):
    asked, line = make(tmp_path, utterances(tmp_path, 40), count=count)
    assert sorted(asked) == sorted(keys_of(tmp_path / "out"))
    assert keys_of(tmp_path / "out") == [f"u{n}" for n in range(40)]
    assert line == f"read 40 = kept 40 + rejected 0; 0.00 hours, 1 speakers -> {tmp_path / 'out' / 'train.jsonl'}"
    assert [path.name for path in (tmp_path / "out").glob("*.jsonl")] == ["train.jsonl"]


def test_a_call_lies_in_one_shard(tmp_path):
    items = [replace(one, call=f"c{n % 7}") for n, one in enumerate(utterances(tmp_path, 70))]
    make(tmp_path, items, count=4)
    places = {(n % 7, sounds(tmp_path / "out")[file_name(f"u{n}")].parent) for n in range(70)}
    assert len(places) == 7 and len({place for _, place in places}) > 1


def test_the_usual_number_of_shards_is_a_power_of_two_that_keeps_them_small():
    counts = [usual_count(n) for n in range(0, 300_000, 50)]
    assert set(counts) <= {2**n for n in range(11)} and counts == sorted(counts)
    assert all(n / usual_count(n) <= shards.USUAL for n in range(1, 100_000, 77))
    assert usual_count(10**7) == shards.MOST


def test_nothing_is_done_twice(tmp_path):
    make(tmp_path, utterances(tmp_path), count=2)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*") if path.is_file()}
    assert make(tmp_path, utterances(tmp_path), count=2)[0] == []
    assert {path: path.stat().st_mtime_ns for path in before if path.suffix != ".lock"} == {
        path: stamp for path, stamp in before.items() if path.suffix != ".lock"
    }


def test_only_the_missing_is_done(tmp_path):
    make(tmp_path, utterances(tmp_path))
    there = sounds(tmp_path / "out")
    there[file_name("u1")].unlink()
    there[file_name("u3")].write_bytes(b"RIFF, cut short")
    assert make(tmp_path, utterances(tmp_path))[0] == ["u1", "u3"]
    assert sounds(tmp_path / "out")[file_name("u3")].stat().st_size == 44 + 1600


@pytest.mark.parametrize("name", [shards.ROWS, shards.REJECTS, shards.RECORDS, shards.STATS])
def test_a_shard_with_a_damaged_file_is_put_right(tmp_path, name):
    make(tmp_path, utterances(tmp_path), count=2)
    whole = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    for path in (tmp_path / "out").rglob(name):
        path.write_bytes(path.read_bytes()[:-1] + b"xx")
    make(tmp_path, utterances(tmp_path), count=2)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == whole


def test_what_has_changed_is_done_again(tmp_path):
    make(tmp_path, utterances(tmp_path))
    os.utime(tmp_path / "2.src", (5, 5))
    assert make(tmp_path, utterances(tmp_path))[0] == ["u2"]
    assert make(tmp_path, utterances(tmp_path), seed=2)[0] == ["u0", "u1", "u2", "u3", "u4"]


def test_more_lines_or_shards_cost_only_what_is_new(tmp_path):
    make(tmp_path, utterances(tmp_path, 40), count=2)
    assert make(tmp_path, utterances(tmp_path, 45), count=2)[0] == [f"u{n}" for n in range(40, 45)]
    assert make(tmp_path, utterances(tmp_path, 45), count=5)[0] == []
    assert make(tmp_path, utterances(tmp_path, 45)[::-1], count=1)[0] == []
    assert keys_of(tmp_path / "out") == [f"u{n}" for n in range(44, -1, -1)]
    assert {path.name for path in (tmp_path / "out" / "shards" / "train").iterdir()} == {"0000-of-0001"}


def test_another_text_changes_the_row_and_no_audio(tmp_path):
    make(tmp_path, utterances(tmp_path))
    assert make(tmp_path, [replace(one, text="新") for one in utterances(tmp_path)])[0] == []
    assert read_rows(tmp_path / "out" / "train.jsonl")[0]["text_length"] == 1


def test_a_folder_that_was_moved_keeps_its_sounds_under_their_new_name(tmp_path):
    make(tmp_path, utterances(tmp_path))
    shutil.move(tmp_path / "out", tmp_path / "new" / "out")
    maker = Maker([])
    make_split(job_of(tmp_path / "new" / "out", utterances(tmp_path), maker), Means())
    assert maker.asked == [] and str(tmp_path / "new" / "out") in (tmp_path / "new" / "out" / "train.jsonl").read_text("utf-8")


def test_a_bad_utterance_is_listed_and_tried_again_next_time(tmp_path):
    _, line = make(tmp_path, utterances(tmp_path), bad="u3")
    assert "read 5 = kept 4 + rejected 1 (too_loud: 1)" in line
    (reject,) = rejects_of(tmp_path / "out")
    assert (reject["key"], reject["line"], reject["reason"], reject["text"]) == ("u3", 4, "too_loud", "第3")
    assert (reject["rule"], reject["value"], reject["bound"]) == ("too_loud", None, None)
    stats = json.loads((tmp_path / "out" / "stats" / "train.json").read_text(encoding="utf-8"))
    assert stats["read"] == 5 and stats["kept"] == 4 and stats["rejected"] == {"too_loud": 1}
    assert make(tmp_path, utterances(tmp_path))[0] == ["u3"]
    assert rejects_of(tmp_path / "out") == []


def test_when_nothing_is_left_no_jsonl_stands(tmp_path):
    make(tmp_path, utterances(tmp_path, 1))
    with pytest.raises(UserError, match=r"no utterance is left: rejected 1 \(too_loud: 1\); the first: .*u0: hurts"):
        make(tmp_path, utterances(tmp_path, 1), bad="u0", seed=2)
    assert not (tmp_path / "out" / "train.jsonl").exists()


def test_lines_rejected_by_their_text_are_counted_with_those_of_their_shard(tmp_path):
    items = [*utterances(tmp_path, 6), *(Reject(None, n, "bad_json", f"m:{n}: is not JSON") for n in range(7, 20))]
    _, line = make(tmp_path, items, count=3)
    assert "read 19 = kept 6 + rejected 13 (bad_json: 13)" in line
    assert [reject["line"] for reject in rejects_of(tmp_path / "out")] == list(range(7, 20))


# --- whole or not at all --------------------------------------------------------------------------------


@dataclass
class Failing(Maker):
    """Its disk is full after a few sounds."""

    def _make(self, utterance: Utterance, room: Path) -> dict:
        if len(self.asked) == 3:
            raise OSError(28, "No space left on device", str(room))
        return super()._make(utterance, room)


def test_a_shard_that_cannot_be_finished_leaves_nothing(tmp_path):
    job = job_of(tmp_path / "out", utterances(tmp_path), Failing([]))
    with pytest.raises(OSError, match="No space"):
        make_split(job, Means())
    assert list((tmp_path / "out" / "shards" / "train").iterdir()) == []
    assert not (tmp_path / "out" / "train.jsonl").exists()


def test_what_a_kill_left_is_swept(tmp_path):
    make(tmp_path, utterances(tmp_path))
    place = tmp_path / "out" / "shards" / "train"
    for name in (".0000-of-0001.part", ".0000-of-0001.away.part", "0007-of-0009"):
        (place / name).mkdir()
        (place / name / "half.wav").write_text("x")
    os.utime(tmp_path / "2.src", (5, 5))
    make(tmp_path, utterances(tmp_path))
    assert [path.name for path in place.iterdir()] == ["0000-of-0001"]
    assert len(sounds(tmp_path / "out")) == 5


def test_a_shard_that_another_process_holds_is_left_alone(tmp_path, monkeypatch):
    """The lock is on the folder, and goes with its holder."""
    monkeypatch.setattr(held_folder, "PATIENCE", 0.0)
    job = job_of(tmp_path / "out", utterances(tmp_path), Maker([]))
    room = tmp_path / "out" / "shards" / "train" / ".0000-of-0001.part"
    room.mkdir(parents=True)
    hold = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], 0), fcntl.LOCK_EX); print('held', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", hold, str(room)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(UserError, match="another run is at work here"):
        make_shard(job, 0)
    holder.kill()
    holder.communicate()
    assert make_shard(job, 0).kept == 5


def test_one_shard_at_a_time_and_then_the_rest(tmp_path):
    """As the tasks of an array do it, in any order, and at last the command without --shard."""
    maker = Maker([])
    job = job_of(tmp_path / "out", utterances(tmp_path, 60), maker, count=4)
    read = 0
    for number in (2, 0, 3):
        line = make_split(job, Means(shard=number))
        assert line.startswith(f"shard {number} of 4: read ")
        read += int(line.split()[5].rstrip(","))
        assert not (tmp_path / "out" / "train.jsonl").exists()
    asked = len(maker.asked)
    assert asked == read < 60
    make_split(job, Means())
    assert len(maker.asked) == 60 and keys_of(tmp_path / "out") == [f"u{n}" for n in range(60)]


# --- rules ----------------------------------------------------------------------------------------------


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


def test_the_summary_ends_with_a_line_a_rule(tmp_path):
    items = utterances(tmp_path)
    strict = job_of(tmp_path / "out", items, Maker([], speech=0.4), rules=choose_rules(["too_short=off", "too_fast=3"]))
    with pytest.raises(UserError, match=r"no utterance is left: rejected 5 \(too_fast: 5\)"):
        make_split(strict, Means())
    usual = job_of(tmp_path / "out", items, Maker([], speech=0.4), rules=choose_rules(["too_short=off"]))
    names = [line.split(":")[0].strip() for line in make_split(usual, Means()).splitlines()[1:]]
    assert names == ["outside_file", "too_long", "silent", "too_slow", "too_fast"]

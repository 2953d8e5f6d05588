"""A shard is whole or not there; what an earlier run made is taken, what it did not is made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from small_split import Maker, job_of, keys_of, make, rejects_of, sounds, utterances

from data import held_folder, shards
from data.corpora import Reject, Utterance
from data.errors import UserError
from data.make_split import Means, make_split
from data.manifest import read_rows
from data.shards import make_shard, usual_count
from data.split import file_name


@pytest.mark.parametrize("count", [1, 3, 50])
def test_rows_stand_in_the_order_of_the_manifest(tmp_path, count):
    asked, line = make(tmp_path, utterances(tmp_path, 40), count=count)
    assert sorted(asked) == sorted(keys_of(tmp_path / "out"))
    assert keys_of(tmp_path / "out") == [f"u{n}" for n in range(40)]
    assert line == f"read 40 = kept 40 + rejected 0; 0.00 hours, 1 speaker -> {tmp_path / 'out' / 'train.jsonl'}"
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

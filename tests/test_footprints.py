"""local/footprints.py: what can be read of a run that is writing, or was killed."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from local import footprints
from local.figures import clock, size
from local.footprints import Training

LINES = [
    {"kind": "dev", "epoch": 0, "update": 0, "total": 3.5, "cer_llm": 62.0, "cer_ctc": 59.0},
    {"kind": "train", "epoch": 1, "update": 20, "total": 2.5, "updates": 150, "seconds_left": 37.5},
    {"kind": "dev", "epoch": 1, "update": 20, "total": 3.0, "cer_llm": 14.5, "cer_ctc": 61.0},
    {"kind": "train", "epoch": 2, "update": 40, "total": 1.25, "updates": 150, "seconds_left": 30.0},
]


def written(folder: Path, lines: list[dict], more: str = "") -> Path:
    path = folder / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + more, encoding="utf-8")
    return path


def test_the_last_update_and_the_best_rates_of_all_trained_epochs(tmp_path):
    """The start, epoch 0, said more by CTC: that is no merit of the training."""
    found = footprints.training(written(tmp_path, LINES), running=False)
    assert found == Training(40, 150, 2, 1.25, cer_llm=14.5, cer_ctc=61.0, left=30.0)


def test_before_the_first_update_the_loss_of_the_start_is_known(tmp_path):
    found = footprints.training(written(tmp_path, LINES[:1]), running=True)
    assert found == Training(0, None, 0, 3.5, None, None, None)
    assert footprints.training(tmp_path / "none.jsonl", running=True) == Training()


def test_the_time_since_the_last_line_is_over_while_it_runs(tmp_path):
    path = written(tmp_path, LINES)
    long_ago = path.stat().st_mtime - 1000
    os.utime(path, (long_ago, long_ago))
    assert footprints.training(path, running=True).left == 0
    assert footprints.training(path, running=False).left == 30


def test_torn_and_damaged_lines_are_left_out(tmp_path):
    torn = json.dumps(LINES[1])[:-20]
    path = written(tmp_path, LINES, f'{torn}\n[1]\n"kind"\n\x00\x00\n{{"kind": "train", "update": "x"}}\n{torn}')
    found = footprints.training(path, running=False)
    assert (found.update, found.cer_llm) == (None, 14.5)
    path.write_bytes(path.read_bytes() + b"\xff\xfe{")
    assert footprints.training(path, running=False).cer_llm == 14.5


@given(st.binary(max_size=200))
def test_whatever_stands_there_it_answers(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    (folder / "metrics.jsonl").write_bytes(content)
    footprints.training(folder / "metrics.jsonl", running=True)
    (folder / "results.json").write_bytes(content)
    footprints.calls_cer(folder / "results.json")


def test_the_rate_of_the_calls_where_it_is_known(tmp_path):
    results = tmp_path / "results.json"
    assert footprints.calls_cer(results) is None
    results.write_text('{"sets": {"calls_test": {"llm": {"cer": 12.5}}}}', encoding="utf-8")
    assert footprints.calls_cer(results) == 12.5
    for damaged in ('{"sets": []}', "{", "[]", '{"sets": {"calls_test": {"llm": {"cer": null}}}}'):
        results.write_text(damaged, encoding="utf-8")
        assert footprints.calls_cer(results) is None


def test_the_shards_of_a_file_that_is_being_made(tmp_path):
    rows = tmp_path / "train.jsonl"
    assert footprints.shards_of(rows) == (0, 0)
    for name in ("0000-of-0008", "0003-of-0008", ".0004-of-0008.part"):
        (tmp_path / "shards/train" / name).mkdir(parents=True)
    assert footprints.shards_of(rows) == (2, 8)


def test_a_folder_is_held_while_a_run_holds_it(tmp_path):
    lock = tmp_path / ".lock"
    assert not footprints.is_held(lock) and not lock.exists()
    with lock.open("a") as file:
        assert not footprints.is_held(lock)
        fcntl.flock(file, fcntl.LOCK_EX)
        assert footprints.is_held(lock)
    assert not footprints.is_held(lock)


def test_bytes_below_each_folder_a_second_name_not_counted_again(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other/inside"
    for folder in (one, other):
        folder.mkdir(parents=True)
    (one / "a").write_bytes(b"x" * 1000)
    os.link(one / "a", one / "b")
    (other / "c").write_bytes(b"x" * 10)
    (tmp_path / "d").write_bytes(b"x")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    total, below = footprints.used(tmp_path, [one, tmp_path / "other", tmp_path / "not there"])
    assert below == {one: 1000, tmp_path / "other": 10, tmp_path / "not there": 0}
    assert total == 1011 + len(str(tmp_path / "nowhere"))


def test_figures_as_people_read_them():
    assert [clock(59.6), clock(3725)] == ["0:01:00", "1:02:05"]
    assert [size(7_800), size(63_200_000), size(1_234_500_000_000)] == ["8 kB", "63 MB", "1,234.5 GB"]

"""Where a corpus names no test set: its calls are divided into dev and test."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_sound import make_corpus, write_manifest, write_voice

from data.errors import UserError
from data.manifest import read_rows
from data.prepare_training_data import main


def divide(corpus: Path, folder: Path) -> tuple[list[dict], list[dict]]:
    outputs = ["--output", str(folder / "dev.jsonl"), "--split_test", str(folder / "test.jsonl")]
    assert main(["convert", "--manifest", str(corpus), *outputs, "--jobs", "1"]) == 0
    return read_rows(folder / "dev.jsonl"), read_rows(folder / "test.jsonl")


def test_dev_is_divided_by_call(tmp_path):
    dev, test = divide(make_corpus(tmp_path / "c", count=60, seconds=0.1, talkers=30), tmp_path / "o")
    assert len(dev) + len(test) == 60 and dev and test
    assert not {row["call"] for row in dev} & {row["call"] for row in test}
    assert sorted(path.name for path in (tmp_path / "o").glob("*.jsonl")) == ["dev.jsonl", "test.jsonl"]


def test_one_call_cannot_be_divided(tmp_path):
    with pytest.raises(UserError, match="is all of one call"):
        divide(make_corpus(tmp_path / "c", count=4, talkers=1), tmp_path / "o")


@pytest.mark.parametrize("calls", [2, 3, 5])
def test_a_few_calls_can_whatever_they_are_called(tmp_path, calls):
    write_voice(tmp_path / "a.wav", 0.1, 8000)
    for name in range(6):  # by the hash alone, two calls would be in one half every other time
        lines = [{"key": f"u{n}", "source": "a.wav", "target": "字", "call": f"{name} {n}"} for n in range(calls)]
        dev, test = divide(write_manifest(tmp_path / "m.jsonl", lines), tmp_path / f"o{name}")
        assert dev and test and len(dev) + len(test) == calls

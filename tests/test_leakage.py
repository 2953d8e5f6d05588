"""What training shares with dev and test: found, named, and never counted twice."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_rows import point, rows_in, splits

from data.leakage import LEAKS, Names, key_and_text, places, repeats, shared
from data.manifest import row
from data.validation import validate


@pytest.mark.parametrize(
    ("spoil", "words", "passes"),
    [
        (lambda a, b: a | {"speaker": "s"}, "! no speaker is in two splits: 1", True),
        (lambda a, b: a | {"source": "x.flac", "start": 1.5}, "✗ no part of a recording is in two splits: 1", False),
        (lambda a, b: a | {"audio_sha256": "0f"}, "✗ no sound of dev is in test: 1", False),
        (lambda a, b: a | {"key": b["key"], "text_length": 3, "messages": None}, "✗ no key with its text", False),
    ],
)
def test_each_leak_is_found(tmp_path, capsys, spoil, words, passes):
    rows = rows_in(tmp_path, 4)
    spoilt = [spoil(rows[1], rows[2]), spoil(rows[2], rows[1])]
    if spoilt[0]["messages"] is None:  # the same key and text, another sound
        spoilt = [rows[1], copy.deepcopy(rows[1])]
        point(spoilt[1], tmp_path / "2.wav")
    files = splits(tmp_path, dev=[rows[0], spoilt[0]], test=[spoilt[1], rows[3]])
    assert validate(files) == passes
    out = capsys.readouterr().out
    assert words in out and "test.jsonl and in " in out


def test_one_key_for_two_sentences_of_two_corpora_is_no_leak(tmp_path, capsys):
    rows = rows_in(tmp_path, 2)
    files = splits(tmp_path, train=rows[:1], test=[rows[1] | {"key": rows[0]["key"]}])
    assert validate(files)


def test_one_sound_under_two_names_is_found_by_listening(tmp_path, capsys):
    rows = rows_in(tmp_path, 3, seconds=3.0)
    copy_of_0 = (tmp_path / "0.wav").read_bytes()
    (tmp_path / "1.wav").write_bytes(copy_of_0)
    (tmp_path / "2.wav").write_bytes(copy_of_0[:-2] + b"\1\1")  # the same size and beginning
    files = splits(tmp_path, train=rows[:1], test=rows[1:])
    assert validate(files)
    assert not validate(files, check_audio=True)
    out = capsys.readouterr().out
    assert "✗ no sound is in two splits under two names: 1 against it" in out
    assert f"{tmp_path / '0.wav'}: in {files[0]} and in {files[1]} as {tmp_path / '1.wav'}" in out


NAMES = st.lists(st.sampled_from("abcdefgh"), max_size=8)


@given(st.dictionaries(st.sampled_from(["x/train", "y/train", "x/dev", "x/test"]), NAMES, min_size=1))
def test_what_splits_share_is_what_sets_share(sets):
    rows = [(Path(f"{path}.jsonl"), row(name, "w", "t", 1)) for path, names in sets.items() for name in names]
    names: dict[Path, Names] = {Path(f"{path}.jsonl"): Names() for path in sets}
    for path, fields in rows:
        names[path].add(key_and_text(fields))
    stems: dict[str, set[str]] = {}
    for path, found in sets.items():
        stems.setdefault(Path(path).stem, set()).update(found)
    expected = {a for x, y in itertools.combinations(stems.values(), 2) for a in x & y}
    leak = next(leak for leak in LEAKS if leak.name is key_and_text)
    found = list(places(leak, shared(names), rows))
    assert {line.partition(":")[0] for line in found} == expected and len(found) == len(expected)


@given(NAMES)
def test_repeats_are_what_counting_finds(names):
    remembered = Names()
    for name in names:
        remembered.add(name)
    found = set(repeats(lambda fields: fields["n"], remembered.repeated(), [{"n": name} for name in names]))
    assert found == {f"{name}: {names.count(name)} times" for name in set(names) if names.count(name) > 1}


@pytest.mark.parametrize(("one", "other", "mark"), [("train", "dev", "!"), ("dev", "test", "!"), ("train", "test", "✗")])
def test_a_call_in_train_and_test_is_an_error_and_else_a_warning(tmp_path, capsys, one, other, mark):
    rows = [fields | {"call": "c1"} for fields in rows_in(tmp_path)]
    files = splits(tmp_path, **{one: rows[:2], other: rows[2:]})
    assert validate(files) == (mark == "!")
    assert f"{mark} no call is in two splits: 1" in capsys.readouterr().out


def test_a_speaker_in_all_three_is_told_of_train_and_test(tmp_path, capsys):
    """As training would refuse it."""
    rows = [fields | {"speaker": "agent 7"} for fields in rows_in(tmp_path)]
    assert not validate(splits(tmp_path, dev=rows[:1], test=rows[1:2], train=rows[2:]))
    told = capsys.readouterr().out
    found = next(line for line in told.splitlines() if "agent 7: in " in line)
    assert "train.jsonl" in found and "test.jsonl" in found
    assert told.splitlines()[-1].startswith("failed: no speaker is in two splits (1 against it); ") and "KNOWN_SPEAKERS=1" in told


def test_a_speaker_in_two_splits_is_a_warning_unless_it_is_known(tmp_path, capsys):
    rows = [fields | {"speaker": "agent 7"} for fields in rows_in(tmp_path)]
    files = splits(tmp_path, train=rows[:2], dev=rows[2:])
    assert validate(files)
    told = capsys.readouterr().out
    assert "! no speaker is in two splits: 1" in told and told.endswith("\nall checks passed; 1 warning\n")
    assert validate(files, known_speakers=True)
    told = capsys.readouterr().out
    assert "speaker is in" not in told and told.endswith("\nall checks passed\n")

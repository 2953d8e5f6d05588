"""What was trained on is found in a test set, however it is called there, and stops the evaluation."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from data.audio import write_wav
from data.errors import UserError
from data.manifest import row, write_rows
from local.contamination import LIST, check, shared


@pytest.fixture
def room(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for name in ("a", "b", "c", "d"):
        write_wav(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(4000).astype(np.float32), 16000)
    return tmp_path


def spoken(room: Path, name: str, **fields: str) -> dict:
    return row(name, room / f"{name}.wav", "好", 4000) | fields


def trained(room: Path, *rows: dict) -> list[Path]:
    write_rows(room / "train.jsonl", rows)
    return [room / "train.jsonl"]


def test_sets_that_are_apart_pass(room):
    train = trained(room, spoken(room, "a", speaker="x", call="1"), spoken(room, "b"))
    sets = {"calls_test": [spoken(room, "c", speaker="y", call="2"), spoken(room, "d")]}
    assert shared(sets, train) == {} and check(sets, train, False, room) == {}
    assert check(sets, [], False, room) == {}


@pytest.mark.parametrize(
    ("there", "here", "kinds"),
    [
        ({"call": "1"}, {"call": "1"}, ["calls"]),
        ({"call": "1", "speaker": "x"}, {"call": "1", "speaker": "x"}, ["calls", "speakers"]),
        ({"source": "/r.wav", "start": 1.0}, {"source": "/r.wav", "start": 1.0}, ["recordings"]),
    ],
)
def test_calls_and_recordings_stop_it_with_the_list(room, capsys, there, here, kinds):
    train, sets = trained(room, spoken(room, "a", **there)), {"calls_test": [spoken(room, "b", **here), spoken(room, "c")]}
    assert list(shared(sets, train)["calls_test"]) == kinds
    for known in (False, True):
        with pytest.raises(UserError, match=rf"1 {kinds[0]} of calls_test.* are in train too.*take them out of train") as caught:
            check(sets, train, known, room)
        assert "\n" not in str(caught.value)
        assert str(room / LIST) in str(caught.value)
    assert f"calls_test\t{kinds[0]}\t" in capsys.readouterr().out


def test_of_a_long_list_ten_lines_are_printed_and_all_written(room, capsys):
    rows = [spoken(room, "a", call=f"call{number:02}") for number in range(25)]
    with pytest.raises(UserError, match=r"^25 calls of calls_test, 1 recordings of calls_test, 1 sounds of calls_test are in"):
        check({"calls_test": rows}, trained(room, *rows), False, room)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 11 and printed[-1] == "… and 17 more"
    listed = (room / LIST).read_text(encoding="utf-8").splitlines()
    assert len(listed) == 27 and listed[:10] == printed[:10] and listed[24] == "calls_test\tcalls\tcall24"


def test_another_part_of_a_recording_is_another_utterance(room):
    train = trained(room, spoken(room, "a", source="/r.wav", start=1.0, end=2.0))
    assert shared({"guard": [spoken(room, "b", source="/r.wav", start=2.0, end=3.0)]}, train) == {}


def test_the_clean_recording_of_simulated_training_speech_is_found_in_the_guard(room):
    train = trained(room, spoken(room, "a", source=str(room / "b.wav")))
    assert shared({"guard": [spoken(room, "b")]}, train) == {"guard": {"recordings": [str(room / "b.wav")]}}


def test_the_same_sound_under_another_name_is_found(room):
    shutil.copy(room / "a.wav", room / "copy.wav")
    train = trained(room, spoken(room, "a"), spoken(room, "b"))
    assert shared({"guard": [spoken(room, "copy"), spoken(room, "c")]}, train) == {
        "guard": {"sounds": [str(room / "copy.wav")]}
    }


def test_known_speakers_are_carried_on_but_nothing_else_is(room):
    train = trained(room, spoken(room, "a", speaker="agent"), spoken(room, "b", call="1"))
    sets = {"calls_test": [spoken(room, "c", speaker="agent")], "guard": [spoken(room, "d", speaker="z")]}
    with pytest.raises(UserError, match=r"1 speakers of calls_test are in train too.*KNOWN_SPEAKERS=1 \(--known_speakers\)"):
        check(sets, train, False, room)
    assert check(sets, train, True, room) == {"calls_test": ["agent"]}
    sets["guard"][0]["call"] = "1"
    with pytest.raises(UserError, match=r"^1 calls of guard are in train too"):
        check(sets, train, True, room)

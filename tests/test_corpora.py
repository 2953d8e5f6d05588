"""Readers: every line becomes an utterance or a reject, and nothing in a manifest is executed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sound import write_manifest

from data.corpora import Reject, Utterance, read_corpus
from data.errors import UserError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "speech"


def read_lines(folder: Path, *lines) -> list[Utterance | Reject]:
    return list(read_corpus(write_manifest(folder / "corpus.jsonl", list(lines))))


def read_line(folder: Path, **fields) -> Utterance | Reject:
    return read_lines(folder, {"source": "a.wav", "target": "字"} | fields)[0]


def kaldi(folder: Path, **files: str) -> list[Utterance | Reject]:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return list(read_corpus(folder))


# --- JSON lines -------------------------------------------------------------------------------------


def test_all_fields(tmp_path):
    fields = {"key": "k", "start": 1, "end": 2.5, "channel": 1, "speaker": "s", "call": "c"}
    assert read_line(tmp_path, **fields) == Utterance("k", tmp_path / "a.wav", "字", 1.0, 2.5, 1, "s", "c", 1)


def test_other_names_of_the_fields(tmp_path):
    item = read_lines(tmp_path, {"audio": "/abs/a.wav", "text": "字"})[0]
    assert (item.audio, item.text) == (Path("/abs/a.wav"), "字")


def test_a_missing_key_is_made_of_place_and_times_never_of_the_position(tmp_path):
    lines = [
        {"source": "d/a.wav", "target": "字", "start": 1.5, "end": 2},
        {"source": "d/a.wav", "target": "字"},
        {"source": "d/a.wav", "target": "字", "channel": 1},
    ]
    keys = [item.key for item in read_lines(tmp_path, *lines)]
    assert keys == ["corpus/d/a.wav@1.500-2.000", "corpus/d/a.wav", "corpus/d/a.wav#1"]
    assert [item.key for item in read_lines(tmp_path, *reversed(lines))] == keys[::-1]


def test_digits_are_a_key_and_blank_lines_are_no_lines(tmp_path):
    items = read_lines(tmp_path, "\ufeff" + json.dumps({"key": 17, "source": "a", "target": "b"}), "", "  \r")
    assert [(item.key, item.line) for item in items] == [("17", 1)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"source": None}, "no_audio"),
        ({"target": None}, "no_text"),
        ({"target": ["字"]}, "bad_field"),
        ({"start": "1"}, "bad_field"),
        ({"start": -1}, "bad_field"),
        ({"start": float("nan")}, "bad_field"),
        ({"start": 2, "end": 2}, "bad_field"),
        ({"end": 0}, "bad_field"),
        ({"channel": -1}, "bad_field"),
        ({"channel": 0.5}, "bad_field"),
        ({"channel": True}, "bad_field"),
        ({"key": {}}, "bad_field"),
        ({"target": "\ud800"}, "bad_field"),
        ({"source": "a\0b"}, "bad_field"),
    ],
)
def test_a_bad_field_is_a_reject_that_names_the_line(tmp_path, fields, reason):
    text = json.dumps({"source": "a.wav", "target": "字"} | fields)
    item = read_lines(tmp_path, text)[0]
    assert isinstance(item, Reject) and item.reason == reason
    assert f"{tmp_path / 'corpus.jsonl'}:1: " in item.detail


@pytest.mark.parametrize("line", [b"{", b"no json", b"[]", b"3", b'{"source": "\xff"}'])
def test_what_is_no_json_is_a_reject_and_the_rest_goes_on(tmp_path, line):
    good = json.dumps({"source": "a.wav", "target": "b"}).encode()
    (tmp_path / "c.jsonl").write_bytes(good + b"\n" + line + b"\n" + good + b"\n")
    items = list(read_corpus(tmp_path / "c.jsonl"))
    assert [type(item) for item in items] == [Utterance, Reject, Utterance]
    assert (items[1].reason, items[1].line) == ("bad_json", 2)


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_accounted_for(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("any") / "c.jsonl"
    path.write_bytes(b"\n".join([b"{}", *lines]))
    assert len(list(read_corpus(path))) == 1 + sum(bool(line.strip()) for line in lines)


def test_missing_and_empty_manifests_are_errors(tmp_path):
    with pytest.raises(UserError, match="no such manifest"):
        read_corpus(tmp_path / "nowhere")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UserError, match="is empty"):
        read_corpus(tmp_path / "empty.jsonl")


# --- Kaldi --------------------------------------------------------------------------------------------


def test_kaldi_without_segments(tmp_path):
    items = kaldi(
        tmp_path, wav_scp="u1 a b.wav\nu2\t/abs/b.wav\n", text="u2 你 好\nu1 字\n", utt2spk="u1 s1\n"
    )
    assert items == [
        Utterance("u1", tmp_path / "a b.wav", "字", speaker="s1", line=1),
        Utterance("u2", Path("/abs/b.wav"), "你 好", line=2),
    ]


def test_kaldi_with_segments(tmp_path):
    items = kaldi(
        tmp_path, wav_scp="r1 a.wav\n", text="u1 一\nu2 二\n", segments="u1 r1 0.5 1.25\nu2 r1 2 -1\n"
    )
    assert [(i.key, i.start, i.end, i.call) for i in items] == [
        ("u1", 0.5, 1.25, "r1"),
        ("u2", 2.0, None, "r1"),
    ]


def test_kaldi_lines_that_cannot_be_used(tmp_path):
    items = kaldi(
        tmp_path,
        wav_scp="r1 a.wav\nr2 sox b.wav -t wav - |\n",
        text="u1 一\nu2 二\nu3 三\nu4 四\nu5 五\n",
        segments="u1 r1 1 x\nu2 r9 0 1\nu3 r2 0 1\nu4 r1 2 1\nu6 r1 0 1\n",
    )
    assert {item.key: item.reason for item in items} == {
        "u1": "bad_field",
        "u2": "no_audio",
        "u3": "pipe_command",
        "u4": "bad_field",
        "u6": "no_text",
        "u5": "no_audio",
    }


def test_a_command_in_wav_scp_is_never_run(tmp_path):
    for command in (f"touch {tmp_path}/ran |", f"| touch {tmp_path}/ran", f"$(touch {tmp_path}/ran)"):
        kaldi(tmp_path, wav_scp=f"u1 {command}\n", text="u1 字\n")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"text": "u1 字\n"}, "no file wav.scp"),
        ({"wav_scp": "u1 a.wav\n"}, "no file text"),
        ({"wav_scp": "u1 a\nu1 b\n", "text": "u1 字\n"}, "wav.scp:2: u1 stands in line 1 too"),
        ({"wav_scp": "", "text": ""}, "is empty"),
    ],
)
def test_a_broken_kaldi_folder_is_one_line(tmp_path, files, message):
    with pytest.raises(UserError, match=message):
        kaldi(tmp_path, **files)


@pytest.mark.skipif(not SHARED.exists(), reason="no recordings of people here")
def test_real_recordings():
    items = list(read_corpus(SHARED))
    assert len(items) == 5 and all(isinstance(item, Utterance) and item.audio.exists() for item in items)

"""Readers: every line becomes an utterance or a reject, and nothing in a manifest is executed."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sound import write_manifest

from data.corpora import FORMATS, Reject, Utterance, detect, read_corpus, split_fragment
from data.errors import UserError


def read_lines(folder: Path, *lines) -> list[Utterance | Reject]:
    return list(read_corpus(write_manifest(folder / "corpus.jsonl", list(lines))))


def read_line(folder: Path, **fields) -> Utterance | Reject:
    return read_lines(folder, {"source": "a.wav", "target": "字"} | fields)[0]


# --- JSON lines -------------------------------------------------------------------------------------


def test_all_fields(tmp_path):
    fields = {"key": "k", "start": 1, "end": 2.5, "channel": 1, "speaker": "s", "call": "c"}
    assert read_line(tmp_path, **fields) == Utterance("k", tmp_path / "a.wav", "字", 1.0, 2.5, 1, "s", "c", 1)


def test_other_names_of_the_fields(tmp_path):
    item = read_lines(tmp_path, {"audio": "/abs/a.wav", "text": "字"})[0]
    assert (item.audio, item.text) == (Path("/abs/a.wav"), "字")


def test_parts_of_a_recording_are_of_one_call(tmp_path):
    """Else its halves could be heard in training and in a test."""
    places = ({"start": 1, "end": 2}, {"channel": 1}, {})
    part, other, whole = read_lines(tmp_path, *({"source": "a.wav", "target": "字"} | place for place in places))
    assert part.call == other.call == str(tmp_path / "a.wav") and whole.call is None


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
        ({"source": ""}, "no_audio"),
        ({"source": "https://example.com/a.wav"}, "remote_audio"),
        ({"start": "one"}, "bad_field"),
        ({"start": "1_0"}, "bad_field"),
        ({"start": True}, "bad_field"),
        ({"start": float("nan")}, "bad_field"),
        ({"start": "nan"}, "bad_field"),
        ({"start": 10**400}, "bad_field"),
        ({"start": -1}, "bad_times"),
        ({"start": 2, "end": 2}, "bad_times"),
        ({"start": "2", "end": "1.5"}, "bad_times"),
        ({"end": 0}, "bad_times"),
        ({"end": 1e308}, "bad_times"),
        ({"channel": -1}, "bad_field"),
        ({"channel": 1e30}, "bad_field"),
        ({"channel": 0.5}, "bad_field"),
        ({"channel": True}, "bad_field"),
        ({"channel": "left"}, "bad_field"),
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


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "bad_json"),
        (b"no json", "bad_json"),
        (b"[]", "bad_json"),
        (b"3", "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b"9" * 10_000, "bad_json"),
        (b'{"source": "\xff"}', "bad_encoding"),
        (b'{"source": "a.wav", "target": "\0"}', "bad_encoding"),
        (b'{"source": "a.wav", "target": "' + b"a" * 2**20 + b'"}', "too_long"),
    ],
)
def test_what_is_no_json_is_a_reject_and_the_rest_goes_on(tmp_path, line, reason):
    good = json.dumps({"source": "a.wav", "target": "b"}).encode()
    (tmp_path / "c.jsonl").write_bytes(good + b"\n" + line + b"\n" + good + b"\n")
    items = list(read_corpus(tmp_path / "c.jsonl"))
    assert [type(item) for item in items] == [Utterance, Reject, Utterance]
    assert (items[1].reason, items[1].line) == (reason, 2)
    assert len(items[1].detail) < 400


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_accounted_for(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("any") / "c.jsonl"
    path.write_bytes(b"\n".join([b"{}", *lines]))
    assert len(list(read_corpus(path))) == 1 + sum(bool(line.strip()) for line in lines)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"start": "1.5", "end": "2"}, {"start": 1.5, "end": 2.0}),
        ({"start": " .5 ", "end": "1e1"}, {"start": 0.5, "end": 10.0}),
        ({"start": 1, "end": 2}, {"start": 1.0, "end": 2.0}),
        ({"key": 17, "speaker": 3.0, "call": 20240101}, {"key": "17", "speaker": "3", "call": "20240101"}),
        ({"channel": "1"}, {"channel": 1}),
        ({"channel": 1.0}, {"channel": 1}),
    ],
)
def test_numbers_are_taken_as_they_come(tmp_path, fields, expected):
    item = read_line(tmp_path, **fields)
    assert isinstance(item, Utterance)
    assert {name: getattr(item, name) for name in expected} == expected
    for value in expected.values():
        assert type(value) in {type(getattr(item, name)) for name in expected}


def test_a_reject_tells_value_and_bound_and_what_is_known_of_its_line(tmp_path):
    item = read_line(tmp_path, key=5, call="c", start=3, end=1)
    assert (item.key, item.text, item.call, item.value, item.bound) == ("5", "字", "c", 1.0, 3.0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_and_gzip_give_the_same_utterances(tmp_path, encoding, packed):
    lines = [{"source": f"{n}.wav", "target": "语音转写，第二句"} for n in range(3)]
    expected = read_lines(tmp_path, *lines)
    content = (tmp_path / "corpus.jsonl").read_text(encoding="utf-8").encode(encoding)
    (tmp_path / "corpus.jsonl").unlink()
    path = tmp_path / ("corpus.jsonl.gz" if packed else "corpus.jsonl")
    path.write_bytes(gzip.compress(content) if packed else content)
    assert list(read_corpus(path)) == expected


def test_missing_and_empty_manifests_are_errors(tmp_path):
    with pytest.raises(UserError, match="no such manifest"):
        read_corpus(tmp_path / "nowhere")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UserError, match="is empty"):
        read_corpus(tmp_path / "empty.jsonl")


@pytest.mark.skipif(os.name != "posix", reason="no FIFOs here")
def test_a_manifest_that_is_a_fifo_is_an_error_not_a_hang(tmp_path):
    os.mkfifo(tmp_path / "c.jsonl")
    with pytest.raises(UserError, match="is no file but"):
        read_corpus(tmp_path / "c.jsonl")


# --- which format ---------------------------------------------------------------------------------------

CHAT = [{"role": "user", "content": "<|startofspeech|>!a.wav<|endofspeech|>"}, {"role": "assistant", "content": "字"}]
FILES = {
    "json_lines": ("c.jsonl", '{"source": "a.wav", "target": "字"}\n'),
    "funasr": ("c.jsonl", "broken\n" + json.dumps({"messages": CHAT, "speech_length": 3}) + "\n"),
    "wenetspeech": ("WenetSpeech.json", '{\n  "audios": [{"aid": "Y", "path": "a.opus", "segments": []}]}'),
    "kaldi": ("wav.scp", "u1 a.wav\n"),
    "magicdata_ramc": ("CTS-1.txt", "[1.319,6.691]\tG00000140\t女,普通话\t爱数智慧\n"),
    "hkust": ("20040503_220921_A901153_B901154.txt", "# 20040503\n\n1.21 3.4 A: 喂\n"),
}


def test_every_format_has_its_file_here():
    assert set(FORMATS) == {"auto", *FILES}


@pytest.mark.parametrize("form", FILES)
def test_a_file_and_its_folder_are_recognised(tmp_path, form):
    name, content = FILES[form]
    (tmp_path / name).write_text(content, encoding="utf-8")
    if form not in ("json_lines", "funasr"):
        assert detect(tmp_path) == form
    if form != "kaldi":
        assert detect(tmp_path / name) == form


def test_a_folder_that_is_no_corpus_is_an_error(tmp_path):
    (tmp_path / "README.txt").write_text("words")
    with pytest.raises(UserError, match="is no corpus"):
        read_corpus(tmp_path)


def test_a_format_can_be_forced(tmp_path):
    path = write_manifest(tmp_path / "c.jsonl", [{"messages": CHAT, "source": "b.wav", "target": "话"}])
    assert [item.text for item in read_corpus(path)] == ["字"]
    assert [item.text for item in read_corpus(path, "json_lines")] == ["话"]
    with pytest.raises(UserError, match="nemo: no such format; there are auto, "):
        read_corpus(path, "nemo")


def test_a_part_is_named_behind_a_hash_unless_that_is_the_name_of_a_file(tmp_path):
    assert split_fragment("x/WenetSpeech.json#M") == (Path("x/WenetSpeech.json"), "M")
    assert split_fragment("x/c.jsonl") == (Path("x/c.jsonl"), None)
    (tmp_path / "c#1").write_text("{}")
    assert split_fragment(tmp_path / "c#1") == (tmp_path / "c#1", None)


def test_a_part_or_a_confidence_of_what_has_none_is_an_error(tmp_path):
    path = write_manifest(tmp_path / "c.jsonl", [{"source": "a.wav", "target": "字"}])
    with pytest.raises(UserError, match="have parts, this is json_lines"):
        read_corpus(f"{path}#M")
    with pytest.raises(UserError, match="only WenetSpeech tells a confidence"):
        read_corpus(path, min_confidence=0.9)

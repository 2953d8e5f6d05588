"""Kaldi folders: every line of segments, wav.scp and text is accounted for, and no command is run."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from made_sound import write_manifest

from data import kaldi as kaldi_reader
from data.corpora import Reject, Utterance, read_corpus
from data.errors import UserError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "speech"


def kaldi(folder: Path, **files: str) -> list[Utterance | Reject]:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return list(read_corpus(folder))


def test_kaldi_without_segments(tmp_path):
    items = kaldi(tmp_path, wav_scp="u1 a b.wav\nu2\t/abs/b.wav\n", text="u2 你 好\nu1 字\n", utt2spk="u1 s1\n")
    assert items == [
        Utterance("u1", tmp_path / "a b.wav", "字", speaker="s1", line=1),
        Utterance("u2", Path("/abs/b.wav"), "你 好", line=2),
    ]


def test_kaldi_with_segments(tmp_path):
    items = kaldi(tmp_path, wav_scp="r1 a.wav\n", text="u1 一\nu2 二\n", segments="u1 r1 0.5 1.25\nu2 r1 2 -1\n")
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
        "u4": "bad_times",
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
        ({"wav_scp": "r a\nr b\n", "text": "u1 字\n", "segments": "u1 r 0 1\n"}, "wav.scp: r stands in it twice"),
        ({"wav_scp": "u1 a\n", "text": "u1 字\n", "utt2spk": "u1 s\nu1 t\n"}, "utt2spk: u1 stands in it twice"),
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


def test_the_same_as_json_lines(tmp_path):
    items = kaldi(
        tmp_path / "k",
        wav_scp="r1 a.wav\nr2 /abs/b.wav\n",
        text="u1 今天\nu2 天气\nu3 很好\n",
        segments="u1 r1 0.5 1.25\nu2 r1 2.00 3\nu3 r2 0 9.75\n",
        utt2spk="u1 s1\nu2 s2\nu3 s1\n",
    )
    lines = [
        {"key": "u1", "source": "a.wav", "target": "今天", "start": 0.5, "end": 1.25, "speaker": "s1", "call": "r1"},
        {"key": "u2", "source": "a.wav", "target": "天气", "start": 2, "end": 3, "speaker": "s2", "call": "r1"},
        {"key": "u3", "source": "/abs/b.wav", "target": "很好", "start": 0, "end": 9.75, "speaker": "s1", "call": "r2"},
    ]
    assert items == list(read_corpus(write_manifest(tmp_path / "k/equal.jsonl", lines)))


def test_tables_in_any_order_and_packed(tmp_path):
    keys = [f"u{n}" for n in range(500)]
    shuffled = random.Random(3).sample(keys, len(keys))
    scp = "".join(f"{key} {key}.wav\n" for key in keys)
    items = kaldi(tmp_path / "k", wav_scp=scp, text="".join(f"{key} 句{key}\n" for key in shuffled))
    assert [(item.key, item.text) for item in items] == [(key, f"句{key}") for key in keys]
    for name in ("wav.scp", "text"):
        plain = tmp_path / "k" / name
        (tmp_path / "k" / f"{name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    assert list(read_corpus(tmp_path / "k")) == items


def test_keys_whose_hashes_are_equal_are_told_apart(tmp_path, monkeypatch):
    tables = {"wav_scp": "r1 a.wav\nr2 b.wav\n", "text": "u2 二\nu9 九\nu1 一\n", "segments": "u1 r2 0 1\nu2 r1 0 1\n"}
    expected = kaldi(tmp_path, **tables)
    monkeypatch.setattr(kaldi_reader, "hash", lambda key: 7, raising=False)
    assert kaldi(tmp_path, **tables) == expected
    assert [(item.key, item.text) for item in expected] == [("u1", "一"), ("u2", "二"), ("u9", "九")]


def test_gbk_text(tmp_path):
    (tmp_path / "wav.scp").write_text("u1 a.wav\n")
    (tmp_path / "text").write_bytes("u1 语音转写\n".encode("gbk"))
    assert [item.text for item in read_corpus(tmp_path)] == ["语音转写"]


def test_a_key_that_text_says_twice_costs_the_second_line(tmp_path):
    items = kaldi(tmp_path, wav_scp="u1 a.wav\n", text="u1 一\nu1 二\n")
    assert [(type(item), item.text, item.line) for item in items] == [(Utterance, "一", 1), (Reject, "二", 2)]
    assert items[1].reason == "duplicate_key"


def test_every_line_of_a_damaged_folder_is_one_item(tmp_path):
    (tmp_path / "wav.scp").write_bytes(b"\xef\xbb\xbfu1 a.wav\n\n\0\nu3\nu4 b.wav\r\n" + b"u" * 2**21 + b"\n")
    (tmp_path / "text").write_bytes("u1 一\n".encode() + b"u4 \xff\xff\nu9 \xe4\xb8\x80\n")
    items = list(read_corpus(tmp_path))
    assert [(item.line, getattr(item, "reason", "")) for item in items] == [
        (1, ""), (3, "bad_encoding"), (4, "no_text"), (5, "bad_encoding"), (6, "too_long"), (3, "no_audio"),
    ]  # fmt: skip

"""FunASR's two forms of JSON lines, and the two units in which they count the length of speech."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_sound import write_manifest, write_voice

from data.corpora import Reject, Utterance, detect, read_corpus
from data.funasr_rows import FBANK, LFR, speech_length_unit
from data.manifest import row


def chat(audio: str, text: str, prompt: str = "语音转写：") -> list[dict[str, str]]:
    """As published with Fun-ASR-Nano."""
    return [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": f"{prompt}<|startofspeech|>!{audio}<|endofspeech|>"},
        {"role": "assistant", "content": text},
    ]


def plain(*lines: dict) -> list[dict]:
    return [{"key": line["key"], "source": line["source"], "target": line["target"]} for line in lines]


LINES = [
    {
        "key": "BAC009S0764W0121",
        "source": "/d/BAC009S0764W0121.wav",
        "source_len": 419,
        "target": "甚至出现交易几乎停滞的情况",
        "target_len": 13,
    },
    {
        "key": "BAC009S0916W0489",
        "source": "rel/a b.wav",
        "source_len": 488,
        "target": "湖北一公司以员工名义贷款",
        "target_len": 12,
    },
]


def test_the_form_with_source_and_target_reads_as_json_lines(tmp_path):
    path = write_manifest(tmp_path / "c.jsonl", LINES)
    assert detect(path) == "funasr"
    assert list(read_corpus(path)) == list(read_corpus(write_manifest(tmp_path / "p.jsonl", plain(*LINES))))


def test_the_form_with_messages_reads_as_json_lines(tmp_path):
    rows = [
        {"key": line["key"], "messages": chat(line["source"], line["target"]), "speech_length": 70, "text_length": 13}
        for line in LINES
    ]
    path = write_manifest(tmp_path / "c.jsonl", rows)
    assert detect(path) == "funasr"
    assert list(read_corpus(path)) == list(read_corpus(write_manifest(tmp_path / "p.jsonl", plain(*LINES))))


def test_another_prompt_and_no_system_turn_and_no_key(tmp_path):
    path = write_manifest(tmp_path / "c.jsonl", [{"messages": chat("a.wav", "字", "语音转写，不进行文本规整：")[1:]}])
    assert list(read_corpus(path)) == [Utterance("c/a.wav", tmp_path / "a.wav", "字", line=1)]


def test_our_own_rows_point_to_their_own_sound_not_to_where_it_came_from(tmp_path):
    made = row("k", "made.wav", "字", 16000, speaker="s", call="c")
    made |= {"channel": {"codec": "mulaw"}, "source": "/clean/long.opus", "start": 7.0, "end": 8.0}
    path = write_manifest(tmp_path / "c.jsonl", [made])
    assert list(read_corpus(path)) == [Utterance("k", tmp_path / "made.wav", "字", speaker="s", call="c", line=1)]


@pytest.mark.parametrize(
    "messages",
    [
        None,
        {},
        [],
        "text",
        [1, None],
        chat("a.wav", "字")[:2],
        chat("a.wav", "字") * 2,
        chat("", "字"),
        [{"role": "user", "content": 3}],
    ],
)
def test_messages_that_are_none_are_a_reject(tmp_path, messages):
    good = {"key": "k", "messages": chat("a.wav", "字")}
    path = write_manifest(tmp_path / "c.jsonl", [good, {"key": "b", "messages": messages}])
    items = list(read_corpus(path))
    assert isinstance(items[1], Reject) and (items[1].key, items[1].reason) == ("b", "bad_messages")


# --- units ------------------------------------------------------------------------------------------------


def manifest_of(folder: Path, name: str, count) -> Path:
    """Sounds of 1-2 s with the length that `count(seconds)` says."""
    rows = []
    for n in range(5):
        seconds = 1.0 + n / 4
        write_voice(folder / f"{n}.wav", seconds, 8000)
        fields = {"source": f"{n}.wav", "target": "字"} if name == "source_len" else {"messages": chat(f"{n}.wav", "字")}
        rows.append({"key": str(n), **fields, name: count(seconds)})
    return write_manifest(folder / "c.jsonl", rows)


@pytest.mark.parametrize("name", ["speech_length", "source_len"])
def test_both_units_are_recognised(tmp_path, name):
    # FunASR's tool: milliseconds / 10; its frontend: windows of 25 ms every 10 ms, every sixth of them
    assert speech_length_unit(manifest_of(tmp_path / "a", name, lambda seconds: int(seconds * 1000 / 10))) == FBANK
    windows = lambda seconds: 1 + int((seconds - 0.025) / 0.01)  # noqa: E731
    assert speech_length_unit(manifest_of(tmp_path / "b", name, lambda seconds: -(-windows(seconds) // 6))) == LFR


def test_a_length_in_neither_unit_or_of_no_sound_tells_nothing(tmp_path):
    assert speech_length_unit(manifest_of(tmp_path / "a", "source_len", lambda seconds: round(seconds * 16000))) is None
    assert speech_length_unit(manifest_of(tmp_path / "b", "source_len", lambda seconds: "many")) is None
    path = write_manifest(tmp_path / "c.jsonl", [json.dumps(LINES[0]), "broken", {"source": "a.wav", "target": "字"}])
    assert speech_length_unit(path) is None

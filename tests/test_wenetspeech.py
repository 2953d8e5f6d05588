"""The official WenetSpeech.json: streamed, its subsets and confidences, its long Opus files cut by segment."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from made_sound import voice, write_manifest

from data import wenetspeech
from data.audio import AudioError, read_audio, read_wideband
from data.corpora import Reject, Utterance, detect, read_corpus
from data.errors import UserError

SECONDS = 24  # of each recording


def segment(aid: str, number: int, begin: float, end: float, subsets: list[str], confidence: float = 1.0) -> dict[str, Any]:
    return {
        "begin_time": begin,
        "confidence": confidence,
        "end_time": end,
        "sid": f"{aid}_S{number:05d}",
        "subsets": subsets,
        "text": f"第{number}段",
    }


def audio(aid: str, segments: list[Any], tags: str = "youtube/B00000") -> dict[str, Any]:
    """Keys and their order as in the published file."""
    return {
        "aid": aid,
        "duration": SECONDS,
        "md5": "0123456789abcdef0123456789abcdef",
        "path": f"audio/train/{tags}/{aid}.opus",
        "segments": segments,
        "source": "youtube",
        "tags": ["drama"],
        "url": f"https://example.com/watch?v={aid}",
    }


AUDIOS = [
    audio(
        "Y0000000000_a",
        [
            segment("Y0000000000_a", 0, 1.25, 3.5, ["L", "M", "S"]),
            segment("Y0000000000_a", 1, 12.123, 14.0, ["L", "M"], 0.97),
            segment("Y0000000000_a", 2, 20.5, 23.9, ["L"], 0.95),
            segment("Y0000000000_a", 3, 5.0, 6.0, ["W"], 0.7),
        ],
    ),
    audio("Y0000000001_b", [segment("Y0000000001_b", 0, 20.0, 21.75, ["L", "M"])]),
    audio("X0000000002_c", [segment("X0000000002_c", 0, 0.5, 2.5, ["DEV"]), segment("X0000000002_c", 1, 3, 4, ["TEST_NET"])]),
    audio("Y0000000003_missing", [segment("Y0000000003_missing", 0, 1.0, 2.0, ["L", "S"])]),
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Three long Opus files and one that is listed and not there."""
    folder = tmp_path_factory.mktemp("wenetspeech")
    for seed, listed in enumerate(AUDIOS[:3]):
        path = folder / listed["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, voice(SECONDS, seed=seed), 16000, format="OGG", subtype="OPUS")
    write_json(folder, {"audios": AUDIOS})
    return folder


def write_json(folder: Path, content: Any) -> Path:
    path = folder / "WenetSpeech.json"
    path.write_text(json.dumps(content, ensure_ascii=False, indent=4), encoding="utf-8")
    return path


def keys(items) -> list[str]:
    return [item.key.split("_", 1)[1] for item in items]


def test_the_same_as_json_lines(corpus):
    lines = [
        {
            "key": s["sid"],
            "source": a["path"],
            "target": s["text"],
            "start": s["begin_time"],
            "end": s["end_time"],
            "call": a["aid"],
        }
        for a in AUDIOS
        for s in a["segments"]
    ]
    assert detect(corpus) == detect(corpus / "WenetSpeech.json") == "wenetspeech"
    assert list(read_corpus(corpus)) == list(read_corpus(write_manifest(corpus / "equal.jsonl", lines)))


@pytest.mark.parametrize(
    ("subset", "expected"),
    [
        ("S", ["a_S00000", "missing_S00000"]),
        ("M", ["a_S00000", "a_S00001", "b_S00000"]),
        ("L", ["a_S00000", "a_S00001", "a_S00002", "b_S00000", "missing_S00000"]),
        ("W", ["a_S00003"]),
        ("DEV", ["c_S00000"]),
        ("TEST_NET", ["c_S00001"]),
        ("TEST_MEETING", []),
    ],
)
def test_a_subset_is_its_segments_and_nothing_else_is_counted(corpus, subset, expected):
    items = list(read_corpus(f"{corpus}/WenetSpeech.json#{subset}"))
    assert keys(items) == expected and all(isinstance(item, Utterance) for item in items)


def test_an_unknown_subset_is_an_error(corpus):
    with pytest.raises(UserError, match="has no subset XL, but S, M, L"):
        read_corpus(f"{corpus}#XL")


def test_what_is_below_the_least_confidence_is_a_reject_with_its_value(corpus):
    items = list(read_corpus(f"{corpus}#L", min_confidence=0.97))
    rejects = [item for item in items if isinstance(item, Reject)]
    assert keys(items) == ["a_S00000", "a_S00001", "a_S00002", "b_S00000", "missing_S00000"]
    assert [(r.key, r.reason, r.value, r.bound, r.line) for r in rejects] == [
        ("Y0000000000_a_S00002", "low_confidence", 0.95, 0.97, 3)
    ]


def test_segments_are_cut_exactly_out_of_long_opus_and_a_missing_file_says_so(corpus):
    whole = {a["aid"]: soundfile.read(corpus / a["path"], dtype="float32")[0] for a in AUDIOS[:3]}
    for item in read_corpus(corpus):
        if item.call == "Y0000000003_missing":
            with pytest.raises(AudioError, match="no such file"):
                read_wideband(item.audio, item.start, item.end)
            continue
        heard = read_wideband(item.audio, item.start, item.end, item.channel)
        expected = whole[item.call][round(item.start * 16000) : round(item.end * 16000)]
        np.testing.assert_allclose(heard, expected, atol=1e-6)


def test_a_segment_deep_inside_is_reached_without_decoding_what_is_before(corpus):
    path = corpus / AUDIOS[0]["path"]
    read_audio(path)  # once, for the disk
    begin = time.process_time()
    read_audio(path)
    whole, begin = time.process_time() - begin, time.process_time()
    for _ in range(5):
        read_audio(path, SECONDS - 1.5, SECONDS - 1.0)
    assert (time.process_time() - begin) / 5 < whole / 3


# --- the stream -----------------------------------------------------------------------------------------


def test_gzip_and_one_line_and_other_keys_around(corpus, tmp_path):
    expected = [item.key for item in read_corpus(corpus)]
    text = json.dumps({"version": "1.0", "audios": AUDIOS, "tail": [1, {}]})
    (tmp_path / "w.json.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    assert detect(tmp_path / "w.json.gz") == "wenetspeech"
    assert [item.key for item in read_corpus(tmp_path / "w.json.gz")] == expected


@pytest.mark.parametrize("block", [1, 7, 100, 1000])
def test_wherever_a_block_ends(corpus, block, monkeypatch):
    expected = list(read_corpus(corpus))
    monkeypatch.setattr(wenetspeech, "BLOCK", block)
    assert list(read_corpus(corpus)) == expected


@pytest.mark.parametrize("block", range(1, 9))
def test_a_number_that_a_block_cuts_is_one_number(tmp_path, block, monkeypatch):
    monkeypatch.setattr(wenetspeech, "BLOCK", block)
    items = list(read_corpus(write_json(tmp_path, {"audios": [123456, 789012, -1.5e10, 345678]}), "wenetspeech"))
    assert [item.detail.split()[-1] for item in items] == ["123456", "789012", "-15000000000.0", "345678"]


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(wenetspeech, "BLOCK", 2**14)
    text = json.dumps(audio("Y", [segment("Y", n, n, n + 0.5, ["L"]) for n in range(100)]))
    peaks = []
    for count in (20, 100):
        path = tmp_path / "WenetSpeech.json"
        path.write_text(f'{{"audios": [{", ".join([text] * count)}]}}', encoding="utf-8")
        tracemalloc.start()
        assert sum(1 for _ in wenetspeech.read_wenetspeech(path)) == 100 * count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < path.stat().st_size / 2


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[: len(text) // 2], "ends in the middle"),
        (lambda text: text[:-4], "ends in the middle"),
        (lambda text: text.replace('"aid"', '"aid', 1), "is no WenetSpeech.json"),
        (lambda text: text.replace("{", "{{", 3), "is no WenetSpeech.json"),
        (lambda text: '{"audios": [' + "[" * 100_000, "is no WenetSpeech.json"),
        (lambda text: '{"audios": [' + "9" * 10_000 + ",", "is no WenetSpeech.json"),
    ],
)
def test_a_damaged_file_is_an_error_that_says_where(tmp_path, damage, said):
    path = tmp_path / "WenetSpeech.json"
    path.write_text(damage(json.dumps({"audios": AUDIOS})), encoding="utf-8")
    with pytest.raises(UserError, match=rf"{said}.*near character \d+"):
        list(read_corpus(path, "wenetspeech"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"begin_time": 3, "end_time": 2}, "bad_times"),
        ({"begin_time": -1}, "bad_times"),
        ({"begin_time": float("nan")}, "bad_field"),
        ({"end_time": []}, "bad_field"),
        ({"text": None}, "no_text"),
        ({"text": "a\0"}, "bad_field"),
        ({"text": "\ud800"}, "bad_field"),
        ({"sid": {}}, "bad_field"),
        ({"subsets": "L"}, "bad_field"),
        ({"subsets": None}, "bad_field"),
        ({"confidence": "high"}, "bad_field"),
    ],
)
def test_a_bad_segment_is_a_reject_and_the_rest_goes_on(tmp_path, change, reason):
    good = segment("Y", 1, 1, 2, ["L"])
    path = tmp_path / "WenetSpeech.json"
    path.write_text(json.dumps({"audios": [audio("Y", [good, good | change, good])]}), encoding="utf-8")
    items = list(read_corpus(f"{path}#L"))
    assert [type(item) for item in items] == [Utterance, Reject, Utterance]
    assert (items[1].reason, items[1].line, items[1].call) == (reason, 2, "Y")


@pytest.mark.parametrize("bad", [None, 3, "text", [], {}, {"segments": 3}])
def test_an_audio_that_is_none_is_one_reject(tmp_path, bad):
    path = write_json(tmp_path, {"audios": [bad, audio("Y", [segment("Y", 0, 0, 1, ["L"])])]})
    assert [type(item) for item in read_corpus(path)] == [Reject, Utterance]


def test_an_audio_without_path_rejects_its_segments(tmp_path):
    nowhere = audio("Y", [segment("Y", n, n, n + 1, ["L"]) for n in range(2)] + ["no segment"])
    del nowhere["path"]
    items = list(read_corpus(write_json(tmp_path, {"audios": [nowhere]})))
    assert [(item.reason, item.line) for item in items] == [("no_audio", 1), ("no_audio", 2), ("bad_field", 3)]


def test_bytes_that_are_no_utf_8_cost_their_segment(tmp_path):
    text = json.dumps({"audios": [audio("Y", [segment("Y", n, n, n + 1, ["L"]) for n in range(2)])]}, ensure_ascii=False)
    path = tmp_path / "WenetSpeech.json"
    path.write_bytes(text.encode().replace("第1".encode(), b"\xff\xfe"))
    assert [type(item) for item in read_corpus(path)] == [Utterance, Reject]

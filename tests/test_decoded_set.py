"""Decoded utterances become the lines and the scores of their set."""

from __future__ import annotations

import pytest

from data.manifest import row
from local import decoded_set
from local.decode import Heard


def test_cut_texts_are_counted_and_marked():
    def line(key: str, **more: str) -> dict[str, str]:
        return decoded_set.decoded(row(key, "a.wav", "你好", 16000), Heard("你好", "好", **more))

    heard = [line("a", cut=""), line("b", cut="length"), line("c", cut="loop"), line("d", cut="loop")]
    assert [one.get("cut") for one in heard] == [None, "length", "loop", "loop"]
    scores = decoded_set.score_set(heard, None, False)
    assert scores["llm"]["cut"] == {"length": 1, "loop": 2}
    assert (scores["llm"]["repeated"], scores["ctc"]["repeated"]) == (2, 0)
    assert decoded_set.told("stage guard", scores) == (
        "stage guard: CER 0.00 % (LLM) 50.00 % (CTC), 4 utterances, 1 texts cut by length, 2 texts cut by loop"
    )
    assert decoded_set.told("stage guard", decoded_set.score_set(heard[:1], None, False)).endswith(", 1 utterances")


def test_listening_is_judged_with_texts_as_long():
    """Who writes as many characters as there were, whichever, does not listen; who writes what was said does."""
    texts = [character * length for length in range(2, 8) for character in "天地玄黄"]
    rows = [row(f"u{n}", "a.wav", text, 16000) for n, text in enumerate(texts)]
    deaf = [decoded_set.decoded(one, Heard("喂" * len(text), None, "")) for one, text in zip(rows, texts, strict=True)]
    found = decoded_set.score_set(deaf, None, listening=True)
    assert found["other_audio"]["cer"] > found["llm"]["cer"] == 100, "lengths alone make some errors"
    assert found["listening"] == {"difference": 0.0, "interval": [0.0, 0.0], "calls": 24}
    hears = [line | {"llm": line["ref"]} for line in deaf]
    found = decoded_set.score_set(hears, None, listening=True)["listening"]
    assert found["interval"][0] > 80 and found["calls"] == len(texts)
    one_call = [line | {"call": "c"} for line in hears]
    assert decoded_set.score_listening(one_call) == {"difference": None, "interval": None}


def test_texts_where_nobody_speaks_are_false_alarms():
    texts = [("", ""), ("。", ""), ("喂你好", ""), ("嗯", "啊")]
    rows = [row(f"s{n}", "s.wav", "", 16000 * 9) | {"negative": True} for n in range(4)]
    heard = [decoded_set.decoded(one, Heard(*both, "")) for one, both in zip(rows, texts, strict=True)]
    found = decoded_set.score_silence(rows, heard)
    assert found["utterances"] == 4 and found["hours"] == pytest.approx(0.01, rel=0.01)
    assert found["llm"] == {"alarms": 2, "characters": 4, "per_hour": pytest.approx(200, rel=0.01)}
    assert found["ctc"] == {"alarms": 1, "characters": 1, "per_hour": pytest.approx(100, rel=0.01)}
    assert decoded_set.silence_told("baseline silence", found).startswith("baseline silence: false alarms an hour 200.0 (LLM)")

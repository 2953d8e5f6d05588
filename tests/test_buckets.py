"""Parts of a set: every utterance is in the one it belongs to, and nothing is said of what is not known."""

from __future__ import annotations

import pytest

from local.buckets import buckets


def line(number: int, wrong: int = 0, **fields) -> dict:
    """Ten characters, of which the LLM misses the first `wrong` and the CTC branch none."""
    ref = "一二三四五六七八九十"
    return {"key": f"u{number}", "ref": ref, "llm": ref[wrong:], "ctc": ref, **fields}


def channel(**drawn) -> dict:
    return {"channel": {"talkers": ["a"], "snr_db": 12.0, "loss_rate": 0.015, "profile": "default"} | drawn}


def test_values_at_the_edges_belong_above() -> None:
    lines = [line(n, n, seconds=seconds) for n, seconds in enumerate((1.999, 2.0, 3.9, 30.0, 500.0))]
    found = buckets(lines)
    assert list(found) == ["duration"]
    assert [(one["name"], one["utterances"], one["ref"], one["llm"], one["ctc"]) for one in found["duration"]] == [
        ("0-2 s", 1, 10, 0.0, 0.0),
        ("2-4 s", 2, 20, 15.0, 0.0),
        ("30 s and more", 2, 20, 35.0, 0.0),
    ]


def test_what_the_channel_drew() -> None:
    drawn = [{"snr_db": -3.0, "loss_rate": 0}, {"snr_db": 10.0}, {"snr_db": 9.99, "loss_rate": 0.2, "profile": "gsm"}]
    found = buckets([line(n, n, **channel(**one)) for n, one in enumerate(drawn)])
    assert [one["name"] for one in found["snr_db"]] == ["below 0 dB", "5-10 dB", "10-15 dB"]
    assert "snr_db" not in buckets([line(0, **channel(talkers=[]))]), "nobody babbled"
    assert [(one["name"], one["llm"]) for one in found["loss_rate"]] == [("none", 0), ("1-2 %", 10), ("10 % and more", 20)]
    assert [(one["name"], one["utterances"]) for one in found["profile"]] == [("default", 2), ("gsm", 1)]


def test_of_many_speakers_the_worst_and_the_best_who_said_enough() -> None:
    lines = [line(n, n // 10 % 10, speaker=f"s{n // 10:02d}") for n in range(120)]  # 12 speakers of 100 characters
    lines += [line(n, 10, speaker="few words") for n in range(120, 124)]  # 40 characters, all wrong
    lines.append(line(124))
    found = buckets(lines)["speaker"]
    assert [one["llm"] for one in found] == [90, 80, 70, 60, 50, 20, 10, 10, 0, 0]
    assert all(one["ref"] == 100 for one in found)
    few = buckets(lines[:100])["speaker"]
    assert [one["llm"] for one in few] == [90, 80, 70, 60, 50, 40, 30, 20, 10, 0], "ten are shown, all of them"


def test_a_model_without_ctc_branch_has_no_rate_of_it() -> None:
    lines = [{name: value for name, value in line(1, 5, seconds=1.0).items() if name != "ctc"}]
    assert buckets(lines)["duration"] == [{"name": "0-2 s", "utterances": 1, "ref": 10, "llm": 50.0, "ctc": None}]


@pytest.mark.parametrize("fields", [{}, {"channel": {}}, {"speaker": "x"}])
def test_what_no_line_knows_is_left_out(fields: dict) -> None:
    assert buckets([line(1, **fields)]) == {}

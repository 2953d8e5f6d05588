"""Intervals: against kaldialign's bootstrap, against theory, and in their corners."""

from __future__ import annotations

import json
import random
import re

import numpy as np
import pytest
from kaldialign import bootstrap_wer_ci

from data.errors import UserError
from local.alignment import EditCounts, count_edits
from local.bootstrap import Interval, difference_interval, ratio_intervals
from local.compare import main
from local.scoring import score


def spoken(count: int, errors: float, seed: int) -> tuple[list[str], list[str]]:
    """References of Chinese characters and texts in which some are replaced."""
    rng = random.Random(seed)
    refs = ["".join(rng.choices("一二三四五六七八九十", k=rng.randint(5, 20))) for _ in range(count)]
    return refs, ["".join("误" if rng.random() < errors else unit for unit in ref) for ref in refs]


def edits_of(refs: list[str], hyps: list[str]) -> list[EditCounts]:
    return [count_edits(ref, hyp) for ref, hyp in zip(refs, hyps, strict=True)]


def rate_interval(edits: list[EditCounts], groups) -> Interval | None:
    return ratio_intervals({"rate": ([one.errors for one in edits], [one.ref for one in edits])}, groups)["rate"]


def test_over_utterances_it_is_kaldialigns_bootstrap():
    refs, hyps = spoken(150, 0.2, 1)
    theirs = bootstrap_wer_ci(refs, hyps, replications=10_000)
    ours = rate_interval(edits_of(refs, hyps), range(150))
    assert ours.value == pytest.approx(100 * theirs["wer"], abs=0.1)
    assert ours.low == pytest.approx(100 * theirs["ci95min"], abs=0.25)
    assert ours.high == pytest.approx(100 * theirs["ci95max"], abs=0.25)


def test_the_interval_of_independent_calls_is_that_of_the_binomial():
    rng = np.random.default_rng(3)
    wrong = rng.random(4000) < 0.3
    interval = rate_interval([EditCounts(sub=int(one), ref=1) for one in wrong], range(4000))
    half = 196 * (wrong.mean() * (1 - wrong.mean()) / 4000) ** 0.5
    assert interval.high - interval.value == pytest.approx(half, rel=0.06)
    assert interval.value - interval.low == pytest.approx(half, rel=0.06)


def test_calls_that_fail_together_widen_the_interval():
    edits = [EditCounts(sub=call % 2, ref=1) for call in range(40) for _ in range(25)]
    calls = [call for call in range(40) for _ in range(25)]
    wide, narrow = rate_interval(edits, calls), rate_interval(edits, range(1000))
    assert wide.high - wide.low == pytest.approx(5 * (narrow.high - narrow.low), rel=0.1)


def test_a_paired_difference_is_surer_than_the_difference_of_the_rates():
    refs, hyps = spoken(200, 0.3, 2)
    better = ["".join(r if h == "误" and n % 4 == 0 else h for n, (r, h) in enumerate(zip(ref, hyp, strict=True)))
              for ref, hyp in zip(refs, hyps, strict=True)]  # fmt: skip
    difference = difference_interval(edits_of(refs, better), edits_of(refs, hyps), range(200))
    rates = [rate_interval(edits_of(refs, texts), range(200)) for texts in (better, hyps)]
    assert difference.value == pytest.approx(rates[0].value - rates[1].value)
    assert difference.high < 0
    assert difference.high - difference.low < 0.7 * sum(rate.high - rate.low for rate in rates) / 2


def test_equal_systems_differ_by_nothing():
    refs, hyps = spoken(20, 0.3, 4)
    interval = difference_interval(edits_of(refs, hyps), edits_of(refs, hyps), range(20))
    assert (interval.value, interval.low, interval.high) == (0, 0, 0)
    assert difference_interval([], [], []) is None


def test_a_single_call_has_no_interval():
    refs, hyps = spoken(20, 0.3, 4)
    assert rate_interval(edits_of(refs, hyps), ["one call"] * 20) is None


def test_ratios_are_drawn_together_and_rare_ones_by_the_draws_that_hold_some():
    hits, said = [0, 1, 0, 0, 2] + [0] * 45, [0, 1, 1, 0, 2] + [0] * 45
    found = ratio_intervals({"a": (hits, said), "none": (hits, [0] * 50), "b": (hits, said)}, range(50))
    assert found["a"] == found["b"] and found["none"] is None
    assert found["a"].value == 75 and (found["a"].low, found["a"].high) == (0, 100)
    assert ratio_intervals({"a": ([], [])}, []) == {"a": None}


@pytest.mark.parametrize("count", [3, 700, 20_000])
def test_a_set_of_any_size_has_the_interval_of_its_binomial(count):
    wrong = [number % 5 == 0 for number in range(count)]
    found = ratio_intervals({"rate": (wrong, [1] * count)}, range(count))["rate"]
    expected = 196 * (np.mean(wrong) * (1 - np.mean(wrong)) / count) ** 0.5
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.3 if count == 3 else 0.1)


def decoded(folder, hyps: dict[str, str]) -> str:
    (folder / "decode").mkdir(parents=True)
    lines = [{"key": key, "ref": "一二三四", "llm": hyp, "ctc": "一二三四", "call": key[0]} for key, hyp in hyps.items()]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / "decode" / "calls_test.jsonl").write_text(text, encoding="utf-8")
    return str(folder)


def test_the_command_says_both_rates_and_the_difference(tmp_path, capsys):
    after = decoded(tmp_path / "a", {"a1": "一二三四", "a2": "一二三", "b1": "一二三四"})
    before = decoded(tmp_path / "b", {"a1": "一二三", "a2": "一二三", "b1": "一二三"})
    assert main([after, before]) == 0
    lines = capsys.readouterr().out.splitlines()
    rates = "8.33 [0.00, 12.50] of 2 calls against 25.00 [25.00, 25.00] of 2 calls, difference -16.67"
    assert lines[0].startswith(f"calls_test CER (LLM), %: {rates}")
    assert lines[1].endswith("difference 0.00 [0.00, 0.00] of 2 calls") and lines[2].startswith("3 utterances of 2 calls")
    assert "fewer than 10 calls" in lines[3] and len(lines) == 4


def test_intervals_of_ten_calls_are_not_marked(tmp_path, capsys):
    texts = {f"{name}1": "一二三" for name in "abcdefghij"}
    assert main([decoded(tmp_path / name, texts) for name in ("a", "b")]) == 0
    assert "of 10 calls, difference" not in (out := capsys.readouterr().out) and "fewer than" not in out


def test_the_command_compares_keywords_where_they_were_scored(tmp_path, capsys):
    folders = [decoded(tmp_path / "a", {"a1": "一二三四", "b1": "一二三", "b2": "一二三四"}),
               decoded(tmp_path / "b", {"a1": "二三四", "b1": "二三", "b2": "二三四"})]  # fmt: skip
    scores = {"keywords": {"rows": [{"keyword": "一二"}, {"keyword": "三四"}, {"keyword": "没有"}]}}
    results = json.dumps({"sets": {"calls_test": {"llm": scores}}})
    (tmp_path / "a/results.json").write_text(results, encoding="utf-8")
    assert main(folders) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines[:4]] == [
        "calls_test CER (LLM)", "calls_test KWER (LLM)", "calls_test CER (CTC)", "calls_test KWER (CTC)"
    ]  # fmt: skip
    rates = "16.67 [0.00, 25.00] of 2 calls against 66.67 [50.00, 75.00] of 2 calls"  # of six keywords, of four in the call b
    assert lines[1].startswith(f"calls_test KWER (LLM), %: {rates}, difference -50.00 [-89.")
    exact = "0.00 [0.00, 39.30] of 2 calls, difference 0.00 [-39.30, 39.30] of 2 calls"
    assert lines[3].endswith(exact), "1 - 0.05 ** (1 / 6)"
    assert main(folders * 3) == 0  # as of three seeds: the same six keywords
    assert capsys.readouterr().out.splitlines()[3].endswith(exact)


def test_where_all_keywords_were_missed_the_command_has_the_bounds_of_results_json(tmp_path, capsys):
    texts = {f"{name}1": "三四" for name in "abcdefghij"}
    folders = [decoded(tmp_path / "a", texts), decoded(tmp_path / "b", texts | {"a1": "一二三四"})]
    refs, hyps = dict.fromkeys(texts, "一二三四"), [texts, texts | {"a1": "一二三四"}]
    found = [score(refs, side, ["一二"])["keywords"] for side in hyps]
    results = json.dumps({"sets": {"calls_test": {"llm": {"keywords": found[0]}}}})
    (tmp_path / "a/results.json").write_text(results, encoding="utf-8")
    assert main(folders) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "KWER (LLM)" in line)
    rates = [f"{one['kwer']:.2f} [{one['interval'][0]:.2f}, {one['interval'][1]:.2f}]" for one in found]
    assert rates[0] == "100.00 [74.11, 100.00]" and " against ".join(rates) in line  # 1 - 0.05 ** (1 / 10)


def test_a_call_that_several_runs_have_heard_is_drawn_as_one(tmp_path, capsys):
    texts = {f"{name}1": "一二三" if name < "f" else "一二三四" for name in "abcdefghijkl"}
    sides = {"here": texts, "there": dict.fromkeys(texts, "一")}
    pairs = [[decoded(tmp_path / seed / side, hyps) for side, hyps in sides.items()] for seed in ("1", "2", "3")]
    assert main(pairs[0]) == main([folder for pair in pairs for folder in pair]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == lines[3], "three runs that err alike are no surer than one of them"
    assert lines[5].startswith("36 utterances of 12 calls")


def test_calls_of_two_corpora_are_two_though_their_names_are_alike(tmp_path, capsys):
    sides = [[decoded(tmp_path / f"{n}{side}", {f"{name}{n}": "一二" for name in "abcdefghijkl"}) for side in "ab"] for n in "12"]
    assert main([folder for pair in sides for folder in pair]) == 0
    assert "24 utterances of 24 calls" in capsys.readouterr().out


def test_a_result_without_ctc_branch_is_compared_by_its_llm(tmp_path, capsys):
    folders = [decoded(tmp_path / name, {"a1": "一二三四", "b1": "一二三四"}) for name in ("a", "b")]
    path = tmp_path / "a/decode/calls_test.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace(', "ctc": "一二三四"', ""), encoding="utf-8")
    assert main(folders) == 0
    assert "CTC" not in capsys.readouterr().out


def test_decoded_lines_of_any_hand_are_read(tmp_path, capsys):
    folders = [decoded(tmp_path / name, {"a1": "一二\u2028三四", "b1": "一二三四"}) for name in ("a", "b")]
    path = tmp_path / "a/decode/calls_test.jsonl"
    path.write_text(re.sub('"call": "[ab]"', '"call": null', path.read_text(encoding="utf-8")), encoding="utf-8")
    assert main(folders) == 0
    assert "2 utterances of 2 calls" in capsys.readouterr().out
    path.write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="is no file of decoded lines"):
        main([folders[0], folders[0]])


@pytest.mark.parametrize(("hyps", "message"), [({"a1": "一"}, "lacks 1 utterances"), ({"c1": "一"}, "has not the utterance")])
def test_only_the_same_utterances_are_compared(tmp_path, hyps, message):
    after, before = decoded(tmp_path / "a", hyps), decoded(tmp_path / "b", {"a1": "一", "a2": "一"})
    with pytest.raises(UserError, match=message):
        main([after, before])
    with pytest.raises(UserError, match="no such file"):
        main([after, str(tmp_path / "nowhere")])
    (tmp_path / "a/results.json").write_text('{"sets":', encoding="utf-8")
    with pytest.raises(UserError, match=r"results\.json: is not JSON"):
        main([after, after])

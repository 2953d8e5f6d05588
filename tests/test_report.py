"""The report tells what the folder holds, whatever is missing in it; it is opened in a browser, where there is one."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from report_tree import HOSTILE, TEXTS, make_tree

from data.errors import UserError
from data.manifest import write_rows
from data.storage import mu_law_wav
from local.gates import NEXT_STEPS
from local.report.__main__ import main
from local.report.curves import MOST_POINTS, thinned
from local.report.errors import aligned
from local.tree import read_lines

TOP = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole experiment in today's form."""
    return make_tree(tmp_path_factory.mktemp("report") / "out")


@pytest.fixture(scope="module")
def page(tree: Path) -> Path:
    assert main([str(tree)]) == 0
    return tree / "exp" / "8k_telephone" / "report.html"


def written(root: Path) -> str:
    assert main([str(root)]) == 0
    return (root / "exp" / "8k_telephone" / "report.html").read_text(encoding="utf-8")


def section(content: str, name: str) -> str:
    """One section of the page, in English, without tags."""
    inner = re.search(rf"<section id='{name}'>(.*?)</section>", content, re.DOTALL)[1]
    return english(inner)


def english(content: str) -> str:
    without = re.sub(r"<(span|p|text|h2|h3) class='zh[^>]*>.*?</\1>", "", content)
    return html.unescape(re.sub(r"<[^>]+>", " ", without)).replace("\xa0", " ")


# --- what it tells ---------------------------------------------------------------------------------------


def told_by_many_calls(root: Path) -> None:
    """Every decoded utterance of a tree four times, in calls of their own."""
    for path in (root / "exp" / "8k_telephone").glob("*/decode/calls_test.jsonl"):
        lines = list(read_lines(path))
        write_rows(path, [one | {name: f"{one[name]}/{n}" for name in ("key", "call")} for n in range(4) for one in lines])


def test_the_first_look_says_what_was_gained_and_what_it_cost(tmp_path):
    root = make_tree(tmp_path / "out")
    told_by_many_calls(root)
    first = english(written(root).partition("<nav>")[0])
    assert "10.0 % of the characters are wrong now, 40.0 % before" in first
    assert re.search(r"\d+\.\d to \d+\.\d points less, with 95 % confidence", first)
    assert "80.0 % of its characters are wrong now, 50.0 % before" in first  # the guard went from 50 to 80 %, at most 75 %


def test_what_may_be_chance_is_no_gain(tmp_path):
    root = make_tree(tmp_path / "out", ("baseline", "1"))
    folder = root / "exp" / "8k_telephone"
    shutil.copy(folder / "baseline/decode/calls_test.jsonl", folder / "stage1_encoder/decode/calls_test.jsonl")
    first = english(written(root).partition("<nav>")[0])
    assert "this test set cannot show" in first and "points less" not in first


def test_a_gain_on_three_calls_is_not_claimed_and_their_intervals_are_marked(page):
    content = page.read_text(encoding="utf-8")
    first = english(content.partition("<nav>")[0])
    assert "this test set cannot show" in first and "points less" not in first
    told = section(content, "scores")
    assert told.count("of 3 calls") == 2 * 3, "the differences of three stages by two branches"
    assert told.count("of 4 calls") == 4 and "fewer than 10 calls" in told


def test_intervals_of_enough_calls_are_not_marked(tmp_path):
    root = make_tree(tmp_path / "out")
    told_by_many_calls(root)
    for path in root.glob("exp/8k_telephone/*/results.json"):
        path.write_text(path.read_text(encoding="utf-8").replace('"calls": 4', '"calls": 10'), encoding="utf-8")
    content = written(root)
    assert not re.search(r"of \d+ calls", section(content, "scores")) and "fewer than 10 calls" not in content


def test_every_gate_and_the_guard_are_judged_with_what_to_try(page):
    told = section(page.read_text(encoding="utf-8"), "verdict")
    assert told.count("of 4 calls") == 3
    assert "5 of 12 gates are met" in told  # three losses, two of three CERs, no KWER, none listens for certain
    assert re.search(r"differs by 9.00 \[−0.50, 18.00\]\s+of 4 calls", told) and NEXT_STEPS["listening", "2"] in told
    assert "total loss on dev 2.000 → 1.000 (−50.0 %), wanted down by 30 %" in told
    assert NEXT_STEPS["cer", "1"] in told and "conf/stage1_encoder_adapt.yaml" in told
    assert "guard: CER on wideband speech 50.00 → 80.00 %, above the 75.00 %" in told
    for name in ("calls_dev", "calls_test"):
        assert f"{name}: 4 keywords are not enough to show a KWER below 5 %" in told
    assert f"2 speakers of {HOSTILE} are in train too" in told


def test_that_nobody_said_a_keyword_is_said(tmp_path):
    root = make_tree(tmp_path / "out", ("baseline", "1"))
    path = root / "exp" / "8k_telephone" / "stage1_encoder" / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    results["sets"]["calls_test"]["llm"]["keywords"] |= {"kwer": None, "hits": 0, "total": 0, "least": None}
    path.write_text(json.dumps(results), encoding="utf-8")
    told = section(written(root), "verdict")
    assert "calls_test: nobody says any of the keywords" in told and "calls_dev: 4 keywords are not enough" in told


def test_the_table_has_rates_with_intervals_and_paired_differences(page):
    told = re.sub(r"\s+", " ", section(page.read_text(encoding="utf-8"), "scores"))
    assert "CER, LLM 40.00 37.50 … 42.50 30.00 27.50 … 32.50 20.00 17.50 … 22.50 10.00 7.50 … 12.50" in told
    assert re.search(r"against the baseline, LLM – (−\d+\.\d\d −\d+\.\d\d … −\d+\.\d\d of 3 calls ){3}", told)
    assert "KWER, true words and others listed 25.00" in told and "false alarms an hour, LLM 12.50" in told
    assert "CER outside keywords n/a" in told
    assert "CER points more with the texts of others, as long 9.00 −0.50 … 18.00 of 4 calls 9.00" in told


def test_what_is_confused_is_counted_by_character(page):
    told = re.sub(r"\s+", " ", section(page.read_text(encoding="utf-8"), "confusions"))
    assert "退 → 推 1" in told and "退 → 腿 1" in told
    assert all(letter in told.partition("deletions 3")[2].partition("insertions")[0] for letter in "客服单")
    assert "insertions 1 了 1" in told


def test_the_worst_stand_first_and_those_without_an_error_not_at_all(page):
    content = page.read_text(encoding="utf-8")
    cards = re.findall(r"<li class='card'>(.*?)</li>", content, re.DOTALL)
    assert [re.search(r"call\d", card)[0] for card in cards] == ["call1", "call3", "call0", "call2"]
    assert all("<audio" in card for card in cards)


def test_errors_are_marked_in_their_place():
    shown = aligned([("退", "推"), ("款", None), (None, "吗"), ("好", "好")])
    columns = re.findall(r"<span(?: class='(\w+)')?><b>(.)</b><i>(.)</i></span>", shown)
    assert columns == [("sub", "退", "推"), ("del", "款", "·"), ("ins", "·", "吗"), ("", "好", "好")]


def test_time_devices_and_versions_are_told(page):
    told = re.sub(r"\s+", " ", section(page.read_text(encoding="utf-8"), "setup"))
    assert "stage 1 2026-01-01 11:02:03 1:02:03 2:00:00 2 × GPU <b>9</b> 4.00 11.5 99" in told
    assert "GPU hours in all: 12.00" in told and "torch 9.9" in told


def test_data_are_summed_up_with_what_was_left_out(page):
    told = section(page.read_text(encoding="utf-8"), "data")
    assert re.search(r"real_8k_telephone\s+test\s+5\s", told) and HOSTILE in told


# --- whatever is missing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stages", [(), ("baseline",), ("baseline", "1"), ("baseline", "3"), ("3",)])
def test_any_stage_may_be_missing(tmp_path, stages):
    content = written(make_tree(tmp_path / "out", stages))
    assert ("Nothing has been scored yet" in content) == (stages == ())
    assert ("No baseline was scored" in content) == (stages == ("3",))
    assert content.count("<h2 class='en'") == 10


def test_an_older_form_of_results_says_what_it_has_not(tmp_path):
    content = written(make_tree(tmp_path / "out", old=True))
    told = section(content, "scores")
    assert "Not measured in these results" in told and "false alarms an hour, LLM" in told and "CER inside keywords" in told
    assert "These results have no scores by kind of speech" in content
    assert "not recorded" in section(content, "setup")
    assert content.count("<audio") == 3 * 2 + 4  # the rows of the test calls know where their sound is


def test_an_empty_folder_of_a_stage_and_no_data_are_no_error(tmp_path):
    (tmp_path / "exp" / "8k_telephone" / "stage1_encoder").mkdir(parents=True)
    content = written(tmp_path)
    assert "Stage 0 has left no figures here" in content and "No training has written metrics yet" in content


def test_sounds_that_are_gone_are_said_to_be(tmp_path):
    root = make_tree(tmp_path / "out")
    for sound in root.glob("data/**/*.wav"):
        sound.unlink()
    content = written(root)
    assert "<audio" not in content and content.count("the recording is no longer there") == 4


def test_a_damaged_file_is_named(tmp_path):
    root = make_tree(tmp_path / "out", ("baseline",))
    (root / "exp" / "8k_telephone" / "baseline" / "results.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"baseline/results.json is not JSON .* run its stage again"):
        main([str(root)])


def test_neither_torch_nor_funasr_is_imported(tree):
    code = "import sys; from local.report.__main__ import main; main(sys.argv[1:]); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, str(tree)], capture_output=True, text=True, cwd=TOP, check=True)
    assert "'numpy'" in done.stdout and "'torch'" not in done.stdout and "'funasr'" not in done.stdout


def test_the_same_folder_makes_the_same_page(page, tree):
    before = page.read_bytes()
    assert main([str(tree)]) == 0 and page.read_bytes() == before


def test_long_curves_are_thinned_and_keep_their_ends_and_level():
    points = [(float(x), 5.0 + x % 2) for x in range(10_001)]
    few = thinned(points)
    assert len(few) <= MOST_POINTS + 2 and (few[0], few[-1]) == (points[0], points[-1])
    assert np.mean([y for _, y in few[1:-1]]) == pytest.approx(5.5, abs=0.02) and thinned(points[:9]) == points[:9]


# --- one page, that asks for nothing ------------------------------------------------------------------------


def test_the_page_asks_for_nothing(page):
    content = page.read_text(encoding="utf-8")
    asked = re.findall(r"<[^>]*?\b(?:src|href|srcset|action|data)\s*=\s*['\"]?([^'\" >]*)", content)
    assert asked and all(place.startswith(("data:", "#")) for place in asked)
    assert not re.search(r"url\(|@import", content) and "default-src 'none'" in content


def test_texts_of_the_data_stand_on_the_page_as_they_are(page):
    content = page.read_text(encoding="utf-8")
    assert content.count("<script") == 1 and "<img src=//" not in content and "<b>9</b>" not in content
    assert html.escape(HOSTILE) in content
    said = [html.unescape(text) for text in re.findall(r"<p class='said' lang='zh'>(.*?)</p>", content)]
    assert said and set(said) <= set(TEXTS)


def test_sounds_are_excerpts_of_what_the_rows_name(page):
    sounds = re.findall(r"data:audio/wav;base64,([^'\"]+)", page.read_text(encoding="utf-8"))
    told = [soundfile.info(io.BytesIO(base64.b64decode(sound))) for sound in sounds]
    found = sorted((info.samplerate, info.subtype, info.frames) for info in told)
    assert found == [(8000, "ULAW", 12000)] * 4 + [(16000, "PCM_16", 19200)] * 4 + [(16000, "PCM_16", 24000)] * 2


def test_fifty_minutes_of_worst_calls_stay_below_the_bound():
    longest = mu_law_wav(np.zeros(12 * 8000, np.float32))
    assert 50 * len(longest) * 4 / 3 < 7e6  # beside pictures and pairs of 6 s: below 15 MB with room to spare

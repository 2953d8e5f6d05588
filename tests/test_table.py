"""The final table: what it prints of results.json files, gates at their edges, controls, gaps."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import UserError
from local import table
from local.gates import gate_lines, guard_lines

TOP = Path(__file__).resolve().parents[1]


def score(cer: float | None, kwer: float | None = None) -> dict:
    return {"cer": cer, "ref": 2000, "utterances": 150, "keywords": {"kwer": kwer, "total": 160}}


def results(cer: float, gate: dict | None = None) -> dict:
    """A results.json whose rates all follow from `cer`."""
    sets = {
        "calls_dev": {"llm": score(cer, cer / 2), "ctc": score(cer + 1)},
        "calls_test": {
            "llm": score(cer, cer / 2), "ctc": score(cer + 1), "other_audio": score(98.5, 99.0),
            "hotwords": score(cer - 2, cer / 4), "distractors": score(cer + 5, cer),
        },
        "telephone_test": {"llm": score(cer + 2), "ctc": score(cer + 3)},
        "guard": {"llm": score(cer + 4), "ctc": score(cer + 5)},
    }
    return {
        "normaliser": "n/1", "sets": sets, "blind_kwer": 80.0, "gate": gate,
        "loss_before": {"llm": 1.0, "ctc": 2.0, "total": 2.0}, "loss": {"llm": 0.5, "ctc": 1.5, "total": 1.3},
    }  # fmt: skip


STAGES = {
    "8k_telephone/baseline": results(80.0),
    "8k_telephone/stage1_encoder": results(50.0, {"loss": "total", "loss_drop": 0.3, "cer": 10.0}),
    "8k_telephone/stage2_adapter": results(40.0, {"loss": "ctc", "loss_drop": 0.4, "cer": 8.0, "kwer": None}),
    "8k_telephone/stage3_lora": results(6.0, {"cer": 8.0, "kwer": 5.0}),
    "controls/stage1_clean": results(70.0),
}


@pytest.fixture
def exp_dir(tmp_path: Path) -> Path:
    for folder, content in STAGES.items():
        save(tmp_path / folder, content)
    return tmp_path


def save(folder: Path, content: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(content), encoding="utf-8")


def rows(exp_dir: Path) -> dict[str, list[str]]:
    """The printed Markdown tables, read back: first cell -> the others."""
    lines = [line for line in table.report(exp_dir) if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: others for first, *others in cells}


def test_every_stage_has_its_six_rates(exp_dir: Path) -> None:
    printed = rows(exp_dir)
    assert printed["test sets, %"] == list(table.COLUMNS)
    assert printed["baseline"] == ["80.00", "81.00", "40.00", "82.00", "83.00", "84.00"]
    assert printed["stage 3"] == ["6.00", "7.00", "3.00", "8.00", "9.00", "10.00"]


def test_controls_stand_under_the_same_columns(exp_dir: Path) -> None:
    printed = rows(exp_dir)
    assert printed["stage 1, clean audio"] == ["70.00", "71.00", "35.00", "72.00", "73.00", "74.00"]
    assert printed["stage 3, other audio"] == ["98.50", "-", "99.00", "-", "-", "-"]
    assert printed["stage 3, with the keyword list"] == ["4.00", "-", "1.50", "-", "-", "-"]
    assert printed["stage 3, distractors only"] == ["11.00", "-", "6.00", "-", "-", "-"]
    assert printed["keywords guessed blind"] == ["-", "-", "80.00", "-", "-", "-"]


def test_both_ways_of_the_calls_stand_side_by_side(exp_dir: Path) -> None:
    assert not any("AutoModel" in line for line in table.report(exp_dir))
    scored = {"cer": 6.0, "cer_originals": 6.25, "difference": 0.25, "interval": [-0.5, 1.004]}
    ways = {"utterances": 200, "of": 9001, "calls": 90, "llm": scored, "ctc": {"cer": None, "cer_originals": None}}
    save(exp_dir / "8k_telephone/stage3_lora", STAGES["8k_telephone/stage3_lora"] | {"originals": ways})
    printed = rows(exp_dir)
    assert printed["calls from their original files, CER %"] == list(table.WAYS)
    assert printed["stage 3, LLM"] == ["6.00", "6.25", "0.25", "[-0.50, 1.00]", "200 of 9,001"]
    assert printed["stage 3, CTC"] == ["n/a", "n/a", "n/a", "n/a", "200 of 9,001"]


def test_columns_are_even(exp_dir: Path) -> None:
    lines = [line for line in table.report(exp_dir) if line.startswith("|")]
    assert len({len(line) for line in lines[:6]}) == 1


def test_gates_are_met_or_missed_with_what_to_try(exp_dir: Path) -> None:
    lines = [line for line in table.report(exp_dir) if line.startswith("- ") and "wideband" not in line]
    assert [(line[2:9], "MISSED. Try: " in line, line.endswith("met")) for line in lines] == [
        ("stage 1", False, True),
        ("stage 1", True, False),
        ("stage 2", True, False),
        ("stage 2", True, False),
        ("stage 3", False, True),
        ("stage 3", False, True),
    ]
    assert "total loss on dev 2.000 -> 1.300 (-35.0 %), wanted down by 30 %" in lines[0]
    assert "conf/stage2_adapter_align.yaml" in lines[2]


@pytest.mark.parametrize(("rate", "verdict"), [(7.9999, ": met"), (8.0, "MISSED"), (None, ": not measured")])
def test_a_gate_is_judged_on_the_unrounded_rate(rate: float | None, verdict: str) -> None:
    stage = {"gate": {"cer": 8.0}, "sets": {"calls_dev": {"llm": score(rate)}}}
    assert verdict in next(gate_lines("3", stage))


def test_a_gate_without_dev_set_or_ctc_branch_is_not_measured() -> None:
    gate = {"loss": "ctc", "loss_drop": 0.4, "kwer": 5.0}
    stage = {"gate": gate, "sets": {}, "loss": {"ctc": None}, "loss_before": {"ctc": None}}
    assert [line.endswith("not measured") for line in gate_lines("2", stage)] == [True, True]


@pytest.mark.parametrize(
    ("total", "verdict"), [(58, "; not enough keywords to show < 5 %: 58, and 59 would do"), (59, "below 5 %: met")]
)
def test_few_keywords_are_said_beside_the_gate(total: int, verdict: str) -> None:
    keywords = {"kwer": 0.0, "total": total}
    stage = {"gate": {"kwer": 5.0}, "sets": {"calls_dev": {"llm": {"cer": 1.0, "keywords": keywords}}}}
    assert verdict in next(gate_lines("3", stage))


@pytest.mark.parametrize(
    ("listening", "verdict"),
    [
        ({"difference": 9.0, "interval": [0.01, 18.0], "calls": 40}, "differs by 9.00 [0.01, 18.00], wanted above 0: met"),
        ({"difference": 9.0, "interval": [0.0, 18.0], "calls": 4}, "by 9.00 [0.00, 18.00] of 4 calls, wanted above 0: MISSED"),
        ({"difference": None, "interval": None}, "differs by n/a, wanted above 0: not measured"),
    ],
)
def test_a_stage_must_listen(listening: dict, verdict: str) -> None:
    stage = {"gate": {"cer": None}, "sets": {"calls_dev": {"llm": score(90.0), "listening": listening}}}
    for number in ("1", "2", "3"):
        [line] = gate_lines(number, stage)
        assert verdict in line and ("MISSED" not in line or "train" in line.partition("Try: ")[2])
    assert not list(gate_lines("baseline", {"sets": stage["sets"]})), "nothing was trained there"


@pytest.mark.parametrize(("low", "calls", "verdict"), [(0.1, 10, ": it listens."), (0.1, 9, "no proof"), (0.0, 10, "no proof")])
def test_one_model_is_said_to_listen_where_that_is_proven(low: float, calls: int, verdict: str) -> None:
    listening = {"difference": 9.0, "interval": [low, 18.0], "calls": calls}
    [line] = table.score_lines({"sets": {"calls_test": {"listening": listening}}})
    assert f"differs by 9.00 [{low:.2f}, 18.00]" in line and verdict in line


def test_few_keywords_of_the_test_set_are_said_below_the_table(exp_dir: Path) -> None:
    few = copy.deepcopy(STAGES)
    for content in few.values():
        content["sets"]["calls_test"]["llm"]["keywords"]["total"] = 40
    assert "not enough" not in "\n".join(table.report(exp_dir))
    for folder, content in few.items():
        save(exp_dir / folder, content)
    assert "The calls' test set has not enough keywords to show < 5 %: 40, and 59 would do" in "\n".join(table.report(exp_dir))


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [(13.0, 19.5, "kept"), (13.0, 19.51, "EXCEEDED, while calls went 80.00 -> 40.00 %. Try: raise dataset_conf.replay_share"),
     (1.0, 3.0, "kept"), (1.0, 3.01, "EXCEEDED"), (13.0, 10.0, "kept")],
)  # fmt: skip
def test_a_stage_may_cost_half_as_much_again_or_two_points_of_wideband_speech(before: float, after: float, verdict: str) -> None:
    def stage(guard: float, calls: float) -> dict:
        return {"sets": {"guard": {"llm": score(guard)}, "calls_test": {"llm": score(calls)}}}

    [line] = guard_lines({"baseline": stage(before, 80.0), "3": stage(after, 40.0)})
    assert line.startswith(f"- stage 3: CER on wideband speech {before:.2f} -> {after:.2f} %") and verdict in line


def test_without_a_guard_or_a_baseline_nothing_is_said_of_it() -> None:
    scored = {"sets": {"guard": {"llm": score(10.0)}}}
    assert not list(guard_lines({"3": scored}))
    assert not list(guard_lines({"baseline": scored, "3": {"sets": {}}}))


def test_intervals_and_details_stand_in_tables_of_their_own(exp_dir: Path) -> None:
    last = copy.deepcopy(STAGES["8k_telephone/stage3_lora"])
    sides = {"inside": {"cer": 3.0}, "outside": {"cer": 7.125}}
    last["sets"]["calls_test"]["llm"] |= {"interval": [5.1, 7.0], "empty_rate": 0.5, "repeated_rate": 0.0}
    last["sets"]["calls_test"]["llm"]["keywords"] |= {"interval": None, "hits": 150, "false_alarms": 2, **sides}
    last["sets"]["calls_test"]["hotwords"] = score(5.0, 1.25)
    last["silence"] = {"hours": 0.1, "utterances": 60, "llm": {"alarms": 3, "per_hour": 30.0}}
    last["known_speakers"] = {"calls_test": ["x", "y"]}
    save(exp_dir / "8k_telephone/stage3_lora", last)
    printed = rows(exp_dir)
    assert printed["stage 3, 95 %"] == ["[5.10, 7.00]", "n/a", "n/a", "n/a", "n/a", "n/a"]
    assert printed["calls; silence"] == [
        "hits", "false alarms", "CER inside keywords", "CER outside", "KWER, listed", "CER, distractors", "empty", "repeated",
        "alarms an hour (LLM)",
    ]  # fmt: skip
    assert printed["stage 3, in detail"] == ["150", "2", "3.00", "7.12", "1.25", "11.00", "0.50", "0.00", "30.0"]
    assert printed["baseline, in detail"] == ["-", "-", "-", "-", "20.00", "85.00", "-", "-", "-"]
    assert "2 speakers of calls_test are in train too (KNOWN_SPEAKERS=1)." in list(table.report(exp_dir))


def test_an_interval_of_few_calls_is_marked_and_the_mark_explained(exp_dir: Path) -> None:
    last = copy.deepcopy(STAGES["8k_telephone/stage3_lora"])
    last["sets"]["calls_test"]["llm"] |= {"interval": [5.1, 7.0], "calls": 9}
    last["sets"]["calls_test"]["ctc"] |= {"interval": [5.1, 7.0], "calls": 10}
    save(exp_dir / "8k_telephone/stage3_lora", last)
    assert rows(exp_dir)["stage 3, 95 %"][:2] == ["[5.10, 7.00] of 9 calls", "[5.10, 7.00]"]
    command = [sys.executable, str(TOP / "local" / "table.py"), str(exp_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "a bootstrap over fewer than 10 calls" in done.stdout.splitlines()[-1]


def test_a_stage_that_was_not_scored_has_no_row_and_a_set_a_dash(exp_dir: Path) -> None:
    (exp_dir / "8k_telephone/stage2_adapter/results.json").unlink()
    own_calls_only = copy.deepcopy(STAGES["8k_telephone/stage3_lora"])
    del own_calls_only["sets"]["guard"], own_calls_only["sets"]["telephone_test"]
    own_calls_only["sets"]["calls_test"]["llm"]["keywords"]["kwer"] = None
    save(exp_dir / "8k_telephone/stage3_lora", own_calls_only)
    printed = rows(exp_dir)
    assert "stage 2" not in printed
    assert printed["stage 3"] == ["6.00", "7.00", "n/a", "-", "-", "-"]


def test_sizes_of_the_test_sets(exp_dir: Path) -> None:
    text = "\n".join(table.report(exp_dir))
    assert "Scored on: calls 150 utterances, 2,000 characters, 160 keywords; general telephone 150" in text


def test_scores_of_two_normalisers_are_not_compared(exp_dir: Path) -> None:
    save(exp_dir / "8k_telephone/stage3_lora", STAGES["8k_telephone/stage3_lora"] | {"normaliser": "n/2"})
    with pytest.raises(UserError, match=r"stage3_lora.* by n/2"):
        list(table.report(exp_dir))


def test_nothing_scored_is_one_line_for_the_user(tmp_path: Path) -> None:
    command = [sys.executable, str(TOP / "local" / "table.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: no results.json under") and done.stderr.count("\n") == 1


def test_broken_results_are_named(exp_dir: Path) -> None:
    path = exp_dir / "8k_telephone/stage1_encoder/results.json"
    path.write_text('{"sets":', encoding="utf-8")
    with pytest.raises(UserError, match="stage1_encoder"):
        list(table.report(exp_dir))


def test_the_command_prints_from_any_folder(exp_dir: Path) -> None:
    command = [sys.executable, str(TOP / "local" / "table.py"), "."]
    done = subprocess.run(command, capture_output=True, text=True, cwd=exp_dir, check=True)
    assert done.stdout.splitlines()[0].startswith("| test sets, %")

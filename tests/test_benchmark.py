"""The benchmark: a tiny run end to end, what is not installed, which round counts, whose time is counted."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data.channel_config import names
from data.errors import UserError
from data.selection import Request, select
from local.benchmark import __main__ as benchmark
from local.benchmark import lines as of_lines
from local.benchmark import rivals as of_rivals
from local.benchmark import stopwatch
from local.benchmark import tables as of_tables
from local.benchmark.stopwatch import Contestant, Timing

TOP = Path(__file__).resolve().parents[1]
FIELDS = {"table", "name", "times_real_time", "cpu_seconds_an_hour", "times_real_time_by_clock", "speed_to_ours"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict]:
    """Printed lines and JSON of a run with two utterances, on a machine without sox and ffmpeg."""
    folder = tmp_path_factory.mktemp("bench")
    options = ["--utterances", "2", "--rounds", "1", "--json", str(folder / "b.json")]
    done = subprocess.run(
        [sys.executable, "-m", "local.benchmark", "channel", *options],
        cwd=TOP, env=os.environ | {"PATH": str(folder)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), json.loads((folder / "b.json").read_text(encoding="utf-8"))


def cells(lines: list[str]) -> dict[str, list[str]]:
    """First cell -> the others, of all tables."""
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {first: others for first, *others in split}


def test_tables_have_ours_rivals_profiles_and_steps(tiny: tuple[list[str], dict]) -> None:
    rows = cells(tiny[0])
    assert {"ours, all of it", "WAV to WAV", "on the fly, beyond reading", "steps"} <= rows.keys()
    assert rows.keys() >= {*of_rivals.PACKAGES, *of_rivals.PROGRAMS, *names()}
    assert {"read", "write", "G.711 there and back", "loss, repeat", "loss, G.711 Appendix I"} <= rows.keys()
    assert rows["ours, all of it"][3] == "1"


def test_json_has_the_same_rows_in_numbers(tiny: tuple[list[str], dict]) -> None:
    lines, found = tiny
    assert found["machine"].keys() == {"cpu", "python", "numpy", "soxr"} and all(found["machine"].values())
    assert (found["utterances"], found["seconds"], found["rounds"]) == (2, 10, 1)
    assert lines[0].startswith(f"cpu {found['machine']['cpu']}, python {found['machine']['python']}")
    printed = cells(lines)
    for row in found["rows"]:
        assert row.keys() in (FIELDS, {"table", "name"})
        if "times_real_time" in row:
            assert printed[row["name"]][0] == f"{row['times_real_time']:,.0f}"
            assert row["cpu_seconds_an_hour"] == pytest.approx(3600 / row["times_real_time"])


def test_a_program_that_is_not_there_is_a_row_that_says_so(tiny: tuple[list[str], dict]) -> None:
    for name in of_rivals.PROGRAMS:
        assert cells(tiny[0])[name] == ["not installed", "-", "-", "-"]


def test_a_package_that_is_not_there_is_not_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(of_rivals, "find_spec", lambda name: None)
    made = {one.name: one.work for one in of_rivals.rivals([], tmp_path)}
    assert [made[name] for name in of_rivals.PACKAGES] == [None] * len(of_rivals.PACKAGES)


def test_every_rival_that_is_there_writes_a_telephone_version(tmp_path: Path) -> None:
    from data.audio import read_audio, write_wav
    from local.benchmark.channel import LENGTH, made_speech

    clean = [tmp_path / f"clean{i}.wav" for i in range(3)]
    for i, path in enumerate(clean):
        write_wav(path, made_speech(i), 16000)
    for one in of_rivals.rivals(clean, tmp_path):
        if one.work:
            one.work(1)
            heard, rate = read_audio(tmp_path / "1.wav")
            assert rate == 16000 and abs(len(heard) - LENGTH) <= 160, one.name
            assert heard.std() > 0.005, one.name
            (tmp_path / "1.wav").unlink()


def test_best_round_by_cpu_time_counts_and_the_warm_up_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = iter([Timing(0.1, 0.1), Timing(3, 4), Timing(2, 9), Timing(5, 5)])  # the first is the warm-up
    monkeypatch.setattr(stopwatch, "_one_pass", lambda work, count: next(passes))
    best = stopwatch.race({"t": [Contestant("a", lambda i: i)]}, 7, 3, lambda: None)
    assert best == {("t", "a"): Timing(2, 9)}


def test_contestants_take_turns_on_an_empty_table_each() -> None:
    said: list[str] = []
    works = {name: lambda i, name=name: said.append(f"{name}{i}") for name in "ab"}
    contestants = [Contestant(name, work) for name, work in works.items()]
    stopwatch.race({"t": contestants}, 1, 2, lambda: said.append("tidy"))
    assert said[6:] == ["tidy", "a0", "tidy", "b0"] * 2  # after the warm-up of two utterances


def test_cpu_time_is_that_of_children_too_and_not_that_of_waiting() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    timing = stopwatch._one_pass(lambda i: subprocess.run([sys.executable, "-c", busy]), 1)
    assert timing is not None and timing.cpu >= 0.3
    sleep = shutil.which("sleep")
    assert sleep
    timing = stopwatch._one_pass(lambda i: subprocess.run([sleep, "0.3"]), 1)
    assert timing is not None and timing.cpu < 0.2 < timing.clock


def test_ratios_are_to_the_first_of_all() -> None:
    timings = {("t", "ours"): Timing(2, 2), ("t", "slow"): Timing(8, 9), ("u", "absent"): None}
    ours, slow, absent = of_tables.results(timings, 400)
    assert (ours["times_real_time"], ours["speed_to_ours"]) == (200, 1)
    assert (slow["times_real_time"], slow["speed_to_ours"], slow["cpu_seconds_an_hour"]) == (50, 0.25, 72)
    assert math.isclose(slow["times_real_time_by_clock"], 400 / 9)
    assert absent == {"table": "u", "name": "absent"}


def test_speeds_go_by_the_clock_where_the_work_is_not_the_processors() -> None:
    timings = {("t", "ours"): Timing(cpu=8, clock=2), ("t", "slow"): Timing(cpu=2, clock=4)}
    assert [record["speed_to_ours"] for record in of_tables.results(timings, 400, by="clock")] == [1, 0.5]


def test_the_best_round_is_that_of_the_clock_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = iter([Timing(0.1, 0.1), Timing(3, 4), Timing(2, 9)])
    monkeypatch.setattr(stopwatch, "_one_pass", lambda work, count: next(passes))
    best = stopwatch.race({"t": [Contestant("a", lambda i: i)]}, 1, 2, lambda: None, by="clock")
    assert best == {("t", "a"): Timing(3, 4)}


def test_a_missing_figure_is_a_dash_and_a_failure_says_why() -> None:
    columns = {"speed": ("speed", "{:.0f}".format), "memory": ("memory", "{:.1f}".format)}
    records = [
        {"table": "t", "name": "ours", "speed": 7.4, "memory": None},
        {"table": "t", "name": "theirs", "why": "failed: out of memory"},
        {"table": "t", "name": "absent"},
    ]
    rows = cells(list(of_tables.tables(records, columns)))
    assert rows == {
        "t": ["speed", "memory"], "------": rows["------"], "ours": ["7", "-"], "theirs": ["failed: out of memory", "-"],
        "absent": ["not installed", "-"],
    }  # fmt: skip


@pytest.mark.parametrize("command", ["input", "train", "decode"])
def test_the_size_must_be_said(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark.main([command])
    assert "--size" in capsys.readouterr().err


def test_one_command_is_all_that_a_gpus_owner_types() -> None:
    args = benchmark.arguments(["train", "--size", "full", "--device", "cuda", "--json", "h100.json"])
    assert (args.run, args.stages, args.agreement) == (benchmark.with_model, (1, 2, 3), None)


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="no GPU"):
        benchmark.main(["decode", "--size", "mini", "--device", "cuda"])


def test_refuses_what_is_no_number_of_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark.main(["channel", "--rounds", "0"])
    assert "--rounds" in capsys.readouterr().err


def test_lines_of_every_form_are_planned_whole(tmp_path):
    """Each form holds as many utterances as were asked for, and each has its row."""
    assert benchmark.main(["lines", "--lines", "60", "--rounds", "1", "--json", str(tmp_path / "b.json")]) == 0
    rows = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))["rows"]
    assert [row["name"] for row in rows] == list(of_lines.FORMS)
    assert all(row["lines_a_second"] > 0 and row["plan_bytes_a_line"] > 50 for row in rows)
    for name, write in of_lines.FORMS.items():
        assert select(Request(write(tmp_path / name, 60)), tmp_path / "plan").kept() == 60

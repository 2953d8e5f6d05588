"""The simulator from its command line: determinism, kills, bad input."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_sound import make_corpus, tree, voice, write_manifest, write_voice
from simulated import simulate_corpus, without_paths

from data.audio import read_wideband
from data.babble import TalkerPool, mix
from data.channel_config import read_mix
from data.corpora import Utterance
from data.data_simulation import main
from data.errors import UserError
from data.manifest import read_rows
from data.prompt import audio_path, target
from data.selection import Request, select
from data.telephone_channel import BABBLE, Room, draw, lost_frames, simulate
from data.validation import validate

TOP = Path(__file__).resolve().parents[1]
SCRIPT = TOP / "data" / "data_simulation.py"


def voices_of(talkers: Iterator[Utterance], rng: np.random.Generator, heard: list[Utterance]) -> Iterator[np.ndarray]:
    """Each talker's sound as int16 has it; notes who was heard."""
    for talker in talkers:
        heard.append(talker)
        rng.random()  # where a long recording would be cut
        yield read_wideband(talker.audio) * 32768


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus")


def test_a_row_and_its_sound_are_what_the_channel_makes_of_the_draws(corpus, tmp_path):
    """The whole way again by hand, from the row's key alone."""
    simulate_corpus(corpus, tmp_path / "out", "--jobs", "1", "--seed", "3")
    rows = read_rows(tmp_path / "out" / "train.jsonl")
    utterances = [one for _, one in select(Request(corpus), tmp_path / "plan.sqlite").utterances()]
    assert [row["key"] for row in rows] == [u.key for u in utterances]
    by_key = {u.key: u for u in utterances}
    for row in rows:
        target = by_key[row["key"]]
        draws = draw(read_mix("default"), 3, row["key"])
        rng = draws.generator(BABBLE)
        others = []
        drawn = islice(TalkerPool(utterances).others(target, rng), draws.talkers)
        speech = read_wideband(target.audio)
        babble = mix(voices_of(drawn, rng, others), len(speech), rng)
        assert row["channel"]["talkers"] == [u.key for u in others]
        assert target.speaker not in {u.speaker for u in others}
        path = row["messages"][1]["content"].split("!")[1].removesuffix("<|endofspeech|>")
        heard, rate = soundfile.read(path, dtype="int16")
        assert rate == 16000 and Path(path).is_absolute()
        lost = lost_frames(draws, len(speech))
        np.testing.assert_array_equal(heard, simulate(speech, draws, lost, Room(babble)))
        assert row["duration"] == round(len(speech) / 16000, 3)


def test_the_same_bytes_with_any_number_of_processes_and_in_any_place(corpus, tmp_path):
    one = simulate_corpus(corpus, tmp_path / "one", "--jobs", "1")
    three = simulate_corpus(corpus, tmp_path / "three", "--jobs", "3")
    assert without_paths(one, tmp_path / "one") == without_paths(three, tmp_path / "three")


def test_neither_order_nor_a_limit_changes_an_utterance_of_the_same_talkers(corpus, tmp_path):
    whole = simulate_corpus(corpus, tmp_path / "whole", "--jobs", "1")
    few = simulate_corpus(corpus, tmp_path / "few", "--jobs", "1", "--limit", "4")
    sounds = {name for name in few if name.endswith(".wav")}
    assert len(sounds) == 4 and all(few[name] == whole[name] for name in sounds)


def test_another_seed_is_another_line(corpus, tmp_path):
    one = simulate_corpus(corpus, tmp_path / "out", "--jobs", "1", "--limit", "2")
    two = simulate_corpus(corpus, tmp_path / "out", "--jobs", "1", "--limit", "2", "--seed", "2")
    assert all(one[name] != two[name] for name in one if name.endswith(".wav"))


def test_a_test_set_in_which_nobody_speaks(tmp_path, capsys):
    """The same whenever it is made; telephone sound without a text, and without anybody in the room."""
    made = {}
    for name, jobs in (("one", "1"), ("two", "2")):
        assert main(["--silence", "5", "--split", "test", "--output_dir", str(tmp_path / name), "--jobs", jobs]) == 0
        made[name] = without_paths(tree(tmp_path / name), tmp_path / name)
    for name in made["one"]:
        assert name.endswith("records.jsonl") or made["one"][name] == made["two"][name], name
    rows = read_rows(tmp_path / "one/test.jsonl")
    assert len(rows) == 5 and all(row["negative"] and not target(row["messages"]) for row in rows)
    for row in rows:
        path = audio_path(row["messages"])
        assert row["audio_sha256"] == hashlib.sha256(Path(path).read_bytes()).hexdigest()
        assert row["channel"]["talkers"] == [] and 1 <= row["duration"] <= 10
        spectrum = np.abs(np.fft.rfft(read_wideband(Path(path)))) ** 2
        assert spectrum[len(spectrum) * 9 // 16 :].sum() < 0.01 * spectrum.sum(), "a telephone ends at 4 kHz"
    assert validate([tmp_path / "one/test.jsonl"], check_audio=True)


def test_a_second_run_touches_nothing(corpus, tmp_path):
    simulate_corpus(corpus, tmp_path / "out", "--jobs", "1")
    files = [path for path in (tmp_path / "out").rglob("*.*") if path.is_file() and path.suffix != ".lock"]
    before = {path: path.stat().st_mtime_ns for path in files}
    simulate_corpus(corpus, tmp_path / "out", "--jobs", "1")
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_bad_utterances_among_good_ones_are_listed(corpus, tmp_path, capsys):
    folder = corpus.parent
    (folder / "zero.wav").touch()
    soundfile.write(folder / "short.wav", voice(0.02), 16000)
    with corpus.open("a", encoding="utf-8") as out:
        out.write("no json\n")
        for name in ("nowhere.wav", "zero.wav", "short.wav"):
            out.write(json.dumps({"key": name, "source": name, "target": "字", "speaker": name}) + "\n")
        out.write(json.dumps({"key": "marked", "source": "0.wav", "target": "字<ANNOTATION_ERROR>"}) + "\n")
    simulate_corpus(corpus, tmp_path / "out", "--jobs", "2")
    rejected = [
        json.loads(line) for line in (tmp_path / "out" / "rejected" / "train.jsonl").open(encoding="utf-8")
    ]
    assert [(r["line"], r["reason"]) for r in rejected] == [
        (13, "bad_json"),
        (14, "missing_audio"),
        (15, "unreadable_audio"),
        (16, "too_short"),
        (17, "annotation_error"),
    ]
    assert "read 17 = kept 12 + rejected 5" in capsys.readouterr().out
    babblers = {
        key for row in read_rows(tmp_path / "out" / "train.jsonl") for key in row["channel"]["talkers"]
    }
    assert not babblers & {"nowhere.wav", "zero.wav"}


@pytest.mark.parametrize("key", ["../../x", "/abs", "..", "a/b", "名字", "a\nb"])
def test_no_key_writes_outside_the_folder(tmp_path, key):
    write_voice(tmp_path / "c" / "a.wav")
    manifest = write_manifest(tmp_path / "c" / "m.jsonl", [{"key": key, "source": "a.wav", "target": "字"}])
    simulate_corpus(manifest, tmp_path / "deep" / "out", "--jobs", "1")
    assert {path.parts[0] for path in map(Path, tree(tmp_path))} == {"c", "deep"}
    assert {path.parts[1] for path in map(Path, tree(tmp_path)) if path.parts[0] == "deep"} == {"out"}
    assert read_rows(tmp_path / "deep" / "out" / "train.jsonl")[0]["key"] == key


def test_a_lonely_talker_gets_no_babble_and_the_user_is_told(tmp_path, capsys):
    simulate_corpus(make_corpus(tmp_path / "c", count=2, talkers=1), tmp_path / "out", "--jobs", "1")
    assert "has 1 talker, nobody to babble behind each" in capsys.readouterr().err
    assert read_rows(tmp_path / "out" / "train.jsonl")[0]["channel"]["talkers"] == []


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 1), (16000, 2)])
def test_sources_of_any_rate(tmp_path, rate, channels):
    write_voice(tmp_path / "a.wav", 0.5, rate, channels=channels)
    manifest = write_manifest(tmp_path / "m.jsonl", [{"source": "a.wav", "target": "字"}])
    simulate_corpus(manifest, tmp_path / "out", "--jobs", "1")
    assert read_rows(tmp_path / "out" / "train.jsonl")[0]["duration"] == 0.5


# --- the command line ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--input", "a.wav"],
        ["--manifest", "m"],
        ["--manifest", "m", "--output_dir", "d"],
        ["--input", "a", "--output", "b", "--manifest", "m"],
        ["--manifest", "m", "--output_dir", "d", "--split", "x"],
        ["--manifest", "m", "--output_dir", "d", "--split", "train", "--jobs", "0"],
        ["--manifest", "m", "--output_dir", "d", "--split", "train", "--babble", "x"],
        ["--manifest", "m", "--output_dir", "d", "--split", "train", "--set", "snr_db=3"],
        ["--manifest", "m", "--output_dir", "d", "--split", "test", "--online"],
        ["--manifest", "m", "--output_dir", "d", "--split", "dev", "--negative_rate", "0.1"],
        ["--manifest", "m", "--output_dir", "d", "--split", "train", "--negative_rate", "1.1"],
        ["--silence", "5", "--output_dir", "d", "--split", "dev"],
        ["--silence", "5", "--manifest", "m", "--output_dir", "d", "--split", "test"],
        ["--silence", "0", "--output_dir", "d", "--split", "test"],
        ["--silence", "5", "--output_dir", "d", "--split", "test", "--limit", "2"],
    ],
)
def test_wrong_arguments_are_exit_2(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_input_and_output_may_not_be_one_file(corpus, tmp_path):
    corpus.rename(corpus.with_name("train.jsonl"))
    with pytest.raises(UserError, match="same file"):
        simulate_corpus(corpus.with_name("train.jsonl"), corpus.parent)
    with pytest.raises(UserError, match="same file"):
        main(["--input", str(corpus.parent / "0.wav"), "--output", str(corpus.parent / "0.wav")])


@pytest.mark.parametrize("how", ["script", "module"])
def test_runs_as_a_script_from_any_folder_and_as_a_module(corpus, tmp_path, how):
    where = {"script": [str(SCRIPT)], "module": ["-m", "data.data_simulation"]}[how]
    command = [
        sys.executable,
        *where,
        "--manifest",
        str(corpus),
        "--output_dir",
        str(tmp_path / "o u t"),
        "--split",
        "dev",
        "--jobs",
        "2",
    ]
    done = subprocess.run(command, cwd=tmp_path if how == "script" else TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(
        "read 12 = kept 12 + rejected 0; 0.00 hours, 6 speakers -> "
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--manifest", "nowhere.jsonl", "--output_dir", "o", "--split", "dev"],
            "nowhere.jsonl: no such manifest",
        ),
        (["--input", "nowhere.wav", "--output", "o.wav"], "nowhere.wav: no such file"),
        (["--input", "a", "--output", "b", "--profile", "defualt"], "did you mean default?"),
    ],
)
def test_a_mistake_is_one_line_and_exit_1(tmp_path, arguments, message):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ") and message in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    """Every temporary file is a link to /dev/full, which takes no byte."""
    write_voice(tmp_path / "a.wav")
    driver = (
        "import sys, wave; sys.path.insert(0, sys.argv[1]); real = wave.open\n"
        "wave.open = lambda path, mode: real('/dev/full' if mode == 'wb' else path, mode)\n"
        "from data.data_simulation import main; from data.errors import run\n"
        "raise SystemExit(run(lambda: main(sys.argv[2:])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", driver, str(TOP), "--input", "a.wav", "--output", "b.wav"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "disk full" in done.stderr and "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == ["a.wav"]


# --- shards -------------------------------------------------------------------------------------------


def test_shards_one_by_one_and_then_together_are_what_one_run_makes(tmp_path, capsys):
    """As the tasks of a Slurm array, and the command that puts them together; the manifest is read once for all tasks."""
    corpus = make_corpus(tmp_path / "corpus", count=40)
    once = simulate_corpus(corpus, tmp_path / "out", "--jobs", "1", "--num_shards", "3")
    (tmp_path / "out").rename(tmp_path / "once")
    for shard in ("2", "0", "1"):
        simulate_corpus(corpus, tmp_path / "out", "--num_shards", "3", "--shard", shard)
        assert f"shard {shard} of 3: read " in capsys.readouterr().out
    plan = (tmp_path / "out" / ".plan" / "train.sqlite").stat()
    assert not (tmp_path / "out" / "train.jsonl").exists()
    together = simulate_corpus(corpus, tmp_path / "out", "--jobs", "1", "--num_shards", "3")
    assert "3 of 3 shards are there" in capsys.readouterr().out
    assert (tmp_path / "out" / ".plan" / "train.sqlite").stat().st_mtime_ns == plan.st_mtime_ns
    assert together == once


@pytest.mark.parametrize("wrong", [["--shard", "0"], ["--num_shards", "3", "--shard", "3"]])
def test_a_shard_that_there_is_not_is_one_line(corpus, tmp_path, wrong):
    with pytest.raises(UserError, match="give --num_shards N too, and a shard from 0 to N-1"):
        simulate_corpus(corpus, tmp_path / "out", *wrong)

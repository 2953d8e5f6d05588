"""convert and validate from their command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_sound import make_corpus, tree, voice, write_manifest, write_voice
from small_split import sounds

from data.audio import read_audio, resample
from data.errors import UserError
from data.manifest import read_rows
from data.prepare_training_data import main
from data.prompt import audio_path, prompt_of, target

TOP = Path(__file__).resolve().parents[1]


def convert(manifest: Path, output: Path, *more: str) -> list[dict]:
    assert main(["convert", "--manifest", str(manifest), "--output", str(output), "--jobs", "1", *more]) == 0
    return read_rows(output)


def sound_of(row: dict) -> Path:
    return Path(audio_path(row["messages"]))


def origin_of(row: dict) -> dict:
    return {name: row[name] for name in ("source", "start", "end", "source_channel") if name in row}


def test_8_khz_becomes_16_khz_in_the_folder(tmp_path):
    rows = convert(make_corpus(tmp_path / "c", rate=8000), tmp_path / "out" / "train.jsonl")
    assert len(rows) == 12 and rows[3]["speaker"] == "s3" and rows[3]["call"] == "c1"
    for number, row in enumerate(rows):
        assert sound_of(row).parent.parent == tmp_path / "out" / "shards" / "train"
        samples, rate = soundfile.read(sound_of(row), dtype="int16")
        source, _ = read_audio(tmp_path / "c" / f"{number}.wav")
        assert origin_of(row) == {"source": str(tmp_path / "c" / f"{number}.wav")}
        assert rate == 16000 and len(samples) == 2 * len(source)
        np.testing.assert_allclose(samples, resample(source, 8000, 16000) * 32768, atol=0.51)


def test_16_khz_is_referenced_where_it_lies(tmp_path, monkeypatch):
    make_corpus(tmp_path / "c")
    monkeypatch.chdir(tmp_path)  # a relative manifest still gives absolute paths
    rows = convert(Path("c/manifest.jsonl"), tmp_path / "out" / "train.jsonl")
    assert [sound_of(row) for row in rows] == [tmp_path / "c" / f"{n}.wav" for n in range(12)]
    assert not any(map(origin_of, rows)), "what is used as it lies has no other origin"
    assert not sounds(tmp_path / "out")


def test_force_copy_copies(tmp_path):
    rows = convert(make_corpus(tmp_path / "c"), tmp_path / "out" / "train.jsonl", "--force_copy")
    for number, row in enumerate(rows):
        copy, source = soundfile.read(sound_of(row))[0], soundfile.read(tmp_path / "c" / f"{number}.wav")[0]
        assert sound_of(row).parent.parent == tmp_path / "out" / "shards" / "train"
        np.testing.assert_array_equal(copy, source)


@pytest.mark.parametrize("place", [{"start": 0.1, "end": 0.35}, {"channel": 1}, {"start": 0.25}])
def test_a_part_of_a_file_is_cut_out(tmp_path, place):
    write_voice(tmp_path / "a.wav", 0.5, channels=2)
    manifest = write_manifest(tmp_path / "m.jsonl", [{"source": "a.wav", "target": "字", **place}])
    row = convert(manifest, tmp_path / "out" / "train.jsonl")[0]
    renamed = {"source_channel" if name == "channel" else name: value for name, value in place.items()}
    assert origin_of(row) == {"source": str(tmp_path / "a.wav"), **renamed}
    whole = soundfile.read(tmp_path / "a.wav", dtype="int16")[0]
    first, last = round(place.get("start", 0) * 16000), round(place.get("end", 0.5) * 16000)
    part = whole[first:last, 1] if "channel" in place else whole[first:last].mean(axis=1)
    np.testing.assert_allclose(soundfile.read(sound_of(row), dtype="int16")[0], part, atol=0.51)


def test_annotation_errors_are_filtered_on_demand(tmp_path, capsys):
    corpus = make_corpus(tmp_path / "c")
    lines = corpus.read_text(encoding="utf-8").replace("第3句话", "第3句话<ANNOTATION_ERROR>")
    corpus.write_text(lines, encoding="utf-8")
    assert target(convert(corpus, tmp_path / "a" / "train.jsonl")[3]["messages"]) == "第3句话"
    rows = convert(corpus, tmp_path / "b" / "train.jsonl", "--filter_annotation_error")
    assert "utt3" not in {row["key"] for row in rows} and len(rows) == 11
    assert "read 12 = kept 11 + rejected 1 (annotation_error: 1)" in capsys.readouterr().out


# --- rules of plausibility ------------------------------------------------------------------------------


def odd_corpus(folder: Path) -> Path:
    """Two good lines, and one for every rule, but four for copied_text."""
    for name, seconds in {"a": 2.0, "b": 2.0, "c": 0.05, "e": 2.0}.items():
        write_voice(folder / f"{name}.wav", seconds)
    soundfile.write(folder / "d.wav", np.tile(voice(1.0), 121), 16000)
    soundfile.write(folder / "silent.wav", np.zeros(32000, np.int16), 16000)
    lines = [
        {"key": "good", "source": "a.wav", "target": "两个字"},
        {"key": "part", "source": "b.wav", "target": "一部分", "start": 0.5, "end": 2.2},
        {"key": "too_short", "source": "c.wav", "target": "好"},
        {"key": "too_long", "source": "d.wav", "target": "很长很长" * 100},
        {"key": "silent", "source": "silent.wav", "target": "没有声音"},
        {"key": "too_fast", "source": "a.wav", "target": "说得太快了" * 10},
        {"key": "too_slow", "source": "d.wav", "target": "慢", "end": 20},
        {"key": "outside_file", "source": "a.wav", "target": "在后面", "start": 1, "end": 5},
        {"key": "repeated_character", "source": "e.wav", "target": "对" * 13},
        {"key": "leftover_markup", "source": "e.wav", "target": "你好|"},
        {"key": "no_words", "source": "e.wav", "target": "……"},
        *({"key": f"copied_text{n}", "source": "e.wav", "target": "这是一句到处都有的话"} for n in range(4)),
        {"key": "annotation_error", "source": "a.wav", "target": "错<ANNOTATION_ERROR>"},
    ]
    return write_manifest(folder / "m.jsonl", lines)


def rejected_by(output: Path) -> dict[str, dict]:
    path = output.parent / "rejected" / output.name
    return {reject["key"]: reject for reject in map(json.loads, path.read_text(encoding="utf-8").splitlines())}


@pytest.mark.parametrize("copy", [[], ["--force_copy"]])
def test_the_filter_leaves_implausible_utterances_out_of_training(tmp_path, capsys, copy):
    corpus = odd_corpus(tmp_path / "c")
    output = tmp_path / "o" / "train.jsonl"
    rows = convert(corpus, output, "--filter_annotation_error", "--rule", "copied_text=3", *copy)
    assert [row["key"] for row in rows] == ["good", "part"]
    rejects = rejected_by(output)
    assert len(rejects) == 14 and all(key.startswith(reject["rule"]) for key, reject in rejects.items())
    values = {key: (reject["value"], reject["bound"]) for key, reject in rejects.items()}
    assert values["outside_file"] == (3, 0.5) and values["too_short"] == (0.05, 0.1) and values["too_long"] == (121, 120)
    assert values["silent"] == (-100, -60) and values["copied_text2"] == (4, 3)
    assert values["too_fast"][0] > 20 and values["too_slow"][0] < 0.1
    assert all(reject["line"] and reject["detail"] for reject in rejects.values())
    wavs = {name.split("-")[0] for name in sounds(tmp_path / "o")}
    assert wavs == ({"good", "part"} if copy else {"part"})
    out = capsys.readouterr().out
    assert "1 of 16 marked as annotation errors" in out and "read 16 = kept 2 + rejected 14" in out
    assert "silent: 1 rejected, -100; must be at least -60 dBov" in out


@pytest.mark.parametrize("name", ["dev", "test"])
def test_dev_and_test_lose_only_what_is_marked_or_cannot_be_read(tmp_path, name):
    output = tmp_path / "o" / f"{name}.jsonl"
    convert(odd_corpus(tmp_path / "c"), output, "--filter_annotation_error")
    assert {key: reject["rule"] for key, reject in rejected_by(output).items()} == {
        "annotation_error": "annotation_error",
        "outside_file": "bad_segment",
    }


def test_without_the_filter_training_loses_only_what_cannot_be_read(tmp_path):
    output = tmp_path / "o" / "train.jsonl"
    convert(odd_corpus(tmp_path / "c"), output)
    assert {key: reject["rule"] for key, reject in rejected_by(output).items()} == {"outside_file": "bad_segment"}


def test_rules_are_set_and_switched_off(tmp_path):
    output = tmp_path / "o" / "train.jsonl"
    changes = ["silent=off", "too_slow=0", "too_fast=200", "too_long=off", "repeated_character=13", "no_words=0"]
    more = [word for change in [*changes, "leftover_markup=1"] for word in ("--rule", change)]
    convert(odd_corpus(tmp_path / "c"), output, "--filter_annotation_error", *more)
    assert set(rejected_by(output)) == {"annotation_error", "outside_file", "too_short"}


@pytest.mark.parametrize(
    ("output", "more", "message"),
    [
        ("train.jsonl", ["--filter_annotation_error", "--rule", "to_fast=3"], "did you mean too_fast"),
        ("dev.jsonl", ["--filter_annotation_error", "--rule", "too_fast=3"], "hold for a training set"),
        ("train.jsonl", ["--rule", "too_fast=3"], "hold for a training set that is filtered"),
    ],
)
def test_a_rule_in_the_wrong_place_is_one_line(tmp_path, output, more, message):
    with pytest.raises(UserError, match=message):
        convert(make_corpus(tmp_path / "c", count=1), tmp_path / "o" / output, *more)


def test_the_rules_stand_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["convert", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert "too_fast: at most 15 characters per second of speech" in out and "--min_confidence" in out


def test_limit_makes_few_but_counts_all_text(tmp_path, capsys):
    corpus = make_corpus(tmp_path / "c")
    with corpus.open("a", encoding="utf-8") as out:
        out.write(json.dumps({"key": "m", "source": "0.wav", "target": "字<ANNOTATION_ERROR>"}) + "\n")
    assert (
        len(convert(corpus, tmp_path / "o" / "train.jsonl", "--limit", "5", "--filter_annotation_error")) == 5
    )
    out = capsys.readouterr().out
    assert "13 lines, 12 usable by their text, rejected 1 (annotation_error: 1)" in out
    assert "read 5 = kept 5 + rejected 0" in out


def test_a_prompt_of_ones_own(tmp_path):
    rows = convert(
        make_corpus(tmp_path / "c"), tmp_path / "o" / "dev.jsonl", "--prompt", "语音转写，不进行文本规整："
    )
    assert {prompt_of(row["messages"]) for row in rows} == {"语音转写，不进行文本规整："}


def test_the_same_bytes_with_any_number_of_processes(tmp_path):
    corpus = make_corpus(tmp_path / "c", count=50, seconds=0.1, rate=8000)
    convert(corpus, tmp_path / "o" / "train.jsonl")
    one = tree(tmp_path / "o")
    for path in sorted((tmp_path / "o").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    convert(corpus, tmp_path / "o" / "train.jsonl", "--jobs", "3")
    assert tree(tmp_path / "o") == one


def test_kaldi_with_segments(tmp_path):
    write_voice(tmp_path / "k" / "r.wav", 1.0, 8000)
    for name, text in {
        "wav.scp": "r r.wav\n",
        "text": "u1 一\nu2 二\n",
        "utt2spk": "u1 a\nu2 b\n",
        "segments": "u1 r 0 0.5\nu2 r 0.5 1.0\n",
    }.items():
        (tmp_path / "k" / name).write_text(text, encoding="utf-8")
    rows = convert(tmp_path / "k", tmp_path / "o" / "train.jsonl")
    assert [(row["key"], row["duration"], row["speaker"], row["call"]) for row in rows] == [
        ("u1", 0.5, "a", "r"),
        ("u2", 0.5, "b", "r"),
    ]


def test_validate_says_by_its_exit_status(tmp_path):
    convert(make_corpus(tmp_path / "c"), tmp_path / "o" / "train.jsonl")
    assert main(["validate", str(tmp_path / "o" / "train.jsonl"), "--check_audio"]) == 0
    (tmp_path / "c" / "3.wav").unlink()
    assert main(["validate", str(tmp_path / "o" / "train.jsonl")]) == 1


@pytest.mark.parametrize(
    ("manifest", "output", "message"),
    [
        ("m.jsonl", "o.json", "must be called NAME.jsonl"),
        ("m.jsonl", "m.jsonl", "same file"),
        ("nowhere", "o.jsonl", "no such manifest"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, monkeypatch, manifest, output, message):
    monkeypatch.chdir(tmp_path)
    Path("m.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=message):
        convert(Path(manifest), Path(output))
    assert Path("m.jsonl").read_text() == "{}\n"


def test_runs_as_a_script_from_any_folder(tmp_path):
    corpus = make_corpus(tmp_path / "c")
    script = str(TOP / "data" / "prepare_training_data.py")
    done = subprocess.run(
        [
            sys.executable,
            script,
            "convert",
            "--manifest",
            str(corpus),
            "--output",
            "o/train.jsonl",
            "--force_copy",
            "--jobs",
            "2",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert all(sound_of(row).is_file() for row in read_rows(tmp_path / "o" / "train.jsonl"))

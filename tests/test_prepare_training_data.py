"""convert and validate from their command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_sound import make_corpus, tree, write_manifest, write_voice

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


def test_8_khz_becomes_16_khz_in_the_folder(tmp_path):
    rows = convert(make_corpus(tmp_path / "c", rate=8000), tmp_path / "out" / "train.jsonl")
    assert len(rows) == 12 and rows[3]["speaker"] == "s3" and rows[3]["call"] == "c1"
    for number, row in enumerate(rows):
        assert sound_of(row).parent == tmp_path / "out" / "wav" / "train"
        samples, rate = soundfile.read(sound_of(row), dtype="int16")
        source, _ = read_audio(tmp_path / "c" / f"{number}.wav")
        assert rate == 16000 and len(samples) == 2 * len(source)
        np.testing.assert_allclose(samples, resample(source, 8000, 16000) * 32768, atol=0.51)


def test_16_khz_is_referenced_where_it_lies(tmp_path, monkeypatch):
    make_corpus(tmp_path / "c")
    monkeypatch.chdir(tmp_path)  # a relative manifest still gives absolute paths
    rows = convert(Path("c/manifest.jsonl"), tmp_path / "out" / "train.jsonl")
    assert [sound_of(row) for row in rows] == [tmp_path / "c" / f"{n}.wav" for n in range(12)]
    assert not (tmp_path / "out" / "wav").exists() or not list((tmp_path / "out" / "wav").rglob("*.wav"))


def test_force_copy_copies(tmp_path):
    rows = convert(make_corpus(tmp_path / "c"), tmp_path / "out" / "train.jsonl", "--force_copy")
    for number, row in enumerate(rows):
        copy, source = soundfile.read(sound_of(row))[0], soundfile.read(tmp_path / "c" / f"{number}.wav")[0]
        assert sound_of(row).parent == tmp_path / "out" / "wav" / "train"
        np.testing.assert_array_equal(copy, source)


@pytest.mark.parametrize("place", [{"start": 0.1, "end": 0.35}, {"channel": 1}, {"start": 0.25}])
def test_a_part_of_a_file_is_cut_out(tmp_path, place):
    write_voice(tmp_path / "a.wav", 0.5, channels=2)
    manifest = write_manifest(tmp_path / "m.jsonl", [{"source": "a.wav", "target": "字", **place}])
    row = convert(manifest, tmp_path / "out" / "train.jsonl")[0]
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


def test_dev_is_divided_by_call(tmp_path):
    corpus = make_corpus(tmp_path / "c", count=60, seconds=0.1, talkers=30)
    dev = convert(corpus, tmp_path / "o" / "dev.jsonl", "--split_test", str(tmp_path / "o" / "test.jsonl"))
    test = read_rows(tmp_path / "o" / "test.jsonl")
    assert len(dev) + len(test) == 60 and dev and test
    assert not {row["call"] for row in dev} & {row["call"] for row in test}
    assert sorted(path.name for path in (tmp_path / "o").glob("*.jsonl")) == ["dev.jsonl", "test.jsonl"]


def test_one_call_cannot_be_divided(tmp_path):
    corpus = make_corpus(tmp_path / "c", count=4, talkers=1)
    with pytest.raises(UserError, match="too few calls"):
        convert(corpus, tmp_path / "o" / "dev.jsonl", "--split_test", str(tmp_path / "o" / "test.jsonl"))


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

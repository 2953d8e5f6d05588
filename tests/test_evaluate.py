"""Scores of a checkpoint: complete, in order, equal to an edit distance of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from rapidfuzz.distance import Levenshtein
from released_form import write_released
from small_experiment import link_model
from small_stage import run_processes

from data.audio import read_wideband, resample, write_wav
from data.errors import UserError
from data.manifest import read_rows, row, write_rows
from data.prompt import audio_path, target
from data.text import normalise
from local import decoded_set, evaluate
from local.decode import Heard

KEYWORDS = ("天气", "提醒", "电话")


@pytest.fixture(scope="module")
def scored(model_dir, rows, tmp_path_factory) -> Path:
    """The folder of a baseline, scored on two sets."""
    folder = tmp_path_factory.mktemp("scored") / "baseline"
    write_rows(folder.parent / "calls.jsonl", [row | {"source": audio_path(row["messages"])} for row in rows[:8]])
    write_rows(folder.parent / "guard.jsonl", rows[8:14])
    (folder.parent / "keywords.txt").write_text("\n".join(KEYWORDS), encoding="utf-8")
    folder.mkdir()
    assert (
        evaluate.main(
            arguments(
                model_dir,
                folder,
                f"calls_test={folder.parent / 'calls.jsonl'}",
                f"guard={folder.parent / 'guard.jsonl'}",
            )
        )
        == 0
    )
    return folder


def arguments(model_dir: Path, folder: Path, *sets: str) -> list[str]:
    named = [word for item in sets for word in ("--set", item)]
    return [
        "--model_dir",
        str(model_dir),
        "--checkpoint",
        "released",
        *named,
        "--keywords",
        str(folder.parent / "keywords.txt"),
        "--keywords_from",
        str(folder.parent / "calls.jsonl"),
        "--output_dir",
        str(folder),
        "--device",
        "cpu",
        "--originals",
        "5",
    ]


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def decoded(folder: Path, name: str) -> list[dict[str, str]]:
    return [
        json.loads(line)
        for line in (folder / "decode" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def cer(pairs: list[tuple[str, str]]) -> float:
    """Percent, pooled; the sentences here are Han alone, so that a unit is a character."""
    said = [(normalise(ref), normalise(hyp)) for ref, hyp in pairs]
    return 100 * sum(Levenshtein.distance(ref, hyp) for ref, hyp in said) / sum(len(ref) for ref, _ in said)


def test_every_utterance_is_decoded_in_the_order_of_its_rows(scored, rows):
    for name, part in (("calls_test", rows[:8]), ("guard", rows[8:14])):
        lines = decoded(scored, name)
        assert [(line["key"], line["ref"]) for line in lines] == [
            (row["key"], row["messages"][2]["content"]) for row in part
        ]


def test_what_is_16_khz_already_is_heard_alike_both_ways(scored):
    ours = {line["key"]: line for line in decoded(scored, "calls_test")}
    originals = decoded(scored, "calls_test_originals")
    assert len(originals) == 5 and all(line == ours[line["key"]] for line in originals)
    found = results(scored)["originals"]
    assert (found["utterances"], found["of"]) == (5, 8)
    assert found["llm"]["difference"] == found["ctc"]["difference"] == 0.0


@pytest.mark.slow
def test_two_processes_write_the_same_files_as_one(scored, model_dir):
    folder = scored.with_name("by_two")
    sets = [f"calls_test={scored.parent / 'calls.jsonl'}", f"guard={scored.parent / 'guard.jsonl'}"]
    run_processes(2, *arguments(model_dir, folder, *sets), program="local/evaluate.py")
    for name in ("results.json", *(f"decode/{path.name}" for path in (scored / "decode").iterdir())):
        assert (folder / name).read_bytes() == (scored / name).read_bytes(), name


def test_texts_are_those_of_stock_funasr(scored, stock, rows):
    answers = stock.generate(input=[audio_path(row["messages"]) for row in rows[:8]])
    assert [(line["llm"], line["ctc"]) for line in decoded(scored, "calls_test")] == [
        (a["text"], a["ctc_text"]) for a in answers
    ]


def test_error_rates_are_those_of_an_edit_distance(scored):
    for name in ("calls_test", "guard"):
        lines = decoded(scored, name)
        for branch in ("llm", "ctc"):
            expected = cer([(line["ref"], line[branch]) for line in lines])
            assert results(scored)["sets"][name][branch]["cer"] == pytest.approx(expected)


def test_the_control_deals_every_text_to_another_utterance(scored):
    lines = decoded(scored, "calls_test")
    control = results(scored)["sets"]["calls_test"]["other_audio"]
    dealt = [(line["ref"], lines[(number + 1) % len(lines)]["llm"]) for number, line in enumerate(lines)]
    assert control["cer"] == pytest.approx(cer(dealt))
    assert control["cer"] > results(scored)["sets"]["calls_test"]["ctc"]["cer"] + 20, "the model listens"
    assert not {"other_audio", "listening"} & set(results(scored)["sets"]["guard"])


def test_keywords_are_scored_on_calls_only(scored, rows):
    sets = results(scored)["sets"]
    said = sum(row["messages"][2]["content"].count(word) for row in rows[:8] for word in KEYWORDS)
    assert sets["calls_test"]["llm"]["keywords"]["total"] == said
    assert "keywords" not in sets["guard"]["llm"]


def test_calls_are_asked_with_the_list_and_with_distractors_as_stock_funasr_is(scored, stock, rows):
    plain = {line["key"]: line for line in decoded(scored, "calls_test")}
    for way in ("hotwords", "distractors"):
        lines = decoded(scored, f"calls_test_{way}")
        assert [line["key"] for line in lines] == list(plain)
        for line, asked in zip(lines, rows, strict=False):
            absent = [word for word in KEYWORDS if word not in line["ref"]]
            assert line["hotwords"] == (list(KEYWORDS) if way == "hotwords" else absent)
            answer = stock.generate(input=[audio_path(asked["messages"])], hotwords=line["hotwords"])[0]
            assert line["ctc"] == plain[line["key"]]["ctc"] and (line.get("cut") or line["llm"] == answer["text"])
        found = results(scored)["sets"]["calls_test"][way]
        assert found["cer"] == pytest.approx(cer([(line["ref"], line["llm"]) for line in lines]))
        assert found["keywords"]["total"] == results(scored)["sets"]["calls_test"]["llm"]["keywords"]["total"]
    assert "hotwords" not in results(scored)["sets"]["guard"]
    assert not (scored / "decode/guard_hotwords.jsonl").exists()


def test_a_baseline_has_no_losses_and_a_stage_has_those_of_its_training(scored, model_dir, tmp_path):
    assert not {"loss", "loss_before", "gate"} & set(results(scored))
    summary = {
        "before": {"llm": 2.0},
        "after": {"llm": 1.0},
        "gate": {"cer": 10.0},
        "chosen": "epoch 3",
        "groups": {},
    }
    folder = tmp_path / "stage1_encoder"
    folder.mkdir()
    for name in ("calls.jsonl", "keywords.txt"):
        (tmp_path / name).write_bytes((scored.parent / name).read_bytes())
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    write_rows(
        tmp_path / "one.jsonl",
        [json.loads((tmp_path / "calls.jsonl").read_text(encoding="utf-8").splitlines()[0])],
    )
    evaluate.main(arguments(model_dir, folder, f"calls_test={tmp_path / 'one.jsonl'}"))
    found = results(folder)
    assert (found["loss_before"], found["loss"], found["gate"], found["chosen"]) == (
        {"llm": 2.0},
        {"llm": 1.0},
        {"cer": 10.0},
        "epoch 3",
    )
    assert "other_audio" not in found["sets"]["calls_test"], "one utterance has no other one's audio"


def test_two_rows_of_one_key_are_refused(scored, model_dir, rows):
    write_rows(scored.parent / "double.jsonl", [rows[0], rows[1], rows[0]])
    with pytest.raises(UserError, match=f"double.jsonl: .*{rows[0]['key']}"):
        evaluate.main(
            arguments(model_dir, scored.parent / "other", f"guard={scored.parent / 'double.jsonl'}")
        )


def test_a_set_without_a_name_is_the_calls_test_set(model_dir, scored, capsys):
    assert evaluate.parse(arguments(model_dir, scored, "rows.jsonl", "guard=g.jsonl")).sets == {
        "calls_test": "rows.jsonl", "guard": "g.jsonl"
    }  # fmt: skip
    with pytest.raises(SystemExit) as caught:
        evaluate.parse(arguments(model_dir, scored, "rows.jsonl", "other.jsonl"))
    assert caught.value.code == 2
    assert "NAME=FILE" in capsys.readouterr().err


def test_a_line_carries_what_the_report_shows(scored, rows):
    lines = decoded(scored, "calls_test")
    assert [(line["seconds"], line["audio"]) for line in lines] == [
        (row["duration"], audio_path(row["messages"])) for row in rows[:8]
    ]
    drawn = decoded_set.decoded(row("a", "a.wav", "你好", 9600) | {"channel": {"snr_db": 3}, "call": "c"}, Heard("你", None, ""))
    assert drawn["channel"] == {"snr_db": 3} and drawn["call"] == "c" and "ctc" not in drawn
    assert sum(part["utterances"] for part in results(scored)["sets"]["calls_test"]["buckets"]["duration"]) == 8


def test_any_folder_on_any_corpus_is_one_command_that_leaves_nothing_behind(model_dir, stock, rows, tmp_path, capsys):
    """A folder without CTC tensors, as there is one on a hub; JSON lines over 8 kHz recordings."""
    folder = link_model(model_dir, tmp_path / "stock form", "model.pt")
    state = torch.load(model_dir / "model.pt", weights_only=True)
    torch.save({name: tensor for name, tensor in state.items() if not name.startswith("ctc")}, folder / "model.pt")
    manifest = tmp_path / "mine.jsonl"
    for number, one in enumerate(rows[:4]):
        sound = resample(read_wideband(audio_path(one["messages"])), 16000, 8000)
        write_wav(tmp_path / f"{number}.wav", sound, 8000)
    lines = [{"source": f"{n}.wav", "target": target(one["messages"]), "call": str(n // 2)} for n, one in enumerate(rows[:4])]
    manifest.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    (tmp_path / "words.txt").write_text("\n".join(KEYWORDS), encoding="utf-8")
    words = ["--model", str(folder), "--data", str(manifest), "--keywords", str(tmp_path / "words.txt"), "--device", "cpu"]
    before = sorted(tmp_path.rglob("*"))
    assert evaluate.main(words) == 0
    assert sorted(tmp_path.rglob("*")) == before
    printed = capsys.readouterr().out
    assert "has no CTC branch, its LLM alone is scored" in printed and "CTC |" not in printed
    [cells] = [line.split("|")[2:-1] for line in printed.splitlines() if line.startswith("| calls_test, LLM")]

    assert evaluate.main([*words, "--output_dir", str(tmp_path / "kept")]) == 0
    heard = decoded(tmp_path / "kept", "calls_test")
    assert [line["llm"] for line in heard] == [one["text"] for one in stock.generate(input=[line["audio"] for line in heard])]
    assert "The calls' test set has not enough keywords to show < 5 %" in printed
    rate = cer([(line["ref"], line["llm"]) for line in heard])
    assert cells[0].strip() == f"{rate:.2f}"
    found = results(tmp_path / "kept")["sets"]["calls_test"]
    assert "ctc" not in found and found["llm"]["cer"] == pytest.approx(rate)
    low, high = found["llm"]["interval"]
    assert low <= rate <= high and cells[1].strip() == f"[{low:.2f}, {high:.2f}] of 2 calls"
    assert "fewer than 10 calls" in printed


def test_a_folder_of_the_released_form_is_scored_as_it_is(rows, tmp_path, capsys):
    """Its LLM in bf16, its tokenizers FunASR's own kinds; what it writes was never trained."""
    folder = write_released(tmp_path / "model")
    write_rows(tmp_path / "rows.jsonl", rows[:3])
    assert evaluate.main(["--model", str(folder), "--data", f"guard={tmp_path / 'rows.jsonl'}", "--device", "cpu"]) == 0
    assert "| guard, LLM |" in capsys.readouterr().out


def test_train_in_test_stops_before_the_model_is_opened(rows, tmp_path):
    write_rows(tmp_path / "train.jsonl", [row | {"speaker": "agent"} for row in rows[:3]])
    write_rows(tmp_path / "test.jsonl", [row | {"speaker": "agent"} for row in rows[3:5]])
    for part in ("config.yaml", "configuration.json"):
        (tmp_path / part).touch()  # a model that could not be opened
    words = ["--model", str(tmp_path), "--train", str(tmp_path / "train.jsonl"), "--device", "cpu"]
    words += ["--output_dir", str(tmp_path / "out")]
    with pytest.raises(UserError, match="1 speakers of calls_test are in train too"):
        evaluate.main([*words, "--data", str(tmp_path / "test.jsonl")])
    with pytest.raises(UserError, match="3 recordings of guard, 3 sounds of guard"):
        evaluate.main([*words, "--known_speakers", "--data", f"guard={tmp_path / 'train.jsonl'}"])
    assert not (tmp_path / "out/results.json").exists()
    assert (tmp_path / "out/in_train.txt").read_text(encoding="utf-8").startswith("guard\trecordings\t")
    arguments = evaluate.parse([*words, "--known_speakers", "--data", f"calls_dev={tmp_path / 'train.jsonl'}", "--data",
                                str(tmp_path / "test.jsonl")])  # fmt: skip
    found = evaluate.known_speakers(arguments, {name: read_rows(file) for name, file in arguments.sets.items()})
    assert found == {"known_speakers": {"calls_test": ["agent"]}}, "dev is for choosing, and may be known"

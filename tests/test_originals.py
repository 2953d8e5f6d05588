"""The original files reach an unmodified AutoModel as they lie; the difference is that of an edit distance."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch
import yaml
from made_sound import write_manifest
from rapidfuzz.distance import Levenshtein

from data.audio import read_wideband, resample
from data.errors import UserError
from data.manifest import read_rows, write_rows
from data.prepare_training_data import main as prepare
from data.prompt import audio_path, target
from local import evaluate, originals
from local.distributed import World
from local.table import report

ALONE = World(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def calls(rows, tmp_path_factory) -> tuple[list[dict], list[np.ndarray]]:
    """Rows that stage 0 made of 8 kHz calls: two files, a part of one, two sides in mu-law; and the samples of each at 8 kHz."""
    folder = tmp_path_factory.mktemp("calls")
    sounds = [resample(read_wideband(audio_path(row["messages"])), 16000, 8000) for row in rows[:5]]
    texts = [target(row["messages"]) for row in rows[:5]]
    for number in (0, 1):
        soundfile.write(folder / f"{number}.wav", sounds[number], 8000, subtype="PCM_16")
    soundfile.write(folder / "long.wav", np.concatenate([sounds[3], sounds[2], sounds[4]]), 8000, subtype="PCM_16")
    longest = max(map(len, sounds[3:]))
    sides = np.stack([np.pad(sound, (0, longest - len(sound))) for sound in sounds[3:]], axis=1)
    soundfile.write(folder / "sides.wav", sides, 8000, subtype="ULAW")
    begin, end = len(sounds[3]) / 8000, (len(sounds[3]) + len(sounds[2])) / 8000
    places = [{"source": "0.wav"}, {"source": "1.wav"}, {"source": "long.wav", "start": begin, "end": end}]
    places += [{"source": "sides.wav", "channel": 0}, {"source": "sides.wav", "channel": 1}]
    named = [{"key": f"c{number}", "call": f"call{number // 2}"} for number in range(5)]
    lines = [{**name, "target": text, **place} for name, text, place in zip(named, texts, places, strict=True)]
    manifest = write_manifest(folder / "calls.jsonl", lines)
    assert prepare(["convert", "--manifest", str(manifest), "--output", str(folder / "test.jsonl"), "--jobs", "1"]) == 0
    decoded = soundfile.read(folder / "sides.wav", dtype="float32")[0]
    return read_rows(folder / "test.jsonl"), [*sounds[:3], decoded[:, 0], decoded[:, 1]]


@pytest.fixture(scope="module")
def heard(model_dir, calls) -> list[tuple[int, evaluate.Heard]]:
    return sorted(originals.hear_originals(str(model_dir), "released", calls[0], ALONE), key=lambda item: item[0])


def test_originals_are_decoded_as_stock_funasr_decodes_them_cut_by_hand(heard, stock, calls, tmp_path):
    paths = [str(tmp_path / f"{number}.wav") for number in range(5)]
    for path, sound in zip(paths, calls[1], strict=True):
        soundfile.write(path, sound, 8000, subtype="PCM_16")
    answers = stock.generate(input=paths)
    assert [(index, one.llm, one.ctc) for index, one in heard] == [
        (index, answer["text"], answer["ctc_text"]) for index, answer in enumerate(answers)
    ]


def test_a_whole_file_is_handed_over_as_it_lies_and_a_part_at_its_own_rate(calls, tmp_path):
    found = [originals.original_sound(row, tmp_path) for row in calls[0][:3]]
    assert [path.name for path in found] == ["0.wav", "1.wav", "part.wav"]
    assert not found[0].is_relative_to(tmp_path) and found[2].parent == tmp_path
    samples, rate = soundfile.read(found[2], dtype="float32")
    assert rate == 8000
    np.testing.assert_allclose(samples, calls[1][2], atol=1 / 32768)


def test_the_checkpoint_is_decoded_in_fp32_whatever_the_folder_says(model_dir, tmp_path):
    """A released folder says bf16, and dithers where it does not say otherwise."""
    folder, checkpoint = tmp_path / "model", tmp_path / "model.pt"
    folder.mkdir()
    for item in model_dir.iterdir():
        (folder / item.name).symlink_to(item)
    settings = yaml.safe_load((model_dir / "config.yaml").read_text(encoding="utf-8"))
    settings["llm_conf"]["llm_dtype"] = "bf16"
    del settings["frontend_conf"]["dither"]
    (folder / "config.yaml").unlink()
    (folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    state = torch.load(model_dir / "model.pt", weights_only=True)
    state = {name: tensor.float() + 1e-5 for name, tensor in state.items()}
    torch.save(state, checkpoint)
    opened = originals.open_as_in_the_field(str(folder), str(checkpoint), ALONE.device)
    assert type(opened.model).__name__ == "FunASRNano" and opened.kwargs["frontend"].dither == 0.0
    for name, tensor in opened.model.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_a_fixed_part_is_taken_of_what_has_an_original_and_a_prompt_of_automodel(calls):
    rows = calls[0]
    assert {row["key"] for row in originals.with_originals(rows, 9)} == {row["key"] for row in rows}
    some = originals.with_originals(rows, 3)
    assert some == originals.with_originals(rows[::-1], 3) and len(some) == 3
    in_place = {name: value for name, value in rows[0].items() if name != "source"}
    told = json.loads(json.dumps(rows[1]).replace(json.dumps("语音转写：")[1:-1], "Say:"))
    plain = json.loads(json.dumps(rows[2]).replace(json.dumps("语音转写：")[1:-1], "语音转写，不进行文本规整："))
    assert originals.with_originals([in_place, told, plain], 9) == [plain]


def test_an_original_that_is_gone_is_one_line(calls, tmp_path):
    gone = calls[0][0] | {"source": str(tmp_path / "gone.wav")}
    with pytest.raises(UserError, match=r"gone\.wav.* the original of c0; bring it back, or do without: ORIGINALS=0"):
        originals.original_sound(gone, tmp_path)


def line(key: str, call: str, ref: str, hyp: str) -> dict[str, str]:
    return {"key": key, "call": call, "ref": ref, "llm": hyp, "ctc": ref}


def test_the_difference_is_paired_and_pooled():
    texts = [("查话费", "查话费", "查化费"), ("退订套餐", "退套餐", "退订套餐"), ("你好", "你好", "你")]
    ours = [line(str(n), f"call{n}", ref, hyp) for n, (ref, hyp, _) in enumerate(texts)] + [line("x", "y", "好", "坏")]
    theirs = [line(str(n), f"call{n}", ref, hyp) for n, (ref, _, hyp) in enumerate(texts)]
    found = originals.compare_ways(ours, theirs[::-1])
    errors = [sum(Levenshtein.distance(ref, sides[way]) for ref, *sides in texts) for way in (0, 1)]
    units = sum(len(ref) for ref, *_ in texts)
    assert (found["utterances"], found["of"], found["calls"]) == (3, 4, 3)
    assert found["llm"]["cer"] == pytest.approx(100 * errors[0] / units)
    assert found["llm"]["cer_originals"] == pytest.approx(100 * errors[1] / units)
    assert found["llm"]["difference"] == pytest.approx(100 * (errors[1] - errors[0]) / units)
    low, high = found["llm"]["interval"]
    assert low < found["llm"]["difference"] < high
    assert found["ctc"] == {"cer": 0.0, "cer_originals": 0.0, "difference": 0.0, "interval": [0.0, 0.0]}
    assert originals.ways_told("stage calls_test", found).endswith(
        "0.00 % against 0.00 %, difference 0.00 [0.00, 0.00] of 3 calls (CTC), 3 of 4 utterances, 3 calls"
    )


def test_of_nothing_there_is_no_rate():
    found = originals.compare_ways([line("a", "c", "", "")], [line("a", "c", "", "")])
    assert found["llm"] == {"cer": None, "cer_originals": None}
    assert "CER n/a (LLM); n/a (CTC)" in originals.ways_told("x", found)


def test_results_texts_log_and_table_tell_of_it(model_dir, calls, heard, tmp_path, capsys):
    folder = tmp_path / "8k_telephone/baseline"
    write_rows(tmp_path / "test.jsonl", calls[0])
    words = ["--model_dir", str(model_dir), "--checkpoint", "released", "--set", f"calls_test={tmp_path / 'test.jsonl'}"]
    words += ["--output_dir", str(folder), "--device", "cpu", "--originals", "200"]
    assert evaluate.main(words) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1].startswith("baseline calls_test from its original files by AutoModel, against stage 0's 16 kHz: CER ")
    lines = [json.loads(text) for text in (folder / "decode/calls_test_originals.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {one["key"]: (one["llm"], one["ctc"]) for one in lines} == {
        calls[0][index]["key"]: (one.llm, one.ctc) for index, one in heard
    }
    result = json.loads((folder / "results.json").read_text(encoding="utf-8"))["originals"]
    assert (result["utterances"], result["calls"]) == (5, 3)
    printed = [text.split("|") for text in report(tmp_path) if text.startswith("| baseline, ")]
    found = {cells[1].strip(): cells[4].strip() for cells in printed}
    assert all(found[f"baseline, {name.upper()}"] == f"{result[name]['difference']:.2f}" for name in ("llm", "ctc"))


def test_without_originals_the_log_says_so(model_dir, rows, tmp_path, capsys):
    write_rows(tmp_path / "test.jsonl", rows[:2])
    words = ["--model_dir", str(model_dir), "--checkpoint", "released", "--set", f"calls_test={tmp_path / 'test.jsonl'}"]
    assert evaluate.main([*words, "--output_dir", str(tmp_path / "s"), "--device", "cpu", "--originals", "9"]) == 0
    assert "s calls_test: not decoded from original files: no row names one" in capsys.readouterr().out
    assert "originals" not in json.loads((tmp_path / "s/results.json").read_text(encoding="utf-8"))

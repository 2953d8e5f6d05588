"""The exported folder in an unmodified FunASR is the model that was trained; the released folder with its weights is not."""

from __future__ import annotations

import filecmp
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from exported_stage import stage_folder
from funasr.models.fun_asr_nano.model import FunASRNano
from released_form import llm_logits, stock_model, write_released

from data.errors import UserError
from data.manifest import write_rows
from data.prompt import audio_path
from local.batches import Featuriser, Utterances, collate
from local.export import export, for_service, gain, main
from local.facts import Facts
from local.nano import build


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    return write_released(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="module")
def stage(released, tmp_path_factory) -> Path:
    """As after stage 3: fp32 all over, with projections that bf16 cannot say exactly."""
    torch.manual_seed(4)
    state = {name: tensor.float() for name, tensor in torch.load(released / "model.pt", weights_only=True).items()}
    for name in state:
        if name.startswith("llm.") and "_proj." in name:
            state[name] = state[name] + 1e-4 * torch.randn_like(state[name])
    return stage_folder(tmp_path_factory.mktemp("exp") / "stage3_lora", state)


@pytest.fixture(scope="module")
def exported(released, stage, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("given_away") / "my model"
    assert main([str(stage), str(folder), "--model_dir", str(released)]) == 0
    return folder


@pytest.fixture(scope="module")
def ours_released(released, stage):
    model, settings = build(str(released), stage / "model.pt", {})
    return model.eval(), settings


@pytest.fixture(scope="module")
def given_away(exported):
    """The export in an unmodified FunASR, by nothing but its path."""
    return stock_model(exported)


@pytest.fixture(scope="module")
def batch(ours_released, rows) -> dict:
    model, settings = ours_released
    featuriser = Featuriser(settings, model)
    return collate([Utterances(rows, featuriser)[0]])


def test_every_tensor_is_the_checkpoints_in_fp32(given_away, stage):
    saved = torch.load(stage / "model.pt", weights_only=True)
    state = given_away.model.state_dict()
    assert set(state) == set(saved)
    for name, tensor in state.items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, saved[name]), name


def test_its_llm_says_what_ours_says(given_away, ours_released, batch):
    assert torch.equal(llm_logits(given_away.model, batch), llm_logits(ours_released[0], batch))


def test_the_released_folder_with_the_checkpoint_rounds_it(released, stage, ours_released, batch):
    """Why there is an export at all: config.yaml says llm_dtype: bf16."""
    rounded = stock_model(released, init_param=str(stage / "model.pt")).model.float()
    projection = "model.layers.0.self_attn.q_proj.weight"
    wanted = ours_released[0].llm.state_dict()[projection]
    assert torch.equal(rounded.llm.state_dict()[projection], wanted.bfloat16().float())
    assert not torch.equal(rounded.llm.state_dict()[projection], wanted)
    frequencies = [model.llm.model.rotary_emb.inv_freq for model in (rounded, ours_released[0])]
    assert not torch.equal(*frequencies), "nor are the rotary frequencies what the LLM was trained with"
    rounded.llm_dtype = "fp32"  # what FunASR's inference computes in
    assert (llm_logits(rounded, batch) - llm_logits(ours_released[0], batch)).abs().max() > 1e-3


def test_the_same_sound_is_heard_the_same_twice(given_away, rows):
    """Without dither: the released config.yaml leaves FunASR's default."""
    assert given_away.kwargs["frontend"].dither == 0.0
    first, second = (given_away.generate(input=[audio_path(rows[0]["messages"])], max_length=20)[0] for _ in range(2))
    assert first["text"] == second["text"] and first["ctc_text"] == second["ctc_text"]
    assert first["ctc_timestamps"] == second["ctc_timestamps"]


def test_only_three_settings_differ_from_the_released_ones(released, exported):
    before, after = (yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) for folder in (released, exported))
    assert after["model"] == "FunASRNano"
    assert after["llm_conf"].pop("llm_dtype") == "fp32" and before["llm_conf"].pop("llm_dtype") == "bf16"
    assert after["frontend_conf"].pop("dither") == 0.0
    assert before["train_conf"].pop("effective_save_name_excludes") == ["llm."]
    assert after == before


def test_a_model_trained_with_another_prompt_asks_with_it_by_itself(released, exported, tmp_path):
    """FunASR takes `itn` from config.yaml as from an argument of `generate`."""
    prompt = "语音转写，不进行文本规整："
    config, changes = for_service((released / "config.yaml").read_text(encoding="utf-8"), prompt)
    assert any(prompt in change for change in changes)
    for item in exported.iterdir():
        (tmp_path / item.name).symlink_to(item)
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    model, asked = stock_model(tmp_path), []
    model.model.generate_chatml = lambda prompt, data: asked.append(prompt) or FunASRNano.generate_chatml(None, prompt, data)
    model.generate(input=[torch.zeros(4000)], max_length=1)
    assert asked == [prompt]


def test_a_prompt_that_automodel_does_not_have_is_said(released):
    config, changes = for_service((released / "config.yaml").read_text(encoding="utf-8"), "请写下：")
    assert "itn" not in yaml.safe_load(config) and "cannot ask as in training, 请写下：" in changes[-1]


def test_all_other_files_are_the_released_ones(released, exported):
    for path in released.rglob("*"):
        if path.is_file() and path.name not in ("config.yaml", "model.pt"):
            assert filecmp.cmp(path, exported / path.relative_to(released), shallow=False), path


def test_what_configuration_json_does_not_name_stays_behind(released, stage, tmp_path):
    source = tmp_path / "released"
    source.mkdir()
    for item in released.iterdir():
        (source / item.name).symlink_to(item)
    (source / ".git").mkdir()
    (source / "example.mp3").touch()
    export(stage, tmp_path / "out", source)
    ours = {"README.md", "SHA256SUMS"}
    assert {item.name for item in (tmp_path / "out").iterdir()} == {item.name for item in released.iterdir()} | ours


def test_a_part_of_the_model_is_no_checkpoint(released, tmp_path):
    """An epoch's file holds only what its stage changed."""
    part = stage_folder(tmp_path / "stage3_lora", {"ctc.ctc_lo.bias": torch.zeros(3)})
    with pytest.raises(UserError, match=r"model\.pt: "):
        export(part, tmp_path / "out", released)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("weights", [None, "version https://git-lfs.github.com/spec/v1"])
def test_a_released_folder_without_its_weights_is_one_line(weights, released, stage, tmp_path):
    source = shutil.copytree(released, tmp_path / "released")
    (source / "model.pt").unlink()
    if weights:
        (source / "model.pt").write_text(weights)
    with pytest.raises(UserError, match=r"released\S*: .*"):
        export(stage, tmp_path / "out", source)


def test_adapters_beside_their_weights_are_refused(released, stage, tmp_path):
    """FunASR would ignore them without a word."""
    adapters = {"llm.model.layers.0.self_attn.q_proj.lora_A": torch.zeros(16, 64)}
    other = stage_folder(tmp_path / "stage3_lora", torch.load(stage / "model.pt", weights_only=True) | adapters)
    with pytest.raises(UserError, match=r"1 tensors have no place .*lora_A"):
        export(other, tmp_path / "out", released)


@pytest.mark.parametrize("group", ["lora", "ctc"])
def test_tensors_that_are_still_the_released_ones_are_refused(group, released, stage, tmp_path):
    """Of the LLM only the projections that are adapted count, of bf16 tensors their value."""
    state = torch.load(stage / "model.pt", weights_only=True)
    start = {name: tensor.float() for name, tensor in torch.load(released / "model.pt", weights_only=True).items()}
    kept = ("q_proj", "k_proj", "v_proj", "o_proj") if group == "lora" else ("ctc_lo",)
    state |= {name: start[name] for name in state if name.split(".")[-2] in kept}
    with pytest.raises(UserError, match="nothing was trained"):
        export(stage_folder(tmp_path / "stage", state, (group,)), tmp_path / "out", released)


def test_the_model_that_a_stage_was_trained_from_must_be_known(stage, tmp_path):
    with pytest.raises(UserError, match=r"does not say from which model it was trained: give .*--model_dir"):
        export(stage, tmp_path / "out")
    moved = stage_folder(tmp_path / "stage", torch.load(stage / "model.pt", weights_only=True), model_dir="/no/longer/there")
    with pytest.raises(UserError, match="names /no/longer/there, which is no folder here"):
        export(moved, tmp_path / "out")


@pytest.mark.parametrize("after, verdict", [(34.97, "now"), (97.3, "now: this model is no better on the calls than the one it")])
def test_what_it_gained_on_the_calls_is_said(after, verdict, tmp_path):
    for name, cer in (("baseline", 97.26), ("stage3_lora", after)):
        (tmp_path / name).mkdir()
        results = json.dumps({"sets": {"calls_test": {"llm": {"cer": cer}}}})
        (tmp_path / name / "results.json").write_text(results, encoding="utf-8")
    [line] = gain(Facts(tmp_path / "stage3_lora"))
    assert line.removesuffix(" was made from") == f"calls CER (LLM): 97.26 % before any stage, {after:.2f} % {verdict}"


def test_a_gain_that_chance_can_make_is_said_to_be_one(tmp_path):
    for name, cer, text in (("baseline", 26.0, "一二三"), ("stage3_lora", 25.0, "一二三四")):
        lines = [{"key": str(n), "ref": "一二三四", "llm": text if n == 0 else "一二三"} for n in range(12)]
        write_rows(tmp_path / name / "decode" / "calls_test.jsonl", lines)
        results = json.dumps({"sets": {"calls_test": {"llm": {"cer": cer}}}})
        (tmp_path / name / "results.json").write_text(results, encoding="utf-8")
    [line] = gain(Facts(tmp_path / "stage3_lora"))
    assert "25.00 % now: chance alone could do that, the difference is -2.08 [" in line


def test_a_folder_that_is_there_is_left_alone(released, stage, tmp_path):
    with pytest.raises(UserError, match="is there already"):
        export(stage, tmp_path, released)


def test_a_folder_that_does_not_name_its_parts_is_refused(stage, tmp_path):
    with pytest.raises(UserError, match=r"has no configuration\.json"):
        export(stage, tmp_path / "out", tmp_path)


def test_a_crash_leaves_no_folder(released, stage, tmp_path, monkeypatch):
    def crash(_source, _target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr("local.export.shutil.copyfile", crash)
        export(stage, tmp_path / "out", released)
    assert not (tmp_path / "out").exists()
    export(stage, tmp_path / "out", released)
    assert (tmp_path / "out" / "model.pt").is_file()

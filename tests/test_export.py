"""The exported folder in an unmodified FunASR is the model that was trained; the released folder with its weights is not."""

from __future__ import annotations

import filecmp
from pathlib import Path

import pytest
import torch
import yaml
from released_form import llm_logits, stock_model, write_released

from data.errors import UserError
from data.prompt import audio_path
from local.batches import Featuriser, Utterances, collate
from local.export import export, main
from local.nano import build


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    return write_released(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="module")
def checkpoint(released, tmp_path_factory) -> Path:
    """As after stage 3: fp32 all over, with projections that bf16 cannot say exactly."""
    torch.manual_seed(4)
    state = {name: tensor.float() for name, tensor in torch.load(released / "model.pt", weights_only=True).items()}
    for name in state:
        if name.startswith("llm.") and "_proj." in name:
            state[name] = state[name] + 1e-4 * torch.randn_like(state[name])
    path = tmp_path_factory.mktemp("stage3_lora") / "model.pt"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def exported(released, checkpoint, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("given_away") / "my model"
    words = ["--model_dir", str(released), "--checkpoint", str(checkpoint), "--output_dir", str(folder)]
    assert main(words) == 0
    return folder


@pytest.fixture(scope="module")
def ours(released, checkpoint):
    model, settings = build(str(released), checkpoint, {})
    return model.eval(), settings


@pytest.fixture(scope="module")
def given_away(exported):
    """The export in an unmodified FunASR, by nothing but its path."""
    return stock_model(exported)


@pytest.fixture(scope="module")
def batch(ours, rows) -> dict:
    model, settings = ours
    featuriser = Featuriser(settings, model.ctc_tokenizer, model.use_low_frame_rate)
    return collate([Utterances(rows, featuriser)[0]])


def test_every_tensor_is_the_checkpoints_in_fp32(given_away, checkpoint):
    saved = torch.load(checkpoint, weights_only=True)
    state = given_away.model.state_dict()
    assert set(state) == set(saved)
    for name, tensor in state.items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, saved[name]), name


def test_its_llm_says_what_ours_says(given_away, ours, batch):
    assert torch.equal(llm_logits(given_away.model, batch), llm_logits(ours[0], batch))


def test_the_released_folder_with_the_checkpoint_rounds_it(released, checkpoint, ours, batch):
    """Why there is an export at all: config.yaml says llm_dtype: bf16."""
    rounded = stock_model(released, init_param=str(checkpoint)).model.float()
    projection = "model.layers.0.self_attn.q_proj.weight"
    wanted = ours[0].llm.state_dict()[projection]
    assert torch.equal(rounded.llm.state_dict()[projection], wanted.bfloat16().float())
    assert not torch.equal(rounded.llm.state_dict()[projection], wanted)
    frequencies = [model.llm.model.rotary_emb.inv_freq for model in (rounded, ours[0])]
    assert not torch.equal(*frequencies), "nor are the rotary frequencies what the LLM was trained with"
    rounded.llm_dtype = "fp32"  # what FunASR's inference computes in
    assert (llm_logits(rounded, batch) - llm_logits(ours[0], batch)).abs().max() > 1e-3


def test_the_same_sound_is_heard_the_same_twice(given_away, rows):
    """Without dither: the released config.yaml leaves FunASR's default."""
    assert given_away.kwargs["frontend"].dither == 0.0
    first, second = (given_away.generate(input=[audio_path(rows[0]["messages"])], max_length=20)[0] for _ in range(2))
    assert first["text"] == second["text"] and first["ctc_text"] == second["ctc_text"]
    assert first["ctc_timestamps"] == second["ctc_timestamps"]


def test_only_two_settings_differ_from_the_released_ones(released, exported):
    before, after = (yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) for folder in (released, exported))
    assert after["llm_conf"].pop("llm_dtype") == "fp32" and before["llm_conf"].pop("llm_dtype") == "bf16"
    assert after["frontend_conf"].pop("dither") == 0.0
    assert after == before


def test_all_other_files_are_the_released_ones(released, exported):
    for path in released.rglob("*"):
        if path.is_file() and path.name not in ("config.yaml", "model.pt"):
            assert filecmp.cmp(path, exported / path.relative_to(released), shallow=False), path


def test_what_configuration_json_does_not_name_stays_behind(released, checkpoint, tmp_path):
    source = tmp_path / "released"
    source.mkdir()
    for item in released.iterdir():
        (source / item.name).symlink_to(item)
    (source / ".git").mkdir()
    (source / "example.mp3").touch()
    export(source, checkpoint, tmp_path / "out")
    assert {item.name for item in (tmp_path / "out").iterdir()} == {item.name for item in released.iterdir()}


def test_a_part_of_the_model_is_no_checkpoint(released, tmp_path):
    """An epoch's file holds only what its stage changed."""
    torch.save({"ctc.ctc_lo.bias": torch.zeros(3)}, tmp_path / "epoch_01.pt")
    with pytest.raises(UserError, match=r"epoch_01\.pt: "):
        export(released, tmp_path / "epoch_01.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_adapters_beside_their_weights_are_refused(released, checkpoint, tmp_path):
    """FunASR would ignore them without a word."""
    name = "llm.model.layers.0.self_attn.q_proj.lora_A"
    torch.save(torch.load(checkpoint, weights_only=True) | {name: torch.zeros(16, 64)}, tmp_path / "adapters.pt")
    with pytest.raises(UserError, match=r"1 tensors have no place .*lora_A"):
        export(released, tmp_path / "adapters.pt", tmp_path / "out")


def test_a_folder_that_is_there_is_left_alone(released, checkpoint, tmp_path):
    with pytest.raises(UserError, match="is there already"):
        export(released, checkpoint, tmp_path)


def test_a_folder_that_does_not_name_its_parts_is_refused(checkpoint, tmp_path):
    with pytest.raises(UserError, match=r"has no configuration\.json"):
        export(tmp_path, checkpoint, tmp_path / "out")


def test_a_crash_leaves_no_folder(released, checkpoint, tmp_path, monkeypatch):
    def crash(_source, _target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr("local.export.shutil.copyfile", crash)
        export(released, checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export(released, checkpoint, tmp_path / "out")
    assert (tmp_path / "out" / "model.pt").is_file()

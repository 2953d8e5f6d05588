"""A model folder that is broken in one way fails the preflight just there; the released model is counted as published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from small_experiment import Look, link_model, only_fault, split_rows

from data.prompt import DEFAULT_PROMPT
from local.findings import fault
from local.preflight_model import FETCH_AGAIN, RELEASED, ctc_tokens_fit, llm_tokens_fit, outline, unknown_to, weights_fit


@pytest.fixture
def look(tmp_path, model_dir, rows, capsys) -> Look:
    return Look(tmp_path / "out", model_dir, rows, capsys)


def test_a_model_that_is_still_to_be_fetched_is_said(look):
    passed, printed = look(MODEL="owner/name")
    assert passed and "MODEL=owner/name is fetched by the first run" in printed and "tensors" not in printed


def truncated(state, path):
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-1000])


def without_ctc(state, path):
    torch.save({name: tensor for name, tensor in state.items() if not name.startswith("ctc")}, path)


def without_one(state, path):
    torch.save({name: tensor for name, tensor in state.items() if name != "audio_adaptor.linear1.weight"}, path)


def of_another_shape(state, path):
    torch.save(state | {"ctc.ctc_lo.bias": torch.zeros(3)}, path)


def with_a_stranger(state, path):
    torch.save(state | {"llm.model.layers.0.self_attn.q_proj.lora_A": torch.zeros(3)}, path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (truncated, "not a readable checkpoint"),
        (without_ctc, "holds no CTC tensors (first: ctc_decoder.linear1.weight); take the copy on ModelScope"),
        (without_one, "1 tensors are missing (first: audio_adaptor.linear1.weight)"),
        (of_another_shape, "ctc.ctc_lo.bias is (3,) and the model has (3868,)"),
        (with_a_stranger, "1 tensors have no place in the model (first: llm.model.layers.0.self_attn.q_proj.lora_A)"),
    ],
)
def test_a_broken_checkpoint_fails(look, model_dir, tmp_path, spoil, said):
    model = link_model(model_dir, tmp_path / "model", "model.pt")
    spoil(torch.load(model_dir / "model.pt", weights_only=True), model / "model.pt")
    line = only_fault(look("2", model))
    assert said in line and str(model) in line


def test_a_folder_without_weights_fails(look, model_dir, tmp_path):
    assert "no weights (model.pt)" in only_fault(look("1", link_model(model_dir, tmp_path / "model", "model.pt")))


def test_a_broken_start_fails_where_the_released_model_is_sound(look, tmp_path):
    handed_on = tmp_path / "out/exp/8k_telephone/stage1_encoder/model.pt"
    handed_on.parent.mkdir(parents=True)
    handed_on.write_bytes(b"torn")
    assert "stage1_encoder/model.pt: not a readable checkpoint" in only_fault(look("2"))
    assert look("1")[0]


def with_config(model_dir: Path, folder: Path, **changes) -> Path:
    model = link_model(model_dir, folder, "config.yaml")
    settings = yaml.safe_load((model_dir / "config.yaml").read_text(encoding="utf-8"))
    (model / "config.yaml").write_text(yaml.safe_dump(settings | changes, allow_unicode=True), encoding="utf-8")
    return model


def test_another_class_of_model_fails(look, model_dir, tmp_path):
    model = with_config(model_dir, tmp_path / "model", model="Paraformer")
    assert "config.yaml says model: Paraformer" in only_fault(look("1", model))


def test_a_config_without_the_ctc_branch_fails(look, model_dir, tmp_path):
    model = with_config(model_dir, tmp_path / "model", ctc_decoder=None)
    assert "tensors have no place in the model (first: ctc" in only_fault(look("1", model))
    state = torch.load(model / "model.pt", weights_only=True)
    (model / "model.pt").unlink()
    without_ctc(state, model / "model.pt")
    assert "config.yaml describes no CTC branch" in only_fault(look("1", model))


QWEN3 = {
    "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
    "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
}  # fmt: skip


TOKENS = ["<unk>", *(chr(0x4E00 + number) for number in range(60513)), "<blank>"]
FULL_SIZE = {
    "audio_encoder_conf": {"output_size": 512, "linear_units": 2048, "num_blocks": 50, "tp_blocks": 20},
    "audio_adaptor_conf": {"downsample_rate": 1, "ffn_dim": 2048, "llm_dim": 1024, "encoder_dim": 512, "n_layer": 2},
    "ctc_decoder_conf": {"ffn_dim": 2048, "llm_dim": 512, "encoder_dim": 512, "n_layer": 5},
}


def full_size(model_dir: Path, folder: Path, layers: int = 2) -> Path:
    """The released architecture by its published settings; a checkpoint of its names and shapes with no bytes behind them."""
    model = with_tokens(model_dir, folder, lambda _: TOKENS)
    settings = yaml.safe_load((model_dir / "config.yaml").read_text(encoding="utf-8")) | {"ctc_vocab_size": len(TOKENS)}
    for section, values in FULL_SIZE.items():
        settings[section] |= values
    settings["audio_adaptor_conf"]["n_layer"] = layers
    llm = json.loads((model_dir / "Qwen3-mini/config.json").read_text(encoding="utf-8")) | QWEN3
    del llm["layer_types"], llm["max_window_layers"]  # one entry a layer of the small one
    for name in ("config.yaml", "model.pt", "Qwen3-mini"):
        (model / name).unlink()
    shutil.copytree(model_dir / "Qwen3-mini", model / "Qwen3-mini")
    (model / "Qwen3-mini/config.json").write_text(json.dumps(llm), encoding="utf-8")
    (model / "config.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    shapes = {name: tensor.shape for name, tensor in outline(str(model), {})[0].state_dict().items()}
    torch.save({name: torch.zeros(1).expand(shape) for name, shape in shapes.items()}, model / "model.pt")
    return model


@pytest.fixture(scope="module")
def released(model_dir, tmp_path_factory) -> Path:
    return full_size(model_dir, tmp_path_factory.mktemp("released") / "model")


def test_the_released_model_is_counted_against_its_published_figures(released):
    model, settings = outline(str(released), {})
    (line,) = weights_fit(model, settings, None)
    assert line.mark == "✓" and "1347 tensors" in line.words
    millions = {name: 0.0 for name in RELEASED}
    for name, parameter in model.named_parameters():
        millions[name.split(".")[0]] += parameter.numel() / 1e6
    assert {name: round(count, 2) for name, count in millions.items()} == {
        "audio_encoder": pytest.approx(221.1, abs=0.05), "audio_adaptor": 12.60, "llm": 596.05, "ctc_decoder": 8.02, "ctc": 31.04,
    }  # fmt: skip


def test_a_copy_that_is_not_quite_the_released_model_fails(look, model_dir, tmp_path):
    line = only_fault(look("1", full_size(model_dir, tmp_path / "model", layers=3)))
    assert "holds tensors 52 of audio_adaptor where 36 belong" in line


def test_a_released_copy_without_ctc_is_refused(released, look, tmp_path):
    """As the one on Hugging Face: 1261 tensors."""
    folder = link_model(released, tmp_path / "model", "model.pt")
    state = torch.load(released / "model.pt", weights_only=True)
    without_ctc(state, folder / "model.pt")
    assert len(torch.load(folder / "model.pt", weights_only=True)) == 1261
    assert "holds no CTC tensors" in (line := only_fault(look("2", folder))) and "ModelScope" in line


# --- tokens ----------------------------------------------------------------------------------------------


def with_tokens(model_dir: Path, folder: Path, change) -> Path:
    model = link_model(model_dir, folder, "ctc_tokens.json")
    tokens = change(json.loads((model_dir / "ctc_tokens.json").read_text(encoding="utf-8")))
    (model / "ctc_tokens.json").write_text(json.dumps(tokens), encoding="utf-8")
    return model


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tokens: tokens[:-5], "the CTC token list has 3863 tokens, ctc_vocab_size is 3868"),
        (lambda tokens: [*tokens[:-2], tokens[-1], tokens[-2]], "where the model has its blank (3867)"),
        (lambda tokens: ["<nobody>", *tokens[1:]], "Unknown symbol '<unk>' doesn't exist"),
        (lambda tokens: [*tokens[:-2], tokens[5], tokens[-1]], "is duplicated"),
    ],
    ids=["too short", "blank elsewhere", "no unknown", "twice the same"],
)
def test_a_token_list_of_another_model_fails(look, model_dir, tmp_path, change, said):
    assert said in only_fault(look("1", with_tokens(model_dir, tmp_path / "model", change)))


def test_a_prompt_that_the_llm_cannot_say_fails(look, rows):
    sets = split_rows(rows)
    for row in (row for part in sets.values() for row in part):
        row["messages"][1]["content"] = row["messages"][1]["content"].replace(DEFAULT_PROMPT, "龘写：")
    assert "of '龘写：': set PROMPT to words that it knows" in only_fault(look(sets=sets, PROMPT="龘写："))


def test_a_tokenizer_that_is_larger_than_the_embedding_fails(model_dir):
    model, settings = outline(str(model_dir), {})
    settings["tokenizer"].add_tokens(["<|one more|>"])
    first, *_ = llm_tokens_fit(model, settings["tokenizer"], DEFAULT_PROMPT)
    assert first == fault(f"the LLM's tokenizer has 3879 tokens, its embedding 3878: {FETCH_AGAIN}")


def test_a_tokenizer_that_falls_back_to_bytes_knows_every_character(model_dir):
    """As SenseVoice's: no list of tokens, several numbers a character; only the numbers count."""
    model, _ = outline(str(model_dir), {})
    model.ctc_tokenizer = SimpleNamespace(encode=lambda letter: list(letter.encode()))
    assert unknown_to(model.ctc_tokenizer, "龘") == set()
    assert [finding.mark for finding in ctc_tokens_fit(model, "龘好")] == ["✓"]
    model.ctc_tokenizer = SimpleNamespace(encode=lambda letter: [5, 3867])
    assert [finding.mark for finding in ctc_tokens_fit(model, "好")] == ["✗"]

"""The traps before and after training, one test each: installing FunASR, the model's folder, decoding."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from funasr.register import tables
from hypothesis import given, settings
from hypothesis import strategies as st
from released_form import SMALL, llm_logits, stock_model
from small_experiment import Look
from small_stage import CONFIGS, TOP
from test_packages import PINS

import data
from data.errors import UserError
from data.prompt import audio_path
from local import devices, nano
from local.batches import Featuriser, Utterances, collate
from local.decode import SECONDS_A_FRAME, decode
from local.devices import Choice, Gpu
from local.export import export
from local.packages import misfit
from local.preflight_model import ctc_tokens_fit
from local.runaway import LOOP, limit


def test_trap_installing_another_package_called_data_is_not_taken_for_ours(tmp_path):
    """A dependency of FunASR's brings one along."""
    assert Path(data.__file__) == TOP / "data/__init__.py"
    (tmp_path / "data").mkdir()
    (tmp_path / "data/__init__.py").write_text("raise SystemExit('the other one')", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, TOP / "local/config.py", CONFIGS[1]], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and "stage1_encoder" in done.stdout, done.stderr


def test_trap_installing_a_gpu_that_torch_cannot_use_is_no_machine_without_one(monkeypatch):
    """torch of CUDA 13 on an older driver says that there is none."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "query", lambda fields: [["535.104"]])
    with pytest.raises(UserError, match=r"driver 535\.104"):
        devices.verify(Choice("cuda", ["0"], 1, "idle"))
    assert devices.choose({}, True, [Gpu("0", "GPU-aa", 4, 0)]).device == "cuda"


def test_trap_installing_torch_and_torchaudio_are_a_pair_and_the_model_is_registered():
    assert "are no pair" in misfit(PINS | {"torch": f"{PINS['torch']}+cpu"})
    assert tables.model_classes[nano.STOCK_NAME] is nano.FunASRNano
    assert tables.model_classes[nano.NAME] is nano.FunASRNanoWithCTC


def test_trap_installing_torchaudio_reads_no_sound(released_run):
    """It would need torchcodec, and FunASR goes around it without a word."""
    assert len(released_run.read) > 0 and released_run.by_torchaudio == []


def test_trap_installing_building_a_model_leaves_the_number_of_threads(released_run):
    """AutoModel sets four."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        nano.construct(str(released_run.model_dir), {})
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_trap_installing_a_funasr_that_ignores_lora_is_refused():
    assert misfit(PINS | {"funasr": "1.4.0"}).startswith("its funasr is 1.4.0")


def test_trap_folder_without_configuration_json_is_refused(released_run, tmp_path):
    """FunASR would look for the LLM elsewhere, and would load the old weights."""
    for item in released_run.model_dir.iterdir():
        if item.name != "configuration.json":
            (tmp_path / item.name).symlink_to(item)
    with pytest.raises(UserError, match=r"has no configuration\.json"):
        nano.build(str(tmp_path), released_run.stage(3) / "model.pt", {})


@pytest.mark.parametrize("number", [1, 2, 3])
def test_trap_folder_holds_the_old_weights_and_the_named_ones_are_loaded(number, released_run):
    model, _ = nano.build(str(released_run.model_dir), released_run.stage(number) / "model.pt", {})
    state, old = released_run.state(number), released_run.state(0)
    assert any(not torch.equal(state[name], old[name].float()) for name in old)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name


@pytest.fixture(scope="module")
def last(released_run) -> tuple:
    """What stage 3 hands on, in our class."""
    model, settings = nano.build(str(released_run.model_dir), released_run.stage(3) / "model.pt", {})
    return model.eval(), settings


@settings(max_examples=200)
@given(text=st.text(max_size=40))
def test_trap_folder_whose_ctc_tokenizer_has_no_list_and_falls_back_to_bytes(text, last):
    """60514 tokens and the blank behind them; a special token's name inside a text is text."""
    model, _ = last
    for said in (text, f"{text}<|nospeech|>", f"<|zh|>{text}"):
        ids = model.ctc_tokenizer.encode(said)
        assert all(0 <= number < model.blank_id for number in ids)
        assert model.ctc_tokenizer.decode(ids) == said
    assert model.blank_id == SMALL.ctc_vocabulary - 1 == model.ctc.ctc_lo.out_features - 1
    assert [finding.mark for finding in ctc_tokens_fit(model, text)] == ["✓"]


@pytest.fixture(scope="module")
def given_away(released_run, tmp_path_factory):
    """Stage 3's export in an unmodified FunASR."""
    folder = tmp_path_factory.mktemp("export") / "model"
    export(released_run.stage(3), folder)
    return stock_model(folder)


@pytest.fixture(scope="module")
def batch(last, released_run) -> dict:
    model, settings = last
    featuriser = Featuriser(settings, model)
    return collate([Utterances(released_run.rows, featuriser)[index] for index in range(4)])


def test_trap_decoding_a_batch_with_ctc_says_what_stock_says_one_by_one(last, given_away, batch, released_run):
    """This LLM has not learned to end a text: what ends it is the cap by its own duration, and a loop is cut off."""
    model, settings = last
    heard = decode(model, settings["tokenizer"], batch, batch["sources"])
    for row, frames, ours in zip(released_run.rows, batch["speech_lengths"].tolist(), heard, strict=False):
        most = limit(frames * SECONDS_A_FRAME)
        answer = given_away.generate(input=[audio_path(row["messages"])], max_length=most)[0]
        assert ours.ctc == answer["ctc_text"]
        assert answer["text"].startswith(ours.llm) and (ours.cut == LOOP or answer["text"] == ours.llm)


def test_trap_decoding_adapters_are_not_ignored_because_there_are_none(last, given_away, batch, released_run):
    assert llm_logits(given_away.model, batch).equal(llm_logits(last[0], batch))
    before, _ = nano.build(str(released_run.model_dir), released_run.stage(2) / "model.pt", {})
    assert not llm_logits(before.eval(), batch).equal(llm_logits(last[0], batch))


def test_trap_folder_of_the_released_form_passes_every_check_before_training(released_run, rows, tmp_path, capsys):
    passed, printed = Look(tmp_path / "out", released_run.model_dir, rows, capsys)()
    assert passed and "139 tensors, all of the model's" in printed and "60515 CTC tokens, the blank is 60514" in printed, printed

"""The traps of training, one test each: the released form goes through all three stages, and none of them snaps.

What FunASR's own training path would do is shown beside it where that is cheap. Each trap is the one that an engineer who
trains with FunASR as it comes would step into; the numbers are those of the project's notes on the engine.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from released_form import STOCK, stock_model
from released_run import Run
from small_stage import ADAPTED, CONFIGS, config, metrics, run_processes, tensors, trains, words

from data.errors import UserError
from data.prompt import audio_path
from local import checkpoint
from local.batches import Featuriser, Utterances, collate, loader, to_device
from local.config import load_stage
from local.contract import declare, group_of
from local.metrics_log import describe
from local.nano import build
from local.train import compute_dtype, overrides

STAGES = (1, 2, 3)


@pytest.fixture(scope="module")
def released(released_run) -> tuple:
    """The released model in our class and its settings, as stage 1 has it, in eval mode. Not to be changed."""
    model, settings = build(str(released_run.model_dir), None, overrides(config(1)))
    declare(model, ["audio_encoder"])
    return model.eval(), settings


@pytest.fixture(scope="module")
def featuriser(released) -> Featuriser:
    model, settings = released
    return Featuriser(settings, model)


@pytest.fixture(scope="module")
def batch(released_run, featuriser) -> dict:
    return collate([Utterances(released_run.rows, featuriser)[index] for index in (0, 1)])


@pytest.fixture(scope="module")
def stock(released_run):
    """The released folder in FunASR's own hands, in fp32 so that it can be compared."""
    model = stock_model(released_run.model_dir)
    model.model.float().llm_dtype = "fp32"
    return model


def stock_loss(stock, batch: dict) -> torch.Tensor:
    return stock.model(**{name: batch[name].clone() for name in STOCK})[0]


def changed(run: Run, number: int) -> set[str]:
    """The tensors that a stage hands on as others than it got them."""
    before, after = tensors(run.stage(number - 1) / "model.pt"), tensors(run.stage(number) / "model.pt")
    assert set(before) == set(after)
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_trap_01_the_ctc_loss_is_trained_on_and_detached_nowhere(released_run, stock, batch):
    losses = [stock_loss(stock, batch) for stock.model.ctc_weight in (0.0, 1.0)]
    assert torch.equal(*losses), "FunASR's forward has begun to read ctc_weight: look at local/nano.py again"
    for number, weight in {1: 0.3, 2: 1.0}.items():
        for line in metrics(released_run.stage(number), "train"):
            assert line["ctc"] > 0 and line["total"] == pytest.approx(line["llm"] + weight * line["ctc"])
    assert all("ctc" not in line for line in metrics(released_run.stage(3), "train"))


def test_trap_02_the_ctc_output_layer_is_frozen_with_its_decoder_and_nothing_trains_unused(released_run):
    for number in STAGES:
        found = changed(released_run, number)
        wanted = {name for name in released_run.state(number) if trains(number, name)}
        assert found == wanted, f"stage {number}"


def test_trap_02_a_copy_without_ctc_tensors_is_refused(released_run, tmp_path):
    state = {name: tensor for name, tensor in released_run.state(0).items() if not name.startswith("ctc")}
    torch.save(state, tmp_path / "model.pt")
    assert stock_model(released_run.model_dir, init_param=str(tmp_path / "model.pt")).model.ctc_decoder is None
    with pytest.raises(UserError, match=r"holds no CTC tensors .*ModelScope"):
        build(str(released_run.model_dir), tmp_path / "model.pt", {})


def test_trap_03_frozen_modules_stay_in_eval_mode_and_features_repeat(released_run, stock, featuriser):
    assert stock.model.train().audio_encoder.training and stock.kwargs["frontend"].dither == 1.0
    stock.model.eval()
    model, _ = build(str(released_run.model_dir), None, overrides(config(2)))
    declare(model, config(2).stage.groups)
    assert [name for name, module in model.train().named_children() if not module.training] == ["audio_encoder", "llm"]
    data = Utterances(released_run.rows, featuriser)
    assert torch.equal(data[0]["speech"], data[0]["speech"])


def test_trap_04_it_trains_on_the_cpu(released_run):
    for number in STAGES:
        assert "1 process(es) on cpu" in (released_run.stage(number) / "train.log").read_text(encoding="utf-8")


@pytest.mark.slow
def test_trap_04_it_trains_in_two_processes(released_run, tmp_path):
    """By gloo; the LLM's and the adaptor's parameters have no gradient there, at which DDP would stop."""
    rows = [*released_run.rows[:6], *released_run.rows[-2:]]
    run_processes(2, *words(1, released_run.model_dir, tmp_path / "two", rows, "++train_conf.max_epoch=1"))
    moved = {
        group_of(name)
        for name, tensor in tensors(tmp_path / "two" / "model.pt").items()
        if not torch.equal(tensor, released_run.state(0)[name].float())
    }
    assert moved == {"audio_encoder"}


def test_trap_05_the_llm_is_handed_on_whatever_the_config_excludes(released_run):
    settings = yaml.safe_load((released_run.model_dir / "config.yaml").read_text(encoding="utf-8"))
    assert settings["train_conf"]["effective_save_name_excludes"] == ["llm."]
    released = released_run.state(0)
    for number in STAGES:
        state = released_run.state(number)
        assert set(state) == set(released)
        llm = [name for name in state if name.startswith("llm.") and not trains(number, name)]
        assert llm and (number == 3 or all(torch.equal(state[name], released[name].float()) for name in llm))


def test_trap_05_what_is_saved_is_whole_and_each_stage_has_a_folder(released_run):
    for number in STAGES:
        folder = released_run.stage(number)
        for path in (folder / "model.pt", folder / "resume.pt", *(folder / "epochs").iterdir()):
            checkpoint.read(path)  # its checksum holds
        assert not [path for path in folder.rglob("*.part")]


def test_trap_06_no_utterance_is_dropped_in_silence(released_run):
    """More than the 9 a batch of `batch_size_sample_max: 10`; one over the budget; each once an epoch, not 256 times."""
    usable = Counter(row["key"] for row in released_run.rows[:12])
    assert "longer than a batch" in usable
    for number, epochs in {1: 2, 2: 1, 3: 1}.items():
        for epoch in range(1, epochs + 1):
            seen = Counter(key for stage, at, key in released_run.read if (stage, at) == (number, epoch))
            assert {key: seen[key] for key in usable} == usable, f"stage {number} epoch {epoch}"
        assert max(size for stage, size in released_run.batches if stage == number) > 9
        lines = (released_run.stage(number) / "left_out.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["key"] for line in lines] == ["longer than allowed", "fast"]
        assert "left out 2 utterances" in (released_run.stage(number) / "train.log").read_text(encoding="utf-8")


def test_trap_06_a_file_that_cannot_be_read_stops_the_run(released_run, featuriser):
    """FunASR takes another utterance instead, at random."""
    broken = [row for row in released_run.rows if row["key"] == "longer than allowed"]
    taken = next(iter(loader(Utterances(broken, featuriser), [[0]], 0)))
    with pytest.raises(UserError, match=r"utterance longer than allowed: .*x\.wav"):
        to_device(taken, torch.device("cpu"))


def test_trap_07_every_epoch_is_decoded_and_has_its_loss_on_dev(released_run):
    for number, epochs in {1: 2, 2: 1, 3: 1}.items():
        lines = metrics(released_run.stage(number), "dev")
        assert [line["epoch"] for line in lines] == list(range(epochs + 1))
        assert all(line[name] > 0 for line in lines for name in ("cer_llm", "cer_ctc", "llm", "ctc"))
    assert describe({"total": 1e4, "llm": 1e4}) == "loss 10000.000 (llm 10000.000)"  # e to that power overflows


def test_trap_08_training_sees_the_prompt_that_inference_uses(released_run, stock, featuriser):
    example = Utterances(released_run.rows, featuriser)[0]
    row = released_run.rows[0]
    chat = stock.model.generate_chatml(stock.model.get_prompt([]), audio_path(row["messages"]))
    _, _, _, asked, _ = stock.model.inference_prepare(
        [chat], key=["x"], tokenizer=stock.kwargs["tokenizer"], frontend=stock.kwargs["frontend"], **
        {name: value for name, value in stock.kwargs.items() if name in ("device", "dataset_conf")},
    )  # fmt: skip
    assert torch.equal(example["source_ids"], asked[0])
    answer = featuriser.tokenizer.encode(row["messages"][2]["content"] + "<|im_end|>")
    assert example["input_ids"].tolist() == asked[0].tolist() + answer


def test_trap_09_adapters_are_fp32_and_their_small_steps_survive(released_run):
    """After a few updates at the published rate, which most weights would not notice in bf16."""
    model, _ = build(str(released_run.model_dir), None, overrides(config(3)))
    assert {p.dtype for name, p in model.named_parameters() if "lora_" in name} == {torch.float32}
    before, after = released_run.state(2), released_run.state(3)
    names = changed(released_run, 3)
    assert {name.split(".")[-2] for name in names} == set(ADAPTED)
    assert not [name for name in after if "lora_" in name]
    step = torch.cat([(after[name] - before[name]).flatten() for name in names])
    kept = torch.cat([(after[name].bfloat16().float() - before[name]).flatten() for name in names])
    assert (kept != 0).float().mean() < 0.2 < 0.9 < (step != 0).float().mean()


def test_trap_10_the_rate_ends_at_zero_and_missing_tensors_are_an_error(released_run, tmp_path):
    for number in STAGES:
        assert metrics(released_run.stage(number), "train")[-1]["lr"] == 0
    state = {name: tensor for name, tensor in released_run.state(0).items() if not name.startswith("llm.")}
    torch.save(state, tmp_path / "model.pt")
    stocks = [stock_model(released_run.model_dir, init_param=str(tmp_path / "model.pt"), seed=seed).model for seed in (1, 2)]
    assert not torch.equal(*(model.llm.lm_head.weight for model in stocks)), "FunASR goes on with a random LLM"
    with pytest.raises(UserError, match=r"25 tensors are missing \(first: llm\."):
        build(str(released_run.model_dir), tmp_path / "model.pt", {})


def test_trap_11_weights_are_fp32_whatever_the_config_says(released_run, released, batch):
    model, settings = released
    assert {tensor.dtype for name, tensor in released_run.state(0).items() if name.startswith("llm.")} == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    exact = 1_000_000.0 ** -(torch.arange(0, 16, 2) / 16)
    torch.testing.assert_close(model.llm.model.rotary_emb.inv_freq, exact, rtol=1e-6, atol=0)
    assert settings["llm_conf"]["llm_dtype"] == "fp32"
    for number in STAGES:
        assert {tensor.dtype for tensor in released_run.state(number).values()} == {torch.float32}


def test_trap_11_bf16_arithmetic_leaves_weights_and_gradients_in_fp32(released, batch, monkeypatch):
    """As on a GPU."""
    model, _ = released
    monkeypatch.setattr(model, "llm_dtype", "bf16")
    model.zero_grad()
    scored: list[torch.dtype] = []
    with model.llm.lm_head.register_forward_hook(lambda _module, _inputs, scores: scored.append(scores.dtype)):
        model(**{name: value for name, value in batch.items() if name != "sources"})["llm"].backward()
    assert scored == [torch.bfloat16]
    assert {p.dtype for p in model.parameters()} == {p.grad.dtype for p in model.audio_encoder.parameters()} == {torch.float32}


def test_trap_12_activation_checkpoints_of_the_encoder_do_not_crash(released_run, released, stock, batch):
    """FunASR's encoder scales its input in place, which the second pass would do again."""
    torch.manual_seed(0)
    stock.model.audio_encoder.requires_grad_(True)
    stock.model.audio_encoder_activation_checkpoint = True
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        stock_loss(stock, batch).backward()
    stock.model.audio_encoder_activation_checkpoint = False
    model, _ = released
    gradients = []
    for model.audio_encoder_activation_checkpoint in (True, False):
        model.zero_grad()
        model(**{name: value for name, value in batch.items() if name != "sources"})["llm"].backward()
        gradients.append([p.grad.clone() for p in model.audio_encoder.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


def test_trap_13_stage_1_is_not_detached_and_impossible_targets_are_listed(released_run, released):
    settings = yaml.safe_load((released_run.model_dir / "config.yaml").read_text(encoding="utf-8"))
    assert settings["detach_ctc_decoder"] and not released[0].detach_ctc_decoder
    lines = [json.loads(line) for line in (released_run.stage(1) / "left_out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[1]["key"] == "fast" and "more than CTC can emit" in lines[1]["reason"]


@pytest.mark.parametrize("key", ["dataset_conf.ctc_target_normalize=true", "model_conf.lsm_weight=0.1", "ctc_conf.blank_id=0"])
def test_trap_13_a_key_that_nobody_reads_is_an_error(key):
    with pytest.raises(UserError, match=key.partition("=")[0].split(".")[0]):
        load_stage(CONFIGS[1], [f"++{key}"])


def test_trap_14_the_cpu_computes_in_fp32_and_the_llms_folder_is_kept(released_run, released):
    assert compute_dtype(torch.device("cpu")) == "fp32"
    assert released[1]["llm_conf"]["hub"] == "hf"  # from which FunASR's downloader would lose what is beside it
    assert Path(released[1]["llm_conf"]["init_param_path"]) == released_run.model_dir / "Qwen3-0.6B"

"""Training changes what a stage declares, follows its losses, loses nobody, goes on after an interruption."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
import yaml
from small_stage import config, metrics, run, tensors, trains

from data.errors import UserError
from data.manifest import row
from local import train
from local.batches import Utterances, collate
from local.contract import declare
from local.distributed import World
from local.left_out import trainable_rows
from local.loop import Loop
from local.nano import build

ALONE = World(0, 1, torch.device("cpu"))
ROWS = 8  # of which two are dev
SHORT = ("++train_conf.max_epoch=2", "++train_conf.keep_nbest_models=1", "++train_conf.avg_nbest_model=1")


@pytest.fixture(scope="module")
def briefest(rows):
    """The shortest utterances."""
    return sorted(rows, key=lambda fields: fields["speech_length"])[:ROWS]


@pytest.fixture(scope="module", params=[1, 2, 3])
def trained(request, model_dir, briefest, tmp_path_factory) -> tuple[int, Path, dict[str, torch.Tensor]]:
    """A stage's number, its folder and what it hands on."""
    folder = tmp_path_factory.mktemp("trained") / f"stage{request.param}"
    return request.param, folder, run(request.param, model_dir, folder, briefest, *SHORT)


def test_every_declared_tensor_changes_and_no_other_byte(trained, model_dir):
    number, _, after = trained
    before = tensors(model_dir / "model.pt")
    assert set(after) == set(before)
    changed = {
        name
        for name in before
        if not torch.equal(before[name].view(torch.int32), after[name].view(torch.int32))
    }
    assert changed == {name for name in before if trains(number, name)}


def test_the_log_tells_a_readable_story(trained):
    number, folder, _ = trained
    lines = (folder / "train.log").read_text(encoding="utf-8").splitlines()
    steps = [line for line in lines if re.search(r"epoch \d/2 step \d/\d loss \d", line)]
    assert len(steps) == len(metrics(folder, "train"))
    assert all(
        re.search(r" lr \S+ speed \d+ audio h/h wait \d+ % memory [\d.]+ GB left \d+:\d\d:\d\d$", line) for line in steps
    )
    assert (
        len(
            [
                line
                for line in lines
                if re.search(r"epoch (0 \(start\)|\d/2) dev loss .* CER [\d.]+ % \(LLM\)", line)
            ]
        )
        == 3
    )
    assert f"hands on {folder / 'model.pt'}" in lines[-1]
    for part in {1: ("llm", "ctc"), 2: ("llm", "ctc"), 3: ("llm",)}[number]:
        assert all(f"{part} " in line for line in steps)


def test_metrics_have_a_line_a_step_and_an_epoch(trained):
    number, folder, _ = trained
    chosen = config(number)
    for line in metrics(folder, "train"):
        parts = {"llm": chosen.llm_weight, "ctc": chosen.ctc_weight}
        assert line["total"] == pytest.approx(
            sum(weight * line[part] for part, weight in parts.items() if weight)
        )
    assert [line["epoch"] for line in metrics(folder, "dev")] == [0, 1, 2]
    assert {"llm", "ctc", "total", "cer_llm", "cer_ctc"} <= set(metrics(folder, "dev")[0])


def test_the_summary_holds_what_the_gates_need(trained):
    number, folder, _ = trained
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    dev = metrics(folder, "dev")
    best = int(summary["chosen"].removeprefix("epoch "))
    for side, epoch in (("before", 0), ("after", best)):
        for name in ("llm", "ctc", "total", "cer_llm", "cer_ctc"):
            assert summary[side][name] == dev[epoch][name]
    assert summary["gate"] == yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["gate"]
    lines = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    assert summary["spent"]["seconds"] == pytest.approx(sum(line["seconds"] for line in lines), abs=0.1)
    assert summary["spent"]["seconds"] > 0
    assert (summary["spent"]["processes"], summary["spent"]["device"]) == (1, "cpu")
    assert summary["versions"]["torch"] == version("torch")
    trained_groups = {group for group, counts in summary["groups"].items() if counts["trainable"]}
    assert trained_groups == set(config(number).stage.groups)


def loop_of(model, data, number: int, *settings: str) -> Loop:
    chosen = config(number, *settings)
    model.llm_weight, model.ctc_weight = chosen.llm_weight, chosen.ctc_weight
    declare(model, chosen.stage.groups)
    return Loop(model.eval(), data, chosen, ALONE, None)


def test_a_step_follows_the_weighted_sum_of_both_losses(model_dir, briefest, examples, featuriser):
    """Gradient of stage 1: LLM loss per token + 0.3 CTC loss per character, over two accumulated batches."""
    settings = {"ctc_weight": 0.3, "detach_ctc_decoder": False}
    model, twin = (build(str(model_dir), None, settings)[0] for _ in range(2))
    loop = loop_of(model, Utterances(briefest, featuriser), 1, "++train_conf.grad_clip=1e9")
    seen = {}
    gradients = ((name, p) for name, p in model.named_parameters() if p.requires_grad)
    loop.optimiser.register_step_pre_hook(
        lambda *_: seen.update({name: p.grad.clone() for name, p in gradients})
    )
    loop.step([(collate(examples[:3]), True), (collate(examples[3:4]), True)])

    declare(twin.eval(), ["audio_encoder"])
    alone = [twin(**collate([example])) for example in examples[:4]]
    whole = {name: sum(losses[name] for losses in alone) for name in alone[0]}
    (whole["llm"] / whole["llm_count"] + 0.3 * whole["ctc"] / whole["ctc_count"]).backward()
    expected = {name: p.grad for name, p in twin.named_parameters() if p.requires_grad}
    assert set(seen) == set(expected)
    for name, gradient in expected.items():
        difference = (seen[name] - gradient).norm() / gradient.norm()
        assert difference < 1e-3, f"{name}: another gradient than that of the weighted losses"


def one_step(number: int, precision: str, model_dir, rows, featuriser, examples) -> tuple[dict, set, set]:
    """The losses of an update, and the types of what it keeps or passes back, and of two products."""
    torch.manual_seed(0)
    model, _ = build(str(model_dir), None, train.overrides(config(number)))
    model.llm_dtype = precision
    loop = loop_of(model, Utterances(rows, featuriser), number)
    kept, computed = set(), set()
    for part in (model.audio_encoder.encoders[0].feed_forward.w_1, model.llm.lm_head):
        part.register_forward_hook(lambda module, inputs, output: computed.add(output.dtype))
    loop.optimiser.register_step_pre_hook(lambda *_: kept.update(p.grad.dtype for p in loop.trained))
    losses = loop.step([(collate(examples), True)])
    kept |= {p.dtype for p in model.parameters()}
    kept |= {value.dtype for state in loop.optimiser.state.values() for value in state.values()}
    return losses, kept, computed


@pytest.mark.parametrize("number", [1, 2, 3])
def test_in_bf16_weights_gradients_moments_and_losses_stay_fp32(
    number, model_dir, briefest, examples, featuriser, monkeypatch
):
    """Asked for on the CPU, where it is slow: products are in bf16, what they are summed up in is not."""
    summed = set()
    for name in ("cross_entropy", "ctc_loss"):
        loss = getattr(torch.nn.functional, name)

        def watched(scores, *arguments, loss=loss, **more):
            summed.add(scores.dtype)
            return loss(scores, *arguments, **more)

        monkeypatch.setattr(torch.nn.functional, name, watched)
    given = (model_dir, briefest, featuriser, examples[:3])
    plain, kept, computed = one_step(number, "fp32", *given)
    assert kept | computed == {torch.float32}
    losses, kept, computed = one_step(number, "bf16", *given)
    assert kept | summed == {torch.float32} and computed == {torch.bfloat16}
    for part, loss in plain.items():
        assert losses[part] == pytest.approx(loss, rel=0.05) and losses[part] != loss


def test_an_epoch_steps_over_every_utterance_once(ours, rows, featuriser, monkeypatch):
    """Also where batches do not fill the last update."""
    model, _ = build_for_stage_3(ours, rows)
    loop = loop_of(
        model, Utterances(rows, featuriser), 3, "++dataset_conf.batch_size=300", "++train_conf.accum_grad=3"
    )
    spoken: list[list[int]] = []

    def step(batches):
        loop.update += 1
        for batch, counts in batches:
            assert counts
            spoken.extend(
                ids[:n].tolist()
                for ids, n in zip(batch["ctc_targets"], batch["ctc_target_lengths"], strict=True)
            )
        return {"llm": 1.0}

    monkeypatch.setattr(loop, "step", step)
    saved: list[int] = []
    loop.run(1, lambda: saved.append(loop.update))
    assert sorted(spoken) == sorted(
        model.ctc_tokenizer.encode(fields["messages"][2]["content"]) for fields in rows
    )
    loop.run(2, lambda: saved.append(loop.update))
    assert saved[-1] == loop.update <= loop.updates


def build_for_stage_3(ours, rows):
    """Any model will do that has adapters."""
    return build(ours[1]["model_path"], None, train.overrides(config(3)))


def test_rows_that_cannot_be_used_are_listed(model_dir, briefest, tmp_path):
    folder = tmp_path / "stage"
    audio = Path(briefest[0]["messages"][1]["content"].partition("!")[2].partition("<")[0])
    long = row("too_long", audio, "喂", 16000) | {"speech_length": 41}
    dense = row("too_dense", audio, "多" * 30, 16000)
    settings = (
        "++train_conf.max_epoch=1",
        "++train_conf.avg_nbest_model=1",
        f"++dataset_conf.max_source_length={limit(briefest)}",
    )
    run(2, model_dir, folder, [long | {"speech_length": limit(briefest) + 1}, dense, *briefest], *settings)
    listed = [
        json.loads(line) for line in (folder / "left_out.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [line["key"] for line in listed] == ["too_long", "too_dense"]
    assert "max_source_length" in listed[0]["reason"]
    assert "30 characters in 17 frames" in listed[1]["reason"]
    log = (folder / "train.log").read_text(encoding="utf-8")
    assert "left out 2 utterances" in log
    assert f"train {ROWS - 2} utterances" in log


def limit(rows) -> int:
    return max(fields["speech_length"] for fields in rows)


def test_kept_and_left_out_are_all_rows(rows):
    longest = sorted(fields["speech_length"] for fields in rows)[10]
    kept, left_out = trainable_rows(rows, longest)
    assert [fields["key"] for fields in kept] == [
        fields["key"] for fields in rows if fields["speech_length"] <= longest
    ]
    assert sorted([fields["key"] for fields in kept] + [line["key"] for line in left_out]) == sorted(
        fields["key"] for fields in rows
    )


def test_no_row_left_is_one_line(model_dir, briefest, tmp_path):
    with pytest.raises(UserError, match="no utterance is left"):
        run(1, model_dir, tmp_path / "stage", briefest, "++dataset_conf.max_source_length=1")


def test_a_missing_sound_file_names_its_utterance(model_dir, briefest, tmp_path):
    gone = row("gone", tmp_path / "gone.wav", "喂", 16000)
    with pytest.raises(UserError, match=r"utterance gone: .*gone\.wav: no such file"):
        run(1, model_dir, tmp_path / "stage", [gone, *briefest[-3:]], *SHORT)


def test_a_loss_that_is_no_number_stops_the_run(model_dir, briefest, tmp_path):
    with pytest.raises(UserError, match=r"the (loss|gradient) became \w+ at update \d+: lower optim_conf.lr"):
        run(
            1,
            model_dir,
            tmp_path / "stage",
            briefest,
            *SHORT,
            "++optim_conf.lr=1e30",
            "++dataset_conf.batch_size_utts=2",
        )


def test_an_unknown_argument_is_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        train.parse(
            [
                "--config",
                "x",
                "--model_dir",
                "x",
                "--init",
                "released",
                "--train",
                "x",
                "--dev",
                "x",
                "--output_dir",
                "x",
                "--device",
                "cpu",
                "max_epoch=3",
            ]
        )
    assert caught.value.code == 2
    assert "max_epoch=3" in capsys.readouterr().err

"""Each watchdog barks at the fault that it is for, names the culprit, and leaves the rest alone."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import time
from pathlib import Path

import faults
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_stage import config, metrics, run, tensors, words

from data.errors import UserError
from local import watchdog
from local.batches import Utterances, collate
from local.contract import declare
from local.distributed import World
from local.loop import Loop
from local.nano import build
from local.train import main
from local.watchdog import BadUpdates, StallWatch, StopSignal, naming_the_batch

ALONE = World(0, 1, torch.device("cpu"))
SHORT = (
    "++train_conf.max_epoch=1",
    "++train_conf.avg_nbest_model=1",
    "++train_conf.accum_grad=1",
    "++dataset_conf.batch_size_utts=2",
)
STALLED = "++train_conf.stall_minutes=0.1"


@pytest.fixture(scope="module")
def briefest(rows):
    """The shortest utterances: six to train on, in three updates an epoch, and two dev."""
    return sorted(rows, key=lambda fields: fields["speech_length"])[:8]


def log_of(folder: Path) -> str:
    return (folder / "train.log").read_text(encoding="utf-8")


# --- losses that are no numbers ----------------------------------------------------------------------------------


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 4))
def test_so_many_bad_updates_in_a_row_and_no_fewer_stop_the_run(sound, most):
    bad, longest, row = BadUpdates(most), 0, 0
    for good in sound:
        row = 0 if good else row + 1
        longest = max(longest, row)
        losses = {"llm": 1.0 if good else float("nan")}
        assert bad.judge(losses, finite_gradient=True) == good
        try:
            bad.check(7, losses)
        except UserError:
            assert row == most
            return
    assert longest < most


@pytest.mark.parametrize(
    ("losses", "finite", "said"),
    [
        ({"llm": 1.0, "ctc": math.inf}, True, "the loss became inf at update 7: lower optim_conf.lr"),
        ({"llm": 1.0}, False, "the gradient became infinite at update 7: lower optim_conf.lr"),
    ],
)
def test_a_bad_update_is_one_line_with_the_fix(losses, finite, said):
    bad = BadUpdates(1)
    assert not bad.judge(losses, finite)
    with pytest.raises(UserError, match=said) as caught:
        bad.check(7, losses)
    assert "bad_batches.jsonl" in str(caught.value) and "\n" not in str(caught.value)


def test_a_batch_that_is_no_number_is_skipped_and_named(model_dir, briefest, tmp_path, monkeypatch):
    key = briefest[0]["key"]
    monkeypatch.setattr(Utterances, "__getitem__", Utterances.__getitem__)  # puts back in the end what the fault replaces
    faults.poisoned([key])
    after = run(1, model_dir, tmp_path / "stage", briefest, *SHORT)
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    (line,) = (json.loads(line) for line in (tmp_path / "stage/bad_batches.jsonl").read_text().splitlines())
    assert key in line["keys"] and len(line["keys"]) == 2
    assert line["loss"]["llm"] == "nan"
    skipped = {told["update"]: told["skipped"] for told in metrics(tmp_path / "stage", "train")}
    assert skipped == {update: int(update == line["update"]) for update in (1, 2, 3)}
    assert len(re.findall(" skipped 1 lr ", log_of(tmp_path / "stage"))) == 1


@pytest.mark.slow
def test_what_one_process_cannot_use_all_of_them_skip(model_dir, briefest, tmp_path):
    """The poison is in the second process alone; both must stay together to the end."""
    arguments = words(1, model_dir, tmp_path / "both", briefest, *SHORT, "++train_conf.max_bad_updates=9")
    processes = faults.start_two(arguments, "poisoned", [row["key"] for row in briefest[:-2]])
    assert [faults.status(process) for process in processes] == [0, 0]
    assert [line["skipped"] for line in metrics(tmp_path / "both", "train")] == [1, 1, 1]
    before, after = tensors(model_dir / "model.pt"), tensors(tmp_path / "both/model.pt")
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


# --- signals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_noted_and_afterwards_means_what_it_did(number):
    before = signal.getsignal(number)
    with StopSignal() as stop:
        assert stop.name == ""
        os.kill(os.getpid(), number)
        assert stop.name == number.name
    assert signal.getsignal(number) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_asked_to_stop_it_finishes_the_update_saves_and_goes_on_later(name, model_dir, briefest, tmp_path):
    """The signal reaches the loader's worker too, as those of Slurm do."""
    worker = "++dataset_conf.num_workers=1"
    undisturbed, asked = (words(1, model_dir, tmp_path / end, briefest, *SHORT, worker) for end in ("undisturbed", "asked"))
    processes = faults.start(undisturbed), faults.start(asked, "signalled", name, 2)
    assert [faults.status(process) for process in processes] == [0, watchdog.RESUMABLE]
    assert f"{name} came: saved after update 2" in log_of(tmp_path / "asked").splitlines()[-1]
    assert main(asked) == 0
    assert "goes on after update 2 (epoch 1 step 2)" in log_of(tmp_path / "asked")
    before, after = (tensors(tmp_path / end / "model.pt") for end in ("undisturbed", "asked"))
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


@pytest.mark.slow
def test_asked_to_stop_while_dev_is_scored_it_saves_after_the_next_update(model_dir, briefest, tmp_path):
    settings = ("++dataset_conf.num_workers=1", "++dataset_conf.batch_size_utts=1")
    asked = words(1, model_dir, tmp_path / "asked", briefest, *SHORT, *settings)
    process = faults.start(asked, "signalled_in_scoring", "SIGTERM", 1)  # of epoch 0: the start
    assert faults.status(process) == watchdog.RESUMABLE
    assert "SIGTERM came: saved after update 1" in log_of(tmp_path / "asked").splitlines()[-1]


# --- stalls ------------------------------------------------------------------------------------------------------


def test_who_gets_on_is_left_alone(tmp_path):
    with StallWatch(tmp_path / "train.log", 0.01, ALONE) as watch:  # 0.6 s
        for _ in range(12):
            time.sleep(0.1)
            watch.beat()
    assert not (tmp_path / "train.log").exists()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_stalled_loader_is_named_with_its_batch(workers, model_dir, briefest, tmp_path):
    key = briefest[3]["key"]
    arguments = words(1, model_dir, tmp_path / "stage", briefest, *SHORT, STALLED, f"++dataset_conf.num_workers={workers}")
    assert faults.status(faults.start(arguments, "stalled_loader", [key])) == 1
    said = log_of(tmp_path / "stage")
    found = re.search(r"error: no update finished in 0\.1 minutes .*, it was waiting for the data of (.*); where every", said)
    assert found and key in found[1]
    assert "loop.py" in said[found.end() :], "not where the threads stand"


@pytest.mark.slow
def test_of_two_processes_the_one_that_is_waited_for_is_named(model_dir, briefest, tmp_path):
    arguments = words(1, model_dir, tmp_path / "both", briefest, *SHORT, STALLED)
    stuck = [row["key"] for row in briefest[:-2]]
    processes = faults.start_two(arguments, "stalled_loader", stuck)
    assert all(faults.status(process) != 0 for process in processes)
    said = log_of(tmp_path / "both")
    assert re.search(rf"process 1 of 2: no update finished .* waiting for the data of ({'|'.join(stuck)})", said)
    assert re.search(r"process 0 of 2: no update finished .* waiting for the other processes", said)


# --- memory, and waiting for data --------------------------------------------------------------------------------


def fill_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("fill", [lambda: torch.empty(1 << 50), lambda: bytearray(1 << 62), fill_a_gpu])
def test_a_full_memory_names_the_batch_and_the_fix(fill):
    with pytest.raises(UserError) as caught, naming_the_batch(7, [f"utt{n}" for n in range(9)], 8000, 8192):
        fill()
    said = str(caught.value)
    assert "update 7" in said and "8000 tokens" in said and "utt0, utt1, utt2, utt3 and 5 more" in said
    assert "dataset_conf.batch_size (now 8192)" in said and "\n" not in said


class SmallMemory:
    """In the place of the model: holds so many utterances at once."""

    def __init__(self, model: torch.nn.Module, most: int) -> None:
        self.model, self.most, self.sizes = model, most, []

    def __call__(self, **batch):
        self.sizes.append(len(batch["sources"]))
        if len(batch["sources"]) > self.most:
            fill_a_gpu()
        return self.model(**batch)


def gradients_of(loop: Loop, batches: list) -> tuple[dict[str, float], list[torch.Tensor]]:
    """What an update's losses are, and the gradients that it steps with."""
    kept: list[torch.Tensor] = []
    hook = loop.optimiser.register_step_pre_hook(lambda *_: kept.extend(p.grad.clone() for p in loop.trained))
    losses = loop._step_that_fits(batches)
    hook.remove()
    return losses, kept


def test_where_memory_is_full_an_update_is_made_in_pieces_and_is_the_same(model_dir, briefest, examples, featuriser):
    """Two accumulated batches of 7 and 3; five utterances fit, so that 7 go as 3 and 4, this time and from then on."""
    made = []
    for most, allowed in ((7, "false"), (5, "true")):
        model, _ = build(str(model_dir), None, {"detach_ctc_decoder": False})
        chosen = config(1, "++train_conf.grad_clip=1e9", f"++train_conf.halve_when_full={allowed}")
        declare(model, chosen.stage.groups)
        loop = Loop(model.eval(), Utterances(briefest, featuriser), chosen, ALONE, None)
        loop.parallel = SmallMemory(model, most)
        made.append(gradients_of(loop, [(collate(examples[:7]), True), (collate(examples[7:10]), True)]))
    assert loop.parallel.sizes == [7, 3, 4, 1, 2] and loop.pieces == 2 and loop.state()["pieces"] == 2
    (losses, gradients), (in_pieces, others) = made
    assert in_pieces == pytest.approx(losses, rel=1e-4)
    for one, other in zip(gradients, others, strict=True):
        assert (one - other).norm() < 1e-3 * one.norm()


@pytest.mark.parametrize(("allowed", "most"), [("false", 5), ("true", 0)])
def test_where_halving_is_not_allowed_or_no_help_memory_stays_full(allowed, most, model_dir, briefest, examples, featuriser):
    model, _ = build(str(model_dir), None, {"detach_ctc_decoder": False})
    loop = Loop(model, Utterances(briefest, featuriser), config(1, f"++train_conf.halve_when_full={allowed}"), ALONE, None)
    loop.parallel = SmallMemory(model, most)
    with pytest.raises(torch.OutOfMemoryError):
        loop._step_that_fits([(collate(examples[:7]), True)])
    assert loop.parallel.sizes == ([7] if allowed == "false" else [7, 3, 1, 1])


def test_another_error_stays_what_it_was():
    with pytest.raises(RuntimeError, match="shapes"), naming_the_batch(7, ["a"], 1, 1):
        raise RuntimeError("shapes do not fit")


def test_time_without_data_is_told_as_a_share(briefest, featuriser, monkeypatch):
    """Each utterance takes 0.2 s to come and the updates nothing."""
    chosen = config(3, *SHORT)
    sound = Utterances._sound
    monkeypatch.setattr(Utterances, "_sound", lambda *arguments: time.sleep(0.2) or sound(*arguments))
    model = torch.nn.Linear(1, 1)
    loop = Loop(model, Utterances(briefest, featuriser), chosen, ALONE, None)
    monkeypatch.setattr(loop, "step", lambda batches: {"llm": 1.0})
    shares = []
    monkeypatch.setattr(loop, "_tell", lambda _: shares.append((loop.tally.waited, loop.tally.seconds())))
    loop.run(1, lambda: None)
    for waited, seconds in shares:
        assert waited >= 0.4 and waited / seconds > 0.8

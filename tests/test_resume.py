"""An interrupted training ends as an undisturbed one, bit for bit, and never goes on with something else."""

from __future__ import annotations

import json
import random
from pathlib import Path

import faults
import pytest
import torch
from small_stage import config, metrics, run, tensors, words

from data.errors import UserError
from local import resume
from local.distributed import World
from local.loop import Loop
from local.metrics_log import MetricsLog
from local.replay import TrainingRows
from local.resume import Generations

ALONE = World(0, 1, torch.device("cpu"))
BRIEF = ("++dataset_conf.batch_size_utts=2", "++train_conf.accum_grad=1", "++train_conf.save_interval=2")


@pytest.fixture(scope="module")
def briefest(rows):
    """The shortest utterances: six to train on, in three updates an epoch, and two dev."""
    return sorted(rows, key=lambda fields: fields["speech_length"])[:8]


def saved(folder: Path, *updates: int) -> Generations:
    states = Generations(folder)
    for update in updates:
        states.save({"update": update, "w": torch.full((50,), float(update))})
    return states


def flip(path: Path, position: int = 100) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_nothing_to_go_on_from_is_none(tmp_path):
    assert Generations(tmp_path).load() == (None, "")


def test_the_newest_state_and_the_one_before_it_are_there(tmp_path):
    states = saved(tmp_path, 1, 2, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resume.before.pt", "resume.pt"]
    state, line = states.load()
    assert (state["update"], line) == (3, "")
    (tmp_path / "resume.pt").unlink()
    assert states.load()[0]["update"] == 2


@pytest.mark.parametrize("position", [0, 100, 700, -100, -1])
def test_a_flipped_bit_in_the_newest_state_is_survived(position, tmp_path):
    saved(tmp_path, 1, 2)
    flip(tmp_path / "resume.pt", position)
    states = Generations(tmp_path)
    state, line = states.load()
    assert state["update"] == 1
    assert "resume.pt: is damaged" in line and "going on from" in line and "\n" not in line


def test_a_damaged_state_never_replaces_the_good_one_before_it(tmp_path):
    saved(tmp_path, 1, 2)
    flip(tmp_path / "resume.pt")
    states = Generations(tmp_path)
    states.load()
    states.save({"update": 9})
    flip(tmp_path / "resume.pt")
    assert Generations(tmp_path).load()[0]["update"] == 1


def test_two_damaged_states_are_one_line_with_the_fix(tmp_path):
    saved(tmp_path, 1, 2)
    flip(tmp_path / "resume.pt")
    flip(tmp_path / "resume.before.pt")
    with pytest.raises(UserError, match=r"resume\.pt: .*resume\.before\.pt: .* bash run_experiment\.sh clean") as caught:
        Generations(tmp_path).load()
    assert "\n" not in str(caught.value)


def test_where_there_are_no_hard_links_a_state_is_copied(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("not supported")

    monkeypatch.setattr("os.link", refuse)
    states = saved(tmp_path, 1, 2)
    flip(tmp_path / "resume.pt")
    assert states.load()[0]["update"] == 1


def made_from(*settings: str, keys: str = "abc", replayed: str = "", frozen: str = "0", words: str = "") -> resume.Table:
    own, others = ([{"key": key, "speech_length": 10, "text_length": 3} for key in part] for part in (keys, replayed))
    return resume.made_from(config(1, *settings), TrainingRows(own, others), own[:1], {"llm.w": frozen}, list(words))


@pytest.mark.parametrize(
    ("now", "named"),
    [
        (made_from("++optim_conf.lr=0.5"), "optim_conf.lr was 0.001, is now 0.5"),
        (made_from(keys="abd"), "training rows was 3 of sha256"),
        (made_from(replayed="de"), "replayed rows was 0 of sha256"),
        (made_from(keys="xbc"), "dev rows was 1 of sha256"),
        (made_from(words="ab"), "keywords was 0 of sha256"),
        (made_from(frozen="1"), "the model it starts from was"),
        (made_from() | {"torch": "3.0"}, f"torch was {torch.__version__}, is now 3.0"),
        (made_from() | {"funasr": "2.0"}, "is now 2.0"),
    ],
)
def test_another_origin_is_refused_by_name(now, named):
    with pytest.raises(UserError) as caught:
        resume.refuse_changes(made_from(), now, Path("stage1"))
    assert named in str(caught.value)
    assert "clean STAGE" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("folder", "stage"), [("8k_telephone/stage2_adapter", "2"), ("controls/stage1_clean", "control")])
def test_the_way_on_is_a_command_to_type(folder, stage, tmp_path, monkeypatch):
    monkeypatch.setenv("OUTPUT_ROOT", str(tmp_path))
    with pytest.raises(UserError, match=rf"OUTPUT_ROOT=\S+ bash run_experiment\.sh clean {stage}$"):
        resume.refuse_changes(made_from(), made_from("++optim_conf.lr=0.5"), tmp_path / "exp" / folder)


def test_what_does_not_reach_the_tensors_may_change():
    now = made_from("++dataset_conf.num_workers=3", "++train_conf.log_interval=7", "++gate.cer=1")
    resume.refuse_changes(made_from(), now, Path("stage1"))


def test_dropout_goes_on_where_it_was():
    resume.seed_dropout(1, epoch=2, rank=0, done=0)
    first = torch.rand(3)
    states = resume.generators(ALONE)
    expected = torch.rand(3)
    torch.manual_seed(0)
    resume.draw_on(states, ALONE)
    assert torch.equal(torch.rand(3), expected)
    resume.seed_dropout(1, epoch=2, rank=0, done=0)
    assert torch.equal(torch.rand(3), first)
    for other in ((2, 2, 0, 0), (1, 3, 0, 0), (1, 2, 1, 0), (1, 2, 0, 5)):
        resume.seed_dropout(*other)
        assert not torch.equal(torch.rand(3), first)


def test_no_number_is_told_twice(tmp_path):
    log = MetricsLog(tmp_path, "stage", 0, -1)
    for update in (1, 2, 3, 4):
        log.numbers("train", 1 + (update > 2), update, {"total": 1.0})
        log.skipped(update, ["a"], {"llm": float("nan")})
    log.numbers("dev", 1, 2, {"total": 1.0})
    log.close()
    for name in ("metrics.jsonl", "bad_batches.jsonl"):
        with (tmp_path / name).open("a") as torn:
            torn.write('{"kind": "train", "update": 5')
    MetricsLog(tmp_path, "stage", 3, 0).close()  # killed before the first epoch's score was safe
    assert [line["update"] for line in metrics(tmp_path, "train")] == [1, 2, 3]
    assert metrics(tmp_path, "dev") == []
    bad = [json.loads(line) for line in (tmp_path / "bad_batches.jsonl").read_text().splitlines()]
    assert [line["update"] for line in bad] == [1, 2, 3]
    assert bad[0]["loss"] == {"llm": "nan"}


def interrupt(monkeypatch, update: int) -> None:
    """Pull the plug before update number `update` (from 1)."""
    step = Loop.step

    def guarded(self, batches):
        if self.update + 1 == update:
            raise KeyboardInterrupt
        return step(self, batches)

    monkeypatch.setattr(Loop, "step", guarded)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("number", [1, 3])
def test_interrupted_in_an_epoch_it_ends_as_undisturbed(number, model_dir, briefest, tmp_path, monkeypatch):
    """With dropout, optimiser and average of epochs; a line of the log spans the interruption."""
    settings = (*BRIEF, "++train_conf.max_epoch=2", "++train_conf.avg_nbest_model=2", "++train_conf.log_interval=3")
    undisturbed = run(number, model_dir, tmp_path / "undisturbed", briefest, *settings)
    with monkeypatch.context() as patch:
        interrupt(patch, 6)  # three updates an epoch, saved after 2, 3, 4, 6
        with pytest.raises(KeyboardInterrupt):
            run(number, model_dir, tmp_path / "resumed", briefest, *settings)
    assert not (tmp_path / "resumed/model.pt").exists()
    assert same(run(number, model_dir, tmp_path / "resumed", briefest, *settings), undisturbed)
    assert "goes on after update 4 (epoch 2 step 1)" in (tmp_path / "resumed/train.log").read_text(encoding="utf-8")
    for kind in ("train", "dev"):
        assert metrics(tmp_path / "resumed", kind) == metrics(tmp_path / "undisturbed", kind)
    assert len(metrics(tmp_path / "resumed", "train")) == 2
    with pytest.raises(UserError, match=r"optim_conf\.lr was 0\.001, is now 0\.002"):
        run(number, model_dir, tmp_path / "resumed", briefest, *settings, "++optim_conf.lr=0.002")


NAMES = ("resume.pt", "resume.before.pt", "epoch_*.pt")
IN_SAVES = [("killed_in_half_a_file", 1), *(("killed_before_naming", name, 1) for name in NAMES)]


def kills(count: int) -> list[tuple]:
    """Faults at random moments: most of them between two updates, the others at every kind of moment in a save."""
    rng = random.Random(5)
    between = [("killed_before_update", rng.randint(1, 5)) for _ in range(count - 2 * len(IN_SAVES))]
    return rng.sample(2 * IN_SAVES + between, count)


@pytest.mark.slow
def test_twenty_kills_change_no_bit(model_dir, briefest, tmp_path):
    """SIGKILL between updates, across ends of epochs and in saves; at last before the model to hand on has its name."""
    settings = (*BRIEF, "++train_conf.max_epoch=12", "++train_conf.avg_nbest_model=2", "++train_conf.keep_nbest_models=2")
    undisturbed, disturbed = (words(1, model_dir, tmp_path / name, briefest, *settings) for name in ("undisturbed", "disturbed"))
    first = faults.start(undisturbed)
    for fault in (*kills(20), ("killed_before_naming", "model.pt", 1)):
        assert faults.status(faults.start(disturbed, *fault)) == -9, f"no kill landed: {fault}"
    assert faults.status(faults.start(disturbed)) == 0 == faults.status(first)
    assert same(tensors(tmp_path / "disturbed/model.pt"), tensors(tmp_path / "undisturbed/model.pt"))
    for kind in ("train", "dev"):
        assert metrics(tmp_path / "disturbed", kind) == metrics(tmp_path / "undisturbed", kind)
    assert not list(tmp_path.rglob("*.part"))

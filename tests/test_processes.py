"""Several processes train as one; what one of them began, another number of them ends."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from small_stage import TOP, metrics, run_processes, tensors, words

from data.manifest import write_rows

pytestmark = pytest.mark.slow

AT_ONCE = ("++dataset_conf.replay_share=0.35", "++specaug=SpecAugLFR")  # five of the nine others in every epoch


@pytest.fixture(scope="module")
def no_dropout(model_dir, tmp_path_factory) -> Path:
    """The small model without dropout, whose draws are a process's own."""
    folder = tmp_path_factory.mktemp("model")
    for item in model_dir.iterdir():
        (folder / item.name).symlink_to(item)
    settings = yaml.safe_load((model_dir / "config.yaml").read_text(encoding="utf-8"))
    settings["audio_encoder_conf"] |= {name: 0.0 for name in settings["audio_encoder_conf"] if "dropout" in name}
    (folder / "config.yaml").unlink()
    (folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return folder


def assert_alike(before: Path, one: Path, other: Path) -> None:
    """Two folders tell the same losses and hand on the same tensors, up to rounding."""
    for kind in ("train", "dev"):
        lines, others = metrics(one, kind), metrics(other, kind)
        assert len(lines) == len(others) > 0
        for line, same in zip(lines, others, strict=True):
            for part in {"llm", "ctc", "total"} & set(line):
                assert math.isclose(line[part], same[part], abs_tol=1e-4), f"{kind} {part} of update {line['update']}"
    start, ours, theirs = (tensors(folder / "model.pt") for folder in (before, one, other))
    for name in ours:
        if name.endswith("linear_k.bias"):
            continue  # softmax takes their gradient away: AdamW follows its rounding
        moved, apart = (ours[name] - start[name]).norm(), (ours[name] - theirs[name]).norm()
        assert apart <= 0.02 * moved, name


def settings(number: int) -> list[str]:
    chosen = ["++train_conf.max_epoch=2", "++train_conf.accum_grad=2", "++optim_conf.lr=1e-4", "++train_conf.dev_utterances=3"]
    return chosen + (["++llm_conf.lora_conf.lora_dropout=0"] if number == 3 else [])


@pytest.mark.parametrize(("number", "more"), [(1, ()), (2, ()), (3, ()), (3, AT_ONCE)], ids=["1", "2", "3", "3 with all"])
def test_two_processes_train_as_one(number, more, no_dropout, rows, tmp_path):
    """The last batch has a row for one of them only."""
    write_rows(tmp_path / "others.jsonl", rows[11:])
    replay = ("--replay", str(tmp_path / "others.jsonl")) if more else ()
    for count in (1, 2):
        run_processes(count, *words(number, no_dropout, tmp_path / str(count), rows[:11], *settings(number), *replay, *more))
    assert_alike(no_dropout, tmp_path / "1", tmp_path / "2")


def test_asked_to_stop_two_processes_save_and_one_goes_on(no_dropout, rows, tmp_path):
    """SIGTERM to torchrun, as Slurm sends it."""
    alone, both = (words(1, no_dropout, tmp_path / name, rows[:11], *settings(1)) for name in ("alone", "both"))
    run_processes(1, *alone)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(TOP / "local/train.py")]
    log = tmp_path / "both/train.log"
    with subprocess.Popen(
        [sys.executable, *launch, *both], env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (log.exists() and " step 1/" in log.read_text(encoding="utf-8")):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        said = process.communicate()[1]
    assert process.returncode != 0, said
    assert "SIGTERM came: saved after update" in log.read_text(encoding="utf-8")
    assert not (tmp_path / "both/model.pt").exists()
    run_processes(1, *both)
    assert "was on 2 process(es) on cpu, goes on with 1 process(es) on cpu" in log.read_text(encoding="utf-8")
    assert_alike(no_dropout, tmp_path / "alone", tmp_path / "both")

"""Stages of training at the smallest size, run in this process or by torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from data.manifest import write_rows
from local.config import StageConfig, load_stage

TOP = Path(__file__).resolve().parents[1]
CONFIGS = {number: next((TOP / "conf").glob(f"stage{number}_*.yaml")) for number in (1, 2, 3)}
MICRO = (
    "++dataset_conf.num_workers=0",
    "++dataset_conf.batch_size_utts=4",
    "++train_conf.log_interval=1",
    "++train_conf.dev_utterances=2",
    "++optim_conf.lr=1e-3",
    "++scheduler_conf.warmup_steps=1",
)
TRAINED = {
    1: ("audio_encoder.",),
    2: ("audio_adaptor.", "ctc_decoder.", "ctc."),
    3: (),
}  # by name; 3: see `trains`
ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj")


def config(number: int, *settings: str) -> StageConfig:
    return load_stage(CONFIGS[number], [*MICRO, *settings])


def trains(number: int, name: str) -> bool:
    """Whether a stage may change a tensor of what it hands on, by what its stage is for."""
    if number == 3:
        return name.startswith("llm.") and name.split(".")[-2] in ADAPTED
    return name.startswith(TRAINED[number])


def words(
    number: int, model_dir: Path, folder: Path, rows: list[dict[str, Any]], *settings: str
) -> list[str]:
    """Arguments of local/train.py: the last two rows are dev. Writes the files of rows beside `folder`."""
    train, dev = folder.parent / f"{folder.name}_train.jsonl", folder.parent / f"{folder.name}_dev.jsonl"
    write_rows(train, rows[:-2])
    write_rows(dev, rows[-2:])
    return [
        "--config",
        str(CONFIGS[number]),
        "--model_dir",
        str(model_dir),
        "--init",
        "released",
        "--train",
        str(train),
        "--dev",
        str(dev),
        "--output_dir",
        str(folder),
        "--device",
        "cpu",
        *MICRO,
        *settings,
    ]


def run(
    number: int, model_dir: Path, folder: Path, rows: list[dict[str, Any]], *settings: str
) -> dict[str, torch.Tensor]:
    """Train in this process; returns the tensors handed on."""
    from local.train import main

    assert main(words(number, model_dir, folder, rows, *settings)) == 0
    return tensors(folder / "model.pt")


def run_processes(count: int, *arguments: str, program: str = "local/train.py") -> None:
    """Run a program, to train if none is named, in `count` processes of their own, as the driver does."""
    launch = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)] if count > 1 else []
    )
    done = subprocess.run(
        [sys.executable, *launch, str(TOP / program), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """A checkpoint as fp32, which half-precision tensors become without loss."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.float() for name, tensor in state.items()}


def metrics(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl of one kind, without what depends on the clock."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    timed = ("audio_hours_per_hour", "data_wait", "memory_gb", "seconds", "seconds_left")
    return [
        {name: value for name, value in line.items() if name not in timed}
        for line in lines
        if line["kind"] == kind
    ]

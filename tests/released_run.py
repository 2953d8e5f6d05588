"""The released form through all three stages of training, watched while it goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_stage import words

from data.audio import read_wideband, write_wav
from data.manifest import RATE, row
from data.prompt import audio_path, target

COMMON = ("++dataset_conf.batch_size_utts=64", "++dataset_conf.batch_size=720")
SETTINGS = {
    1: ("++train_conf.max_epoch=2",),
    2: ("++train_conf.max_epoch=1",),
    3: ("++train_conf.max_epoch=1", "++optim_conf.lr=1e-5", "++train_conf.accum_grad=1"),  # the published rate
}


@dataclass
class Run:
    """What the three stages made of the released folder, and what they were seen to do."""

    model_dir: Path
    folder: Path
    rows: list[dict[str, Any]]
    read: list[tuple[int, int, str]] = field(default_factory=list)  # stage, epoch, key of every utterance that was read
    batches: list[tuple[int, int]] = field(default_factory=list)  # stage, utterances in it
    by_torchaudio: list[str] = field(default_factory=list)

    def stage(self, number: int) -> Path:
        """Its folder; 0 is the released model's."""
        return self.folder / f"stage{number}" if number else self.model_dir

    def state(self, number: int) -> dict[str, torch.Tensor]:
        """What it hands on, as it is."""
        return torch.load(self.stage(number) / "model.pt", weights_only=True)


def train_stages(run: Run) -> Run:
    """Stages 1 to 3 by local/train.py in this process, each from the one before, then the scores of the last one."""
    from local import evaluate, train

    for number, settings in SETTINGS.items():
        arguments = words(number, run.model_dir, run.stage(number), run.rows, *COMMON, *settings)
        if number > 1:
            arguments[arguments.index("--init") + 1] = str(run.stage(number - 1) / "model.pt")
        with pytest.MonkeyPatch.context() as patch:
            _watch(run, number, patch)
            assert train.main(arguments) == 0
    dev = run.folder / "stage3_dev.jsonl"
    scored = ["--checkpoint", str(run.stage(3) / "model.pt"), "--set", f"calls_test={dev}", "--output_dir", str(run.stage(3))]
    assert evaluate.main(["--model_dir", str(run.model_dir), *scored, "--device", "cpu"]) == 0
    return run


def _watch(run: Run, stage: int, patch: pytest.MonkeyPatch) -> None:
    """Note what is read while a stage runs."""
    import torchaudio

    from local import batches

    read, collate, load = batches.Utterances.__getitem__, batches.collate, torchaudio.load

    def reading(data, index):
        run.read.append((stage, data.epoch, data.rows[index]["key"]))
        return read(data, index)

    def collating(examples):
        run.batches.append((stage, len(examples)))
        return collate(examples)

    def loading(*arguments, **options):
        run.by_torchaudio.append(str(arguments))
        return load(*arguments, **options)

    patch.setattr(batches.Utterances, "__getitem__", reading)
    patch.setattr(batches, "collate", collating)
    patch.setattr(torchaudio, "load", loading)


def odd_rows(rows: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Eleven short utterances that fit into one batch, one that fits into none, two that cannot be trained on, two for dev."""
    texts = [target(short["messages"]) for short in rows[:11]]
    sound = np.concatenate([read_wideband(audio_path(short["messages"])) for short in rows[:11]] * 2)
    write_wav(folder / "long.wav", sound, RATE)
    over = row("longer than a batch", folder / "long.wav", "".join(texts), len(sound))
    left_out = [row("longer than allowed", folder / "x.wav", "好", 121 * RATE), row("fast", folder / "x.wav", "好" * 99, RATE)]
    return [*rows[:11], over, *left_out, *rows[-2:]]

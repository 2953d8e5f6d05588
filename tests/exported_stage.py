"""What a finished stage leaves behind, for tests of what is made of it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import yaml
from small_stage import config

from local import checkpoint as checkpoints


def stage_folder(folder: Path, state: dict[str, torch.Tensor], groups: tuple[str, ...] = ("lora",), **summary) -> Path:
    """What the training of stage 3 leaves behind."""
    counts = {group: {"tensors": 1, "parameters": 1, "trainable": int(group in groups)} for group in ("llm", "lora", "ctc")}
    folder.mkdir()
    checkpoints.save(folder / "model.pt", state)
    (folder / "summary.json").write_text(json.dumps({"chosen": "epoch 1", "groups": counts, **summary}), encoding="utf-8")
    used = config(3)
    lora = {"lora_conf": {"target_modules": used.llm_conf.lora_conf.target_modules}}
    settings = {"stage": {"name": used.stage.name}, "llm_conf": lora, "dataset_conf": {"max_source_length": 2000}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return folder

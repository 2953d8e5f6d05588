"""What an evaluation was asked for is there, and can be read: seen to before minutes go into any of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from data.errors import UserError
from data.fragment import split_fragment
from local.keywords import read_keywords
from local.request import HUB_NAME

PARTS = ("config.yaml", "configuration.json")  # of a model folder; what the latter names is looked for when it is opened


def check(arguments: argparse.Namespace) -> None:
    """Raise UserError for the first path that is wrong, with the option that named it."""
    check_model(arguments.model_dir)
    if arguments.checkpoint != "released":
        require_file("--checkpoint", arguments.checkpoint, "give a stage's model.pt, or leave it out")
    for file in arguments.sets.values():
        if not split_fragment(file)[0].exists():
            raise UserError(f"--data {file}: no such file; give training JSONL, or a corpus in a form that stage 0 reads")
    for file in arguments.train:
        require_file("--train", file, "give the training JSONL that the model has learned from")
    if arguments.keywords_from:
        require_file("--keywords_from", arguments.keywords_from, "give training JSONL")
    if arguments.keywords:
        read_keywords(arguments.keywords)


def check_model(name: str) -> None:
    """A whole model folder, or what can be a name on the hub. A stage's folder is no model folder."""
    folder = Path(name)
    if folder.is_dir():
        if missing := [part for part in PARTS if not (folder / part).is_file()]:
            raise UserError(f"--model {name}: the folder has no {missing[0]}: give a whole model folder; what a stage has "
                            f"trained is scored in that of its start, with --checkpoint {folder / 'model.pt'}")  # fmt: skip
    elif folder.parent.is_dir() or not HUB_NAME.fullmatch(name):
        raise UserError(f"--model {name}: no such folder, nor can it be a name on the model hub (owner/name)")


def require_file(option: str, path: Path | str, advice: str) -> None:
    if not Path(path).is_file():
        raise UserError(f"{option} {path}: no such file; {advice}")

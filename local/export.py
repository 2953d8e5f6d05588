"""Make a model folder of a checkpoint: `python local/export.py --model_dir DIR --checkpoint CKPT --output_dir FOLDER`.

`AutoModel(model=FOLDER)` of an unmodified FunASR is then the model that was trained and scored. With the released folder and
`init_param=CKPT` it is not quite: its config.yaml says `llm_dtype: bf16`, so that FunASR rounds the LLM's weights and rotary
frequencies while it loads them, and it adds dither to every sound. Here both are put right; all else is the released folder's.
"""
from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/export.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import logging
import shutil
from collections.abc import Iterator

import yaml

from data.errors import UserError, run
from data.files import whole_file, write_text
from local.checkpoint import HANDED_ON
from local.preflight_model import outline, weights_fit

CONFIGURATION, CONFIG = "configuration.json", "config.yaml"
AS_TRAINED = {"llm_conf": {"llm_dtype": "fp32"}, "frontend_conf": {"dither": 0.0}}


def export(model_dir: Path, checkpoint: Path, folder: Path) -> None:
    """Write `folder`, whole or not at all. Raises UserError for a checkpoint that is not the whole model."""
    if folder.exists():
        raise UserError(f"{folder}: is there already; name a new folder, or remove it")
    if not (model_dir / CONFIGURATION).is_file():
        raise UserError(f"{model_dir}: has no {CONFIGURATION}, which names the parts of a model: give the whole released folder")
    check(model_dir, checkpoint)
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    copy_parts(model_dir, partial)
    write_text(partial / CONFIG, as_trained((model_dir / CONFIG).read_text(encoding="utf-8")))
    with whole_file(partial / HANDED_ON) as temporary:
        shutil.copyfile(checkpoint, temporary)
    partial.rename(folder)


def check(model_dir: Path, checkpoint: Path) -> None:
    """Raise UserError unless the checkpoint holds every tensor of the model, in its shape, and no other."""
    for finding in weights_fit(*outline(str(model_dir), {}), checkpoint):
        if finding.mark == "✗":
            raise UserError(finding.words)


def copy_parts(model_dir: Path, folder: Path) -> None:
    """configuration.json and what it names, but for the weights: tokenizers and the LLM's folder."""
    folder.mkdir(parents=True)
    shutil.copyfile(model_dir / CONFIGURATION, folder / CONFIGURATION)
    metas = json.loads((model_dir / CONFIGURATION).read_text(encoding="utf-8"))["file_path_metas"]
    for name in set(named(metas)) - {HANDED_ON, CONFIG}:
        source = model_dir / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        elif source.is_file():  # FunASR passes over what is not there
            shutil.copyfile(source, folder / name)


def named(metas: dict) -> Iterator[str]:
    """The paths in `file_path_metas`, at whatever depth."""
    for value in metas.values():
        if isinstance(value, dict):
            yield from named(value)
        elif isinstance(value, str):
            yield value


def as_trained(config: str) -> str:
    """The released config.yaml with the arithmetic and the features of training."""
    settings = yaml.safe_load(config)
    for section, values in AS_TRAINED.items():
        settings[section] |= values
    return yaml.safe_dump(settings, allow_unicode=True, sort_keys=False)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_dir", type=Path, required=True, help="the folder of the released model")
    parser.add_argument("--checkpoint", type=Path, required=True, help="model.pt of a stage, as stage*_checkpoint.txt names it")
    parser.add_argument("--output_dir", type=Path, required=True, help="the folder to make")
    arguments = parser.parse_args(argv)
    logging.getLogger().setLevel(logging.ERROR)  # FunASR tells of every part that it builds
    export(arguments.model_dir, arguments.checkpoint, arguments.output_dir)
    print(f'wrote {arguments.output_dir}: AutoModel(model="{arguments.output_dir}")')
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))

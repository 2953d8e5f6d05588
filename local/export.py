"""Put what a stage has learned into service: `python -m local.export STAGE_FOLDER OUT`, such as
`python -m local.export exp_output/exp/8k_telephone/stage3_lora my_model`.

OUT becomes a complete model folder: `AutoModel(model="OUT")` of an unmodified FunASR is the model that was trained and
scored. With the released folder and `init_param=model.pt` it is not quite: its config.yaml says `llm_dtype: bf16`, so that
FunASR rounds the LLM's weights and rotary frequencies while it loads them, and it adds dither to every sound.

The tensors are those that the stage hands on: adapters merged in fp32, an average one of merged weights. That they are all of
the model's and no others, and that training has changed those that it was to change, is checked before anything is written.
"""
from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/export.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import logging
import shlex
import shutil
from collections.abc import Iterator

import local.engine  # noqa: F401  before any part of FunASR

# isort: split
import torch
import yaml
from funasr.models.fun_asr_nano.checkpoint_utils import normalize_checkpoint_state

from data.errors import UserError, run
from data.files import sha256_of, whole_file, write_text
from local.checkpoint import HANDED_ON, Damaged, read
from local.experiment import TOP
from local.facts import Facts
from local.figures import in_percent
from local.model_card import CARD, write_card
from local.originals import itn_of
from local.preflight_model import outline, weights_fit

CONFIGURATION, CONFIG, CHECKSUMS = "configuration.json", "config.yaml", "SHA256SUMS"
AS_TRAINED = (
    ("llm_conf", "llm_dtype", "fp32", "bf16 would round the weights while they are loaded"),
    ("llm_conf", "use_lora", False, "the adapters are in the weights"),
    ("frontend_conf", "dither", 0.0, "the same sound is heard the same twice"),
)


def export(stage: Path, folder: Path, model_dir: Path | None = None) -> list[str]:
    """Write `folder`, whole or not at all; returns what there is to say. Raises UserError for a stage that trained nothing,
    or whose model.pt is not the whole model."""
    if folder.exists():
        raise UserError(f"{folder}: is there already; name a new folder, or remove it")
    if not (stage / HANDED_ON).is_file():
        raise UserError(f"{stage}: holds no {HANDED_ON}: give the folder of a stage whose training has finished")
    facts = Facts(stage)
    model_dir = model_dir or released_folder(facts)
    if not (model_dir / CONFIGURATION).is_file():
        raise UserError(f"{model_dir}: has no {CONFIGURATION}, which names the parts of a model: give the whole released folder")
    told = [learned(facts, model_dir)]
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    copy_parts(model_dir, partial)
    config, changes = for_service((model_dir / CONFIG).read_text(encoding="utf-8"), facts.prompt)
    write_text(partial / CONFIG, config)
    with whole_file(partial / HANDED_ON) as temporary:
        shutil.copyfile(stage / HANDED_ON, temporary)
    write_text(partial / CARD, write_card(facts, folder.name, model_dir, changes))
    write_text(partial / CHECKSUMS, checksums(partial))
    partial.rename(folder)
    return [*told, f"{CONFIG}: {'; '.join(changes)}", *gain(facts)]


def released_folder(facts: Facts) -> Path:
    """The folder of the model that the stage was trained from, as its training wrote down; relative ones count from the top."""
    named = facts.summary.get("model_dir")
    if named is None or not (TOP / named).is_dir():
        which = f"names {named}, which is no folder here" if named else "does not say from which model it was trained"
        raise UserError(f"{facts.stage}: its summary.json {which}: give the released model's folder, --model_dir FOLDER")
    return TOP / named


def learned(facts: Facts, model_dir: Path) -> str:
    """Prove that model.pt is the whole model, and that training has changed it where it was to.

    No stage trains what another one does, so the released tensors are the start of every stage in its own groups. Where all of
    them are as they were, LoRA's B was 0.
    """
    checkpoint = facts.stage / HANDED_ON
    model, settings = outline(str(model_dir), {})
    for path in (None, checkpoint):  # None: those of the released folder
        for finding in weights_fit(model, settings, path):
            if finding.mark == "✗":
                raise UserError(finding.words)
    try:
        tensors = read(checkpoint)
    except Damaged as error:
        raise UserError(f"{error}; train the stage again, or bring back the file") from None
    start = normalize_checkpoint_state(torch.load(settings["released"], map_location="cpu", weights_only=True))
    trained = [name for name in tensors if facts.trains(name)]
    changed = [name for name in trained if not torch.equal(tensors[name], start[name].float())]
    if not changed:
        raise UserError(f"{checkpoint}: nothing was trained: its {len(trained)} trained tensors are still those of {model_dir} "
                        "(of LoRA, B is 0); look at lr and loss in train.log, and train the stage again")
    found = f"{len(changed)} of the {len(trained)} that were trained have changed"
    return f"{HANDED_ON}: {len(tensors)} tensors, all of the model's and no adapters; {found}"


def gain(facts: Facts) -> Iterator[str]:
    """The one figure that an export is made for."""
    before, after = facts.cer("calls_test")
    if before is not None and after is not None:
        change = facts.change("calls_test")
        verdict = "" if after < before else ": this model is no better on the calls than the one it was made from"
        if after < before and change and change.high >= 0:
            verdict = f": chance alone could do that, the difference is {change}"
        yield f"calls CER (LLM): {in_percent(before)} before any stage, {in_percent(after)} now{verdict}"


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


def for_service(config: str, prompt: str | None) -> tuple[str, list[str]]:
    """The released config.yaml with the arithmetic, the features and the prompt of training; and what was changed in it."""
    settings = yaml.safe_load(config)
    changes = []
    for section, name, value, why in AS_TRAINED:
        if settings[section].get(name) != value:
            settings[section][name] = value
            changes.append(f"{name} {value}: {why}")
    if settings.get("train_conf", {}).pop("effective_save_name_excludes", None):
        changes.append("without effective_save_name_excludes, which would leave the LLM out of whatever is trained from here")
    itn = itn_of(prompt) if prompt else None
    if itn is not None and itn != settings.get("itn", True):
        settings["itn"] = itn
        changes.append(f"itn {itn}: AutoModel asks {prompt} by itself, as in training")
    elif prompt and itn is None:
        changes.append(f"AutoModel cannot ask as in training, {prompt}: expect other texts than those that were scored")
    return yaml.safe_dump(settings, allow_unicode=True, sort_keys=False), changes or ["nothing was changed"]


def checksums(folder: Path) -> str:
    """A line for every file, as `sha256sum -c SHA256SUMS` reads them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", type=Path, metavar="STAGE_FOLDER", help="the folder of a finished stage")
    parser.add_argument("folder", type=Path, metavar="OUT", help="the folder to make")
    parser.add_argument("--model_dir", type=Path, help="the released model's folder, where the stage's summary.json names none")
    arguments = parser.parse_args(argv)
    logging.getLogger().setLevel(logging.ERROR)  # FunASR tells of every part that it builds
    print(*export(arguments.stage, arguments.folder, arguments.model_dir), sep="\n")
    print(f"wrote {arguments.folder}, and its card in {arguments.folder / CARD}; try it: "
          f"python -m local.decode --model {shlex.quote(str(arguments.folder))} call.wav")  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))

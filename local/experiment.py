"""The experiment: its variables, its folders, and what its output folder remembers. Standard library only."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.colour import paint
from data.errors import UserError
from data.files import write_text
from data.spelling import closest, nearest
from local import fingerprint

TOP = Path(__file__).resolve().parents[1]
BUILT_IN = "conf/mini.sh"
MEMORY = "experiment.json"
STAGE_FOLDERS = {"baseline": "baseline", "1": "stage1_encoder", "2": "stage2_adapter", "3": "stage3_lora"}
STAGE_FILES = {
    "1": "conf/stage1_encoder_adapt.yaml",
    "2": "conf/stage2_adapter_align.yaml",
    "3": "conf/stage3_lora_domain.yaml",
}
HEARD = {"1": "simulated_8k_telephone", "2": "simulated_8k_telephone", "3": "real_8k_telephone"}  # in a stage's training
REPLAYED = {"1": "general_16k", "2": "general_16k", "3": "simulated_8k_telephone"}  # where it replays something
MACHINE = {
    "DEVICE",
    "NPROC",
    "NNODES",
    "NODE_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
    "JOBS",
    "ENGINE",
    "CUDA_VISIBLE_DEVICES",
}
TOGETHER = {"NNODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"}  # of several machines, which share one stage at a time
ASSIGNMENT = re.compile(r"(?:\$\{)?([A-Z_][A-Z0-9_]*):?\+?=")
SOURCED = re.compile(r"(?:^|\s)(?:source|\.)\s+(\S+)")
VERY_NEAR = 0.85  # of difflib's ratio: one letter in six


@dataclass(frozen=True)
class Experiment:
    """One experiment: the values of its variables, with the folders and files that follow from them."""

    values: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    @property
    def root(self) -> Path:
        """The output folder; a relative OUTPUT_ROOT counts from the top folder."""
        return TOP / (self["OUTPUT_ROOT"] or "exp_output")

    @property
    def stages(self) -> Path:
        """The folder that holds a folder for each stage."""
        return self.root / "exp" / "8k_telephone"

    @property
    def built_in(self) -> bool:
        """Whether stage 0 makes the corpora itself."""
        return bool(self["MINI_GENERAL_TRAIN"])

    @property
    def machines(self) -> int:
        return int(self["NNODES"]) if self["NNODES"].isdecimal() else 1

    @property
    def released(self) -> bool:
        """Whether stage 3 starts from the released model, without stages 1 and 2."""
        return self["INIT"] == "released"

    def folder(self, stage: str) -> Path:
        """Where a stage (`0`, `baseline`, `1`, `2`, `3`, `control`) puts what it makes."""
        if stage == "0":
            return self.root / "data"
        if stage == "control":
            return self.root / "exp" / "controls" / "stage1_clean"
        return self.stages / STAGE_FOLDERS[stage]

    def rows(self, name: str) -> Path:
        """A file of rows that stage 0 makes, such as `real_8k_telephone/train`."""
        return self.root / "data" / f"{name}.jsonl"

    def data_rows(self) -> list[Path]:
        """All row files that stage 0 makes in this experiment."""
        return [self.rows(name) for name in self.data_names()]

    def data_names(self) -> list[str]:
        """Their names: what is trained on, replayed or scored."""
        names = [f"real_8k_telephone/{split}" for split in ("train", "dev", "test")]
        if not self.released:
            names += ["simulated_8k_telephone/train", "simulated_8k_telephone/dev"]
        if self["GENERAL_TEST"]:
            names += ["simulated_8k_telephone/test", "general_16k/test"]
        if self["SILENCE"] not in ("", "0"):
            names.append("silence_8k_telephone/test")
        replayed = map(self.replays, ("3",) if self.released else STAGE_FILES)
        return list(dict.fromkeys([*names, *filter(None, replayed)]))

    def corpora(self) -> list[str]:
        """The variables whose corpora stage 0 reads."""
        general = ["GENERAL_TRAIN"] if not self.released or self.replays("3") else []
        general += ["GENERAL_TEST"] if self.released else ["GENERAL_DEV", "GENERAL_TEST"]
        names = [*general, "CALLS_TRAIN", "CALLS_DEV", "CALLS_TEST"]
        return [name for name in names if self[name] or name not in ("GENERAL_TEST", "CALLS_TEST")]

    def checkpoint_note(self, stage: str) -> Path:
        """The text file that names what a finished stage hands on."""
        return self.stages / f"stage{stage}_checkpoint.txt"

    def overrides(self, stage: str) -> list[str]:
        """The `++key=value` words over a stage's YAML file."""
        words = [f"++seed={self['SEED']}", f"++train_conf.dev_utterances={self['DEV_CAP']}"]
        if self["SIMULATE"] and stage in ("1", "2"):
            words.append(f"++dataset_conf.simulate={self['SIMULATE']}")
        return words + self[f"STAGE{like(stage)}_SET"].split()

    def settings(self, stage: str) -> fingerprint.Table:
        """A stage's YAML file with the overrides of this experiment; the control has those of stage 1."""
        return fingerprint.overridden(fingerprint.flatten_yaml(TOP / STAGE_FILES[like(stage)]), self.overrides(stage))

    def replays(self, stage: str) -> str:
        """The rows of which a stage replays some: what the model could do before it. Empty where it replays none."""
        if self.settings(stage).get("dataset_conf.replay_share", "0") == "0":
            return ""
        return f"{REPLAYED[like(stage)]}/train"

    def hotwords(self, stage: str) -> str:
        """The file of whose words a stage gives lists to its utterances. Empty where it gives none."""
        return "" if self.settings(stage).get("dataset_conf.hotword_rate", "0") == "0" else self["KEYWORDS"]

    def command(self, words: str) -> str:
        """The command line that a message recommends: on these machines, in this folder, with what that does not remember yet."""
        memory = read_memory(self.root)
        known = memory.get("given", {}) | ({"CONFIG": memory["config"]} if memory else {})
        shared = words.removeprefix("--dry-run ") in [f"{stage} {stage}" for stage in STAGE_FILES]
        here = [name for name in self["HERE"].split() if shared or name not in TOGETHER]
        names = ["CONFIG", *self["GIVEN"].split(), *here, "OUTPUT_ROOT"]
        usual = {"CONFIG": ("", BUILT_IN), "OUTPUT_ROOT": ("", "exp_output")}
        new = [name for name in names if self[name] not in usual.get(name, ()) and self[name] != known.get(name)]
        said = [f"{name}={shlex.quote(self[name])} " for name in new]
        return f"{''.join(said)}bash run_experiment.sh {words}"


def like(stage: str) -> str:
    """The stage whose settings and steps a stage has: the control those of stage 1."""
    return "1" if stage == "control" else stage


def start_over(folder: Path) -> str:
    """The command that gives up what a stage's folder holds, said by a program that the driver has started."""
    experiment = Experiment(os.environ)
    stages = (name for name in (*STAGE_FOLDERS, "control") if experiment.folder(name).resolve() == folder.resolve())
    return "start the stage over: " + experiment.command(f"clean {next(stages, 'STAGE')}")


def recall(environ: Mapping[str, str]) -> list[str]:
    """Shell lines that choose CONFIG and bring back the variables that the output folder remembers.

    Raises:
        UserError: no such configuration, another than the folder's, or a variable in it that nothing reads.
    """
    experiment = Experiment(environ)
    memory = read_memory(experiment.root)
    remembered = str(memory.get("config", ""))
    config = find_config(environ.get("CONFIG") or remembered or BUILT_IN)
    if remembered and config != remembered:
        raise UserError(
            f"{shown_path(experiment.root)} holds an experiment of {remembered}, not of {config}: "
            f"choose another folder (OUTPUT_ROOT=exp_other), or go on with CONFIG={remembered}"
        )
    known = known_variables()
    check_variables(TOP / config, known | MACHINE)
    note_misspelt(environ, known | MACHINE | {"CONFIG", "OUTPUT_ROOT"})
    given = sorted(name for name in known - MACHINE if name in environ)
    back = {name: value for name, value in memory.get("given", {}).items() if name not in environ}
    here = sorted(name for name in MACHINE if name in environ)  # not remembered: said again in commands that are recommended
    names = {"GIVEN": sorted({*given, *back}), "RECALLED": sorted(back), "HERE": here}
    exported = {"CONFIG": config, **{name: " ".join(found) for name, found in names.items()}, **back}
    return [f"export {name}={shlex.quote(value)}" for name, value in exported.items()]


def find_config(name: str) -> str:
    """`mini` or a path, as a path: relative to the top folder when inside it."""
    for candidate in (TOP / name, TOP / "conf" / f"{name}.sh"):
        if candidate.is_file():
            return shown_path(candidate)
    known = [shown_path(path) for path in sorted((TOP / "conf").glob("*.sh")) if path.name not in ("defaults.sh", "local.sh")]
    raise UserError(f"CONFIG={name}: no such file{nearest(name, known)}")


def known_variables() -> set[str]:
    """The names in conf/defaults.sh: all variables that an experiment has."""
    return {name for _, _, name in assignments(TOP / "conf" / "defaults.sh")}


def check_variables(config: Path, known: set[str]) -> None:
    """Refuse a variable that nothing reads. Names in lower case are a file's own helpers."""
    for path, line, name in assignments(config):
        if name not in known:
            raise UserError(
                f"{shown_path(path)}:{line}: unknown variable {name}{nearest(name, sorted(known))}"
            )


def assignments(path: Path) -> Iterator[tuple[Path, int, str]]:
    """(file, line, name) of each variable that a shell file, or one that it sources, sets."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        code = re.sub(r"(^|\s)#.*", "", line)
        yield from ((path, number, found[1]) for word in words_of(code) if (found := ASSIGNMENT.match(word)))
        for other in SOURCED.findall(code):
            if (TOP / other).is_file():
                yield from assignments(TOP / other)


def words_of(code: str) -> list[str]:
    """A line as the shell divides it: what stands in quotes is one word."""
    words = shlex.shlex(code, posix=True, punctuation_chars=True)
    words.whitespace_split, words.commenters = True, ""
    try:
        return list(words)
    except ValueError:  # a quotation that goes on in the next line
        before, *quoted = re.split(r"[\"']", code)
        return [*before.split(), *quoted]


def note_misspelt(environ: Mapping[str, str], known: set[str]) -> None:
    """Tell of a variable in the environment that was surely meant for us. Others have theirs there too: it is no error."""
    for name in sorted(set(environ) - known):
        if near := closest(name, sorted(known), VERY_NEAR):
            note = paint("note:", "yellow", sys.stderr)
            print(f"{note} nothing reads {name} of the environment; did you mean {near}?", file=sys.stderr)


def read_memory(root: Path) -> dict:
    """What the output folder remembers; empty when it is new."""
    path = root / MEMORY
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise UserError(
            f"{shown_path(path)} is damaged: remove it and name the configuration with CONFIG=…"
        ) from None


def remember(experiment: Experiment) -> None:
    """Write down which configuration, and which variables from the environment, this folder is made with."""
    given = {name: experiment[name] for name in experiment["GIVEN"].split()}
    memory = {"config": experiment["CONFIG"], "given": given}
    if memory != read_memory(experiment.root):
        write_text(experiment.root / MEMORY, json.dumps(memory, ensure_ascii=False, indent=1) + "\n")


def shown_path(path: Path) -> str:
    """A path for people and for checkpoint notes: relative to the top folder when inside it."""
    return str(path.relative_to(TOP)) if path.is_relative_to(TOP) else str(path)

"""A stage's mark: begun or finished, and the tables of what it was made from. Standard library only.

Two tables, because they go stale apart: `work` (data or training; days to make again) and `scores` (minutes).
A changed source file is noted, no more: it is no reason to stop a run.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from data.errors import UserError
from data.files import write_text
from data.fragment import split_fragment
from local import fingerprint
from local.experiment import HEARD, STAGE_FILES, TOP, Experiment, like, shown_path
from local.fingerprint import Table
from local.keyword_file import keyword_lines

MODEL_PARTS = ("config.yaml", "model.pt")
NO_MATTER = (  # to the tensors that come out
    "gate.",
    "audio_encoder_conf.activation_checkpoint",
    "dataset_conf.num_workers",
    "train_conf.log_interval",
    "train_conf.save_interval",
    "train_conf.max_bad_updates",
    "train_conf.stall_minutes",
    "train_conf.halve_when_full",
)
SILENT = "silence_8k_telephone/test"
SCORED = (
    "real_8k_telephone/dev",
    "real_8k_telephone/test",
    "simulated_8k_telephone/test",
    "general_16k/test",
    SILENT,
)
UPSTREAM = ("training rows", "replayed rows", "dev rows", "keywords", "the model it starts from")  # what an earlier stage makes


@dataclass(frozen=True)
class Decision:
    """What to do about a stage, and what to tell the user."""

    verdict: Literal["run", "continue", "skip"]
    reason: str
    notes: list[str] = field(default_factory=list)


def title(name: str) -> str:
    """`stage 1`, `baseline`, `control`."""
    return f"stage {name}" if name.isdigit() else name


def mark_path(experiment: Experiment, name: str) -> Path:
    """A hidden file in the stage's own folder: it goes where the folder goes."""
    return experiment.folder(name) / ".stage.json"


def read(experiment: Experiment, name: str) -> dict:
    """A stage's mark; empty when it has never begun."""
    path = mark_path(experiment, name)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise UserError(f"{shown_path(path)} is damaged: {experiment.command(f'clean {name}')}") from None


def write(experiment: Experiment, name: str, state: Literal["begun", "finished"]) -> None:
    """Mark a stage. A finished one keeps the tables it began with: later changes were not used."""
    tables = read(experiment, name) if state == "finished" else {}
    now = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
    mark = {
        "state": state,
        "time": now,
        "begun": tables.get("begun", now),  # the last time that it was begun, where it was interrupted
        "work": tables.get("work") or work(experiment, name),
        "scores": tables.get("scores") or scores(experiment, name),
        "sources": tables.get("sources") or source_table(name),
    }
    write_text(mark_path(experiment, name), json.dumps(mark, ensure_ascii=False, indent=1) + "\n")


def decide(experiment: Experiment, name: str) -> Decision:
    """Run, go on or skip.

    Raises:
        UserError: the stage was begun or finished with other settings or inputs than today's.
    """
    mark = read(experiment, name)
    if not mark:
        return Decision("run", "not run yet")
    refuse_changes(experiment, name)
    notes = changed_sources(name, mark)
    if mark["state"] == "begun":
        return Decision("continue", f"begun {mark['time']} and not finished: goes on", notes)
    notes_of_checkpoints = [experiment.checkpoint_note(name)] if name in STAGE_FILES else []
    gone = [path for path in outputs(experiment, name) + notes_of_checkpoints if not path.is_file()]
    if gone:
        return Decision(
            "continue", f"finished {mark['time']}, but {shown_path(gone[0])} is not there: to be made again", notes
        )
    return Decision("skip", f"finished {mark['time']}, inputs and settings unchanged: skipped", notes)


def refuse_changes(experiment: Experiment, name: str, upstream: bool = True) -> None:
    """Stop when today's tables differ from a stage's mark, naming what changed and the two ways on.

    Without `upstream`, what earlier stages make is left out: they are going to make it anew. SILENCE concerns the one set
    that is made by it, while that is there.
    """
    mark = read(experiment, name)
    folder = experiment.folder(name)
    scored = (folder / "results.json").exists() or (folder / "decode").exists()
    for part, make, to_clean in (("work", work, name), ("scores", scores, "scores")):
        if not mark or (part == "scores" and not (scored and upstream)):
            continue
        skipped = set() if upstream else set(UPSTREAM)
        if not experiment.rows(SILENT).parent.exists():
            skipped.add("SILENCE")
        changes = fingerprint.differences(mark[part], make(experiment, name), skipped)
        if changes:
            if all(change.startswith("SILENCE ") for change in changes):
                to_clean = "silence"
            what = "scored" if part == "scores" else mark["state"]
            raise UserError(
                f"{title(name)} was {what} {mark['time']} with other settings: {'; '.join(changes)}. "
                f"Put that back, or give up what it made: {experiment.command(f'clean {to_clean}')}"
            )


def require_predecessor(experiment: Experiment, name: str) -> None:
    """Stop when what a stage starts from is not there, with the command that makes it."""
    needed = {"0": [], "2": ["0", "1"], "3": ["0", "1", "2"]}.get(name, ["0"])
    if name == "3" and experiment.released:
        needed = ["0"]
    missing = [other for other in needed if read(experiment, other).get("state") != "finished"]
    if missing:
        found = "was begun, but is not finished" if read(experiment, missing[0]) else "has not been run"
        command = experiment.command(f"{missing[0]} {missing[-1 if experiment.machines == 1 else 0]}")
        raise UserError(
            f"{title(name)} starts from what stage {missing[0]} makes, and that {found}: {command}"
        )


def outputs(experiment: Experiment, name: str) -> list[Path]:
    """The files that a stage's programs leave."""
    folder = experiment.folder(name)
    if name == "0":
        return experiment.data_rows()
    if name == "baseline":
        return [folder / "results.json"]
    return [folder / "model.pt", folder / "results.json"]


def work(experiment: Experiment, name: str) -> Table:
    """What the data or the training of a stage depends on."""
    if name == "0":
        return data_table(experiment)
    if name == "baseline":
        return {"MODEL": model_digest(experiment)}
    settings = experiment.settings(name)
    table = {key: value for key, value in settings.items() if not key.startswith(NO_MATTER)}
    corpus = HEARD[like(name)]
    if name == "control":
        table["GENERAL_TRAIN"] = corpus_digest(experiment, "GENERAL_TRAIN")
    else:
        table["training rows"] = fingerprint.digest(experiment.rows(f"{corpus}/train"))
    if replayed := experiment.replays(name):
        table["replayed rows"] = fingerprint.digest(experiment.rows(replayed))
    if keywords := experiment.hotwords(name):
        table["keywords"] = keyword_digest(TOP / keywords)
    table["dev rows"] = fingerprint.digest(experiment.rows(f"{corpus}/dev"))
    table["the model it starts from"] = start_digest(experiment, name)
    return table


def keyword_digest(path: Path) -> str:
    """The words of a list alone: its comments and classes are nothing to a training."""
    words = sorted({word for _, word, _ in keyword_lines(path)}) if path.is_file() else ["missing"]
    return f"{len(words)} words, sha256 {hashlib.sha256(' '.join(words).encode()).hexdigest()[:12]}"


def simulated(experiment: Experiment) -> str:
    """`online` where stages 1 and 2 simulate their training speech themselves, else `offline`."""
    words = {name: experiment.settings(name).get("dataset_conf.simulate", "offline") for name in ("1", "2")}
    if words["1"] != words["2"]:
        raise UserError(
            f"dataset_conf.simulate is {words['1']} in stage 1 and {words['2']} in stage 2, which share their rows: "
            f"set both alike, or SIMULATE={words['1']} for both"
        )
    return words["1"]


def data_table(experiment: Experiment) -> Table:
    """What stage 0 depends on."""
    names = ["INIT", "SEED", "PROMPT", "CHANNEL_PROFILE", "NOISE_DIR", "NEGATIVE_RATE", "RULES", "MIN_CONFIDENCE", "STORAGE"]
    names += ["SILENCE"]
    if experiment.built_in:
        names += [
            f"MINI_{corpus}_{split}" for corpus in ("GENERAL", "CALLS") for split in ("TRAIN", "DEV", "TEST")
        ]
    table = {name: experiment[name] for name in names}
    table["dataset_conf.simulate"] = simulated(experiment)
    channel = fingerprint.flatten_yaml(TOP / "conf" / "telephone_channel.yaml")
    table |= {f"telephone_channel.yaml {key}": value for key, value in channel.items()}
    table |= {name: corpus_digest(experiment, name) for name in experiment.corpora()}
    return table


def corpus_digest(experiment: Experiment, name: str) -> str:
    """A corpus by its path and content; one that stage 0 itself makes, by its path alone."""
    path = TOP / experiment[name]
    if path.is_relative_to(experiment.root):
        return f"OUTPUT_ROOT/{path.relative_to(experiment.root)}"
    return f"{shown_path(path)} ({fingerprint.digest(split_fragment(path)[0])})"


def model_digest(experiment: Experiment) -> str:
    """The released model: its name on the hub, or the folder's config and weights."""
    folder = TOP / experiment["MODEL"]
    if not folder.is_dir():
        return experiment["MODEL"]
    return f"{experiment['MODEL']} ({fingerprint.digest(folder, MODEL_PARTS)})"


def start_digest(experiment: Experiment, name: str) -> str:
    """What a stage starts from: the released model, or what the stage before hands on."""
    if name in ("1", "control") or experiment.released:
        return model_digest(experiment)
    return fingerprint.digest(experiment.folder(str(int(name) - 1)) / "model.pt")


def scores(experiment: Experiment, name: str) -> Table:
    """What the scores of a stage depend on beside its checkpoint."""
    if name == "0":
        return {}
    table = {f"{rows}.jsonl": fingerprint.digest(experiment.rows(rows)) for rows in SCORED}
    keywords = experiment["KEYWORDS"]
    table["KEYWORDS"] = fingerprint.digest(TOP / keywords) if keywords else ""
    table["KNOWN_SPEAKERS"] = experiment["KNOWN_SPEAKERS"]
    if name in ("baseline", "3"):
        table["ORIGINALS"] = experiment["ORIGINALS"]
    if name in STAGE_FILES:
        settings = experiment.settings(name)
        table |= {key: value for key, value in settings.items() if key.startswith("gate.")}
    return table


def source_table(name: str) -> Table:
    """The source files that take part in a stage."""
    rooms = ["data"] if name == "0" else ["data", "local"]
    files = sorted(path for room in rooms for path in (TOP / room).glob("*.py"))
    return {shown_path(path): fingerprint.digest_file(path) for path in files}


def changed_sources(name: str, mark: dict) -> list[str]:
    """One note that counts the source files that have changed since a stage began."""
    before, now = mark["sources"], source_table(name)
    changed = [path for path in dict.fromkeys([*before, *now]) if before.get(path) != now.get(path)]
    if not changed:
        return []
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return [f"source files changed since {title(name)} began: {', '.join(changed[:3])}{more}"]

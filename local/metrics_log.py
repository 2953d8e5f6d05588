"""One run's story, told three times: lines for people (train.log), for programs (metrics.jsonl) and for TensorBoard."""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tensorboardX import SummaryWriter

from data.files import write_text
from local.experiment import STAGE_FOLDERS

BAD_BATCHES = "bad_batches.jsonl"
SCORES = ".scores"  # how the event file of the scores ends


class MetricsLog:
    """Appends to the logs of a stage folder; numbers that a resumed run is going to write again are dropped first."""

    def __init__(self, folder: Path, stage: str, update: int, epoch: int) -> None:
        """The run stands after `update`, its last scored epoch being `epoch` (-1: not even the start is scored)."""
        folder.mkdir(parents=True, exist_ok=True)
        self.stage = stage
        self.metrics, self.bad_batches = folder / "metrics.jsonl", folder / BAD_BATCHES
        _keep(self.metrics, lambda line: line["update"] <= update and (line["kind"] != "dev" or line["epoch"] <= epoch))
        _keep(self.bad_batches, lambda line: line["update"] <= update)
        self.text = (folder / "train.log").open("a", encoding="utf-8")
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=update + 1)

    def say(self, line: str) -> None:
        """A line for people, on the terminal and in train.log."""
        stamped = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {self.stage} {line}"
        print(stamped, file=self.text, flush=True)
        print(stamped, file=sys.stderr, flush=True)

    def numbers(self, kind: str, epoch: int, update: int, values: dict[str, float]) -> None:
        """The same for programs: one JSON line, and a curve a name."""
        _append(self.metrics, {"kind": kind, "epoch": epoch, "update": update} | values)
        for name, value in values.items():
            self.board.add_scalar(f"{kind}/{name}", value, update)

    def skipped(self, update: int, keys: list[str], losses: dict[str, float]) -> None:
        """The utterances of an update that was not made. NaN is no JSON, so the losses are text."""
        texts = {part: str(value) for part, value in losses.items()}
        _append(self.bad_batches, {"update": update, "keys": keys, "loss": texts})

    def close(self) -> None:
        self.board.close()
        self.text.close()


def board_scores(folder: Path, results: dict) -> None:
    """The rates of a results.json for TensorBoard, as test/SET/BRANCH_cer and the like: one point a stage, at its number.

    The baseline stands at 0, and so does any folder that is no stage's. Scores of an earlier time go, so that no stage has
    two points.
    """
    stage = next((int(stage) for stage, name in STAGE_FOLDERS.items() if name == folder.name and stage.isdigit()), 0)
    room = folder / "tensorboard"
    for old in room.glob(f"*{SCORES}"):
        old.unlink()
    with SummaryWriter(str(room), filename_suffix=SCORES) as board:
        for name, scores in results["sets"].items():
            for branch, score in scores.items():
                rates = {"cer": score["cer"], "kwer": score.get("keywords", {}).get("kwer")} if "cer" in score else {}
                for measure, rate in rates.items():
                    if rate is not None:
                        board.add_scalar(f"test/{name}/{branch}_{measure}", rate, stage)


def _append(path: Path, fields: dict) -> None:
    with path.open("a", encoding="utf-8") as out:
        print(json.dumps(fields, ensure_ascii=False), file=out)


def _keep(path: Path, wanted: Callable[[dict], bool]) -> None:
    """Drop the other lines of a JSONL file, and a last one that was torn by a kill."""
    if path.exists():
        lines = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("}\n")]
        write_text(path, "".join(line for line in lines if wanted(json.loads(line))))


def describe(losses: dict[str, float]) -> str:
    """`loss 3.214 (llm 2.900 ctc 1.046)`: the weighted total and its parts, each per token."""
    parts = " ".join(f"{name} {losses[name]:.3f}" for name in ("llm", "ctc") if name in losses)
    return f"loss {losses['total']:.3f} ({parts})"

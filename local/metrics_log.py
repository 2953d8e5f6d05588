"""One run's story, told three times: lines for people (train.log), for programs (metrics.jsonl) and for TensorBoard."""
from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tensorboardX import SummaryWriter

from data.files import write_text


class MetricsLog:
    """Appends to the logs of a stage folder; on a resume, numbers of epochs that will be repeated are dropped first."""

    def __init__(self, folder: Path, stage: str, done_epochs: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.stage = stage
        self.metrics = folder / "metrics.jsonl"
        kept = [fields for fields in self._lines() if fields["epoch"] <= done_epochs]
        write_text(self.metrics, "".join(json.dumps(fields) + "\n" for fields in kept))
        self.text = (folder / "train.log").open("a", encoding="utf-8")
        steps = max((fields["update"] for fields in kept), default=0)
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=steps + 1)

    def _lines(self) -> list[dict]:
        if not self.metrics.exists():
            return []
        lines = self.metrics.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]  # the last one may be torn by a kill

    def say(self, line: str) -> None:
        """A line for people, on the terminal and in train.log."""
        stamped = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {self.stage} {line}"
        print(stamped, file=self.text, flush=True)
        print(stamped, file=sys.stderr, flush=True)

    def numbers(self, kind: str, epoch: int, update: int, values: dict[str, float]) -> None:
        """The same for programs: one JSON line, and a curve a name."""
        with self.metrics.open("a", encoding="utf-8") as out:
            print(json.dumps({"kind": kind, "epoch": epoch, "update": update} | values), file=out)
        for name, value in values.items():
            self.board.add_scalar(f"{kind}/{name}", value, update)

    def close(self) -> None:
        self.board.close()
        self.text.close()


def describe(losses: dict[str, float]) -> str:
    """`loss 3.214 (llm 2.900 ctc 1.046)`: the weighted total and its parts, each per token."""
    parts = " ".join(f"{name} {losses[name]:.3f}" for name in ("llm", "ctc") if name in losses)
    return f"loss {losses['total']:.3f} ({parts})"


def clock(seconds: float) -> str:
    """h:mm:ss"""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"

"""What a run leaves behind, read while it may still be running or after it was killed. Standard library only.

What cannot be read of a file (a last line that is being written, a damaged one) is not known: None.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Training:
    """How far one has come: `cer_llm` and `cer_ctc` are the best of all trained epochs, in percent; `left` is in seconds."""

    update: float | None = None
    updates: float | None = None
    epoch: float | None = None
    loss: float | None = None
    cer_llm: float | None = None
    cer_ctc: float | None = None
    left: float | None = None


def training(metrics: Path, running: bool) -> Training:
    """What metrics.jsonl tells. Of a training that is `running`, the time since its last line is over."""
    lines = json_objects(metrics)
    trained, scored = ([line for line in lines if line.get("kind") == kind] for kind in ("train", "dev"))
    last: dict[str, Any] = next(reversed(trained or scored), {})
    left = number(last.get("seconds_left"))
    if left is not None and running:
        left = max(0.0, left - (time.time() - metrics.stat().st_mtime))
    update, updates, epoch, loss = (number(last.get(name)) for name in ("update", "updates", "epoch", "total"))
    return Training(update, updates, epoch, loss, _best(scored, "cer_llm"), _best(scored, "cer_ctc"), left)


def _best(scored: Iterable[dict[str, Any]], name: str) -> float | None:
    rates = (number(line.get(name)) for line in scored if line.get("epoch") != 0)  # 0: the start, which nobody trained
    return min((rate for rate in rates if rate is not None), default=None)


def json_objects(path: Path) -> list[dict[str, Any]]:
    """Those of a file that has one a line; none where there is no file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [found for line in text.splitlines() if isinstance(found := _parsed(line), dict)]


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def number(value: Any) -> float | None:
    """A figure of a JSON file, where it is one."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def calls_cer(results: Path) -> float | None:
    """The LLM's on the calls' test set, in percent, once a stage is scored."""
    try:
        return number(json.loads(results.read_text(encoding="utf-8"))["sets"]["calls_test"]["llm"]["cer"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def shards_of(rows: Path) -> tuple[int, int]:
    """How many shards of a file of rows are there, and how many it will have; (0, 0) before the first."""
    names = (re.fullmatch(r"\d+-of-(\d+)", path.name) for path in (rows.parent / "shards" / rows.stem).glob("*-of-*"))
    counts = [int(found[1]) for found in names if found]
    return len(counts), max(counts, default=0)


def is_held(lock: Path) -> bool:
    """Whether a run holds the output folder. Changes nothing there."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def used(root: Path, folders: Iterable[Path]) -> tuple[int, dict[Path, int]]:
    """Bytes below a folder, and below some of those inside it. A file with several names counts once."""
    total, below, seen = 0, dict.fromkeys(folders, 0), set()
    for directory, _, names in os.walk(root):
        here = 0
        for name in names:
            try:
                found = os.lstat(os.path.join(directory, name))
            except FileNotFoundError:  # gone since: a run is at work
                continue
            if found.st_nlink == 1 or found.st_ino not in seen:
                seen.add(found.st_ino)
                here += found.st_size
        total += here
        for folder in below:
            if Path(directory).is_relative_to(folder):
                below[folder] += here
    return total, below

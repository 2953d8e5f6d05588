"""Training rows with sounds of their own, and the checks of them."""

from __future__ import annotations

from pathlib import Path

from made_sound import write_voice

from data.manifest import row, write_rows
from data.validation import validate


def rows_in(folder: Path, count: int = 3, seconds: float = 0.5, first: int = 0) -> list[dict]:
    numbers = range(first, first + count)
    paths = [write_voice(folder / f"{n}.wav", seconds, seed=n) for n in numbers]
    return [row(f"u{n}", path, f"第{n}句", round(16000 * seconds)) for n, path in zip(numbers, paths, strict=True)]


def check(folder: Path, rows: list[dict], audio: bool = True, **more) -> bool:
    write_rows(folder / "train.jsonl", rows)
    return validate([folder / "train.jsonl"], audio, **more)


def point(fields: dict, path: Path | str) -> None:
    content = fields["messages"][1]["content"]
    before = content.partition("<|startofspeech|>!")[0]
    fields["messages"][1]["content"] = f"{before}<|startofspeech|>!{path}<|endofspeech|>"


def splits(folder: Path, **rows: list[dict]) -> list[Path]:
    for name, fields in rows.items():
        write_rows(folder / f"{name}.jsonl", fields)
    return [folder / f"{name}.jsonl" for name in rows]

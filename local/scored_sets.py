"""The rows of a set that is to be scored: training JSONL as it is, any other corpus after stage 0's own conversion."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from data.errors import UserError
from data.fragment import split_fragment
from data.manifest import REQUIRED, read_rows

CONVERT = Path(__file__).resolve().parents[1] / "data" / "prepare_training_data.py"
CONVERTED = "test.jsonl"  # the name under which rules of plausibility hold for nothing
MADE_HERE = (*REQUIRED, "duration")  # FunASR's rows have no duration, and count their lengths in another unit


def read_set(path: Path | str) -> list[dict]:
    """Rows of a set; two of one key would be scored as one, so they are an error."""
    rows = read_rows(path)
    first: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        if first.setdefault(row["key"], number) != number:
            raise UserError(f"{path}: rows {first[row['key']]} and {number} have the key {row['key']}: give each its own")
    return rows


def is_ready(path: Path | str) -> bool:
    """Whether it need not be converted: rows that stage 0 made. A folder is a corpus."""
    place = split_fragment(path)[0]
    if not place.is_file():
        return False
    with place.open("rb") as lines:
        first = next(filter(bytes.strip, lines), b"")
    try:
        fields = json.loads(first)
    except ValueError:
        return False
    return isinstance(fields, dict) and all(name in fields for name in MADE_HERE)


def convert(manifest: str, folder: Path, prompt: str) -> None:
    """The rows of a corpus of any form, with its sound at 16 kHz, in a folder: never filtered, since it is a test set.

    In a process of its own: the many processes of a conversion do not go together with torch in the one that starts them.
    """
    words = ["convert", "--manifest", manifest, "--output", str(folder / CONVERTED), "--filter_annotation_error"]
    words += ["--prompt", prompt]
    if subprocess.run([sys.executable, str(CONVERT), *words], check=False).returncode:
        raise UserError(f"{manifest}: is neither training JSONL nor a corpus that stage 0 can read; the reason stands above")

"""What a stage was made from: flat tables `name -> value` that can be compared. Standard library only.

Gigabytes are never read: a large file stands for its size and a sample of its blocks. The last block is one
of them: in a checkpoint it holds the zip directory with the CRC-32 of every tensor, so that two models of the
same shape differ there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

Table = dict[str, str]

WHOLE = 16 * 2**20  # bytes: smaller files are hashed whole
BLOCK = 512 * 2**10
BLOCKS = 16
KALDI_FILES = ("wav.scp", "text", "segments", "utt2spk")


def digest_file(path: Path) -> str:
    """`<size> bytes, sha256 <12 digits>` of a file, or `missing`. Milliseconds for any size."""
    try:
        size = path.stat().st_size
        sha = hashlib.sha256()
        with path.open("rb") as file:
            for offset, length in blocks(size):
                file.seek(offset)
                sha.update(file.read(length))
    except FileNotFoundError:
        return "missing"
    return f"{size} bytes, sha256 {sha.hexdigest()[:12]}"


def blocks(size: int) -> list[tuple[int, int]]:
    """(offset, length) of what is hashed of a file of `size` bytes: all, or even blocks with both ends."""
    if size <= WHOLE:
        return [(0, size)]
    step = (size - BLOCK) / (BLOCKS - 1)
    return [(round(number * step), BLOCK) for number in range(BLOCKS)]


def digest(path: Path, parts: Iterable[str] = KALDI_FILES) -> str:
    """Digest of a file, or of those `parts` (Kaldi's tables by default) that a folder holds."""
    if not path.is_dir():
        return digest_file(path)
    found = [f"{part} {digest_file(path / part)}" for part in parts if (path / part).exists()]
    return "; ".join(found) or "empty folder"


def flatten_yaml(path: Path) -> Table:
    """`section.key -> value` of one of our YAML files, so that a comment or a blank line changes nothing.

    Reads what conf/ uses (nested mappings, values on one line); the trainer parses the file in full.
    """
    table: Table = {}
    parents: list[tuple[int, str]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        text = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if not text:
            continue
        indent = len(text) - len(text.lstrip())
        key, _, value = text.strip().partition(":")
        parents = [parent for parent in parents if parent[0] < indent] + [(indent, key)]
        if value or text.lstrip().startswith("- "):
            name = ".".join(parent for _, parent in parents)
            table[name if value else f"{name} ({number})"] = plain(value)
    return table


def plain(value: str) -> str:
    """The value without its spelling: `1e-4`, `1.0e-4` and `0.0001` are one number."""
    value = value.strip()
    try:
        return f"{float(value):.15g}"
    except ValueError:
        return value


def overridden(table: Table, overrides: Iterable[str]) -> Table:
    """The table with `++section.key=value` words applied."""
    changed = dict(table)
    for word in overrides:
        name, _, value = word.removeprefix("++").partition("=")
        changed[name] = plain(value)
    return changed


def differences(before: Table, now: Table, skipped: Iterable[str] = ()) -> list[str]:
    """One phrase for each entry that changed, but for the `skipped` ones, in the order of the table."""
    phrases = []
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if old != new and name not in skipped:
            phrases.append(f"{name} was {shown(old)}, is now {shown(new)}")
    return phrases


def shown(value: str | None) -> str:
    """A value as part of a phrase."""
    if value is None:
        return "not there"
    return value or "empty"

"""Corpora that the tests send through data_simulation.py."""

from __future__ import annotations

from pathlib import Path

from made_sound import tree

from data.data_simulation import main


def simulate_corpus(manifest: Path, folder: Path, *more: str) -> dict[str, bytes]:
    assert main(["--manifest", str(manifest), "--output_dir", str(folder), "--split", "train", *more]) == 0
    return tree(folder)


def without_paths(files: dict[str, bytes], folder: Path) -> dict[str, bytes]:
    """Files that do not depend on where the folder lies; a shard's stats tell the sizes of files that hold paths."""
    files = {name: content for name, content in files.items() if not name.endswith("/stats.json")}
    return {name: content.replace(str(folder).encode(), b"DIR") for name, content in files.items()}

"""A corpus may have parts, and a path names one behind a hash: WenetSpeech.json#M. Standard library only."""

from __future__ import annotations

from pathlib import Path


def split_fragment(path: Path | str) -> tuple[Path, str | None]:
    """`WenetSpeech.json#M` to its path and `M`; None where no part is named. A name may hold a hash itself."""
    name, _, part = str(path).rpartition("#")
    return (Path(name), part) if name and part and not Path(path).exists() else (Path(path), None)

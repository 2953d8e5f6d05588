"""Files appear whole or not at all: temporary name in the same folder, fsync, rename."""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".part"


@contextmanager
def whole_file(path: Path | str, flushed: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; once the block has written it, it takes the name `path`.

    After an exception or a kill `path` is what it was before. The parent folder is made. A file that
    already holds the same bytes is left as it is, time stamp included, so nothing that depends on it looks
    out of date. `flushed` makes that hold after a power cut too.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name[-200:]}{TEMPORARY}")
    try:
        yield temporary
        if not (path.is_file() and filecmp.cmp(temporary, path, shallow=False)):
            if flushed:
                _flush_to_disk(temporary)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file whole."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def sha256_of(path: Path) -> str:
    """What `sha256sum` prints of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while block := content.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def give_second_name(path: Path, other: Path) -> None:
    """At no cost where the file system has hard links, else as a copy."""
    try:
        os.link(path, other)
    except OSError:
        shutil.copyfile(path, other)


def sweep(folder: Path) -> None:
    """Remove the temporary files that a killed process left in `folder`."""
    for leftover in folder.glob(f".*{TEMPORARY}"):
        leftover.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

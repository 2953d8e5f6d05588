"""Folders appear whole or not at all: made beside their place by one process, then given their name.

The lock is on the folder itself and goes with its holder, so a kill leaves nothing that would have to be unlocked.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import UserError
from data.files import TEMPORARY

PATIENCE = 30.0  # seconds: the workers of a killed run notice by themselves


@contextmanager
def held(folder: Path) -> Iterator[Path]:
    """An empty folder to make `folder` in, which no other process has meanwhile; gone afterwards, unless it was put in place.

    Raises UserError when another process has it and keeps it.
    """
    room = folder.with_name(f".{folder.name}{TEMPORARY}")
    deadline = time.monotonic() + PATIENCE
    while (descriptor := _take(room)) is None:
        if time.monotonic() > deadline:
            raise UserError(f"{room}: another run is at work here; wait for it")
        time.sleep(0.1)
    try:
        _empty(room)
        yield room
    finally:
        if _is_of(descriptor, room):
            shutil.rmtree(room, ignore_errors=True)
        os.close(descriptor)


def _take(room: Path) -> int | None:
    """A lock on the folder itself, which goes with its process. None while another one has it."""
    room.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(room, os.O_RDONLY)
    except FileNotFoundError:  # its holder has just given it its name
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_of(descriptor, room):
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None


def _is_of(descriptor: int, room: Path) -> bool:
    """Is it still the folder of this name? Its holder before may have given it another."""
    try:
        return os.fstat(descriptor).st_ino == room.stat().st_ino
    except FileNotFoundError:
        return False


def _empty(room: Path) -> None:
    for path in room.iterdir():
        path.unlink()


def put_in_place(room: Path, folder: Path) -> None:
    """A folder cannot take the place of a full one: for a moment there is none."""
    if folder.exists():
        away = folder.with_name(f".{folder.name}.away{TEMPORARY}")
        shutil.rmtree(away, ignore_errors=True)
        os.rename(folder, away)
        os.rename(room, folder)
        shutil.rmtree(away)
    else:
        os.rename(room, folder)

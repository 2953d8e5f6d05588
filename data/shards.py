"""Many utterances at once, on all cores, and nothing done twice after a kill.

What is finished stands in a journal, a line an utterance, under a ticket: the hash of all that determines
its audio. A later run with the same ticket takes the result from there, provided the audio is still in its
place.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path
from typing import Any, TextIO

from data.corpora import Utterance
from data.errors import UserError
from data.files import write_text
from data.one_core import settle_on_one_core

CHUNK = 16  # utterances that a worker gets at a time
AHEAD = 3  # chunks a worker that are handed out in advance

Record = dict[str, Any]
Work = Callable[[Utterance], Record]
Chunk = list[tuple[str, Utterance]]  # with the ticket of each


class Journal:
    """Records by ticket, in a file that survives a kill at any moment. One process writes it at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, Record] = {}

    @contextmanager
    def writing(self) -> Iterator[Journal]:
        """Take the journal for this process. Raises UserError when another one has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"{self.path.parent.parent}: another run writes here; wait for it") from None
            self.records = dict(_read_journal(self.path)) if self.path.exists() else {}
            yield self

    def append(self, out: TextIO, records: dict[str, Record]) -> None:
        """Add records to the open file `out` and hand them to the system at once."""
        self.records.update(records)
        out.writelines(_line(ticket, record) for ticket, record in records.items())
        out.flush()

    def settle(self, tickets: Sequence[str]) -> None:
        """Rewrite the journal with the records of this run alone, in the order of the manifest."""
        text = "".join(_line(ticket, self.records[ticket]) for ticket in tickets)
        write_text(self.path, text)


def run_missing(
    work: Work,
    tasks: dict[str, Utterance],
    journal: Journal,
    jobs: int,
    done: Callable[[list[Record]], None],
) -> None:
    """Do `work` on every utterance of `tasks` (by ticket), journal the records, tell `done` of each chunk."""
    items = list(tasks.items())
    chunks = [items[first : first + CHUNK] for first in range(0, len(items), CHUNK)]
    with journal.path.open("a", encoding="utf-8") as out:
        if out.tell():
            out.write("\n")  # a kill may have cut the last line short
        for records in _each_chunk(work, chunks, min(jobs, len(chunks))):
            journal.append(out, records)
            done(list(records.values()))


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _each_chunk(work: Work, chunks: list[Chunk], jobs: int) -> Iterator[dict[str, Record]]:
    if jobs <= 1:
        settle_on_one_core()
        for chunk in chunks:
            yield {ticket: work(utterance) for ticket, utterance in chunk}
        return
    # spawned, not forked: no thread or lock of this process is copied half-way
    with ProcessPoolExecutor(jobs, get_context("spawn"), _begin_worker, (work,)) as pool:
        try:
            yield from _as_finished(pool, chunks, jobs * AHEAD)
        except BrokenProcessPool:
            raise UserError("a worker process died, probably out of memory; the same command with a smaller "
                            "--jobs goes on from here") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _as_finished(
    pool: ProcessPoolExecutor, chunks: list[Chunk], ahead: int
) -> Iterator[dict[str, Record]]:
    waiting: set[Future[dict[str, Record]]] = set()
    for chunk in chunks:
        if len(waiting) >= ahead:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in finished)
        waiting.add(pool.submit(_work_on, chunk))
    while waiting:
        finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in finished)


# --- in the worker --------------------------------------------------------------------------------------

_work: Work | None = None


def _begin_worker(work: Work) -> None:
    global _work
    _work = work
    settle_on_one_core()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for its next chunk for ever."""
    parent = parent_process()
    if parent is not None:
        wait_for_any([parent.sentinel])
        os._exit(1)


def _work_on(chunk: Chunk) -> dict[str, Record]:
    assert _work is not None
    return {ticket: _work(utterance) for ticket, utterance in chunk}


# --- the journal's lines --------------------------------------------------------------------------------


def _line(ticket: str, record: Record) -> str:
    return json.dumps({"ticket": ticket} | record, ensure_ascii=False) + "\n"


def _read_journal(path: Path) -> Iterator[tuple[str, Record]]:
    """Every whole line; one that a kill cut short is as if it had never been begun."""
    with path.open("rb") as lines:
        for line in lines:
            try:
                record = json.loads(line)
                yield record.pop("ticket"), record
            except (ValueError, KeyError, AttributeError):
                continue

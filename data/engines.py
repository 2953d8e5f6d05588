"""Many shards at once: over the cores of this machine, or over the machines of a Ray cluster.

A process that dies costs its shard, which is tried again and after that reported; the others go on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path

from pebble import ProcessExpired, ProcessPool

from data.errors import UserError
from data.one_core import settle_on_one_core
from data.shards import Job, Made, make_shard

TRIES = 3  # of a shard, before it is given up
AHEAD = 2  # shards a process that are handed out in advance
TOP = Path(__file__).resolve().parents[1]

Engine = Callable[[Job, list[int], int], Iterator[tuple[int, Made | None]]]  # None: given up


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def local(job: Job, numbers: list[int], jobs: int) -> Iterator[tuple[int, Made | None]]:
    """Every shard as it is finished, by so many processes; by this one where one is enough."""
    if min(jobs, len(numbers)) <= 1:
        settle_on_one_core()
        yield from ((number, make_shard(job, number)) for number in numbers)
        return
    # spawned, not forked: no thread or lock of this process is copied half-way
    pool = ProcessPool(min(jobs, len(numbers)), context=get_context("spawn"), initializer=_begin_worker, initargs=(job,))
    with pool:
        try:
            yield from _as_finished(pool, numbers, jobs * AHEAD)
        except BaseException:
            pool.stop()
            raise


def _as_finished(pool: ProcessPool, numbers: list[int], ahead: int) -> Iterator[tuple[int, Made | None]]:
    todo, tries = list(reversed(numbers)), dict.fromkeys(numbers, 0)
    waiting: dict[Future, int] = {}
    while todo or waiting:
        while todo and len(waiting) < ahead:
            number = todo.pop()
            tries[number] += 1
            waiting[pool.schedule(_work_on, args=[number])] = number
        finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in finished:
            number = waiting.pop(future)
            if not isinstance(future.exception(), ProcessExpired):
                yield number, future.result()
            elif tries[number] < TRIES:
                _warn(f"shard {number}: its process died ({future.exception()}); it is tried again")
                todo.append(number)
            else:
                yield number, None


# --- in the worker --------------------------------------------------------------------------------------

_job: Job | None = None


def _begin_worker(job: Job) -> None:
    global _job
    _job = job
    settle_on_one_core()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for its next shard for ever."""
    parent = parent_process()
    if parent is not None:
        wait_for_any([parent.sentinel])
        os._exit(1)


def _work_on(number: int) -> Made:
    assert _job is not None
    return make_shard(_job, number)


# --- on a cluster ---------------------------------------------------------------------------------------


def on_ray(job: Job, numbers: list[int], jobs: int) -> Iterator[tuple[int, Made | None]]:
    """The same on the cluster that RAY_ADDRESS names; where it names none, on one of this machine, of `jobs` cores.

    All machines must see the same folders under the same names, this recipe's too.
    """
    try:
        import ray  # optional: half a gigabyte that most users do without
    except ImportError:
        raise UserError("--engine ray needs Ray: pip install 'ray>=2.40', or take --engine local") from None
    cluster = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": jobs, "include_dashboard": False}
    ray.init(runtime_env={"env_vars": {"PYTHONPATH": str(TOP)}}, log_to_driver=False, **cluster)
    try:
        work = ray.remote(num_cpus=1, max_retries=TRIES - 1)(_on_one_core)
        shared = ray.put(job)
        waiting = {work.remote(shared, number): number for number in numbers}
        while waiting:
            (finished,), _ = ray.wait(list(waiting))
            yield waiting.pop(finished), _result(ray, finished)
    finally:
        ray.shutdown()


def _on_one_core(job: Job, number: int) -> Made:
    settle_on_one_core()
    return make_shard(job, number)


def _result(ray, finished) -> Made | None:
    try:
        return ray.get(finished)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError):
        return None
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None


def _warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr, flush=True)


ENGINES: dict[str, Engine] = {"local": local, "ray": on_ray}

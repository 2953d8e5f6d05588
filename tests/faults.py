"""Trainings in processes of their own, each with one fault: forked from one that has imported all, so they start at once."""

from __future__ import annotations

import fnmatch
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["local.train"])


def start(words: list[str], fault: str = "none", *arguments: Any, **variables: str) -> BaseProcess:
    """`python local/train.py WORDS` with a fault of this module and `variables` in its environment."""
    process = FORKS.Process(target=_train, args=(words, fault, arguments, variables))
    process.start()
    return process


def start_two(words: list[str], fault: str, *arguments: Any) -> list[BaseProcess]:
    """Two processes of one training, as torchrun would start them; the fault is in the second one alone."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    places = [{"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port} for rank in (0, 1)]
    return [start(words, **places[0]), start(words, fault, *arguments, **places[1])]


def status(process: BaseProcess) -> int | None:
    """The exit status once it has ended, -9 after SIGKILL."""
    process.join(120)
    return process.exitcode


def _train(words: list[str], fault: str, arguments: tuple[Any, ...], variables: dict[str, str]) -> None:
    from data.errors import run
    from local.train import main

    multiprocessing.set_start_method("fork", force=True)  # of the loader's workers, as in a process of its own
    os.environ.update(variables)
    globals()[fault](*arguments)
    sys.exit(run(lambda: main(words)))


def none() -> None:
    """Nothing wrong."""


def killed_before_update(count: int) -> None:
    """SIGKILL before the `count`-th update of this process."""
    from local.loop import Loop

    Loop.step = _nth_time(count, Loop.step, lambda *_: _die())


def killed_before_naming(pattern: str, count: int) -> None:
    """SIGKILL when the `count`-th file of that name is whole, but has its temporary name still."""
    replace, die = os.replace, _nth_time(count, lambda: None, _die)

    def replace_or_die(source: Any, target: Any) -> None:
        if fnmatch.fnmatch(os.path.basename(target), pattern):
            die()
        replace(source, target)

    os.replace = replace_or_die


def killed_in_half_a_file(count: int) -> None:
    """SIGKILL when half of the `count`-th saved file is written."""
    import io

    import torch

    def half(content: Any, out: Any) -> None:
        whole = io.BytesIO()
        save(content, whole)
        out.write(whole.getvalue()[: len(whole.getvalue()) // 2])
        out.flush()
        _die()

    save = torch.save
    torch.save = _nth_time(count, save, half)


def stalled_loader(keys: list[str]) -> None:
    """The sound of these utterances never comes; nobody is waited for long once a process has given up."""
    from local import watchdog
    from local.batches import Utterances

    sound = Utterances._sound

    def stuck(self: Utterances, row: dict[str, Any]) -> Any:
        if row["key"] in keys:
            time.sleep(600)
        return sound(self, row)

    watchdog.GRACE = 5
    Utterances._sound = stuck


def poisoned(keys: list[str]) -> None:
    """The features of these utterances are no numbers."""
    from local.batches import Utterances

    take = Utterances.__getitem__

    def poison(self: Utterances, index: int) -> dict[str, Any]:
        example = take(self, index)
        return example | {"speech": example["speech"] * float("nan")} if self.rows[index]["key"] in keys else example

    Utterances.__getitem__ = poison


def signalled(name: str, update: int) -> None:
    """The whole process group of this process is asked to stop, in the midst of its `update`-th update."""
    from local.loop import Loop

    step = Loop.step

    def ask(loop: Loop, batches: Any) -> Any:
        os.killpg(0, signal.Signals[name])
        return step(loop, batches)

    os.setpgid(0, 0)
    Loop.step = _nth_time(update, step, ask)


def signalled_in_scoring(name: str, batch: int) -> None:
    """The same while the `batch`-th batch of dev is decoded, and the loader is at work on the next."""
    from local import hearing

    decode = hearing.decode

    def ask(*arguments: Any) -> Any:
        os.killpg(0, signal.Signals[name])
        time.sleep(0.5)  # a worker that obeyed would be gone
        return decode(*arguments)

    os.setpgid(0, 0)
    hearing.decode = _nth_time(batch, decode, ask)


def _nth_time(count: int, usual: Callable[..., Any], then: Callable[..., Any]) -> Callable[..., Any]:
    """Calls `usual`, but the `count`-th time (from 1) `then`."""
    calls = iter(range(1, 10**9))
    return lambda *arguments: (then if next(calls) == count else usual)(*arguments)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

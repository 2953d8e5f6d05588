"""Make the built-in corpora: `python -m local.mini.corpus --output_dir exp_output/mini --general_train 800 …`.

`general`: wideband 16 kHz sentences of daily life. `calls`: the contact centre's "real calls", 8 kHz, other talkers, other
sentences, a busy room and a poor line; some training lines are marked as annotation errors. Each as JSON lines a split.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data.audio import resample, write_wav
from data.babble import mix
from data.call_profiles import Mix
from data.channel_config import read_mix
from data.errors import UserError, run
from data.files import sweep, write_text
from data.telephone_channel import BABBLE, NARROW, VERSION, WIDE, Room, draw, lost_frames, simulate
from local.mini import grammar
from local.mini.speech import speak
from local.mini.talkers import Talker, talkers

SPLITS = ("train", "dev", "test")
UTTERANCES_A_CALL = 5
ONE_IN = 20  # training lines of the calls are annotation errors
# Of the general training sentences in turn: a wideband corpus holds more manners of speaking than its test set. Without the
# enquiries, stage 2 helped the calls' CTC branch alone.
SPOKEN = ("general", "enquiries", "scrambled", "enquiries")
CHUNK = 25  # utterances a process: espeak-ng's jitter depends on what a process said before, so each begins afresh


@dataclass(frozen=True)
class Line:
    """One utterance to be made."""

    key: str
    text: str
    talker: Talker
    call: str


def lines(domain: str, split: str, count: int, seed: int) -> list[Line]:
    """`count` different sentences, call by call, each call one talker."""
    rng = random.Random(f"{seed}/{domain}/{split}")
    group = talkers(f"{domain}_{split}")
    said: set[str] = set()
    made: list[Line] = []
    while len(made) < count:
        if len(made) % UTTERANCES_A_CALL == 0:
            talker = rng.choice(group)
        text = grammar.sentence(_grammar(domain, split, len(made)), split, rng)
        if text not in said:
            said.add(text)
            number = len(made)
            sound = f"{text}/{talker.name}/{seed}/{_poor_line() if domain == 'calls' else ''}/{VERSION}"
            identity = hashlib.sha256(sound.encode()).hexdigest()[:8]  # another sound, another file
            call = f"{domain}_{split}_{number // UTTERANCES_A_CALL:05d}"
            made.append(Line(f"{domain}_{split}_{number:05d}_{identity}", text, talker, call))
    return made


def _grammar(domain: str, split: str, number: int) -> str:
    return SPOKEN[number % len(SPOKEN)] if (domain, split) == ("general", "train") else domain


def make_chunk(chunk: list[Line], folder: Path, domain: str, seed: int) -> int:
    """Synthesise what is missing of a chunk; returns the exit status."""
    paths = [folder / f"{line.key}.wav" for line in chunk]
    if not all(path.exists() for path in paths):
        spoken = [speak(line.text, line.talker) for line in chunk]
        for number, path in enumerate(paths):
            if domain == "general":
                write_wav(path, spoken[number] * 0.5, WIDE)
            else:
                others = [spoken[other] for other, line in enumerate(chunk) if line.call != chunk[number].call]
                write_wav(path, _call(spoken[number], others, chunk[number].key, seed), NARROW)
    return 0


@lru_cache(maxsize=1)
def _poor_line() -> Mix:
    return read_mix("call_centre")


def _call(speech: np.ndarray, others: list[np.ndarray], key: str, seed: int) -> np.ndarray:
    """(n,) at 16 kHz → (n / 2,) at 8 kHz, with some of `others` in the background, over a poor line."""
    draws = draw(_poor_line(), seed, key)
    rng = draws.generator(BABBLE)
    voices = [others[index] for index in rng.permutation(len(others))[: draws.talkers]]
    room = Room(mix(voices, len(speech), rng))
    heard = simulate(speech, draws, lost_frames(draws, len(speech)), room)
    return resample(heard.astype(np.float32) / 32768, WIDE, NARROW)


def manifest(made: list[Line], domain: str, split: str) -> Iterator[str]:
    """JSON lines; every twentieth training line of the calls has a wrong text and says so."""
    for number, line in enumerate(made):
        text = line.text
        if domain == "calls" and split == "train" and number % ONE_IN == ONE_IN - 1:
            text = made[number - 1].text + "<ANNOTATION_ERROR>"
        fields = {"key": line.key, "source": f"{split}/{line.key}.wav", "target": text}
        fields |= {"speaker": line.talker.name, "call": line.call}
        yield json.dumps(fields, ensure_ascii=False) + "\n"


def each_in_its_process(work: Callable[[list], int], chunks: list[list], jobs: int) -> Iterator[list]:
    """Give every chunk a forked process of its own, `jobs` at a time; yields each chunk that is done.

    Raises UserError when a process fails or is killed (a `multiprocessing.Pool` would wait for it for ever).
    """
    fork = multiprocessing.get_context("fork")
    waiting = chunks[::-1]
    running: dict[Any, tuple[ForkProcess, list]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            chunk = waiting.pop()
            process = fork.Process(target=_exit_with, args=(partial(work, chunk),), daemon=True)
            process.start()
            running[process.sentinel] = process, chunk
        for sentinel in connection.wait(list(running)):
            process, chunk = running.pop(sentinel)
            process.join()
            if process.exitcode:
                raise UserError(f"a process ended with {process.exitcode} (-9: killed); the same command goes on from there")
            yield chunk


def _exit_with(task: Callable[[], int]) -> None:
    """The body of such a process: what the user can mend is one line here too."""
    sys.exit(run(task))


def make(domain: str, split: str, count: int, folder: Path, seed: int, jobs: int) -> None:
    """Sound files first, the manifest last."""
    made = lines(domain, split, count, seed)
    chunks = [made[begin : begin + CHUNK] for begin in range(0, count, CHUNK)]
    for room in (folder / domain, folder / domain / split):
        sweep(room)
    work = partial(make_chunk, folder=folder / domain / split, domain=domain, seed=seed)
    with tqdm(total=count, desc=f"{domain} {split}", disable=None) as bar:
        for done in each_in_its_process(work, chunks, jobs):
            bar.update(len(done))
    write_text(folder / domain / f"{split}.jsonl", "".join(manifest(made, domain, split)))
    print(f"{folder / domain / split}.jsonl: {count} utterances")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    for domain in grammar.DOMAINS:
        for split in SPLITS:
            parser.add_argument(f"--{domain}_{split}", type=int, required=True, help="utterances")
    arguments = parser.parse_args(argv)
    for domain in grammar.DOMAINS:
        for split in SPLITS:
            make(domain, split, getattr(arguments, f"{domain}_{split}"), arguments.output_dir, arguments.seed, arguments.jobs)
    write_text(arguments.output_dir / "keywords.txt", "".join(f"{word}\n" for word in grammar.KEYWORDS))
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))

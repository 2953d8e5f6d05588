"""Decode and score one model: `python -m local.evaluate --model DIR --data FILE [--keywords FILE] [--output_dir DIR]`.

DIR is any folder of a FunASRNano, ours or not (without a CTC branch its LLM alone is scored), or a name on the hub; FILE
is training JSONL or a corpus in any form that stage 0 reads, 8 kHz too. The driver names its sets (`--set guard=JSONL`),
scores another checkpoint in the folder (`--checkpoint`), and starts it by torchrun where several processes share the work.

Test calls, speakers or sound that are found in the rows of --train stop it, with the list in in_train.txt (in the output
folder, else in the current one). It writes decode/NAME.jsonl for each set (key, reference, both hypotheses, why the LLM's
was cut where it was, its errors in their place) and, last of all, results.json, and prints a table. The calls are also
scored with the texts that the model heard in *other* utterances: if it listens, that is far worse. With --keywords the test
calls are decoded twice more, with lists of them in the prompt: the whole one, and what of it the utterance does not hold.
In the set `silence` nobody speaks: its texts are counted as false alarms. With --originals, some calls are decoded from the
original 8 kHz files by an unmodified AutoModel, and both ways are compared.
"""
from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/evaluate.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import contextlib
import json
import logging
import os
import re
from tempfile import TemporaryDirectory

import torch

from data.errors import run
from data.files import sweep, write_text
from data.manifest import read_rows, write_rows
from data.one_core import keep_freed_memory
from data.prompt import DEFAULT_PROMPT, target
from data.text import NORMALISER
from local import contamination, devices, distributed, evaluation_inputs
from local.batches import Featuriser, Utterances
from local.bootstrap import noted
from local.compare import Line
from local.decoded_set import decoded, score_llm, score_set, score_silence, silence_told, told
from local.distributed import World
from local.fetch_model import folder_of
from local.figures import in_percent
from local.hearing import BATCHING, hear, in_order
from local.hotwords import Lists, scored_with
from local.keywords import blind_guess_kwer, read_classes, read_keywords
from local.metrics_log import board_scores
from local.nano import build
from local.originals import compare_ways, hear_originals, ways_told, with_originals
from local.scored_sets import CONVERTED, convert, is_ready, read_set
from local.table import score_lines

CALLS, CALLS_DEV, SILENCE = "calls_test", "calls_dev", "silence"
GENERAL = ("telephone_test", "guard")  # no business words are said there


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", "--model_dir", required=True, help="a FunASR folder or a hub name", dest="model_dir")
    parser.add_argument("--checkpoint", default="released", help="tensors to score in place of the folder's own, `released`")
    parser.add_argument("--data", "--set", action="append", required=True, metavar="[NAME=]FILE", dest="sets",
                        help=f"once for each set; without a name it is the calls' test set, {CALLS}")
    parser.add_argument("--prompt", default=DEFAULT_PROMPT, help="with which a corpus that is no training JSONL is asked")
    parser.add_argument("--train", type=Path, nargs="+", action="extend", default=[], metavar="JSONL",
                        help="rows with which no test set may share a call, a speaker or a sound")
    parser.add_argument("--known_speakers", action="store_true", help="speakers may be shared; the results then say so")
    parser.add_argument("--keywords", type=Path, help="one keyword a line")
    parser.add_argument("--keywords_from", type=Path, metavar="JSONL", help="texts that a blind guesser of keywords knows")
    parser.add_argument("--originals", type=int, default=0, metavar="N", help="calls to decode from their original files too")
    parser.add_argument("--output_dir", type=Path, help="for texts and results; without it they are only printed")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: as the driver chooses")
    arguments = parser.parse_args(argv)
    named = [item.partition("=") if re.match(r"\w+=", item) else (CALLS, "=", item) for item in arguments.sets]
    arguments.sets = {name: file for name, _, file in named}
    if len(arguments.sets) < len(named):
        parser.error("two sets of one name: --data NAME=FILE gives each its own")
    if "WORLD_SIZE" in os.environ and (arguments.output_dir is None or arguments.device == "auto"):
        parser.error("several processes need an --output_dir and a --device")
    arguments.listed_in = arguments.output_dir or Path()  # what must not vanish with texts that are only printed
    return arguments


class Recogniser:
    """A checkpoint with all that turns rows into texts, in one of the processes that share the work."""

    def __init__(self, model_dir: str, checkpoint: str, world: World) -> None:
        self.world = world
        start = None if checkpoint == "released" else checkpoint
        self.model, settings = build(model_dir, start, {}, str(world.device), needs_ctc=False)
        self.model.eval()
        self.tokenizer = settings["tokenizer"]
        self.featuriser = Featuriser(settings, self.model)
        if world.is_main and self.model.ctc_decoder is None:
            print(f"{model_dir}: has no CTC branch, its LLM alone is scored", flush=True)

    def decode(self, rows: list[dict], title: str, hotwords: Lists | None = None) -> list[Line]:
        """For every row, in order: key, reference and the texts of both branches; nothing but in process 0."""
        data = Utterances(rows, self.featuriser, hotwords=hotwords)
        batching = BATCHING[self.world.device.type]
        heard = hear(self.model, self.tokenizer, data, batching, self.world, title)
        numbered = ((index, one) for part, _, found in heard for index, one in zip(part, found, strict=True))
        return [decoded(row, one) for row, one in zip(rows, in_order(numbered, self.world), strict=self.world.is_main)]


def training_summary(folder: Path) -> dict:
    """Dev losses before and after, and the gate, of the training in this folder; nothing for the baseline."""
    path = folder / "summary.json"
    if not path.exists():
        return {}
    summary = json.loads(path.read_text(encoding="utf-8"))
    return {"loss_before": summary["before"], "loss": summary["after"], "gate": summary["gate"], "chosen": summary["chosen"]}


def blind(arguments: argparse.Namespace, keywords: list[str] | None, sets: dict[str, list[dict]]) -> dict[str, float | None]:
    """KWER of who guesses without listening, where calls' keywords are scored at all."""
    if not (keywords and arguments.keywords_from and CALLS in sets):
        return {}
    train, test = ([target(row["messages"]) for row in rows] for rows in (read_rows(arguments.keywords_from), sets[CALLS]))
    return {"blind_kwer": blind_guess_kwer(train, test, keywords)}


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    evaluation_inputs.check(arguments)
    arguments.model_dir = folder_of(arguments.model_dir)
    logging.getLogger().setLevel(logging.ERROR)  # FunASR tells of every part that it builds
    world = distributed.join(picked(arguments.device))
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", max(1, (os.cpu_count() or 1) // world.size))))
    if world.device.type == "cpu":
        keep_freed_memory()
    room = ""
    with contextlib.ExitStack() as stack:
        stack.callback(distributed.leave, world)
        if arguments.output_dir is None:
            room = stack.enter_context(TemporaryDirectory(prefix="evaluate_"))
            arguments.output_dir = Path(room) / Path(arguments.model_dir).name
        evaluate(arguments, world)
        if room:
            print("texts and results are not kept: --output_dir FOLDER does, for `python -m local.compare`")
    return 0


def picked(device: str) -> str:
    """The device itself; of `auto` what the driver would choose."""
    if device != "auto":
        return device
    choice = devices.pick(os.environ)
    devices.verify(choice)
    print(f"{choice.device}: {choice.reason}", flush=True)
    return choice.device


def evaluate(arguments: argparse.Namespace, world: World) -> None:
    """Decode all sets, in all processes; score and write them in process 0."""
    folder = arguments.output_dir
    if world.is_main:
        for room in (folder, folder / "decode"):
            sweep(room)
        (folder / contamination.LIST).unlink(missing_ok=True)
    sets = read_sets(arguments, world)
    keywords = read_keywords(arguments.keywords) if arguments.keywords else None
    classes = read_classes(arguments.keywords) if arguments.keywords else None
    results = {"checkpoint": arguments.checkpoint, "normaliser": NORMALISER, "sets": {}}
    if world.is_main:
        results |= known_speakers(arguments, sets) | blind(arguments, keywords, sets)
    recogniser = Recogniser(arguments.model_dir, arguments.checkpoint, world)
    for name, rows in sets.items():
        heard = recogniser.decode(rows, name)
        if world.is_main:
            write_rows(folder / "decode" / f"{name}.jsonl", heard)
        if world.is_main and name == SILENCE:
            results[SILENCE] = score_silence(rows, heard)
            print(silence_told(f"{folder.name} {name}", results[SILENCE]), flush=True)
        elif world.is_main:
            listening = name in (CALLS, CALLS_DEV) and len(rows) > 1
            scores = score_set(heard, None if name in GENERAL else keywords, listening, classes)
            results["sets"][name] = scores
            print(told(f"{folder.name} {name}", scores), flush=True)
        if name == CALLS and keywords:
            results["sets"][name] = results["sets"].get(name, {}) | evaluate_lists(folder, recogniser, rows, keywords, classes)
        if name == CALLS and arguments.originals:
            results |= evaluate_originals(arguments, rows, heard, world)
    if world.is_main:
        results |= training_summary(folder)
        board_scores(folder, results)
        write_text(folder / "results.json", json.dumps(results, ensure_ascii=False, indent=1))
        print("\n".join(noted(score_lines(results))), flush=True)


def read_sets(arguments: argparse.Namespace, world: World) -> dict[str, list[dict]]:
    """The rows of each set. What is no training JSONL becomes such, by process 0."""
    files = {}
    for name, file in arguments.sets.items():
        room = arguments.output_dir / "data" / name
        files[name] = file if is_ready(file) else room / CONVERTED
        if world.is_main and not is_ready(file):
            convert(file, room, arguments.prompt)
    world.wait()
    return {name: read_set(file) for name, file in files.items()}


def known_speakers(arguments: argparse.Namespace, sets: dict[str, list[dict]]) -> dict[str, dict]:
    """What to add to the results where somebody speaks in train and in a test set, and the user knows it."""
    tested = {name: rows for name, rows in sets.items() if not name.endswith("_dev")}
    found = contamination.check(tested, arguments.train, arguments.known_speakers, arguments.listed_in)
    return {"known_speakers": found} if found else {}


def evaluate_lists(
    folder: Path, recogniser: Recogniser, rows: list[dict], keywords: list[str], classes: dict[str, str] | None
) -> dict:
    """The calls with lists of keywords in their prompts, in all processes; the scores of the LLM, in process 0."""
    scores = {}
    for way, lists in scored_with(keywords).items():
        heard = recogniser.decode(rows, f"{CALLS} {way}", lists)
        if heard:
            lines = [line | {"hotwords": lists(row, 0)} for line, row in zip(heard, rows, strict=True)]
            write_rows(folder / "decode" / f"{CALLS}_{way}.jsonl", lines)
            scores[way] = score_llm(lines, keywords, classes)
            told_kwer = in_percent(scores[way]["keywords"]["kwer"])
            print(f"{told(f'{folder.name} {CALLS} {way}', {'llm': scores[way]})}, KWER {told_kwer}", flush=True)
    return scores


def evaluate_originals(arguments: argparse.Namespace, rows: list[dict], heard: list[Line], world: World) -> dict:
    """The calls from their original files, in all processes; what to add to the results, in process 0."""
    title = f"{arguments.output_dir.name} {CALLS}"
    chosen = with_originals(rows, arguments.originals)
    found = in_order(hear_originals(arguments.model_dir, arguments.checkpoint, chosen, world), world) if chosen else []
    if not found:
        if world.is_main:
            print(f"{title}: not decoded from original files: no row names one, or AutoModel has not its prompt", flush=True)
        return {}
    lines = [decoded(row, one) for row, one in zip(chosen, found, strict=True)]
    write_rows(arguments.output_dir / "decode" / f"{CALLS}_originals.jsonl", lines)
    result = compare_ways(heard, lines)
    print(ways_told(title, result), flush=True)
    return {"originals": result}


if __name__ == "__main__":
    raise SystemExit(run(main))

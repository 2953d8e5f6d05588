"""Decode and score one checkpoint: `python local/evaluate.py --model_dir DIR --checkpoint CKPT|released
--set calls_test=JSONL --set … --keywords FILE --output_dir DIR --device cpu|cuda`, by torchrun where there are several
processes, which share the utterances.

Writes decode/NAME.jsonl for each set (key, reference, both hypotheses, why the LLM's was cut where it was, its errors in
their place) and, last of all, results.json. Where a calls' test set is among them it is also scored with the texts that
the model heard in *other* utterances: if it listens, that is far worse. With --keywords it is decoded twice more, with lists of
them in the prompt: the whole one, and what of it the utterance does not hold. With --originals, some of it is decoded from the
original 8 kHz files by an unmodified AutoModel, and both ways are compared.
"""
from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/evaluate.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import logging
import os

import torch

from data.errors import UserError, run
from data.files import sweep, write_text
from data.manifest import read_rows, write_rows
from data.one_core import keep_freed_memory
from data.prompt import target
from data.text import NORMALISER, normalise, units
from local import distributed
from local.alignment import marked
from local.batches import Featuriser, Utterances
from local.compare import Line
from local.decode import Heard
from local.distributed import World
from local.hearing import Batching, hear, in_order
from local.hotwords import Lists, scored_with
from local.keywords import blind_guess_kwer, read_keywords
from local.nano import build
from local.originals import compare_ways, hear_originals, ways_told, with_originals
from local.runaway import LENGTH, LOOP
from local.scoring import score

# A step of the LLM takes a GPU as long for many texts as for few, and a worker makes features at some hundred times real
# time. The largest batch of the released model there: 8 GB of keys and values, 1 GB of CTC scores.
BATCHING = {"cpu": Batching(8192, 32, 1), "cuda": Batching(32768, 256, 4)}
CALLS = "calls_test"


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_dir", required=True, help="the released model: a FunASR folder or a hub name")
    parser.add_argument("--checkpoint", required=True, help="tensors to score, or `released`")
    parser.add_argument("--set", action="append", required=True, metavar="NAME=JSONL", dest="sets", help="once for each set")
    parser.add_argument("--keywords", type=Path, help="one keyword a line")
    parser.add_argument("--keywords_from", type=Path, metavar="JSONL", help="texts that a blind guesser of keywords knows")
    parser.add_argument("--originals", type=int, default=0, metavar="N", help="calls to decode from their original files too")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    arguments = parser.parse_args(argv)
    for item in arguments.sets:
        if "=" not in item:
            parser.error(f"--set {item!r}: write NAME=JSONL")
    return arguments


class Recogniser:
    """A checkpoint with all that turns rows into texts, in one of the processes that share the work."""

    def __init__(self, model_dir: str, checkpoint: str, world: World) -> None:
        self.world = world
        start = None if checkpoint == "released" else checkpoint
        self.model, settings = build(model_dir, start, {}, str(world.device))
        self.model.eval()
        self.tokenizer = settings["tokenizer"]
        self.featuriser = Featuriser(settings, self.model.ctc_tokenizer, self.model.use_low_frame_rate)

    def decode(self, rows: list[dict], title: str, hotwords: Lists | None = None) -> list[Line]:
        """For every row, in order: key, reference and the texts of both branches; nothing but in process 0."""
        data = Utterances(rows, self.featuriser, hotwords=hotwords)
        batching = BATCHING[self.world.device.type]
        heard = hear(self.model, self.tokenizer, data, batching, self.world, title)
        numbered = ((index, one) for part, _, found in heard for index, one in zip(part, found, strict=True))
        return [decoded(row, one) for row, one in zip(rows, in_order(numbered, self.world), strict=self.world.is_main)]


def decoded(row: dict, heard: Heard) -> Line:
    """The line of an utterance in decode/NAME.jsonl."""
    line = {"key": row["key"], "ref": target(row["messages"]), "llm": heard.llm, "ctc": heard.ctc}
    line |= {name: row[name] for name in ("call", "speaker") if name in row}
    line |= {"cut": heard.cut} if heard.cut else {}
    return line | {"llm_errors": marked(*(units(normalise(line[side])) for side in ("ref", "llm")))}


def read_set(path: str) -> list[dict]:
    """Rows of a set; two of one key would be scored as one, so they are an error."""
    rows = read_rows(path)
    first: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        if first.setdefault(row["key"], number) != number:
            raise UserError(f"{path}: rows {first[row['key']]} and {number} have the key {row['key']}: give each its own")
    return rows


def score_set(heard: list[Line], keywords: list[str] | None, listening: bool) -> dict[str, dict]:
    """Scores of both branches, how many texts of the LLM were cut and why, and, with `listening`, the scores of its
    texts dealt out to the wrong utterances."""
    refs = {line["key"]: line["ref"] for line in heard}
    scores = {branch: score(refs, {line["key"]: line[branch] for line in heard}, keywords) for branch in ("llm", "ctc")}
    scores["llm"]["cut"] = {reason: sum(line.get("cut") == reason for line in heard) for reason in (LENGTH, LOOP)}
    if listening:
        others = heard[1:] + heard[:1]
        wrong = {line["key"]: other["llm"] for line, other in zip(heard, others, strict=True)}
        scores["other_audio"] = score(refs, wrong, keywords)
    return scores


def told(title: str, scores: dict[str, dict]) -> str:
    """The line of a set in the log."""
    llm, ctc = (percent(scores[branch]["cer"]) for branch in ("llm", "ctc"))
    cuts = ", ".join(f"{count} texts cut by {reason}" for reason, count in scores["llm"]["cut"].items() if count)
    return f"{title}: CER {llm} (LLM) {ctc} (CTC), {scores['llm']['utterances']} utterances{cuts and ', ' + cuts}"


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
    logging.getLogger().setLevel(logging.ERROR)  # FunASR tells of every part that it builds
    world = distributed.join(arguments.device)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", max(1, (os.cpu_count() or 1) // world.size))))
    if arguments.device == "cpu":
        keep_freed_memory()
    try:
        evaluate(arguments, world)
    finally:
        distributed.leave(world)
    return 0


def evaluate(arguments: argparse.Namespace, world: World) -> None:
    """Decode all sets, in all processes; score and write them in process 0."""
    sets = {name: read_set(path) for name, _, path in (item.partition("=") for item in arguments.sets)}
    keywords = read_keywords(arguments.keywords) if arguments.keywords else None
    results = {"checkpoint": arguments.checkpoint, "normaliser": NORMALISER, "sets": {}}
    if world.is_main:
        for room in (arguments.output_dir, arguments.output_dir / "decode"):
            sweep(room)
    recogniser = Recogniser(arguments.model_dir, arguments.checkpoint, world)
    for name, rows in sets.items():
        heard = recogniser.decode(rows, name)
        if world.is_main:
            write_rows(arguments.output_dir / "decode" / f"{name}.jsonl", heard)
            scores = score_set(heard, keywords if name.startswith("calls") else None, name == CALLS and len(rows) > 1)
            results["sets"][name] = scores
            print(told(f"{arguments.output_dir.name} {name}", scores), flush=True)
        if name == CALLS and keywords:
            results["sets"][name] = results["sets"].get(name, {}) | evaluate_lists(arguments, recogniser, rows, keywords)
        if name == CALLS and arguments.originals:
            results |= evaluate_originals(arguments, rows, heard, world)
    if world.is_main:
        results |= training_summary(arguments.output_dir) | blind(arguments, keywords, sets)
        write_text(arguments.output_dir / "results.json", json.dumps(results, ensure_ascii=False, indent=1))


def evaluate_lists(arguments: argparse.Namespace, recogniser: Recogniser, rows: list[dict], keywords: list[str]) -> dict:
    """The calls with lists of keywords in their prompts, in all processes; the scores of the LLM, in process 0."""
    scores = {}
    for way, lists in scored_with(keywords).items():
        heard = recogniser.decode(rows, f"{CALLS} {way}", lists)
        if heard:
            lines = [line | {"hotwords": lists(row, 0)} for line, row in zip(heard, rows, strict=True)]
            write_rows(arguments.output_dir / "decode" / f"{CALLS}_{way}.jsonl", lines)
            found = score_set(lines, keywords, False)
            scores[way] = found["llm"]
            told_kwer = percent(found["llm"]["keywords"]["kwer"])
            print(f"{told(f'{arguments.output_dir.name} {CALLS} {way}', found)}, KWER {told_kwer}", flush=True)
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


def percent(rate: float | None) -> str:
    return "n/a" if rate is None else f"{rate:.2f} %"


if __name__ == "__main__":
    raise SystemExit(run(main))

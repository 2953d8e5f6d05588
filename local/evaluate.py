"""Decode and score one checkpoint: `python local/evaluate.py --model_dir DIR --checkpoint CKPT|released
--set calls_test=JSONL --set … --keywords FILE --output_dir DIR --device cpu|cuda`.

Writes decode/NAME.jsonl for each set (key, reference, both hypotheses, the LLM's errors in their place) and, last of all,
results.json. Where a calls' test set is among them it is also scored with the texts that the model heard in *other*
utterances: if it listens, that is far worse.
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
from tqdm import tqdm

from data.errors import UserError, run
from data.files import sweep, write_text
from data.manifest import read_rows
from data.prompt import target
from data.text import NORMALISER, normalise, units
from local.alignment import marked
from local.batches import Featuriser, Utterances, loader, plan, to_device, tokens_of
from local.decode import decode
from local.keywords import blind_guess_kwer, read_keywords
from local.nano import build
from local.scoring import score

BATCH_TOKENS, BATCH_UTTERANCES = 8192, 32
CALLS = "calls_test"


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_dir", required=True, help="the released model: a FunASR folder or a hub name")
    parser.add_argument("--checkpoint", required=True, help="tensors to score, or `released`")
    parser.add_argument("--set", action="append", required=True, metavar="NAME=JSONL", dest="sets", help="once for each set")
    parser.add_argument("--keywords", type=Path, help="one keyword a line")
    parser.add_argument("--keywords_from", type=Path, metavar="JSONL", help="texts that a blind guesser of keywords knows")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    arguments = parser.parse_args(argv)
    for item in arguments.sets:
        if "=" not in item:
            parser.error(f"--set {item!r}: write NAME=JSONL")
    return arguments


class Recogniser:
    """A checkpoint with all that turns rows into texts."""

    def __init__(self, model_dir: str, checkpoint: str, device: str) -> None:
        self.device = torch.device(device)
        start = None if checkpoint == "released" else checkpoint
        self.model, settings = build(model_dir, start, {}, device)
        self.model.eval()
        self.tokenizer = settings["tokenizer"]
        self.featuriser = Featuriser(settings, self.model.ctc_tokenizer, self.model.use_low_frame_rate)

    def decode(self, rows: list[dict], title: str) -> list[dict[str, str]]:
        """For every row, in order: key, reference and the texts of both branches."""
        data = Utterances(rows, self.featuriser)
        batches = plan([tokens_of(row) for row in rows], BATCH_TOKENS, BATCH_UTTERANCES, seed=0, epoch=0)
        heard: dict[int, dict[str, str]] = {}
        for part, batch in zip(batches, tqdm(loader(data, batches, 1), title, disable=None), strict=True):
            batch = to_device(batch, self.device)
            for index, llm, ctc in zip(part, *decode(self.model, self.tokenizer, batch, batch["sources"]), strict=True):
                row = rows[index]
                heard[index] = {"key": row["key"], "ref": target(row["messages"]), "llm": llm, "ctc": ctc}
                heard[index] |= {name: row[name] for name in ("call", "speaker") if name in row}
                heard[index]["llm_errors"] = marked(*(units(normalise(heard[index][side])) for side in ("ref", "llm")))
        return [heard[index] for index in range(len(rows))]


def read_set(path: str) -> list[dict]:
    """Rows of a set; two of one key would be scored as one, so they are an error."""
    rows = read_rows(path)
    first: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        if first.setdefault(row["key"], number) != number:
            raise UserError(f"{path}: rows {first[row['key']]} and {number} have the key {row['key']}: give each its own")
    return rows


def score_set(heard: list[dict[str, str]], keywords: list[str] | None, listening: bool) -> dict[str, dict]:
    """Scores of both branches and, with `listening`, of the LLM's texts dealt out to the wrong utterances."""
    refs = {line["key"]: line["ref"] for line in heard}
    scores = {branch: score(refs, {line["key"]: line[branch] for line in heard}, keywords) for branch in ("llm", "ctc")}
    if listening:
        others = heard[1:] + heard[:1]
        wrong = {line["key"]: other["llm"] for line, other in zip(heard, others, strict=True)}
        scores["other_audio"] = score(refs, wrong, keywords)
    return scores


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
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    sets = {name: read_set(path) for name, _, path in (item.partition("=") for item in arguments.sets)}
    keywords = read_keywords(arguments.keywords) if arguments.keywords else None
    for room in (arguments.output_dir, arguments.output_dir / "decode"):
        sweep(room)
    recogniser = Recogniser(arguments.model_dir, arguments.checkpoint, arguments.device)
    results = {"checkpoint": arguments.checkpoint, "normaliser": NORMALISER, "sets": {}}
    for name, rows in sets.items():
        heard = recogniser.decode(rows, name)
        lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in heard)
        write_text(arguments.output_dir / "decode" / f"{name}.jsonl", lines)
        results["sets"][name] = score_set(heard, keywords if name.startswith("calls") else None, name == CALLS and len(rows) > 1)
        llm, ctc = (results["sets"][name][branch]["cer"] for branch in ("llm", "ctc"))
        title = f"{arguments.output_dir.name} {name}"
        print(f"{title}: CER {percent(llm)} (LLM) {percent(ctc)} (CTC), {len(rows)} utterances", flush=True)
    results |= training_summary(arguments.output_dir) | blind(arguments, keywords, sets)
    write_text(arguments.output_dir / "results.json", json.dumps(results, ensure_ascii=False, indent=1))
    return 0


def percent(rate: float | None) -> str:
    return "n/a" if rate is None else f"{rate:.2f} %"


if __name__ == "__main__":
    raise SystemExit(run(main))

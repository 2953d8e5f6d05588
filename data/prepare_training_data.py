#!/usr/bin/env python3
"""Turn a corpus into training JSONL with 16 kHz audio, or check training JSONL.

    prepare_training_data.py convert --manifest IN --output DIR/train.jsonl [--filter_annotation_error]
    prepare_training_data.py convert --manifest IN --output DIR/dev.jsonl --split_test DIR/test.jsonl
    prepare_training_data.py validate FILE… [--check_audio]

`convert` reads every form of data/corpora.py. 8 kHz and other audio becomes 16 kHz WAV under
DIR/shards/<name>/; a WAV that is 16 kHz, mono, 16 bit and whole is referenced where it lies. Every line that
could not be used stands with its reason in DIR/rejected/<name>.jsonl. After a kill the same command makes
only what is missing.

--filter_annotation_error leaves out the lines that are marked as wrong. Of a training set, which is an output
called train.jsonl, it also leaves out what is implausible by the rules of data/plausibility.py; dev and test
are never filtered by those.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: the top folder must come first (PyPI has a package `data` too)
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
from collections.abc import Sequence

from data import conversion, options, prompt
from data.conversion import Converter
from data.errors import UserError, run
from data.make_split import job_of, make_split, plan_split
from data.plausibility import Rules, choose_rules, wanted
from data.selection import Request
from data.split import Split
from data.validation import validate

TRAIN = "train"  # the output to which rules may apply


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run the subcommand."""
    args = _parser().parse_args(argv)
    if args.command == "validate":
        passed = validate(args.files, args.check_audio, args.token_list, args.summary, args.page, args.known_speakers)
        return 0 if passed else 1
    return _convert(args)


def _convert(args: argparse.Namespace) -> int:
    outputs = [args.output] if args.split_test is None else [args.output, args.split_test]
    for output in outputs:
        if output.suffix != ".jsonl":
            raise UserError(f"{output}: the output must be called NAME.jsonl")
        options.refuse_same(args.manifest, output)
    if args.split_test is not None:
        options.refuse_same(args.output, args.split_test)
    rules, halved = _rules(args), args.split_test is not None
    request = Request(args.manifest, args.filter_annotation_error, rules, args.format, args.min_confidence, halved, args.limit)
    means = options.means(args)
    if halved and means.shard is not None:
        raise UserError("--shard goes with one output: with --split_test there are two")
    plan = plan_split(request, args.output.parent, args.output.stem, means)
    parts = [plan, plan.other_half()] if halved else [plan]
    if not all(part.kept() for part in parts):
        raise UserError(f"{args.manifest}: is all of one call, which cannot be dev and test; give a test manifest")
    settings = {"conversion": conversion.VERSION, "copy": args.force_copy} | options.stored(args)
    for output, part in zip(outputs, parts, strict=True):
        split = Split(output.parent, output.stem, settings, args.prompt)
        work = Converter(args.force_copy, wanted(rules), args.storage)
        print(make_split(job_of(split, part, work, rules, means), means))
    return 0


def _rules(args: argparse.Namespace) -> Rules:
    """The rules that hold for the output: none but for a training set that is to be filtered."""
    rules = choose_rules(args.rule)
    if args.output.stem == TRAIN and args.split_test is None and args.filter_annotation_error:
        return rules
    if args.rule:
        raise UserError(f"--rule {args.rule[0]}: the rules hold for a training set that is filtered: "
                        f"--output DIR/{TRAIN}.jsonl --filter_annotation_error")
    return ()


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    convert = commands.add_parser("convert", help="corpus to training JSONL")
    convert.add_argument("--manifest", type=Path, required=True, help="a corpus of any --format, such as WenetSpeech.json#M")
    convert.add_argument("--output", type=Path, required=True, metavar="DIR/NAME.jsonl")
    convert.add_argument("--split_test", type=Path, metavar="DIR/NAME.jsonl",
                         help="halve the manifest by hash of the call: one half to --output, the other here")
    convert.add_argument("--filter_annotation_error", action="store_true",
                         help="reject texts marked <ANNOTATION_ERROR> (otherwise the mark is only taken off) and, of "
                              "a training set, what is implausible")
    options.add_reading(convert)
    options.add_rules(convert)
    convert.add_argument("--prompt", default=prompt.DEFAULT_PROMPT)
    convert.add_argument("--force_copy", action="store_true", help="copy even what could be referenced")
    options.add_shared(convert)
    check = commands.add_parser("validate", help="check training JSONL")
    check.add_argument("files", type=Path, nargs="+", metavar="FILE")
    check.add_argument("--check_audio", action="store_true", help="listen to every sound file too")
    check.add_argument("--token_list", type=Path, help="of the CTC branch: one token a line, or a JSON list")
    check.add_argument("--known_speakers", action="store_true", help="who speaks in one split may speak in another")
    check.add_argument("--summary", type=Path, metavar="JSON", help="where to write all figures and findings")
    check.add_argument("--page", type=Path, metavar="HTML", help="where to write a page to read and listen to")
    return parser


if __name__ == "__main__":
    raise SystemExit(run(main))

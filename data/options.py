"""Options that both commands of stage 0 share."""

from __future__ import annotations

import argparse
from pathlib import Path

from data.corpora import FORMATS
from data.engines import ENGINES, available_cores
from data.errors import UserError
from data.make_split import Means
from data.plausibility import RULES
from data.storage import FORMS, WAV


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that shows a module's docstring as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_shared(parser: argparse.ArgumentParser) -> None:
    """How a split is made: --jobs, --limit, --storage, and where and in what parts."""
    parser.add_argument("--jobs", type=positive, default=available_cores(), metavar="N",
                        help="processes at a time (default: one a core)")
    parser.add_argument("--limit", type=positive, metavar="N",
                        help="make the first N usable utterances only; all text is still checked")
    parser.add_argument("--storage", choices=FORMS, default=WAV,
                        help="wav: 16 kHz, 16 bit (default); flac: the same, packed; mu-law: 8 kHz, 8 bit, for telephone speech")
    parser.add_argument("--engine", choices=ENGINES, default="local",
                        help="local: this machine (default); ray: the cluster that RAY_ADDRESS names")
    parser.add_argument("--num_shards", type=positive, metavar="N", help="parts that are made one by one (default: by size)")
    parser.add_argument("--shard", type=natural, metavar="I",
                        help="make this shard alone, 0 to N-1, as one task of an array; then the same without --shard")


def means(args: argparse.Namespace) -> Means:
    """How a split is to be made. Raises UserError for a shard that there is not."""
    if args.shard is not None and not (args.num_shards and args.shard < args.num_shards):
        raise UserError(f"--shard {args.shard}: give --num_shards N too, and a shard from 0 to N-1")
    return Means(args.engine, args.jobs, args.num_shards, args.shard)


def stored(args: argparse.Namespace) -> dict[str, str]:
    """The form in which sound is kept, as a setting of a split."""
    return {} if args.storage == WAV else {"storage": args.storage}


def add_reading(parser: argparse.ArgumentParser) -> None:
    """--format and --min_confidence."""
    parser.add_argument("--format", choices=FORMATS, default="auto", help="the form of the manifest (default: seen from it)")
    parser.add_argument("--min_confidence", type=rate, default=0.0, metavar="C",
                        help="WenetSpeech: leave out segments of less confidence")


def add_rules(parser: argparse.ArgumentParser) -> None:
    """--rule, to be read by `plausibility.choose_rules`."""
    rules = "; ".join(f"{rule.name}: {rule}" for rule in RULES)
    parser.add_argument("--rule", nargs="+", action="extend", default=[], metavar="NAME=BOUND|off",
                        help="another bound for a rule, or none. The rules: "
                             + rules.replace("%", "%%"))


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def natural(text: str) -> int:
    """A whole number from 0, for argparse."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def rate(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return value


def refuse_same(source: Path, target: Path) -> None:
    """Raises UserError when the output would take the place of the input."""
    if source.resolve() == target.resolve():
        raise UserError(f"{target}: input and output are the same file; choose another output")

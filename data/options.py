"""Options that both commands of stage 0 share."""

from __future__ import annotations

import argparse
from pathlib import Path

from data.corpora import FORMATS
from data.errors import UserError
from data.plausibility import RULES
from data.shards import available_cores


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that shows a module's docstring as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_shared(parser: argparse.ArgumentParser) -> None:
    """--jobs and --limit."""
    parser.add_argument("--jobs", type=positive, default=available_cores(), metavar="N",
                        help="processes at a time (default: one a core)")
    parser.add_argument("--limit", type=positive, metavar="N",
                        help="make the first N usable utterances only; all text is still checked")


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

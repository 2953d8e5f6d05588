"""What a check found, a line each: ✓ a fact, ! worth knowing, ✗ must be mended before anything trains, and how."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Literal, NamedTuple

from data.colour import Colour, paint
from data.errors import UserError

Mark = Literal["✓", "!", "✗"]
COLOURS: dict[Mark, Colour] = {"✓": "green", "!": "yellow", "✗": "red"}


class Finding(NamedTuple):
    """One line of the preflight."""

    mark: Mark
    words: str


def fact(words: str) -> Finding:
    return Finding("✓", words)


def worth_knowing(words: str) -> Finding:
    return Finding("!", words)


def fault(words: str) -> Finding:
    return Finding("✗", words)


def verdict(problem: str | None, otherwise: str) -> Finding:
    """A fault where there is a problem, else the fact."""
    return fault(problem) if problem else fact(otherwise)


def passes(subject: str, findings: Iterable[Finding]) -> bool:
    """Print what a check finds, as it finds it. True without a fault; an error of the user's is one."""
    passed = True
    try:
        for finding in findings:
            _tell(subject, finding)
            passed &= finding.mark != "✗"
    except UserError as error:
        _tell(subject, fault(str(error)))
        return False
    return passed


def _tell(subject: str, finding: Finding) -> None:
    print(f"  {paint(finding.mark, COLOURS[finding.mark], sys.stdout)} {subject:<9} {finding.words}", flush=True)

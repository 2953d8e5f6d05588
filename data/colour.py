"""Colour on a terminal, and nowhere else: a log and a pipe get plain bytes. NO_COLOR (no-color.org) turns it off."""

from __future__ import annotations

import os
from typing import Literal, TextIO

CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}

Colour = Literal["bold", "dim", "red", "green", "yellow", "cyan"]


def paint(text: str, colour: Colour, stream: TextIO) -> str:
    """The text as it is to be printed to this stream. Pad it before: the codes have no width."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain else f"\x1b[{CODES[colour]}m{text}\x1b[0m"

"""The token list of a CTC branch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from data.errors import UserError


def read_tokens(path: Path) -> frozenset[str]:
    """A token list: one a line, the first word of it, or a JSON list. Raises UserError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        listed = json.loads(text) if text.lstrip().startswith("[") else _words(text)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a token list ({error})") from None
    tokens = frozenset(token for token in listed if isinstance(token, str))
    if not tokens:
        raise UserError(f"{path}: holds no token")
    return tokens


def _words(text: str) -> Iterator[str]:
    """The first word of every line; of a line of blanks, a blank."""
    return ((line.split() or [" "])[0] for line in text.split("\n") if line)

"""The lines of a keyword file: one keyword a line, `#` begins a comment, `[class]` a class. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from data.errors import UserError

COMMENT = re.compile(r"(?:^|\s)#.*")  # C# is a word
CLASS = re.compile(r"\[\s*(.*?)\s*\]")  # a line of its own; what follows belongs to it


def keyword_lines(path: Path | str) -> Iterator[tuple[int, str, str]]:
    """Line number, keyword as written, and its class, which is empty in front of the first class line.

    Raises UserError for a file that cannot be read.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"keyword list {path} cannot be read ({error}): one keyword a line, UTF-8") from error
    of = ""
    for number, line in enumerate(lines, 1):
        written = COMMENT.sub("", line).strip()
        if heading := CLASS.fullmatch(written):
            of = heading[1]
        elif written:
            yield number, written, of

"""What pages are made of: words that are safe, figures, tables, sounds with their pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from data.corpus_report import printable
from data.listening import Excerpt


def words(text: object) -> str:
    """Any text, safe between tags and in attributes."""
    return escape(printable(str(text)))


def count(number: int) -> str:
    return f"{number:,}"


def hours(figures: Mapping[str, Any]) -> str:
    return f"{figures['hours']:,.{2 if figures['hours'] < 100 else 0}f}"


def table(
    titles: Sequence[str], rows: Iterable[Sequence[str]], classes: Mapping[int, str] | None = None, kind: str = ""
) -> str:
    """A table of cells that are HTML already; the first column holds words, the others figures."""
    kinds = [f" class='{(classes or {})[n]}'" if n in (classes or {}) else "" for n in range(len(titles))]
    head = "".join(f"<th{kind}>{title}</th>" for kind, title in zip(kinds, titles, strict=True))
    lines = ("".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    named = f" class='{kind}'" if kind else ""
    return f"<div class='wide'><table{named}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def sound(title: str, excerpt: Excerpt | None, picture: str = "spectrogram") -> str:
    """A picture over a player; nothing where there is no sound."""
    if excerpt is None:
        return ""
    caption = f"<figcaption>{title}<span>{excerpt.seconds:.1f} s, 0–8 kHz</span></figcaption>"
    shown = f"<img src='{excerpt.picture}' alt='{picture}'>"
    return f"<figure>{caption}{shown}<audio controls preload='metadata' src='{excerpt.sound}'></audio></figure>"

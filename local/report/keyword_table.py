"""A row a keyword: how often it was said, hit and falsely heard, before and now."""

from __future__ import annotations

from collections.abc import Sequence

from data.page_parts import count, table, words
from local.figures import points
from local.report.scores import keywords_of
from local.report.words import note, tr
from local.tree import Fields, Stage, Tree


def keywords(tree: Tree) -> str:
    """A row a keyword that was said or falsely heard, the most frequent first."""
    rows = _keyword_rows(tree.last)
    if not rows:
        return note("no keywords")
    before = {row["keyword"]: row for row in _keyword_rows(tree.baseline)}
    listed = {row["keyword"]: row for row in _keyword_rows(tree.last, "hotwords")}
    titles = ["keyword", *(["class"] if any("class" in row for row in rows) else [])]
    titles += ["said", "hits", "alarms", "kwer before", "kwer now", *(["kwer list"] if listed else [])]
    shown = [row for row in rows if row["total"] or row["false_alarms"]]
    lines = [_keyword(row, before, listed, titles) for row in sorted(shown, key=lambda row: -row["total"])]
    return note("keywords explained") + table([tr(title) for title in titles], lines, {}, "sortable")


def _keyword_rows(stage: Stage | None, branch: str = "llm") -> list[Fields]:
    return (keywords_of(stage, branch).get("rows") or []) if stage else []


def _keyword(row: Fields, before: dict[str, Fields], listed: dict[str, Fields], titles: Sequence[str]) -> list[str]:
    cells = {
        "keyword": f"<b lang='zh'>{words(row['keyword'])}</b>",
        "class": words(row.get("class", "")),
        "said": count(row["total"]),
        "hits": count(row["hits"]),
        "alarms": count(row["false_alarms"]),
        "kwer before": _percent(before.get(row["keyword"])),
        "kwer now": _percent(row),
        "kwer list": _percent(listed.get(row["keyword"])),
    }
    return [cells[title] for title in titles]


def _percent(row: Fields | None) -> str:
    rate = row.get("kwer") if row else None
    return "–" if rate is None else points(rate, 1)

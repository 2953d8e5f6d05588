"""The report as one HTML page that needs nothing else: its own policy forbids it to ask, and any script but its own."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from data import report_page
from data.files import write_text
from local.report import bucket_bars, curves, errors, keyword_table, scores, setup, sounds, verdict
from local.report.words import WORDS, both, tr
from local.tree import Tree

ROOM = Path(__file__).parent
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
<script>{script}</script>
</head>
<body>
{body}
</body>
</html>
"""


def write_page(tree: Tree) -> None:
    """Write exp/8k_telephone/report.html of an output folder, whole or not at all."""
    script = (ROOM / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    style = report_page.STYLE.read_text(encoding="utf-8") + (ROOM / "page.css").read_text(encoding="utf-8")
    policy = f"{report_page.POLICY}; script-src 'sha256-{digest}'"
    title = " · ".join(WORDS["title"])
    write_text(tree.page, PAGE.format(policy=policy, title=title, style=style, script=script, body=body(tree)))


def body(tree: Tree) -> str:
    """All sections in order, with a list of them after the first look."""
    heard = errors.last_heard(tree)
    sections = {
        "verdict": verdict.judged(tree),
        "scores": scores.comparison(tree),
        "curves": curves.curves(tree),
        "sounds": sounds.pairs(tree),
        "keywords": keyword_table.keywords(tree),
        "buckets": bucket_bars.buckets(tree),
        "confusions": errors.confusions(tree, heard),
        "worst": errors.worst(tree, heard),
        "data": setup.data(tree),
        "setup": setup.setup(tree),
    }
    links = " ".join(f"<a href='#{name}'>{tr(name)}</a>" for name in sections)
    parts = [f"<section id='{name}'>\n{tr(name, 'h2')}\n{content}\n</section>" for name, content in sections.items()]
    return "\n".join([_buttons(), verdict.header(tree), f"<nav>{links}</nav>", "<main>", *parts, "</main>"])


def _buttons() -> str:
    """Hidden where there is no script: then they would do nothing."""
    language = f"<button id='language'>{both(WORDS['language'])}</button>"
    return f"<div class='buttons' hidden>{language}<button id='theme'>{tr('theme')}</button></div>"

"""The report on training data as one HTML page that needs nothing else: to read, to look at, to listen to.

It holds no script and asks for nothing: pictures and sounds stand in it, and its own policy forbids the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data import listening
from data import prompt as prompts
from data.corpus_report import MEASURES, TOP_REASONS, Measure
from data.files import write_text
from data.histogram_svg import figure, histogram
from data.page_parts import count, hours, sound, table, words

Figures = dict[str, Any]
Row = dict[str, Any]
STYLE = Path(__file__).with_suffix(".css")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
SHOWN = 8  # codecs and profiles in a table
SPLITS = ("train", "dev", "test")
CLASSES = {"✓": "good", "!": "warn", "✗": "bad"}


def write_page(path: Path, report: Figures, chosen: dict[str, list[Row]]) -> None:
    """Write the page of a report as `data.validation` makes it; `chosen` are rows to listen to, by file."""
    folders = [_folder(folder, figures, report["files"], chosen) for folder, figures in report["folders"].items()]
    body = "\n".join([_header(report), _checks(report), *folders])
    write_text(path, _PAGE.format(policy=POLICY, style=STYLE.read_text(encoding="utf-8"), body=body))


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>Speech data report</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


# --- first look ------------------------------------------------------------------------------------------


def _header(report: Figures) -> str:
    total = report["total"]
    shown = [("hours", hours(total)), ("utterances", count(total["utterances"]))]
    shown += [(name, count(total[name])) for name in ("speakers", "calls", "characters") if total[name]]
    figures = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in shown)
    return f"<header>\n<h1>Speech data report</h1>\n{_verdict(report)}\n<dl class='figures'>{figures}</dl>\n</header>"


def _verdict(report: Figures) -> str:
    marks = [check["mark"] for _, check in _all_checks(report)]
    failed, warnings = marks.count("✗"), marks.count("!")
    noted = f", {count(warnings)} to look at" if warnings else ""
    if failed:
        return f"<p class='verdict bad'>✗ {count(failed)} of {count(len(marks))} checks failed{noted}</p>"
    return f"<p class='verdict good'>✓ Nothing failed in {count(len(marks))} checks{noted}</p>"


def _all_checks(report: Figures) -> list[tuple[str, Figures]]:
    """Every check with the file that it was made on."""
    single = [(_short(path), check) for path, figures in report["files"].items() for check in figures["checks"]]
    return single + [("all files", check) for check in report["splits_together"]]


def _checks(report: Figures) -> str:
    every = _all_checks(report)
    open_ones = [item for mark in "✗!" for item in every if item[1]["mark"] == mark]
    passed = [item for item in every if item[1]["mark"] == "✓"]
    listed = f"<ul class='checks'>{''.join(map(_check, open_ones))}</ul>" if open_ones else ""
    folded = f"<details><summary>{count(len(passed))} checks found nothing</summary>"
    folded += f"<ul class='checks'>{''.join(map(_check, passed))}</ul></details>"
    return f"<section>\n<h2>Checks</h2>\n{listed}\n{folded}\n</section>"


def _check(item: tuple[str, Figures]) -> str:
    place, check = item
    against = f", {count(check['count'])} against it" if check["count"] else ""
    line = f"<p><span class='mark {CLASSES[check['mark']]}'>{check['mark']}</span>{words(check['name'])}{against}"
    findings = "".join(f"<li>{words(finding)}</li>" for finding in check["findings"])
    more = check["count"] - len(check["findings"])
    findings += f"<li>… and {count(more)} more</li>" if findings and more > 0 else ""
    listed = f"<ul class='findings'>{findings}</ul>" if findings else ""
    return f"<li>{line} <span class='soft'>· {words(place)}</span></p>{listed}</li>"


# --- one folder ------------------------------------------------------------------------------------------


def _folder(folder: str, figures: Figures, files: dict[str, Figures], chosen: dict[str, list[Row]]) -> str:
    own = {path: files[path] for path in sorted(files, key=_order) if str(Path(path).parent) == folder}
    parts = [
        f"<h2>{words(Path(folder).name)}</h2>\n<p class='soft'>{words(folder)}</p>",
        _splits(own),
        _histograms(figures["measures"]),
        _shares("Call profiles", "profile", figures["profiles"]),
        _shares("Codecs on the way", "codecs", figures["codecs"]),
        _rejects(figures["rejected"]),
        _samples([(Path(path).stem, row) for path in own for row in chosen.get(path, [])]),
    ]
    return "<section>\n" + "\n".join(filter(None, parts)) + "\n</section>"


def _order(path: str) -> tuple[int, str]:
    """As they are used: train, dev, test."""
    name = Path(path).stem
    return (SPLITS.index(name) if name in SPLITS else len(SPLITS)), path


def _splits(files: dict[str, Figures]) -> str:
    names = ("utterances", "hours", "speakers", "calls", "characters", "rejected")
    rows = []
    for path, figures in files.items():
        rejected = sum(reject["count"] for reject in figures["rejected"])
        amounts = [count(figures["utterances"]), hours(figures)]
        amounts += [count(figures[name]) if figures[name] else "–" for name in ("speakers", "calls", "characters")]
        rows.append([words(Path(path).stem), *amounts, count(rejected)])
    return "<h3>Splits</h3>" + table(["split", *names], rows)


def _histograms(measures: Figures) -> str:
    plots = "".join(_plot(measure, measures[measure.name]) for measure in MEASURES if measure.name in measures)
    return f"<h3>How they are spread</h3><div class='plots'>{plots}</div>" if plots else ""


def _plot(measure: Measure, found: Figures) -> str:
    middle = figure(round(found["median"], measure.digits))
    caption = f"<figcaption>{measure.title}<span>median {middle}</span></figcaption>"
    return f"<figure class='card'>{caption}{histogram(found, measure.title)}</figure>"


def _shares(title: str, column: str, counts: dict[str, int]) -> str:
    if not counts:
        return ""
    total = sum(counts.values())
    rows = []
    for name, number in list(counts.items())[:SHOWN]:
        bar = f"<span class='share' style='width:{100 * number / max(counts.values()):.1f}%'></span>"
        rows.append([words(name), count(number), f"{number / total:.1%}", bar])
    shown = table([column, "utterances", "share", ""], rows, classes={3: "shares"})
    return f"<h3>{title}</h3>{shown}"


def _rejects(rejected: Sequence[Figures]) -> str:
    if not rejected:
        return ""
    rows = [[words(reject["reason"]), count(reject["count"]), words(reject["example"])] for reject in rejected[:TOP_REASONS]]
    return "<h3>Left out, by reason</h3>" + table(["reason", "lines", "the first"], rows, classes={2: "words"})


# --- sounds ----------------------------------------------------------------------------------------------


def _samples(rows: Sequence[tuple[str, Row]]) -> str:
    shown = "".join(_sample(split, row) for split, row in rows)
    title = f"<h3>To listen to: chosen by chance, the first {listening.SECONDS:.0f} seconds</h3>"
    return f"{title}<div class='samples'>{shown}</div>" if shown else ""


def _sample(split: str, row: Row) -> str:
    before, after = listening.before(row), listening.after(row)
    sounds = sound("Before the channel", before) + sound("As the model hears it" if before is None else "After", after)
    if not sounds:
        return ""
    text = prompts.target(row["messages"])
    said = f"<p class='said' lang='zh'>{words(text)}</p>" if text else "<p class='said soft'>without speech</p>"
    about = " · ".join(words(fact) for fact in [split, row["key"], *listening.drawn(row.get("channel"))])
    pair = "" if before is None else " pair"
    return f"<article class='card{pair}'>{said}<p class='soft'>{about}</p><div class='sounds'>{sounds}</div></article>"


def _short(path: str) -> str:
    """Folder and name are enough to tell a file by."""
    return "/".join(Path(path).parts[-2:])

"""How the results were made: data, time and devices, configuration, versions, fingerprints."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from data.page_parts import count, hours, table, words
from local.figures import clock
from local.fingerprint import Table
from local.report.words import note, tr
from local.tree import Fields, Stage, Tree

AMOUNTS = ("utterances", "hours", "speakers", "calls", "characters")
SPLITS = ("train", "dev", "test")
UNKNOWN = "not recorded"
STAMP = "%Y-%m-%d %H:%M:%S"


# --- data ------------------------------------------------------------------------------------------------


def data(tree: Tree) -> str:
    """What stage 0 made of the corpora, and what it left out."""
    files = tree.data.get("files")
    if not files:
        return note("no data")
    rows = [_split(path, files[path]) for path in sorted(files, key=_order)]
    titles = [tr(title) for title in ("rows", *AMOUNTS, "rejected")]
    return table(titles, rows) + _rejects(tree.data["total"]["rejected"])


def _order(path: str) -> tuple[str, int, str]:
    """As they are used: train, dev, test."""
    name = Path(path).stem
    return Path(path).parent.name, SPLITS.index(name) if name in SPLITS else len(SPLITS), path


def _split(path: str, figures: Fields) -> list[str]:
    name = f"{words(Path(path).parent.name)} <b>{words(Path(path).stem)}</b>"
    amounts = [hours(figures) if part == "hours" else count(figures[part]) if figures[part] else "–" for part in AMOUNTS]
    return [name, *amounts, count(sum(reject["count"] for reject in figures["rejected"]))]


def _rejects(rejected: list[Fields]) -> str:
    if not rejected:
        return ""
    rows = [[words(reject["reason"]), count(reject["count"]), words(reject["example"])] for reject in rejected]
    return tr("rejects", "h3") + table([tr(title) for title in ("reason", "lines", "first")], rows, {2: "words"})


# --- time ------------------------------------------------------------------------------------------------


def setup(tree: Tree) -> str:
    """Time and devices, configuration, then settings and fingerprints to unfold."""
    steps: dict[str, tuple[Fields, Stage | None]] = {"0": (tree.data_mark, None)}
    steps |= {name: (stage.mark, stage) for name, stage in tree.stages.items()}
    if tree.control.mark:
        steps["control"] = (tree.control.mark, tree.control)
    titles = ("step", "finished", "elapsed", "training", "devices", "gpu hours", "memory", "speed")
    rows = [_step(name, mark, stage) for name, (mark, stage) in steps.items()]
    parts = [tr("time", "h3"), note("time explained"), table([tr(title) for title in titles], rows), _total(tree)]
    parts += [tr("configuration", "h3"), _configuration(tree), *_folded(steps)]
    return "\n".join(parts)


def _step(name: str, mark: Fields, stage: Stage | None) -> list[str]:
    spent = stage.summary.get("spent", {}) if stage else {}
    trained = bool(stage and stage.metrics)
    unknown = tr(UNKNOWN, look="soft small")
    elapsed = _elapsed(mark)
    finished = words(mark["time"]) if mark.get("state") == "finished" else tr("not finished")
    training = clock(spent["seconds"]) if spent else unknown if trained else "–"
    devices = f"{spent['processes']} × {words(spent['device'])}" if spent else unknown if trained else "–"
    used = f"{gpu_hours(spent):.2f}" if spent else unknown if trained else "–"
    passed = clock(elapsed) if elapsed is not None else unknown
    return [tr(f"stage {name}"), finished, passed, training, devices, used, *_pace(stage)]


def _elapsed(mark: Fields) -> float | None:
    """Seconds from the last time a stage was begun to its end."""
    if mark.get("state") != "finished" or "begun" not in mark:
        return None
    return (datetime.strptime(mark["time"], STAMP) - datetime.strptime(mark["begun"], STAMP)).total_seconds()


def _pace(stage: Stage | None) -> Iterator[str]:
    """Peak memory and middling speed, as metrics.jsonl tells them."""
    for name, digits in (("memory_gb", 1), ("audio_hours_per_hour", 0)):
        found = sorted(line[name] for line in stage.metrics if name in line) if stage else []
        value = found[-1 if name == "memory_gb" else len(found) // 2] if found else None
        yield "–" if value is None else f"{value:.{digits}f}"


def gpu_hours(spent: Fields) -> float:
    """Of one stage's training; none on CPUs."""
    return spent["seconds"] / 3600 * spent["processes"] if spent["device"] != "cpu" else 0.0


def _total(tree: Tree) -> str:
    known = [stage.summary["spent"] for stage in (*tree.stages.values(), tree.control) if "spent" in stage.summary]
    return tr("gpu total", "p", hours=f"{sum(map(gpu_hours, known)):.2f}") if known else ""


# --- configuration ---------------------------------------------------------------------------------------


def _configuration(tree: Tree) -> str:
    given = tree.memory.get("given", {})
    rows = [[tr("configuration"), words(tree.memory.get("config", "–"))]]
    rows.append([tr("given"), words(" ".join(f"{name}={value}" for name, value in given.items())) or tr("nothing given")])
    for stage in tree.stages.values():
        for key, value in (("hands on", stage.summary.get("chosen")), ("versions", _versions(stage)),
                           ("normaliser", stage.results.get("normaliser"))):  # fmt: skip
            if value:
                rows.append([f"{tr(f'stage {stage.name}')} · {tr(key)}", words(value)])
            elif key == "versions" and stage.metrics:
                rows.append([f"{tr(f'stage {stage.name}')} · {tr(key)}", tr(UNKNOWN)])
    return table([tr("entry"), tr("value")], rows, {1: "words"})


def _versions(stage: Stage) -> str:
    return ", ".join(f"{name} {version}" for name, version in stage.summary.get("versions", {}).items())


def _folded(steps: dict[str, tuple[Fields, Stage | None]]) -> Iterator[str]:
    for name, (_, stage) in steps.items():
        if stage and stage.settings:
            summary = tr("settings of", stage=name)
            yield f"<details><summary>{summary}</summary><pre>{_lines(stage.settings)}</pre></details>"
    for name, (mark, _) in steps.items():
        if mark:
            yield f"<details><summary>{tr('fingerprints of', stage=name)}</summary>{_fingerprints(mark)}</details>"


def _lines(text: str) -> str:
    return "\n".join(words(line) for line in text.splitlines())


def _fingerprints(mark: Fields) -> str:
    """What the stage was made from and scored on; the source files one by one would say little."""
    entries: Table = {**mark.get("work", {}), **mark.get("scores", {})}
    return table([tr("entry"), tr("value")], [[words(name), words(value)] for name, value in entries.items()], {1: "words"})

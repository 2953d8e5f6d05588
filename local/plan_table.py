"""The plan of a dry run as a table: what each stage reads, trains, needs and takes. What is not known stays open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from data.manifest import hours
from local.disk_need import GB
from local.experiment import like
from local.figures import clock
from local.marks import SCORED, title
from local.originals import with_originals
from local.preflight_machine import machine_name
from local.preflight_rows import Row
from local.stages_ahead import StagesAhead
from local.trial import Pace

UNKNOWN = "–"
HEAD = ("stage", "audio h", "epochs", "updates", "trained parameters", "memory GB", "disk GB", "time")
OTHER_SCORINGS = 2  # of the dev subset, beside those after each epoch: at the start, and of the average
CALLS = "real_8k_telephone/test"
LISTED = 2  # more decodings of the calls where there are keywords: with the list, and with distractors


@dataclass(frozen=True)
class Forecast:
    """One stage: `hours` of audio an epoch, `memory` and `disk` in GB, `seconds` to train and to score."""

    name: str
    hours: float | None = None
    epochs: int | None = None
    updates: int | None = None
    trained: dict[str, int] = field(default_factory=dict)
    memory: float | None = None
    disk: float | None = None
    seconds: float | None = None


def plan_lines(ahead: StagesAhead, paces: dict[str, Pace]) -> Iterator[str]:
    """The table for this machine, from the measured `paces` by stage."""
    yield f"plan on {machine_name(ahead.choice)}; time from measured starts and steps, as if no step waited for its data"
    yield from table([forecast(ahead, name, paces) for name in ahead.names])


def forecast(ahead: StagesAhead, name: str, paces: dict[str, Pace]) -> Forecast:
    """All that is known of one stage."""
    scoring = _scoring(ahead, name, paces)
    if name not in ahead.configs:
        return Forecast(title(name), seconds=scoring if name == "baseline" else None)
    outline, pace = ahead.outlines.get(name), paces.get(like(name))
    return Forecast(
        title(name),
        hours(ahead.epoch_rows(name)) if ahead.rows else None,
        ahead.configs[name].train_conf.max_epoch,
        ahead.updates.get(name),
        outline.trained if outline else {},
        pace.memory if pace else None,
        outline.need.total / GB if outline else None,
        _training(ahead, name, pace) + (scoring or 0.0) if pace else None,
    )


def _training(ahead: StagesAhead, name: str, pace: Pace) -> float:
    """Seconds of the start and of all epochs with their scores on dev, shared by the processes."""
    epochs = ahead.configs[name].train_conf.max_epoch
    training = hours(ahead.epoch_rows(name)) * epochs / pace.training
    decoding = hours(ahead.dev_rows(name)) * (epochs + OTHER_SCORINGS) / pace.decoding
    return pace.start + 3600 * (training + decoding) / ahead.choice.processes


def _scoring(ahead: StagesAhead, name: str, paces: dict[str, Pace]) -> float | None:
    """Seconds of the start and of decoding all that is scored, shared by the processes; None where nothing was measured."""
    if not paces:
        return None
    pace = next(iter(paces.values()))
    return pace.start + 3600 * sum(map(hours, _decoded(ahead, name))) / pace.decoding / ahead.choice.processes


def _decoded(ahead: StagesAhead, name: str) -> list[list[Row]]:
    """The sets that are scored after a stage, as often as they are decoded."""
    experiment, rows = ahead.experiment, ahead.rows
    sets = [rows[path] for path in map(experiment.rows, SCORED) if path in rows]
    calls = rows[experiment.rows(CALLS)]
    listed = [calls] * LISTED if experiment["KEYWORDS"] else []
    originals = with_originals(calls, int(experiment["ORIGINALS"])) if name in ("baseline", "3") else []
    return [*sets, *listed, originals]


def table(forecasts: list[Forecast]) -> Iterator[str]:
    """Aligned lines, the last one the sum of disk and time."""
    rows = [HEAD, *map(_cells, forecasts), _cells(_together(forecasts))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *others in rows:
        yield "  ".join([name.ljust(widths[0]), *map(str.rjust, others, widths[1:])])


def _cells(forecast: Forecast) -> tuple[str, ...]:
    groups = ", ".join(f"{group} {count:,}" for group, count in forecast.trained.items())
    return (
        forecast.name,
        _number(forecast.hours, ".2f"),
        _number(forecast.epochs, ","),
        _number(forecast.updates, ","),
        groups or UNKNOWN,
        _number(forecast.memory, ".1f"),
        _number(forecast.disk, ".2f"),
        UNKNOWN if forecast.seconds is None else clock(forecast.seconds),
    )


def _number(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)


def _together(forecasts: list[Forecast]) -> Forecast:
    """The sum of what is known."""
    disks = [one.disk for one in forecasts if one.disk is not None]
    seconds = [one.seconds for one in forecasts if one.seconds is not None]
    return Forecast("together", disk=sum(disks) if disks else None, seconds=sum(seconds) if seconds else None)

"""The channel as a step of the training dataset: clean audio on disk once, a new call every epoch.

`data_simulation.py --online` writes clean rows, each marked `"channel": "online"` with the talker it is of,
and beside them DIR/online/<split>.json: profiles, seed and noise files. Epoch N draws variant N; variant 0 is
what the same command without --online makes of the same audio.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from data import prompt
from data.audio import read_wideband
from data.babble import TalkerPool, talker_of
from data.channel_config import from_settings
from data.corpora import Utterance
from data.errors import UserError
from data.files import write_text
from data.one_core import settle_on_one_core
from data.simulator import Simulator
from data.split import Record
from data.telephone_channel import VERSION, simulate

MARK = "online"  # in the place of what a simulated row drew

Row = dict[str, Any]


class OnlineChannel:
    """Carries the rows of one training JSONL over the telephone, a new call for every variant."""

    def __init__(self, jsonl: Path, rows: Sequence[Row]) -> None:
        """Raises UserError where the rows were not made for it, or by another version of the channel."""
        settle_on_one_core()
        settings = _read_settings(jsonl)
        self.utterances = {row["key"]: _utterance(row, jsonl) for row in rows}
        talkers = [utterance for utterance in self.utterances.values() if utterance.text]
        noises = tuple(map(Path, settings["noises"]))
        self.simulator = Simulator(
            from_settings(settings["mix"]), settings["seed"], TalkerPool(talkers), noises
        )

    def hear(self, key: str, variant: int) -> np.ndarray:
        """(n,) int16 at 16 kHz: the utterance over the call of this variant."""
        utterance = self.utterances[key]
        speech = read_wideband(utterance.audio)
        call, room = self.simulator.dial(utterance, len(speech), variant)
        return simulate(speech, call.draws, call.lost, room)


def mark(utterance: Utterance) -> Record:
    """What a clean row carries to be simulated later; `talker` keeps its own voice out of its babble."""
    return {"channel": MARK, "talker": talker_of(utterance)}


def write_settings(jsonl: Path, simulator: Simulator) -> None:
    """Put beside a training JSONL what the channel needs to know."""
    noises = [str(path) for path in simulator.noises]
    settings = {"version": VERSION, "seed": simulator.seed, "mix": asdict(simulator.mix), "noises": noises}
    write_text(_settings_of(jsonl), json.dumps(settings, ensure_ascii=False, indent=1) + "\n")


def check_simulated(rows: Sequence[Row], online: bool, jsonl: Path) -> None:
    """Raises UserError where rows and `dataset_conf.simulate` do not go together."""
    clean = sum(row.get("channel") == MARK for row in rows)
    if clean and not online:
        raise UserError(f"{jsonl}: {clean} rows are clean, to be simulated in training: set "
                        "dataset_conf.simulate: online, or make stage 0 again with SIMULATE=offline")
    if online and clean < len(rows):
        raise UserError(f"{jsonl}: {len(rows) - clean} rows are not made for dataset_conf.simulate: online; "
                        "make stage 0 again with SIMULATE=online, or set it to offline")


def _read_settings(jsonl: Path) -> dict[str, Any]:
    path = _settings_of(jsonl)
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{path}: missing or damaged; stage 0 with SIMULATE=online makes it") from None
    if settings.get("version") != VERSION:
        raise UserError(f"{path}: is of version {settings.get('version')} of the channel, this is {VERSION}: "
                        "clean stage 0 and make it again")
    return settings


def _settings_of(jsonl: Path) -> Path:
    return jsonl.parent / MARK / f"{jsonl.stem}.json"


def _utterance(row: Row, jsonl: Path) -> Utterance:
    if "talker" not in row:
        raise UserError(f"{jsonl}: {row['key']} names no talker; stage 0 with SIMULATE=online writes it")
    audio = Path(prompt.audio_path(row["messages"]))
    return Utterance(row["key"], audio, prompt.target(row["messages"]), speaker=row["talker"])

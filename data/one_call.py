"""From a sound file to a sound file: one call, however long the recording is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from data.audio import read_info, read_wideband
from data.corpora import Utterance
from data.long_recording import measure_long, receive_long, simulate_long
from data.plausibility import Facts, header_facts, level_facts, sample_facts
from data.simulator import LONG, Call, Simulator, end_of
from data.split import check_length
from data.storage import MU_LAW, store
from data.telephone_channel import WIDE, receive, simulate


@dataclass(frozen=True)
class Carried:
    """The call of an utterance, its length in samples at 16 kHz, and what was measured of the clean sound."""

    call: Call
    samples: int
    facts: Facts


def carry_file(simulator: Simulator, utterance: Utterance, output: Path, measured: str = "", form: str = "wav") -> Carried:
    """Write the telephone version of an utterance in a form of data/storage.py. Raises AudioError for what cannot be used.

    `measured` is what the rules of plausibility want to know: nothing, the sound's "header" or its "samples".
    """
    known = header_facts(utterance, read_info(utterance.audio)) if measured else {}
    start, end = utterance.start or 0.0, end_of(utterance)
    if end is not None and end - start > LONG:
        return _carry_long(simulator, utterance, round((end - start) * WIDE), output, known, measured, form)
    speech = read_wideband(utterance.audio, utterance.start, utterance.end, utterance.channel)
    check_length(len(speech), utterance.audio)
    call, room = simulator.dial(utterance, len(speech))
    over = receive if form == MU_LAW else simulate
    store(output, over(speech, call.draws, call.lost, room), form)
    return Carried(call, len(speech), known | (sample_facts(speech) if measured == "samples" else {}))


def _carry_long(
    simulator: Simulator, utterance: Utterance, length: int, output: Path, known: Facts, measured: str, form: str
) -> Carried:
    call, room = simulator.dial(utterance, length)
    read = partial(_read, utterance)
    meter = measure_long(read, length)
    over = receive_long if form == MU_LAW else simulate_long
    store(output, over(read, length, call.draws, call.lost, room, meter), form)
    return Carried(call, length, known | (level_facts(meter.level(), length / WIDE) if measured == "samples" else {}))


def _read(utterance: Utterance, first: int, last: int) -> np.ndarray:
    """Samples `first` to `last` at 16 kHz of an utterance."""
    begin = utterance.start or 0.0
    return read_wideband(utterance.audio, begin + first / WIDE, begin + last / WIDE, utterance.channel)

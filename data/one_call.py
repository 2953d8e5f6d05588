"""From a sound file to a sound file: one call, however long the recording is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from data.audio import read_wideband, write_wav
from data.corpora import Utterance
from data.long_recording import simulate_long
from data.simulator import LONG, Call, Simulator, end_of
from data.split import check_length
from data.telephone_channel import WIDE, simulate


def carry_file(simulator: Simulator, utterance: Utterance, output: Path) -> tuple[Call, int]:
    """Write the telephone version of an utterance; its call and its length in samples at 16 kHz.

    Raises AudioError for what cannot be used.
    """
    start, end = utterance.start or 0.0, end_of(utterance)
    if end is not None and end - start > LONG:
        return _carry_long(simulator, utterance, round((end - start) * WIDE), output)
    speech = read_wideband(utterance.audio, utterance.start, utterance.end, utterance.channel)
    check_length(len(speech), utterance.audio)
    call, room = simulator.dial(utterance, len(speech))
    write_wav(output, simulate(speech, call.draws, call.lost, room), WIDE)
    return call, len(speech)


def _carry_long(simulator: Simulator, utterance: Utterance, length: int, output: Path) -> tuple[Call, int]:
    call, room = simulator.dial(utterance, length)
    pieces = simulate_long(partial(_read, utterance), length, call.draws, call.lost, room)
    write_wav(output, pieces, WIDE)
    return call, length


def _read(utterance: Utterance, first: int, last: int) -> np.ndarray:
    """Samples `first` to `last` at 16 kHz of an utterance."""
    begin = utterance.start or 0.0
    return read_wideband(utterance.audio, begin + first / WIDE, begin + last / WIDE, utterance.channel)

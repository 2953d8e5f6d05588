"""A recording of hours over the telephone in bounded memory: measured once, then carried piece by piece.

Each piece is carried with a little of its neighbours on both sides, longer than any filter and any gap
reaches, and losses are drawn for the whole: with G.711 the result is what one piece would have been. Codecs
that remember more of the past begin two seconds early.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from data.babble import stretch
from data.speech_level import LevelMeter
from data.telephone_channel import WIDE, Draws, Room, add_background, carry, widen

PIECE, CONTEXT = 300 * WIDE, 2 * WIDE  # whole frames of 20 ms, whole seconds at any rate
Read = Callable[[int, int], np.ndarray]  # (to - from,) float32 samples of the recording, from … to

FRAME = 320  # samples of 20 ms at 16 kHz


def measure_long(read: Read, length: int) -> LevelMeter:
    """A meter that has heard all of a recording."""
    meter = LevelMeter(WIDE)
    for begin in range(0, length, PIECE):
        meter.update(read(begin, min(begin + PIECE, length)))
    return meter


def simulate_long(
    read: Read, length: int, draws: Draws, lost: np.ndarray, room: Room, meter: LevelMeter
) -> Iterator[np.ndarray]:
    """The pieces, int16 at 16 kHz, of a recording of `length` samples at 16 kHz, as the recogniser hears them.

    `lost` is (frames,) bool, `meter` has heard the recording. The room begins again when it ends.
    """
    for first, begin, received in _received(read, length, draws, lost, room, meter):
        last = min(begin + PIECE + CONTEXT, length)
        yield widen(received, draws.upsampler, last - first)[begin - first :][:PIECE]


def receive_long(
    read: Read, length: int, draws: Draws, lost: np.ndarray, room: Room, meter: LevelMeter
) -> Iterator[np.ndarray]:
    """The same, as they arrive at the other end of the line: int16 at 8 kHz."""
    for first, begin, received in _received(read, length, draws, lost, room, meter):
        yield received[(begin - first) // 2 :][: PIECE // 2]


def _received(
    read: Read, length: int, draws: Draws, lost: np.ndarray, room: Room, meter: LevelMeter
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Where a piece with its neighbours begins, where itself, and all of it at 8 kHz."""
    scale, background = np.float32(meter.gain_to(draws.level_dbov)), _background(draws, room)
    for part, begin in enumerate(range(0, length, PIECE)):
        first, last = max(begin - CONTEXT, 0), min(begin + PIECE + CONTEXT, length)
        mixed = read(first, last) * scale
        if background is not None:
            mixed += stretch(background, first % len(background), last - first)
        yield first, begin, carry(mixed, draws, lost[first // FRAME : -(-last // FRAME)], part)


def _background(draws: Draws, room: Room) -> np.ndarray | None:
    """(n,) float32: all that is heard beside the speech, as long as the room lasts."""
    lasts = [len(part) for part in (room.babble, room.noise) if part is not None]
    if not lasts:
        return None
    background = np.zeros(lasts[0], np.float32)
    add_background(background, draws, room)
    return background

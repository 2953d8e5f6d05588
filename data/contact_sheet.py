#!/usr/bin/env python3
"""Hear every kind of call before simulating a corpus: some recordings over every profile, on one sheet.

    python data/contact_sheet.py --output sheet.png [--audio_dir DIR] RECORDING…

One row a recording, one column a profile, each a spectrogram under its drawn and measured level and SNR. The
other recordings are the babble. With --audio_dir the sounds are written too.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: the top folder must come first (PyPI has a package `data` too)
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes

from data import options
from data.audio import read_wideband, write_wav
from data.babble import TalkerPool
from data.call_profiles import Mix
from data.channel_config import CONFIG, names, read_mix
from data.corpora import Utterance
from data.errors import UserError, run
from data.picture import mark_lost, save, spectrogram
from data.simulator import Call, Simulator
from data.speech_level import measure
from data.telephone_channel import WIDE, Room, set_levels, simulate


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, draw the sheet, print a line for each call."""
    args = _parser().parse_args(argv)
    mixes = list(filter(None, (_usable(name, args.channel_config) for name in names(args.channel_config))))
    recordings = [Utterance(path.stem, path, "", speaker=path.stem) for path in args.recordings]
    sounds = [read_wideband(recording.audio) for recording in recordings]
    size = (4 * (len(mixes) + 1), 2.6 * len(recordings))
    figure, axes = pyplot.subplots(len(recordings), len(mixes) + 1, figsize=size, squeeze=False, layout="constrained")
    figure.supxlabel("seconds", fontsize=8)
    figure.supylabel("Hz", fontsize=8)
    for recording, speech, row in zip(recordings, sounds, axes, strict=True):
        spectrogram(row[0], speech)
        row[0].set_title(f"{recording.key}\n{measure(speech).active_dbov:.1f} dBov", fontsize=8)
        for mix, cell in zip(mixes, row[1:], strict=True):
            simulator = Simulator(mix, args.seed, TalkerPool(recordings))
            heard = _draw(cell, simulator, recording, speech)
            if args.audio_dir:
                write_wav(args.audio_dir / f"{recording.key}.{mix.name}.wav", heard, WIDE)
    save(figure, args.output)
    return 0


def _usable(name: str, config: Path) -> Mix | None:
    """A profile, unless a codec of it is not installed here."""
    try:
        return read_mix(name, config)
    except UserError as error:
        print(f"left out: {error}", file=sys.stderr)
        return None


def _draw(axes: Axes, simulator: Simulator, recording: Utterance, speech: np.ndarray) -> np.ndarray:
    """One call: into its place on the sheet, onto a line of the terminal, and (n,) int16 back."""
    call, room = simulator.dial(recording, len(speech))
    heard = simulate(speech, call.draws, call.lost, room)
    spectrogram(axes, heard / 32768)
    mark_lost(axes, call.lost)
    figures = _figures(call, speech, room, heard)
    legs = " > ".join(call.row()["legs"])
    axes.set_title("\n".join([f"{call.draws.profile}: {legs}", *figures]), fontsize=7)
    print(f"{recording.key} {call.draws.profile}: {', '.join(figures)}")
    return heard


def _figures(call: Call, speech: np.ndarray, room: Room, heard: np.ndarray) -> list[str]:
    """Levels by ITU-T P.56: drawn, measured where the draws apply, and at the far end."""
    draws = call.draws
    level = measure(set_levels(speech, draws)).active_dbov
    heard_at = measure(heard / 32768).active_dbov  # less: the line has taken what lies below 300 Hz
    levels = f"level drawn {draws.level_dbov:.1f} measured {level:.1f} heard {heard_at:.1f}"
    losses = f"lost {call.lost.mean():.1%}"
    if room.babble is None:
        return [levels, losses]
    background = set_levels(np.zeros_like(speech), draws, room)
    snr = level - measure(background).active_dbov
    return [levels, f"SNR drawn {draws.snr_db:.1f} measured {snr:.1f} {losses}"]


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(__doc__)
    parser.add_argument("recordings", type=Path, nargs="+", metavar="RECORDING")
    parser.add_argument("--output", type=Path, required=True, metavar="PNG")
    parser.add_argument("--audio_dir", type=Path, help="where to write what is heard")
    parser.add_argument("--channel_config", type=Path, default=CONFIG)
    parser.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    raise SystemExit(run(main))

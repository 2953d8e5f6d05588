"""A picture of one call: waveform and spectrogram before and after, with the frames that were lost."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

from data.files import whole_file
from data.packet_loss import FRAME
from data.telephone_channel import NARROW, WIDE

matplotlib.use("Agg")  # to a file, on a machine without a screen
from matplotlib import pyplot
from matplotlib.axes import Axes

WINDOW, OVERLAP = 512, 384  # samples at 16 kHz: 32 ms every 8 ms
FLOOR_DB = -110.0


def plot_call(before: np.ndarray, after: np.ndarray, lost: np.ndarray, path: Path) -> None:
    """Draw (n,) float32 at 16 kHz before and after the line into a PNG; `lost` is (frames,) bool."""
    figure, axes = pyplot.subplots(2, 2, figsize=(14, 7), sharex=True, sharey="row", layout="constrained")
    for column, (samples, title) in enumerate(((before, "before"), (after, "after"))):
        waveform(axes[0][column], samples)
        spectrogram(axes[1][column], samples)
        axes[0][column].set_title(title)
        axes[1][column].set_xlabel("seconds")
    mark_lost(axes[0][1], lost)
    mark_lost(axes[1][1], lost)
    axes[0][1].set_title(f"after, {lost.sum()} of {len(lost)} frames lost (red)")
    axes[0][0].set_ylabel("of full scale")
    axes[1][0].set_ylabel("Hz")
    save(figure, path)


def waveform(axes: Axes, samples: np.ndarray) -> None:
    """(n,) at 16 kHz against seconds."""
    axes.plot(np.arange(len(samples)) / WIDE, samples, linewidth=0.4)


def spectrogram(axes: Axes, samples: np.ndarray) -> None:
    """(n,) at 16 kHz, in dB; a sound shorter than a window is made one long."""
    padded = np.pad(samples, (0, max(0, WINDOW - len(samples))))
    quiet = np.random.default_rng(0).normal(0, 1e-6, len(padded))  # digital silence has no logarithm
    axes.specgram(padded + quiet, NFFT=WINDOW, Fs=WIDE, noverlap=OVERLAP, vmin=FLOOR_DB, vmax=-30, cmap="magma")
    axes.set_ylim(0, WIDE / 2)


def mark_lost(axes: Axes, lost: np.ndarray) -> None:
    """A red band over each run of lost 20 ms frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(int), [0]])))
    for begin, end in edges.reshape(-1, 2) * FRAME / NARROW:
        axes.axvspan(begin, end, color="red", alpha=0.3, linewidth=0)


def save(figure: pyplot.Figure, path: Path) -> None:
    """Write a figure as a PNG, whole or not at all."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
    pyplot.close(figure)

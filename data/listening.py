"""Some utterances of a set to listen to: chosen by chance, the same ones each time, cut short, with a picture."""

from __future__ import annotations

import base64
import hashlib
import heapq
import io
import struct
import wave
import zlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from data import prompt as prompts
from data.audio import AudioError, read_info, read_wideband, to_int16
from data.manifest import RATE
from data.row_checks import not_a_file, number

Row = dict[str, Any]
SEED = "1"
HOW_MANY = 2  # rows of a file
SECONDS = 6.0  # of each
WINDOW, POOLED = 512, 4  # samples; bins that make one row of a picture
COLUMNS = 320  # of a picture, about
FLOOR_DB, RANGE_DB = -85.0, 65.0  # what is darkest, and from there to the brightest
# From dark to bright, evenly spaced in brightness; in between straight lines.
PALETTE = ((13, 12, 29), (49, 27, 92), (111, 36, 119), (180, 54, 104), (233, 98, 77), (250, 168, 88), (252, 244, 196))


@dataclass
class Chosen:
    """The few rows of a file whose keys hash lowest: a random choice that no order changes."""

    heap: list[tuple[int, int, Row]] = field(default_factory=list)
    offered: int = 0

    def offer(self, row: Row) -> None:
        digest = hashlib.sha256(f"{SEED} {row['key']}".encode("utf-8", "surrogatepass")).digest()
        self.offered += 1  # of two with one key, the first
        entry = (-int.from_bytes(digest[:8], "big"), -self.offered, row)
        if len(self.heap) < HOW_MANY:
            heapq.heappush(self.heap, entry)
        elif entry[:2] > self.heap[0][:2]:
            heapq.heapreplace(self.heap, entry)

    @property
    def rows(self) -> list[Row]:
        return [row for _, _, row in sorted(self.heap, key=lambda entry: entry[:2], reverse=True)]


@dataclass(frozen=True)
class Excerpt:
    """The beginning of a sound, as URIs for a page that asks for nothing: a 16-bit WAV and a PNG."""

    sound: str
    picture: str
    seconds: float


def after(row: Row) -> Excerpt | None:
    """What training hears of a row; None where it cannot be read."""
    return _excerpt(Path(prompts.audio_path(row["messages"])), 0.0, None, None)


def before(row: Row) -> Excerpt | None:
    """The recording that was simulated; None where the row names none or it cannot be read."""
    if not isinstance(row.get("source"), str):
        return None
    channel = row.get("source_channel")
    start, end = number(row.get("start")) or 0.0, number(row.get("end"))
    return _excerpt(Path(row["source"]), start, end, channel if isinstance(channel, int) else None)


def _excerpt(path: Path, start: float, end: float | None, channel: int | None) -> Excerpt | None:
    if not_a_file(str(path)):
        return None
    try:
        info = read_info(path)
        last = min(start + SECONDS, info.frames / info.rate, end if end is not None else np.inf)
        samples = read_wideband(path, start, last, channel)
    except AudioError:
        return None
    sound, picture = data_uri("audio/wav", _wav(samples)), data_uri("image/png", spectrogram_png(samples))
    return Excerpt(sound, picture, len(samples) / RATE)


def _wav(samples: np.ndarray) -> bytes:
    with io.BytesIO() as content:
        with wave.open(content, "wb") as out:
            out.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
            out.writeframes(to_int16(samples).astype("<i2").tobytes())
        return content.getvalue()


def spectrogram_png(samples: np.ndarray) -> bytes:
    """(n,) float at 16 kHz, time from left to right, 8 kHz at the top."""
    padded = np.pad(np.asarray(samples, np.float32), (0, max(0, WINDOW - len(samples))))
    hop = max(1, (len(padded) - WINDOW) // COLUMNS)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::hop]
    window = np.sin(np.pi * np.arange(WINDOW, dtype=np.float32) / WINDOW) ** 2
    power = np.abs(np.fft.rfft(frames * window)[:, 1:]) ** 2 / (window.sum() / 2) ** 2
    rows = power.reshape(len(frames), -1, POOLED).max(2).T[::-1]
    decibels = 10 * np.log10(rows + 1e-12)
    return _png(np.clip((decibels - FLOOR_DB) / RANGE_DB * 255, 0, 255).astype(np.uint8))


@cache
def _palette() -> bytes:
    places = np.linspace(0, 255, len(PALETTE))
    columns = [np.interp(np.arange(256), places, colour) for colour in np.transpose(PALETTE)]
    return np.stack(columns, axis=1).round().astype(np.uint8).tobytes()


def _png(pixels: np.ndarray) -> bytes:
    """(height, width) uint8 as a picture of 256 colours, ISO/IEC 15948."""
    height, width = pixels.shape
    lines = np.pad(pixels, ((0, 0), (1, 0))).tobytes()  # each line begins with its filter, 0: none
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", _palette()), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(name, content) for name, content in parts)


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def data_uri(kind: str, content: bytes) -> str:
    """What a page holds instead of a file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def drawn(channel: Any) -> list[str]:
    """What the call of a row drew, in words; nothing where there was none."""
    if not isinstance(channel, dict):
        return []
    forms = (("level_dbov", "{} dBov"), ("snr_db", "SNR {} dB"), ("lost", "frames lost: {}"), ("upsampler", "{}"))
    legs = channel.get("legs")
    named = [str(channel.get("profile", "")), " → ".join(map(str, legs)) if isinstance(legs, list) else ""]
    known = channel | {"snr_db": snr_db(channel)}
    facts = (form.format(str(known[name]).replace("-", "−")) for name, form in forms if known.get(name) is not None)
    return [*filter(None, named), *facts]


def snr_db(channel: dict[str, Any]) -> Any:
    """What a call drew, where somebody babbled: else it says nothing."""
    return channel.get("snr_db") if channel.get("talkers") else None

"""Sounds and corpora that the tests of data/ make for themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile


def voice(seconds: float, rate: int = 16000, seed: int = 0, level_dbov: float = -26.0) -> np.ndarray:
    """(n,) float32 like speech in what matters here: coloured, in syllables, with pauses."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate)
    time = np.arange(count) / rate
    pitch = 110 + 60 * rng.random()
    tone = sum(
        np.sin(2 * np.pi * pitch * k * time + rng.uniform(0, 6)) / k
        for k in range(1, int(rate / 2.2 / pitch))
    )
    syllables = np.clip(np.sin(2 * np.pi * 3 * time + rng.uniform(0, 6)), 0, 1) ** 0.5 + 1e-4  # pauses hiss
    sound = syllables * (tone + 0.3 * rng.standard_normal(count))
    return (sound * 10 ** (level_dbov / 20) / np.sqrt(np.mean(sound**2))).astype(np.float32)


def write_voice(
    path: Path, seconds: float = 0.5, rate: int = 16000, seed: int = 0, channels: int = 1
) -> Path:
    """A 16-bit WAV; every channel holds another voice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [voice(seconds, rate, 1000 * channel + seed) for channel in range(channels)]
    soundfile.write(path, np.stack(columns, axis=1), rate, subtype="PCM_16")
    return path


def write_manifest(path: Path, lines: list[dict | str]) -> Path:
    """JSON lines; a text stands as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(
            (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)) + "\n" for line in lines
        ),
        encoding="utf-8",
    )
    return path


def make_corpus(
    folder: Path, count: int = 12, seconds: float = 0.5, rate: int = 16000, talkers: int = 6
) -> Path:
    """A manifest of `count` utterances of `talkers` speakers, two speakers a call."""
    lines = []
    for number in range(count):
        write_voice(folder / f"{number}.wav", seconds + 0.01 * number, rate, seed=number)
        talker = number % talkers
        lines.append(
            {
                "key": f"utt{number}",
                "source": f"{number}.wav",
                "target": f"第{number}句话",
                "speaker": f"s{talker}",
                "call": f"c{talker // 2}",
            }
        )
    return write_manifest(folder / "manifest.jsonl", lines)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }

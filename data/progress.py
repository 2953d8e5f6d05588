"""How far long work has come: a bar on a terminal, a plain line every ten seconds in a log."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

INTERVAL = 10.0  # seconds between two lines


class Progress:
    """Counts utterances and the hours of audio in them. Use as a context manager."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total = label, total
        self.done, self.audio = 0, 0.0
        self.started = self.said = time.monotonic()
        self.bar = tqdm(total=total, desc=label, unit="utt", disable=not sys.stderr.isatty())

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def advance(self, utterances: int, seconds: float) -> None:
        """More utterances are done, that hold so many seconds of audio."""
        self.done += utterances
        self.audio += seconds
        self.bar.update(utterances)
        now = time.monotonic()
        if self.bar.disable and now - self.said >= INTERVAL:
            self.said = now
            speed = self.audio / (now - self.started)
            print(f"{self.label}: {self.done}/{self.total} utterances, {self.audio / 3600:.2f} h, "
                  f"{speed:,.0f} x real time", file=sys.stderr, flush=True)

"""SpecAugment (Park et al., 2019) on the fbank that the encoder sees: hidden pieces, so that it leans on all it hears.

Time masks stand for 20 ms frames that a call has lost and nothing conceals, frequency masks for missing bands. Each fbank
frame of 10 ms is in up to two of the stacked frames (LFR: 7 stacked, 6 ahead), and is hidden in all of its copies.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch

from data.manifest import LFR_STEP, RATE, SHIFT, fbank_frames
from local.config import CALL_FRAME_MS, SpecAugConf

STACKED = 7  # fbank frames in one LFR frame
AHEAD = STACKED // 2  # the first LFR frame begins so many fbank frames before the sound
CALL_FRAME = CALL_FRAME_MS * RATE // (1000 * SHIFT)  # fbank frames in a frame of a call
HIDDEN = 0.0  # a log-mel energy below that of the least bit of 16-bit sound; FunASR's value too


@dataclass(frozen=True)
class SpecAugment:
    """What is hidden depends on (seed, key, epoch) alone: the same at any number of workers."""

    conf: SpecAugConf
    seed: int

    def __call__(self, speech: torch.Tensor, samples: int, key: str, epoch: int) -> torch.Tensor:
        """`speech` (LFR frames, 7 · mels) of so many samples at 16 kHz → a copy with pieces hidden."""
        draw = random.Random(f"{self.seed}/specaug/{key}/{epoch}")
        frames = fbank_frames(samples)
        stacked = speech.clone().view(len(speech), STACKED, -1)
        hidden = torch.zeros(frames, dtype=torch.bool)
        for begin, end in self._times(draw, frames, samples / RATE):
            hidden[begin:end] = True
        stacked[hidden[_places(len(speech), frames)]] = HIDDEN
        for begin, end in self._bands(draw, stacked.shape[-1]):
            stacked[..., begin:end] = HIDDEN
        return stacked.view_as(speech)

    def _times(self, draw: random.Random, frames: int, seconds: float) -> list[tuple[int, int]]:
        """Begin and end of each time mask in fbank frames; none hides more than half of the utterance."""
        least, most = (ms // CALL_FRAME_MS for ms in self.conf.time_mask_ms)
        spans = []
        for _ in range(math.ceil(self.conf.time_masks_per_second * seconds)):
            width = min(CALL_FRAME * draw.randint(least, most), frames // 2)
            begin = CALL_FRAME * draw.randint(0, (frames - width) // CALL_FRAME)
            spans.append((begin, begin + width))
        return spans

    def _bands(self, draw: random.Random, mels: int) -> list[tuple[int, int]]:
        """Begin and end of each frequency mask in mel bins."""
        spans = []
        for _ in range(self.conf.num_freq_mask):
            width = draw.randint(*self.conf.freq_mask_width_range)
            begin = draw.randint(0, mels - width)
            spans.append((begin, begin + width))
        return spans


def _places(stacked: int, frames: int) -> torch.Tensor:
    """(LFR frames, 7): which fbank frame stands where; the first and the last one are repeated beyond the ends."""
    places = LFR_STEP * torch.arange(stacked)[:, None] + torch.arange(STACKED) - AHEAD
    return places.clamp(0, frames - 1)

"""Real speech as training wants it: 16 kHz, mono, 16 bit. What is that already stays where it lies."""

from __future__ import annotations

from dataclasses import dataclass

from data.audio import read_info, read_wideband, write_wav
from data.corpora import Utterance
from data.manifest import RATE
from data.shards import Record
from data.split import Split, check_length, guard

VERSION = 1  # a change of what it makes of the same audio must change this


@dataclass(frozen=True)
class Converter:
    """Brings the audio of one utterance to 16 kHz; sent once to every worker."""

    split: Split
    force_copy: bool = False

    def __call__(self, utterance: Utterance) -> Record:
        return guard(self._convert, utterance)

    def _convert(self, utterance: Utterance) -> Record:
        in_place = None if self.force_copy else _samples_in_place(utterance)
        if in_place is not None:
            check_length(in_place, utterance.audio)
            return {"samples": in_place, "in_place": True}
        samples = read_wideband(utterance.audio, utterance.start, utterance.end, utterance.channel)
        check_length(len(samples), utterance.audio)
        write_wav(self.split.wav(utterance.key), samples, RATE)
        return {"samples": len(samples)}


def _samples_in_place(utterance: Utterance) -> int | None:
    """Length of a sound file that training can read as it is; None for one that must be converted."""
    info = read_info(utterance.audio)
    is_plain = (info.format, info.subtype, info.rate, info.channels) == ("WAV", "PCM_16", RATE, 1)
    is_whole = utterance.start is None and utterance.end is None and not utterance.channel
    return info.frames if is_plain and is_whole else None

"""Real speech as training wants it: 16 kHz, mono, 16 bit. What is that already stays where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from data.audio import AudioInfo, read_info, read_wideband, write_wav
from data.corpora import Utterance
from data.manifest import RATE
from data.plausibility import header_facts, sample_facts
from data.shards import Record
from data.split import Split, check_length, guard

VERSION = 2  # a change of what it makes of the same audio, or measures of it, must change this


@dataclass(frozen=True)
class Converter:
    """Brings the audio of one utterance to 16 kHz; sent once to every worker.

    `measured` is what the rules of the split need to know of the sound: nothing, its "header", or its
    "samples". It goes into the record; the rules are applied later, to what the record says. Samples are those
    that were just read; of what stays in its place they are read for this alone.
    """

    split: Split
    force_copy: bool = False
    measured: str = ""

    def __call__(self, utterance: Utterance) -> Record:
        return guard(self._convert, utterance)

    def _convert(self, utterance: Utterance) -> Record:
        info = read_info(utterance.audio)
        known = header_facts(utterance, info) if self.measured else {}
        make = self._leave if not self.force_copy and _is_ready(utterance, info) else self._copy
        return known | guard(partial(make, info), utterance)

    def _leave(self, info: AudioInfo, utterance: Utterance) -> Record:
        check_length(info.frames, utterance.audio)
        record = {"samples": info.frames, "in_place": True}
        return record | (sample_facts(read_wideband(utterance.audio)) if self.measured == "samples" else {})

    def _copy(self, _: AudioInfo, utterance: Utterance) -> Record:
        samples = read_wideband(utterance.audio, utterance.start, utterance.end, utterance.channel)
        check_length(len(samples), utterance.audio)
        write_wav(self.split.wav(utterance.key), samples, RATE)
        record = {"samples": len(samples), "row": origin(utterance)}
        return record | (sample_facts(samples) if self.measured == "samples" else {})


def origin(utterance: Utterance) -> Record:
    """Where the sound of a row comes from, as the corpus has it: fields of the row, those that are known."""
    place = {"source": str(utterance.audio), "start": utterance.start, "end": utterance.end}
    place |= {"source_channel": utterance.channel}
    return {name: value for name, value in place.items() if value is not None}


def _is_ready(utterance: Utterance, info: AudioInfo) -> bool:
    """Can training read the sound file as it is?"""
    is_plain = (info.format, info.subtype, info.rate, info.channels) == ("WAV", "PCM_16", RATE, 1)
    return is_plain and utterance.start is None and utterance.end is None and not utterance.channel

"""Real speech as training wants it: 16 kHz, mono, 16 bit. What is that already stays where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from data.audio import AudioInfo, read_audio, read_info, read_wideband, resample
from data.corpora import Utterance
from data.manifest import RATE
from data.plausibility import header_facts, sample_facts
from data.split import Record, check_length, file_name, guard
from data.storage import FORMS, MU_LAW, WAV, store
from data.telephone_channel import NARROW

VERSION = 2  # a change of what it makes of the same audio, or measures of it, must change this


@dataclass(frozen=True)
class Converter:
    """Brings the audio of one utterance to 16 kHz, in a form of data/storage.py; sent once to every worker.

    `measured` is what the rules of the split need to know of the sound: nothing, its "header", or its
    "samples". It goes into the record; the rules are applied later, to what the record says. Samples are those
    that were just read; of what stays in its place they are read for this alone.
    """

    force_copy: bool = False
    measured: str = ""
    form: str = WAV

    def __call__(self, utterance: Utterance, room: Path) -> Record:
        return guard(self._convert, utterance, room)

    def size(self, utterance: Utterance, info: AudioInfo, seconds: float) -> int | None:
        """Bytes of so many seconds of it; None where it stays as it is."""
        return None if self._stays(utterance, info) else round(seconds * FORMS[self._form_of(info.rate)].bytes)

    def _convert(self, utterance: Utterance, room: Path) -> Record:
        info = read_info(utterance.audio)
        known = header_facts(utterance, info) if self.measured else {}
        make = partial(self._leave, info) if self._stays(utterance, info) else self._copy
        return known | guard(make, utterance, room)

    def _stays(self, utterance: Utterance, info: AudioInfo) -> bool:
        return not self.force_copy and _is_ready(utterance, info)

    def _form_of(self, rate: int) -> str:
        """8 kHz can hold no wideband speech."""
        return WAV if self.form == MU_LAW and rate != NARROW else self.form

    def _leave(self, info: AudioInfo, utterance: Utterance, _: Path) -> Record:
        check_length(info.frames, utterance.audio)
        record = {"samples": info.frames}
        return record | (sample_facts(read_wideband(utterance.audio)) if self.measured == "samples" else {})

    def _copy(self, utterance: Utterance, room: Path) -> Record:
        heard, rate = read_audio(utterance.audio, utterance.start, utterance.end, utterance.channel)
        samples = resample(heard, rate, RATE)
        check_length(len(samples), utterance.audio)
        form = self._form_of(rate)
        name = file_name(utterance.key, FORMS[form].suffix)
        store(room / name, heard if form == MU_LAW else samples, form)
        row = origin(utterance) | ({"samples": len(samples)} if form == MU_LAW else {})
        record: Record = {"samples": len(samples), "file": name, "row": row}
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

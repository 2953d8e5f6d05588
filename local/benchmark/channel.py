"""What `benchmark.py channel` times of ours: file to file, on the fly, every profile and every step."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data import g711_codec
from data.audio import read_wideband, to_int16, write_wav
from data.babble import TalkerPool
from data.band_limit import to_narrowband
from data.channel_config import names, read_mix
from data.corpora import Utterance
from data.errors import UserError
from data.one_call import carry_file
from data.packet_loss import conceal
from data.simulator import Simulator
from data.telephone_channel import WIDE, lost_frames, set_levels, simulate
from data.upsampler import upsample
from local.benchmark.rivals import rivals
from local.benchmark.stopwatch import Contestant, Groups, Work

SECONDS = 10  # of an utterance
LENGTH = SECONDS * WIDE
PROFILE, SEED = "default", 1


@dataclass(frozen=True)
class Bench:
    """A small corpus on disk, each utterance by another talker, and where results go."""

    utterances: list[Utterance]
    speech: list[np.ndarray]  # (LENGTH,) float32 each, as read
    out: Path

    def groups(self) -> Groups:
        """Ours first, for all others are held against it."""
        ours = Contestant("ours, all of it", self._file_to_file(self._simulator(PROFILE)))
        clean = [utterance.audio for utterance in self.utterances]
        profiles = [Contestant(name, self._on_the_fly(name)) for name in names()]
        return {
            "WAV to WAV": [ours, *rivals(clean, self.out)],
            "on the fly, beyond reading": profiles,
            "steps": self._steps(self._simulator(PROFILE)),
        }

    def tidy(self) -> None:
        """An empty folder for results: a file that is there already would not be written again."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()

    def _simulator(self, profile: str) -> Simulator:
        noises = (self.utterances[0].audio,)
        return Simulator(read_mix(profile), SEED, TalkerPool(self.utterances), noises)

    def _file_to_file(self, simulator: Simulator) -> Work:
        """As the workers of data_simulation.py do it."""
        return lambda i: carry_file(simulator, self.utterances[i], self.out / f"{i}.wav").call.row()

    def _on_the_fly(self, profile: str) -> Work | None:
        """As the training does it with speech that it has read; None for a codec that is not installed."""
        try:
            simulator = self._simulator(profile)
        except UserError as error:
            print(f"warning: {error}", file=sys.stderr)
            return None

        def hear(i: int) -> np.ndarray:
            call, room = simulator.dial(self.utterances[i], LENGTH)
            return simulate(self.speech[i], call.draws, call.lost, room)

        return hear

    def _steps(self, simulator: Simulator) -> list[Contestant]:
        """Each step by itself, with what the steps before it have left."""
        calls, rooms = zip(*(simulator.dial(one, LENGTH) for one in self.utterances), strict=True)
        draws = [call.draws for call in calls]
        mixed = [set_levels(*each) for each in zip(self.speech, draws, rooms, strict=True)]
        line = [to_int16(to_narrowband(sound, draws[0].band)) for sound in mixed]
        heard = [sound.astype(np.float32) / 32768 for sound in line]
        wide = [to_int16(upsample(sound, "soxr")) for sound in heard]
        works: dict[str, Work] = {
            "read": lambda i: read_wideband(self.utterances[i].audio),
            "draw; read and mix 3-7 talkers": lambda i: simulator.dial(self.utterances[i], LENGTH),
            "P.56 levels of speech and babble": lambda i: set_levels(self.speech[i], draws[i], rooms[i]),
            "to 8 kHz and into the band": lambda i: to_narrowband(mixed[i], draws[i].band),
            "G.711 there and back": lambda i: g711_codec.decode(g711_codec.encode(line[i])),
            "loss, repeat": lambda i: conceal(line[i], lost_frames(draws[i], LENGTH), "repeat"),
            "loss, G.711 Appendix I": lambda i: conceal(line[i], calls[i].lost, "g711_appendix_i"),
            "to 16 kHz, soxr": lambda i: upsample(heard[i], "soxr"),
            "to 16 kHz, as torchaudio": lambda i: upsample(heard[i], "torchaudio"),
            "write": lambda i: write_wav(self.out / f"{i}.wav", wide[i], WIDE),
        }
        return [Contestant(name, work) for name, work in works.items()]


def prepare(folder: Path, utterances: int) -> Bench:
    """Make the corpus."""
    made = []
    for number in range(utterances):
        path = folder / f"{number}.wav"
        write_wav(path, made_speech(number), WIDE)
        made.append(Utterance(f"utt{number}", path, "", speaker=f"talker{number}"))
    return Bench(made, [read_wideband(one.audio) for one in made], folder / "out")


def made_speech(seed: int) -> np.ndarray:
    """(LENGTH,) float32, like speech in what costs time: harmonics and hiss, in syllables and with pauses."""
    rng = np.random.default_rng(seed)
    time = np.arange(LENGTH) / WIDE
    phase = 2 * np.pi * (110 + 60 * rng.random()) * time
    tone = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 16))
    syllables = np.clip(np.sin(2 * np.pi * 3 * time + rng.uniform(0, 6)), 0, 1) ** 0.5
    phrases = np.sin(2 * np.pi * 0.3 * time + rng.uniform(0, 6)) > -0.7
    sound = (syllables * phrases + 1e-4) * (tone + 0.3 * rng.standard_normal(LENGTH))
    return (0.05 * sound / np.sqrt(np.mean(sound**2))).astype(np.float32)

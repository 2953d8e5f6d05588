#!/usr/bin/env python3
"""Put speech through a telephone line: one file, or every utterance of a manifest on all cores.

    python data/data_simulation.py --manifest IN --output_dir DIR --split train [--profile default] [--seed 1]
    python data/data_simulation.py --input a.wav --output b.wav [--profile default] [--babble x.wav …]

From a manifest (JSON lines or a Kaldi folder) it writes DIR/train.jsonl, DIR/wav/train/, and for every line
that could not be used the reason in DIR/rejected/train.jsonl. Babble comes from other talkers of the same
manifest. The same command makes the same bytes with any number of processes; after a kill it makes only
what is missing.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: the top folder must come first (PyPI has a package `data` too)
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from data import options, prompt
from data.audio import AudioError, read_wideband, write_wav
from data.babble import TalkerPool, mix, talker_of
from data.corpora import Utterance
from data.errors import run
from data.selection import count_reasons, select
from data.shards import Record
from data.split import RETRY, Split, check_length, guard, make_split
from data.telephone_channel import BABBLE, CONFIG, WIDE, Draws, Profile, as_row, draw, read_profile, simulate

VERSION = 1  # of the channel: what changes its output for the same draws must change this too


@dataclass(frozen=True)
class Simulator:
    """Makes the telephone version of one utterance; sent once to every worker."""

    split: Split
    profile: Profile
    seed: int
    pool: TalkerPool

    def __call__(self, utterance: Utterance) -> Record:
        return guard(self._simulate, utterance)

    def _simulate(self, utterance: Utterance) -> Record:
        draws = draw(self.profile, self.seed, utterance.key)
        speech = read_wideband(utterance.audio, utterance.start, utterance.end, utterance.channel)
        check_length(len(speech), utterance.audio)
        rng = draws.generator(BABBLE)
        voices, unreadable = self._voices(utterance, draws, rng)
        babble = mix(list(voices.values()), len(speech), rng)
        write_wav(self.split.wav(utterance.key), simulate(speech, draws, babble), WIDE)
        record: Record = {"samples": len(speech), "channel": as_row(draws, len(speech), list(voices))}
        return record | {RETRY: unreadable} if unreadable else record

    def _voices(
        self, utterance: Utterance, draws: Draws, rng: np.random.Generator
    ) -> tuple[dict[str, np.ndarray], list[str]]:
        """The drawn talkers: (n,) samples by key, and the keys of those passed over as unreadable."""
        voices: dict[str, np.ndarray] = {}
        unreadable: list[str] = []
        for other in self.pool.others(utterance, rng):
            try:
                voices[other.key] = read_wideband(other.audio, other.start, other.end, other.channel)
            except AudioError:  # it has its own line among the rejects
                unreadable.append(other.key)
            if len(voices) == draws.talkers:
                break
        return voices, unreadable


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run the one or the other form."""
    parser = _parser()
    args = parser.parse_args(argv)
    one_file, many = bool(args.input or args.output), bool(args.manifest or args.output_dir or args.split)
    if one_file == many:
        parser.error("give either --input and --output, or --manifest, --output_dir and --split")
    if one_file and not (args.input and args.output):
        parser.error("--input and --output go together")
    if many and not (args.manifest and args.output_dir and args.split):
        parser.error("--manifest, --output_dir and --split go together")
    if many and args.babble:
        parser.error("--babble goes with --input; with --manifest the babble comes from the manifest")
    profile = read_profile(args.profile, args.channel_config)
    return _simulate_file(args, profile) if one_file else _simulate_manifest(args, profile)


def _simulate_manifest(args: argparse.Namespace, profile: Profile) -> int:
    folder = args.output_dir
    options.refuse_same(args.manifest, folder / f"{args.split}.jsonl")
    selection = select(args.manifest)
    print(f"{args.manifest}: {selection.read} lines, {len(selection.kept)} usable by their text, "
          f"{count_reasons(selection.rejected)}")
    pool = TalkerPool(selection.kept)  # of the whole manifest: a --limit draws what the full run draws
    if len(pool.talkers) <= profile.talkers[0]:
        print(f"warning: {args.manifest}: has {len(pool.talkers)} talkers; the babble is of the others only, "
              f"fewer than the {profile.talkers[0]} that profile {profile.name} wants", file=sys.stderr)
    settings = {"channel": VERSION, "profile": asdict(profile), "seed": args.seed}
    split = Split(folder, args.split, settings | {"talkers": _identity(selection.kept)}, args.prompt)
    simulator = Simulator(split, profile, args.seed, pool)
    print(make_split(split, selection.head(args.limit), simulator, args.jobs))
    return 0


def _simulate_file(args: argparse.Namespace, profile: Profile) -> int:
    options.refuse_same(args.input, args.output)
    speech = read_wideband(args.input)
    draws = draw(profile, args.seed, args.input.stem)
    voices = [read_wideband(path) for path in args.babble]
    babble = mix(voices, len(speech), draws.generator(BABBLE))
    write_wav(args.output, simulate(speech, draws, babble), WIDE)
    print(json.dumps(as_row(draws, len(speech), [str(path) for path in args.babble]), ensure_ascii=False))
    return 0


def _identity(utterances: list[Utterance]) -> str:
    """Hash of all that the babble can be drawn from."""
    digest = hashlib.sha256()
    for u in utterances:
        digest.update(json.dumps([u.key, talker_of(u), str(u.audio), u.start, u.end, u.channel]).encode())
    return digest.hexdigest()[:32]


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(__doc__)
    parser.add_argument("--manifest", type=Path, help="JSON lines or a Kaldi folder, wideband speech")
    parser.add_argument("--output_dir", type=Path)
    parser.add_argument("--split", choices=("train", "dev", "test"))
    parser.add_argument("--input", type=Path, help="one sound file …")
    parser.add_argument("--output", type=Path, help="… and where its telephone version goes (16 kHz WAV)")
    parser.add_argument("--babble", type=Path, nargs="+", default=[], help="with --input: other voices")
    parser.add_argument("--profile", default="default", help="a section of the channel config")
    parser.add_argument("--channel_config", type=Path, default=CONFIG)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prompt", default=prompt.DEFAULT_PROMPT)
    options.add_shared(parser)
    return parser


if __name__ == "__main__":
    raise SystemExit(run(main))

#!/usr/bin/env python3
"""Put speech through a telephone line: one file, or every utterance of a manifest on all cores.

    python data/data_simulation.py --manifest IN --output_dir DIR --split train [--profile default] [--seed 1]
    python data/data_simulation.py --input a.wav --output b.wav [--set snr_db=10 …] [--babble x.wav …] [--plot b.png]

From a manifest (JSON lines or a Kaldi folder) it writes DIR/train.jsonl, DIR/wav/train/, and for every line
that could not be used the reason in DIR/rejected/train.jsonl. Babble comes from other talkers of the same
manifest. The same command makes the same bytes with any number of processes; after a kill it makes only
what is missing. With --online the rows of a training set stay clean and are simulated in training.
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
from dataclasses import asdict, dataclass, replace

from data import conversion, online, options, prompt
from data.audio import read_wideband
from data.babble import TalkerPool, talker_of
from data.call_profiles import Mix
from data.channel_config import CONFIG, read_mix
from data.conversion import Converter
from data.corpora import Utterance
from data.errors import UserError, run
from data.files import sha256_of
from data.negatives import make_negatives
from data.one_call import carry_file
from data.one_core import settle_on_one_core
from data.plausibility import choose_rules, wanted
from data.selection import Selection, select
from data.shards import Record
from data.simulator import Simulator
from data.split import RETRY, Split, guard, make_split
from data.telephone_channel import VERSION

SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3")


@dataclass(frozen=True)
class Offline:
    """Makes the telephone version of one utterance; sent once to every worker."""

    split: Split
    simulator: Simulator
    measured: str = ""

    def __call__(self, utterance: Utterance) -> Record:
        return guard(self._simulate, utterance)

    def _simulate(self, utterance: Utterance) -> Record:
        path = self.split.wav(utterance.key)
        made = carry_file(self.simulator, utterance, path, self.measured)
        row = {"channel": made.call.row()} | _origin(utterance)
        record: Record = made.facts | {"samples": made.samples, "row": row}
        if self.split.name != "train":  # a test set that has changed unnoticed proves nothing
            record["row"]["audio_sha256"] = sha256_of(path)
        return record | {RETRY: made.call.unreadable} if made.call.unreadable else record


@dataclass(frozen=True)
class Clean:
    """Leaves the simulation of one utterance to the training; sent once to every worker."""

    converter: Converter

    def __call__(self, utterance: Utterance) -> Record:
        return self.converter(utterance) | {"row": online.mark(utterance) | _origin(utterance)}


def _origin(utterance: Utterance) -> Record:
    """Where the clean sound lies, for reports; and that an utterance without text is no mistake: nobody speaks."""
    place = {"source": str(utterance.audio), "start": utterance.start, "end": utterance.end}
    place |= {"source_channel": utterance.channel, "negative": True if not utterance.text else None}
    return {name: value for name, value in place.items() if value is not None}


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
    if many and (args.babble or args.plot or args.set):
        parser.error("--babble, --plot and --set go with --input")
    if (args.online or args.negative_rate or args.rule) and args.split != "train":
        parser.error("--online, --negative_rate and --rule go with --split train")
    mix = read_mix(args.profile, args.channel_config, args.set)
    noises = _noises(args.noise_dir, mix)
    return _one_file(args, mix, noises) if one_file else _manifest(args, mix, noises)


def _manifest(args: argparse.Namespace, mix: Mix, noises: tuple[Path, ...]) -> int:
    folder = args.output_dir
    options.refuse_same(args.manifest, folder / f"{args.split}.jsonl")
    rules = choose_rules(args.rule) if args.split == "train" else ()
    selection = select(args.manifest, rules=rules, format=args.format, min_confidence=args.min_confidence)
    print(selection.summary(args.manifest))
    simulator = Simulator(mix, args.seed, _pool(selection, mix, args.manifest), noises)
    chosen = _with_negatives(selection.head(args.limit), args)
    if args.online:
        split = Split(folder, args.split, {"conversion": conversion.VERSION, "copy": False}, args.prompt)
        online.write_settings(split.jsonl, simulator)
        print(make_split(split, chosen, Clean(Converter(split, measured=wanted(rules))), args.jobs))
        return 0
    split = Split(folder, args.split, _settings(simulator, selection), args.prompt)
    print(make_split(split, chosen, Offline(split, simulator, wanted(rules)), args.jobs))
    return 0


def _pool(selection: Selection, mix: Mix, manifest: Path) -> TalkerPool:
    """The talkers of the whole manifest: a --limit draws what the full run draws."""
    pool = TalkerPool(selection.kept)
    for profile in mix.profiles:
        if len(pool.talkers) <= profile.talkers[0]:
            print(f"warning: {manifest}: has {len(pool.talkers)} talkers; the babble is of the others only, "
                  f"fewer than the {profile.talkers[0]} that profile {profile.name} wants", file=sys.stderr)
    return pool


def _settings(simulator: Simulator, selection: Selection) -> dict:
    """All that, besides an utterance itself, decides on its audio."""
    talkers = [[u.key, talker_of(u), str(u.audio), u.start, u.end, u.channel] for u in selection.kept]
    noises = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in simulator.noises]
    settings = {"channel": VERSION, "mix": asdict(simulator.mix), "seed": simulator.seed}
    return settings | {"talkers": _digest(sorted(talkers, key=lambda talker: talker[0])), "noises": _digest(noises)}


def _digest(content: list) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _with_negatives(selection: Selection, args: argparse.Namespace) -> Selection:
    """The selection with utterances in which nobody speaks, --negative_rate of them for each that has speech."""
    count = round(args.negative_rate * len(selection.kept))
    if not count:
        return selection
    negatives = make_negatives(args.output_dir / "negatives", count, args.seed)
    return replace(selection, kept=selection.kept + negatives)


def _noises(folder: Path | None, mix: Mix) -> tuple[Path, ...]:
    """The noise files, where the profiles want some. Raises UserError when one goes without the other."""
    wanted = [profile.name for profile in mix.profiles if profile.noise_snr_db is not None]
    if folder is None and wanted:
        raise UserError(f"profile {wanted[0]} has noise_snr_db: say where the noise files are (--noise_dir)")
    if folder is None:
        return ()
    if not wanted:
        raise UserError(f"{folder}: no profile of {mix.name} has noise_snr_db, so no noise file would be used")
    found = sorted(path.absolute() for path in folder.rglob("*") if path.suffix.lower() in SOUNDS)
    if not found:
        raise UserError(f"{folder}: holds no sound file ({', '.join(SOUNDS)})")
    return tuple(found)


def _one_file(args: argparse.Namespace, mix: Mix, noises: tuple[Path, ...]) -> int:
    options.refuse_same(args.input, args.output)
    settle_on_one_core()
    voices = [Utterance(str(path), path, "", speaker=str(path)) for path in args.babble]
    simulator = Simulator(mix, args.seed, TalkerPool(voices), noises)
    call = carry_file(simulator, Utterance(args.input.stem, args.input, ""), args.output).call
    print(json.dumps(call.row(), ensure_ascii=False))
    if args.plot:
        from data.picture import plot_call  # its library takes a second to import

        plot_call(read_wideband(args.input), read_wideband(args.output), call.lost, args.plot)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(__doc__)
    parser.add_argument("--manifest", type=Path, help="a corpus of wideband speech in any form of --format")
    parser.add_argument("--output_dir", type=Path)
    parser.add_argument("--split", choices=("train", "dev", "test"))
    parser.add_argument("--online", action="store_true", help="clean rows, to be simulated anew in each epoch of training")
    parser.add_argument("--negative_rate", type=options.rate, default=0.0, metavar="R",
                        help="training utterances without speech, R for each that has some (default: none)")
    parser.add_argument("--input", type=Path, help="one sound file …")
    parser.add_argument("--output", type=Path, help="… and where its telephone version goes (16 kHz WAV)")
    parser.add_argument("--babble", type=Path, nargs="+", default=[], help="with --input: other voices")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE",
                        help="with --input: instead of what the profile says, such as snr_db=10 legs=[a-law]")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="with --input: a picture of before and after")
    parser.add_argument("--profile", default="default", help="a profile or a mix of the channel config")
    parser.add_argument("--channel_config", type=Path, default=CONFIG)
    parser.add_argument("--noise_dir", type=Path, help="noise files, for profiles with noise_snr_db")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prompt", default=prompt.DEFAULT_PROMPT)
    options.add_reading(parser)
    options.add_rules(parser)
    options.add_shared(parser)
    return parser


if __name__ == "__main__":
    raise SystemExit(run(main))

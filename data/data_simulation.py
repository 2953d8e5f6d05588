#!/usr/bin/env python3
"""Put speech through a telephone line: one file, or every utterance of a manifest on all cores.

    python data/data_simulation.py --manifest IN --output_dir DIR --split train [--profile default] [--seed 1]
    python data/data_simulation.py --silence N --output_dir DIR --split test [--profile default] [--seed 1]
    python data/data_simulation.py --input a.wav --output b.wav [--set snr_db=10 …] [--babble x.wav …] [--plot b.png]

From a manifest (any form of data/corpora.py) it writes DIR/train.jsonl, sounds in DIR/shards/train/, and for every
line that could not be used the reason in DIR/rejected/train.jsonl. Babble comes from other talkers of the same
manifest. The same command makes the same bytes with any number of processes or machines; after a kill it makes only
what is missing. With --online the rows of a training set stay clean and are simulated in training. --silence makes a
test set in which nobody speaks, in the foreground or behind: whatever is recognised there is a false alarm.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a file: the top folder must come first (PyPI has a package `data` too)
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from data import conversion, online, options, prompt
from data.audio import AudioInfo, read_wideband
from data.babble import TalkerPool
from data.call_profiles import Mix
from data.channel_config import CONFIG, read_mix
from data.conversion import Converter, origin
from data.corpora import Utterance
from data.errors import UserError, run
from data.files import sha256_of
from data.make_split import job_of, make_split, plan_split
from data.negatives import Negatives
from data.one_call import carry_file
from data.one_core import settle_on_one_core
from data.plan import Plan, drafting
from data.planned_talkers import PlannedTalkers
from data.plausibility import choose_rules, wanted
from data.selection import Request
from data.shards import Work
from data.simulator import Simulator
from data.spelling import counted
from data.split import RETRY, Record, Split, file_name, guard
from data.storage import FORMS, MU_LAW, WAV
from data.telephone_channel import VERSION

SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3")


@dataclass(frozen=True)
class Offline:
    """Makes the telephone version of one utterance; sent once to every worker. Dev and test are `hashed`."""

    simulator: Simulator
    measured: str = ""
    form: str = WAV
    hashed: bool = False

    def __call__(self, utterance: Utterance, room: Path) -> Record:
        return guard(self._simulate, utterance, room)

    def size(self, utterance: Utterance, info: AudioInfo, seconds: float) -> int:
        """Bytes of so many seconds."""
        return round(seconds * FORMS[self.form].bytes)

    def _simulate(self, utterance: Utterance, room: Path) -> Record:
        name = file_name(utterance.key, FORMS[self.form].suffix)
        made = carry_file(self.simulator, utterance, room / name, self.measured, self.form)
        row: Record = {"channel": made.call.row()} | _fields(utterance)
        if self.form == MU_LAW:
            row["samples"] = made.samples
        if self.hashed:  # a test set that has changed unnoticed proves nothing
            row["audio_sha256"] = sha256_of(room / name)
        record: Record = made.facts | {"samples": made.samples, "file": name, "row": row}
        return record | {RETRY: made.call.unreadable} if made.call.unreadable else record


@dataclass(frozen=True)
class Clean:
    """Leaves the simulation of one utterance to the training; sent once to every worker."""

    converter: Converter

    def __call__(self, utterance: Utterance, room: Path) -> Record:
        return self.converter(utterance, room) | {"row": online.mark(utterance) | _fields(utterance)}

    def size(self, utterance: Utterance, info: AudioInfo, seconds: float) -> int | None:
        """Bytes of so many seconds; None where it stays as it is."""
        return self.converter.size(utterance, info, seconds)


def _fields(utterance: Utterance) -> Record:
    """Where the clean sound lies, for reports; and that an utterance without text is no mistake: nobody speaks."""
    return origin(utterance) | ({} if utterance.text else {"negative": True})


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run the one or the other form."""
    parser = _parser()
    args = parser.parse_args(argv)
    one_file = bool(args.input or args.output)
    many = bool(args.manifest or args.silence or args.output_dir or args.split)
    if one_file == many:
        parser.error("give either --input and --output, or --manifest (or --silence), --output_dir and --split")
    if one_file and not (args.input and args.output):
        parser.error("--input and --output go together")
    if many and not (bool(args.manifest) != bool(args.silence) and args.output_dir and args.split):
        parser.error("--manifest (or --silence), --output_dir and --split go together")
    if args.silence and (args.split != "test" or args.limit):
        parser.error("--silence goes with --split test, and without --limit: it is the number itself")
    if many and (args.babble or args.plot or args.set):
        parser.error("--babble, --plot and --set go with --input")
    if (args.online or args.negative_rate or args.rule) and args.split != "train":
        parser.error("--online, --negative_rate and --rule go with --split train")
    mix = read_mix(args.profile, args.channel_config, args.set)
    noises = _noises(args.noise_dir, mix)
    if one_file:
        return _one_file(args, mix, noises)
    return _silence(args, mix, noises) if args.silence else _manifest(args, mix, noises)


def _manifest(args: argparse.Namespace, mix: Mix, noises: tuple[Path, ...]) -> int:
    folder = args.output_dir
    options.refuse_same(args.manifest, folder / f"{args.split}.jsonl")
    rules = choose_rules(args.rule) if args.split == "train" else ()
    negatives = Negatives(folder / "negatives", args.negative_rate, args.seed) if args.negative_rate else None
    request = Request(args.manifest, True, rules, args.format, args.min_confidence, False, args.limit, negatives)
    means = options.means(args)
    plan = plan_split(request, folder, args.split, means)
    simulator = Simulator(mix, args.seed, _pool(plan, mix, args.manifest), noises)
    settings = {"conversion": conversion.VERSION, "copy": False} if args.online else _settings(simulator, plan)
    split = Split(folder, args.split, settings | options.stored(args), args.prompt)
    if args.online:
        online.write_settings(split.jsonl, simulator)
        work: Work = Clean(Converter(measured=wanted(rules), form=args.storage))
    else:
        work = Offline(simulator, wanted(rules), args.storage, hashed=args.split != "train")
    print(make_split(job_of(split, plan, work, rules, means), means))
    return 0


def _silence(args: argparse.Namespace, mix: Mix, noises: tuple[Path, ...]) -> int:
    """Nobody is there to babble either: the plan has no talkers."""
    path = args.output_dir / ".plan" / f"{args.split}.sqlite"
    with drafting(path) as draft:
        for utterance in Negatives(args.output_dir / "negatives", 1.0, args.seed, "silence").made(args.silence):
            draft.add(utterance)
        draft.finish({})
    plan, means = Plan(path), options.means(args)
    simulator = Simulator(mix, args.seed, PlannedTalkers(plan), noises)
    split = Split(args.output_dir, args.split, _settings(simulator, plan) | options.stored(args), args.prompt)
    print(make_split(job_of(split, plan, Offline(simulator, form=args.storage, hashed=True), (), means), means))
    return 0


def _pool(plan: Plan, mix: Mix, manifest: Path) -> TalkerPool:
    """The talkers of the whole manifest: a --limit draws what the full run draws."""
    pool = PlannedTalkers(plan)
    for profile in mix.profiles:
        if pool.count <= profile.talkers[0]:
            others = pool.count - 1 or "nobody"
            print(f"warning: {manifest}: has {counted(pool.count, 'talker')}, {others} to babble behind each; profile "
                  f"{profile.name} wants {profile.talkers[0]} at least", file=sys.stderr)
    return pool


def _settings(simulator: Simulator, plan: Plan) -> dict:
    """All that, besides an utterance itself, decides on its audio."""
    noises = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in simulator.noises]
    settings = {"channel": VERSION, "mix": asdict(simulator.mix), "seed": simulator.seed}
    return settings | {"talkers": _digest(plan.voices()), "noises": _digest(noises)}


def _digest(content: Iterable) -> str:
    digest = hashlib.sha256()
    for item in content:
        digest.update(json.dumps(item).encode())
    return digest.hexdigest()[:32]


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
    if call.draws.talkers and not call.talkers:
        print(f"warning: {args.output}: profile {call.draws.profile} drew babble at snr_db {call.draws.snr_db:g}, and nobody is "
              "there to babble: name other voices by --babble", file=sys.stderr)
    if args.plot:
        from data.picture import plot_call  # its library takes a second to import

        plot_call(read_wideband(args.input), read_wideband(args.output), call.lost, args.plot)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(__doc__)
    parser.add_argument("--manifest", type=Path, help="a corpus of wideband speech in any form of --format")
    parser.add_argument("--silence", type=options.positive, metavar="N", help="instead of a manifest: so many without speech")
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

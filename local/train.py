"""Train one stage: `python local/train.py --config conf/stage1_encoder_adapt.yaml --model_dir DIR --init CKPT|released
--train JSONL [--replay JSONL] [--keywords FILE] --dev JSONL --output_dir DIR --device cpu|cuda [++key=value …]`, by torchrun
where there are several processes.

Composes the parts: build, contract, loop, hand on. An interrupted run goes on from its last saved update; one that SIGTERM or
SIGUSR1 asks to stop saves first, and exits with 75.
FunASR's own trainer is not used: it cannot run on CPU, saves in place, loses data in silence and never computes a CER.
"""
from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/train.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import dataclasses
import json
import logging
import os
import time

import torch
import yaml

from data.errors import UserError, run
from data.files import sweep, write_text
from data.manifest import hours, read_rows
from data.one_core import keep_freed_memory
from local import checkpoint, distributed, replay, resume
from local.batches import Featuriser, Utterances
from local.config import StageConfig, load_stage
from local.contract import check_frozen, declare, frozen_digest
from local.dev_score import DevScore, choose, score_dev
from local.distributed import World
from local.hotwords import lists_of
from local.loop import Loop
from local.metrics_log import MetricsLog, describe
from local.nano import build
from local.packages import installed
from local.specaug import SpecAugment
from local.tally import spent
from local.watchdog import RESUMABLE, Stopped


def parse(argv: list[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="the stage's YAML")
    parser.add_argument("--model_dir", required=True, help="the released model: a FunASR folder or a hub name")
    parser.add_argument("--init", required=True, help="checkpoint to start from, or `released`")
    parser.add_argument("--train", type=Path, required=True, help="training JSONL")
    parser.add_argument("--replay", type=Path, help="training JSONL of which every epoch mixes in dataset_conf.replay_share")
    parser.add_argument("--keywords", type=Path, help="of which dataset_conf.hotword_rate of the utterances get a list")
    parser.add_argument("--dev", type=Path, required=True, help="training JSONL of the dev set")
    parser.add_argument("--output_dir", type=Path, required=True, help="the stage's own folder")
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    arguments, rest = parser.parse_known_args(argv)
    for word in rest:
        if not word.startswith("++"):
            parser.error(f"unknown argument {word!r}: settings are replaced as ++section.key=value")
    return arguments, rest


class Stage:
    """One stage on one process: its model, data and logs."""

    def __init__(self, config: StageConfig, arguments: argparse.Namespace, world: World) -> None:
        self.config, self.folder, self.world = config, arguments.output_dir, world
        self.model_dir = arguments.model_dir
        torch.manual_seed(config.seed)  # LoRA's A
        start = None if arguments.init == "released" else arguments.init
        self.model, settings = build(arguments.model_dir, start, overrides(config), str(world.device))
        self.model.llm_weight = config.llm_weight
        self.model.llm_dtype = compute_dtype(world.device)
        self.model.to(world.device)
        self.tokenizer = settings["tokenizer"]
        self.groups = declare(self.model, config.stage.groups)
        self.frozen = frozen_digest(self.model)
        featuriser = Featuriser(settings, self.model)
        self.rows = replay.read(arguments.train, arguments.replay, config)
        channel = replay.channel_of(arguments.train, arguments.replay, self.rows)
        specaug = SpecAugment(config.specaug_conf, config.seed) if config.specaug else None
        self.hotwords = lists_of(arguments.keywords, self.rows.all, config)
        self.train_data = Utterances(self.rows.all, featuriser, channel, len(self.rows.own), specaug, self.hotwords)
        self.dev_data = Utterances(choose(read_rows(arguments.dev), config.train_conf.dev_utterances), featuriser)
        self.epochs = checkpoint.Epochs(self.folder, config.train_conf.keep_nbest_models)
        self.states = resume.Generations(self.folder)
        keywords = self.hotwords.keywords.words if self.hotwords else []
        self.made_from = resume.made_from(config, self.rows, self.dev_data.rows, self.frozen, keywords)
        if world.is_main:  # alone: the others may be writing later
            for room in (self.folder, self.epochs.folder):
                sweep(room)

    def score(self) -> DevScore:
        return score_dev(self.model, self.tokenizer, self.dev_data, self.config, self.world)

    def rank(self, score: DevScore) -> float:
        """What the best epoch has least of: dev CER, of both branches where both are trained."""
        return (score.cer_llm + score.cer_ctc) / 2 if self.config.ctc_weight else score.cer_llm

    def save(self, loop: Loop) -> None:
        """All that an interrupted run needs. Every process must take part."""
        state = loop.state()
        if self.world.is_main:
            trained = {name: p.detach() for name, p in self.model.named_parameters() if p.requires_grad}
            self.states.save({"made from": self.made_from, "scores": self.epochs.scores, "trained": trained} | state)

    def restore(self) -> tuple[resume.State | None, str]:
        """The state of an interrupted run, its tensors put into the model; None where there is none. And a line about damage."""
        state, damage = self.states.load()
        found = state["update"] if state else -1
        if self.world.sums([found]) != [found * self.world.size]:
            raise UserError(f"{self.folder}: not all processes find the same state there: it must be a folder that they share")
        if state:
            resume.refuse_changes(state["made from"], self.made_from, self.folder)
            self.epochs.scores = state["scores"]
            self.model.load_state_dict(state.pop("trained"), strict=False)
        return state, damage


def overrides(config: StageConfig) -> dict:
    """The stage's settings that FunASR reads when it builds the model."""
    sections = ("audio_encoder_conf", "audio_adaptor_conf", "ctc_decoder_conf", "llm_conf")
    settings = {name: dataclasses.asdict(getattr(config, name)) for name in sections}
    return settings | {"ctc_weight": config.ctc_weight, "detach_ctc_decoder": config.detach_ctc_decoder}


def compute_dtype(device: torch.device) -> str:
    """bf16 where the GPU has it; weights that train stay fp32 either way."""
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def announce(stage: Stage, log: MetricsLog) -> None:
    """What is trained and on what, before the first step."""
    for group, counts in stage.groups.items():
        state = "trained" if counts["trainable"] else "frozen"
        log.say(f"{group}: {state}, {counts['parameters']:,} parameters in {counts['tensors']} tensors")
    rows = stage.rows
    log.say(f"train {len(rows.own)} utterances, {hours(rows.own):.2f} h; dev {len(stage.dev_data)} utterances; "
            f"{resume.processes(stage.world)}")  # fmt: skip
    if rows.others:
        share = stage.config.dataset_conf.replay_share
        count = replay.count(len(rows.own), len(rows.others), share)
        log.say(f"replays {count} of {len(rows.others)} other utterances in every epoch, "
                f"{hours(rows.others) * count / len(rows.others):.2f} h: {100 * share:g} % of its utterances")  # fmt: skip
    if stage.hotwords:
        log.say(str(stage.hotwords))
    if rows.left_out:
        path = stage.folder / "left_out.jsonl"
        write_text(path, "".join(json.dumps(fields, ensure_ascii=False) + "\n" for fields in rows.left_out))
        log.say(f"left out {len(rows.left_out)} utterances, listed with the reason in {path}")


def train(stage: Stage) -> None:
    """All updates that are still to be done, then the checkpoint to hand on."""
    state, damage = stage.restore()
    log = open_log(stage, state, damage) if stage.world.is_main else None
    loop = Loop(stage.model, stage.train_data, stage.config, stage.world, log, stage.folder / "train.log")
    with loop.stop:
        if state:
            loop.load(state)
        else:
            finish_epoch(stage, loop, log, 0)
        for epoch in range(len(stage.epochs.scores), stage.config.train_conf.max_epoch + 1):
            stage.model.train()
            loop.run(epoch, lambda: stage.save(loop))
            finish_epoch(stage, loop, log, epoch)
    check_frozen(stage.model, stage.frozen)
    stage.world.wait()
    hand_on_best(stage, log)


def open_log(stage: Stage, state: resume.State | None, damage: str) -> MetricsLog:
    """The log, with the first lines of this run; the settings beside it."""
    log = MetricsLog(stage.folder, stage.config.stage.name, state["update"] if state else 0, len(stage.epochs.scores) - 1)
    settings = yaml.safe_dump(dataclasses.asdict(stage.config), sort_keys=False, allow_unicode=True)
    write_text(stage.folder / "config.yaml", settings)
    announce(stage, log)
    if damage:
        log.say(damage)
    if state:
        log.say(f"goes on after update {state['update']} (epoch {state['epoch']} step {state['done']})")
        if (before := state["processes"]) != (now := resume.processes(stage.world)):
            log.say(f"was on {before}, goes on with {now}: the same utterances in the same order, but not bit for bit the same")
    return log


def finish_epoch(stage: Stage, loop: Loop, log: MetricsLog | None, epoch: int) -> None:
    """Score on dev, tell, save. Epoch 0 is the start, before any step."""
    began = time.monotonic()
    score = stage.score()
    stage.epochs.scores = [*stage.epochs.scores[:epoch], score.asdict() | {"rank": stage.rank(score)}]
    if log:
        name = f"epoch {epoch}/{stage.config.train_conf.max_epoch}" if epoch else "epoch 0 (start)"
        log.say(f"{name} dev {describe(score.asdict())} CER {score.cer_llm:.2f} % (LLM) {score.cer_ctc:.2f} % (CTC)")
        log.numbers("dev", epoch, loop.update, score.asdict() | {"seconds": time.monotonic() - began})
        stage.epochs.save(stage.model)
    stage.save(loop)
    if log:
        stage.epochs.drop_others()


def hand_on_best(stage: Stage, log: MetricsLog | None) -> None:
    """The best epoch, or the average of the best ones where that is better on dev; damaged files are left out."""
    whole, damaged = stage.epochs.read_best(stage.config.train_conf.avg_nbest_model)
    if log:
        for line in damaged:
            log.say(f"{line}: that epoch is left out")
    best, start = next(iter(whole)), stage.epochs.scores[0]
    chosen, values, tensors = f"epoch {best}", stage.epochs.scores[best], whole[best]
    if len(whole) > 1:
        checkpoint.install(stage.model, averaged := checkpoint.average(list(whole.values())))
        score = stage.score()
        if stage.rank(score) < values["rank"]:
            values = score.asdict() | {"rank": stage.rank(score)}
            chosen, tensors = f"average of epochs {sorted(whole)}", averaged
    checkpoint.install(stage.model, tensors)
    if log:
        write_summary(stage, chosen, values)
        path = checkpoint.hand_on(stage.model, stage.folder)
        rates = f"CER {values['cer_llm']:.2f} % (LLM) {values['cer_ctc']:.2f} % (CTC)"
        log.say(f"hands on {path}: {chosen}, dev {describe(values)} {rates}")
        if start["rank"] < values["rank"]:
            log.say(f"what it started from is better on dev: CER {start['cer_llm']:.2f} % (LLM) {start['cer_ctc']:.2f} % (CTC)")
        log.close()
    stage.world.wait()


def write_summary(stage: Stage, chosen: str, values: dict[str, float]) -> None:
    """For the gates and the report: what the stage started from, what it hands on, what it trained, what that took."""
    content = {
        "chosen": chosen,
        "model_dir": stage.model_dir,
        "before": stage.epochs.scores[0],
        "after": {name: value for name, value in values.items() if name != "rank"},
        "gate": dataclasses.asdict(stage.config.gate),
        "groups": stage.groups,
        "spent": spent(stage.folder / "metrics.jsonl", stage.world),
        "versions": {name: installed(name) for name in ("funasr", "torch", "transformers")},
    }
    write_text(stage.folder / "summary.json", json.dumps(content, indent=1))


def main(argv: list[str] | None = None) -> int:
    arguments, settings = parse(argv)
    logging.getLogger().setLevel(logging.ERROR)  # FunASR tells of every part that it builds
    config = load_stage(arguments.config, settings)
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    world = distributed.join(arguments.device)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", max(1, (os.cpu_count() or 1) // world.size))))
    if arguments.device == "cpu":
        keep_freed_memory()
    try:
        train(Stage(config, arguments, world))
    except Stopped:
        return RESUMABLE
    except UserError as error:
        with (arguments.output_dir / "train.log").open("a", encoding="utf-8") as log:
            print(f"error: {error}", file=log)
        raise
    finally:
        distributed.leave(world)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))

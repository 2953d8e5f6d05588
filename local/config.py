"""The settings of one training stage, typed and checked as a whole; an unknown key is an error.

The YAML files in conf/ use FunASR's key names. `++train_conf.max_epoch=8` on a command line replaces one
value, as in FunASR's own scripts. `python local/config.py conf/stageN.yaml [++key=value …]` checks and prints
what would be used, of several stages one after another.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/config.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

import yaml

from data.errors import UserError, run
from data.spelling import nearest
from local.typed_yaml import build_section, put, read_yaml, require

CALL_FRAME_MS = 20  # what a call loses, it loses in frames of this length
MELS = 80
GROUPS = ("audio_encoder", "audio_adaptor", "ctc_decoder", "ctc", "lora")


@dataclass(frozen=True)
class Stage:
    """Which stage this is, and the parameter groups that it declares to train (checked against the model)."""

    name: str
    number: int
    groups: list[str]

    def __post_init__(self) -> None:
        for group in self.groups:
            if group not in GROUPS:
                raise UserError(f"stage.groups: no group is called {group!r}{nearest(group, GROUPS)}")
        require(bool(self.groups), "stage.groups", "must name at least one group to train")


@dataclass(frozen=True)
class Freeze:
    """`freeze` of one module; `ctc_decoder_conf.freeze` holds for the CTC output layer too."""

    freeze: bool


@dataclass(frozen=True)
class Encoder(Freeze):
    """`activation_checkpoint` saves memory: each layer is computed anew in the backward pass."""

    activation_checkpoint: bool = False

    def __post_init__(self) -> None:
        of_use = not (self.freeze and self.activation_checkpoint)
        require(of_use, "audio_encoder_conf.activation_checkpoint", "saves nothing in an encoder that is frozen: set it to false")


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters W + alpha/r * B A on the LLM's projections, kept in fp32."""

    r: int = 16
    lora_alpha: float = 32.0
    lora_dropout: float = 0.05
    target_modules: list[str] = field(default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj"])

    def __post_init__(self) -> None:
        require(self.r > 0, "llm_conf.lora_conf.r", "must be positive")
        require(0 <= self.lora_dropout < 1, "llm_conf.lora_conf.lora_dropout", "must lie in [0, 1)")
        require(bool(self.target_modules), "llm_conf.lora_conf.target_modules", "must name a projection")


@dataclass(frozen=True)
class Llm:
    """The language model: its own weights always stay frozen, `use_lora` trains adapters beside them."""

    freeze: bool = True
    use_lora: bool = False
    lora_conf: Lora | None = None

    def __post_init__(self) -> None:
        require(self.freeze, "llm_conf.freeze", "must be true: the LLM is adapted by LoRA (use_lora: true)")
        paired = self.use_lora == (self.lora_conf is not None)
        require(paired, "llm_conf.lora_conf", "goes together with use_lora: true")


@dataclass(frozen=True)
class Dataset:
    """Batches of `batch_size` tokens (60 ms LFR frames + characters), at most `batch_size_utts` rows.

    `simulate: online` sends the clean training rows of stage 0 over a new call every epoch. `replay_share` of an epoch's
    utterances come from what the model could do before the stage. `hotword_rate` of them are asked with a list of hotwords, of
    which `hotword_true_rate` hold the keywords that were said; its characters are tokens of a batch too.
    """

    batch_size: int = 8192
    batch_size_utts: int = 64
    num_workers: int = 4
    max_source_length: int = 2000
    simulate: Literal["offline", "online"] = "offline"
    replay_share: float = 0.0
    hotword_rate: float = 0.0
    hotword_true_rate: float = 0.7
    hotword_most: int = 30

    def __post_init__(self) -> None:
        require(self.batch_size > 0, "dataset_conf.batch_size", "must be positive")
        require(self.batch_size_utts > 0, "dataset_conf.batch_size_utts", "must be positive")
        require(self.num_workers >= 0, "dataset_conf.num_workers", "must not be negative")
        require(self.max_source_length > 0, "dataset_conf.max_source_length", "must be positive")
        require(0 <= self.replay_share < 1, "dataset_conf.replay_share", "must lie in [0, 1)")
        for name in ("hotword_rate", "hotword_true_rate"):
            require(0 <= getattr(self, name) <= 1, f"dataset_conf.{name}", "must lie in [0, 1]")
        require(self.hotword_most > 0, "dataset_conf.hotword_most", "must be positive")


@dataclass(frozen=True)
class SpecAugConf:
    """What `specaug` hides of an utterance. Both ends of a range can be drawn; times in ms, whole frames of a call."""

    time_masks_per_second: float = 1.0
    time_mask_ms: list[int] = field(default_factory=lambda: [20, 200])
    num_freq_mask: int = 2
    freq_mask_width_range: list[int] = field(default_factory=lambda: [0, 10])

    def __post_init__(self) -> None:
        require(self.time_masks_per_second >= 0, "specaug_conf.time_masks_per_second", "must not be negative")
        whole = all(ms % CALL_FRAME_MS == 0 for ms in self.time_mask_ms) and _is_range(self.time_mask_ms, least=CALL_FRAME_MS)
        require(whole, "specaug_conf.time_mask_ms", f"must be two multiples of {CALL_FRAME_MS}, the smaller one first")
        require(self.num_freq_mask >= 0, "specaug_conf.num_freq_mask", "must not be negative")
        bins = _is_range(self.freq_mask_width_range, least=0) and self.freq_mask_width_range[1] < MELS
        require(bins, "specaug_conf.freq_mask_width_range", f"must be two numbers below {MELS}, the smaller one first")


def _is_range(ends: list[int], least: int) -> bool:
    return len(ends) == 2 and least <= ends[0] <= ends[1]


@dataclass(frozen=True)
class Optim:
    """AdamW. `group_lr` gives single parameter groups another rate than `lr`."""

    lr: float
    group_lr: dict[str, float] = field(default_factory=dict)
    weight_decay: float = 0.0
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])

    def __post_init__(self) -> None:
        require(self.lr > 0, "optim_conf.lr", "must be positive")
        for group, rate in self.group_lr.items():
            if group not in GROUPS:
                raise UserError(f"optim_conf.group_lr: no group is called {group!r}{nearest(group, GROUPS)}")
            require(rate > 0, f"optim_conf.group_lr.{group}", "must be positive")
        require(self.weight_decay >= 0, "optim_conf.weight_decay", "must not be negative")
        in_range = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        require(in_range, "optim_conf.betas", "must be two numbers in [0, 1)")


@dataclass(frozen=True)
class Scheduler:
    """Linear warm-up over `warmup_steps` updates, then half a cosine down to zero at the last update."""

    warmup_steps: int

    def __post_init__(self) -> None:
        require(self.warmup_steps >= 0, "scheduler_conf.warmup_steps", "must not be negative")


@dataclass(frozen=True)
class Train:
    """The loop. `dev_utterances` bounds the fixed dev subset that is decoded after each epoch.

    The state to go on from is saved every `save_interval` updates and at the end of each epoch (0: there alone). The run stops
    after `max_bad_updates` in a row whose loss or gradient is no number, or `stall_minutes` without an update. Where memory is
    full, one process may go on with its batches in halves (`halve_when_full`).
    """

    max_epoch: int
    accum_grad: int = 1
    grad_clip: float = 5.0
    log_interval: int = 50
    keep_nbest_models: int = 3
    avg_nbest_model: int = 3
    dev_utterances: int = 300
    save_interval: int = 1000
    max_bad_updates: int = 3
    stall_minutes: float = 30.0
    halve_when_full: bool = False

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name not in ("save_interval", "halve_when_full"):
                require(value > 0, f"train_conf.{name}", "must be positive")
        require(self.save_interval >= 0, "train_conf.save_interval", "must not be negative")
        enough = self.keep_nbest_models >= self.avg_nbest_model
        require(enough, "train_conf.keep_nbest_models", "must be at least avg_nbest_model")


@dataclass(frozen=True)
class Gate:
    """What the stage should reach: dev loss down by `loss_drop` (0.3 = 30 %), CER and KWER in percent."""

    loss: Literal["llm", "ctc", "total"] | None = None
    loss_drop: float | None = None
    cer: float | None = None
    kwer: float | None = None

    def __post_init__(self) -> None:
        paired = (self.loss is None) == (self.loss_drop is None)
        require(paired, "gate.loss", "goes together with gate.loss_drop")
        drop_in_range = self.loss_drop is None or 0 < self.loss_drop < 1
        require(drop_in_range, "gate.loss_drop", "must lie between 0 and 1")
        require(self.kwer is None or 0 < self.kwer < 100, "gate.kwer", "must lie between 0 and 100")


@dataclass(frozen=True)
class StageConfig:
    """All settings of one stage, in the order of the YAML files."""

    stage: Stage
    audio_encoder_conf: Encoder
    audio_adaptor_conf: Freeze
    ctc_decoder_conf: Freeze
    optim_conf: Optim
    scheduler_conf: Scheduler
    train_conf: Train
    llm_conf: Llm = field(default_factory=Llm)
    llm_weight: float = 1.0
    ctc_weight: float = 0.0
    detach_ctc_decoder: bool = False
    dataset_conf: Dataset = field(default_factory=Dataset)
    specaug: Literal["SpecAugLFR"] | None = None
    specaug_conf: SpecAugConf = field(default_factory=SpecAugConf)
    optim: Literal["adamw"] = "adamw"
    scheduler: Literal["warmupcosine"] = "warmupcosine"
    gate: Gate = field(default_factory=Gate)
    seed: int = 1

    def __post_init__(self) -> None:
        trained = self.trained_groups()
        declared, found = ", ".join(self.stage.groups), ", ".join(trained) or "none"
        same = set(self.stage.groups) == set(trained)
        require(same, "stage.groups", f"says {declared}, but the freeze and use_lora settings train {found}")
        weights = (self.llm_weight, self.ctc_weight)
        require(min(weights) >= 0 < max(weights), "llm_weight, ctc_weight", "must be ≥ 0 and not both zero")
        ctc_has_loss = "ctc" not in trained or self.ctc_weight > 0
        require(ctc_has_loss, "ctc_weight", "must be positive to train the CTC decoder")
        for group in self.optim_conf.group_lr:
            require(group in trained, f"optim_conf.group_lr.{group}", f"is of a group that this stage does not train ({found})")
        reaches = self.llm_weight > 0 or "audio_encoder" not in trained or not self.detach_ctc_decoder
        require(reaches, "detach_ctc_decoder", "must be false: no gradient would reach the audio encoder")

    def trained_groups(self) -> list[str]:
        """The groups that the freeze and LoRA settings leave trainable."""
        free = {
            "audio_encoder": not self.audio_encoder_conf.freeze,
            "audio_adaptor": not self.audio_adaptor_conf.freeze,
            "ctc_decoder": not self.ctc_decoder_conf.freeze,
            "ctc": not self.ctc_decoder_conf.freeze,
            "lora": self.llm_conf.use_lora,
        }
        return [group for group in GROUPS if free[group]]


def load_stage(path: Path | str, overrides: list[str]) -> StageConfig:
    """Read a stage's YAML file, apply `++section.key=value` overrides in order, check everything.

    Raises:
        UserError: unreadable file, unknown key (the nearest is named), value of a wrong type or out of range.
    """
    tree = read_yaml(Path(path))
    for override in overrides:
        put(tree, override)
    try:
        return build_section(StageConfig, tree, "")
    except UserError as error:
        raise UserError(f"{path}{' with ' + ' '.join(overrides) if overrides else ''}: {error}") from None


def main(argv: list[str] | None = None) -> int:
    """Check the settings of each stage that is named and print them whole."""
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0].startswith("++"):
        raise UserError("usage: python local/config.py conf/stageN.yaml [++key=value …]")
    starts = [index for index, word in enumerate(words) if not word.startswith("++")]
    for start, stop in zip(starts, [*starts[1:], None], strict=True):
        config = load_stage(words[start], words[start + 1 : stop])
        print(yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))

"""The stages ahead of a run: what they start from, what they are trained on, what they train and write."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from local import disk_need, hotwords, replay
from local.batches import costs_of
from local.config import StageConfig, load_stage
from local.contract import declare
from local.dev_score import choose
from local.devices import Choice
from local.experiment import HEARD, STAGE_FILES, TOP, Experiment, like
from local.preflight_model import outline
from local.preflight_rows import Row, Rows, read_all
from local.replay import TrainingRows
from local.train import overrides


@dataclass(frozen=True)
class Outline:
    """What a stage writes, and how many parameters of each group it trains."""

    need: disk_need.Need
    trained: dict[str, int]


class StagesAhead:
    """All that can be known of the stages in `names` before they run."""

    def __init__(self, experiment: Experiment, names: list[str], choice: Choice) -> None:
        self.experiment, self.names, self.choice = experiment, names, choice
        self.trained = [name for name in names if name not in ("0", "baseline")]
        self.configs = {name: self._config(name) for name in self.trained}
        named = TOP / experiment["MODEL"]
        self.model_dir = named if named.is_dir() else experiment.root / "pretrained" / named.name

    def _config(self, name: str) -> StageConfig:
        return load_stage(TOP / STAGE_FILES[like(name)], self.experiment.overrides(name))

    @cached_property
    def rows(self) -> Rows:
        """All rows of stage 0; none before it has run. Raises UserError for a set that is missing or damaged."""
        return {} if "0" in self.names else read_all(self.experiment.data_rows())

    def train_file(self, name: str) -> Path:
        """The control's own rows are made when it runs, of the same utterances as those of stage 1."""
        return self.experiment.rows(f"{HEARD[like(name)]}/train")

    def dev_file(self, name: str) -> Path:
        return self.train_file(name).with_name("dev.jsonl")

    def replay_file(self, name: str) -> Path | None:
        """The rows of which a stage replays some, where it does."""
        rows = self.experiment.replays(name)
        return self.experiment.rows(rows) if rows else None

    def keyword_file(self, name: str) -> Path | None:
        """The keywords of which a stage gives lists, where it does."""
        keywords = self.experiment.hotwords(name)
        return TOP / keywords if keywords else None

    def train_rows(self, name: str) -> TrainingRows:
        """The rows that are not left out."""
        others = self.replay_file(name)
        return replay.choose(self.rows[self.train_file(name)], self.rows[others] if others else [], self.configs[name])

    def epoch_rows(self, name: str) -> list[Row]:
        """What the first epoch hears; the others replay other rows, as many."""
        rows = self.train_rows(name)
        return [rows.all[index] for index in replay.indices(len(rows.own), len(rows.others), self.configs[name], epoch=1)]

    def dev_rows(self, name: str) -> list[Row]:
        """Those that are decoded after each epoch."""
        return choose(self.rows[self.dev_file(name)], self.configs[name].train_conf.dev_utterances)

    def start(self, name: str) -> Path | None:
        """The checkpoint that a stage starts from, where that is not the released one and is there already."""
        if name not in ("2", "3") or self.experiment.released:
            return None
        before = self.experiment.folder(str(int(name) - 1)) / "model.pt"
        return before if before.is_file() else None

    @cached_property
    def updates(self) -> dict[str, int]:
        """How many updates a stage makes, by stage; none before stage 0 has run. Other epochs' batches differ a little."""
        return {name: self._updates(name) for name in self.trained} if self.rows else {}

    def _updates(self, name: str) -> int:
        config, rows = self.configs[name], self.train_rows(name)
        lists = hotwords.lists_of(self.keyword_file(name), rows.all, config)
        batches = replay.plan_epoch(costs_of(rows.all, lists, 1), len(rows.own), config, epoch=1)
        return -(-len(batches) // config.train_conf.accum_grad) * config.train_conf.max_epoch

    @cached_property
    def outlines(self) -> dict[str, Outline]:
        """By stage, from the model without its numbers; none before it is fetched. Raises UserError for a broken contract."""
        found = {}
        for name, config in self.configs.items() if self.model_dir.is_dir() else ():
            model, _ = outline(str(self.model_dir), overrides(config))
            groups = declare(model, config.stage.groups)
            need = disk_need.need_of(model, config, self.updates.get(name, 0))
            found[name] = Outline(need, {group: groups[group]["trainable"] for group in config.stage.groups})
        return found

    def words(self, name: str) -> list[str]:
        """Arguments of local/train.py but for --output_dir."""
        arguments = {
            "--config": TOP / STAGE_FILES[like(name)], "--model_dir": self.model_dir, "--init": self.start(name) or "released",
            "--train": self.train_file(name), "--dev": self.dev_file(name), "--device": self.choice.device,
        }  # fmt: skip
        if others := self.replay_file(name):
            arguments["--replay"] = others
        if keywords := self.keyword_file(name):
            arguments["--keywords"] = keywords
        return [*(str(word) for pair in arguments.items() for word in pair), *self.experiment.overrides(name)]

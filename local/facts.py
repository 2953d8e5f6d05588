"""What is known of a trained stage from what the run left behind: for the model card, and for the checks of an export.

A stage that was trained by hand, outside an experiment, has less to tell: what is not there is left out.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from data.errors import UserError
from local.bootstrap import Interval
from local.experiment import HEARD, REPLAYED, STAGE_FOLDERS
from local.tally import SECONDS_A_FRAME
from local.tree import Fields, Stage, Tree, difference, tree_of


@dataclass(frozen=True)
class Facts:
    """Of the stage in the folder `stage`."""

    stage: Path

    @cached_property
    def tree(self) -> Tree:
        """What is around it."""
        return tree_of(self.stage.resolve().parent)

    @cached_property
    def own(self) -> Stage:
        return next((one for one in self.tree.stages.values() if one.folder == self.stage.resolve()), Stage("", self.stage))

    @property
    def summary(self) -> Fields:
        """What was trained, chosen and reached. Raises UserError where no training has finished."""
        if not self.own.summary:
            raise UserError(f"{self.stage}: holds no summary.json: give the folder of a stage whose training has finished")
        return self.own.summary

    @property
    def trained(self) -> list[str]:
        """The parameter groups that learned."""
        return [group for group, counts in self.summary["groups"].items() if counts["trainable"]]

    def trains(self, name: str) -> bool:
        """Whether the stage may have changed a tensor of what it hands on; an adapter is in the weight that it adapts."""
        if name.startswith("llm.") and "lora" in self.trained:
            return name.split(".")[-2] in self.own.conf["llm_conf"]["lora_conf"]["target_modules"]
        return name.split(".", 1)[0] in self.trained

    @property
    def baseline(self) -> Stage | None:
        """The model before any stage, where its scores compare: they are of the same normaliser."""
        before = self.tree.baseline
        return before if before and before.results.get("normaliser") == self.own.results.get("normaliser") else None

    def cer(self, name: str) -> list[float | None]:
        """The LLM's CER on a set, before any stage and after this one, in percent; None where it is not known."""
        return [one.score(name, "llm").get("cer") if one else None for one in (self.baseline, self.own)]

    def change(self, name: str) -> Interval | None:
        """Of it, paired; None where the texts of both are not there, or there is a single call."""
        return difference(self.baseline, self.own, name, "llm")

    @cached_property
    def data(self) -> dict[str, str]:
        """What stage 0 depended on, by the names of variables and settings."""
        return self.tree.data_mark.get("work", {})

    @property
    def prompt(self) -> str | None:
        """That of the experiment; None where that is not known."""
        return self.data.get("PROMPT")

    @cached_property
    def heard(self) -> dict[str, dict[str, Any]]:
        """What stage 0 measured of each corpus that this stage was trained on, or one before it whose model it took."""
        names: dict[str, None] = {}
        for stage in self._trained_so_far():
            names[HEARD[stage.name]] = None
            if stage.conf["dataset_conf"].get("replay_share"):
                names[REPLAYED[stage.name]] = None
        files = {Path(file).parts[-2:]: measured for file, measured in self.tree.data.get("files", {}).items()}
        return {name: files[name, "train.jsonl"] for name in names if (name, "train.jsonl") in files}

    @property
    def longest(self) -> float:
        """Seconds: nothing longer was trained on. The bound of the settings, where stage 0 has measured nothing below it."""
        stages = self._trained_so_far() or [self.own]
        bound = max(stage.conf["dataset_conf"]["max_source_length"] for stage in stages) * SECONDS_A_FRAME
        return min(bound, max((one["measures"]["duration"]["max"] for one in self.heard.values()), default=bound))

    def _trained_so_far(self) -> list[Stage]:
        """In order, this stage last: with INIT=released alone, since stage 3 then takes the released model."""
        numbers = [name for name in STAGE_FOLDERS if name in HEARD and name <= self.own.name]
        if self.data.get("INIT") == "released":
            numbers = numbers[-1:]
        return [stage for name in numbers if (stage := self.tree.stages.get(name)) and stage.summary]

"""What is known of a trained stage from what the run left behind: for the model card, and for the checks of an export.

A stage that was trained by hand, outside an experiment, has less to tell: what is not there is left out.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from data.errors import UserError
from local.experiment import STAGE_FOLDERS
from local.table import Results, load


@dataclass(frozen=True)
class Facts:
    """Of the stage in the folder `stage`."""

    stage: Path

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What was trained, chosen and reached. Raises UserError where no training has finished."""
        path = self.stage / "summary.json"
        if not path.is_file():
            raise UserError(f"{self.stage}: holds no summary.json: give the folder of a stage whose training has finished")
        return json.loads(path.read_text(encoding="utf-8"))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The stage's YAML, as it was used."""
        return yaml.safe_load((self.stage / "config.yaml").read_text(encoding="utf-8"))

    @property
    def trained(self) -> list[str]:
        """The parameter groups that learned."""
        return [group for group, counts in self.summary["groups"].items() if counts["trainable"]]

    def trains(self, name: str) -> bool:
        """Whether the stage may have changed a tensor of what it hands on; an adapter is in the weight that it adapts."""
        if name.startswith("llm.") and "lora" in self.trained:
            return name.split(".")[-2] in self.settings["llm_conf"]["lora_conf"]["target_modules"]
        return name.split(".", 1)[0] in self.trained

    @cached_property
    def results(self) -> Results | None:
        """The scores of the stage."""
        return load(self.stage / "results.json")

    @cached_property
    def baseline(self) -> Results | None:
        """The scores of the model before any stage."""
        return load(self.stage.parent / STAGE_FOLDERS["baseline"] / "results.json")

    def cer(self, name: str) -> list[float | None]:
        """The LLM's CER on a set, before any stage and after this one, in percent; None where it is not known."""
        both = (results["sets"].get(name, {}) if results else {} for results in (self.baseline, self.results))
        return [scores.get("llm", {}).get("cer") for scores in both]

    @cached_property
    def data(self) -> dict[str, str]:
        """What stage 0 depended on, by the names of variables and settings."""
        return (load(self._data / ".stage.json") or {}).get("work", {})

    @cached_property
    def sets(self) -> dict[str, dict[str, Any]]:
        """What stage 0 measured of each file of rows, such as `real_8k_telephone/train`."""
        files = (load(self._data / "report.json") or {}).get("files", {})
        return {"/".join(Path(name).with_suffix("").parts[-2:]): measured for name, measured in files.items()}

    @property
    def _data(self) -> Path:
        """Of the experiment: OUTPUT_ROOT/data, where the stage is OUTPUT_ROOT/exp/8k_telephone/stage3_lora."""
        return self.stage.resolve() / "../../../data"

    @property
    def prompt(self) -> str | None:
        """That of the experiment; None where that is not known."""
        return self.data.get("PROMPT")

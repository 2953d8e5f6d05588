"""Whether bf16 learns as fp32 does: a stage's losses in both, update by update, and between them the spread of seeds.

A seed decides on the order of the batches and on dropout. All runs start from the same weights and see the same rows, in
small batches, so that fp32 does not take too long.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from local.benchmark.corpus import SHORT, from_batches, write_corpus
from local.benchmark.ours import OurTraining, build_stage, config_of
from local.benchmark.tables import Columns, Record

SETTINGS = ("++dataset_conf.batch_size=2048", "++dataset_conf.batch_size_utts=16")
RUNS = (("fp32", 1), ("bf16", 1), ("fp32", 2), ("fp32", 3))  # the first two differ in nothing but their precision
COLUMNS: Columns = {
    "loss at first": ("first", "{:.4f}".format),
    "loss over the last half": ("last", "{:.4f}".format),
    "from fp32, seed 1": ("difference", "{:+.4f}".format),
}


@dataclass(frozen=True)
class Runs:
    """The losses of one stage, total by update, for each precision and seed."""

    stage: int
    losses: dict[tuple[str, int], list[float]]

    def records(self) -> list[Record]:
        """One a run."""
        reference = _last(self.losses[RUNS[0]])
        return [
            {
                "table": f"stage {self.stage}, {len(losses)} updates",
                "name": f"{precision}, seed {seed}",
                "first": losses[0],
                "last": _last(losses),
                "difference": _last(losses) - reference,
                "losses": losses,
            }
            for (precision, seed), losses in self.losses.items()
        ]

    def verdict(self) -> str:
        """One line: the distance of both precisions beside the spread of seeds."""
        single, half = (_last(self.losses[run]) for run in RUNS[:2])
        seeds = [_last(losses) for (precision, _), losses in self.losses.items() if precision == "fp32"]
        spread, distance = max(seeds) - min(seeds), abs(half - single)
        relation = "within" if distance <= spread else "beyond"
        return f"stage {self.stage}: bf16 lies {distance:.4f} from fp32, {relation} the spread of seeds, {spread:.4f}"


def _last(losses: list[float]) -> float:
    """The mean of the last half."""
    half = losses[len(losses) // 2 :]
    return sum(half) / len(half)


def run_all(number: int, model_dir: Path, folder: Path, device: str, updates: int) -> Runs:
    """All runs of one stage. On a CPU only the LLM computes in bf16."""
    config = config_of(number, SETTINGS)
    seconds = from_batches(SHORT, updates * config.train_conf.accum_grad, config.dataset_conf)
    rows = write_corpus(folder / f"agreement{number}" / "rows.jsonl", seconds)
    stage = build_stage(number, model_dir, rows, folder / f"agreement{number}", device, SETTINGS)
    start = {name: p.detach().clone() for name, p in stage.model.named_parameters() if p.requires_grad}
    losses = {}
    for precision, seed in RUNS:
        stage.model.load_state_dict(start, strict=False)
        stage.model.llm_dtype = precision
        training = OurTraining(stage, rows, seed)
        training.epoch(1)
        losses[precision, seed] = training.log.losses[:updates]
    return Runs(number, losses)

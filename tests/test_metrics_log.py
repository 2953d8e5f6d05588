"""TensorBoard shows what metrics.jsonl and results.json tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.metrics_log import MetricsLog, board_scores

RESULTS = {
    "sets": {
        "calls_test": {"llm": {"cer": 12.5, "keywords": {"kwer": 25.0}}, "ctc": {"cer": 14.0, "keywords": {"kwer": None}},
                       "buckets": {"duration": []}},
        "guard": {"llm": {"cer": 5.0}, "ctc": {"cer": None}},
    }
}  # fmt: skip


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Name to (step, value), as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "tensorboard"))
    read.Reload()
    return {name: [(event.step, event.value) for event in read.Scalars(name)] for name in read.Tags()["scalars"]}


def test_the_curves_are_those_of_metrics_jsonl(tmp_path):
    log = MetricsLog(tmp_path, "stage", 0, -1)
    log.numbers("dev", 0, 0, {"total": 2.0, "cer_llm": 50.0})
    log.numbers("train", 1, 20, {"total": 1.5, "lr": 0.5})
    log.numbers("dev", 1, 40, {"total": 1.0, "cer_llm": 25.0})
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    told = {}
    for line in lines:
        for name in line.keys() - {"kind", "epoch", "update"}:
            told.setdefault(f"{line['kind']}/{name}", []).append((line["update"], line[name]))
    assert curves(tmp_path) == told


@pytest.mark.parametrize(("name", "place"), [("baseline", 0), ("stage1_encoder", 1), ("stage3_lora", 3), ("other", 0)])
def test_test_scores_stand_at_the_number_of_their_stage_once(tmp_path, name, place):
    folder = tmp_path / name
    MetricsLog(folder, "stage", 0, -1).close()
    board_scores(folder, RESULTS)
    board_scores(folder, RESULTS)  # scored again
    assert curves(folder) == {
        "test/calls_test/llm_cer": [(place, 12.5)],
        "test/calls_test/llm_kwer": [(place, 25.0)],
        "test/calls_test/ctc_cer": [(place, 14.0)],
        "test/guard/llm_cer": [(place, 5.0)],
    }

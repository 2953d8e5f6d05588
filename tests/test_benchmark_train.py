"""The benchmark of training: what it counts and times, from canned laps, and that both contestants train the same."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from data.errors import UserError
from local.batches import collate
from local.benchmark import lap as of_laps
from local.benchmark.agreement import Runs, run_all
from local.benchmark.corpus import write_corpus
from local.benchmark.lap import WARM_UP, Lap, LapTimer
from local.benchmark.ours import OurTraining, build_stage, config_of, settings_of
from local.benchmark.peak import Peak, peak_of
from local.benchmark.stock import StockTraining, build_stock
from local.benchmark.train import Corpus, Race

TOP = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")


class Canned:
    """Trains in no time: a matrix product, and laps that were told beforehand."""

    def __init__(self, name: str, *laps: Lap, fails: bool = False) -> None:
        self.name, self.model, self.fails = name, torch.nn.Linear(1, 1), fails
        self.laps = iter(laps)
        self.epochs: list[int] = []

    def epoch(self, number: int) -> Lap:
        self.epochs.append(number)
        if self.fails:
            raise RuntimeError("expected scalar type Half\nand more")
        torch.mm(torch.ones(3, 5), torch.ones(5, 7))
        return next(self.laps)


@pytest.fixture
def corpus() -> Corpus:
    """Ten rows of 6 s, a batch each; an epoch's first batches are not timed."""
    rows = [{"speech_length": 100, "text_length": 10, "key": f"u{n}"} for n in range(10)]
    return Corpus("short", rows, Path("rows.jsonl"), config_of(1, ["++dataset_conf.batch_size_utts=1"]))


def lap(clock: float, cpu: float, waited: float = 0.0) -> Lap:
    return Lap(clock, cpu, waited)


def test_figures_are_those_of_the_best_epoch_after_the_first(corpus: Corpus) -> None:
    ours = Canned("ours", lap(99, 99), lap(12, 8, waited=3), lap(8, 6, waited=2))
    theirs = Canned("theirs", lap(1, 1), lap(16, 12), lap(20, 15))
    first, second = Race([ours, theirs], corpus, [3] * 10, CPU).records(2, Peak(1e3, "told"))
    audio = 6.0 * (10 - WARM_UP)
    assert first["audio_hours_an_hour"] == pytest.approx(audio / 8)
    assert first["cpu_seconds_an_hour"] == pytest.approx(3600 * 6 / audio)
    assert first["tokens_a_second"] == pytest.approx(3 * (10 - WARM_UP) / 8)
    assert first["wait_percent"] == pytest.approx(25)
    assert (first["speed_to_ours"], second["speed_to_ours"]) == (1, pytest.approx(6 / 12))
    assert ours.epochs == theirs.epochs == [1, 2, 3]


def test_operations_are_counted_in_the_first_epoch_and_held_against_the_peak(corpus: Corpus) -> None:
    [record] = Race([Canned("ours", lap(9, 9), lap(4, 4))], corpus, [1] * 10, CPU).records(1, Peak(1e3, "told"))
    by_hand = 2 * 3 * 5 * 7 / (10 * 6.0)  # of the one product, a second of all the audio
    speed = 6.0 * (10 - WARM_UP) / 4
    assert record["gflops_a_second_of_audio"] == pytest.approx(by_hand / 1e9)
    assert record["tflops"] == pytest.approx(by_hand * speed / 1e12)
    assert record["peak_percent"] == pytest.approx(100 * by_hand * speed / 1e3)
    assert record["memory_gb"] is None


def test_a_rival_that_fails_says_why_and_ours_may_not(corpus: Corpus) -> None:
    laps = [lap(9, 9), lap(4, 4)]
    _, theirs = Race([Canned("ours", *laps), Canned("theirs", fails=True)], corpus, [1] * 10, CPU).records(1, Peak(1, ""))
    assert theirs == {"name": "theirs", "why": "failed: expected scalar type Half"}
    with pytest.raises(RuntimeError):
        Race([Canned("ours", fails=True)], corpus, [1] * 10, CPU).records(1, Peak(1, ""))


def test_the_first_updates_of_an_epoch_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 10)
    monkeypatch.setattr(of_laps.time, "perf_counter", lambda: next(clock))
    timer = LapTimer(CPU, a_update=2)
    timer.begin(2 * WARM_UP + 3)
    for step in range(2 * WARM_UP + 3):
        timer.step_done(waited=100 if step < 2 * WARM_UP else 1)
    assert (timer.lap().clock, timer.lap().waited) == (10, 3)


def test_an_epoch_that_is_all_warm_up_is_an_error() -> None:
    with pytest.raises(UserError, match="--updates"):
        LapTimer(CPU).begin(WARM_UP)


@pytest.mark.parametrize(("name", "tera"), [("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H100 PCIe", 756), ("NVIDIA L40S", 362)])
def test_the_peak_of_a_known_gpu_is_its_data_sheets(name: str, tera: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert peak_of(torch.device("cuda"), "bf16").flops == tera * 1e12


def test_the_peak_of_a_cpu_is_measured_and_says_so() -> None:
    peak = peak_of(CPU, "fp32")
    assert peak.flops > 1e8 and "measured here: float32" in str(peak)


def test_bf16_agrees_where_it_lies_within_the_spread_of_seeds() -> None:
    runs = {("fp32", 1): [9.0, 2.0], ("bf16", 1): [9.0, 2.2], ("fp32", 2): [9.0, 2.5], ("fp32", 3): [9.0, 1.9]}
    assert "0.2000 from fp32, within the spread of seeds, 0.6000" in Runs(1, runs).verdict()
    assert "beyond" in Runs(1, runs | {("bf16", 1): [9.0, 3.0]}).verdict()
    assert [record["difference"] for record in Runs(1, runs).records()] == pytest.approx([0, 0.2, 0.5, -0.1])


@pytest.mark.parametrize("number", [1, 2, 3])
def test_both_contestants_have_the_same_loss_and_train_the_same_tensors(number: int, model_dir: Path, tmp_path: Path) -> None:
    """Of one utterance: in a batch FunASR's adaptor hears the padding (local.nano says how)."""
    rows = write_corpus(tmp_path / "rows.jsonl", np.array([1.5, 2.0]))
    settings = settings_of("mini", "cpu")
    stage = build_stage(number, model_dir, rows, tmp_path / "stage", "cpu", settings)
    stock, settings = build_stock(model_dir, stage.config, "fp32")
    theirs = StockTraining(stock, settings, tmp_path / "rows.jsonl", rows, stage.config, CPU, "fp32", tmp_path / "stock")
    data = theirs.feed.loader.dataset
    with torch.no_grad():
        loss, _, _ = stock.eval()(**data.collator([data[0]]))
        losses = stage.model.eval()(**collate([OurTraining(stage, rows).loop.data[0]]))
    weights = {"llm": stage.config.llm_weight, "ctc": stage.config.ctc_weight}
    ours = sum(weight * losses[part] / losses[f"{part}_count"] for part, weight in weights.items() if weight)
    assert loss.item() == pytest.approx(ours.item(), rel=1e-5)
    trained = [{name for name, p in model.named_parameters() if p.requires_grad} for model in (stage.model, stock)]
    assert trained[0] == trained[1] != set()


def test_a_gpu_trains_the_released_size_with_the_batches_of_the_recipe() -> None:
    for number in (1, 2, 3):
        assert config_of(number, settings_of("full", "cuda")) == config_of(number, [])
    assert config_of(1, settings_of("full", "cpu")).dataset_conf.batch_size < config_of(1, []).dataset_conf.batch_size


def test_runs_of_one_seed_start_from_the_same_weights_and_only_precision_parts_them(model_dir: Path, tmp_path: Path) -> None:
    losses = run_all(3, model_dir, tmp_path, "cpu", updates=3).losses
    single, half, other = (losses[run] for run in (("fp32", 1), ("bf16", 1), ("fp32", 2)))
    assert len(single) == len(half) == len(other) == 3
    assert half != single and half == pytest.approx(single, rel=0.02)
    assert losses["fp32", 3] != other


def test_flops_of_a_product_are_those_of_a_hand_count() -> None:
    weight = torch.ones(5, 7, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        (torch.ones(3, 5) @ weight).sum().backward()
    assert counter.get_total_flops() == 2 * (2 * 3 * 5 * 7)  # forwards, and back to the weight alone


@pytest.mark.slow
def test_a_real_run_at_the_smallest_size(tmp_path: Path) -> None:
    words = ["--size", "mini", "--updates", "1", "--rounds", "1", "--stages", "3", "--agreement", "3"]
    done = subprocess.run(
        [sys.executable, "-m", "local.benchmark", "train", *words, "--json", str(tmp_path / "b.json")],
        cwd=TOP, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in found["rows"]] == ["stage 3, ours", "stage 3, FunASR's trainer"] * 2
    for row in found["rows"]:
        assert row["audio_hours_an_hour"] > 0 and row["tflops"] > 0 and "why" not in row, row
    assert [len(run["losses"]) for run in found["agreement"]] == [3] * 4
    assert "padding" in done.stdout and "| stage 3, ours" in done.stdout

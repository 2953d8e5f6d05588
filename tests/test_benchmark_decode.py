"""The benchmark of decoding: the script makes every path write the same, as long as the sound is; figures are of real runs."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from local.batches import Utterances, collate
from local.benchmark import __main__ as benchmark
from local.benchmark import decode as of_decode
from local.benchmark import input as of_input
from local.benchmark import model as of_model
from local.benchmark.corpus import write_corpus
from local.benchmark.model import FRAMES_A_CHARACTER, SECONDS_AN_AUDIO_TOKEN, TOKENS_A_SECOND, write_model
from local.benchmark.stopwatch import WARM_UP, race
from local.benchmark.tables import Outcome
from local.decode import decode

SECONDS = np.array([1.0, 3.1, 2.2, 6.0])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> of_decode.Bench:
    """Both models with the same random weights and the script, over four utterances."""
    folder = tmp_path_factory.mktemp("decode")
    write_model(folder / "model", "mini")
    return of_decode.prepare(folder / "model", "cpu", write_corpus(folder / "rows.jsonl", SECONDS))


def test_a_text_is_as_long_as_its_sound(bench: of_decode.Bench) -> None:
    examples = list(Utterances(bench.rows, bench.ours.featuriser))
    batch = collate(examples)
    heard = decode(bench.ours.model, bench.ours.tokenizer, batch, batch["sources"])
    seconds = np.array([int(example["fake_token_len"][0]) for example in examples]) * SECONDS_AN_AUDIO_TOKEN
    assert [len(one.llm) for one in heard] == np.round(seconds * TOKENS_A_SECOND).tolist()
    assert np.abs(seconds - SECONDS).max() < SECONDS_AN_AUDIO_TOKEN
    assert [len(one.ctc) for one in heard] == pytest.approx([len(one["speech"]) / FRAMES_A_CHARACTER for one in examples], abs=1)
    assert not any(one.cut for one in heard)


def test_every_path_writes_the_same_text_and_is_timed(bench: of_decode.Bench) -> None:
    timings = race(bench.groups("t"), 1, 1, dict, warm_up=1)
    records = bench.compare(of_decode.results(timings, float(SECONDS.sum())))
    assert all(record["times_real_time"] > 0 for record in records)
    texts = [record["same_texts"] for record in records if "same_texts" in record]
    assert texts == [len(SECONDS)] * 5, "ours twice, FunASR's three times"
    assert bench.stock.model.ctc_decoder is not None, "the CTC branch that was taken out is back"


def test_input_is_timed_whole_and_by_part(bench: of_decode.Bench, tmp_path: Path) -> None:
    conf = of_input.config_of(1, ["++dataset_conf.batch_size_utts=2", "++dataset_conf.num_workers=1"]).dataset_conf
    rows = write_corpus(tmp_path / "rows.jsonl", SECONDS)
    source = of_input.Bench(bench.stock.kwargs, bench.ours.featuriser, tmp_path / "rows.jsonl", rows, conf)
    whole, parts = source.whole(), source.parts()
    assert [one.name for one in whole] == ["ours, offline rows", "ours, online channel", "FunASR's dataset"]
    for contestants, works in ((whole, 1), (parts, max(WARM_UP, len(rows)))):
        timings = race({"t": contestants}, works, 1, dict, warm_up=1)
        assert all(timing and timing.cpu > 0 for timing in timings.values())


def test_a_command_prints_its_tables_and_writes_them_with_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"table": "short", "name": "ours", "times_real_time": 4.0}]
    columns = {"× real time": ("times_real_time", "{:.0f}".format)}
    monkeypatch.setattr(logging, "disable", lambda level: None)  # for good, in a process of its own
    monkeypatch.setattr(of_model, "write_model", lambda folder, size: None)
    monkeypatch.setattr(of_decode, "measure", lambda *_: Outcome(["told"], {"rows": (rows, columns)}))
    assert benchmark.main(["decode", "--size", "full", "--json", str(tmp_path / "b.json")]) == 0
    found = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert (found["rows"], found["said"], found["size"], found["device"]) == (rows, ["told"], "full", "cpu")
    assert {"cpu", "torch", "funasr", "threads"} <= found["machine"].keys()
    assert capsys.readouterr().out.splitlines()[-1] == "| ours  |           4 |"

"""What a split will take, before it is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_sound import make_corpus, tree
from simulated import simulate_corpus
from small_split import plan_of

from data import forecast as forecasts
from data.corpora import Utterance
from data.errors import UserError
from data.forecast import Forecast, forecast, refuse_full_disk
from data.prepare_training_data import main


def size(utterance, info, seconds):
    return None if utterance.key == "u0" else round(1000 * seconds)


def test_hours_files_and_bytes_are_those_of_all_headers(tmp_path):
    make_corpus(tmp_path, count=4, seconds=1.0)  # each 10 ms longer
    items = [Utterance(f"u{n}", tmp_path / f"{n}.wav", "字", line=n + 1) for n in range(4)]
    items += [Utterance("part", tmp_path / "0.wav", "字", 0.25, 0.75, line=5), Utterance("gone", Path("x.wav"), "字", line=6)]
    found = forecast(plan_of(tmp_path / "plan", items), size)
    assert found.utterances == 6 and found.by_all
    assert found.hours == pytest.approx((1.0 + 1.01 + 1.02 + 1.03 + 0.5) / 3600)
    assert found.files == 4 and found.size == pytest.approx(1010 + 1020 + 1030 + 500 + 6 * forecasts.ROW)
    assert str(found).startswith("6 utterances, 0.00 hours; to be kept here: 4 sound files, ")


def test_of_a_large_corpus_some_headers_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(forecasts, "LOOKED_AT", 10)
    make_corpus(tmp_path, count=1, seconds=2.0)
    items = [Utterance(f"utt{n}", tmp_path / "0.wav", "字", line=n) for n in range(50)]
    found = forecast(plan_of(tmp_path / "plan", items), size)
    assert not found.by_all and found.hours == pytest.approx(100 / 3600) and found.files == 50
    assert "about 0.03 hours" in str(found) and "about 50 sound files" in str(found)


def test_a_disk_that_cannot_hold_it_is_refused_and_only_what_is_missing_counts(tmp_path):
    huge = Forecast(10, 1.0, 10, 1e17, True)
    with pytest.raises(UserError, match=r"100,000,000\.0 GB are to be written and .* GB are free: .*--storage flac or mu-law"):
        refuse_full_disk(huge, 1.0, tmp_path / "not" / "yet")
    refuse_full_disk(huge, 0.0, tmp_path)


def test_a_refused_run_writes_no_sound(tmp_path, monkeypatch):
    corpus = make_corpus(tmp_path / "c")
    monkeypatch.setattr(forecasts.shutil, "disk_usage", lambda _: type("", (), {"free": 1000})())
    with pytest.raises(UserError, match="are free"):
        simulate_corpus(corpus, tmp_path / "out", "--jobs", "1")
    assert {path.split("/")[0] for path in tree(tmp_path / "out")} <= {".plan", "shards"}
    assert not list((tmp_path / "out").rglob("*.wav"))


def test_both_commands_say_it_first(tmp_path, capsys):
    corpus = make_corpus(tmp_path / "c", count=6, seconds=1.0)
    simulate_corpus(corpus, tmp_path / "out", "--jobs", "1")
    assert "6 utterances, 0.00 hours; to be kept here: 6 sound files, 0.000 GB" in capsys.readouterr().out
    main(["convert", "--manifest", str(corpus), "--output", str(tmp_path / "o" / "dev.jsonl"), "--jobs", "1"])
    assert "to be kept here: 0 sound files" in capsys.readouterr().out

"""Noise files, utterances without speech, hashes, and the channel as a step of the training."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_sound import make_corpus, write_voice
from simulated import simulate_corpus

from data.data_simulation import main
from data.errors import UserError
from data.manifest import read_rows
from data.online import OnlineChannel, check_simulated
from data.validation import validate

TOP = Path(__file__).resolve().parents[1]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus")


def test_noise_files_are_heard_where_a_profile_wants_them(corpus, tmp_path):
    config = tmp_path / "channel.yaml"
    shipped = (TOP / "conf" / "telephone_channel.yaml").read_text(encoding="utf-8")
    config.write_text(shipped.replace("    snr_db: [10, 25]", "    noise_snr_db: [5, 10]\n    snr_db: [10, 25]", 1))
    write_voice(tmp_path / "noise" / "deep" / "fan.wav", 3, seed=77)
    more = ["--channel_config", str(config), "--noise_dir", str(tmp_path / "noise"), "--jobs", "1"]
    noisy = simulate_corpus(corpus, tmp_path / "noisy", *more)
    plain = simulate_corpus(corpus, tmp_path / "plain", "--jobs", "1")
    assert all(noisy[name] != plain[name] for name in plain if name.endswith(".wav"))
    drawn = [row["channel"] for row in read_rows(tmp_path / "noisy" / "train.jsonl")]
    assert all(5 <= one["noise_snr_db"] <= 10 and one["noise"].endswith("fan.wav") for one in drawn)
    with pytest.raises(UserError, match="--noise_dir"):
        simulate_corpus(corpus, tmp_path / "x", "--channel_config", str(config))
    with pytest.raises(UserError, match="no profile of default has noise_snr_db"):
        simulate_corpus(corpus, tmp_path / "x", "--noise_dir", str(tmp_path / "noise"))


def test_negatives_have_no_text_and_take_part_in_no_babble(corpus, tmp_path):
    simulate_corpus(corpus, tmp_path / "out", "--negative_rate", "0.25", "--jobs", "2")
    rows = read_rows(tmp_path / "out" / "train.jsonl")
    negatives = [row for row in rows if row.get("negative")]
    assert len(rows) == 15 and len(negatives) == 3
    assert all(row["text_length"] == 0 and row["channel"]["frames"] for row in negatives)
    assert not {row["key"] for row in negatives} & {key for row in rows for key in row["channel"]["talkers"]}
    assert validate([tmp_path / "out" / "train.jsonl"], check_audio=True)


def test_dev_and_test_carry_the_hash_of_their_sound(corpus, tmp_path, capsys):
    assert main(["--manifest", str(corpus), "--output_dir", str(tmp_path), "--split", "dev", "--jobs", "1"]) == 0
    rows = read_rows(tmp_path / "dev.jsonl")
    path = Path(rows[0]["messages"][1]["content"].split("!")[1].removesuffix("<|endofspeech|>"))
    assert rows[0]["audio_sha256"] == subprocess.run(["sha256sum", path], capture_output=True, text=True).stdout.split()[0]
    assert len(json.loads((tmp_path / "stats" / "dev.json").read_text())["audio_sha256"]) == 64
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert not validate([tmp_path / "dev.jsonl"], check_audio=True)
    assert "has changed since it was simulated" in capsys.readouterr().out


def test_online_the_same_call_is_heard_as_offline(corpus, tmp_path):
    """Variant 0 of the training dataset is byte for byte what stage 0 would have written; epochs differ."""
    offline, online = tmp_path / "offline", tmp_path / "online"
    simulate_corpus(corpus, offline, "--jobs", "1", "--seed", "5", "--negative_rate", "0.2")
    simulate_corpus(corpus, online, "--jobs", "1", "--seed", "5", "--negative_rate", "0.2", "--online")
    rows = read_rows(online / "train.jsonl")
    assert len(rows) == 14 and not list(online.rglob("shards/*/*/*.wav"))
    channel = OnlineChannel(online / "train.jsonl", rows)
    for row, made in zip(rows, read_rows(offline / "train.jsonl"), strict=True):
        assert row["speech_length"] == made["speech_length"]
        path = made["messages"][1]["content"].split("!")[1].removesuffix("<|endofspeech|>")
        heard = soundfile.read(path, dtype="int16")[0]
        np.testing.assert_array_equal(channel.hear(row["key"], 0), heard)
        assert (channel.hear(row["key"], 1) != heard).any()
        np.testing.assert_array_equal(channel.hear(row["key"], 1), channel.hear(row["key"], 1))


def test_rows_and_setting_must_go_together(corpus, tmp_path):
    simulate_corpus(corpus, tmp_path / "offline", "--jobs", "1")
    simulate_corpus(corpus, tmp_path / "online", "--jobs", "1", "--online")
    for name, online, message in (("offline", True, "not made for"), ("online", False, "12 rows are clean")):
        jsonl = tmp_path / name / "train.jsonl"
        check_simulated(read_rows(jsonl), not online, jsonl)
        with pytest.raises(UserError, match=message):
            check_simulated(read_rows(jsonl), online, jsonl)
    (tmp_path / "online" / "online" / "train.json").unlink()
    with pytest.raises(UserError, match="missing or damaged"):
        OnlineChannel(jsonl, read_rows(jsonl))

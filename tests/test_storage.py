"""Sound in each of its forms, and that training hears the same whatever the form is."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sound import make_corpus, voice, write_manifest, write_voice
from simulated import simulate_corpus

from data import g711_codec, long_recording, one_call
from data.audio import read_audio, read_wideband
from data.manifest import read_rows
from data.prepare_training_data import main
from data.prompt import audio_path
from data.storage import FORMS, hear, mu_law_wav, store

QUIET = ("--jobs", "1", "--rule", "too_fast=off")


@settings(max_examples=30)
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=999), st.integers(1, 400))
def test_libsndfile_reads_what_was_stored(samples, cut):
    """Another implementation; of µ-law it must find the decoder's values of the very codes."""
    sound = np.array(samples, np.int16)
    pieces = [sound[begin : begin + cut] for begin in range(0, len(sound), cut)]
    with tempfile.TemporaryDirectory() as folder:
        for form, (rate, subtype) in {"wav": (16000, "PCM_16"), "flac": (16000, "PCM_16"), "mu-law": (8000, "ULAW")}.items():
            path = Path(folder) / f"a{FORMS[form].suffix}"
            store(path, iter(pieces), form)
            info, heard = soundfile.info(path), soundfile.read(path, dtype="int16")[0]
            assert (info.samplerate, info.channels, info.subtype, info.frames) == (rate, 1, subtype, len(sound))
            wanted = sound if form != "mu-law" else g711_codec.decode(g711_codec.encode(sound))
            np.testing.assert_array_equal(heard, wanted)
            exact = read_audio(path)[0] * 32768
            np.testing.assert_array_equal(exact, wanted)


def test_a_mu_law_file_is_as_long_as_its_header_says(tmp_path):
    for length in (999, 1000):
        store(tmp_path / "a.wav", np.zeros(length, np.int16), "mu-law")
        content = (tmp_path / "a.wav").read_bytes()
        assert len(content) == 58 + length + length % 2 == 8 + int.from_bytes(content[4:8], "little")


def hours_of(tmp_path: Path, form: str, *more: str) -> tuple[list[dict], int]:
    """Rows of a small corpus in that form, and the bytes of their sounds."""
    folder = tmp_path / form
    simulate_corpus(tmp_path / "c" / "manifest.jsonl", folder, *QUIET, "--storage", form, *more)
    rows = read_rows(folder / "train.jsonl")
    return rows, sum(Path(audio_path(row["messages"])).stat().st_size for row in rows)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "c", count=6, seconds=1.0)


def test_flac_is_the_same_sound_in_less_space(tmp_path, corpus):
    (plain, large), (packed, small) = hours_of(tmp_path, "wav"), hours_of(tmp_path, "flac")
    assert small < 0.8 * large
    for one, other in zip(plain, packed, strict=True):
        np.testing.assert_array_equal(hear(one), hear(other))
        assert one["channel"] == other["channel"] and one["speech_length"] == other["speech_length"]


def test_mu_law_is_a_quarter_and_where_nothing_was_lost_the_same_sound(tmp_path, corpus):
    config = tmp_path / "channel.yaml"
    config.write_text(
        "profiles:\n  default: {legs: [mu-law], level_dbov: [-30, -20], snr_db: [10, 20], talkers: [1, 2], loss_rate: [0, 0], "
        "upsampler: [soxr, torchaudio]}\n",
        encoding="utf-8",
    )
    wanted = ("--channel_config", str(config))
    (plain, large), (packed, small) = hours_of(tmp_path, "wav", *wanted), hours_of(tmp_path, "mu-law", *wanted)
    assert 0.24 < small / large < 0.27
    assert {row["channel"]["upsampler"] for row in packed} == {"soxr", "torchaudio"}
    for one, other in zip(plain, packed, strict=True):
        np.testing.assert_array_equal(hear(one), hear(other))
        assert one["speech_length"] == other["speech_length"]


def log_mel(samples: np.ndarray) -> np.ndarray:
    """(frames, bands) of a power spectrum in 40 bands up to 4 kHz, in dB: enough to see what features see."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(float) * 32768, 400)[::160] * np.hamming(400)
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    return 10 * np.log10(power[:, 4:124].reshape(len(power), 40, 3).mean(2) + 1)


@pytest.mark.parametrize("profile", ["voip", "fixed", "default"])
def test_features_of_other_calls_differ_by_no_more_than_a_step_of_mu_law(tmp_path, corpus, profile):
    """After A-law or a concealed gap µ-law rounds once more: at 38 dB below the speech, by G.711's own figures."""
    (plain, _), (packed, _) = (hours_of(tmp_path, form, "--profile", profile) for form in ("wav", "mu-law"))
    for one, other in zip(plain, packed, strict=True):
        here, there = hear(one), hear(other)
        error = 10 * np.log10(np.mean((here - there) ** 2) / np.mean(here**2) + 1e-12)
        assert error < -28
        assert np.abs(log_mel(here) - log_mel(there)).mean() < 1.5


def test_a_long_call_in_pieces_is_stored_as_in_one(tmp_path, monkeypatch):
    """µ-law, as 8 kHz pieces: the same file as of one piece."""
    source = write_voice(tmp_path / "a.wav", 9.0)
    write_manifest(tmp_path / "c" / "manifest.jsonl", [{"key": "a", "source": str(source), "target": "九个字说了九秒钟好"}])
    whole = hours_of(tmp_path, "mu-law")[0][0]
    content = Path(audio_path(whole["messages"])).read_bytes()
    monkeypatch.setattr(one_call, "LONG", 1.0)
    monkeypatch.setattr(long_recording, "PIECE", 3 * 16000)
    (tmp_path / "mu-law" / "shards").rename(tmp_path / "away")
    again = hours_of(tmp_path, "mu-law")[0][0]
    heard = soundfile.read(audio_path(again["messages"]), dtype="int16")[0]
    (tmp_path / "one.wav").write_bytes(content)
    np.testing.assert_allclose(heard, soundfile.read(tmp_path / "one.wav", dtype="int16")[0], atol=300)
    assert np.mean(heard != soundfile.read(tmp_path / "one.wav", dtype="int16")[0]) < 0.01


def test_real_calls_of_8_khz_are_kept_as_they_came(tmp_path):
    """A µ-law call loses nothing; wideband speech is never squeezed into 8 kHz."""
    store(tmp_path / "call.wav", np.rint(voice(1.0, 8000) * 32768).astype(np.int16), "mu-law")
    write_voice(tmp_path / "wide.flac", 1.0, 44100)
    lines = [{"key": name, "source": name, "target": "字"} for name in ("call.wav", "wide.flac")]
    manifest = write_manifest(tmp_path / "m.jsonl", lines)
    command = ["convert", "--manifest", str(manifest), "--output", str(tmp_path / "o" / "dev.jsonl"), "--storage", "mu-law"]
    assert main([*command, "--jobs", "1"]) == 0
    call, wide = read_rows(tmp_path / "o" / "dev.jsonl")
    assert soundfile.info(audio_path(call["messages"])).subtype == "ULAW"
    assert soundfile.info(audio_path(wide["messages"])).samplerate == 16000
    np.testing.assert_allclose(hear(call), read_wideband(tmp_path / "call.wav"), atol=0.51 / 32768)


def test_what_is_stored_passes_validation(tmp_path, corpus, capsys):
    for form in FORMS:
        hours_of(tmp_path, form)
        assert main(["validate", str(tmp_path / form / "train.jsonl"), "--check_audio"]) == 0, capsys.readouterr().out


def test_a_row_that_does_not_say_how_long_it_will_be_fails_validation(tmp_path, corpus, capsys):
    rows = hours_of(tmp_path, "mu-law")[0]
    path = tmp_path / "mu-law" / "train.jsonl"
    for spoil, told in (({"samples": None}, "must be 16000 Hz"), ({"samples": 9}, "are no 9 at 16000")):
        path.write_text("".join(json.dumps(row | spoil) + "\n" for row in rows), encoding="utf-8")
        assert main(["validate", str(path), "--check_audio"]) == 1
        assert told in capsys.readouterr().out


def test_mu_law_wavs_are_what_libsndfile_reads():
    sound = voice(0.501, 8000)
    content = mu_law_wav(sound[:4001])  # an odd number: RIFF pads it
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    assert rate == 8000 and len(samples) == 4001 and len(content) % 2 == 0
    assert soundfile.info(io.BytesIO(content)).subtype == "ULAW"
    assert np.abs(samples - sound[:4001]).max() < 0.02 and np.corrcoef(samples, sound[:4001])[0, 1] > 0.99

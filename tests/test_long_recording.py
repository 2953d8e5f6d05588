"""Recordings of hours: the same sound as in one piece, in memory that does not grow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_sound import voice

from data import long_recording, one_call, simulator
from data.babble import TalkerPool
from data.channel_config import read_mix
from data.corpora import Utterance
from data.long_recording import measure_long, simulate_long
from data.packet_loss import METHODS
from data.simulator import Simulator
from data.speech_level import LevelMeter
from data.telephone_channel import Draws, Leg, Room, lost_frames, simulate

TOP = Path(__file__).resolve().parents[1]
LINE = Draws("test", 7, (Leg("a-law"),), "g712", -26.0, 15.0, 3, 0.05, 2.0, "repeat", "soxr")


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch):
    monkeypatch.setattr(long_recording, "PIECE", 5 * 16000)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("upsampler", ["soxr", "torchaudio"])
@pytest.mark.parametrize("samples", [80000, 123456, 200001])
def test_pieces_join_to_what_one_piece_would_have_been(samples, method, upsampler):
    """But for the last digit: sums are taken in another order at other places."""
    draws = Draws(**vars(LINE) | {"concealment": method, "upsampler": upsampler})
    speech, babble = voice(13)[:samples], voice(13, seed=3)[:samples]
    lost = lost_frames(draws, samples)
    meter = measure_long(lambda a, b: speech[a:b], samples)
    pieces = list(simulate_long(lambda a, b: speech[a:b], samples, draws, lost, Room(babble), meter))
    assert len(pieces) == -(-samples // 80000)
    whole = simulate(speech, draws, lost, Room(babble)).astype(int)
    different = np.concatenate(pieces) - whole
    assert len(different) == samples
    # a rounding that falls the other way moves G.711 by a step, of at most 1/16 of the sample
    assert (different != 0).mean() < 0.01 and np.abs(different).max() <= np.abs(whole).max() / 10


def test_a_short_room_begins_again(monkeypatch):
    draws = Draws(**vars(LINE) | {"loss_rate": 0.0, "level_dbov": -90.0, "snr_db": -60.0})
    click = np.zeros(32000, np.float32)
    click[1000:1100] = 0.5
    lost = lost_frames(draws, 160000)
    pieces = simulate_long(
        lambda a, b: np.zeros(b - a, np.float32), 160000, draws, lost, Room(click), LevelMeter()
    )
    loud = np.abs(np.concatenate(list(pieces)).astype(int).reshape(-1, 32000)).argmax(axis=1)
    assert len(loud) == 5 and np.ptp(loud) <= 2 and abs(loud[0] - 1050) < 120


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_long_file_is_carried_piece_by_piece(tmp_path, monkeypatch, rate):
    monkeypatch.setattr(simulator, "LONG", 6.0)
    monkeypatch.setattr(one_call, "LONG", 6.0)
    monkeypatch.setattr(simulator, "SMALL", 0)
    source = tmp_path / "a.flac"
    soundfile.write(source, voice(16.3, rate), rate)
    other = tmp_path / "b.wav"
    soundfile.write(other, voice(9), 16000)
    pool = TalkerPool([Utterance("b", other, "", speaker="b")])
    made = one_call.carry_file(
        Simulator(read_mix("default"), 1, pool), Utterance("a", source, ""), tmp_path / "out.wav"
    )
    call, samples = made.call, made.samples
    heard, heard_rate = soundfile.read(tmp_path / "out.wav", dtype="int16")
    assert heard_rate == 16000 and len(heard) == samples == round(16.3 * 16000)
    assert len(call.lost) == 815 and call.talkers == ["b"]
    assert all(np.abs(part.astype(int)).max() > 300 for part in np.array_split(heard, 16))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here, which tells the peak of a process")
def test_two_hours_need_little_memory(tmp_path):
    """In a process of its own (whose getrusage would count the test's own memory); imports take about 80 MB."""
    path = tmp_path / "long.flac"
    minute = np.rint(voice(60) * 32768).astype(np.int16)
    with soundfile.SoundFile(path, "w", 16000, 1) as out:
        for _ in range(120):
            out.write(minute)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from data.data_simulation import main; main(sys.argv[2:])\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    )
    command = [sys.executable, "-c", code, str(TOP), "--input", path, "--output", tmp_path / "out.wav"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert soundfile.info(tmp_path / "out.wav").frames == 7200 * 16000
    assert int(done.stdout.split()[-1]) < 400_000  # KiB; whole it would be 2 GB

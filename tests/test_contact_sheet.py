"""Every shipped profile on recordings: real ones where they are, else made ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_sound import write_voice

from data import contact_sheet
from data.audio import read_wideband
from data.babble import TalkerPool
from data.channel_config import CONFIG, names, read_mix
from data.corpora import Utterance
from data.errors import UserError
from data.simulator import Simulator
from data.speech_level import measure
from data.telephone_channel import set_levels, simulate

REAL = Path(__file__).resolve().parents[2] / "shared" / "speech"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    paths = sorted(REAL.glob("*.wav"))
    if not paths:
        folder = tmp_path_factory.mktemp("made")
        paths = [write_voice(folder / f"{number}.wav", 3, seed=number) for number in range(5)]
    return [Utterance(path.stem, path, "", speaker=path.stem) for path in paths]


@pytest.mark.parametrize("name", names())
def test_a_profile_keeps_what_it_draws(name, recordings):
    """Length and lag of the recording; level and SNR, measured by P.56 where they apply, as drawn."""
    try:
        simulator = Simulator(read_mix(name), 1, TalkerPool(recordings))
    except UserError as error:
        pytest.skip(str(error))
    for recording in recordings:
        speech = read_wideband(recording.audio)
        call, room = simulator.dial(recording, len(speech))
        heard = simulate(speech, call.draws, call.lost, room)
        assert heard.dtype == np.int16 and len(heard) == len(speech)
        assert np.abs(heard.astype(int)).max() > 300
        level = measure(set_levels(speech, call.draws)).active_dbov
        assert level == pytest.approx(call.draws.level_dbov, abs=0.1)
        background = set_levels(np.zeros_like(speech), call.draws, room)
        if room.babble is not None:
            assert level - measure(background).active_dbov == pytest.approx(call.draws.snr_db, abs=0.1)


@pytest.mark.parametrize("name", names())
def test_a_profile_has_no_lag(name, recordings):
    """By cross-correlation of the envelopes' fine structure, without babble and losses, to half a millisecond."""
    try:
        mix = read_mix(name, changes=["talkers=0", "loss_rate=0"])
    except UserError as error:
        pytest.skip(str(error))
    simulator = Simulator(mix, 1, TalkerPool([]))
    recording = max(recordings, key=lambda recording: recording.audio.stat().st_size)
    speech = read_wideband(recording.audio)[: 4 * 16000]
    call, room = simulator.dial(recording, len(speech))
    heard = simulate(speech, call.draws, call.lost, room).astype(float)
    spectrum = np.fft.rfft(heard, 2**18) * np.conj(np.fft.rfft(speech, 2**18))
    correlation = np.fft.irfft(spectrum / (np.abs(spectrum) + 1e-3 * np.abs(spectrum).max()))
    lag = (int(np.argmax(np.abs(correlation))) + 2**17) % 2**18 - 2**17
    assert abs(lag) <= 8


def test_the_sheet_has_a_line_and_a_sound_for_every_call(recordings, tmp_path, capsys):
    paths = [str(recording.audio) for recording in recordings[:2]]
    sheet = tmp_path / "sheet.png"
    assert contact_sheet.main([*paths, "--output", str(sheet), "--audio_dir", str(tmp_path / "heard")]) == 0
    assert sheet.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr()
    made = 2 * (len(names()) - printed.err.count("left out"))
    assert printed.out.count("level drawn") == made == len(list((tmp_path / "heard").glob("*.wav")))


def test_a_profile_without_its_codec_is_left_out_of_the_sheet(monkeypatch, capsys):
    def no_av(codec: str) -> str | None:
        return "amr-nb needs the package av" if codec == "amr-nb" else None

    monkeypatch.setattr("data.call_codecs.missing", no_av)
    assert contact_sheet._usable("mobile", CONFIG) is None and contact_sheet._usable("fixed", CONFIG)
    assert "left out" in capsys.readouterr().err

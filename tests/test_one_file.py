"""One file over the telephone, from the simulator's command line."""

from __future__ import annotations

import json

import soundfile
from made_sound import write_voice

from data.data_simulation import main


def test_one_file(tmp_path, capsys):
    source, target = write_voice(tmp_path / "a.wav", 1), tmp_path / "b.wav"
    other = write_voice(tmp_path / "x.wav", 1, seed=5)
    assert main(["--input", str(source), "--output", str(target), "--babble", str(other)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["talkers"] == [str(other)] and printed["profile"] == "default"
    assert len(soundfile.read(target)[0]) == 16000
    with_babble = target.read_bytes()
    main(["--input", str(source), "--output", str(target)])
    assert target.read_bytes() != with_babble


def test_babble_that_was_drawn_and_that_nobody_makes_is_warned_of(tmp_path, capsys):
    source, target = str(write_voice(tmp_path / "a.wav", 1)), str(tmp_path / "b.wav")
    other = str(write_voice(tmp_path / "x.wav", 1, seed=5))
    main(["--input", source, "--output", target, "--set", "snr_db=10"])
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"warning: {target}: profile default drew babble at snr_db 10, and nobody is there")
    assert warning.endswith("--babble")
    main(["--input", source, "--output", target, "--babble", other])
    main(["--input", source, "--output", target, "--set", "talkers=0"])  # whose room is quiet, and meant to be
    assert not capsys.readouterr().err


def test_one_file_with_values_of_ones_own_and_a_picture(tmp_path, capsys):
    source = write_voice(tmp_path / "a.wav", 2)
    command = ["--input", str(source), "--output", str(tmp_path / "b.wav"), "--plot", str(tmp_path / "b.png")]
    assert main([*command, "--set", "legs=[a-law]", "loss_rate=0.3", "concealment=zero"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["legs"] == ["a-law"] and printed["loss_rate"] == 0.3 and printed["lost"] > 10
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")

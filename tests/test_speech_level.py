"""Active level: known signals, pauses that must not count, and the ITU's test signal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_sound import voice

from data.speech_level import active_power, level_dbov

ITU_VOICE = Path(__file__).resolve().parents[2] / "shared" / "levels" / "voice.raw"


def test_a_steady_tone_has_its_own_level():
    tone = 0.1 * np.sin(2 * np.pi * 500 / 16000 * np.arange(32000)).astype(np.float32)
    assert level_dbov(tone) == pytest.approx(-23.01, abs=0.01)


@pytest.mark.parametrize("seconds", [0.5, 5, 50])
def test_pauses_do_not_count(seconds):
    speech = voice(2)
    rest = 1e-4 * np.random.default_rng(1).standard_normal(int(seconds * 16000)).astype(np.float32)
    assert level_dbov(np.concatenate([rest, speech, rest])) == pytest.approx(level_dbov(speech), abs=0.1)


@pytest.mark.parametrize("gain", [0.01, 0.5, 3])
def test_scales_with_the_signal(gain):
    speech = voice(1)
    assert active_power(speech * np.float32(gain)) == pytest.approx(gain**2 * active_power(speech), rel=1e-4)


@pytest.mark.parametrize("samples", [0, 1, 319, 320, 1000])
def test_silence_has_no_level(samples):
    assert active_power(np.zeros(samples, np.float32)) == 0
    assert level_dbov(np.zeros(samples, np.float32)) == -np.inf


def test_less_than_a_frame_is_measured():
    assert active_power(np.full(10, 0.5, np.float32)) == pytest.approx(0.25)


@pytest.mark.skipif(not ITU_VOICE.exists(), reason="no voice.raw of the ITU here")
def test_near_the_active_level_of_the_itu():
    """P.56 gives -25.329 dBov; without its 200 ms hangover the short pauses go, so the level is higher."""
    samples = np.fromfile(ITU_VOICE, "<i2").astype(np.float32) / 32768
    assert -25.4 <= level_dbov(samples) <= -23

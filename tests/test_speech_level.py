"""P.56 against ITU-T's own figure, against the Recommendation written out sample by sample, and by its properties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sound import voice

from data.speech_level import LevelMeter, SpeechLevel, gain_to, measure

SHARED = Path(__file__).resolve().parents[2] / "shared"
ITU_VOICE = SHARED / "levels" / "voice.raw"
RECORDINGS = sorted(SHARED.glob("speech/*.wav"))
SILENCE = SpeechLevel(-np.inf, 0.0, -np.inf)


def p56_by_the_book(samples: np.ndarray, rate: int) -> tuple[float, float]:
    """Active level in dBov and activity: every sample against 15 thresholds, as the Recommendation says it."""
    decay, hangover = np.exp(-1 / (0.03 * rate)), int(0.2 * rate + 0.5)
    thresholds = [2.0**-j for j in range(15, 0, -1)]
    active, idle = [0] * 15, [hangover] * 15
    fast = slow = 0.0
    for sample in np.abs(samples.astype(np.float64)).tolist():
        fast = decay * fast + (1 - decay) * sample
        slow = decay * slow + (1 - decay) * fast
        for j, threshold in enumerate(thresholds):
            idle[j] = 0 if slow >= threshold else idle[j] + 1
            if idle[j] > hangover:
                break
            active[j] += 1
        for k in range(j + 1, 15):
            idle[k] += 1
    energy = float(np.sum(samples.astype(np.float64) ** 2))
    levels = [10 * np.log10(energy / count) for count in active if count]
    margins = [level - 20 * np.log10(c) for level, c in zip(levels, thresholds, strict=False)]
    upper = next(j for j, margin in enumerate(margins) if margin <= 15.9)
    level = float(np.interp(-15.9, -np.array(margins[upper - 1 : upper + 1]), levels[upper - 1 : upper + 1]))
    return level, energy / len(samples) / 10 ** (level / 10)


@pytest.mark.skipif(not ITU_VOICE.exists(), reason="no voice.raw of the ITU here")
def test_the_figure_of_the_itu():
    """sv56 of ITU-T G.191 gives -25.329 dBov, 96.6 %, -25.478 (it halves its way to the level, to 0.5 dB)."""
    level = measure(np.fromfile(ITU_VOICE, "<i2").astype(np.float32) / 32768)
    assert level.active_dbov == pytest.approx(-25.329, abs=0.01)
    assert level.activity == pytest.approx(0.966, abs=0.002)
    assert level.long_term_dbov == pytest.approx(-25.478, abs=0.001)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("seed", [0, 1])
def test_as_by_the_book_on_speech_like_sound(rate, seed):
    gaps = np.repeat([1.0, 1e-3, 1.0, 0.03, 1.0], [rate, rate // 2, rate // 3, rate, rate // 4])
    samples = (voice(len(gaps) / rate, rate, seed)[: len(gaps)] * gaps[: len(gaps)]).astype(np.float32)
    level, activity = p56_by_the_book(samples, rate)
    assert measure(samples, rate).active_dbov == pytest.approx(level, abs=0.01)
    assert measure(samples, rate).activity == pytest.approx(activity, abs=0.002)


@pytest.mark.skipif(not RECORDINGS, reason="no recordings in ../shared/speech")
def test_as_by_the_book_on_recordings():
    for path in RECORDINGS:
        samples, rate = soundfile.read(path, frames=80000, dtype="float32", always_2d=True)
        level, activity = p56_by_the_book(samples[:, 0], rate)
        assert measure(samples[:, 0], rate).active_dbov == pytest.approx(level, abs=0.01), path.name
        assert measure(samples[:, 0], rate).activity == pytest.approx(activity, abs=0.002), path.name


def test_a_tone_of_known_activity():
    """1 s in every 4 of a tone: it counts for that second, a little less for the rise, and 0.2 s more."""
    tone = 0.1 * np.sqrt(2) * np.sin(2 * np.pi * 500 / 16000 * np.arange(160000))
    tone[np.arange(160000) % 64000 >= 16000] = 0
    tone = tone[:128000].astype(np.float32)  # two rounds
    # The threshold is 15.9 dB below the level, with log interpolation between powers of two. From first
    # principles: the envelope rises as 1-(1+t/T)e^(-t/T) to m, the mean of |x|, and falls as (1+t/T)e^(-t/T).
    time = np.linspace(0, 0.3, 30001)
    fall = (1 + time / 0.03) * np.exp(-time / 0.03)
    mean = 0.1 * np.sqrt(2) * 2 / np.pi
    levels = []
    for threshold in (2.0**-6, 2.0**-7):
        rise_s = time[np.argmax(mean * (1 - fall) >= threshold)]
        fall_s = time[np.argmax(mean * fall < threshold)]
        active = (1 - rise_s + fall_s + 0.2) / 4
        levels.append(10 * np.log10(0.1**2 / 4 / active))
    margins = np.array(levels) + 20 * np.log10(2) * np.array([6, 7])
    assert margins[0] < 15.9 < margins[1]
    expected = float(np.interp(15.9, margins, levels))
    level = measure(tone)
    assert level.active_dbov == pytest.approx(expected, abs=0.02)
    assert level.long_term_dbov == pytest.approx(-26.02, abs=0.01)
    assert 0.28 < level.activity < 0.34


@pytest.mark.parametrize("seconds", [1, 30, 300])
def test_pauses_do_not_lower_it(seconds):
    speech = np.concatenate([voice(3), np.zeros(4800, np.float32)])  # room for the hangover of its end
    pause = 1e-4 * np.random.default_rng(1).standard_normal(seconds * 16000).astype(np.float32)
    level = measure(np.concatenate([pause, speech, pause]))
    assert level.active_dbov == pytest.approx(measure(speech).active_dbov, abs=0.1)
    assert level.activity < 3.4 / (2 * seconds + 3.3)


@given(st.integers(-45, 20), st.integers(0, 5))
def test_a_gain_of_a_power_of_two_moves_it_exactly(power, seed):
    speech = voice(1, seed=seed)
    before, after = measure(speech), measure(speech * np.float32(2.0) ** power)
    assert after.active_dbov == pytest.approx(before.active_dbov + 20 * power * np.log10(2), abs=1e-6)
    assert after.activity == pytest.approx(before.activity, abs=1e-9)


@given(st.floats(-80, 20), st.sampled_from([0, 1, 2, 3, 5]))
def test_any_gain_moves_it_by_itself(gain_db, seed):
    """To 0.05 dB here. Thresholds stay where they are: where pauses come and go with them, P.56 itself differs more."""
    speech = voice(1, seed=seed)
    after = measure(speech * np.float32(10 ** (gain_db / 20)))
    assert after.active_dbov == pytest.approx(measure(speech).active_dbov + gain_db, abs=0.05)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 150000), max_size=6), st.sampled_from([8000, 11025, 16000]))
def test_the_cut_makes_no_difference(cuts, rate):
    samples = voice(9.3, seed=1)
    meter = LevelMeter(rate)
    for piece in np.split(samples, sorted(min(cut, len(samples)) for cut in cuts)):
        meter.update(piece)
        meter.level()  # asking changes nothing
    assert meter.level() == measure(samples, rate)


def test_a_long_file_in_packets_and_bounded_memory():
    packet, meter = voice(1), LevelMeter()
    for _ in range(60):
        meter.update(packet)
    assert meter.level().active_dbov == pytest.approx(measure(np.tile(packet, 60)).active_dbov, abs=1e-9)
    assert len(meter._pending) < 17 * 16000


@pytest.mark.parametrize("samples", [0, 1, 15, 16, 319, 16000, 70000])
def test_silence_has_no_level(samples):
    assert measure(np.zeros(samples, np.float32)) == SILENCE
    assert gain_to(np.zeros(samples, np.float32), -26) == 1


@pytest.mark.parametrize("samples", [1, 10, 100, 319, 400])
def test_what_is_too_short_for_the_envelope_counts_as_a_whole(samples):
    level = measure(np.full(samples, 0.5, np.float32))
    assert level.active_dbov == pytest.approx(-6.02, abs=0.01)
    assert level.activity == pytest.approx(1)


def test_one_bit_of_sixteen_is_sound():
    assert measure(np.full(1, 2.0**-15, np.float32)).active_dbov == pytest.approx(-90.31, abs=0.01)


def test_dc_and_a_full_scale_square_wave():
    """Active from 25 ms on, when the envelope has come to within 15.9 dB: 10 log(1/0.998) over 10 s."""
    assert measure(np.full(160000, -0.5, np.float32)).active_dbov == pytest.approx(-6.01, abs=0.01)
    square = np.where(np.arange(160000) // 20 % 2, 1, -1).astype(np.float32)
    assert measure(square).active_dbov == pytest.approx(0.01, abs=0.01)


@pytest.mark.parametrize("wanted", np.arange(-50, -9, 2.3).round(2))
def test_after_the_gain_p56_finds_the_level_that_was_wanted(wanted):
    """Loud and soft syllables: where thresholds that stay in place matter most, the plain ratio misses by more."""
    syllables = np.concatenate([voice(0.3, seed=n) * 10 ** (-n / 4) for n in range(9)]).astype(np.float32)
    scaled = syllables * np.float32(gain_to(syllables, wanted))
    assert measure(scaled).active_dbov == pytest.approx(wanted, abs=0.03)

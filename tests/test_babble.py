"""Who babbles, and how it is mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_sound import voice

from data.babble import TalkerPool, mix, talker_of
from data.corpora import Utterance
from data.speech_level import mean_square


def utterance(number: int, speaker: str | None = None, call: str | None = None) -> Utterance:
    return Utterance(f"u{number}", Path(f"{number}.wav"), "字", speaker=speaker, call=call)


def test_a_talker_is_the_speaker_else_the_call_else_the_recording():
    assert talker_of(utterance(1, "a", "c")) == talker_of(utterance(2, "a", "d"))
    assert talker_of(utterance(1, None, "c")) == talker_of(utterance(2, None, "c"))
    assert talker_of(utterance(1)) != talker_of(utterance(2))
    assert talker_of(utterance(1, "x")) != talker_of(utterance(1, None, "x"))


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32))
def test_others_are_all_the_other_talkers_each_once(count, talkers, seed):
    pool = TalkerPool([utterance(n, f"s{n % talkers}") for n in range(count)])
    target = utterance(0, "s0")
    drawn = [talker_of(other) for other in pool.others(target, np.random.default_rng(seed))]
    assert sorted(drawn) == sorted(set(map(pool.name, range(pool.count))) - {talker_of(target)})


def test_every_other_talker_gets_drawn_first_about_equally_often():
    pool = TalkerPool([utterance(n, f"s{n % 5}") for n in range(50)])
    first = [
        next(pool.others(utterance(0, "s0"), np.random.default_rng(seed))).speaker for seed in range(2000)
    ]
    for speaker in ("s1", "s2", "s3", "s4"):
        assert first.count(speaker) == pytest.approx(500, rel=0.2)


def test_the_only_talker_has_nobody_to_babble():
    assert list(TalkerPool([utterance(1, "a")]).others(utterance(1, "a"), np.random.default_rng(1))) == []


def test_voices_are_equally_loud_whatever_their_level():
    loud, quiet = voice(1, seed=1, level_dbov=-10), voice(1, seed=2, level_dbov=-50)
    for first, second in ((loud, quiet), (loud * 0.01, quiet * 100)):
        mixed = mix([first, second], 16000, np.random.default_rng(1))
        np.testing.assert_allclose(mixed, mix([loud, quiet], 16000, np.random.default_rng(1)), atol=1e-3)


@pytest.mark.parametrize("length", [1, 100, 8000, 40000])
def test_a_short_voice_goes_round_and_a_long_one_is_cut(length):
    mixed = mix([voice(1) + np.float32(0.001)], length, np.random.default_rng(5))
    assert mixed.shape == (length,) and mixed.dtype == np.float32
    if length == 40000:
        np.testing.assert_array_equal(mixed[:16000], mixed[16000:32000])
        assert mean_square(mixed[:16000]) == pytest.approx(1, rel=0.05)


def test_silent_voices_are_no_babble():
    assert mix([np.zeros(100, np.float32)], 50, np.random.default_rng(1)) is None
    assert mix([], 50, np.random.default_rng(1)) is None

"""A recording is cut where nobody speaks; what anybody says is in one piece, and in one only."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.pauses import PAUSE, ROOM, Piece, activity, cut_at_pauses
from data.speech_level import envelope, frame, measure

RATE = 8000
NEAR = 0.1  # seconds that a time may be off


def recording(*seconds: float, rate: int = RATE, floor_dbov: float | None = None) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Pause, speech, pause, speech … of so many seconds, speech as noise at -26 dBov; and when it begins and ends."""
    rng = np.random.default_rng(len(seconds))
    loud = np.repeat(np.arange(len(seconds)) % 2, [round(length * rate) for length in seconds])
    sound = 0.05 * loud * rng.standard_normal(len(loud))
    if floor_dbov is not None:
        sound += 10 ** (floor_dbov / 20) * rng.standard_normal(len(loud))
    edges = np.cumsum([round(length * rate) for length in seconds]) / rate
    return sound.astype(np.float32), list(zip(edges[:-1:2].tolist(), edges[1::2].tolist(), strict=True))


def times(pieces: list[Piece], rate: int = RATE) -> list[tuple[float, float]]:
    return [(piece.begin / rate, piece.end / rate) for piece in pieces]


def close(found: list[tuple[float, float]], wanted: list[tuple[float, float]]) -> bool:
    return len(found) == len(wanted) and bool(np.abs(np.subtract(found, wanted)).max() < NEAR)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_the_envelope_is_that_of_the_recommendation(rate):
    """|x| averaged twice, sample by sample; longer than what is computed in one go."""
    sound, _ = recording(0.5, 9.0, 3.0, 8.5, 0.2, 0.0007, rate=rate)
    decay, fast, slow, wanted = np.exp(-1 / (0.03 * rate)), 0.0, 0.0, []
    for sample in np.abs(np.pad(sound, (0, -len(sound) % frame(rate))).astype(float)).tolist():
        fast = decay * fast + (1 - decay) * sample
        slow = decay * slow + (1 - decay) * fast
        wanted.append(slow)
    found = envelope(sound, rate)
    assert len(found) == -(-len(sound) // frame(rate))
    assert found == pytest.approx(np.array(wanted)[frame(rate) - 1 :: frame(rate)], rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("floor_dbov", [None, -50.0, -38.0])
def test_pieces_lie_where_somebody_speaks(rate, floor_dbov):
    sound, spoken = recording(1.3, 2.0, 0.7, 0.3, 3.0, 5.0, 0.8, 0.2, 0.9, rate=rate, floor_dbov=floor_dbov)
    assert close(times(cut_at_pauses(sound, rate), rate), spoken)


def test_times_are_not_late_by_the_lag_of_the_envelope():
    """Begins are a little early, ends a little late, by the 60 ms of it neither."""
    sound, spoken = recording(*[1.0, 1.0] * 10)
    off = np.subtract(times(cut_at_pauses(sound, RATE)), spoken)
    assert abs(off.mean()) < 0.03 and off[:, 0].max() < off[:, 1].min()


def test_a_noisy_line_is_no_speech():
    """12 dB below the speech, less than P.56 asks for, and in bursts that come 4 dB nearer."""
    sound, spoken = recording(2.0, 2.0, 1.5, 1.0, 3.0, 2.0, 2.0, floor_dbov=-38.0)
    burst = slice(round(8.0 * RATE), round(8.3 * RATE))
    sound[burst] *= 10 ** (4 / 20)
    assert measure(sound, RATE).activity > 0.95, "to P.56 all of it is active"
    assert close(times(cut_at_pauses(sound, RATE)), spoken)


def test_speech_from_the_first_sample_to_the_last():
    sound, _ = recording(0.0, 3.0)
    [piece] = cut_at_pauses(sound, RATE)
    assert (piece.begin, piece.first, piece.last) == (0, 0, len(sound)) and piece.end > len(sound) - NEAR * RATE


def test_short_pauses_stay_inside():
    sound, spoken = recording(1.0, 2.0, PAUSE - 0.15, 2.0, PAUSE + 0.15, 2.0, 1.0)
    assert close(times(cut_at_pauses(sound, RATE)), [(spoken[0][0], spoken[1][1]), spoken[2]])


@pytest.mark.parametrize("sound", [
    np.zeros(0, np.float32), np.zeros(RATE, np.float32), recording(9.0, floor_dbov=-70.0)[0], np.zeros(3, np.float32),
])  # fmt: skip
def test_nobody_speaks_in_silence_nor_on_an_idle_line(sound):
    assert cut_at_pauses(sound, RATE) == [] and not activity(sound, RATE).any()


def test_what_is_too_long_is_cut_in_its_longest_pause_near_the_bound():
    sound, spoken = recording(0.5, 1.0, 0.45, 2.6, 0.2, 0.5, 0.3, 0.5, 0.2, 3.0, 0.5)
    pieces = cut_at_pauses(sound, RATE, most=6.0)
    assert close(times(pieces), [(spoken[0][0], spoken[2][1]), (spoken[3][0], spoken[4][1])]), "of 0.45, 0.2, 0.3 and 0.2 s"


def test_a_pause_far_from_the_bound_is_better_than_a_cut_in_speech():
    sound, spoken = recording(0.5, 1.0, 0.3, 5.5, 1.0)
    assert close(times(cut_at_pauses(sound, RATE, most=6.0)), spoken)


def test_a_pause_that_goes_on_beyond_the_bound_counts():
    sound, spoken = recording(0.5, 5.6, 0.4, 3.0, 1.0)
    assert close(times(cut_at_pauses(sound, RATE, most=6.0)), spoken)


def test_speech_without_any_pause_is_cut_where_it_is_least_loud():
    sound, [(begin, end)] = recording(0.5, 9.0, 0.5)
    dip = round(5.0 * RATE)
    sound[dip - 400 : dip + 400] *= 0.75
    first, second = times(cut_at_pauses(sound, RATE, most=6.0))
    assert first[1] == second[0] == pytest.approx(5.0, abs=NEAR)
    assert close([(first[0], second[1])], [(begin, end)])


LENGTHS = st.lists(st.floats(0.02, 9.0), min_size=2, max_size=12)


@settings(max_examples=60)
@given(lengths=LENGTHS, most=st.sampled_from([2.0, 5.0, 30.0]), rate=st.sampled_from([8000, 16000]))
def test_every_frame_of_speech_is_in_one_piece_and_none_is_too_long(lengths, most, rate):
    sound, _ = recording(*lengths, rate=rate, floor_dbov=-60.0)
    pieces, step = cut_at_pauses(sound, rate, most), frame(rate)
    times_covered = np.zeros(len(sound), int)
    for piece in pieces:
        assert 0 <= piece.first <= piece.begin < piece.end <= piece.last <= len(sound)
        assert piece.last - piece.first <= most * rate
        assert piece.begin - piece.first <= ROOM * rate and piece.last - piece.end <= ROOM * rate
        times_covered[piece.begin : piece.end] += 1
    assert all(before.last <= after.first for before, after in pairwise(pieces))
    spoken = np.repeat(activity(sound, rate), step)[: len(sound)]
    assert (times_covered[spoken] == 1).all()


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(0.3, 4.0), st.floats(0.25, 1.5)), min_size=1, max_size=10))
def test_nothing_is_cut_inside_speech_where_there_are_pauses(parts):
    """Every stretch of 4 s ends in a pause, and 5.5 s are allowed."""
    sound, spoken = recording(0.7, *(length for part in parts for length in part))
    for edge in (time for piece in times(cut_at_pauses(sound, RATE, most=5.5)) for time in piece):
        assert not any(begin + NEAR < edge < end - NEAR for begin, end in spoken)

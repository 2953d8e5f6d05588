"""G.711 over all of its inputs, against the sums of the ITU reference and an independent implementation."""

from __future__ import annotations

import hashlib
import io
import warnings

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from data.g711_codec import A_LAW, LAWS, MU_LAW, decode, decoder_table, encode, quantise

EVERY = np.arange(-32768, 32768).astype(np.int16)
ITU = {  # SHA-256 of the codes of all int16 in order, and of the samples of all codes in order
    MU_LAW: (
        "90c29de505fb68e766118303bd552a16005dcf810873698bee1d8f3b247ce28c",
        "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827",
    ),
    A_LAW: (
        "38488f6fd710f4686360edc4d38639f96c491595ef93f8eb8d62d5e07ca6ce7b",
        "e04788d110e58ff8c70c93b8480190d973e3b67876b6119abbaec766cc75c174",
    ),
}


@pytest.mark.parametrize("law", ITU)
def test_tables_are_those_of_the_itu_reference(law):
    assert hashlib.sha256(encode(EVERY, law).tobytes()).hexdigest() == ITU[law][0]
    assert hashlib.sha256(decoder_table(law).astype("<i2").tobytes()).hexdigest() == ITU[law][1]


@pytest.mark.parametrize(("law", "name"), [(MU_LAW, "ulaw"), (A_LAW, "alaw")])
def test_equals_an_independent_implementation_on_every_input(law, name):
    g711 = pytest.importorskip("g711", reason="the package g711 is not installed: it has no wheel and needs a C compiler")
    encoder, decoder = getattr(g711, f"encode_{name}"), getattr(g711, f"decode_{name}")
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(encode(EVERY, law), np.frombuffer(encoder(EVERY / np.float32(32768)), np.uint8))
    np.testing.assert_array_equal(decode(codes, law), np.rint(decoder(codes.tobytes()) * 32768).astype(np.int16))


@pytest.mark.parametrize(("law", "name", "different"), [(MU_LAW, "lin2ulaw", 508), (A_LAW, "lin2alaw", 0)])
def test_python_s_own_differs_where_it_is_known_to(law, name, different):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop", reason="this Python no longer has audioop")
    codes = np.frombuffer(getattr(audioop, name)(EVERY.tobytes(), 2), np.uint8)
    assert np.count_nonzero(codes != encode(EVERY, law)) == different
    back = getattr(audioop, name.replace("lin2", "") + "2lin")(bytes(range(256)), 2)
    np.testing.assert_array_equal(np.frombuffer(back, np.int16), decoder_table(law))


@pytest.mark.parametrize(("law", "subtype"), [(MU_LAW, "ULAW"), (A_LAW, "ALAW")])
def test_libsndfile_differs_in_ties_only(law, subtype):
    coded = io.BytesIO()
    soundfile.write(coded, EVERY, 8000, format="RAW", subtype=subtype)
    codes = np.frombuffer(coded.getvalue(), np.uint8)
    others = EVERY[codes != encode(EVERY, law)]
    positive = encode(np.arange(32768).astype(np.int16), law).astype(int)
    decisions = np.flatnonzero(np.diff(positive)) + 1  # the first sample of every step but the lowest
    assert len(others) == 127
    assert sorted(-others.astype(int)) == decisions.tolist()  # it takes negatives by two's complement
    every_code = io.BytesIO(bytes(range(256)))
    kind = {"samplerate": 8000, "channels": 1, "format": "RAW", "subtype": subtype}
    np.testing.assert_array_equal(soundfile.read(every_code, dtype="int16", **kind)[0], decoder_table(law))


def test_mu_law_known_values():
    assert [int(decode(np.array([c], np.uint8))[0]) for c in (0x80, 0x00, 0xFF, 0x7F)] == [
        32124,
        -32124,
        0,
        0,
    ]
    assert encode(np.array([0, -1, -4], np.int16)).tolist() == [0xFF, 0x7F, 0x7F]
    assert len(np.unique(decoder_table(MU_LAW))) == 255


def test_mu_law_decision_values():
    positive = encode(np.arange(32768).astype(np.int16))
    decisions = [0, *(np.flatnonzero(np.diff(positive.astype(int))) + 1).tolist()]
    assert decisions[:4] == [0, 4, 12, 20]
    assert decisions[-1] == 31612
    assert set(decisions[16::16]) == {124, 380, 892, 1916, 3964, 8060, 16252}


@pytest.mark.parametrize("law", ITU)
def test_coding_what_was_decoded_changes_nothing(law):
    codes = np.arange(256, dtype=np.uint8)
    again = encode(decode(codes, law), law)
    different = {(int(a), int(b)) for a, b in zip(codes, again, strict=True) if a != b}
    assert different == ({(0x7F, 0xFF)} if law == MU_LAW else set())


@pytest.mark.parametrize(
    ("law", "snr"),
    [(MU_LAW, (38.69, 37.23, 36.50, 34.76, 30.00)), (A_LAW, (39.10, 35.75, 37.36, 36.85, 26.45))],
)
def test_snr_of_a_sine(law, snr):
    for level, expected in zip((-10, -20, -30, -40, -50), snr, strict=True):
        phase = 2 * np.pi * 1020.37 / 8000 * np.arange(80000)  # no divisor of 8000: every phase occurs
        sent = np.rint(np.sin(phase) * 32768 * 10 ** ((level + 3.0103) / 20)).astype(np.int16)
        error = decode(encode(sent, law), law).astype(float) - sent
        found = 10 * np.log10(np.mean(sent.astype(float) ** 2) / np.mean(error**2))
        assert found == pytest.approx(expected, abs=0.12)


@pytest.mark.parametrize(("first", "second"), [(MU_LAW, A_LAW), (A_LAW, MU_LAW)])
def test_a_tandem_costs_once(first, second):
    """G.711, 3: conversion there and back moves few values, by one step, and no second time."""
    once = decode(encode(EVERY, first), first)
    there = decode(encode(once, second), second)
    back = decode(encode(there, first), first)
    levels = np.unique(decoder_table(first)).tolist()
    moved = {(levels.index(a), levels.index(b)) for a, b in zip(once.tolist(), back.tolist(), strict=True) if a != b}
    assert 14 <= len(moved) <= 16 and {abs(a - b) for a, b in moved} == {1}
    np.testing.assert_array_equal(decode(encode(back, second), second), there)


@given(st.lists(st.integers(-32768, 32767), max_size=50), st.sampled_from(LAWS))
def test_every_sample_is_coded_by_itself(samples, law):
    sent = np.array(samples, np.int16)
    assert encode(sent, law).tolist() == [int(encode(np.array([x], np.int16), law)[0]) for x in samples]
    assert decode(encode(sent, law), law).dtype == np.int16


@pytest.mark.parametrize("law", LAWS)
def test_one_look_up_is_encoding_and_decoding(law):
    every = np.arange(-32768, 32768).astype(np.int16)
    np.testing.assert_array_equal(quantise(every, law), decode(encode(every, law), law))

"""G.711 over all of its inputs, against the sums of the ITU reference and an independent implementation."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from data.g711_codec import A_LAW, MU_LAW, decode, decoder_table, encode

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
    np.testing.assert_array_equal(
        encode(EVERY, law), np.frombuffer(encoder(EVERY / np.float32(32768)), np.uint8)
    )
    np.testing.assert_array_equal(
        decode(codes, law), np.rint(decoder(codes.tobytes()) * 32768).astype(np.int16)
    )


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
        sine = np.sin(2 * np.pi * 1020 / 8000 * np.arange(80000)) * 32768 * 10 ** ((level + 3.0103) / 20)
        sent = np.rint(sine).astype(np.int16)
        error = decode(encode(sent, law), law).astype(float) - sent
        assert 10 * np.log10(np.mean(sent.astype(float) ** 2) / np.mean(error**2)) == pytest.approx(
            expected, abs=0.3
        )

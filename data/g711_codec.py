"""G.711: mu-law and A-law by table, exact to the reference of ITU-T G.191.

The reference takes the magnitude of a negative sample by ones' complement (so -1 counts as 0) and works on
the upper 14 bits (mu) or 13 bits (A) of an int16. Most other libraries differ from it in hundreds of the
65,536 inputs. The tables are worked out once, over all inputs at a time; coding is one look-up a sample.
"""

from __future__ import annotations

from functools import cache

import numpy as np

MU_LAW, A_LAW = "mu-law", "a-law"
LAWS = (MU_LAW, A_LAW)


def encode(samples: np.ndarray, law: str = MU_LAW) -> np.ndarray:
    """(n,) int16 samples to (n,) uint8 codes."""
    return encoder_table(law).take(samples.view(np.uint16))  # three times as fast as by index


def decode(codes: np.ndarray, law: str = MU_LAW) -> np.ndarray:
    """(n,) uint8 codes to (n,) int16 samples."""
    return decoder_table(law).take(codes)


def quantise(samples: np.ndarray, law: str = MU_LAW) -> np.ndarray:
    """(n,) int16 samples to (n,) int16: encoded and decoded in one look-up."""
    return _quantiser_table(law).take(samples.view(np.uint16))


@cache
def encoder_table(law: str) -> np.ndarray:
    """(65536,) uint8: the code of every int16, addressed by its bits read as uint16."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    return _encode_mu(sample) if law == MU_LAW else _encode_a(sample)


@cache
def decoder_table(law: str) -> np.ndarray:
    """(256,) int16: the sample of every code."""
    code = np.arange(256, dtype=np.int32)
    return _decode_mu(code) if law == MU_LAW else _decode_a(code)


@cache
def _quantiser_table(law: str) -> np.ndarray:
    return decode(encoder_table(law), law)


def _encode_mu(sample: np.ndarray) -> np.ndarray:
    """Sign, 3 bits of segment, 4 bits of step, all inverted."""
    biased = np.minimum((np.where(sample < 0, ~sample, sample) >> 2) + 33, 0x1FFF)
    segment = _bit_length(biased) - 5  # 1…8: the bias makes every magnitude at least 6 bits long
    step = (biased >> segment) & 0xF
    code = ((8 - segment) << 4) | (0xF - step)
    return np.where(sample >= 0, code | 0x80, code).astype(np.uint8)


def _encode_a(sample: np.ndarray) -> np.ndarray:
    """Sign, 3 bits of segment, 4 bits of step, the even bits inverted."""
    magnitude = np.where(sample < 0, ~sample, sample) >> 4
    segment = np.maximum(_bit_length(magnitude) - 4, 0)
    step = np.where(segment > 0, (magnitude >> np.maximum(segment - 1, 0)) - 16, magnitude)
    code = step + (segment << 4)
    return (np.where(sample >= 0, code | 0x80, code) ^ 0x55).astype(np.uint8)


def _decode_mu(code: np.ndarray) -> np.ndarray:
    inverted = ~code & 0x7F
    segment, step = inverted >> 4, inverted & 0xF
    magnitude = (0x84 << segment) + (step << (segment + 3)) - 132  # mid-step, less the bias 4 * 33
    return np.where(code < 0x80, -magnitude, magnitude).astype(np.int16)


def _decode_a(code: np.ndarray) -> np.ndarray:
    plain = code ^ 0x55
    segment, step = (plain & 0x7F) >> 4, plain & 0xF
    magnitude = np.where(segment > 0, ((step << 4) + 0x108) << np.maximum(segment - 1, 0), (step << 4) + 8)
    return np.where(plain & 0x80, magnitude, -magnitude).astype(np.int16)


def _bit_length(values: np.ndarray) -> np.ndarray:
    """Bits of each non-negative integer: 0 → 0, 1 → 1, 255 → 8."""
    return np.frexp(values.astype(np.float64))[1]

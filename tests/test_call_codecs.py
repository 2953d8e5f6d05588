"""The codecs of a call: in time, as good as their bit rate, and as other decoders hear the same frames.

The tests of a codec that is missing here are skipped with the reason.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from made_sound import voice
from scipy.signal import coherence

from data import g711_codec
from data.call_codecs import CODECS, CONCEALS, RATES, decode, drop, encode, encode_gsm, missing, transmit
from data.errors import UserError
from data.packet_loss import FRAME, frames_in


def legs(codecs=CODECS):
    """Every codec at every rate, those that are missing here skipped with the reason."""
    for codec in codecs:
        reason = missing(codec)
        for kbps in RATES.get(codec, (None,)):
            skip = pytest.mark.skipif(reason is not None, reason=str(reason))
            yield pytest.param(codec, kbps, marks=skip, id=f"{codec}-{kbps}" if kbps else codec)


each_leg = pytest.mark.parametrize(("codec", "kbps"), list(legs()))
each_that_conceals = pytest.mark.parametrize(
    ("codec", "kbps"), [leg for leg in legs(sorted(CONCEALS)) if leg.values[1] == 12.0 or leg.values[1] == 12.2]
)
needs_av = pytest.mark.skipif(missing("amr-nb") is not None, reason=str(missing("amr-nb")))


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """(n,) int16 at 8 kHz."""
    return np.rint(voice(4.013, 8000) * 32768).astype(np.int16)


@pytest.fixture(scope="module")
def vowel() -> np.ndarray:
    """(n,) int16 at 8 kHz: an `aah` without a pause, its pitch gliding, the last frame partly filled."""
    time = np.arange(32100) / 8000
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(3 * time)) / 8000
    sound = sum(np.sin(k * phase) / k for k in range(1, 24))
    sound += 0.2 * np.random.default_rng(0).standard_normal(len(time))
    return np.rint(sound * 2500).astype(np.int16)


def lag(sent: np.ndarray, heard: np.ndarray) -> float:
    """Samples by which `heard` comes later, from the cross-correlation at 300-3400 Hz, to an eighth."""
    n = len(sent)
    spectrum = np.fft.rfft(heard.astype(float), 2 * n) * np.conj(np.fft.rfft(sent.astype(float), 2 * n))
    frequency = np.fft.rfftfreq(2 * n, 1 / 8000)
    spectrum[(frequency < 300) | (frequency > 3400)] = 0
    peak = int(np.argmax(np.fft.irfft(spectrum, 16 * n)))
    return (peak - 16 * n if peak > 8 * n else peak) / 8


def coherent_snr(sent: np.ndarray, heard: np.ndarray) -> float:
    """dB by which what is linear in `sent` exceeds the rest, averaged over the band: no filter changes it."""
    frequency, share = coherence(sent.astype(float), heard.astype(float), 8000, nperseg=256)
    band = (frequency > 300) & (frequency < 3400)
    return float(np.mean(10 * np.log10(share / (1 - share))[band]))


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples.astype(float) ** 2)))


@each_leg
def test_comes_out_in_time_and_as_loud(codec, kbps, speech):
    heard = transmit(speech, codec, kbps)
    assert heard.dtype == np.int16 and heard.shape == speech.shape
    assert abs(lag(speech, heard)) <= 0.5
    assert abs(20 * np.log10(rms(heard) / rms(speech))) < 3


@each_leg
def test_nothing_is_kept_from_call_to_call(codec, kbps, speech):
    first = transmit(speech, codec, kbps)
    transmit(speech[::-1].copy(), codec, kbps)
    np.testing.assert_array_equal(transmit(speech, codec, kbps), first)


@each_leg
@pytest.mark.parametrize("samples", [0, 1, 119, 159, 160, 161, 481])
def test_any_length_stays_that_length(codec, kbps, samples):
    for value in (0, 32767, -32768):
        assert transmit(np.full(samples, value, np.int16), codec, kbps).shape == (samples,)


@each_leg
def test_silence_stays_silence_and_a_square_wave_loud(codec, kbps):
    assert np.abs(transmit(np.zeros(1600, np.int16), codec, kbps).astype(int)).max() <= 16
    square = np.where(np.arange(3200) // 8 % 2, 32767, -32768).astype(np.int16)
    assert rms(transmit(square, codec, kbps)) > 16384


@pytest.mark.parametrize("law", g711_codec.LAWS)
def test_the_fixed_network_is_g711(law, speech):
    table = g711_codec.decoder_table(law)
    heard = transmit(speech, law)
    assert np.isin(heard, table).all() and not np.isin(speech, table).all()
    np.testing.assert_array_equal(transmit(heard, law), heard)


@pytest.mark.parametrize(("codec", "gain"), [pytest.param("amr-nb", 8, marks=needs_av), pytest.param("opus", 15, marks=needs_av)])
def test_more_bits_sound_better(codec, gain, speech):
    snr = [coherent_snr(speech, transmit(speech, codec, kbps)) for kbps in RATES[codec]]
    assert snr == sorted(snr) and snr[-1] - snr[0] > gain


def test_the_mobile_network_sounds_worse_than_the_fixed_one(speech):
    snr = {codec: coherent_snr(speech, transmit(speech, codec)) for codec in ("mu-law", "a-law", "gsm")}
    assert min(snr["mu-law"], snr["a-law"]) > 25 and -5 < snr["gsm"] < 5


# --- what travels ---------------------------------------------------------------------------------------


@needs_av
def test_amr_frames_are_those_of_the_standard(speech):
    octets = (12, 13, 15, 17, 19, 20, 26, 31)  # TS 26.101, table A.1: the class A, B and C bits of types 0 to 7
    for kind, (kbps, size) in enumerate(zip(RATES["amr-nb"], octets, strict=True)):
        frames = encode(speech, "amr-nb", kbps)
        assert len(frames) == frames_in(len(speech)) + 1
        assert {(frame[0], len(frame)) for frame in frames} == {(kind << 3 | 4, 1 + size)}
        assert size * 8 / 20 - kbps < 0.4  # kb/s of padding to whole octets


@needs_av
@pytest.mark.parametrize("kbps", RATES["opus"])
def test_opus_frames_are_narrowband_of_20_ms(kbps, speech):
    frames = encode(speech, "opus", kbps)
    assert len(frames) == frames_in(len(speech)) + 1
    assert {frame[0] for frame in frames} == {0x08}  # RFC 6716, table 2: SILK, NB, 20 ms, mono, one frame
    rates = np.sort([len(frame) * 8 / 20 for frame in frames])
    assert 0.5 * kbps < np.mean(rates) < 0.9 * kbps  # few bits in the pauses
    assert np.mean(rates[-len(rates) // 3 :]) == pytest.approx(kbps, rel=0.15)


def test_gsm_frames_are_those_of_the_standard(speech):
    coded = np.frombuffer(encode_gsm(speech), np.uint8).reshape(-1, 33)
    assert len(coded) == frames_in(len(speech))
    assert set(coded[:, 0] >> 4) == {0xD}  # the signature of RFC 3551, 4.5.8.1


# --- as others hear it: ffmpeg's own decoders, written from the standards, not from these libraries ---------


def heard_by_ffmpeg(frames: list[bytes], decoder: str, rate: int) -> np.ndarray:
    """(n,) float64 in -32768…32767."""
    av = pytest.importorskip("av", reason="the package av is not installed")
    context = av.CodecContext.create(decoder, "r")
    context.sample_rate, context.layout = rate, "mono"
    sound = np.concatenate([f.to_ndarray()[0] for frame in frames for f in context.decode(av.Packet(frame))])
    return sound.astype(float) * (32768 if sound.dtype.kind == "f" else 1)


def test_another_gsm_decoder_hears_the_same_bits(speech):
    coded = encode_gsm(speech)
    frames = [coded[first : first + 33] for first in range(0, len(coded), 33)]
    np.testing.assert_array_equal(heard_by_ffmpeg(frames, "gsm", 8000)[: len(speech)], transmit(speech, "gsm"))


@needs_av
@pytest.mark.parametrize("kbps", RATES["amr-nb"])
def test_another_amr_decoder_hears_the_same(kbps, speech):
    theirs = heard_by_ffmpeg(encode(speech, "amr-nb", kbps), "amrnb", 8000)
    ours = decode(encode(speech, "amr-nb", kbps), "amr-nb")
    assert len(ours) == len(theirs)
    assert rms(ours) > 5 * rms(ours - theirs)  # theirs counts in floating point


@needs_av
@pytest.mark.parametrize("kbps", RATES["opus"])
def test_another_opus_decoder_hears_the_same(kbps, speech):
    theirs = heard_by_ffmpeg(encode(speech, "opus", kbps), "opus", 48000)[::6]
    ours = decode(encode(speech, "opus", kbps), "opus")[: len(theirs)]
    assert coherent_snr(ours, theirs) > 20  # they differ in the filter that brings SILK to 48 kHz


# --- frames that never arrive ---------------------------------------------------------------------------


@each_that_conceals
@pytest.mark.parametrize("frame", [0, 1, 77, 200])
def test_a_lost_frame_is_missed_where_it_would_have_been_heard(codec, kbps, frame, vowel):
    lost = np.zeros(frames_in(len(vowel)), bool)
    lost[frame] = True
    whole, holed = transmit(vowel, codec, kbps), transmit(vowel, codec, kbps, lost)
    assert holed.shape == whole.shape
    change = np.abs(holed.astype(int) - whole)
    begins = frame * FRAME - (40 if codec == "opus" else 0)  # what the resampler's filter reaches ahead
    assert change[: max(begins, 0)].max(initial=0) <= 1
    assert change[frame * FRAME : (frame + 1) * FRAME].max() > 50


@each_that_conceals
def test_a_long_gap_is_bridged_then_fades_and_is_forgotten(codec, kbps, speech):
    lost = np.zeros(frames_in(len(speech)), bool)
    lost[64:79] = True  # from one syllable over the pause well into the next
    whole, holed = transmit(speech, codec, kbps), transmit(speech, codec, kbps, lost)
    first, last, after = (slice(a * FRAME, b * FRAME) for a, b in ((64, 65), (74, 79), (89, 200)))
    assert rms(holed[first]) > 0.5 * rms(whole[first])
    assert rms(holed[last]) < 0.02 * rms(whole[last])
    assert rms(holed[after].astype(float) - whole[after]) < 0.01 * rms(whole[after])


@each_that_conceals
def test_all_lost_is_silence_and_none_lost_is_none(codec, kbps, speech):
    frames = frames_in(len(speech))
    assert rms(transmit(speech, codec, kbps, np.ones(frames, bool))) < 10
    np.testing.assert_array_equal(transmit(speech, codec, kbps, np.zeros(frames, bool)), transmit(speech, codec, kbps))


@needs_av
def test_a_lost_amr_frame_travels_as_no_data(speech):
    frames = encode(speech[:480], "amr-nb", 12.2)
    assert drop(frames, "amr-nb", np.array([False, True, False])) == [*frames[:2], b"\x7c", frames[3]]


def test_a_decoder_that_conceals_nothing_takes_no_losses(speech):
    for codec in set(CODECS) - CONCEALS:
        with pytest.raises(ValueError, match="conceals nothing"):
            transmit(speech, codec, None, np.ones(frames_in(len(speech)), bool))


# --- what cannot be -------------------------------------------------------------------------------------


def test_a_rate_that_a_codec_has_not_is_named(speech):
    with pytest.raises(UserError, match=r"gsm has no kb/s to choose, not 13\.0"):
        transmit(speech, "gsm", 13.0)


@needs_av
@pytest.mark.parametrize("kbps", [None, 13.0])
def test_a_codec_with_rates_needs_one_of_them(kbps, speech):
    with pytest.raises(UserError, match=rf"amr-nb has 4\.75, .*12\.2 kb/s to choose, not {kbps}"):
        transmit(speech, "amr-nb", kbps)


def test_without_the_wheel_the_other_codecs_work(monkeypatch, speech):
    monkeypatch.setitem(sys.modules, "av", None)
    missing.cache_clear()
    try:
        assert [codec for codec in CODECS if missing(codec)] == ["amr-nb", "opus"]
        with pytest.raises(UserError, match=r"amr-nb needs the package av .*: pip install"):
            transmit(speech, "amr-nb", 12.2)
        for codec in ("mu-law", "a-law", "gsm"):
            assert transmit(speech, codec).shape == speech.shape
    finally:
        missing.cache_clear()


@needs_av
def test_a_build_without_the_encoder_is_named(monkeypatch):
    import av

    def lacking(name, mode):
        raise av.codec.codec.UnknownCodecError(name)

    monkeypatch.setattr(av, "Codec", lacking)
    missing.cache_clear()
    try:
        assert "opus needs libopus, which this build of av lacks" in missing("opus")
    finally:
        missing.cache_clear()


@each_leg
def test_says_nothing(codec, kbps, speech, capfd):
    transmit(speech[:8000], codec, kbps, np.arange(50) % 5 == 0 if codec in CONCEALS else None)
    assert capfd.readouterr() == ("", "")

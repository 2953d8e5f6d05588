"""Reading, resampling and writing, against other ways of doing the same."""

from __future__ import annotations

import os

import numpy as np
import pytest
import scipy.io.wavfile
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from made_sound import voice, write_voice

from data.audio import AudioError, read_audio, read_info, read_voice, read_wideband, resample, to_int16, write_wav


def reason(path, **place) -> str:
    with pytest.raises(AudioError) as error:
        read_audio(path, **place)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return error.value.reason


def test_reads_int16_exactly(tmp_path):
    path = write_voice(tmp_path / "a.wav", 0.5, 8000)
    rate, samples = scipy.io.wavfile.read(path)
    read, read_rate = read_audio(path)
    assert read_rate == rate == 8000 and read.dtype == np.float32
    np.testing.assert_array_equal(read * 32768, samples)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "ULAW"),
        ("WAV", "ALAW"),
        ("WAV", "FLOAT"),
        ("WAV", "PCM_24"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
    ],
)
def test_reads_other_kinds_of_sound(tmp_path, kind, subtype):
    path = tmp_path / "a.sound"
    soundfile.write(path, voice(1), 16000, format=kind, subtype=subtype)
    samples, rate = read_audio(path)
    assert rate == 16000 and samples.shape == (16000,)
    assert np.corrcoef(samples, voice(1))[0, 1] > 0.95


def test_picks_a_channel_or_averages(tmp_path):
    path = write_voice(tmp_path / "stereo.wav", 0.2, channels=2)
    _, both = scipy.io.wavfile.read(path)
    np.testing.assert_array_equal(read_audio(path, channel=1)[0] * 32768, both[:, 1])
    np.testing.assert_allclose(read_audio(path)[0] * 32768, both.mean(axis=1), atol=1e-3)
    assert reason(path, channel=2) == "no_channel"


def test_cuts_a_segment_at_the_sample(tmp_path):
    path = write_voice(tmp_path / "a.wav", 1.0, 8000)
    whole, _ = read_audio(path)
    np.testing.assert_array_equal(read_audio(path, start=0.25, end=0.5)[0], whole[2000:4000])
    np.testing.assert_array_equal(read_audio(path, start=0.9, end=1.4)[0], whole[7200:])
    np.testing.assert_array_equal(read_audio(path, end=0.001)[0], whole[:8])
    assert reason(path, start=0.5, end=1.6) == "bad_segment"
    assert reason(path, start=1.0) == "bad_segment"


def test_what_cannot_be_used_says_why(tmp_path):
    assert reason(tmp_path / "nowhere.wav") == "missing_audio"
    (tmp_path / "text.wav").write_text("这不是声音")
    assert reason(tmp_path / "text.wav") == "unreadable_audio"
    (tmp_path / "nothing.wav").touch()
    assert reason(tmp_path / "nothing.wav") == "unreadable_audio"
    write_wav(tmp_path / "empty.wav", np.zeros(0, np.int16), 16000)
    assert reason(tmp_path / "empty.wav") == "empty_audio"
    assert reason(tmp_path) == "unreadable_audio"
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan], np.float32), 16000, subtype="FLOAT")
    assert reason(tmp_path / "nan.wav") == "bad_samples"
    with pytest.raises(AudioError, match="no samples"):
        read_info(tmp_path / "empty.wav")


KINDS = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "ULAW"),
    ("WAV", "ALAW"),
    ("RF64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]


@pytest.mark.parametrize(
    ("kind", "subtype", "rate"),
    [(*kind, rate) for kind in KINDS for rate in (8000, 11025, 16000, 44100, 48000) if kind[1] != "OPUS" or 48000 % rate == 0],
)
def test_every_kind_at_every_rate_comes_out_at_16_khz_in_its_length(tmp_path, kind, subtype, rate):
    path, clean = tmp_path / "a.sound", resample(voice(0.7), 16000, rate)
    soundfile.write(path, clean, rate, format=kind, subtype=subtype)
    heard = read_wideband(path)
    assert heard.dtype == np.float32 and abs(len(heard) - 11200) <= 1
    there = resample(clean, rate, 16000)[: len(heard)]
    assert np.corrcoef(heard[: len(there)], there)[0, 1] > 0.95
    segment = read_audio(path, 0.2, 0.5)[0]
    np.testing.assert_allclose(segment, read_audio(path)[0][round(0.2 * rate) : round(0.5 * rate)], atol=1e-3)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
@pytest.mark.parametrize(
    "sound",
    [np.zeros(999), np.array([0.5]), np.full(999, 0.25), np.where(np.arange(9999) // 20 % 2, 1.0, -1.0)],
    ids=["silence", "1 sample", "DC", "full-scale square wave"],
)
def test_odd_sounds_have_their_length(tmp_path, sound, subtype, rate):
    soundfile.write(tmp_path / "a.wav", sound, rate, subtype=subtype)
    heard = read_wideband(tmp_path / "a.wav")
    assert len(heard) == (len(sound) * 16000 + rate // 2) // rate and np.isfinite(heard).all()
    if len(sound) > 1:
        middle = heard[len(heard) // 3 : -len(heard) // 3]
        assert np.abs(middle).max() == pytest.approx(np.abs(sound).max(), rel=0.5, abs=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_a_float_file_of_no_sound_is_refused(tmp_path, value):
    samples = voice(0.1)
    samples[77] = value
    for subtype in ("FLOAT", "DOUBLE"):
        soundfile.write(tmp_path / "a.wav", samples, 16000, subtype=subtype)
        assert reason(tmp_path / "a.wav") == "bad_samples"
        assert len(read_wideband(tmp_path / "a.wav", end=0.004)) == 64  # what is before it can be used


def test_a_float_file_in_the_scale_of_int16_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", voice(0.1) * 32768, 16000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], voice(0.1) * 32768)


def test_reads_gsm_of_a_call_recorder(tmp_path):
    """libsndfile cannot seek in it."""
    soundfile.write(tmp_path / "a.wav", voice(1, 8000), 8000, subtype="GSM610")
    whole, rate = read_audio(tmp_path / "a.wav")
    assert rate == 8000 and len(whole) in (8000, 8320)  # two frames a block
    assert np.corrcoef(whole[:8000], voice(1, 8000))[0, 1] > 0.9
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav", 0.25, 0.5)[0], whole[2000:4000])


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 10**6])
def test_a_wav_written_to_a_pipe_is_read_to_its_end(tmp_path, size):
    """Its header could not yet know how much would follow."""
    content = bytearray(write_voice(tmp_path / "a.wav", 0.5).read_bytes())
    content[40:44] = size.to_bytes(4, "little")
    (tmp_path / "piped.wav").write_bytes(content)
    np.testing.assert_array_equal(read_audio(tmp_path / "piped.wav")[0], read_audio(tmp_path / "a.wav")[0])


def test_a_flac_written_to_a_pipe_is_refused_not_guessed(tmp_path):
    soundfile.write(tmp_path / "a.flac", voice(0.5), 16000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] &= 0xF0  # the 36 bits of STREAMINFO that count the samples (RFC 9639, 8.2)
    content[22:26] = bytes(4)
    (tmp_path / "piped.flac").write_bytes(content)
    assert reason(tmp_path / "piped.flac") == "unknown_length"


@pytest.mark.parametrize("share", [0, 0.01, 0.5])
@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_a_file_cut_short_is_shorter_or_refused(tmp_path, kind, subtype, share):
    soundfile.write(tmp_path / "whole", voice(1), 16000, format=kind, subtype=subtype)
    content = (tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(content[: int(len(content) * share)])
    try:
        heard = read_wideband(tmp_path / "cut")
    except AudioError as error:
        assert error.reason in ("unreadable_audio", "empty_audio")
    else:
        assert share > 0 and 0 < len(heard) < 16000


@pytest.mark.parametrize("name", ["text.wav", "text.mp3", "text.raw", "text.flac", "text", "文 本.wav"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>\n" * 100], ids=["empty", "text"])
def test_what_is_no_sound_is_refused_whatever_its_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert reason(tmp_path / name) == "unreadable_audio"


@pytest.mark.parametrize("read", [read_audio, read_info, read_voice, read_wideband])
def test_what_is_no_file_is_refused_at_once(tmp_path, read):
    """A FIFO without a writer would be waited for, for ever."""
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "to_fifo.wav").symlink_to("fifo.wav")
    (tmp_path / "circle.wav").symlink_to("circle.wav")
    (tmp_path / "broken.wav").symlink_to("nowhere.wav")
    write_voice(tmp_path / "a.wav")
    expected = {
        tmp_path: "unreadable_audio",
        tmp_path / "fifo.wav": "unreadable_audio",
        tmp_path / "to_fifo.wav": "unreadable_audio",
        "/dev/zero": "unreadable_audio",
        tmp_path / "circle.wav": "unreadable_audio",
        tmp_path / ("long" * 100): "unreadable_audio",
        tmp_path / "a.wav\0.wav": "unreadable_audio",
        tmp_path / "broken.wav": "missing_audio",
        tmp_path / "a.wav" / "b.wav": "missing_audio",
    }
    for path, why in expected.items():
        with pytest.raises(AudioError) as error:
            read(path)
        assert error.value.reason == why, path


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    path = write_voice(tmp_path / "a.wav")
    path.chmod(0)
    assert reason(path) == "unreadable_audio"


@pytest.mark.parametrize("rate", [1, 7, 1_000_000, 2**31])
def test_a_header_with_a_rate_that_cannot_be_is_not_believed(tmp_path, rate):
    """At 1 Hz a megabyte would become 30 gigabytes."""
    content = bytearray(write_voice(tmp_path / "a.wav", 0.5).read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    (tmp_path / "lies.wav").write_bytes(content)
    assert reason(tmp_path / "lies.wav") in ("bad_rate", "unreadable_audio")
    with pytest.raises(AudioError):
        read_info(tmp_path / "lies.wav")


def test_a_file_that_claims_years_is_refused_and_its_segments_are_read(tmp_path):
    soundfile.write(tmp_path / "a.flac", voice(0.5), 16000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[22:26] = b"\xff" * 4  # samples in STREAMINFO (RFC 9639, 8.2)
    (tmp_path / "years.flac").write_bytes(content)
    assert reason(tmp_path / "years.flac") == "too_long"
    np.testing.assert_array_equal(
        read_audio(tmp_path / "years.flac", 0.1, 0.2)[0], read_audio(tmp_path / "a.flac", 0.1, 0.2)[0]
    )


@pytest.mark.parametrize("place", [{"start": -0.1}, {"start": 0.4, "end": 0.3}, {"start": 0.3, "end": 0.3}])
def test_a_segment_that_is_none_is_refused(tmp_path, place):
    assert reason(write_voice(tmp_path / "a.wav", 0.5), **place) == "bad_segment"


def test_channels_count_from_0(tmp_path):
    assert reason(write_voice(tmp_path / "a.wav", 0.1, channels=2), channel=-1) == "no_channel"


@pytest.mark.parametrize("channels", [2, 3, 6])
def test_channels_are_averaged_in_every_format(tmp_path, channels):
    sound = np.stack([voice(0.1, seed=seed) for seed in range(channels)], axis=1)
    for subtype in ("PCM_16", "PCM_24", "FLOAT"):
        soundfile.write(tmp_path / "a.wav", sound, 48000, subtype=subtype)
        np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], sound.mean(axis=1), atol=5e-5)


@given(st.integers(1, 4000), st.sampled_from([8000, 11025, 22050, 44100, 48000]))
def test_length_after_resampling_is_the_rounded_ratio(samples, rate):
    out = resample(np.ones(samples, np.float32), rate, 16000)
    assert abs(len(out) - samples * 16000 / rate) <= 0.5
    assert out.dtype == np.float32


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_a_tone_stays_the_tone_it_was(rate):
    tone = np.sin(2 * np.pi * 1000 / rate * np.arange(rate)).astype(np.float32)
    expected = np.sin(2 * np.pi * 1000 / 16000 * np.arange(16000))
    np.testing.assert_allclose(resample(tone, rate, 16000)[200:-200], expected[200:-200], atol=1e-3)


def test_same_rate_is_the_same_samples():
    samples = voice(0.1)
    assert resample(samples, 16000, 16000) is samples


def test_wideband_of_a_narrow_file_has_twice_the_samples(tmp_path):
    assert len(read_wideband(write_voice(tmp_path / "a.wav", 0.5, 8000), end=0.25)) == 4000


def test_int16_is_rounded_and_clipped():
    floats = np.array([0, 1, -1, 2, -2, 0.6 / 32768, 1.5 / 32768], np.float32)
    assert to_int16(floats).tolist() == [0, 32767, -32768, 32767, -32768, 1, 2]


@pytest.mark.parametrize("samples", [0, 1, 999])
def test_writes_what_others_read(tmp_path, samples):
    sound = to_int16(voice(1)[:samples])
    write_wav(tmp_path / "deep" / "er" / "a.wav", sound, 16000)
    assert (tmp_path / "deep" / "er" / "a.wav").stat().st_size == 44 + 2 * samples
    rate, read = scipy.io.wavfile.read(tmp_path / "deep" / "er" / "a.wav")
    assert rate == 16000
    np.testing.assert_array_equal(read, sound)


@pytest.mark.parametrize("span", [(None, None), (0.1, 0.35), (0.25, None), (0.4, 0.9)])
@pytest.mark.parametrize("rate", [8000, 16000])
def test_plain_wavs_read_as_libsndfile_reads_them(tmp_path, rate, span):
    path = tmp_path / "a.wav"
    write_wav(path, voice(0.5, rate), rate)
    whole = soundfile.read(path, dtype="float32")[0]
    first, last = round((span[0] or 0) * rate), round(min(span[1] or 9, 0.5) * rate)
    samples, found = read_audio(path, *span)
    assert found == rate and samples.dtype == np.float32
    np.testing.assert_array_equal(samples, whole[first:last])
    loose = read_voice(path, *span)
    assert loose.dtype == (np.int16 if rate == 16000 else np.float32)
    scale = 32768 if rate == 16000 else 1
    np.testing.assert_array_equal(loose / np.float32(scale), read_wideband(path, *span))


def test_a_header_that_promises_more_than_there_is_goes_to_libsndfile(tmp_path):
    path = tmp_path / "a.wav"
    write_wav(path, voice(0.5), 16000)
    path.write_bytes(path.read_bytes()[:-1000])
    assert len(read_audio(path)[0]) == 7500


def test_pieces_make_the_file_that_the_whole_makes(tmp_path):
    sound = voice(0.5)
    write_wav(tmp_path / "whole.wav", sound, 16000)
    write_wav(tmp_path / "pieces.wav", iter(np.array_split(sound, 7)), 16000)
    assert (tmp_path / "whole.wav").read_bytes() == (tmp_path / "pieces.wav").read_bytes()

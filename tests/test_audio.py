"""Reading, resampling and writing, against other ways of doing the same."""

from __future__ import annotations

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

"""Every kind of sound file that users bring, and what is none: the right length, or a reason."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile
from made_sound import voice, write_voice

from data.audio import AudioError, read_audio, read_info, read_voice, read_wideband, resample


def reason(path, **place) -> str:
    with pytest.raises(AudioError) as error:
        read_audio(path, **place)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return error.value.reason


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

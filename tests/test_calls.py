"""Folders of recorded calls: every turn comes from its own channel, in whatever coding the call was kept."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_sound import voice, write_manifest

from data.audio import AudioError, read_info, read_wideband, resample, to_int16
from data.corpora import Reject, Utterance, described, detect, read_corpus
from data.errors import UserError

CALL = "20040503_220921_A901153_B901154"
SECONDS = 6.0
HKUST = f"""#  {CALL}

0.25 1.75 A: 喂你好 {{breath}}
1.50 3.00 B: 你好 ((你是)) <foreign language="English"> hello </foreign>
3.10 4.00 A1: 我也在
4.00 5.50 B: 嗯<noise>
"""
RAMC = """[0.000,1.319]\tG00000000\t无,无\t[MUSIC]
[1.319,3.691]\tG00000140\t女,普通话\t爱数智慧语音采集二零一九年十一月六日
[3.500,5.713]\tG00000141\t男,普通话\t最近最近那个，那个
"""


def sides(rate: int = 8000) -> np.ndarray:
    """(n, 2) float32: A speaks in the first column, B in the second."""
    return np.stack([voice(SECONDS, rate, seed=1), voice(SECONDS, rate, seed=2)], axis=1)


def write_sphere(path: Path, coding: str, payload: bytes, count: int, channels: int = 2) -> Path:
    """NIST SPHERE 1A: a header of 1024 bytes in ASCII, then the samples of the channels in turn."""
    width, order = (1, "1") if coding.startswith("ulaw") else (2, "01")
    fields = [
        f"conversation_id -s{len(CALL)} {CALL}",
        f"channel_count -i {channels}",
        f"sample_count -i {count}",
        "sample_rate -i 8000",
        f"sample_n_bytes -i {width}",
        f"sample_byte_format -s{len(order)} {order}",
        f"sample_coding -s{len(coding)} {coding}",
        "end_head",
    ]
    header = "\n".join(["NIST_1A", "   1024", *fields, ""]).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.ljust(1024) + payload)
    return path


def ulaw_bytes(samples: np.ndarray) -> bytes:
    """G.711 codes, made by libsndfile as a headerless file."""
    codes = io.BytesIO()
    soundfile.write(codes, samples, 8000, subtype="ULAW", format="RAW")
    return codes.getvalue()


def hkust(folder: Path, coding: str = "ulaw") -> Path:
    """Two folders as LDC2005S15 and LDC2005T32 have them."""
    sound = sides()
    payload = ulaw_bytes(sound) if coding == "ulaw" else to_int16(sound).astype("<i2").tobytes()
    write_sphere(folder / f"LDC2005S15/data/audio/train/{CALL}.sph", coding, payload, len(sound))
    text = folder / f"LDC2005T32/data/trans/train/{CALL}.txt"
    text.parent.mkdir(parents=True)
    text.write_bytes(HKUST.encode("gbk"))
    (folder / "LDC2005T32/docs").mkdir()
    (folder / "LDC2005T32/docs/readme.txt").write_text("HKUST Mandarin Telephone Transcripts, Part 1\n")
    return folder


def ramc(folder: Path, stereo: bool = False) -> Path:
    for name in ("CTS-CN-F2F-2019-11-15-1", "CTS-CN-F2F-2019-11-15-2"):
        for kind, content in (("TXT", RAMC), ("WAV", None)):
            path = folder / "MDT2021S003" / kind / f"{name}.{kind.lower()}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if content:
                path.write_text(content, encoding="utf-8")
            else:
                soundfile.write(path, sides(16000) if stereo else voice(SECONDS), 16000, subtype="PCM_16")
    (folder / "MDT2021S003/SPKINFO.txt").write_text("CHANNEL\tSPEAKER_ID\tGENDER\nC0\tG00000140\tF\n")
    (folder / "DataPartition").mkdir()
    (folder / "DataPartition/dev.tsv").write_text("CTS-CN-F2F-2019-11-15-2.wav\t30.1\n")
    return folder


def assert_speaks(item: Utterance, side: int, tolerance: float = 0.02) -> None:
    """The sound of a turn is that of its own side, and has nothing of the other."""
    heard = read_wideband(item.audio, item.start, item.end, item.channel)
    own, other = (
        resample(sides()[:, column], 8000, 16000)[round(item.start * 16000) : round(item.end * 16000)]
        for column in (side, 1 - side)
    )
    inside = slice(200, -200)  # the resampler hears what lies before and behind a segment
    assert np.abs(heard - own)[inside].max() < tolerance < np.abs(heard - other)[inside].max()


# --- HKUST ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["ulaw", "pcm"])
def test_each_turn_of_hkust_is_of_its_own_side(tmp_path, coding):
    items = list(read_corpus(hkust(tmp_path, coding)))
    assert detect(tmp_path) == "hkust" and described("hkust") == "calls, lines like 'start end A: text'"
    assert read_info(items[0].audio).format == "NIST" and read_info(items[0].audio).channels == 2
    assert [item.channel for item in items] == [0, 1, 0, 1]
    for item in items:
        assert_speaks(item, item.channel)


def test_hkust_reads_as_json_lines(tmp_path):
    items = list(read_corpus(hkust(tmp_path / "corpus")))
    source = f"LDC2005S15/data/audio/train/{CALL}.sph"
    turns = [
        (0.25, 1.75, 0, "901153", "喂你好 {breath}"),
        (1.5, 3.0, 1, "901154", '你好 ((你是)) <foreign language="English"> hello </foreign>'),
        (3.1, 4.0, 0, f"{CALL}-A1", "我也在"),
        (4.0, 5.5, 1, "901154", "嗯<noise>"),
    ]
    lines = [
        {"source": source, "start": start, "end": end, "channel": side, "speaker": speaker, "target": text, "call": CALL}
        for start, end, side, speaker, text in turns
    ]
    assert items == list(read_corpus(write_manifest(tmp_path / "corpus/corpus.jsonl", lines)))


def test_a_part_of_hkust_is_a_folder(tmp_path):
    hkust(tmp_path)
    dev = tmp_path / "LDC2005T32/data/trans/dev/other.txt"
    dev.parent.mkdir()
    dev.write_bytes("0.5 1 A: 喂喂\n".encode("gbk"))
    assert len(list(read_corpus(f"{tmp_path}#train"))) == 4
    assert [item.reason for item in read_corpus(f"{tmp_path}#dev")] == ["no_audio"]
    assert [item.line for item in read_corpus(tmp_path)] == [1, 2, 3, 4, 5]
    with pytest.raises(UserError, match=r"#test: there is no such part; .*train"):
        read_corpus(f"{tmp_path}#test")


def test_what_sph2pipe_left_is_read_instead_of_the_sphere_file(tmp_path):
    hkust(tmp_path)
    wav = tmp_path / f"LDC2005S15/data/audio/train/{CALL}.wav"
    soundfile.write(wav, sides(), 8000, subtype="ULAW")
    assert {item.audio for item in read_corpus(tmp_path)} == {wav}


def test_sphere_that_is_compressed_says_how_to_unpack_it(tmp_path):
    path = write_sphere(tmp_path / "a.sph", "pcm,embedded-shorten-v2.00", b"ajkg" + bytes(2000), 8000)
    with pytest.raises(AudioError, match="unpack it with sph2pipe -f wav"):
        read_wideband(path)


@pytest.mark.parametrize("count", [0, 10**9, 2**31 - 1])
def test_sphere_whose_header_lies_about_its_length(tmp_path, count):
    payload = to_int16(sides()).astype("<i2").tobytes()
    path = write_sphere(tmp_path / "a.sph", "pcm", payload, count)
    try:
        assert 0 < len(read_wideband(path, channel=1)) <= 2 * len(sides())
    except AudioError as error:
        assert error.reason in ("empty_audio", "unreadable_audio", "too_long")


@pytest.mark.parametrize("subtype", ["PCM_16", "ULAW", "ALAW"])
def test_two_channel_wavs_in_the_same_form(tmp_path, subtype):
    soundfile.write(tmp_path / "call-7.wav", sides(), 8000, subtype=subtype)
    (tmp_path / "call-7.txt").write_text("0.5 2 A: 您好\n2.5 4 B: 我要查话费\n", encoding="utf-8")
    items = list(read_corpus(tmp_path))
    assert [(item.channel, item.speaker, item.call) for item in items] == [(0, "call-7-A", "call-7"), (1, "call-7-B", "call-7")]
    for item in items:
        assert_speaks(item, item.channel)
    assert items == [*read_corpus(tmp_path / "call-7.txt")]  # one file of turns is a corpus too


def test_two_channel_wavs_from_json_lines(tmp_path):
    soundfile.write(tmp_path / "a.wav", sides(), 8000, subtype="ALAW")
    lines = [{"source": "a.wav", "start": 1, "end": 2, "channel": side, "target": "字"} for side in (0, 1)]
    for side, item in enumerate(read_corpus(write_manifest(tmp_path / "c.jsonl", lines))):
        assert_speaks(item, side)


# --- MagicData-RAMC ---------------------------------------------------------------------------------------


def test_ramc_reads_as_json_lines(tmp_path):
    items = list(read_corpus(ramc(tmp_path / "corpus")))
    assert detect(tmp_path / "corpus") == "magicdata_ramc"
    turns = [
        (0.0, 1.319, None, "[MUSIC]"),
        (1.319, 3.691, "G00000140", "爱数智慧语音采集二零一九年十一月六日"),
        (3.5, 5.713, "G00000141", "最近最近那个，那个"),
    ]
    lines = [
        {
            "source": f"MDT2021S003/WAV/{call}.wav",
            "start": start,
            "end": end,
            "speaker": speaker,
            "target": text,
            "call": call,
        }
        for call in ("CTS-CN-F2F-2019-11-15-1", "CTS-CN-F2F-2019-11-15-2")
        for start, end, speaker, text in turns
    ]
    assert items == list(read_corpus(write_manifest(tmp_path / "corpus/corpus.jsonl", lines)))


def test_a_part_of_ramc_is_what_its_partition_lists(tmp_path):
    assert {item.call for item in read_corpus(f"{ramc(tmp_path)}#dev")} == {"CTS-CN-F2F-2019-11-15-2"}


def test_every_line_is_accounted_for(tmp_path):
    ramc(tmp_path)
    text = tmp_path / "MDT2021S003/TXT/CTS-CN-F2F-2019-11-15-1.txt"
    text.write_bytes(
        "[1,2]\tG1\t女,普通话\t字\n\n[2,1]\tG1\t女,普通话\t字\n[a,1]\tG1\t女,普通话\t字\n1 2 字\n".encode()
        + b"[1,2]\tG1\t\xff\xff\t\xff\n[3,4]\tG1\t\t\0\n[5,6]\t\t\t"
    )
    items = [item for item in read_corpus(tmp_path) if text.stem in (item.call or "")]
    assert [getattr(item, "reason", None) for item in items] == [
        None, "bad_times", "bad_field", "bad_field", "bad_encoding", "bad_encoding", None,
    ]  # fmt: skip
    assert f"{text}:3: " in items[1].detail and items[-1].speaker is None


def test_links_in_a_circle_end(tmp_path):
    ramc(tmp_path / "real")
    (tmp_path / "real/MDT2021S003/again").symlink_to(tmp_path / "real")
    (tmp_path / "link").mkdir()
    (tmp_path / "link/corpus").symlink_to(tmp_path / "real")
    assert len(list(read_corpus(tmp_path / "real"))) == len(list(read_corpus(tmp_path / "link"))) == 6


def test_an_empty_dialog_and_a_call_without_sound(tmp_path):
    (tmp_path / "a.txt").write_text("[1,2]\tG1\t女,普通话\t字\n", encoding="utf-8")
    soundfile.write(tmp_path / "b.wav", voice(1), 16000)
    (tmp_path / "b.txt").touch()
    items = list(read_corpus(tmp_path))
    assert [type(item) for item in items] == [Reject] and items[0].reason == "no_audio"


def test_a_name_that_is_no_text_costs_its_lines_alone(tmp_path):
    """File systems take any bytes as a name; rows of JSON do not."""
    for name in (b"good", b"odd\xff"):
        soundfile.write(tmp_path / "a.wav", np.zeros(8000, np.int16), 8000)
        os.rename(tmp_path / "a.wav", os.fsdecode(os.path.join(os.fsencode(tmp_path), name + b".wav")))
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name + b".txt"))).write_text("0.10 0.50 A: 好\n", encoding="utf-8")
    good, odd = read_corpus(tmp_path)
    assert isinstance(good, Utterance) and isinstance(odd, Reject)
    assert "whose name is no UTF-8; rename it" in odd.detail and odd.detail.encode()

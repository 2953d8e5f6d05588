"""Whatever a corpus holds: every line is one utterance, one reject or blank, and nothing but a UserError is raised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.corpora import FORMATS, Reject, Utterance, detect, read_corpus
from data.errors import UserError
from data.lines import UTF_16

EXAMPLES = settings(max_examples=80)

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["1.5", "nan", "a.wav", -1, 2]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def objects(**fields: st.SearchStrategy) -> st.SearchStrategy:
    """JSON objects with some of the fields, each as it should be or anything."""
    return st.fixed_dictionaries({}, optional={name: good | anything for name, good in fields.items()})


times = st.integers(0, 9) | st.floats(0, 9) | st.sampled_from(["1.5", "2"])
words = st.text(max_size=8)
turns = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["system", "user", "assistant"]),
        "content": words | st.just("<|startofspeech|>!a.wav<|endofspeech|>"),
    },
)
rows = objects(
    key=words, source=words, audio=words, target=words, text=words, start=times, end=times, channel=st.integers(0, 1),
    speaker=words, call=words, messages=st.lists(turns, max_size=3), source_len=times, speech_length=times,
)  # fmt: skip
segments = objects(
    sid=words,
    begin_time=times,
    end_time=times,
    text=words,
    confidence=times,
    subsets=st.lists(st.sampled_from(["L", "M"]), max_size=2),
)
audios = objects(aid=words, path=words, segments=st.lists(segments, max_size=4))


@st.composite
def damaged(draw: st.DrawFn, content: st.SearchStrategy[bytes]) -> bytes:
    """Bytes with a piece cut out and another put in."""
    whole = draw(content)
    first = draw(st.integers(0, len(whole)))
    last = draw(st.integers(first, min(first + 5, len(whole))))
    return whole[:first] + draw(st.sampled_from([b"", b"", b"\0", b"\xff", b"\n", b'"', b"{", b"\xd6\xd0", b"|"])) + whole[last:]


def lines_of(line: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    return st.lists(line.map(lambda text: text.encode("utf-8", "surrogatepass")), max_size=6).map(b"\n".join)


def not_blank(content: bytes) -> int:
    return sum(bool(line.strip()) for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"))


def read(path: Path | str, form: str = "auto") -> list[Utterance | Reject]:
    """All items, each fit to be written down. A UserError, one line long, is an answer too: None."""
    items = list(read_corpus(path, form))
    for item in items:
        assert isinstance(item, (Utterance, Reject)) and item.line > 0
        fields = {name: str(value) for name, value in vars(item).items()}
        json.dumps(fields, ensure_ascii=False).encode()
        if isinstance(item, Utterance):
            assert item.key and item.audio.is_absolute() and "\0" not in fields["audio"]
            assert item.end is None or 0 <= (item.start or 0) < item.end
            assert item.channel is None or item.channel >= 0
    return items


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("form", ["json_lines", "funasr", "auto"])
@given(content=damaged(lines_of(rows.map(lambda row: json.dumps(row, ensure_ascii=True)) | st.text(max_size=20))))
@EXAMPLES
def test_json_lines(folder, form, content):
    path = folder / "c.jsonl"
    path.write_bytes(content)
    if content.startswith((*UTF_16, b"\x1f\x8b")) or (form == "auto" and not content):
        return
    if form == "auto" and detect(path) not in ("json_lines", "funasr"):
        return
    assert len(read(path, form)) == not_blank(content)


scp = st.sampled_from(["u1 a.wav", "u2 sox b.wav -t wav - |", "u3", "u2 c.wav", "r1 /a.wav"]) | st.text(max_size=9)
text = st.sampled_from(["u1 字", "u2\t两个", "u4 四", "u1", "u3 三"]) | st.text(max_size=9)
places = st.sampled_from(["u1 r1 0 1", "u2 r1 2 1", "u3 r1 nan inf", "u4 r9 1 2", "u5 r1 1", "u3 r1 0 -1"]) | st.text(max_size=9)


@given(damaged(lines_of(scp)), damaged(lines_of(text)), st.none() | damaged(lines_of(places)))
@EXAMPLES
def test_kaldi(folder, wav_scp, texts, segments):
    place = folder / "kaldi"
    place.mkdir(exist_ok=True)
    for name, content in {"wav.scp": wav_scp, "text": texts, "segments": segments}.items():
        (place / name).unlink(missing_ok=True)
        if content is not None:
            (place / name).write_bytes(content)
    listed = wav_scp if segments is None else segments
    try:
        items = read(place)
    except UserError as error:
        assert "\n" not in str(error)
        return
    left = sum(isinstance(item, Reject) and item.detail.startswith(f"{place / 'text'}:") for item in items)
    found = len(items) - left
    assert found == not_blank(listed) and left <= not_blank(texts) <= left + found


@given(st.lists(audios | anything, max_size=4), st.sampled_from([None, "L", "M"]))
@EXAMPLES
def test_wenetspeech_of_odd_fields(folder, listed, subset):
    path = folder / "WenetSpeech.json"
    path.write_text(json.dumps({"audios": listed}), encoding="utf-8")
    items = read(path if subset is None else f"{path}#{subset}", "wenetspeech")
    whole = sum(
        len(audio["segments"]) if isinstance(audio, dict) and isinstance(audio.get("segments"), list) else 1 for audio in listed
    )
    assert len(items) == whole if subset is None else len(items) <= whole


@given(damaged(st.lists(audios, max_size=3).map(lambda listed: json.dumps({"audios": listed}).encode())))
@EXAMPLES
def test_wenetspeech_that_is_damaged(folder, content):
    path = folder / "WenetSpeech.json"
    path.write_bytes(content)
    try:
        read(path, "wenetspeech")
    except UserError as error:
        assert str(path) in str(error) and "\n" not in str(error)


ramc = st.sampled_from(["[1.5,2]\tG1\t女,普通话\t字", "[2,1]\tG1\t女\t字", "[nan,1]\tG\t\t", "# 字", "[1,2]\t字"]) | st.text(
    max_size=9
)
hkust = st.sampled_from(["1.5 2 A: 字", "2 1 B: 字", "1 2 C: 字", "# call", "x 2 A:字", "1 2 B1:"]) | st.text(max_size=9)


@pytest.mark.parametrize(("form", "line"), [("magicdata_ramc", ramc), ("hkust", hkust)])
@given(data=st.data())
@EXAMPLES
def test_calls(folder, form, line, data):
    content = data.draw(damaged(lines_of(line)))
    place = folder / form
    place.mkdir(exist_ok=True)
    (place / "c.txt").write_bytes(content)
    (place / "c.wav").touch()
    if content.startswith((*UTF_16, b"\x1f\x8b")):
        return
    comments = sum(line.startswith(b"#") for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    assert len(read(place, form)) == not_blank(content) - comments


@pytest.mark.parametrize("form", FORMATS)
@given(content=st.binary(max_size=200) | st.binary(max_size=50).map(lambda end: b"\x1f\x8b\x08\0" + end))
@settings(max_examples=40)
def test_any_bytes_in_any_format(folder, form, content):
    path = folder / "any"
    path.write_bytes(content)
    try:
        read(path, form)
    except UserError as error:
        assert "\n" not in str(error)

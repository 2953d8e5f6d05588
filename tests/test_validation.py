"""A sound file set passes; each mistake is found by its own check, and none stops the others or the program."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import tracemalloc

import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_rows import check, rows_in, splits
from made_sound import voice, write_voice

from data.errors import UserError
from data.manifest import row, write_rows
from data.row_checks import schema, targets_fit_frames
from data.token_list import read_tokens
from data.validation import validate


def test_good_rows_pass(tmp_path, capsys):
    assert check(tmp_path, rows_in(tmp_path))
    out = capsys.readouterr().out
    assert "3 utterances" in out and "✓" in out and "✗" not in out


def spoil_key(rows):
    rows[1]["key"] = "u0"


def spoil_prompt(rows):
    rows[1]["messages"][1]["content"] = "请" + rows[1]["messages"][1]["content"]


def spoil_text(rows):
    rows[1]["messages"][2]["content"] = "好<|im_end|>"
    rows[1]["text_length"] = 11


def spoil_text_length(rows):
    rows[1]["text_length"] = 99


def spoil_speech_length(rows):
    rows[1]["speech_length"] = 0


def spoil_path(rows):
    rows[1]["messages"][1]["content"] = rows[1]["messages"][1]["content"].replace("1.wav", "nowhere.wav")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_key, "✗ keys are unique"),
        (spoil_prompt, "✗ the prompt is one"),
        (spoil_text, "✗ targets are words"),
        (spoil_text_length, "✗ text_length fits"),
        (spoil_speech_length, "✗ speech_length is positive"),
        (spoil_path, "✗ sound files are there"),
    ],
)
def test_every_mistake_is_found_and_named(tmp_path, capsys, spoil, words):
    rows = rows_in(tmp_path)
    spoil(rows)
    assert not check(tmp_path, rows, audio=False)
    out = capsys.readouterr().out
    assert words in out and out.count("✗") == 1
    assert "u0" in out or "u1" in out or "请" in out


def test_speech_length_in_the_unit_of_funasr_is_recognised(tmp_path, capsys):
    rows = rows_in(tmp_path, seconds=2.0)
    rows[0]["speech_length"] = 200
    assert not check(tmp_path, rows)
    assert "counts 10 ms frames" in capsys.readouterr().out


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2)])
def test_sound_of_another_form_is_found(tmp_path, capsys, rate, channels):
    rows = rows_in(tmp_path)
    write_voice(tmp_path / "1.wav", 0.5, rate, channels=channels)
    assert not check(tmp_path, rows)
    assert f"{rate} Hz, {channels} channels" in capsys.readouterr().out


def test_what_is_trained_on_may_not_be_tested_on(tmp_path, capsys):
    rows = rows_in(tmp_path)
    write_rows(tmp_path / "a" / "train.jsonl", rows[:2])
    write_rows(tmp_path / "b" / "train.jsonl", rows[:1])
    write_rows(tmp_path / "a" / "test.jsonl", rows[2:])
    files = [tmp_path / "a" / "train.jsonl", tmp_path / "b" / "train.jsonl", tmp_path / "a" / "test.jsonl"]
    assert validate(files)
    write_rows(files[2], rows[1:])
    assert not validate(files)
    assert "✗ no sound file is in two splits: 1" in capsys.readouterr().out


def test_the_last_line_says_what_failed(tmp_path, capsys):
    rows = rows_in(tmp_path)
    spoil_key(rows), spoil_speech_length(rows)
    assert not check(tmp_path, rows, audio=False)
    told = capsys.readouterr().out.splitlines()[-1]
    assert told == "failed: keys are unique (1 against it), speech_length is positive (1 against it); 1 warning"


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path, capsys):
    write_rows(tmp_path / "train.jsonl", rows_in(tmp_path))
    assert not validate([tmp_path / "nowhere.jsonl", tmp_path / "train.jsonl"])
    out = capsys.readouterr().out
    assert "no such file" in out and "3 utterances" in out


# --- rows --------------------------------------------------------------------------------------------------


BROKEN = [
    b"{",
    b"[1, 2]",
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"key": 1' + b"0" * 10_000 + b"}",
    b'{"key": "k", "messages": [], "speech_length": 1, "text_length": 1}',
    b'{"key": "k", "messages": {}, "speech_length": 1, "text_length": 1}',
    b'{"key": "k", "messages": [], "speech_length": true, "text_length": 1}',
    b'{"key": "k", "messages": [null, 3], "speech_length": 1, "text_length": 1}',
]


@pytest.mark.parametrize("line", BROKEN, ids=range(len(BROKEN)))
def test_a_line_that_is_no_row_is_named_and_the_others_are_checked(tmp_path, capsys, line):
    rows = rows_in(tmp_path)
    write_rows(tmp_path / "train.jsonl", rows)
    good = (tmp_path / "train.jsonl").read_bytes()
    (tmp_path / "train.jsonl").write_bytes(good + line + b"\n" + good.replace(b'"key": "u', b'"key": "v'))
    assert not validate([tmp_path / "train.jsonl"])
    out = capsys.readouterr().out
    assert "✗ rows can be read: 1 against it" in out and "train.jsonl:4: " in out and "6 utterances" in out


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("duration", "1.5", "'duration' is not a time"),
        ("duration", -1, "'duration' is not a time"),
        ("duration", 10**400, "'duration' is not a time"),
        ("speech_length", 10**400, "beyond all measure"),
        ("text_length", 1.0, "no 'text_length'"),
        ("key", 7, "no 'key'"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(tmp_path, name, value, words):
    assert words in " ".join(schema(rows_in(tmp_path, 1)[0] | {name: value}))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["duration", "speaker", "call", "channel", "source", "start", "audio_sha256", "negative", "key", "messages"]
CHANNEL = ["legs", "profile", "level_dbov", "snr_db", "talkers", "loss_rate", "lost"]


@settings(max_examples=60)
@given(
    fields=st.dictionaries(st.sampled_from([*FIELDS, *CHANNEL]), ANYTHING), path=st.text(max_size=300), text=st.text(max_size=9)
)
@example(fields={"loss_rate": 2e23}, path="", text="")
def test_no_row_makes_a_traceback(tmp_path_factory, fields, path, text):
    folder = tmp_path_factory.mktemp("any")
    odd = row("k", path or "x", text, 16000)
    lines = [json.dumps(odd), json.dumps(odd | fields), json.dumps({"channel": fields} | odd)]
    for name in ("train", "test"):
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    files = [folder / "train.jsonl", folder / "test.jsonl"]
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")):  # as strict as a pipe
        assert not validate(files, True, None, folder / "s.json", folder / "p.html")
    assert json.loads((folder / "s.json").read_text(encoding="utf-8"))["passed"] is False


def test_a_row_leaves_some_tens_of_bytes_behind(tmp_path, capsys):
    one = json.dumps(row("KEY", tmp_path / "none.wav", "好", 16000, speaker="s", call="c"))
    counts = (2_000, 12_000)
    peaks = []
    for count in counts:
        with (tmp_path / "train.jsonl").open("w") as out:
            out.writelines(one.replace("KEY", f"key{n}").replace("none", f"none{n}") + "\n" for n in range(count))
        tracemalloc.start()
        validate([tmp_path / "train.jsonl"])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / (counts[1] - counts[0]) < 200
    assert "12,000 against it" in capsys.readouterr().out


# --- text --------------------------------------------------------------------------------------------------


def shortest_path(text: str) -> int:
    """Frames of the shortest CTC path that collapses to a text, by trying all labellings."""
    letters = [*sorted(set(text)), "-"]
    for length in itertools.count(0):
        for labels in itertools.product(letters, repeat=length):
            if "".join(letter for letter, _ in itertools.groupby(labels)).replace("-", "") == text:
                return length


@pytest.mark.parametrize("text", ["", "a", "ab", "aa", "aab", "aaa", "abba", "aabb"])
def test_the_frames_that_ctc_needs_are_those_of_its_shortest_path(text):
    needed = shortest_path(text)
    fields = {"messages": row("k", "x", text, 1)["messages"]}
    assert not list(targets_fit_frames(fields | {"speech_length": needed}))
    assert list(targets_fit_frames(fields | {"speech_length": needed - 1}))


def test_a_target_that_ctc_cannot_say_is_a_warning(tmp_path, capsys):
    rows = rows_in(tmp_path, 2)
    rows[0] = row("u0", tmp_path / "0.wav", "好好好好好", 8000)
    assert rows[0]["speech_length"] == 8
    assert check(tmp_path, rows)
    assert "! CTC can say the target in the time: 1" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["lines", "json"])
def test_characters_without_a_token_are_counted_and_shown(tmp_path, capsys, form):
    rows = rows_in(tmp_path, 3)
    rows[1] = row("u1", tmp_path / "1.wav", "第龘龘", 8000)
    tokens = ["<unk>", "第", "句", "0", "2", "<blank>"]
    path = tmp_path / "tokens"
    path.write_text(json.dumps(tokens) if form == "json" else "\n".join(tokens) + "\n", encoding="utf-8")
    assert check(tmp_path, rows, token_list=path)
    out = capsys.readouterr().out
    assert "! every character is a token of the CTC list: 1 against it" in out and "'龘' 2 times, first in u1" in out
    assert check(tmp_path, rows[::2], token_list=path)
    assert "✓ every character is a token" in capsys.readouterr().out


def test_a_token_list_may_hold_a_blank_and_counts(tmp_path):
    (tmp_path / "t").write_text("<blank>\n \n好 17\n", encoding="utf-8")
    assert read_tokens(tmp_path / "t") >= {"<blank>", " ", "好"}


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"[1"])
def test_a_token_list_that_cannot_be_read_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "t").write_bytes(content)
    with pytest.raises(UserError, match="token"):
        read_tokens(tmp_path / "t")


def test_the_hash_of_a_changed_sound_is_found(tmp_path, capsys):
    rows = rows_in(tmp_path)
    rows[0]["audio_sha256"] = hashlib.sha256((tmp_path / "0.wav").read_bytes()).hexdigest()
    assert check(tmp_path, rows)
    soundfile.write(tmp_path / "0.wav", voice(0.5, seed=9), 16000, subtype="PCM_16")
    assert not check(tmp_path, rows)
    assert "✗ sound of dev and test is what was simulated: 1" in capsys.readouterr().out


def test_the_summary_says_what_the_terminal_says(tmp_path, capsys):
    rows = rows_in(tmp_path, 4)
    spoil_text(rows), spoil_speech_length(rows)
    files = splits(tmp_path, train=rows[:3], test=rows[2:])
    assert not validate(files, summary=tmp_path / "s.json")
    said = [line.strip()[0] for line in capsys.readouterr().out.splitlines() if line[:2] == "  " and line[2] in "✓✗!"]
    report = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    checks = [check for figures in report["files"].values() for check in figures["checks"]] + report["splits_together"]
    assert said == [check["mark"] for check in checks] and not report["passed"] and said.count("✗") == 4

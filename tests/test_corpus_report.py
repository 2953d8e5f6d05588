"""The figures of a set are those that one counts by hand; the page is opened in a browser, where there is one."""

from __future__ import annotations

import base64
import html
import io
import json
import random
import re
import statistics
import wave
from pathlib import Path

import numpy as np
import pytest
from browser import browse, examine, needs_chromium
from hypothesis import given
from hypothesis import strategies as st
from made_sound import voice, write_voice

from data.audio import write_wav
from data.corpus_report import Survey, lines, nice_edges, printable, summarise, together
from data.histogram_svg import figure, histogram, round_figures
from data.listening import HOW_MANY, Chosen, spectrogram_png
from data.manifest import row, write_rows
from data.validation import validate

TEXTS = ["转人工服务", "我要查<b>话费</b>&“余额”", "a'\"</script><img src=//example.org/x>", "𠮷野家"]


def simulated(number: int, seconds: float, text: str = "好的") -> dict:
    fields = row(f"u{number}", f"/w/{number}.wav", text, round(16000 * seconds), speaker=f"s{number % 3}", call=f"c{number % 5}")
    legs = ["amr-nb 12.2", "a-law"] if number % 2 else ["mu-law"]
    drawn = {"profile": "mobile" if number % 2 else "default", "legs": legs, "level_dbov": -20.0 - number, "snr_db": 10.0}
    return fields | {"channel": drawn | {"loss_rate": 0.01 * number, "talkers": ["a"] if number else [], "lost": number}}


def survey_of(rows: list[dict]) -> Survey:
    survey = Survey()
    for fields in rows:
        survey.add(fields, 4000.0)
    return survey


# --- figures ---------------------------------------------------------------------------------------------


def test_figures_are_those_that_one_counts():
    seconds = [1.0, 2.0, 4.0, 8.0, 16.0]
    found = summarise(survey_of([simulated(n, length) for n, length in enumerate(seconds)]))
    assert found["utterances"] == 5 and found["characters"] == 10
    assert found["hours"] == round(sum(seconds) / 3600, 4)
    assert (found["speakers"], found["calls"]) == (3, 5)
    assert found["profiles"] == {"default": 3, "mobile": 2}
    assert found["codecs"] == {"mu-law": 3, "amr-nb → a-law": 2}
    measures = found["measures"]
    assert (measures["duration"]["min"], measures["duration"]["median"], measures["duration"]["max"]) == (1, 4, 16)
    assert measures["characters_per_second"]["max"] == 2 and measures["characters_per_second"]["min"] == 0.12
    assert (measures["level_dbov"]["min"], measures["level_dbov"]["max"]) == (-24, -20)
    assert measures["loss_percent"]["mean"] == 2 and measures["snr_db"]["count"] == 4
    assert measures["bandwidth_khz"]["histogram"]["edges"][-1] == 8


def test_rows_without_speech_and_clean_ones_are_told_apart():
    silent = row("n", "/w/n.wav", "", 16000) | {"negative": True}
    online = row("o", "/w/o.wav", "好", 32000) | {"channel": "online"}
    found = summarise(survey_of([silent, online]))
    assert (found["utterances"], found["negatives"], found["online"]) == (2, 1, 1)
    assert found["measures"]["characters_per_second"]["count"] == 1
    assert (found["speakers"], found["calls"], found["profiles"]) == (0, 0, {})


def test_a_row_without_duration_lasts_as_long_as_its_frames():
    fields = row("o", "/w/o.wav", "好", 32000)
    del fields["duration"]
    assert summarise(survey_of([fields]))["measures"]["duration"]["max"] == pytest.approx(2.0, abs=0.06)


def test_an_empty_set_has_figures_too():
    found = summarise(Survey())
    assert found["utterances"] == found["hours"] == 0 and found["measures"] == {}
    assert list(lines(found)) == ["0 utterances, 0.00 hours, 0 characters"]


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(0, 30))
def test_order_and_files_make_no_difference(numbers, cut):
    rows = [simulated(n, 0.5 + n / 7) for n in numbers]
    whole = summarise(survey_of(rows))
    random.Random(cut).shuffle(rows)
    parts = summarise(together([survey_of(rows[:cut]), survey_of(rows[cut:])]))
    assert parts.pop("profiles") == whole.pop("profiles") and parts.pop("codecs") == whole.pop("codecs")
    assert json.dumps(parts) == json.dumps(whole)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=200))
def test_a_histogram_holds_every_value_once(values):
    survey = Survey()
    survey.values["level_dbov"].extend(values)
    found = summarise(survey)["measures"]["level_dbov"]
    edges, counts = found["histogram"]["edges"], found["histogram"]["counts"]
    assert sum(counts) == len(values) and len(edges) == len(counts) + 1 and edges == sorted(edges)
    assert found["median"] == pytest.approx(statistics.median(values), abs=0.06)
    assert histogram(found, "x").count("<rect") == sum(count > 0 for count in counts)


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4), st.integers(1, 10**6))
def test_edges_are_round_and_reach_around(low, width, values):
    edges = nice_edges((low, low + width), values)
    step = edges[1] - edges[0]
    assert edges[0] <= low + 1e-5 * step and edges[-1] >= low + width - 1e-5 * step and len(edges) <= 36
    mantissa = step / 10 ** np.floor(np.log10(step) + 1e-9)
    assert min(abs(mantissa - round_one) for round_one in (1, 2, 2.5, 5, 10)) < 1e-6


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4))
def test_figures_at_an_axis_are_few_and_on_it(low, width):
    found = round_figures(low, low + width, 5)
    assert 1 <= len(found) <= 6 and all(low - 1e-3 * width <= value <= low + 1.001 * width for value in found)


@pytest.mark.parametrize(("value", "shown"), [(0.25, "0.25"), (-3.5, "−3.5"), (12.0, "12"), (-0.0, "0"), (1e5, "100000")])
def test_figures_have_the_digits_they_need(value, shown):
    assert figure(value) == shown


def test_one_line_of_anything():
    assert printable("好\n\0\ud800\u202e") == "好\\n\\x00\\ud800\\u202e"
    assert len(printable("x" * 10**6)) < 600


def test_the_terminal_shows_every_measure_on_a_line():
    shown = list(lines(summarise(survey_of([simulated(n, 1 + n) for n in range(20)]))))
    assert shown[0].startswith("20 utterances, 0.06 hours, longest 20.0 s, 40 characters, 3 speakers, 5 calls")
    assert [line[:22].strip() for line in shown[1:]][-3:] == ["Bandwidth found", "Profiles", "Codecs"]
    assert any("█" in line and "median 10.5" in line for line in shown)


def test_reasons_of_rejects_are_counted(tmp_path, capsys):
    rejects = [{"key": f"r{n}", "reason": "silent" if n % 3 else "bad_json", "detail": f"line {n}"} for n in range(7)]
    write_rows(tmp_path / "rejected" / "train.jsonl", rejects)
    write_rows(tmp_path / "train.jsonl", [row("u", write_voice(tmp_path / "u.wav"), "好", 8000)])
    assert validate([tmp_path / "train.jsonl"], summary=tmp_path / "s.json")
    assert "7: silent 4, bad_json 3" in capsys.readouterr().out
    found = json.loads((tmp_path / "s.json").read_text())["total"]["rejected"]
    assert found[0] == {"reason": "silent", "count": 4, "example": "line 1"}


# --- what is listened to ---------------------------------------------------------------------------------


@given(st.permutations([f"k{n}" for n in range(12)]))
def test_the_choice_depends_on_the_keys_alone(keys):
    chosen, backwards = Chosen(), Chosen()
    for key in keys:
        chosen.offer({"key": key})
    for key in sorted(keys):
        backwards.offer({"key": key})
    assert chosen.rows == backwards.rows and len(chosen.rows) == HOW_MANY


def test_keys_that_stand_twice_do_not_disturb_the_choice():
    chosen = Chosen()
    for _ in range(5):
        chosen.offer({"key": "k"})
    assert len(chosen.rows) == HOW_MANY


def test_the_picture_shows_a_tone_where_it_is(tmp_path):
    image = pytest.importorskip("PIL.Image")
    tone = 0.5 * np.sin(2 * np.pi * 2000 / 16000 * np.arange(32000)).astype(np.float32)
    picture = np.asarray(image.open(io.BytesIO(spectrogram_png(tone))).convert("L"), int)
    brightest = picture.mean(1).argmax()
    assert abs((1 - (brightest + 0.5) / len(picture)) * 8000 - 2000) <= 125


# --- the page --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on a set with everything in it: before and after, hostile texts, rejects, findings."""
    tmp_path = tmp_path_factory.mktemp("page")
    folder = tmp_path / "simulated_8k_telephone"
    rows = []
    for number, text in enumerate(TEXTS):
        write_wav(folder / f"{number}.wav", np.tile(voice(1.0, seed=number), 7), 16000)
        write_voice(tmp_path / "clean" / f"{number}.wav", 5.0, 8000, channels=2)
        source = {"source": str(tmp_path / "clean" / f"{number}.wav"), "start": 2.0, "end": 4.5, "source_channel": 1}
        drawn = simulated(number, 7.0)["channel"]
        fields = row(f"{text}{number}", folder / f"{number}.wav", text, 7 * 16000, call="c1")
        rows.append(fields | {"channel": drawn} | (source if number % 2 else {}))
    write_rows(folder / "train.jsonl", rows)
    write_rows(folder / "dev.jsonl", rows[:3])
    write_rows(folder / "rejected" / "train.jsonl", [{"reason": "<i>odd</i>", "detail": "<i>…</i>"}])
    assert not validate([folder / "train.jsonl", folder / "dev.jsonl"], True, page=tmp_path / "report.html")
    return tmp_path / "report.html"


def test_the_page_asks_for_nothing(page):
    content = page.read_text(encoding="utf-8")
    asked = re.findall(r"(?:src|href|srcset|action|data)\s*=\s*['\"]?([^'\" >]*)|url\(([^)]*)|@import (.*)", content)
    assert asked and all("".join(place).startswith("data:") for place in asked if "example.org" not in "".join(place))
    assert "<script" not in content and "<img src=//" not in content
    assert "default-src 'none'" in content


def test_texts_stand_on_the_page_as_they_are(page):
    content = page.read_text(encoding="utf-8")
    said = re.findall(r"<p class='said' lang='zh'>(.*?)</p>", content)
    assert said and all("<" not in text and html.unescape(text) in TEXTS for text in said)
    assert "<i>" not in content


def test_sounds_on_the_page_are_excerpts_of_what_the_rows_name(page):
    content = page.read_text(encoding="utf-8")
    sounds = [base64.b64decode(data) for data in re.findall(r"data:audio/wav;base64,([^'\"]+)", content)]
    lengths = set()
    for sound in sounds:
        with wave.open(io.BytesIO(sound)) as found:
            assert (found.getframerate(), found.getnchannels(), found.getsampwidth()) == (16000, 1, 2)
            lengths.add(found.getnframes() / 16000)
    assert lengths == {6.0, 2.5}  # after: cut at six seconds; before: from 2 to 4.5
    assert content.count("Before the channel") == content.count("class='card pair'") == sounds_of(2.5, sounds)


def sounds_of(seconds: float, sounds: list[bytes]) -> int:
    return sum(len(sound) == 44 + round(seconds * 32000) for sound in sounds)


def test_the_same_rows_make_the_same_page(page):
    again = page.with_name("again.html")
    folder = page.parent / "simulated_8k_telephone"
    validate([folder / "train.jsonl", folder / "dev.jsonl"], True, page=again)
    assert again.read_bytes() == page.read_bytes()


@needs_chromium
def test_sound_loads_in_a_browser_without_an_error_or_a_request(page):
    done = browse(page, "--enable-logging=stderr")
    assert "Speech data report" in done.stdout
    assert "CONSOLE" not in done.stderr, done.stderr  # a request that the page's policy refuses would stand there

    content = page.read_text(encoding="utf-8")
    found = examine(page)
    assert found["wrong"] == [] and found["asked"] == []
    assert len(found["durations"]) == content.count("<audio") > 0
    assert all(isinstance(seconds, (int, float)) and 2 < seconds <= 6 for seconds in found["durations"])
    assert min(found["pictures"]) > 100
    inner, needed = found["width"]
    assert inner == 390 and needed <= inner  # nothing sticks out of a telephone

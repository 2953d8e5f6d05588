"""Each rule draws its line where it says, and leaves ordinary telephone speech alone."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_sound import voice

from data.audio import AudioInfo, read_wideband
from data.corpora import Utterance
from data.errors import UserError
from data.plausibility import FLOOR_DBOV, RULES, choose_rules, header_facts, judge, known, sample_facts, spoken, summary, wanted
from data.reasons import Reasons

SPEECH = Path(__file__).parents[2] / "shared" / "speech"
SOUND = ("header", "samples")
FINE = {"seconds": 3.0, "overrun": -1.0, "level_dbov": -26.0, "speech": 2.5}


def broken(text: str, of=("text",), *changes: str, **facts: float):
    found = judge(Utterance("u", Path("a.wav"), text, line=7), choose_rules(changes), of, FINE | facts)
    return found and (found.reason, found.value, found.bound)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("你好，世界！", 4),
        ("打13812345678", 12),
        ("用 email 发 IBM 的", 5),
        ("。，…", 0),
        ("don't", 2),
        ("\U00020bb7野家", 3),
    ],
)
def test_what_is_pronounced(text, count):
    assert spoken(text) == count


@pytest.mark.parametrize(
    ("text", "reject"),
    [
        ("。，！", ("no_words", 0, 1)),
        ("你好</b", ("leftover_markup", 1, 0)),
        ("[你 好]", ("leftover_markup", 2, 0)),
        ("你好&lt;noise&gt;", ("leftover_markup", 2, 0)),
        ("%uh 你好", ("leftover_markup", 1, 0)),
        ("你\ufffd好", ("leftover_markup", 1, 0)),
        ("对" * 13, ("repeated_character", 13, 12)),
        ("好" + "0" * 20, ("repeated_character", 20, 12)),
        ("对" * 12, None),
        ("哈哈哈哈哈哈，哈哈哈哈哈哈，哈哈哈", None),
        ("我打了3<5的100%，R&D的 AT&T（对）……", None),
        ("A", None),
    ],
)
def test_rules_of_the_text(text, reject):
    assert broken(text) == reject


@pytest.mark.parametrize(
    ("facts", "reject"),
    [
        ({}, None),
        ({"overrun": 0.5}, None),
        ({"overrun": 0.75}, ("outside_file", 0.75, 0.5)),
        ({"seconds": 0.1, "speech": 1.0}, None),
        ({"seconds": 0.099}, ("too_short", 0.099, 0.1)),
        ({"seconds": 120.0}, None),
        ({"seconds": 120.25}, ("too_long", 120.25, 120)),
        ({"level_dbov": -60.0}, None),
        ({"level_dbov": -60.5}, ("silent", -60.5, -60)),
        ({"speech": 8.0}, None),
        ({"speech": 8.5}, ("too_slow", 0.471, 0.5)),
        ({"speech": 4 / 15}, None),
        ({"speech": 0.25}, ("too_fast", 16.0, 15)),
    ],
)
def test_rules_of_the_sound(facts, reject):
    assert broken("四个字好", SOUND, **facts) == reject


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.measure])
def test_every_rule_has_a_reason_can_be_set_and_switched_off(rule):
    """At every bound of its own that the ordinary breaks, and at none once it is off."""
    assert len(rule.why) > 20 and rule.name.isidentifier()
    ordinary = rule.measure("四个字好", FINE)
    assert rule.allows(ordinary)
    bound = ordinary - 1 if rule.is_most else ordinary + 1
    others = [f"{other.name}=off" for other in RULES if other is not rule]
    assert broken("四个字好", (rule.of,), f"{rule.name}={bound}", *others) == (rule.name, ordinary, bound)
    assert broken("四个字好", (rule.of,), f"{rule.name}=off", *others) is None


def test_a_reject_says_rule_value_and_bound():
    reject = judge(Utterance("u", Path("a.wav"), "对" * 30, line=7, call="c"), RULES, ("text",))
    assert reject.detail == "line 7: u: 30, must be at most 12 times the same character in a row"
    assert (reject.key, reject.line, reject.text, reject.call) == ("u", 7, "对" * 30, "c")


def test_an_utterance_in_which_nobody_speaks_breaks_no_rule():
    assert broken("", ("text", *SOUND), level_dbov=-90.0, speech=0.0) is None


def test_what_was_not_measured_is_not_judged():
    facts = header_facts(Utterance("u", Path("a.wav"), "好"), AudioInfo(8000, 8000, 1, "WAV", "PCM_16"))
    assert known({}) == () and known(facts) == ("header",)
    assert judge(Utterance("u", Path("a.wav"), "好"), RULES, known(facts), facts) is None


def test_what_the_rules_want_to_know():
    assert wanted(()) == ""
    assert wanted(RULES) == "samples"
    assert wanted(choose_rules(["silent=off", "too_slow=off", "too_fast=off"])) == "header"
    assert wanted(tuple(rule for rule in RULES if rule.of in ("text", "corpus"))) == ""


@pytest.mark.parametrize(
    ("start", "end", "seconds", "overrun"),
    [(None, None, 10, 0), (2.0, 5.0, 3, -5), (9.0, 10.25, 1, 0.25), (12.0, 13.0, -2, 3), (11.0, None, -1, 1)],
)
def test_facts_of_a_header(start, end, seconds, overrun):
    info = AudioInfo(80000, 8000, 1, "WAV", "ULAW")
    facts = header_facts(Utterance("u", Path("a.wav"), "好", start, end), info)
    assert facts == {"seconds": seconds, "overrun": overrun}


def test_facts_of_samples():
    """Two seconds of speech, then as many of nothing: level and time are those of the speech, but for 0.2 s of hangover."""
    speech = voice(2.0, level_dbov=-30.0)
    facts = sample_facts(np.concatenate([speech, np.zeros(32000, np.float32)]))
    assert 1.5 < facts["speech"] < 2.3 and -31 < facts["level_dbov"] < -28
    assert sample_facts(np.zeros(16000, np.float32)) == {"level_dbov": FLOOR_DBOV, "speech": 0.0}


@pytest.mark.skipif(not SPEECH.is_dir(), reason=f"{SPEECH} is not here")
def test_real_recordings_break_no_rule():
    texts = dict(line.split(maxsplit=1) for line in (SPEECH / "text").read_text(encoding="utf-8").splitlines())
    for key, text in texts.items():
        samples = read_wideband(SPEECH / f"{key}.wav")
        facts = sample_facts(samples) | {"seconds": len(samples) / 16000, "overrun": 0.0}
        assert broken(text, ("text", *SOUND), **facts) is None, key
        assert broken(text * 10, SOUND, **facts)[0] == "too_fast"
        assert broken(text, SOUND, **facts | sample_facts(samples * np.float32(0.001)))[0] == "silent"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("to_fast=3", "unknown rule 'to_fast'; did you mean too_fast"),
        ("quux=3", "unknown rule 'quux'; known: no_words, "),
        ("too_fast", "write it as too_fast=NUMBER or too_fast=off"),
        ("too_fast=quick", "write it as too_fast=NUMBER"),
        ("too_fast=nan", "write it as too_fast=NUMBER"),
        ("too_fast=inf", "write it as too_fast=NUMBER"),
    ],
)
def test_a_wrong_rule_is_named_with_the_nearest(change, message):
    with pytest.raises(UserError, match=message):
        choose_rules([change])


def test_the_last_of_several_changes_holds():
    chosen = {rule.name: rule.bound for rule in choose_rules(["too_fast=off", "silent=-50", "too_fast=12"])}
    assert chosen["too_fast"] == 12 and chosen["silent"] == -50 and len(chosen) == len(RULES)


def test_the_summary_has_a_line_for_a_rule_that_rejects_with_count_range_and_bound():
    rejected = [judge(Utterance("u", Path("a"), "对" * n), RULES, ("text",)) for n in (20, 14, 30)]
    lines = summary(choose_rules(["no_words=off"]), ("text",), Reasons((why.reason, why.value) for why in rejected))
    assert lines == ["  repeated_character: 3 rejected, 14 to 30; must be at most 12 times the same character in a row"]
    alone = Reasons([(rejected[0].reason, rejected[0].value)])
    assert summary(RULES, ("text",), alone)[0].startswith("  repeated_character: 1 rejected, 20; must be ")


@given(st.text(), st.floats(0, 1e5), st.floats(-1e5, 1e5), st.floats(-100, 0), st.floats(0, 1e5))
def test_any_text_and_sound_is_judged(text, seconds, overrun, level, speech):
    """A reject's value is on the wrong side of its bound; what is kept is within all bounds."""
    facts = {"seconds": seconds, "overrun": overrun, "level_dbov": level, "speech": speech}
    found = judge(Utterance("u", Path("a"), text), RULES, ("text", *SOUND), facts)
    allowed = {rule.name: rule.allows(rule.measure(text, facts)) for rule in RULES if rule.measure}
    assert not text or (found is None) == all(allowed.values())
    assert found is None or not allowed[found.reason]
    assert pickle.loads(pickle.dumps(found)) == found

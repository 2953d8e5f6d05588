"""kept + rejected = read, whatever stands in a manifest."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_sound import write_manifest

from data.corpora import Reject, Utterance
from data.errors import UserError
from data.plan import Plan
from data.plausibility import RULES, choose_rules
from data.reasons import Reasons
from data.selection import Request, planned, select


def chosen(plan: Plan) -> tuple[list[Utterance], list[Reject]]:
    """What a plan keeps and what it rejects, in order."""
    return [one for _, one in plan.utterances()], [why for _, why in plan.rejects()]


def choose(manifest: Path, *arguments, **more) -> tuple[list[Utterance], list[Reject]]:
    return chosen(select(Request(manifest, *arguments, **more), manifest.with_suffix(".sqlite")))


def line(number: int, text: str = "字", **more) -> dict:
    return {"key": f"u{number}", "source": f"{number}.wav", "target": text, **more}


def test_every_line_is_kept_or_rejected_with_its_reason(tmp_path):
    lines = [
        line(1),
        "{",
        line(2, "坏<ANNOTATION_ERROR>"),
        line(3, "<NOISE>"),
        line(1, "又"),
        line(4, "<SIL>好"),
    ]
    kept, rejected = choose(write_manifest(tmp_path / "m.jsonl", lines))
    assert [(u.key, u.text) for u in kept] == [("u1", "字"), ("u4", "好")]
    assert [(r.line, r.reason) for r in rejected] == [
        (2, "bad_json"),
        (3, "annotation_error"),
        (4, "empty_text"),
        (5, "duplicate_key"),
    ]
    assert "line 1" in rejected[3].detail


def test_without_the_filter_annotation_errors_are_kept(tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", [line(1, "坏<ANNOTATION_ERROR>")])
    assert choose(manifest, filter_annotation_error=False)[0][0].text == "坏"


def test_a_manifest_of_which_nothing_is_left_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"none of its 2 lines can be used; the first: .*is not JSON"):
        choose(write_manifest(tmp_path / "m.jsonl", ["{", line(1, "<SIL>")]))


def test_reasons_are_counted_most_frequent_first(tmp_path):
    lines = [line(0), "{", line(1, "坏<ANNOTATION_ERROR>"), line(2, "坏<ANNOTATION_ERROR>")]
    rejected = choose(write_manifest(tmp_path / "m.jsonl", lines))[1]
    assert str(Reasons((r.reason, r.value) for r in rejected)) == "rejected 3 (annotation_error: 2, bad_json: 1)"
    assert str(Reasons()) == "rejected 0"


def test_a_limit_counts_the_lines_it_went_over(tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", ["{", line(1), "{", line(2), "{", line(3)])
    kept, rejected = choose(manifest, limit=2)
    assert [u.key for u in kept] == ["u1", "u2"] and [r.line for r in rejected] == [1, 3]
    assert choose(manifest, limit=9) == choose(manifest)


def halves_of(manifest: Path, *arguments, **more) -> list[tuple[list[Utterance], list[Reject]]]:
    plan = select(Request(manifest, *arguments, **more, halved=True), manifest.with_suffix(".sqlite"))
    return [chosen(plan), chosen(plan.other_half())]


def test_halves_share_no_call_and_lose_no_line(tmp_path):
    lines = [line(n, "字" if n % 7 else "<SIL>", call=f"c{n % 40}") for n in range(400)] + ["{"]
    halves = halves_of(write_manifest(tmp_path / "m.jsonl", lines))
    calls = [{item.call for item in [*kept, *rejected]} for kept, rejected in halves]
    assert not calls[0] & calls[1]
    assert sum(len(kept) + len(rejected) for kept, rejected in halves) == 401
    assert all(len(side) > 8 for side in calls)


def test_the_half_of_a_call_does_not_depend_on_the_rest_of_the_manifest(tmp_path):
    lines = [line(n, call=f"c{n % 10}") for n in range(50)]
    whole = {u.key for u in halves_of(write_manifest(tmp_path / "a.jsonl", lines))[0][0]}
    part = {u.key for u in halves_of(write_manifest(tmp_path / "b.jsonl", lines[::-1][:30]))[0][0]}
    assert part == whole & {f"u{n}" for n in range(20, 50)}


def test_halves_share_no_speaker_either(tmp_path):
    """An agent speaks in many calls, each with another customer: all of them belong together."""
    lines = [line(n, call=f"c{n % 60}", speaker=f"agent{n % 60 % 12}" if n % 2 else f"customer{n % 60}") for n in range(400)]
    halves = halves_of(write_manifest(tmp_path / "m.jsonl", lines))
    for name in ("call", "speaker"):
        sides = [{getattr(one, name) for one in kept} for kept, _ in halves]
        assert not sides[0] & sides[1] and all(len(side) > 3 for side in sides)


def test_one_speaker_in_all_calls_is_told_and_only_calls_kept_apart(tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", [line(n, call=f"c{n % 10}", speaker="the agent") for n in range(50)])
    plan = select(Request(manifest, halved=True), tmp_path / "m.sqlite")
    assert "  speakers join all calls: some speak in both halves" in plan.facts()["summary"]
    calls = [{one.call for one in chosen(part)[0]} for part in (plan, plan.other_half())]
    assert all(calls) and not calls[0] & calls[1]


def test_a_plan_serves_again_until_the_manifest_or_the_request_changes(tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", [line(1), line(2)])
    path = tmp_path / "m.sqlite"
    planned(Request(manifest), path)
    stamp = path.stat().st_mtime_ns
    assert planned(Request(manifest), path).kept() == 2 and path.stat().st_mtime_ns == stamp
    assert planned(Request(manifest, limit=1), path).kept() == 1
    write_manifest(manifest, [line(1), line(2), line(3)])
    assert planned(Request(manifest), path).kept() == 3
    path.write_bytes(b"no plan at all")
    assert planned(Request(manifest), path).kept() == 3


def test_rules_of_the_text_hold_where_they_are_given(tmp_path):
    lines = [line(1, "好"), line(2, "。"), line(3, "你[好"), line(4, "对" * 20), line(5, "对" * 12)]
    manifest = write_manifest(tmp_path / "m.jsonl", lines)
    assert len(choose(manifest)[0]) == 5
    kept, rejected = choose(manifest, rules=RULES)
    assert [u.key for u in kept] == ["u1", "u5"]
    assert [(r.line, r.reason, r.value, r.bound) for r in rejected] == [
        (2, "no_words", 0, 1),
        (3, "leftover_markup", 1, 0),
        (4, "repeated_character", 20, 12),
    ]
    assert len(choose(manifest, rules=choose_rules(["repeated_character=25", "no_words=off"]))[0]) == 4


def test_a_long_text_on_very_many_lines_is_nobodys(tmp_path):
    """All of its copies go, whatever tags and blanks they differ by; short texts may be said by anybody."""
    texts = ["您好请问有什么可以帮您", "您好<SIL>请问有什么 可以帮您", "好的"]
    lines = [line(n, [*texts, f"第{n}句话都不一样的"][n % 4]) for n in range(40)]
    manifest = write_manifest(tmp_path / "m.jsonl", ["{", *lines, "{"])
    assert len(choose(manifest, rules=choose_rules(["copied_text=20"]))[0]) == 40
    kept, rejected = choose(manifest, rules=choose_rules(["copied_text=19"]))
    assert [u.key for u in kept] == [f"u{n}" for n in range(40) if n % 4 > 1]
    copied = [r for r in rejected if r.reason == "copied_text"]
    assert [r.line for r in rejected] == [1, *(n + 2 for n in range(40) if n % 4 < 2), 42]
    assert {(r.value, r.bound) for r in copied} == {(20, 19)}


def test_the_summary_counts_marks_and_rules(tmp_path):
    lines = [line(n, "坏<ANNOTATION_ERROR>" if n % 100 == 7 else "好") for n in range(1200)] + [line(5000, "对" * 15)]
    manifest = write_manifest(tmp_path / "m.jsonl", lines)
    summary = "\n".join(select(Request(manifest, rules=RULES), tmp_path / "a.sqlite").facts()["summary"])
    assert "m.jsonl (json_lines): 1201 lines, 1188 usable by their text, rejected 13 (annotation_error: 12, " in summary
    assert "12 of 1,201 marked as annotation errors" in summary
    assert "repeated_character: 1 rejected, 15; must be at most 12 times" in summary
    unfiltered = "\n".join(select(Request(manifest, False), tmp_path / "b.sqlite").facts()["summary"])
    assert "12 of 1,201 marked as annotation errors" in unfiltered and "rejected 0" in unfiltered


COPY = "同一句话说了很多很多遍"
TEXTS = st.one_of(
    st.text(),
    st.sampled_from(["好", "<SIL>", "坏<ANNOTATION_ERROR>", "[UNK]", "对" * 20, "a}", COPY, COPY]),
)
LINES = st.one_of(
    st.fixed_dictionaries({"source": st.just("a.wav"), "target": TEXTS, "key": st.sampled_from("abcdefgh")}),
    st.fixed_dictionaries({"source": st.just("a.wav"), "target": TEXTS, "start": st.integers(0, 9), "end": st.integers(0, 9)}),
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r")).map(lambda text: "x" + text),
)


@given(st.lists(LINES, min_size=1), st.booleans(), st.sampled_from([(), RULES, choose_rules(["copied_text=2"])]))
def test_every_line_is_accounted_for(lines, filters, rules):
    """Counted by hand: each line is once among the kept or the rejected, whatever it holds and what is filtered."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "m.jsonl"
        written = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=True) for row in lines]
        manifest.write_text("\n".join(written) + "\n", encoding="utf-8", newline="\n")
        try:
            kept, rejected = choose(manifest, filters, rules, format="json_lines")
        except UserError as error:
            assert f"none of its {len(lines)} lines can be used" in str(error)
            return
        halves = halves_of(manifest, filters, rules, format="json_lines")
    assert sorted(item.line for item in [*kept, *rejected]) == list(range(1, len(lines) + 1))
    assert max(Counter(u.key for u in kept).values()) == 1
    assert all(u.text.strip() for u in kept) and all(r.reason and r.detail for r in rejected)
    assert sum(map(len, (part for half in halves for part in half))) == len(lines)

"""kept + rejected = read, whatever stands in a manifest."""

from __future__ import annotations

import pytest
from made_sound import write_manifest

from data.errors import UserError
from data.selection import count_reasons, select


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
    selection = select(write_manifest(tmp_path / "m.jsonl", lines))
    assert [(u.key, u.text) for u in selection.kept] == [("u1", "字"), ("u4", "好")]
    assert [(r.line, r.reason) for r in selection.rejected] == [
        (2, "bad_json"),
        (3, "annotation_error"),
        (4, "empty_text"),
        (5, "duplicate_key"),
    ]
    assert selection.read == 6
    assert "line 1" in selection.rejected[3].detail


def test_without_the_filter_annotation_errors_are_kept(tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", [line(1, "坏<ANNOTATION_ERROR>")])
    assert select(manifest, filter_annotation_error=False).kept[0].text == "坏"


def test_a_manifest_of_which_nothing_is_left_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"none of its 2 lines can be used; the first: .*is not JSON"):
        select(write_manifest(tmp_path / "m.jsonl", ["{", line(1, "<SIL>")]))


def test_reasons_are_counted_most_frequent_first(tmp_path):
    lines = [line(0), "{", line(1, "坏<ANNOTATION_ERROR>"), line(2, "坏<ANNOTATION_ERROR>")]
    rejected = select(write_manifest(tmp_path / "m.jsonl", lines)).rejected
    assert count_reasons(rejected) == "rejected 3 (annotation_error: 2, bad_json: 1)"
    assert count_reasons([]) == "rejected 0"


def test_the_head_counts_the_lines_it_went_over(tmp_path):
    selection = select(write_manifest(tmp_path / "m.jsonl", ["{", line(1), "{", line(2), "{", line(3)]))
    head = selection.head(2)
    assert [u.key for u in head.kept] == ["u1", "u2"] and [r.line for r in head.rejected] == [1, 3]
    assert selection.head(None) is selection and selection.head(9) is selection


def test_halves_share_no_call_and_lose_no_line(tmp_path):
    lines = [line(n, "字" if n % 7 else "<SIL>", call=f"c{n % 40}") for n in range(400)] + ["{"]
    selection = select(write_manifest(tmp_path / "m.jsonl", lines))
    halves = [selection.half(0), selection.half(1)]
    calls = [{item.call for item in [*half.kept, *half.rejected]} for half in halves]
    assert not calls[0] & calls[1]
    assert sum(half.read for half in halves) == selection.read == 401
    assert all(len(side) > 8 for side in calls)


def test_the_half_of_a_call_does_not_depend_on_the_rest_of_the_manifest(tmp_path):
    lines = [line(n, call=f"c{n % 10}") for n in range(50)]
    whole = {u.key for u in select(write_manifest(tmp_path / "a.jsonl", lines)).half(0).kept}
    part = {u.key for u in select(write_manifest(tmp_path / "b.jsonl", lines[::-1][:30])).half(0).kept}
    assert part == whole & {f"u{n}" for n in range(20, 50)}

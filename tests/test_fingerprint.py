"""local/fingerprint.py: what two runs of a stage are compared by."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from local import fingerprint
from local.experiment import TOP

YAMLS = sorted((TOP / "conf").glob("*.yaml"))


def flat(tree: dict, prefix: str = "") -> dict[str, object]:
    """Dotted names of all leaves of a parsed YAML file."""
    leaves: dict[str, object] = {}
    for key, value in tree.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return leaves


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.name)
def test_our_yaml_files_are_read_as_a_full_parser_reads_them(path):
    expected = flat(yaml.safe_load(path.read_text(encoding="utf-8")))
    found = fingerprint.flatten_yaml(path)
    assert list(found) == list(expected)
    for name, value in expected.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            assert float(found[name]) == value
        else:
            assert yaml.safe_load(found[name]) == value


def test_large_numbers_are_told_apart():
    assert fingerprint.plain("12345678") != fingerprint.plain("12345679")


def test_comments_blank_lines_and_spellings_of_a_number_change_nothing(tmp_path):
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text("a:\n  lr: 1.0e-4\n  list: [a, b]\n", encoding="utf-8")
    other.write_text("# why\n\na:    # here\n    lr: 0.0001   # small\n    list: [a, b]\n", encoding="utf-8")
    assert fingerprint.flatten_yaml(one) == fingerprint.flatten_yaml(other)


def test_overrides_are_compared_by_value_not_by_place():
    table = fingerprint.overridden({"optim_conf.lr": "0.0001"}, ["++optim_conf.lr=1e-4", "++seed=2"])
    assert table == {"optim_conf.lr": "0.0001", "seed": "2"}


@given(st.integers(0, 200 * 2**20))
def test_the_blocks_of_a_file_lie_inside_it_and_hold_both_ends(size):
    blocks = fingerprint.blocks(size)
    assert blocks[0][0] == 0 and sum(blocks[-1]) == size
    assert all(offset >= 0 and offset + length <= size for offset, length in blocks)
    assert sum(length for _, length in blocks) <= fingerprint.WHOLE


def test_a_file_changes_its_digest_at_either_end_and_by_size(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "WHOLE", 4096)
    monkeypatch.setattr(fingerprint, "BLOCK", 128)
    path = tmp_path / "large"
    digests = set()
    content = bytearray(10_000)
    for position in (None, 0, 9_999):
        changed = bytearray(content)
        if position is not None:
            changed[position] = 1
        path.write_bytes(changed)
        digests.add(fingerprint.digest_file(path))
    path.write_bytes(content + b"\0")
    digests.add(fingerprint.digest_file(path))
    assert len(digests) == 4


def test_a_kaldi_folder_is_known_by_its_tables(tmp_path):
    (tmp_path / "wav.scp").write_text("a a.wav\n", encoding="utf-8")
    before = fingerprint.digest(tmp_path)
    (tmp_path / "notes").write_text("no matter", encoding="utf-8")
    assert fingerprint.digest(tmp_path) == before
    (tmp_path / "text").write_text("a 你好\n", encoding="utf-8")
    assert fingerprint.digest(tmp_path) != before


def test_differences_name_what_changed_came_and_went():
    phrases = fingerprint.differences(
        {"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "5", "d": ""}, skipped=["c"]
    )
    assert phrases == ["b was 2, is now 5", "d was not there, is now empty"]

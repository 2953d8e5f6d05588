"""What an output folder holds: found from either of its folders, and compared only where that means something."""

from __future__ import annotations

import pytest
from report_tree import make_tree

from data.errors import UserError
from data.manifest import write_rows
from local.tree import difference, load, read_lines


@pytest.mark.parametrize("change", [{"key": "other"}, {"ref": "我要退钱"}, {"ctc": None}])
def test_stages_that_heard_something_else_have_no_difference(tmp_path, change):
    root = make_tree(tmp_path / "out", ("baseline", "1"))
    path = root / "exp" / "8k_telephone" / "stage1_encoder" / "decode" / "calls_test.jsonl"
    first, *others = read_lines(path)
    write_rows(path, [{name: value for name, value in (first | change).items() if value is not None}, *others])
    stages = load(root).stages
    assert difference(stages["baseline"], stages["1"], "calls_test", "ctc") is None


def test_the_folder_of_the_stages_will_do_and_another_will_not(tmp_path):
    root = make_tree(tmp_path / "out", ("baseline",))
    assert load(root / "exp" / "8k_telephone").root == load(root).root == root.resolve()
    with pytest.raises(UserError, match=r"there yet; a first result comes from OUTPUT_ROOT=\S+ bash run_experiment.sh 0 3$"):
        load(tmp_path)
    (root / "seed2").mkdir()
    with pytest.raises(UserError, match="seed2: no stage has been trained"):
        load(root / "seed2")

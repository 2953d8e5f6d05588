"""The tests would notice: every mutant is caught by its named test, which passes on what was not mutated."""

from __future__ import annotations

import pytest
from mutants import MUTANTS, TOP, Mutant, apply, copy_tree, reason, run_tests


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_can_still_be_made(mutant: Mutant):
    """Quick, so that whoever changes the mutated line hears of it at once."""
    assert (TOP / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1


@pytest.mark.slow
def test_without_a_mutant_all_these_tests_pass(tmp_path):
    done = run_tests(copy_tree(tmp_path), *(mutant.test for mutant in MUTANTS))
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught_by_an_assertion(mutant: Mutant, tmp_path):
    top = copy_tree(tmp_path)
    apply(mutant, top)
    done = run_tests(top, mutant.test)
    assert reason(mutant, done.stdout), done.stdout[-3000:] + done.stderr[-1000:]

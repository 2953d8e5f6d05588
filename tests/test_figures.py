"""Rates as people read them."""

from __future__ import annotations

from local.figures import in_percent, points


def test_a_rate_of_nothing_is_not_zero():
    assert in_percent(None) == points(None) == "n/a"
    assert (in_percent(12.345), points(12.345), points(12.345, 1)) == ("12.35 %", "12.35", "12.3")

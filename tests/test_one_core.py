"""Memory that is freed stays with the process: seen by the page faults of what comes after."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[1]
FAULTS = """
import resource
import numpy as np
from data.one_core import keep_freed_memory
{first}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(12_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def faults(first: str) -> int:
    """Page faults while 96 MB are taken and freed four times, for the second time."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(first=first)], cwd=TOP, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_freed_memory_is_not_zeroed_again() -> None:
    assert faults("keep_freed_memory()") * 20 < faults("")

"""data/colour.py and local/colour.sh: colour on a terminal, plain bytes everywhere else, both alike."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[1]
CODE = """
from data.errors import UserError, run
def main():
    raise UserError("no")
raise SystemExit(run(main))
"""
PYTHON = [sys.executable, "-c", CODE]
SHELL = ["bash", "-c", "source local/colour.sh; complain no"]


def on_terminal(command: list[str], **variables: str) -> str:
    """What a command writes to a terminal that is its stderr."""
    ours, its = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"} | variables
    subprocess.run(command, cwd=TOP, env=environment, stderr=its, stdout=subprocess.DEVNULL, check=False)
    os.close(its)
    told = os.read(ours, 10_000).decode()
    os.close(ours)
    return told.replace("\r\n", "\n")


@pytest.mark.parametrize("command", [PYTHON, SHELL], ids=["python", "shell"])
def test_an_error_is_red_on_a_terminal_only(command: list[str]) -> None:
    assert on_terminal(command) == "\x1b[31merror:\x1b[0m no\n"
    assert on_terminal(command, NO_COLOR="1") == "error: no\n"
    assert on_terminal(command, NO_COLOR="") == "\x1b[31merror:\x1b[0m no\n"  # empty: as if it were not there
    assert on_terminal(command, TERM="dumb") == "error: no\n"
    piped = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert piped.stderr == "error: no\n"

"""What the user can mend is one line and an exit status."""

from __future__ import annotations

import errno

import pytest

from data.errors import UserError, run


def raising(error: BaseException):
    def main() -> int:
        raise error

    return main


@pytest.mark.parametrize(("error", "status", "line"), [
    (UserError("a.jsonl:3: is not JSON"), 1, "error: a.jsonl:3: is not JSON\n"),
    (KeyboardInterrupt(), 130, "error: interrupted; the same command goes on from here\n"),
    (OSError(errno.EACCES, "Permission denied", "/x"), 1, "error: Permission denied (/x)\n"),
])
def test_one_line_and_a_status(capsys, error, status, line):
    assert run(raising(error)) == status
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_the_fix(capsys, code):
    assert run(raising(OSError(code, "No space left on device", "/x/a.wav"))) == 1
    assert capsys.readouterr().err.startswith("error: disk full (/x/a.wav): free some space")


def test_a_mistake_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run(raising(ZeroDivisionError()))


def test_success_passes_through():
    assert run(lambda: 0) == 0

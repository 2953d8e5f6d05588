"""Errors meant for the person at the keyboard: one line, no traceback, exit status that says so."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from data.colour import paint


class UserError(Exception):
    """Something the user can put right. The message is one line: what, where, and what to do about it."""


def run(main: Callable[[], int]) -> int:
    """Call a command's `main`; what the user can mend becomes one line on stderr. Returns the exit status."""
    try:
        return main()
    except UserError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on from here")
        return 130
    except BrokenPipeError:  # `… | head`: the reader has gone, and Python would complain again while flushing
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        return _fail(describe(error))


def describe(error: OSError) -> str:
    """One line for an error of the operating system, with the fix where there is one."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"disk full{where}: free some space or choose another output folder, then start again"
    return f"{error.strerror or error}{where}"


def _fail(message: str) -> int:
    print(f"{paint('error:', 'red', sys.stderr)} {message}", file=sys.stderr)
    return 1

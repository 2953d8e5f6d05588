"""FunASR, imported first and quietly: its import prints advice about ffmpeg, which nothing here needs."""

from __future__ import annotations

import contextlib
import io
import time

_began = time.monotonic()
with contextlib.redirect_stdout(io.StringIO()):
    import funasr  # noqa: F401
SECONDS = time.monotonic() - _began  # that every process spends on it

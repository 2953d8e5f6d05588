"""A copy of the whole recipe, real programs and all, in a path with blanks, to be run on conf/micro.sh."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
PLACE = "Fun ASR/examples/industrial_data_pretraining/fun_asr_nano_8k_telephone"  # where a FunASR checkout would hold it


def copy_recipe(folder: Path) -> Path:
    """The recipe without anything that a run or a tool made, in a path with blanks."""
    top = folder / PLACE
    leave = shutil.ignore_patterns(".git", ".venv", "exp_output*", "__pycache__", ".pytest_cache", ".hypothesis", "local.sh")
    shutil.copytree(TOP, top, ignore=leave)
    return top


def environment(**variables: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"PYTHON": sys.executable, "DEVICE": "cpu", "OMP_NUM_THREADS": "1", "CONFIG": "conf/micro.sh"} | variables

"""Write the report of an experiment: `python -m local.report [FOLDER]`.

FOLDER is an output folder (exp_output where none is named) or the exp/8k_telephone in one, where report.html appears: one
page that needs nothing else. It tells of whatever is there; no model is loaded.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from data.errors import run
from local.experiment import shown_path
from local.report.page import write_page
from local.tree import load


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m local.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path("exp_output"), metavar="FOLDER")
    tree = load(parser.parse_args(argv).folder)
    write_page(tree)
    print(f"{shown_path(tree.page)}: the report, to open in a browser ({tree.page.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))

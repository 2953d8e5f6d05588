"""The folder of a model, fetched from the hub where it is not here: `fetch_model.py FOLDER|OWNER/NAME`.

ModelScope, because its copy of Fun-ASR-Nano-2512 carries the CTC branch; the one on Hugging Face has none.
The folder appears whole or not at all; an interrupted download goes on.
"""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from textwrap import shorten

if not __package__:  # `python local/fetch_model.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from data.errors import UserError, run
from local.experiment import Experiment, shown_path

REASON = 160  # characters of what the network said


def fetch(name: str, folder: Path) -> None:
    """Download `name` into `folder`, through a folder beside it."""
    from modelscope import snapshot_download  # slow to import: only where there is something to fetch

    partial = folder.with_name(f".{folder.name}.part")
    print(f"fetching {name} from ModelScope into {folder}", file=sys.stderr, flush=True)
    try:
        with redirect_stdout(sys.stderr):  # which carries the folder's name
            snapshot_download(name, local_dir=str(partial))
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None):  # of the disk; those of the hub and of the network have none
            raise
        reason = shorten(str(error) or type(error).__name__, REASON, placeholder=" …")
        raise UserError(f"{name} could not be fetched ({reason}): check name and network, or give the model's folder") from None
    for part in ("config.yaml", "model.pt"):
        if not (partial / part).is_file():
            raise UserError(f"{name} has no {part}: is it a Fun-ASR-Nano?")
    partial.rename(folder)


def folder_of(model: str) -> str:
    """A model's folder, as it is; of a name on the hub the folder among the experiment's, fetched where it is not there yet."""
    folder = Experiment(os.environ).root / "pretrained" / Path(model).name
    if Path(model).is_dir():
        return model
    if not folder.is_dir():
        fetch(model, folder)
    return shown_path(folder)


def main(argv: list[str] | None = None) -> int:
    """Print the folder of a model that is here then."""
    (model,) = sys.argv[1:] if argv is None else argv
    print(folder_of(model))
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))

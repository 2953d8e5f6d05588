"""Fetch a model folder from the hub, once: `fetch_model.py OWNER/NAME FOLDER`.

ModelScope, because its copy of Fun-ASR-Nano-2512 carries the CTC branch; the one on Hugging Face has none.
The folder appears whole or not at all; an interrupted download goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/fetch_model.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from data.errors import UserError, run


def fetch(name: str, folder: Path) -> None:
    """Download `name` into `folder`, through a folder beside it."""
    import requests
    from modelscope import snapshot_download  # slow to import: only where there is something to fetch

    partial = folder.with_name(f".{folder.name}.part")
    print(f"fetching {name} from ModelScope into {folder}", flush=True)
    try:
        snapshot_download(name, local_dir=str(partial))
    except (requests.exceptions.RequestException, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"MODEL={name} could not be fetched ({reason}): check name and network, or set MODEL to a folder"
        ) from None
    for part in ("config.yaml", "model.pt"):
        if not (partial / part).is_file():
            raise UserError(f"MODEL={name} has no {part}: is it a Fun-ASR-Nano?")
    partial.rename(folder)


def main(argv: list[str] | None = None) -> int:
    """Fetch what is not there yet."""
    name, folder = sys.argv[1:] if argv is None else argv
    if not Path(folder).is_dir():
        fetch(name, Path(folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))

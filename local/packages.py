"""Whether the running Python has the packages that the recipe was tested with. Imports none of them.

Prints the first package that is missing or out of range and exits 1. Standard library only.
"""

from __future__ import annotations

import re
from importlib import metadata

# Package: lowest version that passes and the first one that does not. Narrow where the recipe leans on how a
# package behaves inside (funasr, torch, transformers), up to the next major where only its interface counts.
TESTED = {
    "funasr": ("1.4.16", "1.4.17"),
    "torch": ("2.11.0", "2.12"),
    "torchaudio": ("2.11.0", "2.12"),
    "transformers": ("5.20.2", "5.24"),
    "tokenizers": ("0.23.3", "0.24"),
    "numpy": ("2.2.6", "3"),
    "scipy": ("1.15.3", "2"),
    "soundfile": ("0.14.0", "1"),
    "soxr": ("1.1.0", "2"),
    "av": ("17.1.0", "19"),
    "pebble": ("5.2.3", "6"),
    "threadpoolctl": ("3.8.0", "4"),
    "matplotlib": ("3.10.9", "4"),
    "PyYAML": ("6.0.3", "7"),
    "tqdm": ("4.70.1", "5"),
    "RapidFuzz": ("3.14.5", "4"),
    "OpenCC": ("1.4.2", "2"),
    "espeakng-loader": ("0.2.4", "0.3"),
    "modelscope": ("1.40.2", "2"),
    "tensorboardX": ("2.6.5", "3"),
    "pytest": ("9.2.0", "10"),
    "hypothesis": ("6.168.5", "7"),
}
OPTIONAL = {"av"}  # may be missing: data/call_codecs.py then switches off the codecs that it carries


def release(version: str) -> tuple[int, ...]:
    """`2.11.0+cu130` → (2, 11, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[+a-z]", version)[0]))


def build(version: str) -> str:
    """`2.11.0+cu130` → `cu130`; empty for the index's own build."""
    return version.partition("+")[2]


def misfit(versions: dict[str, str | None]) -> str | None:
    """What is wrong with the installed `versions`, in a few words; None when nothing is."""
    for name, (low, high) in TESTED.items():
        version = versions.get(name)
        if version is None and name in OPTIONAL:
            continue
        if version is None:
            return f"it has no {name}"
        if not release(low) <= release(version) < release(high):
            return f"its {name} is {version}, tested are {low} to below {high}"
    torch, audio = str(versions["torch"]), str(versions["torchaudio"])
    if build(torch) != build(audio):  # a torchaudio for CUDA fails to load beside a torch for the CPU
        return f"its torch {torch} and torchaudio {audio} are no pair"
    return None


def installed(name: str) -> str | None:
    """The version of an installed package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def main() -> int:
    """Exit 0 when everything fits."""
    problem = misfit({name: installed(name) for name in TESTED})
    if problem:
        print(problem)
    return int(problem is not None)


if __name__ == "__main__":
    raise SystemExit(main())

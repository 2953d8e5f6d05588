"""Which devices train: the GPUs in CUDA_VISIBLE_DEVICES, else the idle ones; the CPU only where it is meant.

The failure this prevents: a GPU that is there and cannot be used (an old driver under a new torch, a hidden
or a busy device) makes a week's training run on the CPU without a word.

    devices.py                  prints `cuda PROCESSES GPUS` or `cpu PROCESSES`, and on stderr why; asks nvidia-smi
    devices.py verify [LINE]    the same, after making sure that torch can use what was picked; says why where it is not LINE
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # `python local/devices.py`: the top folder, not local/, must be first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from data.errors import UserError, run

DEVICES = ("auto", "cuda", "cpu")
IDLE_MEMORY = 1024  # MiB: below it nobody computes, a display or the driver itself may hold a little
IDLE_LOAD = 10  # percent
SIGNS = ("/dev/nvidia0", "/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg")


@dataclass(frozen=True)
class Gpu:
    """One line of nvidia-smi: index and UUID as CUDA_VISIBLE_DEVICES takes them, memory in MiB, load in %."""

    index: str
    uuid: str
    memory: int
    load: int

    @property
    def idle(self) -> bool:
        return self.memory < IDLE_MEMORY and self.load < IDLE_LOAD

    def __str__(self) -> str:
        return f"GPU {self.index} ({self.memory} MiB in use, {self.load} % busy)"


@dataclass(frozen=True)
class Choice:
    """The device, one GPU a process, the number of processes and why."""

    device: str
    gpus: list[str]
    processes: int
    reason: str


def wishes(environ: Mapping[str, str]) -> tuple[str, int]:
    """DEVICE, and NPROC, which is 0 where nobody says. Raises UserError for what they cannot be."""
    device, processes = environ.get("DEVICE") or DEVICES[0], environ.get("NPROC", "")
    if device not in DEVICES:
        raise UserError(f"DEVICE={device} is unknown; known: {', '.join(DEVICES)}")
    if processes and not (processes.isdecimal() and int(processes)):
        raise UserError(f"NPROC={processes} must be a whole number of at least 1")
    return device, int(processes or 0)


def choose(environ: Mapping[str, str], present: bool, gpus: list[Gpu]) -> Choice:
    """Pick devices from the variables DEVICE, NPROC, CUDA_VISIBLE_DEVICES and what the machine has.

    Raises:
        UserError: a variable says what cannot be; a GPU is wanted and there is none to use, or one is there and is about to be
            passed over.
    """
    wanted, nproc = wishes(environ)
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    named = [part.strip() for part in (visible or "").split(",") if part.strip()]
    if wanted == "cpu":
        return Choice("cpu", [], nproc or 1, "DEVICE=cpu")
    if not present:
        if named or wanted == "cuda":
            asked = f"CUDA_VISIBLE_DEVICES={visible}" if named else "DEVICE=cuda"
            raise UserError(f"{asked}, but this machine has no NVIDIA device: DEVICE=cpu uses its CPU")
        return Choice("cpu", [], nproc or 1, "no NVIDIA device on this machine")
    if not gpus:
        raise UserError(
            "an NVIDIA device is here, but nvidia-smi lists none: mend the driver, or set DEVICE=cpu"
        )
    if visible is not None:
        return with_processes(*named_gpus(visible, named, gpus), nproc)
    return with_processes(*idle_gpus(gpus), nproc)


def named_gpus(visible: str, named: list[str], gpus: list[Gpu]) -> tuple[list[str], str]:
    """The GPUs that CUDA_VISIBLE_DEVICES names (by index or UUID), a busy one said."""
    if not named or named == ["-1"]:
        raise UserError(f"CUDA_VISIBLE_DEVICES={visible} hides all GPUs: name some, or say DEVICE=cpu")
    for name in named:
        found = [
            gpu for gpu in gpus if name == gpu.index or gpu.uuid.startswith(name) or name.startswith("MIG-")
        ]
        if not found:
            raise UserError(f"CUDA_VISIBLE_DEVICES={visible}: no GPU {name} here, there is {listed(gpus)}")
    busy = [gpu for gpu in gpus if gpu.index in named and not gpu.idle]
    warning = f"; others are using {listed(busy)}" if busy else ""
    return named, f"CUDA_VISIBLE_DEVICES={visible}{warning}"


def idle_gpus(gpus: list[Gpu]) -> tuple[list[str], str]:
    """All GPUs that nobody is using."""
    idle, busy = [gpu for gpu in gpus if gpu.idle], [gpu for gpu in gpus if not gpu.idle]
    if not idle:
        raise UserError(
            f"all GPUs are in use: {listed(busy)}; share one with CUDA_VISIBLE_DEVICES=…, or DEVICE=cpu"
        )
    left = f"; in use and left alone: {listed(busy)}" if busy else ""
    return [gpu.index for gpu in idle], f"idle{left}"


def with_processes(gpus: list[str], reason: str, nproc: int) -> Choice:
    """One process a GPU; NPROC takes the first of them."""
    if nproc > len(gpus):
        raise UserError(
            f"NPROC={nproc}, but there are {len(gpus)} GPUs to use ({','.join(gpus)}): one process a GPU"
        )
    used = gpus[: nproc or len(gpus)]
    return Choice("cuda", used, len(used), reason)


def listed(gpus: list[Gpu]) -> str:
    return ", ".join(map(str, gpus))


def query(fields: str) -> list[list[str]]:
    """Rows of `nvidia-smi --query-gpu`; none when it is not installed or fails."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return []
    return [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()]


def list_gpus() -> list[Gpu]:
    """All GPUs of the machine in PCI order."""
    rows = query("index,uuid,memory.used,utilization.gpu")
    return [Gpu(index, uuid, number(memory), number(load)) for index, uuid, memory, load in rows]


def number(cell: str) -> int:
    """A cell of nvidia-smi; what a device does not report (`[N/A]`) counts as 0."""
    return int(cell) if cell.isdigit() else 0


def is_present(gpus: list[Gpu]) -> bool:
    """Whether the machine shows any sign of an NVIDIA device, even one that the driver cannot reach."""
    return bool(gpus) or any(Path(sign).exists() for sign in SIGNS)


def verify(choice: Choice) -> None:
    """Make sure that torch reaches the GPUs picked; otherwise name driver and wheel."""
    if choice.device == "cpu":
        return
    os.environ |= {"CUDA_VISIBLE_DEVICES": ",".join(choice.gpus), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    import torch  # takes seconds: only here, when there is work for it

    if torch.cuda.device_count() < len(choice.gpus) or not torch.cuda.is_available():
        driver = next(iter(query("driver_version")), ["unknown"])[0]
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU only"
        raise UserError(
            f"torch {torch.__version__}, built for {built}, cannot use the GPU with driver {driver}: "
            "update the driver (CUDA 13 needs 580 or newer), install a torch and torchaudio 2.11.0 built for "
            "an older CUDA, or set DEVICE=cpu"
        )


def pick(environ: Mapping[str, str]) -> Choice:
    """What is chosen on this machine."""
    gpus = list_gpus()
    return choose(environ, is_present(gpus), gpus)


def main(argv: list[str] | None = None) -> int:
    """Print the choice; with `verify`, check it against torch."""
    arguments = sys.argv[1:] if argv is None else argv
    choice = pick(os.environ)
    if arguments[:1] == ["verify"]:
        verify(choice)
    line = f"{choice.device} {choice.processes} {','.join(choice.gpus)}"
    if line not in arguments:
        where = f"GPUs {','.join(choice.gpus)}" if choice.gpus else "CPU"
        processes = f"{choice.processes} process{'es' if choice.processes > 1 else ''}"
        print(f"devices     {where}, {processes} ({choice.reason})", file=sys.stderr)
    print(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))

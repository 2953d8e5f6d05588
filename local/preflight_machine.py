"""Does this machine have what the recipe was tested with: packages, driver, free GPUs, a FunASR that knows its model?"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

from local import devices, packages
from local.devices import Choice, Gpu
from local.findings import Finding, fact, fault, verdict, worth_knowing

MODEL_CLASS = "FunASRNano"
SHOWN = ("funasr", "torch", "torchaudio", "transformers")
CAUSES = 3  # import errors shown


def packages_fit() -> Iterator[Finding]:
    """Versions against the tested ranges."""
    versions = {name: packages.installed(name) for name in packages.TESTED}
    problem = packages.misfit(versions)
    fix = f"{problem}: pip install -r requirements.txt, or let run_experiment.sh make .venv"
    yield verdict(
        problem and fix, f"python {platform.python_version()}, " + ", ".join(f"{name} {versions[name]}" for name in SHOWN)
    )


def devices_fit(choice: Choice, gpus: list[Gpu]) -> Iterator[Finding]:
    """Whether torch reaches what was chosen, and who else is there. Raises UserError where it does not."""
    devices.verify(choice)
    if choice.device == "cpu":
        yield fact(f"CPU, {cpu_name()} ({choice.reason})")
        return
    driver = next(iter(devices.query("driver_version")), ["unknown"])[0]
    yield fact(f"GPUs {','.join(choice.gpus)}, driver {driver}")
    ours = [gpu for gpu in gpus if any(name == gpu.index or gpu.uuid.startswith(name) for name in choice.gpus)]
    for gpu in (gpu for gpu in ours if not gpu.idle):
        yield worth_knowing(f"{gpu} is shared with others: name idle ones in CUDA_VISIBLE_DEVICES, or wait")


def engine_knows_its_model() -> Iterator[Finding]:
    """FunASR hides why it does not register a class; here the hidden errors are shown."""
    import local.engine  # noqa: F401  takes ten seconds: only here

    # isort: split
    import funasr
    from funasr.register import tables

    if tables.model_classes.get(MODEL_CLASS) is not None:
        yield fact(f"{MODEL_CLASS} is registered")
        return
    errors = funasr.get_import_errors()
    related = [name for name in errors if "fun_asr_nano" in name] or list(errors)
    causes = "; ".join(f"{name}: {_first_line(errors[name])}" for name in related[:CAUSES]) or "FunASR names no error"
    yield fault(f"FunASR did not register {MODEL_CLASS} ({causes}): pip install -r requirements.txt")


def machine_name(choice: Choice) -> str:
    """`2 × NVIDIA H200` or `1 × Intel(R) Xeon(R), 16 cores`."""
    if choice.device == "cpu":
        return f"{choice.processes} × {cpu_name()}"
    import torch

    return f"{choice.processes} × {torch.cuda.get_device_name(0)}"


def cpu_name() -> str:
    """The processor's own name, and how many of its cores there are."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

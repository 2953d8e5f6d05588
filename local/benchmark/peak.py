"""What a device could compute at most, to hold against what is achieved."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

TERA = 1e12
# Dense bf16, TFLOP/s, from NVIDIA's data sheets. Matched against torch's name of the device, the first that fits.
BF16_DENSE = {
    "H100 PCIe": 756, "H100 NVL": 835, "H100": 989, "H200": 989, "GH200": 989, "A100": 312, "L40S": 362, "L40": 181, "L4": 121,
    "A10": 125, "RTX 4090": 165, "RTX 6000 Ada": 364,
}  # fmt: skip
SIDE = {"cuda": 8192, "cpu": 1024}  # of the matrices where the peak is measured
REPEATS = 5


@dataclass(frozen=True)
class Peak:
    """FLOP/s, and where the figure is from."""

    flops: float
    source: str

    def __str__(self) -> str:
        return f"{self.flops / TERA:.3g} TFLOP/s ({self.source})"


def peak_of(device: torch.device, precision: str) -> Peak:
    """By the table for bf16 on a GPU that stands there, else by the fastest of a few large matrix products."""
    if device.type == "cuda" and precision == "bf16":
        name = torch.cuda.get_device_name(device)
        for part, tera in BF16_DENSE.items():
            if part in name:
                return Peak(tera * TERA, f"{name}, dense bf16, data sheet")
    return _measured(device, torch.bfloat16 if precision == "bf16" else torch.float32)


def _measured(device: torch.device, dtype: torch.dtype) -> Peak:
    side = SIDE[device.type]
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(REPEATS):
        settle(device)
        began = time.perf_counter()
        torch.mm(left, right)
        settle(device)
        best = min(best, time.perf_counter() - began)
    name = str(dtype).removeprefix("torch.")
    return Peak(2 * side**3 / best, f"measured here: {name} matrices of {side} × {side}")


def settle(device: torch.device) -> None:
    """Wait until the device has done what it was given: before and after all that is timed."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

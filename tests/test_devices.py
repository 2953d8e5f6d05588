"""local/devices.py: a GPU that is there is used or named, and the CPU only where it is meant."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from data.errors import UserError
from local import devices
from local.devices import Choice, Gpu, choose

IDLE0, BUSY1, IDLE2 = Gpu("0", "GPU-aa", 4, 0), Gpu("1", "GPU-bb", 40_000, 97), Gpu("2", "GPU-cc", 0, 0)


def test_all_idle_gpus_and_the_busy_ones_named():
    choice = choose({}, True, [IDLE0, BUSY1, IDLE2])
    assert (choice.device, choice.gpus, choice.processes) == ("cuda", ["0", "2"], 2)
    assert "left alone: GPU 1 (40000 MiB in use, 97 % busy)" in choice.reason


def test_a_gpu_that_computes_without_much_memory_is_not_idle():
    assert choose({}, True, [Gpu("0", "GPU-aa", 4, 80), IDLE2]).gpus == ["2"]


def test_the_users_own_choice_wins_even_when_busy_and_says_so():
    choice = choose({"CUDA_VISIBLE_DEVICES": "1,2"}, True, [IDLE0, BUSY1, IDLE2])
    assert choice.gpus == ["1", "2"] and "others are using GPU 1" in choice.reason


def test_a_gpu_may_be_named_by_uuid():
    assert choose({"CUDA_VISIBLE_DEVICES": "GPU-cc"}, True, [IDLE0, IDLE2]).gpus == ["GPU-cc"]


def test_nproc_takes_the_first_gpus():
    assert choose({"NPROC": "1"}, True, [IDLE0, IDLE2]).gpus == ["0"]


@pytest.mark.parametrize(
    ("variables", "present", "gpus", "said"),
    [
        ({}, True, [], "nvidia-smi lists none"),
        ({}, True, [BUSY1], "all GPUs are in use: GPU 1"),
        ({"NPROC": "3"}, True, [IDLE0, IDLE2], "NPROC=3, but there are 2 GPUs"),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, True, [IDLE0, IDLE2], "no GPU 3 here"),
        ({"CUDA_VISIBLE_DEVICES": ""}, True, [IDLE0], "hides all GPUs"),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, True, [IDLE0], "hides all GPUs"),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, False, [], "no NVIDIA device: DEVICE=cpu"),
        ({"DEVICE": "CPU"}, True, [IDLE0], "DEVICE=CPU is unknown"),
        ({"NPROC": "two"}, True, [IDLE0], "NPROC=two must be a whole number"),
        ({"DEVICE": "cuda"}, False, [], "DEVICE=cuda, but this machine has no NVIDIA device"),
    ],
)
def test_the_cpu_is_never_taken_in_silence(variables, present, gpus, said):
    with pytest.raises(UserError) as caught:
        choose(variables, present, gpus)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("present", [False, True])
def test_the_cpu_where_it_is_meant(present):
    choice = choose({"DEVICE": "cpu", "NPROC": "2"}, present, [IDLE0] if present else [])
    assert (choice.device, choice.gpus, choice.processes) == ("cpu", [], 2)


def test_a_machine_without_nvidia_uses_its_cpu_and_says_why():
    choice = choose({}, False, [])
    assert (choice.device, choice.processes) == ("cpu", 1) and "no NVIDIA device" in choice.reason


def test_what_nvidia_smi_prints_is_understood(monkeypatch):
    printed = "0, GPU-aa, 7, 0\n1, GPU-bb, 139000, 100\n2, GPU-cc, 512, [N/A]\n"
    monkeypatch.setattr(devices.shutil, "which", lambda name: name)
    done = SimpleNamespace(returncode=0, stdout=printed)
    monkeypatch.setattr(devices.subprocess, "run", lambda *words, **options: done)
    assert [gpu.idle for gpu in devices.list_gpus()] == [True, False, True]


def test_a_torch_that_cannot_use_the_gpu_names_driver_and_wheel(monkeypatch):
    cuda = SimpleNamespace(device_count=lambda: 0, is_available=lambda: False)
    torch = SimpleNamespace(cuda=cuda, __version__="2.11.0+cu130", version=SimpleNamespace(cuda="13.0"))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(devices, "query", lambda fields: [["535.104"]])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "")
    with pytest.raises(UserError, match=r"torch 2.11.0\+cu130, built for CUDA 13.0.*driver 535.104"):
        devices.verify(Choice("cuda", ["0"], 1, "idle"))

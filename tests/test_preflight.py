"""local/preflight.py and what it asks of the machine; findings; the plan as a table."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from data.errors import UserError
from local import devices, packages, preflight, preflight_machine
from local.devices import Choice, Gpu
from local.experiment import TOP
from local.findings import fact, fault, passes, worth_knowing
from local.marks import Decision
from local.plan_table import Forecast, table

SKIPPED, NEW = Decision("skip", "finished"), Decision("run", "not run yet")


def marks_of(findings) -> str:
    return "".join(finding.mark for finding in findings)


# --- findings --------------------------------------------------------------------------------------------


def test_findings_are_lines_and_only_a_fault_fails(capsys):
    assert passes("disk", [fact("much"), worth_knowing("shared")])
    assert not passes("disk", [fault("full"), fact("much")])
    assert [line[:3].strip() for line in capsys.readouterr().out.splitlines()] == ["✓", "!", "✗", "✓"]


def test_what_a_check_cannot_look_at_is_a_fault(capsys):
    def broken():
        yield fact("before")
        raise UserError("model.pt: torn; copy it again")

    assert not passes("model", broken())
    assert "✗ model     model.pt: torn; copy it again" in capsys.readouterr().out


# --- the machine -----------------------------------------------------------------------------------------


def test_a_version_out_of_range_fails(monkeypatch):
    versions = {name: low for name, (low, _) in packages.TESTED.items()}
    monkeypatch.setattr(packages, "installed", versions.get)
    (finding,) = preflight_machine.packages_fit()
    assert finding.mark == "✓" and f"transformers {versions['transformers']}" in finding.words
    versions["transformers"] = "4.1.0"
    (finding,) = preflight_machine.packages_fit()
    assert finding.mark == "✗" and "its transformers is 4.1.0" in finding.words and "requirements.txt" in finding.words


def test_a_gpu_that_others_use_is_worth_knowing(monkeypatch):
    gpus = [Gpu("0", "GPU-aa", 4, 0), Gpu("1", "GPU-bb", 40_000, 97), Gpu("2", "GPU-cc", 50_000, 3)]
    monkeypatch.setattr(devices, "verify", lambda choice: None)
    monkeypatch.setattr(devices, "query", lambda fields: [["580.65"]] * 3)
    found = list(preflight_machine.devices_fit(Choice("cuda", ["0", "1"], 2, "named"), gpus))
    assert marks_of(found) == "✓!" and "driver 580.65" in found[0].words and "GPU 1 (40000 MiB" in found[1].words
    assert marks_of(preflight_machine.devices_fit(Choice("cuda", ["0"], 1, "idle"), gpus)) == "✓"


def test_a_torch_that_cannot_reach_the_gpu_fails(monkeypatch, capsys):
    def refuse(choice):
        raise UserError("torch cannot use the GPU with driver 535")

    monkeypatch.setattr(devices, "verify", refuse)
    assert not passes("devices", preflight_machine.devices_fit(Choice("cuda", ["0"], 1, "idle"), []))
    assert "✗ devices   torch cannot use the GPU with driver 535" in capsys.readouterr().out


def test_a_class_that_is_not_registered_fails_with_the_hidden_error(monkeypatch):
    errors = {"funasr.models.x": "ImportError: no x", "funasr.models.fun_asr_nano.model": "OSError: libc10_cuda.so\nmore"}
    registry = SimpleNamespace(tables=SimpleNamespace(model_classes={}))
    monkeypatch.setitem(sys.modules, "local.engine", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "funasr", SimpleNamespace(get_import_errors=lambda: errors, register=registry))
    monkeypatch.setitem(sys.modules, "funasr.register", registry)
    (finding,) = preflight_machine.engine_knows_its_model()
    assert finding.mark == "✗" and "did not register FunASRNano" in finding.words
    assert "OSError: libc10_cuda.so)" in finding.words and "no x" not in finding.words
    registry.tables.model_classes["FunASRNano"] = object
    assert marks_of(preflight_machine.engine_knows_its_model()) == "✓"


# --- the commands ----------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """Commands of preflight.py on stages that are decided here; what is looked at is noted and found sound, or not."""
    looked = []

    def main(words: str, decisions: dict[str, Decision], sound: bool = True) -> int:
        monkeypatch.setattr(preflight.stages, "outlook", lambda experiment, first, last: decisions)
        monkeypatch.setattr(preflight.request, "announce", lambda experiment, first, last: None)
        monkeypatch.setattr(preflight, "look", lambda experiment, ahead, costly: looked.append((ahead, costly)) or sound)
        return preflight.main(words.split())

    return main, looked


def test_only_stages_with_work_are_looked_at(asked):
    main, looked = asked
    assert main("check 0 2", {"0": SKIPPED, "baseline": SKIPPED, "1": SKIPPED, "2": NEW}) == 0
    assert main("check 0 2", {"0": SKIPPED, "baseline": SKIPPED, "1": SKIPPED, "2": SKIPPED}) == 0
    assert looked == [(["2"], False)]


def test_the_plan_says_why_and_looks_closer(asked, capsys):
    main, looked = asked
    assert main("plan 0 1", {"0": SKIPPED, "baseline": NEW, "1": NEW}) == 0
    assert looked == [(["baseline", "1"], True)]
    told = capsys.readouterr().out.splitlines()
    assert told[:-1] == ["stage 0     finished", "baseline    not run yet", "stage 1     not run yet"]
    assert told[-1].startswith("next: ") and told[-1].endswith("bash run_experiment.sh 0 1")


@pytest.mark.parametrize("command", ["check", "plan"])
def test_a_fault_is_the_exit_status(asked, command, capsys):
    assert asked[0](f"{command} 1 1", {"1": NEW}, sound=False) == 1
    assert command == "check" or capsys.readouterr().out.endswith("bash run_experiment.sh --dry-run 1 1\n")


def test_the_first_checks_import_nothing_heavy():
    listed = "import sys, local.preflight; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", listed], cwd=TOP, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "yaml", "funasr"} & set(done.stdout.split())


def test_nothing_is_imported_where_packages_do_not_fit(monkeypatch, capsys):
    monkeypatch.setattr(packages, "installed", lambda name: None)
    monkeypatch.setitem(sys.modules, "local.preflight_stages", None)  # an import of it would raise
    monkeypatch.setenv("DEVICE", "cpu")
    assert not preflight.look(None, ["1"], costly=True)
    assert "it has no funasr" in capsys.readouterr().out


# --- the plan's table ------------------------------------------------------------------------------------


def test_the_table_sums_what_is_known_and_leaves_the_rest_open():
    lines = list(
        table(
            [
                Forecast("stage 0"),
                Forecast("stage 1", 1000.0, 10, 48_000, {"audio_encoder": 221_100_000}, 31.2, 8.0, 7200.0),
                Forecast("stage 3", 50.0, 20, 9_000, {"lora": 4_587_520}, 12.0, 3.5, 600.4),
            ]
        )
    )
    cells = [line.split("  ") for line in lines]
    assert {len(line) for line in lines} == {len(lines[0])} and len(cells) == 5
    assert lines[0].split()[0] == "stage" and "audio_encoder 221,100,000" in lines[2] and lines[2].endswith("2:00:00")
    assert lines[1].split() == ["stage", "0", *"–––––––"]
    assert lines[-1].split() == ["together", "–", "–", "–", "–", "–", "11.50", "2:10:00"]

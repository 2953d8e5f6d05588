"""A copy of the recipe in a folder with blanks; its heavy programs are stand-ins that note their arguments.

What is tried on it is run_experiment.sh with its local/*.sh and local/*.py: which program runs when and how.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]

STAND_IN = """
import os, pathlib, sys
program = pathlib.Path(sys.argv[0])
name = program.parent.name if program.stem == "__main__" else program.stem
words = sys.argv[1:]
def after(option): return pathlib.Path(words[words.index(option) + 1])
def made(path, text="{}\\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
with open("programs.log", "a") as log:
    print(name, *words, file=log)
if "validate" in words:
    print(os.environ.get("SAY", ""))
if os.environ.get("FAIL") and os.environ["FAIL"] in " ".join([name, *words]):
    sys.exit(1 if os.environ.get("SAY") else "stand-in fails as asked")
if os.environ.get("DEAF") == name:    # as while FunASR is imported: a signal ends it
    import time
    print("waiting", file=open("programs.log", "a"))
    time.sleep(60)
if os.environ.get("WAIT") == name:    # until somebody asks it to stop, and a moment to save
    import signal, time
    def save(*_):
        time.sleep(0.3)
        print("saved", file=open("programs.log", "a"))
        sys.exit(75)
    signal.signal(signal.SIGTERM, save)
    print("waiting", file=open("programs.log", "a"))
    time.sleep(60)
if os.environ.get("STOP") and os.environ["STOP"] in " ".join([name, *words]):
    sys.exit(75)
if name == "corpus":
    for corpus in ("general", "calls"):
        for split in ("train", "dev", "test"):
            made(after("--output_dir") / corpus / (split + ".jsonl"))
    made(after("--output_dir") / "keywords.txt")
elif name == "data_simulation":
    made(after("--output_dir") / (str(after("--split")) + ".jsonl"))
elif name == "prepare_training_data" and words[0] == "convert":
    made(after("--output"))
    if "--split_test" in words:
        made(after("--split_test"))
elif name == "train":
    made(after("--output_dir") / "model.pt", " ".join(words))
elif name == "evaluate" and "--output_dir" in words:
    made(after("--output_dir") / "results.json")
elif name == "table":
    print("the table")
elif name == "report":
    made(pathlib.Path(words[0]) / "exp/8k_telephone/report.html", "the page")
"""
PROGRAMS = (
    "data/data_simulation.py",
    "data/prepare_training_data.py",
    "local/mini/corpus.py",
    "local/preflight.py",
    "local/train.py",
    "local/evaluate.py",
    "local/export.py",
    "local/report/__main__.py",
    "local/table.py",
)


class Tree:
    """The copy, with `run` for its driver."""

    def __init__(self, folder: Path) -> None:
        self.top = folder / "a recipe with blanks"
        for room in ("conf", "data", "local", "local/mini", "local/report"):
            (self.top / room).mkdir(parents=True)
            for path in (TOP / room).glob("*.*"):
                if path.is_file() and path.name != "local.sh":
                    shutil.copy(path, self.top / room)
        shutil.copy(TOP / "run_experiment.sh", self.top)
        shutil.copy(TOP / "requirements.txt", self.top)
        (self.top / "local/report/__init__.py").touch()
        for program in PROGRAMS:
            (self.top / program).write_text(STAND_IN, encoding="utf-8")
        (self.top / "local/packages.py").write_text("", encoding="utf-8")  # any environment will do
        model = self.top / "local/mini/model"
        model.mkdir()
        (model / "config.yaml").write_text("model: stand-in\n", encoding="utf-8")
        (model / "model.pt").write_text("stand-in", encoding="utf-8")
        self.output = self.top / "exp_output"
        self.stages = self.output / "exp/8k_telephone"

    def run(
        self, words: str = "", cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """`bash run_experiment.sh WORDS` with these variables, on conf/micro.sh unless another is named."""
        return subprocess.run(
            ["bash", str(self.top / "run_experiment.sh"), *words.split()],
            cwd=cwd or self.top,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def environment(self, **variables: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        chosen = {} if (self.output / "experiment.json").exists() else {"CONFIG": "micro"}
        variables = {"PYTHON": sys.executable, "DEVICE": "cpu", **chosen, **variables}
        return kept | {name: value for name, value in variables.items() if value is not None}

    def start(self, words: str, **variables: str) -> subprocess.Popen[str]:
        """The same, running, in a process group of its own."""
        return subprocess.Popen(
            ["bash", str(self.top / "run_experiment.sh"), *words.split()],
            cwd=self.top, env=self.environment(**variables), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            text=True, start_new_session=True,
        )  # fmt: skip

    def programs(self) -> list[str]:
        """The programs started since the last call, in order, each with its arguments on one line."""
        log = self.top / "programs.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


def names(programs: list[str]) -> list[str]:
    """The programs without their arguments."""
    return [line.split()[0] for line in programs]


def one_error(done: subprocess.CompletedProcess[str]) -> str:
    """The single error line of a run that stopped."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def until(tree: Tree, word: str) -> None:
    """Wait for a word in what the programs have noted."""
    log = tree.top / "programs.log"
    deadline = time.monotonic() + 60
    while not (log.exists() and word in log.read_text(encoding="utf-8")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def work_of(done: Callable[[], object]) -> float:
    """Seconds of processor time that `done` takes in its processes: a busy machine does not lengthen it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

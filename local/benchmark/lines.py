"""What `benchmark lines` times: manifests of each form, read, judged by their text and planned. No sound is opened."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from data.plausibility import choose_rules
from data.selection import Request, select
from local.benchmark.tables import Columns, Record

COLUMNS: Columns = {
    "lines a CPU-second": ("lines_a_cpu_second", "{:,.0f}".format),
    "lines a second": ("lines_a_second", "{:,.0f}".format),
    "bytes of plan a line": ("plan_bytes_a_line", "{:,.0f}".format),
}
TEXT = "今天下午三点我们在老地方见面吧"


def measure(folder: Path, lines: int, rounds: int) -> list[Record]:
    """The best round of every form, forms in turn. One process; the rules of a training set hold."""
    corpora = {name: write(folder / name, lines) for name, write in FORMS.items()}
    best: dict[str, tuple[float, float]] = {}
    for _ in range(rounds):
        for name, corpus in corpora.items():
            best[name] = min(_plan(corpus, folder / f"{name}.sqlite"), best.get(name, (float("inf"),) * 2))
    return [
        {"table": "manifest to plan", "name": name, "lines_a_cpu_second": lines / cpu, "lines_a_second": lines / clock,
         "plan_bytes_a_line": (folder / f"{name}.sqlite").stat().st_size / lines}
        for name, (cpu, clock) in best.items()
    ]  # fmt: skip


def _plan(corpus: Path, plan: Path) -> tuple[float, float]:
    """Seconds of CPU, and by the clock."""
    plan.unlink(missing_ok=True)
    began = time.process_time(), time.perf_counter()
    select(Request(corpus, rules=choose_rules()), plan)
    return time.process_time() - began[0], time.perf_counter() - began[1]


def _utterances(lines: int) -> Iterator[tuple[str, str, str, float]]:
    """Key, call, text and start of each line; twenty to a call."""
    for number in range(lines):
        yield f"utt{number:07d}", f"call{number // 20:06d}", f"{TEXT}{number}", 3.0 * (number % 20)


def _json_lines(folder: Path, lines: int) -> Path:
    rows = ({"key": key, "source": f"{call}.wav", "target": text, "start": start, "end": start + 2.5, "call": call}
            for key, call, text, start in _utterances(lines))  # fmt: skip
    return _written(folder / "m.jsonl", (json.dumps(row, ensure_ascii=False) for row in rows))


def _kaldi(folder: Path, lines: int) -> Path:
    calls = dict.fromkeys(call for _, call, *_ in _utterances(lines))
    _written(folder / "wav.scp", (f"{call} {call}.wav" for call in calls))
    _written(folder / "text", (f"{key} {text}" for key, _, text, _ in _utterances(lines)))
    _written(folder / "segments", (f"{key} {call} {start} {start + 2.5}" for key, call, _, start in _utterances(lines)))
    return folder


def _wenetspeech(folder: Path, lines: int) -> Path:
    audios: dict[str, list[dict]] = {}
    for key, call, text, start in _utterances(lines):
        place = {"sid": key, "begin_time": start, "end_time": start + 2.5, "text": text, "confidence": 1.0, "subsets": ["L"]}
        audios.setdefault(call, []).append(place)
    content = [{"aid": call, "path": f"{call}.opus", "duration": 60.0, "segments": places} for call, places in audios.items()]
    return _written(folder / "WenetSpeech.json", [json.dumps({"audios": content}, ensure_ascii=False)])


def _calls(folder: Path, lines: int) -> Path:
    turns: dict[str, list[str]] = {}
    for _, call, text, start in _utterances(lines):
        turns.setdefault(call, []).append(f"{start:.2f} {start + 2.5:.2f} A: {text}")
    for call, said in turns.items():
        _written(folder / f"{call}.txt", said)
        (folder / f"{call}.wav").touch()  # it is there, and nobody opens it
    return folder


def _written(path: Path, lines: Iterator[str] | list[str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


FORMS: dict[str, Callable[[Path, int], Path]] = {
    "JSON lines": _json_lines, "Kaldi, with segments": _kaldi, "WenetSpeech.json": _wenetspeech, "folder of calls": _calls,
}  # fmt: skip

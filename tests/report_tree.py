"""A made-up experiment as its output folder would hold it: real sounds and rows of stage 0, everything else invented."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from made_sound import write_voice

from data.manifest import row, write_rows
from data.validation import validate
from local.experiment import STAGE_FOLDERS

HOSTILE = "<script>alert(1)</script>\"'&<img src=//example.org/x>"
TEXTS = ["我要退款", "转人工客服", f"查{HOSTILE}账单", "退款到账了吗", "好的"]
WRONG = ["我要推款", "转人工", f"查{HOSTILE}账", "腿款到账了了吗", "好的"]  # 1 sub; 2 del; 1 del; 1 sub and 1 ins; none
KEYWORDS = {"退款": 2, "人工": 1, f"账单{HOSTILE}": 1, "套餐": 0}
STAMPS = {"begun": "2026-01-01 10:00:00", "time": "2026-01-01 11:02:03"}


def make_tree(root: Path, stages: tuple[str, ...] = ("baseline", "1", "2", "3"), old: bool = False) -> Path:
    """An output folder in the results' form of today, or in the older one without intervals, buckets and times."""
    (root / "exp" / "8k_telephone").mkdir(parents=True)
    save(root / "experiment.json", {"config": f"conf/{HOSTILE}.sh", "given": {"SEED": "2"}})
    make_data(root / "data", old)
    for number, stage in enumerate(stages):
        make_stage(root / "exp" / "8k_telephone" / STAGE_FOLDERS[stage], stage, 40.0 - 10 * number, root, old)
    return root


def make_data(folder: Path, old: bool) -> None:
    """Five calls at 8 kHz brought to 16 kHz, two simulated utterances with what they were made from; their report."""
    calls, simulated = folder / "real_8k_telephone", folder / "simulated_8k_telephone"
    rows = []
    for number, text in enumerate(TEXTS):
        original = write_voice(folder / "calls" / f"{number}.wav", 1.5, 8000, seed=number)
        sound = write_voice(calls / f"{number}.wav", 1.5, 16000, seed=number)
        names = {"speaker": f"s{number % 2}", "call": f"c{number // 2}"}
        rows.append(row(f"call{number}", sound, text, 24000, **names) | {"source": str(original)})
    write_rows(calls / "test.jsonl", rows)
    write_rows(calls / "rejected" / "test.jsonl", [{"reason": HOSTILE, "detail": HOSTILE}])
    drawn = {"profile": HOSTILE, "legs": ["mu-law"], "level_dbov": -20.0, "snr_db": 10.0, "loss_rate": 0.01, "lost": 1}
    made = []
    for number in range(2):
        clean, sound = (write_voice(simulated / name / f"{number}.wav", 1.2, 16000, seed=number) for name in ("clean", "made"))
        made.append(row(f"sim{number}", sound, TEXTS[number], 19200) | {"source": str(clean), "channel": drawn})
    write_rows(simulated / "test.jsonl", made)
    validate([calls / "test.jsonl", simulated / "test.jsonl"], summary=folder / "report.json")
    save(folder / ".stage.json", mark({"SEED": "2"}, old))


def make_stage(folder: Path, stage: str, cer: float, root: Path, old: bool) -> None:
    """A scored stage; one with a number was trained too."""
    lines = [
        {"key": f"call{n}", "ref": ref, "llm": hyp, "ctc": hyp, "call": f"c{n // 2}", "speaker": HOSTILE, "llm_errors": ""}
        | ({} if old else {"audio": str(root / "data" / "real_8k_telephone" / f"{n}.wav"), "seconds": 1.5})
        for n, (ref, hyp) in enumerate(zip(TEXTS, TEXTS[::-1] if stage == "baseline" else WRONG, strict=True))
    ]
    write_rows(folder / "decode" / "calls_test.jsonl", lines)
    save(folder / ".stage.json", mark({"MODEL": HOSTILE}, old))
    results = make_results(cer, old)
    if stage != "baseline":
        results |= {"gate": {"loss": "total", "loss_drop": 0.3, "cer": 25.0, "kwer": 5.0}, "chosen": "epoch 2",
                    "loss_before": {"total": 2.0}, "loss": {"total": 1.0}}  # fmt: skip
        make_training(folder, old)
    save(folder / "results.json", results)


def make_results(cer: float, old: bool) -> dict[str, Any]:
    """All sets; the guard gets the worse, the better the calls get."""
    calls = {"llm": score(cer, True, old), "ctc": score(cer + 1, True, old), "other_audio": score(99.0, True, old)}
    sets: dict[str, Any] = {"calls_dev": {"llm": score(cer, True, old), "ctc": score(cer, True, old)}, "calls_test": calls,
                            "telephone_test": {"llm": score(cer, False, old), "ctc": score(cer, False, old)},
                            "guard": {"llm": score(90 - cer, False, old), "ctc": score(5.0, False, old)}}  # fmt: skip
    results = {"checkpoint": "released", "normaliser": "n/1", "sets": sets, "blind_kwer": 90.0}
    if old:
        return results
    parts = [{"name": name, "utterances": 5, "ref": 20, "llm": cer, "ctc": None} for name in ("below 2 s", "2-4 s", HOSTILE)]
    calls |= {"hotwords": score(cer - 1, True, old), "distractors": score(cer + 2, True, old)}
    calls["buckets"] = {"duration": parts, "speaker": parts * 5}
    alarms = {"alarms": 3, "characters": 9, "per_hour": 12.5}
    calls["listening"] = sets["calls_dev"]["listening"] = {"difference": 9.0, "interval": [-0.5, 18.0], "calls": 4}
    results["known_speakers"] = {HOSTILE: ["a", "b"]}
    return results | {"silence": {"hours": 0.24, "utterances": 60, "llm": alarms, "ctc": alarms}}


def score(cer: float, keywords: bool, old: bool) -> dict[str, Any]:
    """One SCORE; its figures hang together no further than a page can see."""
    found = {"cer": cer, "sub": 3, "del": 2, "ins": 1, "ref": 20, "utterances": 5, "empty": 1, "cut": {"length": 1, "loop": 0}}
    words = {"kwer": 25.0, "hits": 3, "total": 4, "false_alarms": 1, "precision": 75.0, "f1": 75.0}
    rows = [words | {"keyword": word, "total": count, "hits": min(count, 1)} for word, count in KEYWORDS.items()]
    if not old:
        found |= {"interval": [cer - 2.5, cer + 2.5], "empty_rate": 20.0, "repeated": 0, "repeated_rate": 0.0}
        part = {"sub": 1, "del": 1, "ins": 0, "ref": 8, "cer": 25.0}
        words |= {"interval": None, "least": 52.7, "inside": part, "outside": part | {"cer": None}}
        rows = [one | {"class": "money"} for one in rows]
    return found | ({"keywords": words | {"rows": rows}} if keywords else {})


def make_training(folder: Path, old: bool) -> None:
    """Metrics with a skipped update and a torn last line, as a running training leaves them; settings and summary."""
    clock = {} if old else {"seconds": 600.0}
    lines = [{"kind": "dev", "epoch": 0, "update": 0, "total": 2.0, "cer_llm": 40.0, "cer_ctc": 41.0} | clock]
    for update in range(20, 820, 20):
        lines.append({"kind": "train", "epoch": 1, "update": update, "total": 100 / update, "lr": 1e-3 / update,
                      "memory_gb": 11.5, "audio_hours_per_hour": 99.0} | clock)  # fmt: skip
    lines.append({"kind": "train", "epoch": 1, "update": 820, "total": float("nan"), "lr": 1e-6} | clock)
    lines.append({"kind": "dev", "epoch": 1, "update": 820, "total": 1.0, "cer_llm": 20.0, "cer_ctc": 21.0} | clock)
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "tr'
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    (folder / "config.yaml").write_text(f"stage:\n  name: {HOSTILE}\n", encoding="utf-8")
    spent = {} if old else {"spent": {"seconds": 7200.0, "processes": 2, "device": "GPU <b>9</b>"}, "versions": {"torch": "9.9"}}
    save(folder / "summary.json", {"chosen": "epoch 2", "before": {}, "after": {}, "gate": {}, "groups": {}} | spent)


def mark(work: dict[str, str], old: bool) -> dict[str, Any]:
    stamps = {name: stamp for name, stamp in STAMPS.items() if not (old and name == "begun")}
    return {"state": "finished", **stamps, "work": work, "scores": {"KEYWORDS": "9 bytes, sha256 abc"}, "sources": {}}


def save(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

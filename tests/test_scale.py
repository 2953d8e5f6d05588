"""Two hundred thousand lines, one in a hundred of every fault: all accounted for, in little memory."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_sound import write_voice

TOP = Path(__file__).resolve().parents[1]
LINES, SHARE, MEGABYTES = 200_000, 0.01, 300

# What a line becomes by each fault; the name is the reason that it must be rejected for.
FAULTS = {
    "bad_json": lambda line: json.dumps(line, ensure_ascii=False)[:-9],
    "no_text": lambda line: {name: value for name, value in line.items() if name != "target"},
    "no_audio": lambda line: {name: value for name, value in line.items() if name != "source"},
    "bad_field": lambda line: line | {"speaker": ["a list"]},
    "bad_encoding": lambda line: json.dumps(line, ensure_ascii=False).encode()[:-3] + b"\xff\xfe\"}",
    "bad_times": lambda line: line | {"start": 0.4, "end": "0.2"},
    "remote_audio": lambda line: line | {"source": "https://example.com/a.wav"},
    "annotation_error": lambda line: line | {"target": line["target"] + "<ANNOTATION_ERROR>"},
    "marked_unintelligible": lambda line: line | {"target": "听不清[*]"},
    "unknown_tag": lambda line: line | {"target": "<WHATEVER>好"},
    "empty_text": lambda line: line | {"target": "<NOISE>"},
    "duplicate_key": lambda line: line | {"key": "first"},
    "no_words": lambda line: line | {"target": "……"},
    "leftover_markup": lambda line: line | {"target": "好|的"},
    "repeated_character": lambda line: line | {"target": "对" * 13},
    "copied_text": lambda line: line | {"target": "这是一句到处都粘贴的话"},
    "missing_audio": lambda line: line | {"source": "nowhere.wav"},
    "unreadable_audio": lambda line: line | {"source": "text.wav"},
    "no_channel": lambda line: line | {"channel": 3},
    "outside_file": lambda line: line | {"start": 0.2, "end": 2.0},
    "too_short": lambda line: line | {"start": 0.1, "end": 0.15},
    "silent": lambda line: line | {"source": "silent.wav"},
    "too_fast": lambda line: line | {"target": f"一二三四五六七八九十{line['key']}"},
}


def write_corpus(folder: Path) -> Path:
    """Short recordings, and lines that point to them; each says in `mark` what is wrong with it."""
    for number in range(10):
        write_voice(folder / f"{number}.wav", 0.5, seed=number)
    soundfile.write(folder / "silent.wav", np.zeros(8000, np.int16), 16000)
    (folder / "text.wav").write_text("no sound at all")
    rng, names = random.Random(3), list(FAULTS)
    manifest = folder / "m.jsonl"
    with manifest.open("wb") as out:
        for number in range(LINES):
            line = {"key": f"u{number}" if number else "first", "source": f"{number % 10}.wav", "target": "一句话"}
            place = rng.random() / SHARE
            if number and place < len(names):
                made = FAULTS[names[int(place)]]({"mark": names[int(place)]} | line)
                out.write(made if isinstance(made, bytes) else (made if isinstance(made, str) else dumped(made)).encode())
            else:
                out.write(dumped(line).encode())
            out.write(b"\n")
    return manifest


def dumped(line: dict) -> str:
    return json.dumps(line, ensure_ascii=False)


def counted(manifest: Path, pattern: str) -> int:
    """By grep, which knows nothing of the recipe."""
    return int(subprocess.run(["grep", "-a", "-c", pattern, str(manifest)], capture_output=True, text=True).stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read in /proc")
def test_two_hundred_thousand_lines_are_accounted_for_in_little_memory(tmp_path):
    manifest, output = write_corpus(tmp_path), tmp_path / "out" / "train.jsonl"
    driver = (
        "import sys; sys.path.insert(0, sys.argv[1]); from data.prepare_training_data import main\n"
        "status = main(sys.argv[2:]); print(open('/proc/self/status').read()); raise SystemExit(status)"
    )
    command = [sys.executable, "-c", driver, str(TOP), "convert", "--manifest", str(manifest), "--output", str(output)]
    done = subprocess.run([*command, "--filter_annotation_error", "--jobs", "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout)[1]) / 1024
    print(f"peak of the parent: {peak:.0f} MB")
    assert peak < MEGABYTES

    read = int(subprocess.run(["wc", "-l", str(manifest)], capture_output=True, text=True).stdout.split()[0])
    kept = int(subprocess.run(["wc", "-l", str(output)], capture_output=True, text=True).stdout.split()[0])
    rejects = [json.loads(line) for line in (output.parent / "rejected" / "train.jsonl").open("rb")]
    assert read == LINES and kept + len(rejects) == read
    lines = [reject["line"] for reject in rejects]
    assert len(set(lines)) == len(lines) and min(lines) >= 1 and max(lines) <= LINES
    found = Counter(reject["rule"] for reject in rejects)
    assert found == {name: counted(manifest, f'"mark": "{name}"') for name in FAULTS}
    assert all(found[name] > 0.8 * SHARE * LINES for name in FAULTS)
    assert f"{found['annotation_error']:,} of 200,000 marked as annotation errors" in done.stdout

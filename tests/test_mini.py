"""The built-in experiment: what its corpora promise, and the same bytes however they are made."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_sound import tree

from local.mini import grammar, talkers
from local.mini.corpus import ONE_IN, lines

TOP = Path(__file__).resolve().parents[1]
SEEDS = (1, 2, 3)
DRAWN = 1500


def sizes(experiment: str) -> dict[str, int]:
    """Utterances of each split, as an experiment's configuration has them."""
    text = (TOP / f"conf/{experiment}.sh").read_text(encoding="utf-8")
    return {name.lower(): int(count) for name, count in re.findall(r"MINI_(\w+):=(\d+)", text)}


def drawn(domain: str, split: str) -> set[str]:
    rng = random.Random(f"{domain}{split}")
    return {grammar.sentence(domain, split, rng) for _ in range(DRAWN)}


@pytest.fixture(scope="module")
def sentences() -> dict[tuple[str, str], set[str]]:
    return {
        (domain, split): drawn(domain, split)
        for domain in grammar.GRAMMARS
        for split in ("train", "dev", "test")
    }


def test_nothing_but_the_calls_has_a_business_word(sentences):
    for (domain, split), said in sentences.items():
        heard = [word for word in grammar.KEYWORDS if word in "\n".join(said)]
        assert domain == "calls" or heard == [], (domain, split)
        assert domain != "calls" or heard == list(grammar.KEYWORDS), split


def test_no_option_of_daily_life_holds_a_business_word():
    options = [option for options in grammar.GRAMMARS["general"].values() for option in options]
    assert [word for word in grammar.KEYWORDS for option in options if word in option] == []


@pytest.mark.parametrize("domain", grammar.GRAMMARS)
def test_daily_life_has_all_characters(domain):
    assert grammar.characters(domain) - grammar.characters("general") == set()


def test_daily_life_has_all_characters_of_the_business_words():
    assert set("".join(grammar.KEYWORDS)) <= grammar.characters("general")


def test_a_model_can_write_all_characters(model_dir):
    tokens = json.loads((model_dir / "ctc_tokens.json").read_text(encoding="utf-8"))
    assert (tokens[0], tokens[-1]) == ("<unk>", "<blank>")
    assert len(set(tokens)) == len(tokens)
    assert grammar.characters("general") | grammar.characters("calls") <= set(tokens)


def test_no_sentence_is_in_two_splits(sentences):
    for domain in grammar.GRAMMARS:
        train, dev, test = (sentences[domain, split] for split in ("train", "dev", "test"))
        assert not (train & dev or train & test or dev & test)
        assert min(map(len, (train, dev, test))) > DRAWN / 2, "many are different"


def test_no_dev_or_test_sentence_is_trained_on_in_another_domain(sentences):
    trained = set().union(*(said for (_, split), said in sentences.items() if split == "train"))
    for (domain, split), said in sentences.items():
        assert split == "train" or not said & trained, domain


def test_nobody_speaks_in_two_sets():
    variants = [variant for group in talkers.VARIANTS.values() for variant in group]
    assert len(set(variants)) == len(variants)
    names = [talker.name for group in talkers.VARIANTS for talker in talkers.talkers(group)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_calls_test_is_large_enough(seed):
    said = [line.text for line in lines("calls", "test", sizes("mini")["calls_test"], seed)]
    spoken = {word: sum(text.count(word) for text in said) for word in grammar.KEYWORDS}
    assert sum(map(len, said)) >= 2000
    assert sum(count > 0 for count in spoken.values()) >= 16
    assert sum(spoken.values()) >= 150


@pytest.mark.parametrize("seed", SEEDS)
def test_every_line_is_another_sentence_and_every_call_one_talker(seed):
    made = lines("calls", "train", 200, seed)
    assert len({line.text for line in made}) == len({line.key for line in made}) == 200
    talkers_of = {line.call: set() for line in made}
    for line in made:
        talkers_of[line.call].add(line.talker)
    assert {len(group) for group in talkers_of.values()} == {1}


def described(path: Path) -> dict[str, Any] | list[str]:
    """What a file of the model folder says, whichever version of transformers wrote it."""
    text = path.read_text(encoding="utf-8")
    content = yaml.safe_load(text) if path.suffix == ".yaml" else json.loads(text)
    return (
        {k: v for k, v in content.items() if k != "transformers_version"}
        if isinstance(content, dict)
        else content
    )


def test_the_shipped_model_is_small_and_is_what_the_code_describes(model_dir, tmp_path):
    from local.mini.architecture import write_folder

    write_folder(tmp_path)
    for name in tree(tmp_path):
        shipped, written = (described(folder / name) for folder in (model_dir, tmp_path))
        assert shipped == written, name
    assert sum(len(content) for content in tree(model_dir).values()) <= 10_000_000


# --- the command that makes the corpora

COUNTS = {
    "general_train": 30,
    "general_dev": 5,
    "general_test": 5,
    "calls_train": 40,
    "calls_dev": 5,
    "calls_test": 5,
}


def command(folder: Path, jobs: int) -> list[str]:
    counts = [word for name, count in COUNTS.items() for word in (f"--{name}", str(count))]
    return [
        sys.executable,
        "-m",
        "local.mini.corpus",
        "--output_dir",
        str(folder),
        "--seed",
        "5",
        "--jobs",
        str(jobs),
        *counts,
    ]


def make(folder: Path, jobs: int) -> dict[str, bytes]:
    subprocess.run(command(folder, jobs), cwd=TOP, check=True, capture_output=True)
    return tree(folder)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> tuple[Path, dict[str, bytes]]:
    """Made by one process."""
    folder = tmp_path_factory.mktemp("corpora")
    return folder, make(folder, 1)


def manifest(folder: Path, name: str) -> Iterator[dict[str, str]]:
    domain, split = name.split("_")
    for line in (folder / domain / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def test_manifests_list_as_many_as_were_asked_for_and_all_exist(corpora):
    folder, files = corpora
    for name, count in COUNTS.items():
        listed = list(manifest(folder, name))
        assert len(listed) == count
        assert all(f"{name.split('_')[0]}/{line['source']}" in files for line in listed)


def test_calls_are_telephone_rate_and_daily_life_is_wideband(corpora):
    import soundfile

    folder, _ = corpora
    for name, rate in (("general_test", 16000), ("calls_test", 8000)):
        for line in manifest(folder, name):
            info = soundfile.info(folder / name.split("_")[0] / line["source"])
            assert (info.samplerate, info.channels) == (rate, 1)
            assert 0.2 < info.duration < 20


def test_one_training_line_in_twenty_of_the_calls_is_marked_as_wrong(corpora):
    folder, _ = corpora
    marked = {
        name: [line for line in manifest(folder, name) if "<ANNOTATION_ERROR>" in line["target"]]
        for name in COUNTS
    }
    assert {name: len(found) for name, found in marked.items() if found} == {
        "calls_train": COUNTS["calls_train"] // ONE_IN
    }


def test_two_processes_make_the_same_bytes(corpora, tmp_path):
    assert make(tmp_path / "corpora", 2) == corpora[1]


def test_made_again_nothing_changes(corpora):
    folder, files = corpora
    touched = {path: path.stat().st_mtime_ns for path in folder.rglob("*.wav")}
    assert make(folder, 2) == files
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.wav")} == touched


def test_killed_and_started_again_it_makes_the_same_bytes(corpora, tmp_path):
    folder = tmp_path / "corpora"
    making = subprocess.Popen(
        command(folder, 2),
        cwd=TOP,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while len(list(folder.rglob("*.wav"))) < 5 and making.poll() is None:
        time.sleep(0.002)
    os.killpg(making.pid, signal.SIGKILL)
    assert making.wait() == -signal.SIGKILL, "it was over before it was killed"
    assert 0 < len(list(folder.rglob("*.wav"))) < sum(COUNTS.values())
    (folder / "general/train/.1.half_written.wav.part").write_bytes(b"half")
    assert make(folder, 2) == corpora[1]


@pytest.mark.slow
def test_the_command_that_makes_the_base_model_runs(tmp_path, rows):
    from local.batches import Featuriser, Utterances, collate
    from local.nano import build

    options = ["--steps", "4", "--check_every", "4", "--dev_utterances", "4"]
    command = [sys.executable, "-m", "local.mini.base", "--output_dir", str(tmp_path), *options]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    log = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["lesson"], line["step"]) for line in log] == [(lesson, 4) for lesson in (1, 2, 3, 4)]
    assert all(0 < line["loss_ctc"] < 100 for line in log)
    model, settings = build(str(tmp_path), None, {})
    featuriser = Featuriser(settings, model)
    losses = model.eval()(**collate(list(Utterances(rows[:2], featuriser))))
    assert losses["llm"].isfinite()
    assert losses["ctc"].isfinite()
    assert (tmp_path / "model.pt").stat().st_size < 10_000_000

"""Ways to break the recipe without a sign, each with the test that must notice.

`python tests/mutants.py` tries all of them and says how each was caught; tests/test_mutants.py does the same.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
PARTS = ("conf", "data", "local", "tests", "pyproject.toml")


@dataclass(frozen=True)
class Mutant:
    """`old` stands exactly once in `file` and is replaced by `new`; `test` is a pytest id."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTANTS = (
    Mutant(
        "training sound under another name overlooked in a test set",
        "local/contamination.py",
        "any(whole_sound(row) == whole_sound(other) for other in alike)",
        "any(sound_file(row) == sound_file(other) for other in alike)",
        "tests/test_contamination.py::test_the_same_sound_under_another_name_is_found",
    ),
    Mutant(
        "calls drawn as if their utterances failed apart",
        "local/scoring.py",
        "[(calls or {}).get(key, key) for key in refs]",
        "list(refs)",
        "tests/test_scoring.py::test_intervals_are_of_calls_and_of_one_call_there_is_none",
    ),
    Mutant(
        "CTC loss removed from the model",
        "local/nano.py",
        "        if self.ctc_weight:\n            losses |= self._ctc_loss(batch)\n",
        "",
        "tests/test_nano.py::test_ctc_loss_is_that_of_torch_on_the_stock_model_one_by_one",
    ),
    Mutant(
        "CTC loss removed from the training",
        "local/loop.py",
        '"ctc": config.ctc_weight}',
        '"ctc": 0.0}',
        "tests/test_train.py::test_a_step_follows_the_weighted_sum_of_both_losses",
    ),
    Mutant(
        "an encoder layer frozen in stage 1",
        "local/contract.py",
        "parameter.requires_grad_(group in groups)",
        'parameter.requires_grad_(group in groups and ".encoders.1." not in name)',
        "tests/test_train.py::test_every_declared_tensor_changes_and_no_other_byte[1]",
    ),
    Mutant(
        "a frozen module left in train mode",
        "local/nano.py",
        "                module.eval()\n",
        "                module.train(mode)\n",
        "tests/test_nano.py::test_a_frozen_encoder_hears_the_same_twice_in_training",
    ),
    Mutant(
        "another prompt in training and decoding",
        "data/prompt.py",
        'DEFAULT_PROMPT = "语音转写："',
        'DEFAULT_PROMPT = "语音转写，不进行文本规整："',
        "tests/test_batches.py::test_training_hears_and_is_asked_what_stock_inference_is",
    ),
    Mutant(
        "a list of hotwords behind the question",
        "local/batches.py",
        "context(hotwords) + prompt.prompt_of(messages)",
        "prompt.prompt_of(messages) + context(hotwords)",
        "tests/test_hotwords.py::test_its_tokens_and_the_place_of_the_sound_are_those_of_stock_inference[hotwords1]",
    ),
    Mutant(
        "a keyword that was said among the distractors",
        "local/hotwords.py",
        "if self._compared[word] not in text",
        "if word not in held",
        "tests/test_hotwords.py::test_what_stands_inside_a_keyword_that_was_said_is_no_distractor",
    ),
    Mutant(
        "another prompt in decoding alone",
        "local/decode.py",
        "get_input_embeddings()(ids).clone()",
        "get_input_embeddings()(ids.roll(1, 1)).clone()",
        "tests/test_decode.py::test_a_batch_is_decoded_as_stock_funasr_decodes_one_by_one",
    ),
    Mutant(
        "texts capped by the longest sound of their batch",
        "local/decode.py",
        "[Text(length) for length in seconds]",
        "[Text(max(seconds)) for _ in seconds]",
        "tests/test_decode.py::test_an_utterance_that_never_ends_is_cut_by_its_own_sound_in_any_company",
    ),
    Mutant(
        "weights that are given away are rounded",
        "local/export.py",
        '"llm_dtype", "fp32"',
        '"llm_dtype", "bf16"',
        "tests/test_export.py::test_every_tensor_is_the_checkpoints_in_fp32",
    ),
    Mutant(
        "calls cut in the midst of speech",
        "data/pauses.py",
        "[pause for pause in pauses if pause[0] >= half] or pauses",
        "[pause for pause in pauses if pause[0] >= half]",
        "tests/test_pauses.py::test_a_pause_far_from_the_bound_is_better_than_a_cut_in_speech",
    ),
    Mutant(
        "speech told later than it is",
        "data/pauses.py",
        "rate)[lag:]",
        "rate)[: -lag or None]",
        "tests/test_pauses.py::test_times_are_not_late_by_the_lag_of_the_envelope",
    ),
    Mutant(
        "repeats cut that were spoken",
        "local/runaway.py",
        "            self.open = False\n            return\n",
        "            self.open = False\n            self._cut()\n            return\n",
        "tests/test_runaway.py::test_what_a_tongue_can_repeat_in_the_whole_sound_is_left_alone",
    ),
    Mutant(
        "an utterance that no process decodes",
        "local/hearing.py",
        "return sorted(mine)",
        "return sorted(mine)[1:]",
        "tests/test_hearing.py::test_every_utterance_falls_to_exactly_one_process",
    ),
    Mutant(
        "an utterance of each batch never loaded",
        "local/batches.py",
        "batch_sampler=batches",
        "batch_sampler=[batch[1:] or batch for batch in batches]",
        "tests/test_batches.py::test_an_epoch_gives_the_model_every_row_once",
    ),
    Mutant(
        "an utterance of each batch lost in collating",
        "local/batches.py",
        "    token_lengths = lengths(",
        "    examples = examples[:-1] or examples\n    token_lengths = lengths(",
        "tests/test_nano.py::test_a_batch_loses_what_its_utterances_lose_alone",
    ),
    Mutant(
        "an utterance of each batch given to no process",
        "local/batches.py",
        "batch[rank::size] or",
        "batch[1 + rank :: size] or",
        "tests/test_train.py::test_an_epoch_steps_over_every_utterance_once",
    ),
)


def copy_tree(folder: Path) -> Path:
    """The recipe and its tests, without caches."""
    for part in PARTS:
        source = TOP / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    return folder


def apply(mutant: Mutant, top: Path) -> None:
    path = top / mutant.file
    text = path.read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, (
        f"{mutant.file} has changed: {mutant.old!r} stands there {text.count(mutant.old)} times"
    )
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")


def run_tests(top: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *dict.fromkeys(tests)],
        cwd=top,
        env=os.environ | {"COLUMNS": "400", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


def reason(mutant: Mutant, output: str) -> str | None:
    """The assertion by which the mutant's test failed; None where it passed or broke down in another way."""
    found = re.search(
        rf"^FAILED {re.escape(mutant.test)} - ((?:AssertionError|assert)\b.*)$", output, re.MULTILINE
    )
    return found and found[1]


def main() -> int:
    missed = 0
    for mutant in MUTANTS:
        with tempfile.TemporaryDirectory() as folder:
            top = copy_tree(Path(folder))
            apply(mutant, top)
            caught = reason(mutant, run_tests(top, mutant.test).stdout)
        missed += caught is None
        print(
            f"{mutant.name}: {'caught by ' + mutant.test + ': ' + caught if caught else 'NOT CAUGHT'}",
            flush=True,
        )
    return int(missed > 0)


if __name__ == "__main__":
    raise SystemExit(main())

"""What the tests of models share: the small model of the recipe, and a few sentences spoken to it.

Heavy packages are imported inside the fixtures, so that tests which need none stay quick.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

settings.register_profile("recipe", deadline=None)  # a busy machine is no failure
settings.load_profile("recipe")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # models this small lose time to threads

if TYPE_CHECKING:
    import torch
    from funasr import AutoModel
    from released_run import Run

    from local.batches import Featuriser
    from local.nano import FunASRNanoWithCTC

TOP = Path(__file__).resolve().parents[1]
UTTERANCES = 20


@pytest.fixture(scope="session")
def model_dir() -> Path:
    return TOP / "local/mini/model"


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Training rows of unlike lengths: daily-life sentences, each by another talker, 16 kHz."""
    from data.audio import write_wav
    from data.manifest import row
    from local.mini.grammar import sentence
    from local.mini.speech import RATE, speak
    from local.mini.talkers import talkers

    folder = tmp_path_factory.mktemp("spoken")
    rng = random.Random(7)
    made = []
    for number, talker in enumerate(rng.sample(talkers("general_train"), UTTERANCES)):
        text = sentence("general", "train", rng)
        sound = 0.5 * speak(text, talker)
        write_wav(folder / f"{number:02d}.wav", sound, RATE)
        made.append(row(f"utt{number:02d}", folder / f"{number:02d}.wav", text, len(sound)))
    return made


@pytest.fixture(scope="session")
def stock(model_dir: Path) -> AutoModel:
    """The small model in FunASR's own hands: the oracle for ours."""
    from funasr import AutoModel

    return AutoModel(model=str(model_dir), device="cpu", disable_update=True, disable_pbar=True, ncpu=1)


@pytest.fixture(scope="session")
def ours(model_dir: Path) -> tuple[FunASRNanoWithCTC, dict[str, Any]]:
    """The small model in our class, frozen and in eval mode, with FunASR's settings. Not to be changed."""
    from local.nano import build

    model, settings = build(str(model_dir), None, {})
    return model.eval(), settings


@pytest.fixture(scope="session")
def featuriser(ours: tuple[FunASRNanoWithCTC, dict[str, Any]]) -> Featuriser:
    from local.batches import Featuriser

    model, settings = ours
    return Featuriser(settings, model)


@pytest.fixture(scope="session")
def examples(rows: list[dict[str, Any]], featuriser: Featuriser) -> list[dict[str, torch.Tensor]]:
    """All of `rows` as tensors. Collate them; the model writes into what it is given."""
    from local.batches import Utterances

    return list(Utterances(rows, featuriser))


@pytest.fixture(scope="session")
def released_run(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> Run:
    """All three stages, run on a small folder of the released form."""
    from released_form import write_released
    from released_run import Run, odd_rows, train_stages

    folder = tmp_path_factory.mktemp("released_run")
    return train_stages(Run(write_released(folder / "model"), folder, odd_rows(rows, folder)))

"""A model card says what the run left behind, and nothing where there is nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from data.errors import UserError
from local.facts import Facts
from local.model_card import write_card

SETTINGS = {
    "stage": {"name": "stage3_lora"}, "dataset_conf": {"max_source_length": 500},
    "llm_conf": {"lora_conf": {"target_modules": ["q_proj", "v_proj"]}},
}  # fmt: skip
GROUPS = {"llm": {"trainable": 0}, "lora": {"trainable": 9}}


def score(cer: float, interval: list[float] | None = None) -> dict:
    keywords = {"kwer": cer / 2, "total": 257, "interval": interval and [value / 2 for value in interval]}
    return {"cer": cer, "interval": interval, "ref": 2296, "utterances": 240, "keywords": keywords}


def results(calls: dict, guard: float, **more) -> dict:
    sets = {"calls_test": {"llm": calls, "ctc": score(50.0)}, "guard": {"llm": score(guard), "ctc": score(guard)}}
    return {"normaliser": "nfkc-t2s/1", "sets": sets, **more}


def write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


@pytest.fixture
def stage(tmp_path) -> Path:
    """A stage of an experiment that has been trained, not yet scored."""
    folder = tmp_path / "out" / "exp" / "8k_telephone" / "stage3_lora"
    write(folder / "summary.json", {"chosen": "average of epochs [3, 4]", "groups": GROUPS})
    (folder / "config.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    return folder


@pytest.fixture
def base(tmp_path) -> Path:
    (tmp_path / "Fun-ASR-Nano-2512").mkdir()
    return tmp_path / "Fun-ASR-Nano-2512"


def card(stage: Path, base: Path) -> tuple[dict, str]:
    """The YAML of the card, and the rest of it."""
    empty, front, rest = write_card(Facts(stage), "my_model", base, ["dither 0.0: why"]).split("---\n", 2)
    assert empty == ""
    return yaml.safe_load(front), rest


def test_what_hubs_read(stage, base):
    front, rest = card(stage, base)
    assert front["tasks"] == ["auto-speech-recognition"] and front["language"] == ["zh"] and front["frameworks"] == ["pytorch"]
    assert "# my_model" in rest and "stage3_lora over Fun-ASR-Nano-2512, average of epochs [3, 4]" in rest
    assert "AutoModel(model='my_model')" in rest and "hotwords=" in rest and "- dither 0.0: why" in rest


@pytest.mark.parametrize("own, licence", [
    (None, "in its own card"), ("---\nlicense: apache-2.0\n---\n# Fun", "apache-2.0"), ("no front matter", "in its own card"),
    ("---\n: [\n---\n", "in its own card"),
])  # fmt: skip
def test_the_licence_is_left_to_the_user_and_that_of_the_base_named(stage, base, own, licence):
    if own:
        (base / "README.md").write_text(own, encoding="utf-8")
    front, rest = card(stage, base)
    assert front["license"] == "other" and licence in front["license_name"]
    assert licence in rest.split("## Licence")[1]


def test_without_scores_or_data_there_are_no_such_sections(stage, base):
    _, rest = card(stage, base)
    assert "## Scores" not in rest and "## Data" not in rest
    assert "with the prompt" not in rest and "longer than 30 s" in rest


def test_scores_before_and_after_with_intervals_where_there_are_some(stage, base):
    write(stage.parent / "baseline" / "results.json", results(score(97.26), 13.12))
    write(stage / "results.json", results(score(34.97, [31.8, 38.264]), 12.0))
    _, rest = card(stage, base)
    table = [[cell.strip() for cell in line.split("|")] for line in rest.splitlines() if line.startswith("|")]
    cells = {name: values[:2] for _, name, *values in table}
    assert cells["calls CER (LLM)"] == ["97.26", "34.97 [31.80, 38.26]"]
    assert cells["calls KWER"] == ["48.63", "17.48 [15.90, 19.13]"]
    assert cells["wideband CER (LLM)"] == ["13.12", "12.00"]
    assert not any(name.startswith("telephone") for name in cells), "was not scored"
    assert "`nfkc-t2s/1`" in rest and "2,296 characters, 257 keywords" in rest
    assert "worse than the model it was made from" not in rest


def test_what_became_worse_is_said(stage, base):
    write(stage.parent / "baseline" / "results.json", results(score(30.0), 13.12))
    silence = {"hours": 1.0, "utterances": 9, "llm": {"alarms": 3, "characters": 5, "per_hour": 3.0}}
    write(stage / "results.json", results(score(34.97), 88.84, silence=silence))
    _, rest = card(stage, base)
    assert "On general wideband speech it is worse than the model it was made from: CER 88.84 % against 13.12 %." in rest
    assert "On the calls it is worse" in rest and "without speech it writes 3.0 texts" in rest


def test_data_are_what_stage_0_measured(stage, base, tmp_path):
    one = {"utterances": 12172, "hours": 49.876, "characters": 700000}
    names = ("real_8k_telephone/train", "real_8k_telephone/test", "simulated_8k_telephone/train")
    write(tmp_path / "out/data/report.json", {"files": {f"/where/ever/{name}.jsonl": one for name in names}})
    legs = {f"telephone_channel.yaml profiles.{name}.legs": value for name, value in (("default", "[mu-law]"), ("gsm", "[gsm]"))}
    work = {"CHANNEL_PROFILE": "default", "PROMPT": "语音转写，不进行文本规整：", **legs}
    write(tmp_path / "out/data/.stage.json", {"work": work})
    _, rest = card(stage, base)
    assert rest.count("12,172 | 49.88 |    700,000") == 2
    assert "`default`: legs [mu-law]." in rest and "`语音转写，不进行文本规整：`" in rest


@pytest.mark.parametrize("name, changes", [
    ("llm.model.layers.0.self_attn.q_proj.weight", True), ("llm.model.layers.0.self_attn.k_proj.weight", False),
    ("llm.model.embed_tokens.weight", False), ("audio_encoder.q_proj.weight", False),
])  # fmt: skip
def test_what_a_stage_with_lora_may_change(stage, name, changes):
    assert Facts(stage).trains(name) == changes


def test_a_folder_without_a_finished_training_is_named(tmp_path):
    with pytest.raises(UserError, match=r"holds no summary\.json"):
        _ = Facts(tmp_path).summary

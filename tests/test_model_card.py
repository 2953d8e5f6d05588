"""A model card says what the run left behind, and nothing where there is nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from data.errors import UserError
from data.manifest import write_rows
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


def test_scores_of_another_normaliser_do_not_stand_beside(stage, base):
    write(stage.parent / "baseline" / "results.json", results(score(30.0), 13.12) | {"normaliser": "older/0"})
    write(stage / "results.json", results(score(34.97), 12.0))
    _, rest = card(stage, base)
    assert "34.97" in rest and "30.00" not in rest and "worse than" not in rest


def said(folder: Path, name: str, hyps: list[str]) -> None:
    lines = [{"key": str(n), "ref": "一二三四", "llm": hyp} for n, hyp in enumerate(hyps)]
    write_rows(folder / "decode" / f"{name}.jsonl", lines)


def test_what_became_worse_is_said_and_what_chance_can_do_is_told_apart(stage, base):
    before, after = ["一二三四"] * 20, ["一二"] * 20
    for name, hyps in (("guard", after), ("calls_test", [*before[:18], "一二三", "一"])):
        said(stage.parent / "baseline", name, before if name == "guard" else [*before[:18], "一", "一二三四"])
        said(stage, name, hyps)
    write(stage.parent / "baseline" / "results.json", results(score(30.0), 13.12))
    silence = {"hours": 1.0, "utterances": 9, "llm": {"alarms": 3, "characters": 5, "per_hour": 3.0}}
    write(stage / "results.json", results(score(34.97), 88.84, silence=silence))
    _, rest = card(stage, base)
    rates = "CER 88.84 % against 13.12 %, difference 50.00 [50.00, 50.00]."
    assert f"On general wideband speech it is worse than the model it was made from: {rates}" in rest
    assert "On the calls it may be worse than the model it was made from: CER 34.97 % against 30.00 %, difference 1.25 [-" in rest
    assert "without speech it writes 3.0 texts" in rest


def test_without_texts_to_compare_worse_is_not_claimed(stage, base):
    write(stage.parent / "baseline" / "results.json", results(score(30.0), 13.12))
    write(stage / "results.json", results(score(34.97), 12.0))
    _, rest = card(stage, base)
    assert "On the calls it may be worse than the model it was made from: CER 34.97 % against 30.00 %.\n" in rest


def measured(root: Path) -> None:
    """Stage 0's figures: of calls up to 9.5 s, of simulated speech up to 40 s."""
    one = {"utterances": 12172, "hours": 49.876, "characters": 700000}
    longest = {"real_8k_telephone/train": 9.5, "real_8k_telephone/test": 50.0, "simulated_8k_telephone/train": 40.0}
    files = {f"/where/ever/{name}.jsonl": one | {"measures": {"duration": {"max": most}}} for name, most in longest.items()}
    write(root / "data/report.json", {"files": files})


def trained_before(stage: Path, longest: int) -> None:
    """Stage 1, which left out what was longer (in frames of 60 ms)."""
    folder = stage.with_name("stage1_encoder")
    write(folder / "summary.json", {"chosen": "epoch 1", "groups": GROUPS})
    (folder / "config.yaml").write_text(yaml.safe_dump({"dataset_conf": {"max_source_length": longest}}), encoding="utf-8")


@pytest.mark.parametrize(("init", "replay", "simulated", "longest"), [
    ("trained", 0.0, True, "36"), ("released", 0.0, False, "9.5"), ("released", 0.5, True, "30"),
])  # fmt: skip
def test_only_what_was_trained_on_is_listed(stage, base, tmp_path, init, replay, simulated, longest):
    """With INIT=released the folder of an earlier stage 1 may still be there."""
    measured(tmp_path / "out")
    trained_before(stage, 600)
    settings = SETTINGS | {"dataset_conf": {"max_source_length": 500, "replay_share": replay}}
    (stage / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    write(tmp_path / "out/data/.stage.json", {"work": {"INIT": init}})
    _, rest = card(stage, base)
    assert "| calls " in rest and ("| general speech over a simulated telephone" in rest) == simulated
    assert f"Nothing longer than {longest} s was trained on." in rest


def test_data_are_what_stage_0_measured(stage, base, tmp_path):
    measured(tmp_path / "out")
    trained_before(stage, 600)
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

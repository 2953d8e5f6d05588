"""local/config.py: the stage files say what SPEC's table says, and nothing unknown or half-right passes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UserError
from local import config

TOP = Path(__file__).resolve().parents[1]
STAGE1 = TOP / "conf" / "stage1_encoder_adapt.yaml"
STAGE2 = TOP / "conf" / "stage2_adapter_align.yaml"
STAGE3 = TOP / "conf" / "stage3_lora_domain.yaml"


@pytest.mark.parametrize(
    ("path", "groups", "weights", "lr", "warmup", "epochs", "tokens", "accumulate"),
    [
        (STAGE1, {"audio_encoder"}, (1.0, 0.3), 1e-4, 1000, 10, 8192, 1),
        (STAGE2, {"audio_adaptor", "ctc_decoder", "ctc"}, (1.0, 1.0), 5e-5, 500, 10, 8192, 1),
        (STAGE3, {"lora"}, (1.0, 0.0), 1e-5, 100, 20, 4096, 2),
    ],
)
def test_shipped_stages_are_the_published_ones(path, groups, weights, lr, warmup, epochs, tokens, accumulate):
    stage = config.load_stage(path, [])
    assert set(stage.stage.groups) == groups
    assert (stage.llm_weight, stage.ctc_weight) == weights
    assert (stage.optim_conf.lr, stage.scheduler_conf.warmup_steps) == (lr, warmup)
    assert (stage.train_conf.max_epoch, stage.train_conf.accum_grad) == (epochs, accumulate)
    assert stage.dataset_conf.batch_size == tokens
    assert stage.dataset_conf.max_source_length * 0.06 >= 120


def test_gates_and_lora_are_the_users():
    first, second, third = (config.load_stage(path, []) for path in (STAGE1, STAGE2, STAGE3))
    assert (first.gate.loss_drop, first.gate.cer) == (0.30, 10.0)
    assert (second.gate.loss, second.gate.loss_drop, second.gate.cer) == ("ctc", 0.40, 8.0)
    assert (third.gate.loss, third.gate.kwer, third.gate.cer) == (None, 5.0, 8.0)
    lora = third.llm_conf.lora_conf
    assert (lora.r, lora.lora_alpha, lora.lora_dropout) == (16, 32.0, 0.05)
    assert lora.target_modules == ["q_proj", "k_proj", "v_proj", "o_proj"]


def test_only_the_stage_of_the_calls_asks_with_keywords_unless_told():
    assert [config.load_stage(path, []).dataset_conf.hotword_rate for path in (STAGE1, STAGE2, STAGE3)] == [0, 0, 0.5]


def test_overrides_replace_single_values_and_later_ones_win():
    changed = config.load_stage(
        STAGE1, ["++train_conf.max_epoch=3", "++optim_conf.lr=1e-3", "++optim_conf.lr=2e-3"]
    )
    assert changed.train_conf.max_epoch == 3
    assert changed.optim_conf.lr == 2e-3  # PyYAML alone reads 2e-3 as text
    assert changed.ctc_weight == 0.3


def test_states_may_be_saved_at_the_end_of_epochs_alone():
    assert config.load_stage(STAGE1, ["++train_conf.save_interval=0"]).train_conf.save_interval == 0


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("++train_conf.max_epochs=3", "unknown key train_conf.max_epochs; did you mean max_epoch?"),
        ("++train_config.max_epoch=3", "unknown key train_config; did you mean train_conf?"),
        ("++train_conf.max_epoch=three", "train_conf.max_epoch is 'three', but must be a whole number"),
        ("++train_conf.max_epoch=0", "train_conf.max_epoch must be positive"),
        ("++train_conf.max_epoch=true", "must be a whole number"),
        ("++train_conf.save_interval=-1", "train_conf.save_interval must not be negative"),
        ("++train_conf.max_bad_updates=0", "train_conf.max_bad_updates must be positive"),
        ("++train_conf.stall_minutes=0", "train_conf.stall_minutes must be positive"),
        ("++dataset_conf.hotword_rate=1.1", "dataset_conf.hotword_rate must lie in [0, 1]"),
        ("++dataset_conf.hotword_true_rate=-0.1", "dataset_conf.hotword_true_rate must lie in [0, 1]"),
        ("++dataset_conf.hotword_most=0", "dataset_conf.hotword_most must be positive"),
        ("++audio_encoder_conf.freeze=1", "must be true or false"),
        ("++audio_encoder_conf.freeze=true", "settings train none"),
        ("++audio_adaptor_conf.freeze=false", "settings train audio_encoder, audio_adaptor"),
        ("++llm_conf.freeze=false", "llm_conf.freeze must be true"),
        ("++llm_conf.use_lora=true", "llm_conf.lora_conf goes together with use_lora"),
        ("++optim=sgd", "optim is 'sgd', but must be adamw"),
        ("++gate.loss=null", "gate.loss goes together with gate.loss_drop"),
        ("++train_conf=3", "train_conf is 3, but must be a section of keys"),
        ("++seed", "an override reads ++section.key=value"),
        ("seed=3", "an override reads ++section.key=value"),
        ("++stage.groups=[encoder]", "no group is called 'encoder'; did you mean audio_encoder?"),
        ("++optim_conf.betas=[0.9]", "optim_conf.betas must be two numbers"),
    ],
)
def test_a_wrong_override_is_one_line_naming_the_key(override, said):
    with pytest.raises(UserError) as caught:
        config.load_stage(STAGE1, [override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_encoder_that_no_gradient_reaches_is_refused():
    with pytest.raises(UserError, match="no gradient would reach the audio encoder"):
        config.load_stage(STAGE1, ["++llm_weight=0", "++detach_ctc_decoder=true"])


def test_a_ctc_decoder_without_its_loss_is_refused():
    with pytest.raises(UserError, match="ctc_weight must be positive"):
        config.load_stage(STAGE2, ["++ctc_weight=0"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: [1", r":1: no valid YAML|:2: no valid YAML"),
        ("seed: 1\nseed: 2\n", r":2: no valid YAML \(seed stands twice\)"),
        ("just words", "must hold `key: value` lines"),
        ("", "must hold `key: value` lines"),
        ("seed: 1", "stage is missing"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, text, said):
    path = tmp_path / "broken.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=said) as caught:
        config.load_stage(path, [])
    assert str(path) in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        config.load_stage(tmp_path / "none.yaml", [])


def leaves(tree: dict, prefix: str = "") -> list[str]:
    """Dotted names of all keys of a YAML tree, sections included."""
    below = [leaves(value, f"{prefix}{key}.") for key, value in tree.items() if isinstance(value, dict)]
    return [f"{prefix}{key}" for key in tree] + [name for names in below for name in names]


KEYS = leaves(yaml.safe_load(STAGE3.read_text(encoding="utf-8")))


@given(st.sampled_from(KEYS), st.integers(0, 30), st.sampled_from("abcdefgh_"))
def test_any_misspelt_key_is_refused(key, position, letter):
    *sections, last = key.split(".")
    misspelt = last[: position % (len(last) + 1)] + letter + last[position % (len(last) + 1) :]
    name = ".".join([*sections, misspelt])
    with pytest.raises(UserError, match="unknown key"):
        config.load_stage(STAGE3, [f"++{name}=1"])


def test_the_settings_of_several_stages_are_checked_at_once(capsys):
    assert config.main([str(STAGE1), "++seed=7", str(STAGE3)]) == 0
    assert capsys.readouterr().out.count("scheduler: warmupcosine") == 2
    with pytest.raises(UserError, match="stage3_lora_domain.yaml with ++sed=7".replace("+", r"\+")):
        config.main([str(STAGE1), str(STAGE3), "++sed=7"])


def test_printed_settings_load_to_the_same(tmp_path, capsys):
    assert config.main([str(STAGE3), "++seed=7"]) == 0
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out, encoding="utf-8")
    assert config.load_stage(printed, []) == config.load_stage(STAGE3, ["++seed=7"])

"""The exported folder in an unmodified FunASR is the model that was trained; the released folder with its weights is not."""

from __future__ import annotations

import filecmp
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from funasr.models.fun_asr_nano.model import FunASRNano
from released_form import llm_logits, stock_model, write_released
from small_stage import config, run

from data.errors import UserError
from data.manifest import row as make_row
from data.prompt import audio_path, target
from local import checkpoint as checkpoints
from local.batches import Featuriser, Utterances, collate
from local.decode import decode
from local.export import export, for_service, gain, main
from local.facts import Facts
from local.nano import build

HOTWORDS = ["退款", "套餐"]
IN_SERVICE = """
import json, sys
from funasr import AutoModel
folder, sounds, hotwords = json.loads(sys.argv[1])
model = AutoModel(model=folder, device="cpu", disable_update=True, disable_pbar=True, log_level="ERROR")
answers = [model.generate(input=sounds), model.generate(input=sounds[:3], hotwords=hotwords), model.generate(input=sounds[:1])]
names = [name for name in ("local", "data") if name in sys.modules]
print("\\n" + json.dumps({"answers": answers, "path": sys.path, "ours": names}, default=str))
"""


def stage_folder(folder: Path, state: dict[str, torch.Tensor], groups: tuple[str, ...] = ("lora",), **summary) -> Path:
    """What the training of stage 3 leaves behind."""
    counts = {group: {"tensors": 1, "parameters": 1, "trainable": int(group in groups)} for group in ("llm", "lora", "ctc")}
    folder.mkdir()
    checkpoints.save(folder / "model.pt", state)
    (folder / "summary.json").write_text(json.dumps({"chosen": "epoch 1", "groups": counts, **summary}), encoding="utf-8")
    used = config(3)
    lora = {"lora_conf": {"target_modules": used.llm_conf.lora_conf.target_modules}}
    settings = {"stage": {"name": used.stage.name}, "llm_conf": lora, "dataset_conf": {"max_source_length": 2000}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return folder


def heard_by(model, settings, rows) -> list:
    """What our decoder says of rows."""
    featuriser = Featuriser(settings, model.ctc_tokenizer, model.use_low_frame_rate)
    batch = collate(list(Utterances(rows, featuriser)))
    return decode(model.eval(), settings["tokenizer"], batch, batch["sources"])


# --- the built-in model ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(model_dir, rows, tmp_path_factory) -> Path:
    """The folder of a short stage 3."""
    folder = tmp_path_factory.mktemp("exp") / "8k_telephone" / "stage3_lora"
    folder.parent.mkdir()
    run(3, model_dir, folder, rows, "++train_conf.max_epoch=2", "++optim_conf.lr=3e-2")
    return folder


@pytest.fixture(scope="module")
def built_in(trained, tmp_path_factory) -> Path:
    """Its export, made by nothing but the stage's folder."""
    folder = tmp_path_factory.mktemp("given_away") / "my_model"
    assert main([str(trained), str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def ours_trained(model_dir, trained) -> tuple:
    return build(str(model_dir), trained / "model.pt", {})


@pytest.fixture(scope="module")
def service(built_in, rows) -> dict:
    """The answers of a process that knows nothing of this repository: all utterances, some with hotwords, one without again."""
    sounds = [audio_path(row["messages"]) for row in rows]
    asked = json.dumps([str(built_in), sounds, HOTWORDS])
    done = subprocess.run([sys.executable, "-I", "-c", IN_SERVICE, asked], cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_loading_needs_no_code_of_ours(service):
    top = Path(__file__).resolve().parents[1]
    assert service["ours"] == [] and not any(Path(entry).resolve() == top for entry in service["path"])


@pytest.mark.slow
def test_every_utterance_is_heard_as_by_our_decoder(service, ours_trained, rows):
    heard = heard_by(*ours_trained, rows)
    assert not any(one.cut for one in heard)
    assert [answer["text"] for answer in service["answers"][0]] == [one.llm for one in heard]
    assert [answer["ctc_text"] for answer in service["answers"][0]] == [one.ctc for one in heard]


@pytest.mark.slow
def test_training_has_changed_what_is_heard(service, ours, rows):
    """Else the test before would prove nothing of the export."""
    before = heard_by(*ours, rows)
    assert [answer["text"] for answer in service["answers"][0]] != [one.llm for one in before]


@pytest.mark.slow
def test_hotwords_are_in_the_prompt_of_their_own_call_alone(service, ours_trained, rows):
    prompt = FunASRNano.get_prompt(None, HOTWORDS)
    asked = [make_row(row["key"], audio_path(row["messages"]), target(row["messages"]), 16000, prompt) for row in rows[:3]]
    plain, hot, plain_again = service["answers"]
    assert [answer["text"] for answer in hot] == [one.llm for one in heard_by(*ours_trained, asked)]
    assert plain_again[0]["text"] == plain[0]["text"]


@pytest.mark.slow
def test_time_stamps_of_the_ctc_branch_are_there(service, rows):
    for answer, row in zip(service["answers"][0], rows, strict=True):
        stamps = answer["ctc_timestamps"]
        assert "".join(stamp["token"] for stamp in stamps) == answer["ctc_text"]
        times = [time for stamp in stamps for time in (stamp["start_time"], stamp["end_time"])]
        assert times == sorted(times) and times[0] >= 0 and times[-1] <= row["duration"] + 0.06
        assert answer["timestamps"]


def test_logits_of_every_utterance_are_ours(built_in, ours_trained, rows):
    """One by one: in a batch FunASR's adaptor hears the padding."""
    model, settings = ours_trained
    model.eval()
    given_away = stock_model(built_in).model
    for example in Utterances(rows, Featuriser(settings, model.ctc_tokenizer, model.use_low_frame_rate)):
        batch = collate([example])
        assert (llm_logits(given_away, batch) - llm_logits(model, batch)).abs().max() < 1e-4
        with torch.no_grad():
            ours = model.ctc.ctc_lo(model.ctc_hidden()[0])  # of what was encoded last
            encoded = given_away.encode(batch["speech"].clone(), batch["speech_lengths"])
            assert (given_away.ctc.ctc_lo(given_away.ctc_decoder(*encoded)[0]) - ours).abs().max() < 1e-4


def test_sha256sum_accepts_the_folder_and_notices_a_bit(built_in, tmp_path):
    copy = shutil.copytree(built_in, tmp_path / "copy")
    listed = (copy / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    files = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    assert {line[66:] for line in listed} == files
    check = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
    assert subprocess.run(check, cwd=copy, capture_output=True).returncode == 0
    content = bytearray((copy / "model.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "model.pt").write_bytes(content)
    assert subprocess.run(check, cwd=copy, capture_output=True).returncode == 1


def test_a_training_that_taught_nothing_is_refused(model_dir, rows, tmp_path):
    """LoRA's B is 0 at the start, and a rate of almost nothing leaves W + α/r·B·A at W."""
    run(3, model_dir, tmp_path / "stage3_lora", rows[:6], "++train_conf.max_epoch=1", "++optim_conf.lr=1e-30")
    with pytest.raises(UserError, match=r"nothing was trained: its 12 trained tensors .*B is 0"):
        export(tmp_path / "stage3_lora", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bit_that_flipped_on_the_disk_is_noticed(trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "stage3_lora")
    content = bytearray((copy / "model.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "model.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"model\.pt"):
        export(copy, tmp_path / "out")


def test_a_stage_that_has_not_finished_is_refused(trained, tmp_path):
    (tmp_path / "stage3_lora").mkdir()
    shutil.copytree(trained / "epochs", tmp_path / "stage3_lora" / "epochs")
    with pytest.raises(UserError, match=r"holds no model\.pt"):
        export(tmp_path / "stage3_lora", tmp_path / "out")


# --- the released form -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    return write_released(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="module")
def stage(released, tmp_path_factory) -> Path:
    """As after stage 3: fp32 all over, with projections that bf16 cannot say exactly."""
    torch.manual_seed(4)
    state = {name: tensor.float() for name, tensor in torch.load(released / "model.pt", weights_only=True).items()}
    for name in state:
        if name.startswith("llm.") and "_proj." in name:
            state[name] = state[name] + 1e-4 * torch.randn_like(state[name])
    return stage_folder(tmp_path_factory.mktemp("exp") / "stage3_lora", state)


@pytest.fixture(scope="module")
def exported(released, stage, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("given_away") / "my model"
    assert main([str(stage), str(folder), "--model_dir", str(released)]) == 0
    return folder


@pytest.fixture(scope="module")
def ours_released(released, stage):
    model, settings = build(str(released), stage / "model.pt", {})
    return model.eval(), settings


@pytest.fixture(scope="module")
def given_away(exported):
    """The export in an unmodified FunASR, by nothing but its path."""
    return stock_model(exported)


@pytest.fixture(scope="module")
def batch(ours_released, rows) -> dict:
    model, settings = ours_released
    featuriser = Featuriser(settings, model.ctc_tokenizer, model.use_low_frame_rate)
    return collate([Utterances(rows, featuriser)[0]])


def test_every_tensor_is_the_checkpoints_in_fp32(given_away, stage):
    saved = torch.load(stage / "model.pt", weights_only=True)
    state = given_away.model.state_dict()
    assert set(state) == set(saved)
    for name, tensor in state.items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, saved[name]), name


def test_its_llm_says_what_ours_says(given_away, ours_released, batch):
    assert torch.equal(llm_logits(given_away.model, batch), llm_logits(ours_released[0], batch))


def test_the_released_folder_with_the_checkpoint_rounds_it(released, stage, ours_released, batch):
    """Why there is an export at all: config.yaml says llm_dtype: bf16."""
    rounded = stock_model(released, init_param=str(stage / "model.pt")).model.float()
    projection = "model.layers.0.self_attn.q_proj.weight"
    wanted = ours_released[0].llm.state_dict()[projection]
    assert torch.equal(rounded.llm.state_dict()[projection], wanted.bfloat16().float())
    assert not torch.equal(rounded.llm.state_dict()[projection], wanted)
    frequencies = [model.llm.model.rotary_emb.inv_freq for model in (rounded, ours_released[0])]
    assert not torch.equal(*frequencies), "nor are the rotary frequencies what the LLM was trained with"
    rounded.llm_dtype = "fp32"  # what FunASR's inference computes in
    assert (llm_logits(rounded, batch) - llm_logits(ours_released[0], batch)).abs().max() > 1e-3


def test_the_same_sound_is_heard_the_same_twice(given_away, rows):
    """Without dither: the released config.yaml leaves FunASR's default."""
    assert given_away.kwargs["frontend"].dither == 0.0
    first, second = (given_away.generate(input=[audio_path(rows[0]["messages"])], max_length=20)[0] for _ in range(2))
    assert first["text"] == second["text"] and first["ctc_text"] == second["ctc_text"]
    assert first["ctc_timestamps"] == second["ctc_timestamps"]


def test_only_three_settings_differ_from_the_released_ones(released, exported):
    before, after = (yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) for folder in (released, exported))
    assert after["model"] == "FunASRNano"
    assert after["llm_conf"].pop("llm_dtype") == "fp32" and before["llm_conf"].pop("llm_dtype") == "bf16"
    assert after["frontend_conf"].pop("dither") == 0.0
    assert before["train_conf"].pop("effective_save_name_excludes") == ["llm."]
    assert after == before


def test_a_model_trained_with_another_prompt_asks_with_it_by_itself(released, exported, tmp_path):
    """FunASR takes `itn` from config.yaml as from an argument of `generate`."""
    prompt = "语音转写，不进行文本规整："
    config, changes = for_service((released / "config.yaml").read_text(encoding="utf-8"), prompt)
    assert any(prompt in change for change in changes)
    for item in exported.iterdir():
        (tmp_path / item.name).symlink_to(item)
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    model, asked = stock_model(tmp_path), []
    model.model.generate_chatml = lambda prompt, data: asked.append(prompt) or FunASRNano.generate_chatml(None, prompt, data)
    model.generate(input=[torch.zeros(4000)], max_length=1)
    assert asked == [prompt]


def test_a_prompt_that_automodel_does_not_have_is_said(released):
    config, changes = for_service((released / "config.yaml").read_text(encoding="utf-8"), "请写下：")
    assert "itn" not in yaml.safe_load(config) and "cannot ask as in training, 请写下：" in changes[-1]


def test_all_other_files_are_the_released_ones(released, exported):
    for path in released.rglob("*"):
        if path.is_file() and path.name not in ("config.yaml", "model.pt"):
            assert filecmp.cmp(path, exported / path.relative_to(released), shallow=False), path


def test_what_configuration_json_does_not_name_stays_behind(released, stage, tmp_path):
    source = tmp_path / "released"
    source.mkdir()
    for item in released.iterdir():
        (source / item.name).symlink_to(item)
    (source / ".git").mkdir()
    (source / "example.mp3").touch()
    export(stage, tmp_path / "out", source)
    ours = {"README.md", "SHA256SUMS"}
    assert {item.name for item in (tmp_path / "out").iterdir()} == {item.name for item in released.iterdir()} | ours


def test_a_part_of_the_model_is_no_checkpoint(released, tmp_path):
    """An epoch's file holds only what its stage changed."""
    part = stage_folder(tmp_path / "stage3_lora", {"ctc.ctc_lo.bias": torch.zeros(3)})
    with pytest.raises(UserError, match=r"model\.pt: "):
        export(part, tmp_path / "out", released)
    assert not (tmp_path / "out").exists()


def test_adapters_beside_their_weights_are_refused(released, stage, tmp_path):
    """FunASR would ignore them without a word."""
    adapters = {"llm.model.layers.0.self_attn.q_proj.lora_A": torch.zeros(16, 64)}
    other = stage_folder(tmp_path / "stage3_lora", torch.load(stage / "model.pt", weights_only=True) | adapters)
    with pytest.raises(UserError, match=r"1 tensors have no place .*lora_A"):
        export(other, tmp_path / "out", released)


@pytest.mark.parametrize("group", ["lora", "ctc"])
def test_tensors_that_are_still_the_released_ones_are_refused(group, released, stage, tmp_path):
    """Of the LLM only the projections that are adapted count, of bf16 tensors their value."""
    state = torch.load(stage / "model.pt", weights_only=True)
    start = {name: tensor.float() for name, tensor in torch.load(released / "model.pt", weights_only=True).items()}
    kept = ("q_proj", "k_proj", "v_proj", "o_proj") if group == "lora" else ("ctc_lo",)
    state |= {name: start[name] for name in state if name.split(".")[-2] in kept}
    with pytest.raises(UserError, match="nothing was trained"):
        export(stage_folder(tmp_path / "stage", state, (group,)), tmp_path / "out", released)


def test_the_model_that_a_stage_was_trained_from_must_be_known(stage, tmp_path):
    with pytest.raises(UserError, match=r"does not say from which model it was trained: give .*--model_dir"):
        export(stage, tmp_path / "out")
    moved = stage_folder(tmp_path / "stage", torch.load(stage / "model.pt", weights_only=True), model_dir="/no/longer/there")
    with pytest.raises(UserError, match="names /no/longer/there, which is no folder here"):
        export(moved, tmp_path / "out")


@pytest.mark.parametrize("after, verdict", [(34.97, "now"), (97.3, "now: this model is no better on the calls than the one it")])
def test_what_it_gained_on_the_calls_is_said(after, verdict, tmp_path):
    for name, cer in (("baseline", 97.26), ("stage3_lora", after)):
        (tmp_path / name).mkdir()
        results = json.dumps({"sets": {"calls_test": {"llm": {"cer": cer}}}})
        (tmp_path / name / "results.json").write_text(results, encoding="utf-8")
    [line] = gain(Facts(tmp_path / "stage3_lora"))
    assert line.removesuffix(" was made from") == f"calls CER (LLM): 97.26 % before any stage, {after:.2f} % {verdict}"


def test_a_folder_that_is_there_is_left_alone(released, stage, tmp_path):
    with pytest.raises(UserError, match="is there already"):
        export(stage, tmp_path, released)


def test_a_folder_that_does_not_name_its_parts_is_refused(stage, tmp_path):
    with pytest.raises(UserError, match=r"has no configuration\.json"):
        export(stage, tmp_path / "out", tmp_path)


def test_a_crash_leaves_no_folder(released, stage, tmp_path, monkeypatch):
    def crash(_source, _target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr("local.export.shutil.copyfile", crash)
        export(stage, tmp_path / "out", released)
    assert not (tmp_path / "out").exists()
    export(stage, tmp_path / "out", released)
    assert (tmp_path / "out" / "model.pt").is_file()

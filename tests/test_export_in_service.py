"""An export of the built-in model in a process of an unmodified FunASR that has none of our code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from funasr.models.fun_asr_nano.model import FunASRNano
from released_form import llm_logits, stock_model
from small_stage import run

from data.errors import UserError
from data.manifest import row as make_row
from data.prompt import audio_path, target
from local.batches import Featuriser, Utterances, collate
from local.decode import decode
from local.export import export, main
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


def heard_by(model, settings, rows) -> list:
    """What our decoder says of rows."""
    featuriser = Featuriser(settings, model)
    batch = collate(list(Utterances(rows, featuriser)))
    return decode(model.eval(), settings["tokenizer"], batch, batch["sources"])


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
    for example in Utterances(rows, Featuriser(settings, model)):
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

"""An evaluation looks at all that it was given before it makes anything."""

from __future__ import annotations

import pytest

from data.errors import UserError
from local import evaluate


@pytest.mark.parametrize(("option", "named", "message"), [
    ("--model", "nowhere", "--model nowhere: no such folder, nor can it be a name on the model hub"),
    ("--model", "stage", r"stage: the folder has no configuration\.json.*--checkpoint .*stage/model\.pt"),
    ("--data", "none.jsonl", r"none\.jsonl: no such file; give training JSONL, or a corpus"),
    ("--data", "WenetSpeech.json#M", r"WenetSpeech\.json#M: no such file"),
    ("--keywords", "none.txt", r"none\.txt cannot be read"),
    ("--keywords", "empty.txt", r"empty\.txt is empty"),
    ("--train", "none.jsonl", "no such file; give the training JSONL"),
    ("--keywords_from", "none.jsonl", "no such file"),
    ("--checkpoint", "model.pt", "no such file; give a stage's model.pt"),
])  # fmt: skip
def test_whatever_is_named_is_looked_at_before_anything_is_made(tmp_path, monkeypatch, option, named, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluate, "read_sets", lambda *_: pytest.fail("converted a corpus first"))
    for folder, parts in (("model", ("config.yaml", "configuration.json")), ("stage", ("config.yaml", "summary.json"))):
        (tmp_path / folder).mkdir()
        for part in parts:
            (tmp_path / folder / part).touch()
    (tmp_path / "mine.jsonl").write_text("{}", encoding="utf-8")
    (tmp_path / "empty.txt").write_text("# nothing", encoding="utf-8")
    words = {"--model": "model", "--data": "mine.jsonl", "--device": "cpu"} | {option: named}
    with pytest.raises(UserError, match=message) as caught:
        evaluate.main([word for pair in words.items() for word in pair])
    assert "stage 0 makes it" not in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_no_corpus_is_one_line(tmp_path, model_dir):
    (tmp_path / "mine.jsonl").write_text("not a corpus\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"mine\.jsonl: is neither training JSONL nor a corpus"):
        evaluate.main(["--model", str(model_dir), "--data", str(tmp_path / "mine.jsonl"), "--device", "cpu"])

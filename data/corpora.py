"""Corpora of every form that the recipe reads, as a stream of `Utterance` and `Reject`.

json_lines      {"key"?, "source" | "audio": path, "target" | "text": text}, optional start, end, channel,
                speaker, call                                                             data/json_lines.py
funasr          FunASR's rows: `messages`, or source_len and target_len                   data/funasr_rows.py
kaldi           a folder with wav.scp and text, optional segments and utt2spk             data/kaldi.py
wenetspeech     the official WenetSpeech.json                                             data/wenetspeech.py
magicdata_ramc  a folder of dialogs, `[start,end]<TAB>speaker<TAB>gender,dialect<TAB>text` data/calls.py
hkust           a folder of two-channel calls, `start end A: text`                        data/calls.py

Relative paths are relative to the folder of the manifest. A path may name a part behind a hash:
WenetSpeech.json#M, HKUST#train, MagicData-RAMC#dev.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data.calls import FORMS as CALLS
from data.calls import form_of_calls, read_calls
from data.errors import UserError
from data.fragment import split_fragment
from data.funasr_rows import is_funasr, read_funasr
from data.json_lines import parse_object, read_json_lines
from data.kaldi import is_kaldi, read_kaldi
from data.lines import encoding_of, head
from data.utterance import BadLine, Reject, Utterance
from data.wenetspeech import is_wenetspeech, read_wenetspeech

__all__ = ["FORMATS", "BadLine", "Reject", "Utterance", "described", "detect", "read_corpus", "split_fragment"]

FORMATS = ("auto", "json_lines", "funasr", "kaldi", "wenetspeech", "magicdata_ramc", "hkust")
WENETSPEECH = "WenetSpeech.json"


def read_corpus(path: Path | str, format: str = "auto", min_confidence: float = 0.0) -> Iterator[Utterance | Reject]:
    """Every line of a corpus. `min_confidence` is for WenetSpeech, the only one that tells it.

    Raises UserError when there is nothing to read, or a part or confidence is asked for that the form does
    not know.
    """
    place, part = split_fragment(path)
    form = detect(path) if format == "auto" else format
    if min_confidence and form != "wenetspeech":
        raise UserError(f"{path}: only WenetSpeech tells a confidence, this is {form}; ask for none")
    if form == "wenetspeech":
        return read_wenetspeech(_wenetspeech_file(place), part, min_confidence)
    if form in CALLS:
        return read_calls(place, form, part)
    if part is not None:
        raise UserError(f"{path}: only WenetSpeech, HKUST and MagicData-RAMC have parts, this is {form}; leave out #{part}")
    readers = {"json_lines": read_json_lines, "funasr": read_funasr, "kaldi": read_kaldi}
    if form not in readers:
        raise UserError(f"{form}: no such format; there are {', '.join(FORMATS)}")
    return readers[form](place)


def detect(path: Path | str) -> str:
    """The format of a corpus. Raises UserError when it is none that is known, missing or empty."""
    place = split_fragment(path)[0]
    if place.is_dir():
        return _form_of_folder(place)
    if not place.exists():
        raise UserError(f"{path}: no such manifest; give JSON lines, a Kaldi folder, WenetSpeech.json or a folder of calls")
    return _form_of_file(place)


def described(form: str) -> str:
    """A format for people: of calls how their lines look, since others than the corpus of that name are written so too."""
    return f"calls, lines like {CALLS[form].sample!r}" if form in CALLS else form


def _form_of_folder(folder: Path) -> str:
    if is_kaldi(folder):
        return "kaldi"
    if (folder / WENETSPEECH).is_file():
        return "wenetspeech"
    form = form_of_calls(folder)
    if form is None:
        raise UserError(
            f"{folder}: is no corpus: it holds no wav.scp, no {WENETSPEECH} and no texts of calls; give the manifest itself"
        )
    return form


def _form_of_file(path: Path) -> str:
    beginning = head(path)
    if not beginning:
        raise UserError(f"{path}: the manifest is empty")
    text = beginning.decode(encoding_of(beginning, path), "replace").removeprefix("\ufeff")
    if is_wenetspeech(text):
        return "wenetspeech"
    for line in text.split("\n"):
        try:
            return "funasr" if is_funasr(parse_object(line)) else "json_lines"
        except BadLine:
            continue
    return form_of_calls(path) or "json_lines"


def _wenetspeech_file(path: Path) -> Path:
    return path / WENETSPEECH if path.is_dir() else path

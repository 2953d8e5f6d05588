"""The calls from their original files through an unmodified `funasr.AutoModel`, beside our own way.

The failure this prevents: scores that hold only for sound that stage 0 brought to 16 kHz. In the field AutoModel is given the
8 kHz file and brings it to 16 kHz itself, by torchaudio's default. It takes one utterance at a time: a fixed part will do.
"""
from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import local.engine  # noqa: F401  before any part of FunASR

# isort: split
import torch
from funasr import AutoModel
from funasr.models.fun_asr_nano.model import FunASRNano

from data.audio import AudioError, read_audio, read_info, write_wav
from data.errors import UserError
from data.prompt import prompt_of
from local.batches import tokens_of
from local.bootstrap import Interval, difference_interval
from local.compare import BRANCHES, Line, call_of, edits_of
from local.decode import Heard
from local.dev_score import choose
from local.distributed import World
from local.figures import in_percent, points
from local.hearing import portion

PLACE = ("start", "end", "source_channel")  # of an utterance in its file


def with_originals(rows: list[dict], most: int) -> list[dict]:
    """At most so many rows, the same ones every time: of those whose sound was taken from another file, and whose prompt
    AutoModel has."""
    return choose([row for row in rows if "source" in row and _itn(row) is not None], most)


def hear_originals(model_dir: str, checkpoint: str, rows: list[dict], world: World) -> Iterator[tuple[int, Heard]]:
    """The place and the texts of each row that falls to this process."""
    model = open_as_in_the_field(model_dir, checkpoint, world.device)
    with TemporaryDirectory(prefix="originals_") as folder:
        for index in portion([tokens_of(row) for row in rows], world.rank, world.size):
            sound = original_sound(rows[index], Path(folder))
            answer = model.generate(input=[str(sound)], itn=_itn(rows[index]))[0]
            yield index, Heard(answer["text"], answer.get("ctc_text"), "")


def open_as_in_the_field(model_dir: str, checkpoint: str, device: torch.device) -> AutoModel:
    """The model folder with our tensors as its `init_param`.

    Two of the folder's settings are replaced, so that the way of the sound is all that differs from ours: a released
    `llm_dtype: bf16` would round the LLM's weights, and dither would add noise.
    """
    start = {} if checkpoint == "released" else {"init_param": checkpoint}
    fixed = {"llm_conf": {"llm_dtype": "fp32"}, "frontend_conf": {"dither": 0.0}}
    quiet = {"disable_update": True, "disable_pbar": True, "log_level": "ERROR"}
    with contextlib.redirect_stdout(io.StringIO()):  # it tells its version all the same
        return AutoModel(model=model_dir, device=str(device), ncpu=torch.get_num_threads(), **start, **fixed, **quiet)


def original_sound(row: dict, folder: Path) -> Path:
    """The file that an utterance was converted from; of a longer or two-sided one its part, at its own rate, in `folder`."""
    try:
        if not any(name in row for name in PLACE):
            read_info(row["source"])
            return Path(row["source"])
        samples, rate = read_audio(row["source"], *(row.get(name) for name in PLACE))
    except AudioError as error:
        raise UserError(f"{error}: the original of {row['key']}; bring it back, or do without: ORIGINALS=0") from None
    path = folder / "part.wav"
    write_wav(path, samples, rate)
    return path


def _itn(row: dict) -> bool | None:
    return itn_of(prompt_of(row["messages"]))


def itn_of(asked: str) -> bool | None:
    """The setting with which AutoModel asks with this prompt; None where there is none."""
    return next((itn for itn in (True, False) if FunASRNano.get_prompt(None, [], itn=itn) == asked), None)


def compare_ways(ours: list[Line], originals: list[Line]) -> dict:
    """The CER of both ways by branch, in percent, on the utterances of `originals`; their difference is paired.

    Its 95 % interval is by bootstrap over calls; there is none of a single call, nor where no character was to be recognised.
    """
    known = {line["key"]: line for line in ours}
    pairs = [(known[line["key"]], line) for line in originals]
    groups = [call_of(line) for line in originals]
    result: dict = {"utterances": len(pairs), "of": len(ours), "calls": len(set(groups))}
    for branch in (branch for branch in BRANCHES if branch in originals[0]):
        here, there = ([edits_of(line, branch) for line in side] for side in zip(*pairs, strict=True))
        rate, rate_originals = (sum(side[1:], side[0]).rate for side in (here, there))
        result[branch] = {"cer": rate, "cer_originals": rate_originals}
        if rate is not None and rate_originals is not None:
            result[branch]["difference"] = rate_originals - rate
            if found := difference_interval(there, here, groups):
                result[branch]["interval"] = [found.low, found.high]
    return result


def ways_told(title: str, result: dict) -> str:
    """The line of the log."""
    calls = result["calls"]
    rates = "; ".join(f"{_rates_told(result[branch], calls)} ({name})" for branch, name in BRANCHES.items() if branch in result)
    size = f"{result['utterances']} of {result['of']} utterances, {calls} calls"
    return f"{title} from its original files by AutoModel, against stage 0's 16 kHz: CER {rates}, {size}"


def _rates_told(score: dict, calls: int) -> str:
    if "difference" not in score:
        return "n/a"
    low, high = score.get("interval", (None, None))
    found = points(score["difference"]) if low is None else Interval(score["difference"], low, high, calls)
    return f"{in_percent(score['cer_originals'])} against {in_percent(score['cer'])}, difference {found}"

"""Loss and CER of a model on a fixed dev subset, in eval mode, shared by all processes."""
from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

import torch

from data.prompt import target
from data.text import scored_units
from local.alignment import EditCounts, count_edits
from local.batches import Utterances
from local.config import StageConfig
from local.distributed import World
from local.hearing import Batching, hear


@dataclass(frozen=True)
class DevScore:
    """Losses per token; CER in percent, pooled over the subset."""

    total: float
    llm: float
    ctc: float
    cer_llm: float
    cer_ctc: float

    def asdict(self) -> dict[str, float]:
        return asdict(self)


def choose(rows: list[dict], count: int) -> list[dict]:
    """The same `count` rows every time, picked by the hash of their keys."""
    return sorted(rows, key=lambda row: hashlib.sha256(row["key"].encode()).digest())[:count]


@torch.inference_mode()
def score_dev(model, tokenizer, data: Utterances, config: StageConfig, world: World) -> DevScore:
    """Both losses (whatever the stage's weights are) and the CER of both decoders over all of `data`."""
    model.eval()
    weights = model.llm_weight, model.ctc_weight
    model.llm_weight = model.ctc_weight = 1.0
    conf = config.dataset_conf
    batching = Batching(conf.batch_size, conf.batch_size_utts, conf.num_workers)
    sums = dict.fromkeys(("llm", "llm_count", "ctc", "ctc_count"), 0.0)
    edits = [EditCounts(), EditCounts()]
    for part, batch, heard in hear(model, tokenizer, data, batching, world):
        sums = {name: sums[name] + float(value) for name, value in model(**batch).items()}
        references = [scored_units(target(data.rows[index]["messages"])) for index in part]
        texts = [one.llm for one in heard], [one.ctc or "" for one in heard]
        edits = [before + _edits(references, side) for before, side in zip(edits, texts, strict=True)]
    model.llm_weight, model.ctc_weight = weights
    return _score(world.sums([*sums.values(), *(n for e in edits for n in (e.errors, e.ref))]), config)


def _edits(references: list[tuple[str, ...]], heard: list[str]) -> EditCounts:
    return sum((count_edits(ref, scored_units(text)) for ref, text in zip(references, heard, strict=True)), EditCounts())


def _score(sums: list[float], config: StageConfig) -> DevScore:
    llm, llm_count, ctc, ctc_count, errors_llm, ref, errors_ctc, _ = sums
    llm, ctc = llm / max(llm_count, 1), ctc / max(ctc_count, 1)
    total = config.llm_weight * llm + config.ctc_weight * ctc
    return DevScore(total, llm, ctc, 100 * errors_llm / max(ref, 1), 100 * errors_ctc / max(ref, 1))

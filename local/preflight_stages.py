"""Do the rows, the model and the disk suffice for the stages ahead? And, by a few real steps: do the stages run?"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import torch

from local import disk_need
from local import preflight_model as of_model
from local import preflight_rows as of_rows
from local.experiment import like
from local.findings import Finding, fact, fault, passes, verdict, worth_knowing
from local.marks import title
from local.stages_ahead import StagesAhead
from local.trial import STEPS, Pace, Trial

FEW_UPDATES = 50


def check(ahead: StagesAhead) -> bool:
    """All checks that cost seconds; what stands on something broken is not looked at."""
    logging.getLogger().setLevel(logging.ERROR)  # FunASR tells of every part that it builds
    known = passes("data", _rows_fit(ahead))
    if not ahead.model_dir.is_dir():
        missing = f"MODEL={ahead.experiment['MODEL']} is fetched by the first run: nothing is known of it yet"
        return passes("model", [worth_knowing(missing)]) and known
    whole = passes("model", _model_fits(ahead)) and known
    return whole and passes("tokens", _tokens_fit(ahead)) and passes("disk", _disk_suffices(ahead))


def _rows_fit(ahead: StagesAhead) -> Iterator[Finding]:
    if not ahead.rows:
        yield worth_knowing("stage 0 has not run: hours, updates, memory and time can be told once it has")
        return
    yield from of_rows.measured(ahead.rows)
    yield from of_rows.prompts_fit(ahead.rows, ahead.experiment)
    yield from of_rows.targets_fit(ahead.rows)
    yield from of_rows.nothing_leaks(ahead.rows, ahead.experiment)
    yield from of_rows.tests_are_apart(ahead.rows, ahead.experiment)
    yield from _updates_suffice(ahead)


def _updates_suffice(ahead: StagesAhead) -> Iterator[Finding]:
    """Whether a stage makes more than a handful: settings for a thousand hours make a few of a few hours."""
    for name, updates in ahead.updates.items():
        if updates < FEW_UPDATES:
            yield worth_knowing(f"{title(name)}: {updates} updates in all, too few to learn much: smaller batches "
                                "(++dataset_conf.batch_size), more epochs or more data")  # fmt: skip


def _model_fits(ahead: StagesAhead) -> Iterator[Finding]:
    model, settings = of_model.outline(str(ahead.model_dir), {})
    yield from of_model.weights_fit(model, settings, None)
    start = ahead.start(ahead.trained[0]) if ahead.trained else None
    if start:
        yield from of_model.weights_fit(model, settings, start)


def _tokens_fit(ahead: StagesAhead) -> Iterator[Finding]:
    model, settings = of_model.outline(str(ahead.model_dir), {})
    letters = of_rows.letters(ahead.rows)
    yield from of_model.ctc_tokens_fit(model, letters)
    yield from of_model.llm_tokens_fit(model, settings["tokenizer"], ahead.experiment["PROMPT"])
    if model.ctc_decoder:
        yield from of_rows.characters_known(ahead.rows, of_model.unknown_to(model.ctc_tokenizer, letters))


def _disk_suffices(ahead: StagesAhead) -> Iterator[Finding]:
    needs = {title(name): outline.need for name, outline in ahead.outlines.items()}
    written = {title(name): disk_need.bytes_in(ahead.experiment.folder(name)) for name in ahead.trained}
    yield from disk_need.disk_suffices(needs, written, ahead.experiment.root)


def try_out(ahead: StagesAhead) -> tuple[bool, dict[str, Pace]]:
    """A trial of every stage that differs from the others, where all that it needs is here; the first must learn and save."""
    paces: dict[str, Pace] = {}
    if not ahead.rows or not ahead.model_dir.is_dir():
        return True, paces
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", max(1, (os.cpu_count() or 1) // ahead.choice.processes))))
    different = dict.fromkeys(map(like, ahead.trained))
    print("  … a few real steps of each stage", flush=True)
    passed = [passes(title(name), _try(ahead, name, paces)) for name in different]
    return all(passed), paces


def _try(ahead: StagesAhead, name: str, paces: dict[str, Pace]) -> Iterator[Finding]:
    first = not paces
    with Trial(ahead.words(name)) as trial:
        pace = paces[name] = trial.pace()
        yield fact(
            f"{pace.memory:.1f} GB at the largest batch; {pace.training:,.0f} h of audio an hour, decoding {pace.decoding:,.0f}"
        )
        if first:
            yield from _learns_and_saves(trial)


def _learns_and_saves(trial: Trial) -> Iterator[Finding]:
    before, after = trial.smoke()
    found = f"smoke run: loss {before:.4f} -> {after:.4f} in {STEPS} steps over one batch"
    yield fact(found) if after < before else fault(f"{found}: lower optim_conf.lr, or look at the rows of stage 0")
    yield verdict(
        None if trial.save_loads() else "what it saved is not what it loaded: look at the disk of TMPDIR", "what it saves loads"
    )

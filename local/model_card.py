"""The model card of an export, in the form of ModelScope's and FunASR's: a README.md that begins with YAML."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from local.bootstrap import Interval, is_few, noted
from local.facts import Facts
from local.figures import in_percent, points
from local.table import COLUMNS, Results, bounds, cell, grid, sizes

CARD = "README.md"
CORPORA = {
    "general_16k": "general speech, wideband",
    "simulated_8k_telephone": "general speech over a simulated telephone",
    "real_8k_telephone": "calls",
}
USE = """```python
from funasr import AutoModel

model = AutoModel(model={name!r})    # this folder; an unmodified FunASR, 1.4.1 or newer
answer = model.generate(input=["call.wav"])[0]
print(answer["text"], answer["ctc_text"], answer["timestamps"])
print(model.generate(input=["call.wav"], hotwords=["退款", "套餐"])[0]["text"])
```

Sound of 8 kHz goes in as it is: FunASR brings it to 16 kHz. Of a call with two channels give it one at a time, a long one cut at
its pauses into half a minute at most. `sha256sum -c SHA256SUMS` tells whether the copy is whole."""


def write_card(facts: Facts, name: str, model_dir: Path, changes: list[str]) -> str:
    """The card of an export called `name`, of the stage that `facts` are about, over the released folder `model_dir`."""
    parts = [
        front_matter(licence(model_dir)), f"# {name}",
        f"Fun-ASR-Nano, adapted to 8 kHz Chinese telephone speech: {facts.own.conf['stage']['name']} over {model_dir.name}, "
        f"{facts.summary['chosen']}. Trained in this stage: {', '.join(facts.trained)}.",
        "## Use", USE.format(name=name), *data(facts), *scores(facts), *prompt(facts, changes), "## Limits",
        "\n".join(f"- {limit}" for limit in limits(facts)), "## Licence", licence_note(licence(model_dir), model_dir),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def front_matter(base: str | None) -> str:
    """What hubs read. The licence is the user's to choose."""
    fields = {
        "tasks": ["auto-speech-recognition"], "domain": ["audio"], "frameworks": ["pytorch"], "language": ["zh"],
        "license": "other", "license_name": f"to be decided; the base model's is {base or 'in its own card'}",
        "tags": ["FunASR", "Fun-ASR-Nano", "telephone", "8 kHz"], "metrics": ["CER"],
    }  # fmt: skip
    return f"---\n{yaml.safe_dump(fields, allow_unicode=True, sort_keys=False, width=200)}---"


def licence(model_dir: Path) -> str | None:
    """What the base model's own card says."""
    card = model_dir / CARD
    parts = card.read_text(encoding="utf-8", errors="replace").split("---", 2) if card.is_file() else []
    if len(parts) < 3 or parts[0].strip():
        return None
    try:
        fields = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return None
    return fields.get("license") if isinstance(fields, dict) else None


def data(facts: Facts) -> Iterator[str]:
    """Hours, and the telephone in between."""
    measured = {name: facts.heard[corpus] for corpus, name in CORPORA.items() if corpus in facts.heard}
    if not measured:
        return
    yield "## Data"
    rows = {name: [f"{one['utterances']:,}", f"{one['hours']:.2f}", f"{one['characters']:,}"] for name, one in measured.items()}
    yield "\n".join(grid("trained on", ("utterances", "hours", "characters"), rows))
    if profile := facts.data.get("CHANNEL_PROFILE"):
        begin = f"telephone_channel.yaml profiles.{profile}."
        drawn = [f"{key.removeprefix(begin)} {value}" for key, value in facts.data.items() if key.startswith(begin)]
        yield f"The simulated telephone is `{profile}`{': ' if drawn else ''}{', '.join(drawn)}."


def scores(facts: Facts) -> Iterator[str]:
    """Before and after on the test sets, with intervals where they were computed."""
    results = facts.own.results
    if not results:
        return
    before = {"before": facts.baseline.results} if facts.baseline else {}
    columns = {**before, "this model": results}
    rows = {name: [cell(results, *column, with_interval) for results in columns.values()] for name, column in COLUMNS.items()}
    rows = {name: row for name, row in rows.items() if row[-1] != "-"}
    yield "## Scores"
    yield from noted(["\n".join(grid("test sets, %", columns, rows)), _explained(results)])


def _explained(results: Results) -> str:
    return (f"{sizes(results)} Rates are (S + D + I) / N over the whole set, both sides through the normaliser "
            f"`{results['normaliser']}`; in brackets, where there are any, 95 % intervals by bootstrap over calls. "
            "KWER is the share of keywords with an error in them.")  # fmt: skip


def with_interval(score: Results, measure: str) -> str:
    """`34.97 [31.80, 38.26]`, or without brackets where nothing more is known."""
    return " ".join([points(score[measure]), *([bounds(score)] if score.get("interval") else [])])


def prompt(facts: Facts, changes: list[str]) -> Iterator[str]:
    yield "## Prompt and settings"
    asked = f"It was trained and scored with the prompt `{facts.prompt}`. " if facts.prompt else ""
    yield f"{asked}In config.yaml, against the released one:"
    yield "\n".join(f"- {change}" for change in changes)


def limits(facts: Facts) -> Iterator[str]:
    """What the figures do not promise."""
    yield f"Nothing longer than {facts.longest:g} s was trained on."
    yield "It tells no speakers apart: two people in one channel are one text."
    yield "FunASR stops a text that does not end after 512 tokens; in scoring it was cut where its sound could hold no more."
    if (silence := facts.own.results.get("silence")) and silence["llm"]["per_hour"] is not None:
        yield f"In an hour without speech it writes {silence['llm']['per_hour']:.1f} texts (LLM)."
    for name, words in (("guard", "general wideband speech"), ("calls_test", "the calls")):
        before, after = facts.cer(name)
        if before is not None and after is not None and after > before:
            yield _worse(words, before, after, facts.change(name))


def _worse(words: str, before: float, after: float, change: Interval | None) -> str:
    """It is worse where the paired difference says so; where it lies within its interval, or is not known, it may be."""
    sure = change is not None and change.low > 0 and not is_few(change.calls)
    rates = f"CER {in_percent(after)} against {in_percent(before)}{f', difference {change}' if change else ''}"
    return f"On {words} it {'is' if sure else 'may be'} worse than the model it was made from: {rates}."


def licence_note(base: str | None, model_dir: Path) -> str:
    named = f"`{base}`, as its card says" if base else "in its own card"
    return (f"To be decided by whoever gives this model away, within the licence of the base model ({model_dir.name}: {named}) "
            "and what the owners of the recordings have agreed to.")  # fmt: skip

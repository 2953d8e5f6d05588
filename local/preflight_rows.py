"""Are the rows of stage 0 what the stages need? Counted and measured, without opening a sound file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from data import prompt as prompts
from data.leakage import KNOWN_SOUND, Leak, Names, places, shared, ways
from data.manifest import LFR_STEP, RATE, SHIFT, hours, read_rows
from data.row_checks import targets_fit_frames
from data.spelling import counted
from local.contamination import SPEAKERS, in_common, way_on
from local.experiment import Experiment
from local.findings import Finding, fact, fault, worth_knowing

FRAME = LFR_STEP * SHIFT / RATE  # seconds
SHOWN = 3  # characters, or names, of each finding
STRANGE = 0.02  # of all characters: a text of another script or encoding, not a rare name

Row = dict[str, Any]
Rows = dict[Path, list[Row]]


def read_all(files: list[Path]) -> Rows:
    """All rows by file. Raises UserError for what is missing or no row."""
    return {path: read_rows(path) for path in files}


def name_of(path: Path) -> str:
    """`real_8k_telephone/train`."""
    return f"{path.parent.name}/{path.stem}"


def letters(rows: Rows) -> Counter[str]:
    """How often each character is a target's."""
    return Counter(letter for part in rows.values() for row in part for letter in prompts.target(row["messages"]))


def measured(rows: Rows) -> Iterator[Finding]:
    """How much there is of each set."""
    for path, part in rows.items():
        longest = max(row["speech_length"] for row in part) * FRAME
        yield fact(f"{name_of(path)}: {len(part):,} utterances, {hours(part):.2f} h, the longest {longest:.1f} s")


def prompts_fit(rows: Rows, experiment: Experiment) -> Iterator[Finding]:
    """One prompt for stage 0, training and decoding: PROMPT."""
    prompt = experiment["PROMPT"]
    others = Counter(prompts.prompt_of(row["messages"]) for part in rows.values() for row in part)
    del others[prompt]
    for other, count in others.items():
        yield fault(f"{count} rows say {other!r}, PROMPT is {prompt!r}: set it back, or {experiment.command('clean 0')}")


def characters_known(rows: Rows, unknown: Collection[str]) -> Iterator[Finding]:
    """The share of characters that the CTC branch has no token for."""
    for path, part in rows.items():
        counts = letters({path: part})
        strange = Counter({letter: count for letter, count in counts.items() if letter in unknown})
        share = strange.total() / max(1, counts.total())
        shown = " ".join(letter for letter, _ in strange.most_common(SHOWN))
        words = f"{name_of(path)}: {100 * share:.2f} % of the characters are no CTC tokens ({shown}, …)"
        if share > STRANGE:
            yield fault(f"{words}: mend the transcripts, or leave that corpus out")
        elif strange:
            yield worth_knowing(f"{words}: the LLM may know them")
    if rows and not unknown:
        yield fact("every character of the targets is a CTC token")


def targets_fit(rows: Rows) -> Iterator[Finding]:
    """Targets that are longer than CTC can say in the time; `zero_infinity` would hide them."""
    for path, part in rows.items():
        tight = [row["key"] for row in part if any(targets_fit_frames(row))]
        if tight:
            words = f"{len(tight)} of {len(part)} targets are longer than CTC can say in the time (first: {tight[0]})"
            yield worth_knowing(f"{name_of(path)}: {words}: check where they begin and end")


def nothing_leaks(rows: Rows, experiment: Experiment) -> Iterator[Finding]:
    """No sound, recording or key in two of train, dev and test; no speaker either, unless the user knows it."""
    found, known = 0, knows_speakers(experiment)
    for leak in ways(KNOWN_SOUND, known):
        hashes = shared({path: _names(leak, part) for path, part in rows.items()})
        if len(hashes):
            found += 1
            where = next(places(leak, hashes, ((path, row) for path, part in rows.items() for row in part)), "")
            tell = worth_knowing if leak.warning else fault
            words = f"{leak.title}: {len(hashes)} against it ({where})"
            yield tell(f"{words}: mend the manifests, then {experiment.command('clean 0')}")
    if not found:
        yield fact(f"train, dev and test share nothing{', but for speakers (KNOWN_SPEAKERS=1)' if known else ''}")


def tests_are_apart(rows: Rows, experiment: Experiment) -> Iterator[Finding]:
    """Calls and speakers that would stop the scores of a test set, after days of training, stop the run now."""
    trained = [row for path, part in rows.items() if path.stem == "train" for row in part]
    for kind in ("calls",) if knows_speakers(experiment) else ("calls", SPEAKERS):
        for path, part in rows.items():
            if path.stem == "test" and (names := in_common(part, trained, kind)):
                are = "is" if len(names) == 1 else "are"
                words = f"{counted(len(names), kind[:-1])} of {name_of(path)} {are} in train too (first: {names[0]})"
                yield fault(f"{words}: {way_on(kind == SPEAKERS)}")


def knows_speakers(experiment: Experiment) -> bool:
    """Whether the user knows that who speaks in a test set may speak in train too."""
    return experiment["KNOWN_SPEAKERS"] == "1"


def _names(leak: Leak, rows: list[Row]) -> Names:
    names = Names()
    for row in rows:
        names.add(leak.name(row))
    return names

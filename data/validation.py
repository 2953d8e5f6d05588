"""Checks of training JSONL, and the report on it: on the terminal, as JSON, as a page to look at and listen to.

✓ nothing found, ✗ must be mended, ! worth knowing. Files are read line by line; what must be remembered of a
line to compare it with others is a hash of 8 bytes each.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data import prompt as prompts
from data.corpus_report import Survey, lines, printable, summarise, tally, together
from data.files import write_text
from data.leakage import APART, KNOWN_SOUND, LOOKED_UP, SAME_SOUND, SPEAKERS, Leak, Names, is_error, places, repeats, shared, ways
from data.listening import Chosen
from data.report_page import write_page
from data.row_checks import ROW_CHECKS, ROW_WARNINGS, schema
from data.sound_checks import SOUND_CHECKS, SOUND_WARNINGS, bands_fit, listen
from data.spelling import counted
from data.token_list import read_tokens

Row = dict[str, Any]
SHOWN = 3  # findings shown of each check
LONGEST_LINE = 2**24  # bytes


@dataclass
class Verdict:
    """What one check found: how much, and the first of it. A warning fails nothing."""

    name: str
    warning: bool = False
    count: int = 0
    findings: list[str] = field(default_factory=list)

    def hear(self, findings: Iterable[str], where: str = "") -> None:
        for finding in findings:
            self.count += 1
            if len(self.findings) < SHOWN:
                self.findings.append(f"{where}{finding}")

    @property
    def passed(self) -> bool:
        return self.warning or not self.count

    @property
    def mark(self) -> str:
        return "✓" if not self.count else "!" if self.warning else "✗"


@dataclass
class Examined:
    """One file: its verdicts, its numbers, and what it may share with others."""

    path: Path
    verdicts: list[Verdict]
    survey: Survey
    chosen: Chosen
    names: dict[str, Names]


def validate(
    files: list[Path],
    check_audio: bool = False,
    token_list: Path | None = None,
    summary: Path | None = None,
    page: Path | None = None,
    known_speakers: bool = False,
) -> bool:
    """Print a line for every check of every file, and of the splits together; last of all what came out. True when all passed.

    `check_audio` listens to every sound; `token_list` is that of a CTC branch; `summary` and `page` are written;
    splits may share `known_speakers`.
    Raises UserError for an unreadable token list.
    """
    tokens = read_tokens(token_list) if token_list else None
    leaks = ways(SAME_SOUND if check_audio else KNOWN_SOUND, known_speakers)
    examined = [_examine(path, check_audio, tokens, leaks) for path in files]
    overlap = _examine_overlap([one for one in examined if one.survey.utterances], leaks)
    report = _report(examined, overlap)
    if summary:
        write_text(summary, json.dumps(report, ensure_ascii=False, indent=2) + "\n")
        print(f"{summary}: all figures")
    if page:
        write_page(page, report, {printable(str(one.path)): one.chosen.rows for one in examined})
        print(f"{page}: the report, to open in a browser")
    print(_conclusion([verdict for one in examined for verdict in one.verdicts] + overlap))
    return report["passed"]


def _conclusion(verdicts: list[Verdict]) -> str:
    """The last line: which checks failed, and how many warn."""
    failed = ", ".join(f"{verdict.name} ({verdict.count:,} against it)" for verdict in verdicts if not verdict.passed)
    warnings = sum(verdict.mark == "!" for verdict in verdicts)
    if any(verdict.name == SPEAKERS.title and not verdict.passed for verdict in verdicts):
        failed += "; where the same agents serve all customers, say KNOWN_SPEAKERS=1 (--known_speakers)"
    return (f"failed: {failed}" if failed else "all checks passed") + (f"; {counted(warnings, 'warning')}" if warnings else "")


# --- one file --------------------------------------------------------------------------------------------


def _examine(path: Path, check_audio: bool, tokens: frozenset[str] | None, leaks: list[Leak]) -> Examined:
    readable, keys = Verdict("rows can be read"), Names()
    one = Examined(path, [readable], Survey(), Chosen(), {leak.title: Names() for leak in leaks})
    checks = [(Verdict(name), check) for name, check in ROW_CHECKS]
    checks += [(Verdict(name, warning=True), check) for name, check in ROW_WARNINGS]
    heard = _Listener(path.parent.name) if check_audio else None
    questions: Counter[str] = Counter()
    strange = Strange(tokens)
    for row in _rows(path, readable):
        for verdict, check in checks:
            verdict.hear(check(row), f"{row['key']}: ")
        one.survey.add(row, heard.hear(row) if heard else None)
        one.chosen.offer(row)
        for leak in leaks:
            one.names[leak.title].add(leak.name(row))
        keys.add(row["key"])
        tally(questions, prompts.prompt_of(row["messages"]))
        strange.hear(row)
    one.survey.add_rejects(path)
    if not one.survey.utterances and not readable.count:
        readable.hear([f"{path}: holds no utterance; {path.parent / 'rejected' / path.name} may say why"])
    one.verdicts += [_keys_are_unique(path, keys), _prompts_are_one(questions), *(verdict for verdict, _ in checks)]
    one.verdicts += heard.verdicts if heard else []
    one.verdicts += [strange.verdict] if tokens is not None else []
    _print(one)
    return one


class _Listener:
    """Listens to the sound of every row for all checks of it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.checks = [(Verdict(name), check) for name, check in SOUND_CHECKS]
        self.checks += [(Verdict(name, warning=True), check) for name, check in SOUND_WARNINGS]
        self.bands = Verdict("telephone speech ends at 4 kHz, wideband speech does not", warning=True)

    def hear(self, row: Row) -> float | None:
        """The bandwidth of the row's sound, in Hz; None where there is nothing to hear."""
        sound = listen(Path(prompts.audio_path(row["messages"])))
        for verdict, check in self.checks:
            verdict.hear(check(row, sound), f"{row['key']}: ")
        if not row.get("negative"):
            self.bands.hear(bands_fit(row, sound, self.folder), f"{row['key']}: ")
        return sound.bandwidth

    @property
    def verdicts(self) -> list[Verdict]:
        return [*(verdict for verdict, _ in self.checks), self.bands]


def _rows(path: Path, readable: Verdict) -> Iterator[Row]:
    """The rows of a file that can be taken apart; what cannot is told to `readable`."""
    try:
        if not path.is_file():
            readable.hear([f"{path}: no such file; stage 0 makes it"])
            return
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), 1):
                if line.strip():
                    fields, findings = _parse(line)
                    readable.hear(findings, f"{path}:{number}: ")
                    if not findings:
                        yield fields
    except OSError as error:
        readable.hear([f"{path}: {error.strerror}"])


def _parse(line: bytes) -> tuple[Any, list[str]]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        return None, [f"is not JSON ({error})"]
    return fields, list(schema(fields))


def _again(path: Path) -> Iterator[Row]:
    return _rows(path, Verdict("read before"))


def _keys_are_unique(path: Path, keys: Names) -> Verdict:
    verdict, repeated = Verdict("keys are unique"), keys.repeated()
    if len(repeated):
        verdict.hear(repeats(lambda row: row["key"], repeated, _again(path)))
        verdict.count += len(repeated[LOOKED_UP:])
    return verdict


def _prompts_are_one(counts: Counter[str]) -> Verdict:
    """Mixed prompts teach a model two ways of answering."""
    verdict = Verdict("the prompt is one and the same")
    most, *others = counts.most_common() or [("", 0)]
    verdict.hear(f"{count} rows say {words!r}, the others {most[0]!r}" for words, count in others)
    return verdict


@dataclass
class Strange:
    """Characters that the token list of a CTC branch lacks, so that it cannot say them."""

    tokens: frozenset[str] | None
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def hear(self, row: Row) -> None:
        if self.tokens is None:
            return
        for letter in prompts.target(row["messages"]):
            if letter not in self.tokens:
                self.counts[letter] += 1
                self.first.setdefault(letter, row["key"])

    @property
    def verdict(self) -> Verdict:
        verdict = Verdict("every character is a token of the CTC list", warning=True)
        verdict.hear(f"{letter!r} {count} times, first in {self.first[letter]}" for letter, count in self.counts.most_common())
        return verdict


# --- all files -------------------------------------------------------------------------------------------


def _examine_overlap(examined: list[Examined], leaks: list[Leak]) -> list[Verdict]:
    """What train, dev and test share. Every leak is looked for in what was remembered, its names in the files."""
    if len({one.path.stem for one in examined}) < 2:
        return []
    print(f"splits together: {len(examined)} files")
    verdicts = []
    examined = sorted(examined, key=lambda one: one.path.stem not in APART)  # those whose names are to be told come first
    for leak in leaks:
        names = {one.path: one.names[leak.title] for one in examined}
        verdict = Verdict(leak.title, not is_error(leak, names))
        hashes = shared(names)
        if len(hashes):
            rows = ((one.path, row) for one in examined for row in _again(one.path))
            verdict.hear(places(leak, hashes, rows))
            verdict.count += 0 if leak.confirm else len(hashes[LOOKED_UP:])
        _print_verdict(verdict)
        verdicts.append(verdict)
    return verdicts


def _report(examined: list[Examined], overlap: list[Verdict]) -> dict[str, Any]:
    """All that was found, as numbers and words."""
    folders: dict[str, list[Survey]] = {}
    for one in examined:
        folders.setdefault(str(one.path.parent), []).append(one.survey)
    every = [verdict for one in examined for verdict in one.verdicts] + overlap
    return {
        "passed": all(verdict.passed for verdict in every),
        "total": summarise(together(one.survey for one in examined)),
        "folders": {printable(folder): summarise(together(surveys)) for folder, surveys in folders.items()},
        "files": {
            printable(str(one.path)): summarise(one.survey) | {"checks": list(map(_as_fields, one.verdicts))} for one in examined
        },
        "splits_together": list(map(_as_fields, overlap)),
    }


def _as_fields(verdict: Verdict) -> dict[str, Any]:
    return {"mark": verdict.mark} | asdict(verdict) | {"findings": list(map(printable, verdict.findings))}


def _print(one: Examined) -> None:
    first, *others = lines(summarise(one.survey))
    print(printable(f"{one.path}: {first}"))
    for line in others:
        print(printable(f"    {line}"))
    for verdict in one.verdicts:
        _print_verdict(verdict)


def _print_verdict(verdict: Verdict) -> None:
    print(f"  {verdict.mark} {verdict.name}" + (f": {verdict.count:,} against it" if verdict.count else ""))
    for finding in verdict.findings:
        print(f"      {printable(finding)}")
    if verdict.count > len(verdict.findings) == SHOWN:
        print(f"      … and {verdict.count - SHOWN:,} more")

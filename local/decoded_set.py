"""Decoded utterances → the scores of their set, and the lines that tell of them."""

from __future__ import annotations

from data.manifest import hours
from data.prompt import audio_path, target
from data.text import scored_units
from local.alignment import count_edits, marked
from local.bootstrap import difference_interval
from local.buckets import buckets
from local.compare import BRANCHES, Line, call_of
from local.decode import Heard
from local.figures import in_percent
from local.runaway import LENGTH, LOOP
from local.scoring import score
from local.tally import SECONDS_A_FRAME


def decoded(row: dict, heard: Heard) -> Line:
    """The line of an utterance in decode/NAME.jsonl."""
    line = {"key": row["key"], "ref": target(row["messages"]), "llm": heard.llm}
    line |= {"ctc": heard.ctc} if heard.ctc is not None else {}
    line |= {name: row[name] for name in ("call", "speaker") if name in row}
    line |= {"channel": row["channel"]} if isinstance(row.get("channel"), dict) else {}
    line |= {"cut": heard.cut} if heard.cut else {}
    line |= {"llm_errors": marked(scored_units(line["ref"]), scored_units(line["llm"]))}
    seconds = row.get("duration", row["speech_length"] * SECONDS_A_FRAME)
    return line | {"seconds": round(seconds, 3), "audio": audio_path(row["messages"])}


def score_set(
    heard: list[Line], keywords: list[str] | None, listening: bool, classes: dict[str, str] | None = None
) -> dict[str, dict]:
    """Scores of the branches, the parts of the set and, with `listening`, the scores of the LLM's texts dealt out to the wrong
    utterances, and whether that is worse."""
    scores = {"llm": score_llm(heard, keywords, classes)}
    if "ctc" in heard[0]:
        scores["ctc"] = score_branch(heard, "ctc", keywords, classes)
    if listening:
        others = heard[1:] + heard[:1]
        wrong = [line | {"llm": other["llm"]} for line, other in zip(heard, others, strict=True)]
        scores["other_audio"] = score_branch(wrong, "llm", keywords, classes)
        scores["listening"] = score_listening(heard)
    return scores | {"buckets": buckets(heard)}


def score_listening(heard: list[Line]) -> dict:
    """By how many points the CER rises where each utterance is given another one's text, as long as its own, with the 95 %
    interval, paired, by calls (None with a single one).

    In `other_audio` some errors are due to lengths alone: who hears no more than how long somebody speaks would seem to
    listen. So the other text is the next longer one here, cut to the length of the own.
    """
    said = [(scored_units(line["llm"]), scored_units(line["ref"]), call_of(line)) for line in heard]
    said.sort(key=lambda one: len(one[0]))
    texts, refs, calls = (list(side) for side in zip(*said, strict=True))
    others = [other[: len(text)] for text, other in zip(texts, [*texts[1:], *texts[-2:-1]], strict=True)]
    wrong, own = ([count_edits(*pair) for pair in zip(refs, side, strict=True)] for side in (others, texts))
    found = difference_interval(wrong, own, calls)
    if found is None:
        return {"difference": None, "interval": None}
    return {"difference": found.value, "interval": [found.low, found.high], "calls": found.calls}


def score_llm(heard: list[Line], keywords: list[str] | None, classes: dict[str, str] | None) -> dict:
    """The scores of the LLM's texts, with how many of them were cut and why."""
    cut = {reason: sum(line.get("cut") == reason for line in heard) for reason in (LENGTH, LOOP)}
    return score_branch(heard, "llm", keywords, classes) | {"cut": cut}


def score_branch(heard: list[Line], branch: str, keywords: list[str] | None, classes: dict[str, str] | None) -> dict:
    """The scores of the texts that stand under `branch`; calls are drawn for their intervals."""
    refs, hyps = ({line["key"]: line[side] for line in heard} for side in ("ref", branch))
    calls = {line["key"]: call_of(line) for line in heard}
    looped = {line["key"] for line in heard if branch == "llm" and line.get("cut") == LOOP}
    return score(refs, hyps, keywords, calls, classes, looped)


def score_silence(rows: list[dict], heard: list[Line]) -> dict:
    """False alarms where nobody speaks: utterances that were given any text, and how many characters."""
    result: dict = {"hours": hours(rows), "utterances": len(heard)}
    for branch in (branch for branch in BRANCHES if branch in heard[0]):
        lengths = [len(scored_units(line[branch])) for line in heard]
        alarms = sum(map(bool, lengths))
        result[branch] = {"alarms": alarms, "characters": sum(lengths), "per_hour": alarms / result["hours"]}
    return result


def told(title: str, scores: dict[str, dict]) -> str:
    """The line of a set in the log."""
    rates = " ".join(f"{in_percent(scores[branch]['cer'])} ({name})" for branch, name in BRANCHES.items() if branch in scores)
    cuts = ", ".join(f"{count} texts cut by {reason}" for reason, count in scores["llm"]["cut"].items() if count)
    return f"{title}: CER {rates}, {scores['llm']['utterances']} utterances{cuts and ', ' + cuts}"


def silence_told(title: str, scores: dict) -> str:
    """The same of the set in which nobody speaks."""
    rates = " ".join(f"{scores[branch]['per_hour']:.1f} ({name})" for branch, name in BRANCHES.items() if branch in scores)
    return f"{title}: false alarms an hour {rates}, {scores['utterances']} utterances, {60 * scores['hours']:.1f} minutes"

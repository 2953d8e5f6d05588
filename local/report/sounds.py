"""Sounds on the page: telephone speech as small as a telephone made it, pairs with pictures as stage 0's page has them."""

from __future__ import annotations

from collections.abc import Iterator

from data import listening
from data.audio import AudioError, read_audio, resample
from data.listening import Chosen, data_uri
from data.page_parts import sound, words
from data.prompt import audio_path, target
from data.storage import mu_law_wav
from data.telephone_channel import NARROW
from local.report.words import note, tr
from local.tree import Fields, Tree, found_file

LONGEST = 12.0  # seconds of an utterance that is only listened to


def telephone_sound(named: str) -> tuple[str, bool] | None:
    """A sound file as a data URI, mu-law at 8 kHz, and whether it had to be cut; None where it cannot be read."""
    try:
        samples, rate = read_audio(found_file(named))
    except AudioError:
        return None
    whole = resample(samples, rate, NARROW)
    return data_uri("audio/wav", mu_law_wav(whole[: round(LONGEST * NARROW)])), len(whole) > LONGEST * NARROW


def pairs(tree: Tree) -> str:
    """Some simulated utterances before and after the channel, and a call."""
    shown = [card for card in (*_simulated(tree), *_call(tree)) if card]
    if not shown:
        return note("no sounds")
    explained = note("sounds explained", seconds=f"{listening.SECONDS:g}")
    return f"{explained}<div class='samples'>{''.join(shown)}</div>"


def _simulated(tree: Tree) -> Iterator[str]:
    for row in chosen(tree, "simulated_8k_telephone/test"):
        yield _pair(row, "clean", "telephone")


def _call(tree: Tree) -> Iterator[str]:
    for row in chosen(tree, "real_8k_telephone/test")[:1]:
        yield _pair(row, "call file", "call row")


def chosen(tree: Tree, name: str) -> list[Fields]:
    """The few rows of a set whose keys hash lowest."""
    few = Chosen()
    for row in tree.rows(name):
        few.offer(row)
    return few.rows


def _pair(row: Fields, before: str, after: str) -> str:
    """Nothing where neither side can be read."""
    shown = "spectrogram · 频谱图"
    excerpts = ((before, listening.before(row)), (after, listening.after(row)))
    sounds = "".join(sound(f"<b>{tr(title)}</b>", excerpt, shown) for title, excerpt in excerpts)
    if not sounds:
        return ""
    about = " · ".join([words(row["key"]), *map(_fact, listening.drawn(row.get("channel")))])
    said = f"<p class='said' lang='zh'>{words(target(row['messages']))}</p>"
    return f"<article class='card pair'>{said}<p class='soft'>{about}</p><div class='sounds'>{sounds}</div></article>"


def _fact(drawn: str) -> str:
    lost = drawn.removeprefix("frames lost: ")
    return words(drawn) if lost == drawn else tr("frames lost", count=lost)


def paths_of(tree: Tree) -> dict[str, str]:
    """The sound of each test call by key: decoded lines of an older form do not name it."""
    return {row["key"]: audio_path(row["messages"]) for row in tree.rows("real_8k_telephone/test")}

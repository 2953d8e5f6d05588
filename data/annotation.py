"""What transcribers write besides words: one table, with an action for each tag.

Training targets get this clean-up only, never the scoring normaliser: the model's own punctuation is to
survive.
"""

from __future__ import annotations

import re

STRIP, UNWRAP, REJECT = "strip", "unwrap", "reject"

# Tags in angles, square brackets and braces are looked up in lower case.
ACTIONS = {
    # speech nobody could write down: the target would not be what was said
    "[unk]": REJECT,
    "<unk>": REJECT,
    "[*]": REJECT,  # MagicData: unintelligible
    "[pii]": REJECT,  # words withheld to protect a person
    "(())": REJECT,  # LDC, HKUST: unintelligible
    # sounds beside the words; an utterance of nothing else has an empty target and is rejected for that
    **dict.fromkeys(
        ("<sil>", "<music>", "<noise>", "<other>", "<spoken_noise>", "<laugh>", "<cough>", "<breath>",
         "[+]", "[laughter]", "[sonant]", "[music]", "[noise]", "[sil]", "[ens]", "[nps]", "[system]",
         "{breath}", "{laugh}", "{cough}", "{lipsmack}", "{sneeze}"),
        STRIP,
    ),
    # GigaSpeech writes punctuation as tags
    **dict.fromkeys(("<comma>", "<period>", "<questionmark>", "<exclamationpoint>"), STRIP),
    # marks around words that were spoken
    "<foreign>": UNWRAP,
    "</foreign>": UNWRAP,
    "((…))": UNWRAP,
}
ANNOTATION_ERROR = "<annotation_error>"
_UNCLEAR = re.compile(r"\(\((.*?)\)\)")
_TAG = re.compile(
    r"<[A-Za-z/|][^<>]{0,80}>"  # a bare < or > and things like <3 are text
    r"|\[(?:[A-Za-z_]{2,20}|[*+])\]"
    r"|\{[A-Za-z_]{2,20}\}"
)


class Marked(Exception):
    """The text may not become a target. `reason` is a word to count by."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def clean(text: str, filter_annotation_error: bool = True) -> str:
    """The words of a transcript, without tags, blanks tidied.

    Raises Marked for a text that is marked as wrong (with `filter_annotation_error`; otherwise that mark is
    only taken off), that holds a tag whose action is reject or that stands in no table, or that has no
    words.
    """
    words = _TAG.sub(lambda tag: _replace(tag[0], filter_annotation_error), _UNCLEAR.sub(_unwrap, text))
    words = " ".join(words.split())
    if not words:
        raise Marked("empty_text", "has no words" + (f" but tags: {text.strip()}" if text.strip() else ""))
    return words


def _unwrap(match: re.Match[str]) -> str:
    """`((a guess))` is kept as a guess; `(())` says that nobody could make one."""
    if not match[1].strip():
        raise Marked("marked_unintelligible", f"holds {match[0]}")
    return match[1]


def _replace(tag: str, filter_annotation_error: bool) -> str:
    name = tag.lower()
    if name == ANNOTATION_ERROR:
        if filter_annotation_error:
            raise Marked("annotation_error", f"is marked {tag}")
        return ""
    if name.startswith("<foreign "):  # HKUST: <foreign language="English">
        name = "<foreign>"
    action = ACTIONS.get(name)
    if action is None:
        raise Marked("unknown_tag", f"holds the tag {tag}, which is not in data/annotation.py; add it there")
    if action == REJECT:
        raise Marked("marked_unintelligible", f"holds {tag}")
    return " " if action == STRIP else ""

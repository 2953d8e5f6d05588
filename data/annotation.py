"""What transcribers write besides words: one table, with an action and an origin for each tag.

Training targets get this clean-up only, never the scoring normaliser: the model's own punctuation is to
survive. Besides the tags, only what cannot be heard is made alike: full-width letters, digits and signs become
half-width (the punctuation of a Chinese sentence stays as it is), characters without width go, and so do
blanks between Chinese characters; blanks beside Latin words stay.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

STRIP, UNWRAP, REJECT = "strip", "unwrap", "reject"


@dataclass(frozen=True)
class Tag:
    """What happens to a tag, and which corpora or guidelines write it for what."""

    action: str
    origin: str


_LDC = "LDC's guidelines for telephone speech (CALLHOME, Hub-5, HKUST)"
_MAGIC = "MagicData-RAMC"

# Looked up in lower case, without the slash of a region such as [static/] … [/static].
TAGS = {
    # the text is not what was said, or nobody could write it down
    "<annotation_error>": Tag(REJECT, "the transcribers of the calls: this text is wrong"),
    "[*]": Tag(REJECT, f"{_MAGIC}: not to be understood"),
    "[unk]": Tag(REJECT, f"{_MAGIC}: a word not to be understood"),
    "<unk>": Tag(REJECT, "Kaldi, ESPnet, WeNet: a word that the lexicon did not have"),
    "[pii]": Tag(REJECT, f"{_MAGIC}: words withheld to protect a person"),
    "(())": Tag(REJECT, f"{_LDC}: not to be understood"),
    # sounds beside the words; an utterance of nothing else has an empty target and is rejected for that
    "<sil>": Tag(STRIP, "GigaSpeech, AISHELL-4: silence"),
    "<music>": Tag(STRIP, "GigaSpeech: music only"),
    "<noise>": Tag(STRIP, "GigaSpeech, LDC's HKUST: noise"),
    "<other>": Tag(STRIP, "GigaSpeech: any other sound"),
    "<spoken_noise>": Tag(STRIP, "Kaldi's recipes (WSJ, AISHELL): a mouth's sound that is no word"),
    **dict.fromkeys(("<laugh>", "<laughter>", "<cough>", "<breath>"), Tag(STRIP, "LDC's Voicemail guidelines")),
    **dict.fromkeys(
        ("<%>", "<->", "<$>", "<#>", "<_>", "<space>"),
        Tag(STRIP, "AISHELL-4: events beside the words, taken off by its published recipes"),
    ),
    "[+]": Tag(STRIP, f"{_MAGIC}: somebody else speaks at the same time"),
    "[laughter]": Tag(STRIP, f"{_MAGIC}, Switchboard: laughter"),
    "[sonant]": Tag(STRIP, f"{_MAGIC}: cough, sneeze, cleared throat"),
    "[music]": Tag(STRIP, f"{_MAGIC}: music, humming"),
    "[ens]": Tag(STRIP, f"{_MAGIC}: any other noise around"),
    "[nps]": Tag(STRIP, f"{_MAGIC}: somebody who is not the speaker"),
    "[system]": Tag(STRIP, f"{_MAGIC}: noise of the recording system"),
    **dict.fromkeys(("[noise]", "[sil]"), Tag(STRIP, "Switchboard and Kaldi's recipes for it")),
    **dict.fromkeys(("[static]", "[distortion]", "[background]"), Tag(STRIP, f"{_LDC}: not made by the speaker")),
    **dict.fromkeys(
        ("{breath}", "{laugh}", "{cough}", "{lipsmack}", "{sneeze}"), Tag(STRIP, f"{_LDC}: made by the speaker")
    ),
    **dict.fromkeys(
        ("<comma>", "<period>", "<questionmark>", "<exclamationpoint>"), Tag(STRIP, "GigaSpeech: punctuation")
    ),
    # marks around words that were spoken
    **dict.fromkeys(("<foreign>", "</foreign>"), Tag(UNWRAP, f"{_LDC}: <foreign language=\"English\">…</foreign>")),
    "((…))": Tag(UNWRAP, f"{_LDC}: the transcriber's best guess"),
}
ANNOTATION_ERROR = "<annotation_error>"
HAN = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)  # as part of a regular expression's [class]

_SENTENCE = "！（），．：；？～"  # the full-width forms that Chinese sentences are punctuated with
_HALF = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if chr(code) not in _SENTENCE}
_WIDTHLESS = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # control characters that are no blanks
    "\xad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufe00-\ufe0f\U000e0000-\U000e0fff]"  # variation selectors, tags
)
_CHINESE = f"{HAN}\u3001-\u3003\u3008-\u3011\u3014-\u301f{_SENTENCE}"
_BLANK_IN_CHINESE = re.compile(rf"(?<=[{_CHINESE}]) (?=[{_CHINESE}])")
_UNCLEAR = re.compile(r"\(\((.*?)\)\)")
_TAG = re.compile(
    r"<[A-Za-z/|][^<>]{0,80}>|<[%$#_-]>"  # a bare < or > and things like <3 are text
    r"|\[/?[A-Za-z_]{2,20}/?\]|\[[*+]\]"
    r"|\{[A-Za-z_]{2,20}\}"
)


class Marked(Exception):
    """The text may not become a target. `reason` is a word to count by."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def clean(text: str, filter_annotation_error: bool = True) -> str:
    """The words of a transcript, without tags, widths and blanks tidied.

    Raises Marked for a text that is marked as wrong (with `filter_annotation_error`; otherwise that mark is
    only taken off), that holds a tag whose action is reject or that stands in no table, or that has no
    words.
    """
    words = _tidy(text)
    words = _UNCLEAR.sub(_unwrap, words)
    words = _TAG.sub(lambda tag: _replace(tag[0], filter_annotation_error), words)
    words = _BLANK_IN_CHINESE.sub("", " ".join(words.split()))
    if not words:
        raise Marked("empty_text", "has no words" + (f" but tags: {text.strip()}" if text.strip() else ""))
    return words


def is_marked(text: str) -> bool:
    """Does the text say of itself that it is wrong?"""
    return ANNOTATION_ERROR in _tidy(text).lower()


def _tidy(text: str) -> str:
    """Half widths, and nothing without width: it could hide a tag."""
    return text if text.isascii() and text.isprintable() else _WIDTHLESS.sub("", text.translate(_HALF))


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
    if name.startswith("<foreign "):
        name = "<foreign>"
    if name.startswith("["):
        name = name.replace("/", "")
    known = TAGS.get(name)
    if known is None:
        raise Marked("unknown_tag", f"holds the tag {tag}, which is not in data/annotation.py; add it there")
    if known.action == REJECT:
        raise Marked("marked_unintelligible", f"holds {tag}")
    return " " if known.action == STRIP else ""

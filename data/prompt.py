"""The one place where messages are made: the same words in stage 0, in training and in decoding.

Fine-tuning with one prompt and decoding with another makes the model repeat itself, so nobody else writes
one. Hotwords that stand before it are in FunASR's own words, by `local/hotwords.py`.
"""

from __future__ import annotations

from typing import Any

SYSTEM = "You are a helpful assistant."
DEFAULT_PROMPT = "语音转写："
SPEECH_START = "<|startofspeech|>!"
SPEECH_END = "<|endofspeech|>"


def messages(audio: str, text: str, prompt: str = DEFAULT_PROMPT) -> list[dict[str, str]]:
    """The chat of one utterance: the path of its sound file, and the text that the model shall answer."""
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"{prompt}{SPEECH_START}{audio}{SPEECH_END}"},
        {"role": "assistant", "content": text},
    ]


def audio_path(chat: list[dict[str, Any]]) -> str:
    """The path of the sound file that a chat refers to. Raises ValueError when there is not exactly one."""
    _, found, rest = _content(chat, "user").partition(SPEECH_START)
    path, closed, _ = rest.partition(SPEECH_END)
    if not (found and closed and path) or SPEECH_START in rest:
        raise ValueError(f"the user's message holds no single {SPEECH_START}PATH{SPEECH_END}")
    return path


def prompt_of(chat: list[dict[str, Any]]) -> str:
    """The words in front of the speech. Raises ValueError when the chat has no user's message."""
    return _content(chat, "user").partition(SPEECH_START)[0]


def target(chat: list[dict[str, Any]]) -> str:
    """The text that the model shall answer. Raises ValueError when the chat has none."""
    return _content(chat, "assistant")


def _content(chat: list[dict[str, Any]], role: str) -> str:
    found = [turn.get("content") for turn in chat if isinstance(turn, dict) and turn.get("role") == role]
    if len(found) != 1 or not isinstance(found[0], str):
        raise ValueError(f"messages must hold exactly one turn with the role {role!r} and a text")
    return found[0]

"""Messages as the contract writes them, and what can be got back out of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.prompt import audio_path, messages, prompt_of, target

CONTRACT = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "语音转写：<|startofspeech|>!/path/to/8k_audio.wav<|endofspeech|>"},
    {"role": "assistant", "content": "生命只是一个很小的代价"},
]


def test_messages_are_those_of_the_contract():
    assert messages("/path/to/8k_audio.wav", "生命只是一个很小的代价") == CONTRACT


@given(
    st.text(min_size=1).filter(lambda path: "<|" not in path),
    st.text(),
    st.text().filter(lambda p: "<|" not in p),
)
def test_what_goes_in_comes_out(path, text, prompt):
    chat = messages(path, text, prompt)
    assert (audio_path(chat), target(chat), prompt_of(chat)) == (path, text, prompt)


@pytest.mark.parametrize(
    "user",
    [
        "no speech",
        "<|startofspeech|>!open",
        "<|startofspeech|>!<|endofspeech|>",
        "<|startofspeech|>!a<|endofspeech|><|startofspeech|>!b<|endofspeech|>",
    ],
)
def test_a_chat_without_one_sound_file_is_refused(user):
    with pytest.raises(ValueError, match="no single"):
        audio_path([{"role": "user", "content": user}])


@pytest.mark.parametrize(
    "chat",
    [[], [{"role": "assistant"}], [{"role": "assistant", "content": 3}], ["text"], CONTRACT + CONTRACT],
)
def test_a_chat_without_one_answer_is_refused(chat):
    with pytest.raises(ValueError, match="exactly one turn"):
        target(chat)

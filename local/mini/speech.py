"""Mandarin speech from text by espeak-ng, called in process: PyPI's `espeakng-loader` carries library and voices.

The library keeps one voice and one callback a process, so this module does too; use processes, not threads.
"""
from __future__ import annotations

import ctypes
import os
import tempfile
from functools import lru_cache

import espeakng_loader
import numpy as np
import soxr

from local.mini.talkers import Talker

RATE = 16000  # Hz, what `speak` returns
_RETRIEVAL_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: samples go to the callback before espeak_Synth returns
_UTF8 = 1
_CHARACTER_POSITION = 1
_SPEED, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4  # espeak_PARAMETER
_LONGEST_DATA_PATH = 150  # the library copies its data path into a buffer of 160 bytes
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Synthesiser:
    """One initialised espeak-ng; `samples` is filled by its callback."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.native_rate = self.library.espeak_Initialize(_RETRIEVAL_SYNCHRONOUS, 0, _data_path().encode(), 0)
        if self.native_rate <= 0:
            raise OSError(f"espeak-ng found no voices in {espeakng_loader.get_data_path()}: reinstall espeakng-loader")
        self.samples: list[np.ndarray] = []
        self._callback = _CALLBACK(self._keep)  # a reference must live as long as the library may call it
        self.library.espeak_SetSynthCallback(self._callback)
        self.voice = ""

    def _keep(self, wave: ctypes._Pointer[ctypes.c_short], count: int, _events: ctypes.c_void_p) -> int:
        if wave and count > 0:
            self.samples.append(np.ctypeslib.as_array(wave, (count,)).copy())
        return 0

    def speak(self, text: str, talker: Talker) -> np.ndarray:
        """Samples (n,) int16 at `native_rate`."""
        self.library.espeak_SetVoiceByName(f"cmn+{talker.variant}".encode())
        for parameter, value in ((_SPEED, talker.rate), (_VOLUME, 80), (_PITCH, talker.pitch), (_RANGE, talker.range)):
            self.library.espeak_SetParameter(parameter, value, 0)
        self.samples = []
        encoded = text.encode() + b"\0"
        self.library.espeak_Synth(encoded, len(encoded), 0, _CHARACTER_POSITION, 0, _UTF8, None, None)
        return np.concatenate(self.samples) if self.samples else np.zeros(0, np.int16)


def _data_path() -> str:
    """Folder of voices; a short link to it where the real path would not fit into the library's buffer."""
    path = espeakng_loader.get_data_path()
    if len(path.encode()) <= _LONGEST_DATA_PATH:
        return path
    link = os.path.join(tempfile.mkdtemp(prefix="espeak"), "data")
    os.symlink(path, link)
    return link


@lru_cache(maxsize=1)
def _synthesiser() -> _Synthesiser:
    return _Synthesiser()


def speak(text: str, talker: Talker) -> np.ndarray:
    """Say `text`: samples (n,) float32 in ±1 at 16 kHz."""
    synthesiser = _synthesiser()
    native = synthesiser.speak(text, talker).astype(np.float32) / 32768
    return soxr.resample(native, synthesiser.native_rate, RATE).astype(np.float32)

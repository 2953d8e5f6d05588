"""The legs of a call: what the codec of each makes of speech, and of frames that never arrive.

`mu-law` and `a-law` are the fixed network; `amr-nb` and `gsm` (GSM 06.10 full rate) the mobile one; `opus` is
narrowband Opus as internet calls have it. They run inside the process, by the wheels `av` (AMR-NB through
opencore, Opus through libopus) and `soundfile` (GSM). Coding is fixed-point, the same bytes on every machine,
but for Opus, whose encoder counts in floating point and may choose otherwise on another kind of CPU.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
import soundfile

from data import g711_codec
from data.audio import resample, to_int16
from data.errors import UserError
from data.packet_loss import FRAME, frames_in

RATE = 8000
AMR, GSM, OPUS = "amr-nb", "gsm", "opus"
CODECS = (*g711_codec.LAWS, AMR, GSM, OPUS)
RATES: dict[str, tuple[float, ...]] = {  # kb/s; a codec that is not here has only one
    AMR: (4.75, 5.15, 5.9, 6.7, 7.4, 7.95, 10.2, 12.2),  # 3GPP TS 26.071
    OPUS: (6.0, 8.0, 12.0, 16.0, 24.0),  # on average; RFC 7587 recommends 8 to 12 for narrowband speech
}


@dataclass(frozen=True)
class Coder:
    """An encoder and decoder pair of libav, which codes 20 ms at a time."""

    name: str
    decodes_at: int  # Hz
    delay: int  # samples at 8 kHz by which the decoded lag behind the encoded
    options: dict[str, str]


CODERS = {
    # 40: the look-ahead of 5 ms that TS 26.071 gives every rate. Not ffmpeg's own decoder `amrnb`, which
    # conceals nothing
    AMR: Coder("libopencore_amrnb", RATE, 40, {}),
    # 52: the 312 samples at 48 kHz that the encoder names as its pre-skip (RFC 7845) for 20 ms frames
    OPUS: Coder("libopus", 48000, 52, {"application": "voip", "frame_duration": "20"}),
}
CONCEALS = frozenset(CODERS)  # the codecs whose own decoder fills in for frames that were lost
NO_DATA = b"\x7c"  # the header of an AMR frame of type 15 (RFC 4867, 4.3.2), which has nothing else


@cache
def missing(codec: str) -> str | None:
    """Why a codec cannot be used on this machine, with the fix; None when it can."""
    if codec not in CODERS:
        return None
    name = CODERS[codec].name
    try:
        import av

        av.Codec(name, "w"), av.Codec(name, "r")
    except ImportError as error:
        return f"{codec} needs the package av ({error}): pip install -r requirements.txt"
    except ValueError:  # av.codec.codec.UnknownCodecError
        return f"{codec} needs {name}, which this build of av lacks: pip install -r requirements.txt"
    return None


def transmit(samples: np.ndarray, codec: str, kbps: float | None = None, lost: np.ndarray | None = None) -> np.ndarray:
    """(n,) int16 at 8 kHz, encoded and decoded: (n,) int16 with lag 0. Nothing is kept from call to call.

    `kbps` is one of RATES[codec], None for a codec that has only one. `lost`, (frames_in(n),) bool, marks the
    20 ms frames that never reach the decoder, which conceals them: frame i is heard in samples i * 160 to
    (i + 1) * 160 of the output and, fading, in what follows. Only for the codecs of CONCEALS; after the others
    see data.packet_loss. Raises UserError for a codec that is missing here and for a rate that it has not.
    """
    if missing(codec):
        raise UserError(str(missing(codec)))
    if kbps not in RATES.get(codec, (None,)):
        known = ", ".join(map(str, RATES.get(codec, ("no",))))
        raise UserError(f"{codec} has {known} kb/s to choose, not {kbps}")
    if lost is not None and codec not in CONCEALS:
        raise ValueError(f"the decoder of {codec} conceals nothing")
    if codec in g711_codec.LAWS:
        return g711_codec.quantise(samples, codec)
    if not len(samples):
        return samples
    if codec == GSM:
        return decode_gsm(encode_gsm(samples))[: len(samples)]
    assert kbps is not None  # RATES has seen to it
    frames = encode(samples, codec, kbps)
    if lost is not None:
        frames = drop(frames, codec, lost)
    return decode(frames, codec)[FRAME : FRAME + len(samples)]


def encode(samples: np.ndarray, codec: str, kbps: float) -> list[bytes]:
    """(n,) int16 to frames_in(n) + 1 coded frames: one that leads in, then one for every 20 ms.

    The silence ahead is what the codec's delay leaves of the first frame, so that the decoded frames fall
    on the 20 ms grid of the samples.
    """
    import av

    coder = CODERS[codec]
    padded = np.zeros((1, (frames_in(len(samples)) + 1) * FRAME), np.int16)
    padded[0, FRAME - coder.delay :][: len(samples)] = samples
    context = av.CodecContext.create(coder.name, "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = RATE, "mono", "s16"
    context.bit_rate, context.options = round(kbps * 1000), coder.options
    sound = av.AudioFrame.from_ndarray(padded, format="s16", layout="mono")
    sound.sample_rate = RATE
    return [bytes(packet) for packet in context.encode(sound)]


def drop(frames: list[bytes], codec: str, lost: np.ndarray) -> list[bytes]:
    """The frames of `encode`, with what tells a decoder to conceal in the place of the lost ones.

    That is NO_DATA in AMR-NB; in Opus the frame's first byte alone, for a frame of no length is a lost one
    (RFC 6716, 3.2.1). The frame that leads in never gets lost.
    """
    gaps = [NO_DATA if codec == AMR else frame[:1] for frame in frames]
    return [gap if gone else frame for gap, frame, gone in zip(gaps, frames, [False, *lost], strict=True)]


def decode(frames: list[bytes], codec: str) -> np.ndarray:
    """Coded frames to (160 * frames,) int16 at 8 kHz."""
    import av

    coder = CODERS[codec]
    context = av.CodecContext.create(coder.name, "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout = coder.decodes_at, "mono"
    heard = [sound.to_ndarray()[0] for frame in frames for sound in context.decode(av.Packet(frame))]
    samples = np.concatenate(heard)
    if coder.decodes_at == RATE:
        return samples
    return to_int16(resample(samples / np.float32(32768), coder.decodes_at, RATE))


def encode_gsm(samples: np.ndarray) -> bytes:
    """(n,) int16 to frames_in(n) frames of 33 bytes. GSM 06.10 has no delay beyond its frame."""
    coded = io.BytesIO()
    soundfile.write(coded, samples, RATE, format="RAW", subtype="GSM610")
    return coded.getvalue()


def decode_gsm(coded: bytes) -> np.ndarray:
    """Frames of 33 bytes to (160 * frames,) int16."""
    kind = {"samplerate": RATE, "channels": 1, "format": "RAW", "subtype": "GSM610"}
    return soundfile.read(io.BytesIO(coded), dtype="int16", **kind)[0]

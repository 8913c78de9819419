"""Speech by espeak-ng, through its C library, with the same samples for the same call."""

import _ctypes
import ctypes
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from amanda.store.errors import AmandaError, InputError

RATE_HZ = 22050
_SYNCHRONOUS_RETRIEVAL = 2
_CHARS_UTF8, _END_PAUSE = 1, 0x1000
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A speaker's voice at rest.

    Attributes:
        name: espeak-ng's voice and variant, as "en-gb+f3".
        pitch, range: 0 to 100, 50 is the voice's own.
        rate: words a minute.
    """

    name: str
    pitch: float
    range: float
    rate: float


def library_files() -> tuple[Path, Path]:
    """espeak-ng's library and data folder.

    Raises:
        InputError: the package is not installed.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise InputError(
            "the stand-in corpora need the package espeakng-loader for their voices; "
            "install the extra: pip install 'amanda[standin]'"
        ) from error
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())


def speak(text: str, voice: Voice, seed: int) -> Float32[np.ndarray, "samples"]:
    """`text` spoken, at `RATE_HZ`, -1 to 1.

    The library keeps state from call to call (the flutter of its voices, random numbers seeded by
    the clock). It is loaded anew each time, 0.4 ms, and seeded, so that what came before does not
    matter.

    Raises:
        AmandaError: espeak-ng knows no such voice, or made no sound.
    """
    library_path, data_path = library_files()
    library = ctypes.CDLL(str(library_path))
    pieces: list[np.ndarray] = []

    def collect(samples, n: int, _events) -> int:  # type: ignore[no-untyped-def]
        if samples and n > 0:
            pieces.append(np.ctypeslib.as_array(samples, (n,)).copy())
        return 0

    callback = _CALLBACK(collect)
    try:
        rate_hz = library.espeak_Initialize(_SYNCHRONOUS_RETRIEVAL, 0, str(data_path).encode(), 0)
        if rate_hz != RATE_HZ:
            raise AmandaError(f"espeak-ng could not start from {data_path} (answer {rate_hz})")
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.name.encode()):
            raise AmandaError(f"espeak-ng has no voice '{voice.name}' in {data_path}")
        if hasattr(library, "espeak_ng_SetRandSeed"):
            library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
            library.espeak_ng_SetRandSeed(_positive(seed))
        for parameter, value in (
            (_RATE, voice.rate),
            (_VOLUME, 100),
            (_PITCH, min(99, max(0, voice.pitch))),
            (_RANGE, min(99, max(0, voice.range))),
        ):
            library.espeak_SetParameter(parameter, round(value), 0)
        raw = text.encode() + b"\0"
        library.espeak_Synth(raw, len(raw), 0, 0, 0, _CHARS_UTF8 | _END_PAUSE, None, None)
        library.espeak_Synchronize()
        library.espeak_Terminate()
    finally:
        if hasattr(_ctypes, "dlclose"):
            _ctypes.dlclose(library._handle)
    if not pieces:
        raise AmandaError(f"espeak-ng made no sound of '{text}' with voice '{voice.name}'")
    return _trim(np.concatenate(pieces).astype(np.float32) / 32768)


def _positive(seed: int) -> int:
    return int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:3], "big") + 1


def _trim(sound: Float32[np.ndarray, "samples"]) -> Float32[np.ndarray, "trimmed"]:
    """Without the silence at both ends, but 40 ms of it."""
    loud = np.flatnonzero(np.abs(sound) > 0.01)
    if not len(loud):
        return sound
    keep = RATE_HZ // 25
    return sound[max(0, loud[0] - keep) : loud[-1] + keep]

"""Speech to features: hidden states of a pretrained speech encoder, one vector each 20 ms.

Two families: Whisper's encoder (`extractors.whisper`), and encoders with a convolutional front end
over the waveform: wav2vec 2.0, HuBERT, WavLM and their kin (`extractors.wav2vec2`). Each says how a
clip becomes pieces that it can run, in batches, without one clip touching another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from amanda.store.errors import InputError
from extractors.audio import refused_waveform
from extractors.base import Extractor, SequenceFeatures
from extractors.compute import Compute, halving
from extractors.pretrained import batch_budget, batches_by_length, check_layers, to_numpy
from extractors.profiles import AcousticSettings
from extractors.weights import find

MODALITY = "acoustic"
SAMPLE_RATE_HZ = 16_000
MIN_SAMPLES = 400
"""25 ms: what the first frame of wav2vec 2.0 needs, and one analysis window of Whisper."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """A stretch of a clip's frames that runs at once: start to stop, of which keep is kept."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


@runtime_checkable
class SpeechEncoder(Protocol):
    """One family of models.

    Attributes:
        n_blocks, width: of the transformer.
        hop_s, first_s: time between frames, and of the centre of the first.
        max_frames: the longest window it can run; 0: no limit of its own.
        description: what it does to a waveform, for `preprocessing`.
    """

    n_blocks: int
    width: int
    hop_s: float
    first_s: float
    max_frames: int
    description: str
    device: torch.device

    def n_frames(self, n_samples: int) -> int: ...

    def prepare(self, waveform: Float[np.ndarray, "samples"]) -> Any:
        """Whatever is computed once over a whole clip: normalisation, a spectrogram."""
        ...

    def run(
        self, prepared: Sequence[Any], windows: Sequence[Window]
    ) -> Float[Tensor, "batch time layers width"]:
        """Features of one window of each clip, padded to the longest."""
        ...


def build(settings: AcousticSettings, *, device: str | torch.device = "cpu") -> Extractor:
    """The extractor of a profile's acoustic section.

    Raises:
        InputError: the weights are missing or damaged, the model is of no known family, has no
            such block, or a setting does not fit it.
    """
    located = find(settings.model, settings.revision)
    compute = settings.compute(torch.device(device))
    encoder = _load(located.path, settings, compute)
    check_layers(settings.layers, encoder.n_blocks, settings.model)
    window, overlap = _window_frames(encoder, settings)
    attrs = {
        "extractor": settings.made_by,
        "model": Path(settings.model).name if located.revision == "local" else settings.model,
        "revision": located.revision,
        "sha256": located.sha256,
        "layers": list(settings.layers),
        "rate_hz": _pooled_rate_hz(encoder, settings),
        "dtype": "float32",
        "compute": compute.description,
        "preprocessing": f"16 kHz mono; {encoder.description}; clips over "
        f"{window * encoder.hop_s:g} s in windows of that length overlapping "
        f"{overlap * encoder.hop_s:g} s, joined at its middle; last block {settings.last_block}"
        f"{_pooling_note(settings)}{compute.precision_note}",
    }
    return AcousticExtractor(
        encoder=encoder, settings=settings, window=window, overlap=overlap, attrs=attrs
    )


def _load(path: Path, settings: AcousticSettings, compute: Compute) -> SpeechEncoder:
    from extractors.wav2vec2 import load_wav2vec2
    from extractors.whisper import is_whisper, load_whisper

    if is_whisper(path):
        return load_whisper(path, settings, compute)
    if settings.full_window:
        raise InputError(f"full_window is for Whisper models, and {settings.model} is another")
    return load_wav2vec2(path, settings, compute)


def _window_frames(encoder: SpeechEncoder, settings: AcousticSettings) -> tuple[int, int]:
    """Length and overlap of windows, in frames."""
    window = round(settings.window_s / encoder.hop_s)
    overlap = round(settings.overlap_s / encoder.hop_s)
    if encoder.max_frames and window > encoder.max_frames:
        raise InputError(
            f"window_s {settings.window_s:g}: {settings.model} takes at most "
            f"{encoder.max_frames * encoder.hop_s:g} s"
        )
    if not 0 <= overlap < window:
        raise InputError(
            f"overlap_s {settings.overlap_s:g} must be below window_s {settings.window_s:g}, and "
            f"window_s at least {encoder.hop_s:g}"
        )
    return window, overlap


def _pooled_rate_hz(encoder: SpeechEncoder, settings: AcousticSettings) -> float:
    """Vectors a second; 0 for one vector a clip."""
    return 1 / (encoder.hop_s * settings.pool_frames) if settings.pool_frames else 0.0


def _pooling_note(settings: AcousticSettings) -> str:
    if settings.pool_frames == 1:
        return ""
    if settings.pool_frames == 0:
        return "; mean of the clip"
    return f"; means of {settings.pool_frames} frames"


def pool_frames(
    frames: Float[np.ndarray, "time *shape"], n: int
) -> Float[np.ndarray, "pooled *shape"]:
    """Means of `n` consecutive frames, the last of those that are left; 0: of all of them."""
    if n == 1 or not len(frames):
        return frames
    starts = np.arange(0, len(frames), n or len(frames))
    counts = np.diff([*starts, len(frames)])
    sums = np.add.reduceat(frames, starts, axis=0, dtype=np.float64)
    return (sums / counts.reshape(-1, *(1,) * (frames.ndim - 1))).astype(frames.dtype)


def plan_windows(n_frames: int, window: int, overlap: int) -> list[Window]:
    """Windows that cover `n_frames`, all of full length, kept parts end to end.

    >>> [(w.start, w.stop, w.keep_start, w.keep_stop) for w in plan_windows(22, 10, 4)]
    [(0, 10, 0, 8), (6, 16, 8, 14), (12, 22, 14, 22)]
    """
    if n_frames <= window:
        return [Window(start=0, stop=n_frames, keep_start=0, keep_stop=n_frames)]
    starts = [*range(0, n_frames - window, window - overlap), n_frames - window]
    # A kept part ends in the middle of what two neighbours share.
    cuts = [(a + window + b) // 2 for a, b in pairwise(starts)]
    return [
        Window(start=start, stop=start + window, keep_start=keep_start, keep_stop=keep_stop)
        for start, keep_start, keep_stop in zip(starts, [0, *cuts], [*cuts, n_frames], strict=True)
    ]


class AcousticExtractor:
    """16 kHz mono waveforms to frame features; see `extractors.base.Extractor`."""

    modality = MODALITY

    def __init__(
        self,
        *,
        encoder: SpeechEncoder,
        settings: AcousticSettings,
        window: int,
        overlap: int,
        attrs: Mapping[str, Any],
    ):
        self.encoder = encoder
        self.settings = settings
        self.window = window
        self.overlap = overlap
        self.attrs = attrs
        self.n_layers = len(settings.layers)
        self.width = encoder.width
        self.least = next(n for n in count(MIN_SAMPLES) if encoder.n_frames(n) >= 1)

    def __call__(self, clips: Sequence[Float[np.ndarray, "_"]]) -> list[SequenceFeatures]:
        """Features of each waveform, in the order given.

        `time_s` is the centre of the stretch of sound that a frame looks at. Status is `no_audio`
        for an empty waveform, `too_short` under 25 ms, `unreadable` where samples are not finite.
        """
        features: list[SequenceFeatures | None] = [self._refused(clip) for clip in clips]
        pieces: list[tuple[int, Window]] = []
        values: dict[int, np.ndarray] = {}
        prepared: dict[int, Any] = {}
        for i, clip in enumerate(clips):
            if features[i] is None:
                n_frames = self.encoder.n_frames(len(clip))
                values[i] = np.empty((n_frames, self.n_layers, self.width), np.float32)
                prepared[i] = self.encoder.prepare(np.asarray(clip, np.float32))
                pieces += [(i, w) for w in plan_windows(n_frames, self.window, self.overlap)]
        lengths = [window.stop - window.start for _, window in pieces]

        def run(chosen: list[tuple[int, Window]]) -> list[Tensor]:
            return list(self.encoder.run([prepared[i] for i, _ in chosen], [w for _, w in chosen]))

        for batch in batches_by_length(lengths, self._budget_frames()):
            chosen = [pieces[j] for j in batch]
            out = halving(chosen, run, self.encoder.device)
            for (i, window), piece in zip(chosen, out, strict=True):
                kept = piece[window.keep_start - window.start : window.keep_stop - window.start]
                where = f"acoustic, {self.attrs['model']}, a clip of {len(clips[i])} samples"
                values[i][window.keep_start : window.keep_stop] = to_numpy(kept, where)
        return [done or self._features(values[i]) for i, done in enumerate(features)]

    def _budget_frames(self) -> int:
        seconds = self.settings.seconds_per_batch
        asked = None if seconds is None else max(1, round(seconds / self.encoder.hop_s))
        return batch_budget(asked, self.encoder.device, cpu=500, gpu=12_000)

    def _features(self, values: Float[np.ndarray, "time layers width"]) -> SequenceFeatures:
        time_s = self.encoder.first_s + self.encoder.hop_s * np.arange(len(values))
        values, time_s = (pool_frames(a, self.settings.pool_frames) for a in (values, time_s))
        return SequenceFeatures(values=values, time_s=time_s, valid=np.ones(len(values), bool))

    def _refused(self, clip: np.ndarray) -> SequenceFeatures | None:
        """The empty answer for a waveform that cannot be used, with the reason."""
        refused = refused_waveform(clip, self.least)
        if refused is None:
            return None
        status, detail = refused
        return SequenceFeatures.none(self.n_layers, self.width, status=status, detail=detail)

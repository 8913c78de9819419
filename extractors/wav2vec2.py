"""wav2vec 2.0, HuBERT, WavLM and their kin as speech encoders.

The base models' group norm takes statistics over a clip's whole time, so padding in a batch
changes every frame (block 12 by a third). Here the convolutional front end runs clip by clip, and
only the transformer runs on padded batches, with a mask: equal to a clip alone up to rounding, for
group norm and layer norm models alike. Each clip is normalised before it is padded.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from amanda.store.errors import InputError
from extractors.acoustic import SAMPLE_RATE_HZ, Window
from extractors.compute import Compute
from extractors.pretrained import (
    length_mask,
    load_encoder,
    load_preprocessor,
    model_type,
    run_blocks,
)
from extractors.profiles import AcousticSettings

PADDED = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat")
# Several convolutions over time in a row: what the first makes of the padding, the next one sees.
ONE_BY_ONE = ("data2vec-audio", "wav2vec2-conformer")
FAMILY = (*PADDED, *ONE_BY_ONE)


class Wav2Vec2Encoder:
    """See `extractors.acoustic.SpeechEncoder`."""

    def __init__(self, model: Any, normalise: bool, settings: AcousticSettings, compute: Compute):
        self.model = model  # transformers' PreTrainedModel
        self.compute = compute
        compute.compile_blocks(model.encoder.layers)
        self.normalise = normalise
        self.settings = settings
        config = self.model.config
        self.n_blocks = int(config.num_hidden_layers)
        self.width = int(config.hidden_size)
        self.stride, self.field = _stride_and_field(config.conv_kernel, config.conv_stride)
        self.hop_s = self.stride / SAMPLE_RATE_HZ
        self.first_s = self.field / 2 / SAMPLE_RATE_HZ
        self.max_frames = 0  # relative positions: any length
        scale = "zero mean and unit variance a clip" if normalise else "as it is"
        self.description = f"waveform {scale}"
        self.device = compute.device

    def n_frames(self, n_samples: int) -> int:
        return (n_samples - self.field) // self.stride + 1

    def prepare(self, waveform: Float[np.ndarray, "samples"]) -> Float[Tensor, "samples"]:
        """The whole clip normalised, as transformers' Wav2Vec2FeatureExtractor does."""
        if self.normalise:
            waveform = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)
        return torch.from_numpy(waveform)

    def run(
        self, prepared: Sequence[Tensor], windows: Sequence[Window]
    ) -> Float[Tensor, "batch time layers width"]:
        with self.compute.running(), warnings.catch_warnings():
            # transformers' WavLM gives torch masks of two types: right, but torch says it will end.
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            fronts = [
                self._front(waveform, window)
                for waveform, window in zip(prepared, windows, strict=True)
            ]
            if self.model.config.model_type in PADDED:
                return self._transformer(fronts)
            return nn.utils.rnn.pad_sequence([self._transformer([f])[0] for f in fronts], True)

    def _front(
        self, waveform: Float[Tensor, "samples"], window: Window
    ) -> Float[Tensor, "time channels"]:
        """The convolutional front end over one window of one clip."""
        first = window.start * self.stride
        last = (window.stop - 1) * self.stride + self.field
        if window.stop == self.n_frames(len(waveform)):
            last = len(waveform)  # too few samples for a frame more, but group norm counts them
        piece = waveform[first:last].to(self.device)
        return self.model.feature_extractor(piece[None])[0].T

    def _transformer(
        self, fronts: Sequence[Float[Tensor, "_ channels"]]
    ) -> Float[Tensor, "batch time layers width"]:
        hidden = self.model.feature_projection(nn.utils.rnn.pad_sequence(list(fronts), True))
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        mask = length_mask([len(front) for front in fronts], self.device)
        return run_blocks(
            self.model.encoder.layers,
            self.settings.layers,
            self.settings.last_block,
            lambda: self.model.encoder(hidden, attention_mask=mask).last_hidden_state,
        )


def load_wav2vec2(path: Path, settings: AcousticSettings, compute: Compute) -> Wav2Vec2Encoder:
    """The model of a folder.

    Raises:
        InputError: it is of another family, or nothing says whether waveforms are normalised.
    """
    from transformers import AutoFeatureExtractor

    kind = model_type(path)
    if kind not in FAMILY:
        raise InputError(
            f"{path}: a model of type '{kind}'; speech encoders known here are whisper, "
            f"{', '.join(FAMILY)}"
        )
    normalise = settings.normalise
    if normalise is None:
        what = "feature extractor, which says whether waveforms are normalised (or set `normalise`)"
        extractor = load_preprocessor(AutoFeatureExtractor, path, what)
        normalise = bool(extractor.do_normalize)
    model = load_encoder(path, device=compute.device)
    return Wav2Vec2Encoder(model, normalise, settings, compute)


def _stride_and_field(kernels: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Samples from frame to frame, and samples that one frame sees: 320 and 400 as published."""
    field = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        field = (field - 1) * stride + kernel
    return int(np.prod(strides)), field

"""Whisper's encoder as a speech encoder, run on a clip's own frames.

Whisper was trained on 30 s windows, a clip at the front and silence behind it, and transformers
refuses shorter input. Run on the clip's own frames, with the table of positions cut to them, a 3 s
clip takes a tenth of the time; the frames then do not attend to the silence, so features differ
from those in a full window (`full_window: true` gives the latter). On windows of the full 30 s the
two are the same.

The log-mel spectrogram is, frame by frame, the one that transformers computes for a clip followed
by silence: the clip is padded by as much silence as the last frames look at. Its floor (8 below the
maximum) is the whole clip's, also where a long clip is cut into windows.
"""

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

CTRANSLATE2_FILE = "model.bin"
MELS_A_FRAME = 2  # conv2's stride


def is_whisper(path: Path) -> bool:
    """Whether a folder holds a Whisper model, of CTranslate2 or of transformers."""
    return (path / CTRANSLATE2_FILE).is_file() or model_type(path) == "whisper"


class WhisperSpeechEncoder:
    """See `extractors.acoustic.SpeechEncoder`."""

    def __init__(self, encoder: Any, mel: Any, settings: AcousticSettings, compute: Compute):
        """`encoder` is transformers' WhisperEncoder, `mel` its WhisperFeatureExtractor."""
        if settings.normalise:
            raise InputError(
                "normalise: true is not for Whisper, which takes waveforms as they are"
            )
        self.encoder = encoder
        self.compute = compute
        compute.compile_blocks(encoder.layers)
        self.mel = mel
        self.settings = settings
        self.n_blocks = len(self.encoder.layers)
        self.width = int(self.encoder.config.d_model)
        self.samples_a_frame = MELS_A_FRAME * mel.hop_length
        self.hop_s = self.samples_a_frame / SAMPLE_RATE_HZ
        self.first_s = 0.0  # analysis windows are centred
        self.max_frames = int(self.encoder.config.max_source_positions)
        frames = "in a silent 30 s window" if settings.full_window else "on the clip's own frames"
        self.description = f"log-mel {mel.feature_size}, {frames}"
        self.device = compute.device

    def n_frames(self, n_samples: int) -> int:
        return -(-n_samples // self.samples_a_frame)

    def prepare(self, waveform: Float[np.ndarray, "samples"]) -> Float[Tensor, "mels frames"]:
        """Log-mel spectrogram of the clip, two columns a frame, silence beyond its end."""
        n_mels = MELS_A_FRAME * self.n_frames(len(waveform))
        n_samples = n_mels * self.mel.hop_length + self.mel.n_fft
        window = self.max_frames * self.samples_a_frame
        if len(waveform) <= window:
            n_samples = window if self.settings.full_window else min(n_samples, window)
        features = self.mel(
            np.pad(waveform, (0, n_samples - len(waveform))),
            sampling_rate=SAMPLE_RATE_HZ,
            padding=False,
            truncation=False,
            return_tensors="pt",
        )["input_features"][0]
        keep = features.shape[-1] if self.settings.full_window else n_mels
        return features[:, :keep].float()

    def run(
        self, prepared: Sequence[Tensor], windows: Sequence[Window]
    ) -> Float[Tensor, "batch time layers width"]:
        lengths = [window.stop - window.start for window in windows]
        if self.settings.full_window:
            lengths = [self.max_frames] * len(windows)
        pieces = [
            mel[:, MELS_A_FRAME * window.start : MELS_A_FRAME * (window.start + length)]
            for mel, window, length in zip(prepared, windows, lengths, strict=True)
        ]
        longest = max(lengths) * MELS_A_FRAME
        # Zeros, since that is what a convolution sees beyond the end of a clip by itself.
        padded = [nn.functional.pad(piece, (0, longest - piece.shape[1])) for piece in pieces]
        mels = torch.stack(padded).to(self.device)
        with self.compute.running():
            return run_blocks(
                self.encoder.layers,
                self.settings.layers,
                self.settings.last_block,
                lambda: self._forward(mels, lengths),
            )

    def _forward(
        self, mels: Float[Tensor, "batch mels frames"], lengths: Sequence[int]
    ) -> Float[Tensor, "batch time width"]:
        """transformers' `WhisperEncoder.forward` for any length, with a mask."""
        encoder = self.encoder
        hidden = nn.functional.gelu(encoder.conv1(mels))
        hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        inside = length_mask(lengths, self.device)
        mask = None
        if inside is not None:
            mask = torch.zeros(inside.shape, dtype=hidden.dtype, device=self.device)
            mask = mask.masked_fill(~inside, torch.finfo(hidden.dtype).min)[:, None, None, :]
            mask = mask.expand(-1, 1, hidden.shape[1], -1)
        for layer in encoder.layers:
            out = layer(hidden, mask)
            hidden = out[0] if isinstance(out, tuple) else out
        return encoder.layer_norm(hidden)


def load_whisper(path: Path, settings: AcousticSettings, compute: Compute) -> WhisperSpeechEncoder:
    """The encoder of a folder in CTranslate2's or transformers' form."""
    from transformers import WhisperFeatureExtractor

    if (path / CTRANSLATE2_FILE).is_file():
        from extractors.whisper_ct2 import load_whisper_encoder

        encoder: Any = load_whisper_encoder(path / CTRANSLATE2_FILE)
        encoder.to(compute.device)
        mel: Any = WhisperFeatureExtractor(feature_size=int(encoder.config.num_mel_bins))
    else:
        mel = load_preprocessor(WhisperFeatureExtractor, path, "feature extractor")
        encoder = load_encoder(path, device=compute.device).get_encoder()
    return WhisperSpeechEncoder(encoder, mel, settings, compute)

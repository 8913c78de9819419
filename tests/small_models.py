"""Small models with random weights and small recordings, for tests of the extraction."""

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import torch
import transformers
import yaml

from extractors.faces import Detections

WORDS = (*"abcdefghijklmnopqrstuvwxyz", "happy", "sad", "angry", "home", "never")


class BrightSquares:
    """A detector for drawn recordings: the face is the bright square on a dark ground."""

    OVERLAP = 0.4

    def __init__(self, *_: Any, device: torch.device, threshold: float = 0.5, **_options: Any):
        self.device, self.threshold = device, threshold
        self.attrs: Mapping[str, Any] = {"detector": "bright squares"}

    def __call__(self, frames: np.ndarray) -> list[Detections]:
        return [self._one(frame.mean(axis=-1) > 120) for frame in frames]

    def _one(self, bright: np.ndarray) -> Detections:
        rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
        if not len(rows):
            return Detections(boxes=np.zeros((0, 4), np.float32), scores=np.zeros(0, np.float32))
        box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        return Detections(
            boxes=np.array([box], np.float32), scores=np.array([bright.mean() + 0.5], np.float32)
        )


def write_keras_mini_xception(path: Path, seed: int = 0) -> Path:
    """A file with the layers and names of the published one, and random values."""
    rng = np.random.default_rng(seed)
    widths = (8, 16, 32, 64, 128)
    layers: dict[str, dict[str, tuple[int, ...]]] = {
        "conv2d_1": {"kernel": (3, 3, 1, 8)},
        "conv2d_2": {"kernel": (3, 3, 8, 8)},
        "conv2d_7": {"kernel": (3, 3, 128, 7), "bias": (7,)},
    }
    norms = {1: 8, 2: 8}
    for k, (n_in, n_out) in enumerate(pairwise(widths), start=1):
        layers[f"conv2d_{k + 2}"] = {"kernel": (1, 1, n_in, n_out)}
        for i, before in enumerate((n_in, n_out)):
            layers[f"separable_conv2d_{2 * k - 1 + i}"] = {
                "depthwise_kernel": (3, 3, before, 1),
                "pointwise_kernel": (1, 1, before, n_out),
            }
        norms |= {3 * k: n_out, 3 * k + 1: n_out, 3 * k + 2: n_out}
    for number, width in norms.items():
        layers[f"batch_normalization_{number}"] = dict.fromkeys(
            ("gamma", "beta", "moving_mean", "moving_variance"), (width,)
        )
    with h5py.File(path, "w") as file:
        model = file.create_group("model_weights")
        for layer, arrays in layers.items():
            group = model.create_group(layer)
            names = [f"{layer}_1/{name}:0" for name in arrays]
            group.attrs["weight_names"] = np.array(names, "S")
            for full, (name, shape) in zip(names, arrays.items(), strict=True):
                fan_in = int(np.prod(shape[:-1])) if len(shape) == 4 else 1
                values = rng.normal(size=shape) / np.sqrt(fan_in)
                if name == "depthwise_kernel":
                    values *= np.sqrt(fan_in) / 3
                if name in ("gamma", "moving_variance"):
                    values = np.abs(values) + 0.5
                group[full] = values.astype(np.float32)
    return path


def write_models(folder: Path) -> Path:
    """A profile file of small models of all three modalities; they need no cache, no network."""
    torch.manual_seed(0)
    acoustic = transformers.Wav2Vec2Model(
        transformers.Wav2Vec2Config(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=16,
            conv_dim=(8,) * 7,
            num_conv_pos_embeddings=8,
            num_conv_pos_embedding_groups=2,
            vocab_size=8,
        )
    )
    acoustic.save_pretrained(folder / "acoustic")
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder / "acoustic")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    lexical = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=32,
        )
    )
    lexical.save_pretrained(folder / "lexical")
    (folder / "lexical" / "vocab.txt").write_text("\n".join(vocabulary))
    transformers.BertTokenizerFast(
        vocab={word: i for i, word in enumerate(vocabulary)}
    ).save_pretrained(folder / "lexical")
    write_keras_mini_xception(folder / "expression.hdf5")
    (folder / "detector.pth").write_bytes(b"BrightSquares has no weights")
    profile = {
        "acoustic": {"model": str(folder / "acoustic"), "layers": [1, 2]},
        "lexical": {"model": str(folder / "lexical"), "layers": [2], "language": "en"},
        "visual": {
            "n_frames": 4,
            "detector": "retinaface",
            "detector_weights": str(folder / "detector.pth"),
            "model": "mini_xception",
            "weights": str(folder / "expression.hdf5"),
            "crop_px": 64,
        },
    }
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(profile))
    return path


def write_recording(
    path: Path,
    seconds: float,
    *,
    face: bool = True,
    sound: bool = True,
    picture: bool = True,
    seed: int = 0,
) -> Path:
    """Noise, and a bright textured square that drifts over a dark picture of 96 × 64 at 10 fps."""
    rng = np.random.default_rng(seed)
    rate_hz, fps = 16_000, 10
    texture = rng.integers(160, 255, (32, 32, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        if picture:
            video = container.add_stream("mpeg4", rate=fps)
            video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        if sound:
            codec = "pcm_s16le" if path.suffix in (".wav", ".avi") else "aac"
            audio = container.add_stream(codec, rate=rate_hz, layout="mono")
        for k in range(round(seconds * fps) if picture else 0):
            image = np.zeros((64, 96, 3), np.uint8)
            if face:
                at = 8 + k % 40
                image[16:48, at : at + 32] = texture
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, fps)
            container.mux(video.encode(frame))
        if picture:
            container.mux(video.encode())
        if sound:
            kind = audio.codec_context.format.name
            noise = rng.normal(0, 0.1, (1, round(seconds * rate_hz))).astype(np.float32)
            for at in range(0, noise.shape[1], 1024):
                part = np.ascontiguousarray(noise[:, at : at + 1024])
                data = (part * 32767).astype(np.int16) if "s16" in kind else part
                frame = av.AudioFrame.from_ndarray(data, format=kind, layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = rate_hz, at, Fraction(1, rate_hz)
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path

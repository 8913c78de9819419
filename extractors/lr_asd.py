"""LR-ASD: is this face the one that speaks? (Liao et al. 2025, IJCV; the authors' weights, MIT.)

A network of 0.84 million parameters that was trained on AVA-ActiveSpeaker and on synthetic talking
faces (`finetuning_TalkSet.model`). It takes the lower two thirds of a face, grey, 112 × 112 at 25
pictures a second, beside 13 mel-frequency cepstral coefficients at 100 a second, and gives two
logits a picture. Written here from its description; parameters have the published names, so that
the published file loads strictly.

    pictures → blocks of separable 3-D convolutions (space, then time) → 128 a picture
    sound    → blocks of separable 2-D convolutions (coefficients, then time) → 128 a picture
    both     → gated fusion → a GRU each way → gated fusion → 2 logits
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from einops import rearrange, reduce
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor, nn

from amanda.store.errors import InputError
from extractors.base import Glimpses
from extractors.weights import find

GLIMPSE_HZ = 25.0
SIDE_PX = 112
MEAN, DEVIATION = 0.4161, 0.1688
PAD = 110
"""Grey beyond the frame's edge, as in training."""
MIN_RUN_S = 0.4
"""Shorter stretches of a face in one shot say nothing."""
LONGEST_RUN = 250
"""Pictures run at once, 10 s: bounds the memory."""

RATE_HZ = 16_000
N_MFCC, N_FILTERS, N_FFT = 13, 26, 512
WINDOW, HOP = 400, 160
PREEMPHASIS, LIFTER = 0.97, 22


class SpatialThenTemporal(nn.Module):
    """Two convolutions over one axis kind and two over time, each with batch norm and ReLU.

    Args:
        name: of the first two in the published file, "s" (space) or "m" (coefficients).
        halve: the first convolution goes in steps of 2 over height and width.
    """

    def __init__(self, name: str, n_in: int, n_out: int, *, video: bool, halve: bool = False):
        super().__init__()
        convolution: Any = nn.Conv3d if video else nn.Conv2d
        norm = nn.BatchNorm3d if video else nn.BatchNorm2d
        self.order: list[tuple[str, str]] = []
        sizes = [(f"{name}_1", 5, n_in, n_out // 2), (f"{name}_2", 3, n_out // 2, n_out)]
        sizes += [("t_1", 5, n_out, n_out), ("t_2", 3, n_out, n_out)]
        for own_name, size, before, after in sizes:
            in_time = own_name.startswith("t")
            kernel: tuple[int, ...]
            if video:  # time, height, width
                kernel = (size, 1, 1) if in_time else (1, size, size)
            else:  # coefficients, time
                kernel = (1, size) if in_time else (size, 1)
            halved = halve and own_name == f"{name}_1"
            stride = (1, 2, 2) if halved else (1,) * len(kernel)
            padding = tuple(k // 2 for k in kernel)
            layer = convolution(before, after, kernel, stride, padding, bias=False)
            own_norm = own_name.replace("_", "_norm_")
            self.add_module(own_name, layer)
            self.add_module(own_norm, norm(after, momentum=0.01, eps=0.001))
            self.order.append((own_name, own_norm))

    def forward(self, x: Tensor) -> Tensor:
        for layer, own_norm in self.order:
            x = torch.relu(self.get_submodule(own_norm)(self.get_submodule(layer)(x)))
        return x


class VisualEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block1 = SpatialThenTemporal("s", 1, 32, video=True, halve=True)
        self.block2 = SpatialThenTemporal("s", 32, 64, video=True)
        self.block3 = SpatialThenTemporal("s", 64, 128, video=True)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

    def forward(self, x: Float[Tensor, "n 1 t h w"]) -> Float[Tensor, "n t 128"]:
        x = self.block3(self.pool(self.block2(self.pool(self.block1(x)))))
        return reduce(x, "n c t h w -> n t c", "max")


class AudioEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block1 = SpatialThenTemporal("m", 1, 32, video=False)
        self.block2 = SpatialThenTemporal("m", 32, 64, video=False)
        self.block3 = SpatialThenTemporal("m", 64, 128, video=False)
        self.pool = nn.MaxPool2d((1, 3), (1, 2), (0, 1))

    def forward(self, x: Float[Tensor, "n 1 coefficients t4"]) -> Float[Tensor, "n t 128"]:
        x = self.block3(self.pool(self.block2(self.pool(self.block1(x)))))
        return reduce(x, "n c m t -> n t c", "mean")


class GatedFusion(nn.Module):
    """Two sequences side by side, each channel scaled by a gate that sees all of them."""

    def __init__(self, channels: int):
        super().__init__()
        self.attention = nn.Conv1d(channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm1d(channels, momentum=0.01, eps=0.001)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        both = rearrange([one, other], "two n t c -> n (two c) t")
        gated = both * torch.sigmoid(self.bn(self.attention(both)))
        return rearrange(gated, "n c t -> n t c")


class Detector(nn.Module):
    """A recurrent pass each way over time."""

    def __init__(self, channels: int):
        super().__init__()
        self.gru_forward = nn.GRU(channels, channels // 4, batch_first=True)
        self.gru_backward = nn.GRU(channels, channels // 4, batch_first=True)
        self.attention = GatedFusion(channels // 2)

    def forward(self, x: Float[Tensor, "n t c"]) -> Float[Tensor, "n t c2"]:
        ahead, _ = self.gru_forward(x)
        back, _ = self.gru_backward(x.flip(1))
        return self.attention(ahead, back.flip(1))


class LrAsdNetwork(nn.Module):
    """Pictures and coefficients to two logits a picture: silent, speaking."""

    def __init__(self) -> None:
        super().__init__()
        self.visualEncoder, self.audioEncoder = VisualEncoder(), AudioEncoder()
        self.fusion, self.detector = GatedFusion(256), Detector(256)
        self.FC = nn.Linear(128, 2)

    def forward(
        self, mfcc: Float[Tensor, "n t4 coefficients"], faces: Float[Tensor, "n t side side"]
    ) -> Float[Tensor, "n t 2"]:
        pictures = self.visualEncoder((faces[:, None] / 255 - MEAN) / DEVIATION)
        sound = self.audioEncoder(rearrange(mfcc, "n t m -> n 1 m t"))
        return self.FC(self.detector(self.fusion(sound, pictures)))


class LrAsd:
    """The network with its weights; see `extractors.speaker_clip.ActiveSpeakerModel`.

    Raises:
        InputError: the file does not hold this network's weights.
    """

    def __init__(self, weights: Path, *, device: torch.device, sha256: str = ""):
        self.network = _load(weights).to(device)
        self.device = device
        self.attrs: Mapping[str, Any] = {"model": "LR-ASD", "sha256": sha256}

    def __call__(
        self,
        glimpses: Glimpses,
        sound: Float32[np.ndarray, "samples"],
        boxes: Float[np.ndarray, "m 4"],
        shot: Int[np.ndarray, "m"],
    ) -> float:
        """Mean probability that the face at `boxes` speaks, over the time that it is seen.

        Args:
            boxes: in pixels of the glimpses, NaN where the face is not seen.
            shot: of each glimpse.

        Returns:
            0 where no stretch is long enough.
        """
        # The glimpse on show at each 25th of a second, whatever the video's own rate.
        n_ticks = int(glimpses.time_s[-1] * GLIMPSE_HZ) + 1
        tick_s = np.arange(max(0, n_ticks)) / GLIMPSE_HZ
        shown = np.searchsorted(glimpses.time_s, tick_s + 1e-3, side="right") - 1
        seen = (shown >= 0) & ~np.isnan(boxes[np.maximum(shown, 0), 0])
        coefficients = mfcc(sound)
        total, n = 0.0, 0
        for start, end in _runs(seen, shot[np.maximum(shown, 0)], len(coefficients) // 4):
            crops = mouth_crops(glimpses.frames, boxes, shown[start:end])
            probability = self.probabilities(crops, coefficients[4 * start : 4 * end])
            total, n = total + float(probability.sum()), n + len(probability)
        return total / n if n else 0.0

    @torch.inference_mode()
    def probabilities(
        self, faces: UInt8[np.ndarray, "t side side"], mfcc: Float[np.ndarray, "t4 coefficients"]
    ) -> Float32[np.ndarray, "t"]:
        """That each picture's face speaks; four rows of `mfcc` a picture."""
        pictures = torch.from_numpy(faces).to(self.device).float()[None]
        sound = torch.from_numpy(mfcc.astype(np.float32)).to(self.device)[None]
        return self.network(sound, pictures)[0].softmax(dim=1)[:, 1].cpu().numpy()


def load_lr_asd(name: str, device: torch.device | str = "cpu") -> LrAsd:
    """LR-ASD by its name in the table of weights, or by path."""
    located = find(name)
    return LrAsd(located.path, device=torch.device(device), sha256=located.sha256)


def mouth_crops(
    frames: UInt8[np.ndarray, "m height width"],
    boxes: Float[np.ndarray, "m 4"],
    wanted: Int[np.ndarray, "t"],
) -> UInt8[np.ndarray, "t side side"]:
    """The part of the face that the network was trained on, for each of `wanted`.

    With half the box's longer side as r, a square of side 1.4 r whose middle lies 0.4 r below the
    box's. Boxes are smoothed by a median over half a second.
    """
    middle = np.stack(
        [
            (boxes[wanted, 0] + boxes[wanted, 2]) / 2,
            (boxes[wanted, 1] + boxes[wanted, 3]) / 2,
            np.maximum(boxes[wanted, 2] - boxes[wanted, 0], boxes[wanted, 3] - boxes[wanted, 1])
            / 2,
        ]
    )
    padded = np.pad(middle, ((0, 0), (6, 6)), mode="edge")
    x, y, r = np.median(np.lib.stride_tricks.sliding_window_view(padded, 13, axis=1), axis=2)
    crops = np.empty((len(wanted), SIDE_PX, SIDE_PX), np.uint8)
    for i, number in enumerate(wanted):
        scale = 1.4 * r[i] / SIDE_PX
        left, top = x[i] - 0.7 * r[i], y[i] - 0.3 * r[i]
        grid = np.array(
            [[scale, 0.0, left + scale / 2 - 0.5], [0.0, scale, top + scale / 2 - 0.5]], np.float32
        )
        crops[i] = cv2.warpAffine(
            frames[number],
            grid,
            (SIDE_PX, SIDE_PX),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=PAD,
        )
    return crops


def mfcc(sound: Float32[np.ndarray, "samples"]) -> Float[np.ndarray, "t coefficients"]:
    """13 coefficients at 100 a second, as `python_speech_features.mfcc` gives them of 16-bit sound.

    Windows of 25 ms without a taper, every 10 ms; 26 mel filters; orthonormal DCT-II; sine lifter
    of 22; the first coefficient is the logarithm of the window's energy.
    """
    signal = np.asarray(sound, np.float64) * 32768
    signal = np.append(signal[:1], signal[1:] - PREEMPHASIS * signal[:-1])
    n = 1 + max(0, int(np.ceil((len(signal) - WINDOW) / HOP)))
    signal = np.pad(signal, (0, max(0, (n - 1) * HOP + WINDOW - len(signal))))
    windows = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[::HOP][:n]
    power = np.abs(np.fft.rfft(windows, N_FFT)) ** 2 / N_FFT
    tiny = np.finfo(float).eps
    energy = np.maximum(power.sum(axis=1), tiny)
    cepstrum = np.log(np.maximum(power @ _mel_filters().T, tiny)) @ _cosines().T
    k = np.arange(N_MFCC)
    cepstrum *= 1 + LIFTER / 2 * np.sin(np.pi * k / LIFTER)
    cepstrum[:, 0] = np.log(energy)
    return cepstrum


@cache
def _mel_filters() -> Float[np.ndarray, "filters bins"]:
    """Triangles between 26 + 2 points that are even in mel, at the FFT's bins."""
    top = 2595 * np.log10(1 + RATE_HZ / 2 / 700)
    hz = 700 * (10 ** (np.linspace(0, top, N_FILTERS + 2) / 2595) - 1)
    edges = np.floor((N_FFT + 1) * hz / RATE_HZ)
    bins = np.arange(N_FFT // 2 + 1)
    filters = np.zeros((N_FILTERS, len(bins)))
    for j, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        rise = (bins - low) / max(middle - low, 1)
        fall = (high - bins) / max(high - middle, 1)
        filters[j] = np.where(bins < middle, rise, fall) * ((bins >= low) & (bins < high))
    return filters


@cache
def _cosines() -> Float[np.ndarray, "coefficients filters"]:
    """The first rows of the orthonormal DCT-II."""
    k, j = np.arange(N_MFCC)[:, None], np.arange(N_FILTERS)[None]
    rows = np.cos(np.pi * k * (2 * j + 1) / (2 * N_FILTERS)) * np.sqrt(2 / N_FILTERS)
    rows[0] /= np.sqrt(2)
    return rows


def _runs(seen: np.ndarray, shot: np.ndarray, n_sound: int) -> list[tuple[int, int]]:
    """Stretches [start, end) of ticks with the face in one shot and sound, cut to what fits."""
    runs = []
    start = 0
    n = min(len(seen), n_sound)
    for i in range(1, n + 1):
        broken = i == n or seen[i] != seen[start] or shot[i] != shot[start]
        if broken or i - start == LONGEST_RUN:
            if seen[start] and i - start >= MIN_RUN_S * GLIMPSE_HZ:
                runs.append((start, i))
            start = i
    return runs


def _load(weights: Path) -> LrAsdNetwork:
    network = LrAsdNetwork()
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        names = {
            name: name.removeprefix("model.").removeprefix("lossAV.")
            for name in state
            if not name.startswith("lossV.")
        }
        network.load_state_dict({ours: state[name] for name, ours in names.items()})
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{weights}: not the weights of LR-ASD ({first})") from error
    return network.eval()

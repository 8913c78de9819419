"""Face detectors behind one small protocol: RetinaFace (mobilenet 0.25) and S3FD.

The networks are face-alignment's (`face_alignment.detection.retinaface`, `.sfd`); what happens
around them is done here for whole batches, with the same boxes as a result (tested). Both take
BGR less a mean colour, as they were trained; face-alignment's RetinaFace class is given RGB by its
own library and does not turn it round.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from amanda.store.errors import InputError
from extractors.boxes import Detections, decode_boxes, keep_best
from extractors.compute import BatchSize, Compute
from extractors.s3fd_boxes import OVERLAP as S3FD_OVERLAP
from extractors.s3fd_boxes import vectorised_postprocess
from extractors.winograd import accelerate

MEAN_BGR = (104.0, 117.0, 123.0)


@runtime_checkable
class FaceDetector(Protocol):
    """`attrs` says what was run: name, threshold, overlap at which boxes count as one face."""

    attrs: Mapping[str, Any]
    device: torch.device
    threshold: float
    OVERLAP: float

    def __call__(self, frames: UInt8[np.ndarray, "n height width 3"]) -> list[Detections]:
        """Find the faces of each RGB frame."""
        ...


class RetinaFace:
    """RetinaFace with a mobilenet 0.25 backbone (Deng et al. 2019; biubug6/Pytorch_Retinaface).

    Args:
        batch_size: frames at once; None: by memory on a GPU, 16 on a CPU (larger batches leave its
            cache: 10.2 ms a 320 × 240 frame at 32, 8.8 at 16).
        compute: precision and the like; default: exact, on `device`.

    Raises:
        InputError: the file does not hold this network's weights.
    """

    THRESHOLD = 0.5
    OVERLAP = 0.4
    STEPS_PX = (8, 16, 32)
    SIZES_PX = ((16, 32), (64, 128), (256, 512))
    CPU_BATCH = 16

    def __init__(
        self,
        weights: Path,
        *,
        device: torch.device,
        batch_size: int | None = None,
        threshold: float = THRESHOLD,
        compute: Compute | None = None,
    ):
        from face_alignment.detection.retinaface.net_retinaface import RetinaFace as Network

        self.compute = compute or Compute(device=device)
        network = _load(Network(), weights, "RetinaFace mobilenet 0.25")
        _fold_batch_norms(network)
        self.network = self.compute.place(network)
        self._forward = self.compute.compiled(self.network)
        self.device, self.threshold = device, threshold
        self.batch = _batch_size(device, batch_size, self.CPU_BATCH)
        self.attrs: Mapping[str, Any] = _attrs("retinaface", threshold, self.OVERLAP)

    def __call__(self, frames: UInt8[np.ndarray, "n height width 3"]) -> list[Detections]:
        return [found for batch in self.batch.over(frames, self._find) for found in batch]

    def _find(self, frames: UInt8[np.ndarray, "n height width 3"]) -> list[Detections]:
        images = _bgr(frames, self.compute)
        with self.compute.running():
            offsets, classes, _ = self._forward(images)
            height, width = images.shape[-2:]
            anchors = _retinaface_anchors(height, width).to(images.device)
            scores = classes[..., 1].float()
            frame, anchor = torch.nonzero(scores > self.threshold, as_tuple=True)
            return keep_best(
                decode_boxes(offsets[frame, anchor].float(), anchors[anchor]),
                scores[frame, anchor],
                frame,
                len(frames),
                overlap=self.OVERLAP,
            )


class S3fd:
    """S3FD (Zhang et al. 2017), the detector of face-alignment and of the paper.

    In float32 on a CPU its wide convolutions are those of `extractors.winograd`, to rounding the
    same.

    Args:
        batch_size: frames at once; None: by memory on a GPU, 4 on a CPU.
        compute: precision and the like; default: exact, on `device`.

    Raises:
        InputError: the file does not hold this network's weights.
    """

    THRESHOLD = 0.5
    OVERLAP = S3FD_OVERLAP
    CPU_BATCH = 4

    def __init__(
        self,
        weights: Path,
        *,
        device: torch.device,
        batch_size: int | None = None,
        threshold: float = THRESHOLD,
        compute: Compute | None = None,
    ):
        from face_alignment.detection.sfd.net_s3fd import s3fd

        self.compute = compute or Compute(device=device)
        network = _load(s3fd(), weights, "S3FD")
        if device.type == "cpu" and self.compute.precision == "fp32" and not self.compute.compile:
            accelerate(network)
        self.network = self.compute.place(network)
        self._forward = self.compute.compiled(self.network)
        self.device, self.threshold = device, threshold
        self.batch = _batch_size(device, batch_size, self.CPU_BATCH)
        self.attrs: Mapping[str, Any] = _attrs("s3fd", threshold, self.OVERLAP)

    def __call__(self, frames: UInt8[np.ndarray, "n height width 3"]) -> list[Detections]:
        return [found for batch in self.batch.over(frames, self._find) for found in batch]

    def _find(self, frames: UInt8[np.ndarray, "n height width 3"]) -> list[Detections]:
        with self.compute.running():
            return vectorised_postprocess(self.maps(frames), self.threshold)

    def maps(self, frames: UInt8[np.ndarray, "n height width 3"]) -> list[Tensor]:
        """The network's maps of RGB frames, as `extractors.s3fd_boxes` takes them."""
        with self.compute.running():
            return list(self._forward(_bgr(frames, self.compute)))


DETECTORS: dict[str, Callable[..., FaceDetector]] = {"retinaface": RetinaFace, "s3fd": S3fd}


def _attrs(name: str, threshold: float, overlap: float) -> dict[str, Any]:
    return {"detector": name, "threshold": threshold, "overlap": overlap}


def _batch_size(device: torch.device, asked: int | None, cpu: int) -> BatchSize:
    """More than suits a CPU's cache is not run there, also when it was asked for."""
    if asked is not None and device.type == "cpu":
        asked = min(asked, cpu)
    return BatchSize(device, asked=asked, cpu=cpu)


def _bgr(frames: UInt8[np.ndarray, "n h w 3"], compute: Compute) -> Float[Tensor, "n 3 h w"]:
    """Frames as both networks take them: BGR, less a mean colour."""
    rgb = torch.from_numpy(frames).to(compute.device)
    images = rearrange(rgb, "n h w c -> n c h w").flip(1).float()
    images -= torch.tensor(MEAN_BGR, device=images.device).view(3, 1, 1)
    return compute.images(images)


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


def _grid_anchors(
    rows: int, columns: int, step: int, sizes: tuple[int, ...]
) -> Float[Tensor, "a 4"]:
    """Centre and size in pixels of the anchors of one map: row by row, sizes last."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    centres = torch.stack([(x + 0.5) * step, (y + 0.5) * step], dim=-1)
    anchors = [torch.cat([centres, torch.full_like(centres, float(s))], dim=-1) for s in sizes]
    return rearrange(torch.stack(anchors), "s h w c -> (h w s) c")


@lru_cache(maxsize=8)
def _retinaface_anchors(height: int, width: int) -> Float[Tensor, "a 4"]:
    maps = zip(RetinaFace.STEPS_PX, RetinaFace.SIZES_PX, strict=True)
    return torch.cat(
        [_grid_anchors(-(-height // step), -(-width // step), step, sizes) for step, sizes in maps]
    )


__all__ = ["DETECTORS", "Detections", "FaceDetector", "RetinaFace", "S3fd"]

"""Face boxes: decoded from a network's offsets, and of boxes that overlap, the best kept."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor
from torchvision.ops import nms

VARIANCES = (0.1, 0.2)
"""How S3FD and RetinaFace scale their offsets: of the centre, and of the logarithm of the size."""


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Faces of one frame, best first.

    Attributes:
        boxes: (k, 4) x0, y0, x1, y1 in pixels; may reach over the frame's edge.
        scores: (k,) confidence, 0 to 1.
    """

    boxes: Float32[np.ndarray, "k 4"]
    scores: Float32[np.ndarray, "k"]


def decode_boxes(
    offsets: Float[Tensor, "k 4"], anchors: Float[Tensor, "k 4"]
) -> Float[Tensor, "k 4"]:
    """Corners of boxes given as offsets from anchors (Liu et al. 2016, SSD).

    Args:
        anchors: centre x, y, width, height in pixels.
    """
    centre = anchors[:, :2] + offsets[:, :2] * VARIANCES[0] * anchors[:, 2:]
    size = anchors[:, 2:] * torch.exp(offsets[:, 2:] * VARIANCES[1])
    return torch.cat([centre - size / 2, centre + size / 2], dim=1)


def keep_best(
    boxes: Float[Tensor, "k 4"],
    scores: Float[Tensor, "k"],
    frame: Int[Tensor, "k"],
    n_frames: int,
    *,
    overlap: float,
    last_pixel: float = 0.0,
) -> list[Detections]:
    """Non-maximum suppression within each frame: of boxes that overlap more, the best is kept.

    All frames run at once: each is moved to a place of its own, in float64, where that costs no
    precision.

    Args:
        frame: which of `n_frames` each box is of.
        last_pixel: 1 for boxes that include their last pixel (S3FD's).
    """
    if not len(boxes):
        return [_detections(boxes, scores) for _ in range(n_frames)]
    whole = boxes.double() + boxes.new_tensor([0.0, 0.0, last_pixel, last_pixel])
    apart = whole.max() - whole.min() + 1
    kept = nms(whole + (frame * apart)[:, None], scores.double(), overlap)  # best first
    kept = kept[torch.sort(frame[kept], stable=True).indices]
    counts = torch.bincount(frame[kept], minlength=n_frames).tolist()
    best, best_scores = boxes[kept].float().cpu(), scores[kept].float().cpu()
    return [
        _detections(b, s)
        for b, s in zip(best.split(counts), best_scores.split(counts), strict=True)
    ]


def _detections(boxes: Float[Tensor, "k 4"], scores: Float[Tensor, "k"]) -> Detections:
    return Detections(boxes=boxes.float().cpu().numpy(), scores=scores.float().cpu().numpy())

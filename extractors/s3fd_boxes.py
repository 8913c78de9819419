"""From S3FD's maps to faces: face-alignment's way, and the same boxes without its loop.

The network gives six pairs of maps, at steps of 4 to 128 pixels: two logits and four offsets at
each place, whose anchor is a square four steps wide. face-alignment (`detection.sfd.detect`)
decodes every place where *any* frame of the batch scores above 0.05, one at a time and for all
frames, then suppresses overlaps and keeps scores above its threshold. A box that passes can only be
suppressed by a better one, so places below the threshold need not be decoded at all.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from extractors.boxes import Detections, decode_boxes, keep_best

STEPS_PX = (4, 8, 16, 32, 64, 128)
ANCHOR_STEPS = 4
OVERLAP = 0.3
THRESHOLD = 0.5


def vectorised_postprocess(
    maps: Sequence[Float[Tensor, "n _ _ _"]], threshold: float = THRESHOLD
) -> list[Detections]:
    """Faces of each frame, the boxes of `library_postprocess`; on any device.

    Args:
        maps: logits (n, 2, h, w) and offsets (n, 4, h, w) of each step, in turn.
    """
    boxes, scores, frames = [], [], []
    for step, logits, offsets in zip(STEPS_PX, maps[::2], maps[1::2], strict=True):
        share = logits.float().softmax(dim=1)[:, 1]
        frame, row, column = torch.nonzero(share > threshold, as_tuple=True)
        centres = (torch.stack([column, row], dim=1) + 0.5) * step
        sides = torch.full_like(centres, float(ANCHOR_STEPS * step))
        anchors = torch.cat([centres, sides], dim=1).double()
        boxes.append(decode_boxes(offsets[frame, :, row, column].double(), anchors))
        scores.append(share[frame, row, column])
        frames.append(frame)
    return keep_best(
        torch.cat(boxes),
        torch.cat(scores),
        torch.cat(frames),
        len(maps[0]),
        overlap=OVERLAP,
        # Its boxes include their last pixel; one more makes the overlap the plain one.
        last_pixel=1.0,
    )


def library_postprocess(
    maps: Sequence[Float[Tensor, "n _ _ _"]], threshold: float = THRESHOLD
) -> list[Detections]:
    """The same by face-alignment's own functions: the reference of tests and benchmarks."""
    from face_alignment.detection.sfd.bbox import nms
    from face_alignment.detection.sfd.detect import get_predictions

    arrays = [
        (m.float().softmax(dim=1) if i % 2 == 0 else m.float()).cpu().numpy()
        for i, m in enumerate(maps)
    ]
    found: list[Detections] = []
    for frame in get_predictions(arrays, len(maps[0])):
        rows = frame[nms(frame, OVERLAP), :] if len(frame) else np.zeros((0, 5))
        rows = rows[rows[:, 4] > threshold].astype(np.float32)
        found.append(Detections(boxes=rows[:, :4], scores=rows[:, 4]))
    return found

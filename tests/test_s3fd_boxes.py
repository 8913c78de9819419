"""S3FD's faces by face-alignment's own loop, and without it."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from extractors.boxes import decode_boxes, keep_best
from extractors.s3fd_boxes import STEPS_PX, library_postprocess, vectorised_postprocess


def drawn_maps(n: int, height: int, width: int, *, share: float, seed: int = 0) -> list[Tensor]:
    """Maps in which about `share` of the places score above one half, of boxes that overlap."""
    generator = torch.Generator().manual_seed(seed)
    shift = float(torch.special.ndtri(torch.tensor(1 - share)))
    maps = []
    for step in STEPS_PX:
        size = (n, -(-height // step), -(-width // step))
        logit = 2 * (torch.randn(size, generator=generator) - shift)
        maps.append(torch.stack([-logit / 2, logit / 2], dim=1))
        offsets = torch.randn((n, 4, *size[1:]), generator=generator)
        maps.append(offsets)
    return maps


@pytest.mark.parametrize("share", [0.002, 0.05])
@pytest.mark.parametrize("n", [1, 4])
def test_the_boxes_are_the_librarys(n: int, share: float) -> None:
    maps = drawn_maps(n, 120, 160, share=share)
    expected = library_postprocess(maps)
    found = vectorised_postprocess(maps)
    assert sum(len(e.boxes) for e in expected) > n
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.boxes, theirs.boxes, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-6)


def test_frames_without_faces() -> None:
    maps = drawn_maps(3, 64, 64, share=0.02)
    for logits in maps[::2]:
        logits[1] = torch.tensor([1.0, -9.0])[:, None, None]
    found, expected = vectorised_postprocess(maps), library_postprocess(maps)
    assert [len(f.boxes) for f in found] == [len(e.boxes) for e in expected]
    assert found[1].boxes.shape == (0, 4)
    for logits in maps[::2]:
        logits[:] = torch.tensor([1.0, -9.0])[:, None, None]
    assert [f.boxes.shape for f in vectorised_postprocess(maps)] == [(0, 4)] * 3
    assert [f.boxes.shape for f in library_postprocess(maps)] == [(0, 4)] * 3


def test_a_frame_does_not_depend_on_those_beside_it() -> None:
    maps = drawn_maps(4, 96, 96, share=0.05)
    together = vectorised_postprocess(maps)
    for i, found in enumerate(together):
        [alone] = vectorised_postprocess([m[i : i + 1] for m in maps])
        np.testing.assert_array_equal(found.boxes, alone.boxes)
        np.testing.assert_array_equal(found.scores, alone.scores)


def test_decoding_by_hand() -> None:
    # An anchor of 16 × 16 centred on (20, 30): a tenth of its side for each unit of offset.
    anchors = torch.tensor([[20.0, 30.0, 16.0, 16.0]])
    offsets = torch.tensor([[1.0, -0.5, 0.0, 5 * math.log(2)]])
    # Centre (21.6, 29.2), 16 wide, twice as high.
    torch.testing.assert_close(
        decode_boxes(offsets, anchors), torch.tensor([[13.6, 13.2, 29.6, 45.2]])
    )


def test_suppression_by_hand() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 5, 10, 15], [0, 0, 10, 9], [0, 0, 10, 10]])
    scores, frame = torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.tensor([0, 0, 0, 1])
    # The second shares a third with the first, the third nine tenths; the last is another frame's.
    first, second = keep_best(boxes, scores, frame, 2, overlap=0.4)
    np.testing.assert_array_equal(first.boxes, boxes[:2].numpy())
    np.testing.assert_array_equal(second.boxes, boxes[3:].numpy())
    first, _ = keep_best(boxes, scores, frame, 2, overlap=0.3)
    np.testing.assert_allclose(first.scores, [0.9])
    # With its last pixel a box of 10 is 11 wide: 11 × 6 / (2 × 121 - 66) = 0.375.
    first, _ = keep_best(boxes, scores, frame, 2, overlap=0.37, last_pixel=1.0)
    assert len(first.boxes) == 1

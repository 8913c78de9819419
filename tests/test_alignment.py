"""Five points and their warp by hand and in closed form; landmarks by face-alignment's class."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from face_alignment.api import FaceAlignment, LandmarksType
from face_alignment.models import FAN
from hypothesis import given, settings
from hypothesis import strategies as st
from small_faces import randomise
from small_models import BrightSquares

from amanda.store.errors import InputError
from extractors.alignment import (
    TEMPLATE_112,
    FivePointAligner,
    align,
    five_points,
    peaks,
    similarity,
)
from extractors.base import VideoClip
from extractors.compute import Compute
from extractors.visual import VisualExtractor

ON_CPU = Compute(device=torch.device("cpu"))


@given(st.floats(-3.1, 3.1), st.floats(0.1, 5.0), st.floats(-99, 99), st.floats(-99, 99))
@settings(max_examples=30, deadline=None)
def test_a_similarity_is_found_again(turn: float, scale: float, x: float, y: float) -> None:
    a, b = scale * np.cos(turn), scale * np.sin(turn)
    expected = np.array([[a, -b, x], [b, a, y]])
    target = TEMPLATE_112 @ expected[:, :2].T + expected[:, 2]
    np.testing.assert_allclose(similarity(TEMPLATE_112, target), expected, atol=1e-8)


def test_the_least_squares_are_numpys() -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    # x' = a x - b y + c; y' = b x + a y + d, in all ten equations.
    rows = [[x, -y, 1, 0] for x, y in source] + [[y, x, 0, 1] for x, y in source]
    a, b, c, d = np.linalg.lstsq(np.array(rows), target.T.ravel(), rcond=None)[0]
    np.testing.assert_allclose(similarity(source, target), [[a, -b, c], [b, a, d]], atol=1e-10)


def test_five_points_by_hand() -> None:
    landmarks = np.stack([np.arange(68.0), 2 * np.arange(68.0)], axis=1)
    # Six landmarks an eye: 36 to 41 and 42 to 47; nose tip 30; mouth 48 and 54.
    np.testing.assert_allclose(five_points(landmarks)[:, 0], [38.5, 44.5, 30, 48, 54])


def test_peaks_by_hand() -> None:
    heat = np.zeros((4, 8, 8), np.float32)
    heat[0, 3, 5] = 1  # no neighbour is higher
    heat[1, 3, 5], heat[1, 3, 6], heat[1, 2, 5] = 1, 0.5, 0.5
    heat[2, 0, 7] = 1  # on the border: as it is
    heat[3, 3, 5], heat[3, 3, 4], heat[3, 4, 5] = 1, 0.5, 0.5
    expected = [[5.5, 3.5], [5.75, 3.25], [7.5, 0.5], [5.25, 3.75]]
    np.testing.assert_allclose(peaks(heat), expected)


def drawn_face(points: np.ndarray, size: tuple[int, int] = (240, 320)) -> np.ndarray:
    """Five dots of their own colours on grey."""
    frame = np.full((*size, 3), 90, np.uint8)
    for (x, y), colour in zip(points, COLOURS, strict=True):
        cv2.circle(frame, (round(x), round(y)), 9, colour, -1)
    return frame


COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)]


@pytest.mark.parametrize(("turn", "scale"), [(0.0, 1.0), (0.5, 1.5), (-0.8, 1.1), (0.2, 3.3)])
def test_dots_go_where_the_template_has_them(turn: float, scale: float) -> None:
    a, b = scale * np.cos(turn), scale * np.sin(turn)
    points = TEMPLATE_112 @ np.array([[a, -b], [b, a]]).T
    points = points - points.mean(axis=0) + [320, 240]
    crop = align(drawn_face(points, (480, 640)), points, 112)
    assert crop.shape == (112, 112, 3)
    for (x, y), colour in zip(TEMPLATE_112, COLOURS, strict=True):
        np.testing.assert_allclose(crop[round(y), round(x)].astype(int), colour, atol=60)
    twice = align(drawn_face(points, (480, 640)), points, 224)
    for (x, y), colour in zip(2 * TEMPLATE_112, COLOURS, strict=True):
        np.testing.assert_allclose(twice[round(y), round(x)].astype(int), colour, atol=60)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fan") / "2DFAN-1.pth.tar"
    torch.save(randomise(FAN(1)).state_dict(), path)
    return path


@pytest.mark.slow  # face-alignment compiles its loop with numba
def test_landmarks_are_face_alignments(weights: Path) -> None:
    """Without its second look at the mirrored crop; it rounds to whole pixels, towards zero."""
    rng = np.random.default_rng(0)
    frame = cv2.resize(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8), (320, 240))
    boxes = np.array([[80, 60, 160, 170], [-10, 20, 60, 100], [250, 150, 330, 260]], np.float32)
    reference = object.__new__(FaceAlignment)  # its constructor downloads
    reference.device, reference.dtype, reference.max_batch_size = "cpu", torch.float32, 1
    reference.flip_input, reference.landmarks_type = False, LandmarksType.TWO_D
    reference.face_detector = SimpleNamespace(reference_scale=195)
    network = FAN(1)
    network.load_state_dict(torch.load(weights, weights_only=True))
    reference.face_alignment_net = network.eval()
    expected = reference.get_landmarks_from_image(frame, [np.append(box, 1.0) for box in boxes])
    found = FivePointAligner(weights, compute=ON_CPU).landmarks([frame] * 3, boxes)
    assert found.shape == (3, 68, 2)
    np.testing.assert_allclose(np.trunc(found), np.stack(expected), atol=1.0)
    assert (np.trunc(found) == np.stack(expected)).mean() > 0.99


def test_faces_do_not_touch_each_other(weights: Path) -> None:
    rng = np.random.default_rng(1)
    frames = [rng.integers(0, 256, (90, 120, 3), dtype=np.uint8) for _ in range(3)]
    boxes = np.array([[10, 10, 60, 70], [40, 20, 100, 80], [0, 0, 30, 30]], np.float32)
    together = FivePointAligner(weights, compute=ON_CPU, batch_size=8)(frames, boxes, 112)
    one = FivePointAligner(weights, compute=ON_CPU, batch_size=1)(frames, boxes, 112)
    assert together.shape == (3, 112, 112, 3)
    np.testing.assert_allclose(together.astype(int), one.astype(int), atol=1)
    assert FivePointAligner(weights, compute=ON_CPU)([], boxes[:0], 112).shape == (0, 112, 112, 3)


class MeanColour:
    """A face network whose features are the crop's mean colour."""

    grey, crop_px, n_layers, width, input, attrs = False, 112, 1, 3, "", {}

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        return crops.mean(axis=(1, 2))[:, None].astype(np.float32)


def test_the_extractor_aligns_the_frames_that_show_the_face(weights: Path) -> None:
    frames = np.zeros((3, 64, 96, 3), np.uint8)
    frames[0, 16:48, 20:52] = frames[2, 16:48, 40:72] = 200
    clip = VideoClip(frames=frames, time_s=np.arange(3.0))
    aligner = FivePointAligner(weights, compute=ON_CPU)
    extractor = VisualExtractor(
        detector=BrightSquares(device=ON_CPU.device),
        network=MeanColour(),
        margin=0.0,
        attrs={},
        aligner=aligner,
    )
    [features] = extractor([clip])
    boxes = np.array([[20, 16, 52, 48], [40, 16, 72, 48]], np.float32)
    expected = aligner([frames[0], frames[2]], boxes, 112).mean(axis=(1, 2))
    np.testing.assert_array_equal(features.valid, [True, False, True])
    np.testing.assert_allclose(features.values[[0, 2], 0], expected, atol=1e-3)


def test_aligned_crops_for_a_network_of_grey_ones(weights: Path) -> None:
    network = MeanColour()
    network.grey, network.width = True, 1
    extractor = VisualExtractor(
        detector=BrightSquares(device=ON_CPU.device),
        network=network,
        margin=0.0,
        attrs={},
        aligner=FivePointAligner(weights, compute=ON_CPU),
    )
    frames = np.zeros((2, 64, 96, 3), np.uint8)
    dark = VideoClip(frames=frames.copy(), time_s=np.arange(2.0))
    frames[:, 16:48, 20:52] = 200
    shown = VideoClip(frames=frames, time_s=np.arange(2.0))
    seen, unseen = extractor([shown, dark])
    assert (seen.status, seen.values.shape) == ("ok", (2, 1, 1))
    assert (unseen.status, extractor.crop(dark, extractor.find_faces([dark])[0]).shape) == (
        "no_face",
        (0, 112, 112, 1),
    )


def test_other_weights_are_refused(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    state.pop("conv1.bias")
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(InputError, match=r"bad\.pth: not the weights of 2D-FAN"):
        FivePointAligner(tmp_path / "bad.pth", compute=ON_CPU)

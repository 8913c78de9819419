"""Face detectors against face-alignment's own classes; crops and clips by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from face_alignment.detection.retinaface.net_retinaface import RetinaFace as RetinaFaceNetwork
from face_alignment.detection.retinaface.net_retinaface import cfg_mnet
from face_alignment.detection.retinaface.prior_box import PriorBox
from face_alignment.detection.retinaface.retinaface_detector import RetinaFaceDetector
from face_alignment.detection.sfd.net_s3fd import s3fd
from face_alignment.detection.sfd.sfd_detector import SFDDetector
from small_models import BrightSquares, write_keras_mini_xception

from amanda.store.errors import InputError
from extractors.base import VideoClip
from extractors.expression import MiniXceptionFeatures
from extractors.faces import DETECTORS, RetinaFace, S3fd, _retinaface_anchors
from extractors.media import ClipRequest
from extractors.profiles import load_profile
from extractors.video import read_video_clips
from extractors.visual import VisualExtractor, build, crop_face
from extractors.weights import fetch_profile, find

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights of both detectors, drawn so that scores spread over 0 to 1."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    for name, network in (("retinaface", RetinaFaceNetwork()), ("s3fd", s3fd())):
        generator = torch.Generator().manual_seed(1)
        state = network.state_dict()
        kernels = [value for value in state.values() if value.dim() == 4]
        for value in kernels:
            fan_in = value[0].numel()
            value.copy_(torch.randn(value.shape, generator=generator) * (2 / fan_in) ** 0.5)
        kernels[0] /= 100  # pixels are up to 150 from the mean
        paths[name] = folder / f"{name}.pth"
        prefix = "module." if name == "retinaface" else ""
        torch.save({prefix + key: value for key, value in state.items()}, paths[name])
    return paths


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (3, 9, 12, 3), dtype=np.uint8)
    return np.stack([cv2.resize(image, (101, 70)) for image in coarse])


@pytest.mark.parametrize(("height", "width"), [(240, 320), (70, 101), (33, 17)])
def test_anchors_are_those_of_the_reference(height, width):
    reference = PriorBox(cfg_mnet, image_size=(height, width)).forward()
    scale = torch.tensor([width, height, width, height])
    torch.testing.assert_close(_retinaface_anchors(height, width), reference * scale)


def test_retinaface_finds_what_face_alignment_finds(weights, frames):
    reference = RetinaFaceDetector("cpu", path_to_detector=str(weights["retinaface"]))
    ours = RetinaFace(weights["retinaface"], device=CPU)(frames)
    for frame, found in zip(frames, ours, strict=True):
        expected = np.array(reference.detect_from_image(frame[:, :, ::-1].copy()))
        assert len(expected) > 3
        np.testing.assert_allclose(found.boxes, expected[:, :4], rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(found.scores, expected[:, 4], atol=1e-5)


def test_s3fd_finds_what_face_alignment_finds(weights, frames):
    reference = SFDDetector("cpu", path_to_detector=str(weights["s3fd"]))
    small = np.ascontiguousarray(frames[:2, :64, :64])
    expected = reference.detect_from_batch(torch.from_numpy(small).permute(0, 3, 1, 2))
    ours = S3fd(weights["s3fd"], device=CPU)(small)
    assert sum(len(e) for e in expected) > 3
    for found, lists in zip(ours, expected, strict=True):
        boxes = np.array(lists).reshape(-1, 5)
        np.testing.assert_allclose(found.boxes, boxes[:, :4], rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(found.scores, boxes[:, 4], atol=1e-5)


@pytest.mark.parametrize("name", ["retinaface", "s3fd"])
def test_batch_size_does_not_matter(weights, frames, name):
    small = np.ascontiguousarray(frames[:, :64, :64])
    together = DETECTORS[name](weights[name], device=CPU, batch_size=8)(small)
    alone = DETECTORS[name](weights[name], device=CPU, batch_size=1)(small)
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)


def test_order_does_not_matter_bit_by_bit(weights, frames):
    """At one batch size; another one lets the library choose other kernels (2e-6)."""
    small = np.ascontiguousarray(frames[:, :64, :64])
    detector = S3fd(weights["s3fd"], device=CPU, batch_size=3)
    backwards = detector(np.ascontiguousarray(small[::-1]))[::-1]
    for one, other in zip(detector(small), backwards, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.scores, other.scores)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["retinaface", "s3fd"])
def test_cuda_finds_what_the_cpu_finds(weights, frames, name):
    on_cpu = DETECTORS[name](weights[name], device=CPU)(frames)
    on_gpu = DETECTORS[name](weights[name], device=torch.device("cuda"))(frames)
    for one, other in zip(on_cpu, on_gpu, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=0.05)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-3)


@pytest.mark.parametrize("name", ["retinaface", "s3fd"])
def test_wrong_weights_are_refused(weights, tmp_path, name):
    (tmp_path / "text.pth").write_text("not a network")
    other = weights["s3fd" if name == "retinaface" else "retinaface"]
    for path in (tmp_path / "text.pth", other):
        with pytest.raises(InputError, match=f"{path.name}: not the weights of"):
            DETECTORS[name](path, device=CPU)


def test_pickled_code_is_not_run(tmp_path):
    class Code:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    torch.save({"weight": Code()}, tmp_path / "bad.pth")
    with pytest.raises(InputError, match="not the weights"):
        RetinaFace(tmp_path / "bad.pth", device=CPU)
    assert not (tmp_path / "ran").exists()


def test_crop_by_hand():
    frame = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    # A 4 × 2 box becomes the square around its centre; at its own size nothing is interpolated.
    crop = crop_face(frame, np.array([2, 3, 6, 5], np.float32), 4)
    np.testing.assert_array_equal(crop, frame[2:6, 2:6])
    # Half a side more on each side, halved again by averaging 2 × 2.
    wide = crop_face(frame, np.array([2, 2, 6, 6], np.float32), 4, margin=0.5)
    np.testing.assert_allclose(
        wide, frame.reshape(4, 2, 4, 2, 3).astype(float).mean(axis=(1, 3)), atol=0.51
    )
    # Beyond the frame its edge repeats.
    corner = crop_face(frame, np.array([-2, -2, 2, 2], np.float32), 4)
    np.testing.assert_array_equal(corner[:2, :2], np.broadcast_to(frame[0, 0], (2, 2, 3)))
    np.testing.assert_array_equal(corner[2:, 2:], frame[:2, :2])
    outside = crop_face(frame, np.array([7, 7, 15, 15], np.float32), 4)
    assert outside.shape == (4, 4, 3)


def test_grey_crop_is_the_luma():
    frame = np.zeros((4, 4, 3), np.uint8)
    frame[..., 0], frame[..., 1], frame[..., 2] = 200, 100, 50
    crop = crop_face(frame, np.array([0, 0, 4, 4], np.float32), 4, grey=True)
    assert crop.shape == (4, 4, 1)
    assert crop[0, 0, 0] == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)


@pytest.fixture(scope="module")
def extractor(tmp_path_factory: pytest.TempPathFactory) -> VisualExtractor:
    path = write_keras_mini_xception(tmp_path_factory.mktemp("m") / "expression.hdf5")
    return VisualExtractor(
        detector=BrightSquares(device=CPU),
        network=MiniXceptionFeatures(path, device=CPU),
        margin=0.0,
        attrs={},
    )


def squares(places: list[tuple[int, int] | None], size: tuple[int, int] = (64, 128)) -> VideoClip:
    """Frames with a 24 px bright square at x, y, or without one."""
    rng = np.random.default_rng(5)
    texture = rng.integers(150, 255, (24, 24, 3), dtype=np.uint8)
    images = np.zeros((len(places), *size, 3), np.uint8)
    for image, place in zip(images, places, strict=True):
        if place:
            x, y = place
            image[y : y + 24, x : x + 24] = texture
    return VideoClip(frames=images, time_s=np.arange(len(places)) / 10)


def test_boxes_are_fractions_of_the_whole_frame_and_missing_frames_are_marked(extractor):
    clip = squares([(8, 16), None, (12, 16)])
    [features] = extractor([clip])
    assert features.status == "ok"
    np.testing.assert_array_equal(features.valid, [True, False, True])
    np.testing.assert_allclose(features.extra["boxes"][0], [8 / 128, 16 / 64, 32 / 128, 40 / 64])
    np.testing.assert_array_equal(features.extra["boxes"][1], np.zeros(4))
    np.testing.assert_array_equal(features.extra["track"], [0, -1, 0])
    np.testing.assert_array_equal(features.values[1], np.zeros((1, 128)))
    assert features.values.shape == (3, 1, 128)
    # The same texture at another place is the same face.
    np.testing.assert_allclose(features.values[0], features.values[2], atol=1e-5)
    assert np.abs(features.values[0]).max() > 0.01
    np.testing.assert_array_equal(features.time_s, clip.time_s)


def test_no_face_is_a_status(extractor):
    [features] = extractor([squares([None, None])])
    assert (features.status, features.detail) == ("no_face", "no face in any of 2 frames")
    assert not features.valid.any()
    assert not features.values.any()


def test_region_shows_the_person_of_that_half_only(extractor):
    left, right = squares([(20, 10)] * 3), squares([(90, 30)] * 3)
    both = np.maximum(left.frames, right.frames)
    for region, person in (((0.0, 0.0, 0.5, 1.0), left), ((0.5, 0.0, 1.0, 1.0), right)):
        clip = VideoClip(frames=both, time_s=left.time_s, region=region)
        [features] = extractor([clip])
        [expected] = extractor([person])
        np.testing.assert_allclose(features.extra["boxes"], expected.extra["boxes"], atol=1e-6)
        np.testing.assert_allclose(features.values, expected.values, atol=1e-5)
        x0, _, x1, _ = features.extra["boxes"].T
        assert (x0 >= region[0]).all()
        assert (x1 <= region[2]).all()


def test_clips_do_not_touch_each_other(extractor):
    clips = [
        squares([(8, 16), (9, 16)]),
        squares([None]),
        squares([(30, 8)] * 5, size=(48, 96)),
        squares([None, (2, 3)]),
        squares([]),
    ]
    together = extractor(clips)
    for clip, features in zip(clips, together, strict=True):
        [alone] = extractor([clip])
        np.testing.assert_allclose(features.values, alone.values, atol=1e-5)
        np.testing.assert_array_equal(features.valid, alone.valid)
        assert features.status == alone.status
    assert extractor([]) == []


@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "least_share"), [("single_face", 1.0), ("WolfgangLanger_Pexels", 0.95)]
)
def test_faces_of_real_recordings(real_data, name, least_share):
    features, scores = _real_faces(real_data / "faces" / f"{name}.mp4")
    assert features.status == "ok"
    assert features.valid.mean() >= least_share
    assert scores.max() > 0.9


@pytest.mark.weights
def test_no_face_in_a_cartoon(real_data):
    features, scores = _real_faces(real_data / "faces" / "no_face.mp4")
    assert features.status == "no_face"
    assert scores.max() < 0.3  # measured: 0.10, while real faces have 0.99


def _real_faces(path: Path):
    """Features at 16 frames, and the best score of each frame without a threshold."""
    profile = load_profile("embedded").model_copy(update={"lexical": None, "acoustic": None})
    list(fetch_profile(profile))
    settings = profile.visual
    [decoded] = read_video_clips(path, [ClipRequest(row=0)], settings.n_frames)
    [features] = build(settings)([decoded.clip])
    detector = RetinaFace(find(settings.detector_weights).path, device=CPU, threshold=0.02)
    scores = [d.scores.max(initial=0.0) for d in detector(decoded.clip.frames)]
    return features, np.array(scores)

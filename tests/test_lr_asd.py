"""LR-ASD: its sound features by hand and by reference values, its network, its stretches of time.

`FIRST` and `FIFTH` are rows of `python_speech_features.mfcc` (0.6), of the signal in the test:

    mfcc(32768 * signal.astype(float), 16000, numcep=13, winlen=0.025, winstep=0.01)[[0, 4]]
"""

import hashlib

import numpy as np
import pytest
import torch

from amanda.store.errors import InputError
from extractors.base import Glimpses
from extractors.lr_asd import (
    LrAsd,
    LrAsdNetwork,
    _cosines,
    _runs,
    load_lr_asd,
    mfcc,
    mouth_crops,
)
from extractors.weights import WEIGHTS

CPU = torch.device("cpu")
FIRST = [20.2591, 4.31, -12.0293, 26.3203, 35.8213, -20.8686, -43.4086, -3.078, 2.402]
FIRST += [-39.8412, -39.0566, -4.0449, -7.013]
FIFTH = [20.267, 8.1417, -18.1156, 28.6784, 51.4655, 0.2125, -27.1261, 3.0406, -1.5543]
FIFTH += [-47.4614, -44.2935, -5.9812, -7.3935]


def test_mfcc_is_that_of_the_reference():
    at_s = np.arange(1600) / 16000
    tones = 0.3 * np.sin(2 * np.pi * 220 * at_s) + 0.1 * np.sin(2 * np.pi * 1900 * at_s)
    found = mfcc(tones.astype(np.float32))
    assert found.shape == (9, 13)
    np.testing.assert_allclose(found[[0, 4]], [FIRST, FIFTH], atol=2e-4)


def test_mfcc_of_silence_and_of_little_sound():
    silent = mfcc(np.zeros(800, np.float32))
    assert np.isfinite(silent).all()
    assert mfcc(np.full(100, 0.1, np.float32)).shape == (1, 13)
    # Four rows a picture of 40 ms.
    assert len(mfcc(np.zeros(16000 * 2, np.float32))) == 199


def test_cosines_are_orthonormal():
    rows = _cosines()
    np.testing.assert_allclose(rows @ rows.T, np.eye(13), atol=1e-12)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file with the published names and random values."""
    torch.manual_seed(0)
    network = LrAsdNetwork()
    for parameter in network.parameters():
        if parameter.ndim > 1:  # so that what goes in shows in what comes out
            torch.nn.init.kaiming_normal_(parameter)
    state = {}
    for name, value in network.state_dict().items():
        state[f"lossAV.{name}" if name.startswith("FC.") else f"model.{name}"] = value
    state |= {"lossV.FC.weight": torch.zeros(2, 128), "lossV.FC.bias": torch.zeros(2)}
    path = tmp_path_factory.mktemp("weights") / "lr_asd.model"
    torch.save(state, path)
    return path


def test_the_published_names_and_size(weights):
    names = torch.load(weights, weights_only=True)
    for expected in (
        "model.visualEncoder.block1.s_1.weight",
        "model.visualEncoder.block3.t_norm_2.running_var",
        "model.audioEncoder.block2.m_2.weight",
        "model.fusion.attention.weight",
        "model.detector.gru_backward.weight_hh_l0",
        "model.detector.attention.bn.weight",
        "lossAV.FC.weight",
    ):
        assert expected in names
    assert sum(p.numel() for p in LrAsdNetwork().parameters()) == 836_898


def test_a_picture_a_score_whatever_is_run_before(weights):
    model = LrAsd(weights, device=CPU)
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 255, (9, 112, 112), dtype=np.uint8)
    sound = rng.normal(0, 5, (36, 13))
    one = model.probabilities(faces, sound)
    assert one.shape == (9,)
    assert ((one > 0) & (one < 1)).all()
    model.probabilities(faces[:5], sound[:20])
    np.testing.assert_array_equal(model.probabilities(faces, sound), one)
    # The network sees both: other pictures or other sound give other scores.
    assert np.abs(model.probabilities(faces[::-1].copy(), sound) - one).max() > 1e-4
    assert np.abs(model.probabilities(faces, 2 * sound) - one).max() > 1e-4


def test_other_files_are_refused(weights, tmp_path):
    (tmp_path / "text.model").write_text("not a network")
    state = torch.load(weights, weights_only=True)
    del state["model.fusion.bn.bias"]
    torch.save(state, tmp_path / "short.model")
    for name in ("text.model", "short.model"):
        with pytest.raises(InputError, match=f"{name}: not the weights of LR-ASD"):
            LrAsd(tmp_path / name, device=CPU)


def test_stretches_are_of_one_shot_with_face_and_sound():
    seen = np.array([1] * 30 + [0] * 3 + [1] * 40 + [1] * 5, bool)
    shot = np.array([0] * 15 + [1] * 58 + [2] * 5)
    assert _runs(seen, shot, 100) == [(0, 15), (15, 30), (33, 73)]
    assert _runs(seen, shot, 50) == [(0, 15), (15, 30), (33, 50)]
    assert _runs(seen[:5], shot[:5], 100) == []
    assert _runs(np.ones(600, bool), np.zeros(600, int), 600) == [(0, 250), (250, 500), (500, 600)]


def test_crops_are_the_lower_face():
    # A face of 100 × 100 at 50, 50: r = 50; a square of 70 from x 65 to 135, y 85 to 155.
    frame = np.zeros((1, 200, 200), np.uint8)
    frame[0, 85:155, 65:135] = 200
    boxes = np.array([[50.0, 50.0, 150.0, 150.0]])
    crop = mouth_crops(frame, boxes, np.zeros(3, int))
    assert crop.shape == (3, 112, 112)
    assert (crop[0, 2:-2, 2:-2] == 200).all()
    wider = mouth_crops(frame, boxes + np.array([-10, -10, 10, 10]), np.zeros(1, int))
    assert wider[0, 0, 0] == 0
    # Beyond the frame there is grey.
    outside = mouth_crops(frame, boxes + 120, np.zeros(1, int))
    assert outside[0, -1, -1] == 110


def test_the_time_that_a_face_is_seen_counts(weights):
    model = LrAsd(weights, device=CPU)
    rng = np.random.default_rng(3)
    n = 30
    glimpses = Glimpses(
        frames=rng.integers(0, 255, (n, 80, 80), dtype=np.uint8), time_s=np.arange(n) / 25
    )
    sound = rng.normal(0, 0.1, 16000 * 2).astype(np.float32)
    boxes = np.tile([10.0, 10.0, 60.0, 60.0], (n, 1))
    one = model(glimpses, sound, boxes, np.zeros(n, int))
    assert 0 < one < 1
    boxes[8:] = np.nan
    assert model(glimpses, sound, boxes, np.zeros(n, int)) == 0.0
    assert model(glimpses, sound[:2000], boxes, np.zeros(n, int)) == 0.0


def test_the_published_file(real_data):
    path = real_data / "lr_asd" / "finetuning_TalkSet.model"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert WEIGHTS["lr-asd"].files == {path.name: digest}
    model = load_lr_asd(str(path))
    assert model.attrs["sha256"] == digest
    faces = np.full((25, 112, 112), 120, np.uint8)
    still = model.probabilities(faces, mfcc(np.zeros(16240, np.float32))[:100])
    assert still.mean() < 0.2  # a face that does not move, in silence

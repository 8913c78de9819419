"""mini-Xception read from a Keras file, against a forward written out in numpy."""

import h5py
import numpy as np
import pytest
import torch
from small_models import write_keras_mini_xception

from amanda.store.errors import InputError
from extractors.expression import FER_CLASSES, MiniXceptionFeatures, build_network
from extractors.media import ClipRequest
from extractors.profiles import load_profile
from extractors.video import read_video_clips
from extractors.visual import VisualExtractor, build
from extractors.weights import fetch_profile, find

CPU = torch.device("cpu")


class Numpy:
    """The published graph (Keras layer names) in float64 loops over positions; h, w, channel."""

    def __init__(self, file):
        self.model = file["model_weights"]

    def weight(self, layer: str, name: str) -> np.ndarray:
        return self.model[layer][f"{layer}_1/{name}:0"][:].astype(np.float64)

    def conv(self, x, layer, stride=1, same=True, bias=False):
        kernel = self.weight(layer, "kernel")
        out = self.windows(x, kernel, stride, same)
        return out + (self.weight(layer, "bias") if bias else 0.0)

    @staticmethod
    def windows(x, kernel, stride, same):
        size = kernel.shape[0]
        if same:
            out_size = -(-x.shape[0] // stride)
            pad = max(0, (out_size - 1) * stride + size - x.shape[0])
            x = np.pad(x, [(pad // 2, pad - pad // 2)] * 2 + [(0, 0)])
        n = (x.shape[0] - size) // stride + 1
        out = np.empty((n, n, kernel.shape[-1]))
        for i in range(n):
            for j in range(n):
                patch = x[i * stride : i * stride + size, j * stride : j * stride + size]
                out[i, j] = np.tensordot(patch, kernel, axes=3)
        return out

    def separable(self, x, layer):
        depthwise = self.weight(layer, "depthwise_kernel")[..., 0]
        each = np.zeros((3, 3, x.shape[-1], x.shape[-1]))
        for c in range(x.shape[-1]):
            each[:, :, c, c] = depthwise[:, :, c]
        return self.windows(x, each, 1, True) @ self.weight(layer, "pointwise_kernel")[0, 0]

    def norm(self, x, number):
        layer = f"batch_normalization_{number}"
        scale = self.weight(layer, "gamma") / np.sqrt(self.weight(layer, "moving_variance") + 1e-3)
        return (x - self.weight(layer, "moving_mean")) * scale + self.weight(layer, "beta")

    @staticmethod
    def max_pool(x):
        n = -(-x.shape[0] // 2)
        pad = max(0, (n - 1) * 2 + 3 - x.shape[0])
        x = np.pad(x, [(pad // 2, pad - pad // 2)] * 2 + [(0, 0)], constant_values=-np.inf)
        rows = [x[2 * i : 2 * i + 3] for i in range(n)]
        return np.array(
            [[r[:, 2 * j : 2 * j + 3].max(axis=(0, 1)) for j in range(n)] for r in rows]
        )

    def forward(self, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features and class probabilities of one 64 × 64 grey crop."""
        x = ((crop.astype(np.float64) / 255 - 0.5) * 2)[..., None]
        for k in (1, 2):
            x = np.maximum(0, self.norm(self.conv(x, f"conv2d_{k}", same=False), k))
        for k in (1, 2, 3, 4):
            shortcut = self.norm(self.conv(x, f"conv2d_{k + 2}", stride=2), 3 * k)
            y = np.maximum(
                0, self.norm(self.separable(x, f"separable_conv2d_{2 * k - 1}"), 3 * k + 1)
            )
            y = self.norm(self.separable(y, f"separable_conv2d_{2 * k}"), 3 * k + 2)
            x = self.max_pool(y) + shortcut
        logits = self.conv(x, "conv2d_7", bias=True).mean(axis=(0, 1))
        exp = np.exp(logits - logits.max())
        return x.mean(axis=(0, 1)), exp / exp.sum()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory):
    return write_keras_mini_xception(tmp_path_factory.mktemp("keras") / "model.hdf5")


def crops(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (n, 64, 64, 1), dtype=np.uint8)


def test_equals_numpy(path):
    network = MiniXceptionFeatures(path, device=CPU)
    images = crops(2)
    features, probabilities = network(images), network.probabilities(images)
    with h5py.File(path) as file:
        reference = Numpy(file)
        for i, image in enumerate(images):
            expected, expected_probabilities = reference.forward(image[..., 0])
            np.testing.assert_allclose(features[i, 0], expected, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(probabilities[i], expected_probabilities, atol=1e-5)
    assert np.abs(features[0] - features[1]).max() > 1e-3


def test_batch_size_and_order_do_not_matter(path):
    images = crops(7)
    small = MiniXceptionFeatures(path, device=CPU, batch_size=2)
    large = MiniXceptionFeatures(path, device=CPU, batch_size=64)
    np.testing.assert_allclose(small(images), large(images), atol=1e-5)
    np.testing.assert_allclose(
        large(np.ascontiguousarray(images[::-1])), large(images)[::-1], atol=1e-5
    )
    assert large(images[:0]).shape == (0, 1, 128)
    np.testing.assert_allclose(large.probabilities(images).sum(axis=1), 1, atol=1e-5)


def test_wrong_files_are_refused(path, tmp_path):
    (tmp_path / "text.hdf5").write_text("no network")
    with pytest.raises(InputError, match=r"text\.hdf5: not the Keras file of mini-Xception"):
        MiniXceptionFeatures(tmp_path / "text.hdf5", device=CPU)
    for change, message in (
        (lambda m: m.pop("conv2d_7"), "conv2d_7"),
        (
            lambda m: m["conv2d_7"].attrs.create("weight_names", np.array([], "S1")),
            "no bias, weight",
        ),
        (_other_size, "conv2d_1: kernel has shape"),
    ):
        broken = tmp_path / "broken.hdf5"
        broken.write_bytes(path.read_bytes())
        with h5py.File(broken, "a") as file:
            change(file["model_weights"])
        with pytest.raises(InputError, match=message):
            MiniXceptionFeatures(broken, device=CPU)


def _other_size(model) -> None:
    del model["conv2d_1/conv2d_1_1/kernel:0"]
    model["conv2d_1/conv2d_1_1/kernel:0"] = np.zeros((5, 5, 1, 8), np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "mini_xceptoin"}, "did you mean 'mini_xception'"),
        ({"crop_px": 48}, "visual.crop_px 48: mini_xception takes 64"),
        ({"weights": None}, "visual.weights: name the weights of mini_xception"),
        ({"weights": "/absent/model.hdf5"}, "no such file"),
    ],
)
def test_settings_that_do_not_fit(changes, message):
    settings = load_profile("embedded").visual.model_copy(update=changes)
    with pytest.raises(InputError, match=message):
        build_network(settings, device=CPU)


@pytest.fixture(scope="module")
def visual_settings():
    """The embedded profile's, its weights in the cache."""
    profile = load_profile("embedded").model_copy(update={"lexical": None, "acoustic": None})
    list(fetch_profile(profile))
    return profile.visual


@pytest.mark.weights
def test_published_weights_give_what_their_tflite_conversion_gives(visual_settings):
    # The last digits are the conversion's 8-bit weights: emotion_model_quantized.tflite of the
    # package fer 25.10.3, run with ai-edge-litert on these four images of noise.
    expected = [
        [0.0638, 0.0000, 0.0463, 0.4908, 0.3882, 0.0009, 0.0099],
        [0.0703, 0.0000, 0.0048, 0.6295, 0.2846, 0.0006, 0.0102],
        [0.0344, 0.0000, 0.0070, 0.8275, 0.1272, 0.0009, 0.0031],
        [0.0536, 0.0000, 0.0458, 0.3298, 0.5577, 0.0036, 0.0095],
    ]
    network = MiniXceptionFeatures(find(visual_settings.weights).path, device=CPU)
    np.testing.assert_allclose(network.probabilities(crops(4)), expected, atol=0.02)


@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "before", "after"),
    # Seconds in which the person does not smile, and does; looked at in the pictures.
    [("WolfgangLanger_Pexels", (0.0, 8.5), (12.5, 19.5)), ("single_face", (0.0, 0.45), (0.8, 2.0))],
)
def test_happy_rises_with_the_laugh(real_data, visual_settings, name, before, after):
    extractor = build(visual_settings)
    assert isinstance(extractor, VisualExtractor)
    requests = [ClipRequest(row=i, start_s=a, end_s=b) for i, (a, b) in enumerate((before, after))]
    clips = list(read_video_clips(real_data / "faces" / f"{name}.mp4", requests, 8))
    faces = extractor.find_faces([c.clip for c in clips])
    happy = [
        extractor.network.probabilities(extractor.crop(c.clip, f))[:, FER_CLASSES.index("happy")]
        for c, f in zip(clips, faces, strict=True)
    ]
    assert happy[0].max() < 0.3  # measured: 0.13
    assert happy[1].min() > 0.7  # measured: 0.95

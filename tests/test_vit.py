"""Vision transformers of timm and transformers against an independent forward of the library's.

Small random checkpoints are written as the libraries write them; blocks are read there by hooks of
the test's own, and by `hidden_states` and `forward_intermediates`.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import transformers
from safetensors.torch import save_file
from small_faces import crops, randomise

from amanda.store.errors import InputError
from extractors.expression import build_network
from extractors.profiles import VisualSettings

CPU = torch.device("cpu")
TOLERANCE = 1e-5
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
}
FAMILIES = {
    "vit": (transformers.ViTConfig, transformers.ViTForImageClassification, {}),
    "deit": (transformers.DeiTConfig, transformers.DeiTModel, {}),
    "dinov2": (
        transformers.Dinov2WithRegistersConfig,
        transformers.Dinov2WithRegistersModel,
        {"num_register_tokens": 3},
    ),
    "siglip": (transformers.SiglipVisionConfig, transformers.SiglipVisionModel, {}),
}


def settings(model: str, **changes: object) -> VisualSettings:
    plain = {"n_frames": 4, "detector": "s3fd", "detector_weights": "s3fd", "model": model}
    return VisualSettings(**{**plain, "layers": (1, 2, 3), **changes})


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("vit")
    for name, (config_class, model_class, changes) in FAMILIES.items():
        model = randomise(model_class(config_class(**SIZES, **changes)))
        model.save_pretrained(root / name)
        card = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
        card |= {"image_mean": MEAN, "image_std": STD}
        (root / name / "preprocessor_config.json").write_text(json.dumps(card))
    return {name: root / name for name in FAMILIES}


def pixels(pictures: np.ndarray) -> torch.Tensor:
    scaled = (torch.from_numpy(pictures).double() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    return scaled.permute(0, 3, 1, 2).float()


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    np.testing.assert_array_less(np.abs(found - expected), TOLERANCE * np.abs(expected).max())


def hooked(folder: Path, pictures: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Outputs of the three blocks, and the last hidden state, by transformers."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    model = getattr(model, "vision_model", model)
    seen: list[np.ndarray] = []
    [blocks] = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == 3]
    for block in blocks:
        block.register_forward_hook(
            lambda _m, _a, out: seen.append((out[0] if isinstance(out, tuple) else out).numpy())
        )
    with torch.inference_mode():
        last = model(pixel_values=pixels(pictures)).last_hidden_state.numpy()
    return seen, last


@pytest.mark.parametrize("family", ["vit", "deit", "dinov2"])
def test_class_tokens_of_transformers(folders: dict[str, Path], family: str) -> None:
    pictures = crops(5, 32)
    blocks, last = hooked(folders[family], pictures)
    raw = build_network(settings(f"transformers:{folders[family]}", last_block="raw"), device=CPU)
    assert (raw.crop_px, raw.n_layers, raw.width) == (32, 3, 32)
    for k in range(3):
        assert_close(raw(pictures)[:, k], blocks[k][:, 0])
    normed = build_network(settings(f"transformers:{folders[family]}", layers=None), device=CPU)
    assert_close(normed(pictures)[:, 0], last[:, 0])
    # These are pre-norm models: before and after the final norm are two things.
    assert np.abs(blocks[2][:, 0] - last[:, 0]).max() > 0.01


@pytest.mark.parametrize(
    ("family", "n_before"), [("vit", 1), ("deit", 2), ("dinov2", 4), ("siglip", 0)]
)
def test_means_leave_out_class_and_register_tokens(
    folders: dict[str, Path], family: str, n_before: int
) -> None:
    pictures = crops(2, 32)
    blocks, last = hooked(folders[family], pictures)
    found = build_network(
        settings(f"transformers:{folders[family]}", pooling="mean", layers=(2, 3)), device=CPU
    )(pictures)
    assert last.shape[1] == n_before + 16
    assert_close(found[:, 0], blocks[1][:, n_before:].mean(axis=1))
    assert_close(found[:, 1], last[:, n_before:].mean(axis=1))


def test_block_0_is_what_enters_the_blocks(folders: dict[str, Path]) -> None:
    pictures = crops(2, 32)
    model = transformers.AutoModel.from_pretrained(folders["vit"]).eval()
    with torch.inference_mode():
        embedded = model.embeddings(pixels(pictures)).numpy()
    found = build_network(settings(f"transformers:{folders['vit']}", layers=(0,)), device=CPU)
    assert_close(found(pictures)[:, 0], embedded[:, 0])


def test_batch_size_and_order_do_not_matter(folders: dict[str, Path]) -> None:
    pictures = crops(13, 32)
    name = f"transformers:{folders['vit']}"
    one = build_network(settings(name, batch_size=1), device=CPU)(pictures)
    all_ = build_network(settings(name, batch_size=64), device=CPU)(pictures)
    backwards = build_network(settings(name, batch_size=5), device=CPU)(pictures[::-1])
    assert_close(one, all_)
    assert_close(backwards[::-1], all_)
    same = build_network(settings(name, channels_last=True), device=CPU)(pictures)
    assert_close(same, all_)


ARCHITECTURE = "vit_tiny_patch16_224"
TIMM_SIZES = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 4}


def write_timm(folder: Path, **sizes: object) -> torch.nn.Module:
    """A folder as timm puts it on a hub."""
    folder.mkdir()
    model = timm.create_model(ARCHITECTURE, num_classes=7, **TIMM_SIZES, **sizes)
    model = randomise(model)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    card = {
        "architecture": ARCHITECTURE,
        "num_classes": 7,
        "model_args": {**TIMM_SIZES, **sizes},
        "pretrained_cfg": {"mean": MEAN, "std": STD, "input_size": [3, 32, 32]},
    }
    (folder / "config.json").write_text(json.dumps(card))
    return model


def timm_blocks(model: torch.nn.Module, pictures: np.ndarray) -> tuple[list, np.ndarray]:
    """Class token and patches of each block by timm's own function, and the normed last."""
    with torch.inference_mode():
        last, inner = model.forward_intermediates(
            pixels(pictures), output_fmt="NLC", return_prefix_tokens=True, norm=False
        )
    return [(prefix.numpy(), patches.numpy()) for patches, prefix in inner], last.numpy()


def test_a_folder_of_timms(tmp_path: Path) -> None:
    model = write_timm(tmp_path / "vit")
    pictures = crops(5, 32)
    blocks, last = timm_blocks(model, pictures)
    raw = build_network(settings(f"timm:{tmp_path / 'vit'}", last_block="raw"), device=CPU)
    for k in range(3):
        assert_close(raw(pictures)[:, k], blocks[k][0][:, 0])
    normed = build_network(settings(f"timm:{tmp_path / 'vit'}"), device=CPU)(pictures)
    assert_close(normed[:, 2], last[:, 0])
    mean = build_network(
        settings(f"timm:{tmp_path / 'vit'}", pooling="mean", layers=(1,)), device=CPU
    )
    assert_close(mean(pictures)[:, 0], blocks[0][1].mean(axis=1))
    assert raw.attrs["model"] == "vit"
    assert raw.attrs["revision"] == "local"
    assert "[0.5, 0.4, 0.3]" in raw.input


def test_timm_without_class_token_takes_the_mean(tmp_path: Path) -> None:
    model = write_timm(tmp_path / "gap", class_token=False, global_pool="avg", reg_tokens=2)
    pictures = crops(3, 32)
    blocks, _ = timm_blocks(model, pictures)
    name = f"timm:{tmp_path / 'gap'}"
    found = build_network(settings(name, layers=(2,)), device=CPU)(pictures)
    assert_close(found[:, 0], blocks[1][1].mean(axis=1))
    with pytest.raises(InputError, match=r"pooling class: gap has no class token; use mean"):
        build_network(settings(name, pooling="class"), device=CPU)


def test_an_architecture_of_timms_and_a_file(tmp_path: Path) -> None:
    model = randomise(timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=8))
    torch.save({"model": model.state_dict(), "epoch": 3}, tmp_path / "face.pth")
    file = str(tmp_path / "face.pth")
    chosen = settings(f"timm:{ARCHITECTURE}", weights=file, crop_px=32, layers=(12,))
    network = build_network(chosen, device=CPU)
    pictures = crops(1, 32)
    half = (torch.from_numpy(pictures).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        expected = model.forward_features(half.permute(0, 3, 1, 2))[:, 0].numpy()
    assert_close(network(pictures)[:, 0], expected)
    with pytest.raises(InputError, match="not the weights of VisionTransformer: 1 parameters"):
        build_network(chosen.model_copy(update={"crop_px": 64}), device=CPU)
    with pytest.raises(InputError, match="name the weights of timm:vit_tiny_patch16_224"):
        build_network(chosen.model_copy(update={"weights": None}), device=CPU)
    with pytest.raises(InputError, match=r"no architecture 'vit_tiny_patch16_225'; did you mean"):
        build_network(chosen.model_copy(update={"model": "timm:vit_tiny_patch16_225"}), device=CPU)
    other = chosen.model_copy(update={"model": "timm:resnet18", "crop_px": None})
    with pytest.raises(InputError, match="is no plain vision transformer"):
        build_network(other, device=CPU)


def test_what_does_not_fit_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    name = f"transformers:{folders['vit']}"
    with pytest.raises(InputError, match="has 3 blocks, so block 12 is not"):
        build_network(settings(name, layers=(1, 12)), device=CPU)
    with pytest.raises(InputError, match=f"visual.crop_px 112: {name} takes 32"):
        build_network(settings(name, crop_px=112), device=CPU)
    with pytest.raises(InputError, match=r"run `amanda weights fetch --profile paper_vit`"):
        build_network(settings("transformers:trpakov/vit-face-expression"), device=CPU)
    transformers.ViTModel(transformers.ViTConfig(**SIZES)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"no preprocessor_config\.json"):
        build_network(settings(f"transformers:{tmp_path}"), device=CPU)
    with pytest.raises(InputError, match="apvit has one feature"):
        build_network(
            settings("apvit", weights=str(folders["vit"] / "model.safetensors")), device=CPU
        )

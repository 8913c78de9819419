"""Vision transformers as face networks: any of timm's or transformers' with a list of blocks.

`timm:MODEL` and `transformers:MODEL` take a hub id (fetched by `amanda weights fetch`) or a folder
as `save_pretrained` and timm's `save_for_hf` write it; `timm:ARCHITECTURE` takes a file of weights
beside it. What a feature is, is in the profile: which blocks, the last before or after the model's
final norm (both kinds of library end pre-norm models with one), the class token or the patches'
mean.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from amanda.store.errors import InputError, nearest
from extractors.compute import BatchSize, Compute
from extractors.crops import normalisation_note, run_crops
from extractors.pretrained import (
    Blocks,
    check_layers,
    find_blocks,
    load_encoder,
    quiet,
    read_state,
    run_blocks,
)
from extractors.profiles import VisualSettings
from extractors.weights import Located

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin", "*.safetensors", "*.bin", "*.pth", "*.pt")


@dataclass(frozen=True, kw_only=True)
class VisionTransformer:
    """A loaded model, whichever library it is of.

    Attributes:
        forward: images to the last hidden state, (n, tokens, width), after the final norm if any.
        n_before: tokens before those of the patches: class token, registers.
        has_class: whether the first of them is a class token.
        side_px: of the images it takes.
        mean, std: of a channel, in parts of 1.
    """

    name: str
    network: nn.Module
    forward: Callable[[Float[Tensor, "n 3 h w"]], Float[Tensor, "n tokens width"]]
    blocks: Blocks
    n_before: int
    has_class: bool
    side_px: int
    width: int
    mean: Sequence[float]
    std: Sequence[float]


class ViTFeatures:
    """See `extractors.expression.ExpressionNetwork`.

    Raises:
        InputError: the model has no such block, or no class token where one is asked for.
    """

    grey = False

    def __init__(
        self,
        model: VisionTransformer,
        settings: VisualSettings,
        *,
        compute: Compute,
        batch: BatchSize,
        revision: str = "",
        sha256: str = "",
    ):
        n_blocks = len(model.blocks)
        self.layers = settings.layers or (n_blocks,)
        check_layers(self.layers, n_blocks, model.name)
        pooling = settings.pooling
        if pooling == "auto":
            pooling = "class" if model.has_class else "mean"
        if pooling == "class" and not model.has_class:
            raise InputError(f"visual.pooling class: {model.name} has no class token; use mean")
        self.model, self.pooling, self.last_block = model, pooling, settings.last_block
        compute.place(model.network)
        compute.compile_blocks(model.blocks)
        self.compute, self.batch = compute, batch
        self.crop_px, self.width, self.n_layers = model.side_px, model.width, len(self.layers)
        token = "class token" if pooling == "class" else "mean of the patches"
        self.input = (
            f"{normalisation_note(model.mean, model.std)}; {token}; last block {self.last_block}"
        )
        self.attrs: Mapping[str, Any] = {
            "model": model.name,
            "revision": revision,
            "sha256": sha256,
            "layers": list(self.layers),
        }

    def __call__(
        self, crops: UInt8[np.ndarray, "n side side channels"]
    ) -> Float32[np.ndarray, "n layers width"]:
        return run_crops(
            crops,
            self._features,
            shape=(self.n_layers, self.width),
            mean=self.model.mean,
            std=self.model.std,
            compute=self.compute,
            batch=self.batch,
        )

    def _features(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n layers width"]:
        tokens = run_blocks(
            self.model.blocks, self.layers, self.last_block, lambda: self.model.forward(images)
        )
        if self.pooling == "class":
            return tokens[:, 0]
        return tokens[:, self.model.n_before :].mean(dim=1)


def load_timm(settings: VisualSettings, located: Located) -> VisionTransformer:
    """A model of timm: from a folder with its config.json, or an architecture and a file.

    Raises:
        InputError: no such architecture, one without a list of blocks, or weights of another.
    """
    name = settings.model.partition(":")[2].removeprefix("hf-hub:")
    if located.path.is_dir():
        card = _read_json(located.path / "config.json")
        state = read_state(_weights_file(located.path))
        model = _timm_model(card, state, None, located.path)
        name = name if located.revision != "local" else located.path.name
    else:
        state = read_state(located.path)
        model = _timm_model({"architecture": name}, state, settings.crop_px, located.path)
        card = {}
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, Blocks) or not hasattr(model, "num_prefix_tokens"):
        raise InputError(
            f"visual.model '{settings.model}': {type(model).__name__} is no plain vision "
            "transformer (ViT, DeiT, BEiT, EVA and their kin are)"
        )
    _fill(model, state, located.path)
    plain = {**model.default_cfg, **card, **card.get("pretrained_cfg", {})}
    return VisionTransformer(
        name=name,
        network=model.eval().requires_grad_(False),
        forward=model.forward_features,
        blocks=blocks,
        n_before=int(model.num_prefix_tokens),
        has_class=getattr(model, "cls_token", None) is not None,
        side_px=_side(getattr(model.patch_embed, "img_size", None) or plain["input_size"][-1]),
        width=int(model.num_features),
        mean=tuple(plain["mean"]),
        std=tuple(plain["std"]),
    )


def _timm_model(
    card: Mapping[str, Any], state: Mapping[str, Tensor], side_px: int | None, path: Path
) -> Any:
    import timm

    architecture = str(card.get("architecture", ""))
    base = architecture.partition(".")[0]
    if not timm.is_model(base):
        known = nearest(base, timm.list_models())
        hint = known if known.startswith("did") else "see timm.list_models()"
        raise InputError(f"{path}: timm has no architecture '{architecture}'; {hint}")
    arguments = dict(card.get("model_args") or {})
    if side_px is not None:
        arguments["img_size"] = side_px
    n_classes = len(state["head.weight"]) if "head.weight" in state else 0
    try:
        return timm.create_model(base, pretrained=False, num_classes=n_classes, **arguments)
    except (TypeError, RuntimeError, ValueError, AssertionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: timm cannot make '{architecture}' ({reason})") from error


def _fill(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Set every parameter but the classes' layer, strictly."""
    expected = model.state_dict()
    wrong = [
        name
        for name in expected.keys() | state.keys()
        if not name.startswith("head")
        and (name not in expected or name not in state or expected[name].shape != state[name].shape)
    ]
    if wrong:
        raise InputError(
            f"{path}: not the weights of {type(model).__name__}: {len(wrong)} parameters are "
            f"missing, unknown or of another shape, the first '{min(wrong)}'"
        )
    kept = {n: v for n, v in state.items() if n in expected and expected[n].shape == v.shape}
    model.load_state_dict(kept, strict=False)


def load_transformers(settings: VisualSettings, located: Located) -> VisionTransformer:
    """A vision model of transformers from its folder.

    Raises:
        InputError: the folder has no such model, one of another kind, or no preprocessor.
    """
    name = settings.model.partition(":")[2]
    path = located.path
    with quiet():
        model = load_encoder(path, device="cpu")
    model = getattr(model, "vision_model", model)  # of CLIP and its kin, which read text too
    config = getattr(model.config, "vision_config", model.config)
    if not hasattr(config, "patch_size") or not hasattr(config, "image_size"):
        raise InputError(
            f"{path}: {type(model).__name__} is no vision transformer with patches of one size"
        )
    if hasattr(model, "pooler"):
        model.pooler = None  # not used, and not in every checkpoint
    side, patch = _side(config.image_size), _side(config.patch_size)
    mean, std = _transformers_normalisation(path)
    n_before = _n_tokens(model, config) - (side // patch) ** 2
    return VisionTransformer(
        name=path.name if located.revision == "local" else name,
        network=model,
        forward=lambda images: model(pixel_values=images).last_hidden_state,
        blocks=find_blocks(model, int(config.num_hidden_layers)),
        n_before=n_before,
        has_class=n_before > 0,
        side_px=side,
        width=int(config.hidden_size),
        mean=mean,
        std=std,
    )


def _n_tokens(model: Any, config: Any) -> int:
    """How many tokens an image becomes, from an empty one."""
    import torch

    side = _side(config.image_size)
    with torch.inference_mode():
        out = model(pixel_values=torch.zeros(1, int(config.num_channels), side, side))
    return int(out.last_hidden_state.shape[1])


def _transformers_normalisation(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        raise InputError(
            f"{folder}: no preprocessor_config.json, which says how pixels are normalised"
        )
    card = _read_json(path)
    scale = float(card.get("rescale_factor", 1 / 255)) if card.get("do_rescale", True) else 1.0
    if abs(scale * 255 - 1) > 1e-6:
        raise InputError(f"{path}: rescale_factor {scale:g}; 1/255 is the only one known here")
    if not card.get("do_normalize", True):
        return (0.0,) * 3, (1.0,) * 3
    return tuple(card["image_mean"]), tuple(card["image_std"])


def _weights_file(folder: Path) -> Path:
    for pattern in WEIGHT_FILES:
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
    raise InputError(f"{folder}: no weights in it ({', '.join(WEIGHT_FILES)})")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(card, dict):
        raise InputError(f"{path}: holds {type(card).__name__}, where names and values are due")
    return card


def _side(size: Any) -> int:
    """Side of a square that is written as a number or as height and width."""
    sides = tuple(size) if isinstance(size, list | tuple) else (size,)
    if len(set(sides)) != 1:
        raise InputError(f"images of {sides}: only square ones are known here")
    return int(sides[0])

"""Expression networks: what is made of a face crop, by the name in a profile's visual section."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from amanda.store.errors import InputError, nearest
from extractors.apvit import ApVitFeatures, load_apvit
from extractors.compute import BatchSize, Compute
from extractors.mini_xception import FER_CLASSES, MiniXceptionFeatures
from extractors.profiles import VisualSettings
from extractors.vit import ViTFeatures, load_timm, load_transformers
from extractors.weights import Located, find


@runtime_checkable
class ExpressionNetwork(Protocol):
    """Face crops to features.

    Attributes:
        grey: whether it takes grey crops (n, s, s, 1) rather than RGB (n, s, s, 3).
        crop_px: their side.
        n_layers, width: shape of a crop's features.
        input: how pixels become what the network takes, in words.
        attrs: model, revision, sha256, layers.
    """

    grey: bool
    crop_px: int
    n_layers: int
    width: int
    input: str
    attrs: Mapping[str, Any]

    def __call__(
        self, crops: UInt8[np.ndarray, "n side side channels"]
    ) -> Float32[np.ndarray, "n layers width"]: ...


def build_network(settings: VisualSettings, *, device: torch.device) -> ExpressionNetwork:
    """The face network of a profile's visual section.

    Raises:
        InputError: no network of that name, no weights, or a crop size it does not take.
    """
    kind = settings.model.partition(":")[0]
    if kind not in NETWORKS:
        known = nearest(kind, list(NETWORKS))
        raise InputError(f"visual.model '{settings.model}': no such face network; {known}")
    if settings.network_weights is None:
        raise InputError(settings.lacking)
    located = find(settings.network_weights, settings.revision)
    network = NETWORKS[kind](settings, located, settings.compute(device))
    if settings.crop_px not in (None, network.crop_px):
        raise InputError(
            f"visual.crop_px {settings.crop_px}: {settings.model} takes {network.crop_px}"
        )
    return network


def _mini_xception(
    settings: VisualSettings, located: Located, compute: Compute
) -> ExpressionNetwork:
    _refuse_token_settings(settings)
    return MiniXceptionFeatures(
        located.path,
        device=compute.device,
        batch_size=settings.batch_size,
        compute=compute,
        **_identity(located),
    )


def _apvit(settings: VisualSettings, located: Located, compute: Compute) -> ExpressionNetwork:
    _refuse_token_settings(settings)
    network = load_apvit(located.path)
    batch = _batch_of_transformer(settings, compute)
    return ApVitFeatures(network, compute=compute, batch=batch, **_identity(located))


def _timm(settings: VisualSettings, located: Located, compute: Compute) -> ExpressionNetwork:
    model, batch = load_timm(settings, located), _batch_of_transformer(settings, compute)
    return ViTFeatures(model, settings, compute=compute, batch=batch, **_identity(located))


def _transformers(
    settings: VisualSettings, located: Located, compute: Compute
) -> ExpressionNetwork:
    model, batch = load_transformers(settings, located), _batch_of_transformer(settings, compute)
    return ViTFeatures(model, settings, compute=compute, batch=batch, **_identity(located))


def _batch_of_transformer(settings: VisualSettings, compute: Compute) -> BatchSize:
    return BatchSize(compute.device, asked=settings.batch_size, cpu=8, memory_gb=settings.memory_gb)


def _identity(located: Located) -> dict[str, str]:
    return {"revision": located.revision, "sha256": located.sha256}


def _refuse_token_settings(settings: VisualSettings) -> None:
    if settings.layers is not None or settings.pooling != "auto" or settings.last_block != "normed":
        raise InputError(
            f"visual: {settings.model} has one feature, its class token after the final norm; "
            "leave out layers, pooling and last_block"
        )


NETWORKS: dict[str, Callable[[VisualSettings, Located, Compute], ExpressionNetwork]] = {
    "mini_xception": _mini_xception,
    "apvit": _apvit,
    "timm": _timm,
    "transformers": _transformers,
}

__all__ = ["FER_CLASSES", "NETWORKS", "ExpressionNetwork", "MiniXceptionFeatures", "build_network"]

"""Face crops through a network, in batches: scaled, normalised, run, brought back."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from amanda.store.errors import AmandaError
from extractors.compute import BatchSize, Compute

Images = Float[Tensor, "n channels side side"]
Features = Float[Tensor, "n layers width"]


def run_crops(
    crops: UInt8[np.ndarray, "n side side channels"],
    function: Callable[[Images], Features],
    *,
    shape: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
    compute: Compute,
    batch: BatchSize,
) -> Float32[np.ndarray, "n layers width"]:
    """Features of each crop; how many run at once changes them by rounding only.

    Args:
        shape: layers and width of what `function` gives.
        mean, std: of a channel, in parts of 1 (255 is 1).

    Raises:
        AmandaError: a feature is NaN or infinite: the network or its weights are broken.
    """

    def run(part: UInt8[np.ndarray, "m side side channels"]) -> np.ndarray:
        pixels = torch.from_numpy(np.ascontiguousarray(part)).to(compute.device)
        images = rearrange(pixels, "n h w c -> n c h w").float() / 255.0
        centre, spread = (torch.tensor(v, device=images.device)[:, None, None] for v in (mean, std))
        with compute.running():
            return function(compute.images((images - centre) / spread)).float().cpu().numpy()

    parts = list(batch.over(crops, run))
    features = np.concatenate([np.zeros((0, *shape), np.float32), *parts])
    if not np.isfinite(features).all():
        wrong = int(np.count_nonzero(~np.isfinite(features).all(axis=(1, 2))))
        raise AmandaError(
            f"visual: the face network gave NaN or infinity for {wrong} of {len(crops)} crops; "
            "check its weights, the precision and the device"
        )
    return features


def normalisation_note(mean: Sequence[float], std: Sequence[float]) -> str:
    """How pixels become what a network takes, in words."""
    middle, spread = (", ".join(f"{v:.4g}" for v in values) for values in (mean, std))
    return f"RGB, (x / 255 - [{middle}]) / [{spread}]"

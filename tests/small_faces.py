"""Small face networks with random weights, as their publishers' files would hold them."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from extractors.apvit import ApVit

SMALL_APVIT = {
    "widths": (8, 12, 16),
    "n_units": (1, 1, 2),
    "width": 32,
    "n_heads": 4,
    "hidden": 48,
}
"""Sizes of an APViT that runs in milliseconds; its tokens are as many as the published one's."""


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights drawn so that values keep their size through the layers; statistics of batch norms
    and positions too, so that a forgotten one shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("running_var") or (name.endswith("weight") and value.dim() == 1):
                value.copy_(1 + 0.3 * noise.abs())
            elif value.dim() > 1 and name.endswith("weight"):
                value.copy_(noise * (1.5 / value[0].numel()) ** 0.5)
            else:
                value.copy_(0.3 * noise)
    return network.eval()


def write_apvit(path: Path, *, published_size: bool = False, seed: int = 0) -> dict[str, Tensor]:
    """A training checkpoint as the authors' framework saves one; returns its parameters."""
    network = randomise(ApVit() if published_size else ApVit(**SMALL_APVIT), seed)
    state = network.state_dict()
    torch.save({"meta": {"epoch": 40, "mmcls_version": "0.1"}, "state_dict": state}, path)
    return state


def crops(n: int, side: int = 112, seed: int = 0) -> np.ndarray:
    """Pictures with structure at several scales, RGB."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 7, 7, 3)).astype(np.float32)
    fine = rng.integers(-40, 40, (n, side, side, 3))
    picture = np.kron(coarse, np.ones((1, -(-side // 7), -(-side // 7), 1), np.float32))
    return np.clip(picture[:, :side, :side] + fine, 0, 255).astype(np.uint8)

"""APViT (Xue et al. 2022, arXiv:2212.05463), the paper's face network, from its checkpoint.

An IR-50 face recogniser gives a map of 256 × 14 × 14. Each of its 196 places becomes a token; the
160 whose projections have the largest sum of magnitudes are kept (attentive patch pooling). Eight
pre-norm transformer blocks follow, of which the last four keep nine tenths of their tokens each:
144, 129, 116, 104, those to which the class token attends most (attentive token pooling: the class
token's logits before the softmax, summed over heads). The feature is the class token after the
final norm, 768 wide, before the layer of the seven classes.

Modules are named as in the checkpoint, so that it loads strictly. The original compares the size of
the *batch* with the number of tokens when it decides whether to prune, so that batches of 161, 145,
130 or 117 images skip a pruning; here only token counts decide, and a face's features do not depend
on the faces beside it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor, nn

from amanda.store.errors import InputError
from extractors.compute import BatchSize, Compute
from extractors.crops import normalisation_note, run_crops
from extractors.pretrained import read_state

CLASSES = ("angry", "disgust", "fear", "sad", "happy", "surprise", "neutral")
"""Of `head.fc`, in the order to which the authors' reader of RAF-DB turns its labels."""
N_PATCHES = 196
KEEP_RATES = (1.0, 1.0, 1.0, 1.0, 0.9, 0.9, 0.9, 0.9)


class ResidualUnit(nn.Module):
    """A unit of IR-50 (Deng et al. 2019): norm, convolution, PReLU, strided convolution, norm."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        if n_in == n_out:
            self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(n_in),
            nn.Conv2d(n_in, n_out, 3, 1, 1, bias=False),
            nn.PReLU(n_out),
            nn.Conv2d(n_out, n_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        return self.res_layer(x) + self.shortcut_layer(x)


class IR50(nn.Module):
    """Stages 1 to 3 of IR-50: 112 × 112 to a 14 × 14 map."""

    def __init__(self, widths: Sequence[int], n_units: Sequence[int]):
        super().__init__()
        first = widths[0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, first, 3, 1, 1, bias=False), nn.BatchNorm2d(first), nn.PReLU(first)
        )
        stages = []
        for before, width, n in zip((first, *widths), widths, n_units, strict=False):
            units = [ResidualUnit(before, width, 2)]
            units += [ResidualUnit(width, width, 1) for _ in range(n - 1)]
            stages.append(nn.Sequential(*units))
        self.body = nn.ModuleList(stages)

    def forward(self, x: Float[Tensor, "n 3 112 112"]) -> Float[Tensor, "n c 14 14"]:
        x = self.input_layer(x)
        for stage in self.body:
            x = stage(x)
        return x


class Attention(nn.Module):
    """Self-attention that also says which tokens the class token's logits rank highest."""

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.scale = (width // n_heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "n tokens width"], n_kept: int
    ) -> tuple[Float[Tensor, "n tokens width"], Int[Tensor, "n kept"] | None]:
        """What is added to the tokens, and the places of those kept; None where all are."""
        q, k, v = rearrange(
            self.qkv(x), "n t (three h d) -> three n h t d", three=3, h=self.n_heads
        )
        kept = None
        if n_kept < x.shape[1] - 1:
            of_class = (q[:, :, :1] @ k.transpose(-2, -1)).float()[:, :, 0, 1:] * self.scale
            # The class token stands first and always stays.
            kept = nn.functional.pad(_highest(of_class.sum(dim=1), n_kept) + 1, (1, 0))
        out = nn.functional.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return self.proj(rearrange(out, "n h t d -> n t (h d)")), kept


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "n tokens width"]) -> Float[Tensor, "n tokens width"]:
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm block; tokens are dropped between the attention's residual and the MLP."""

    def __init__(self, width: int, n_heads: int, hidden: int):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.attn, self.mlp = Attention(width, n_heads), Mlp(width, hidden)

    def forward(
        self, x: Float[Tensor, "n tokens width"], n_kept: int
    ) -> Float[Tensor, "n fewer width"]:
        """`n_kept` tokens beside the class token leave the block."""
        change, kept = self.attn(self.norm1(x), n_kept)
        x = x + change
        if kept is not None:
            x = _take(x, kept)
        return x + self.mlp(self.norm2(x))


class PoolingViT(nn.Module):
    """Tokens of the map, the best kept, through the blocks."""

    def __init__(
        self, n_in: int, width: int, n_heads: int, hidden: int, n_kept: int, n_patches: int
    ):
        super().__init__()
        self.n_kept = n_kept
        self.projs = nn.ModuleList([nn.Conv2d(n_in, width, 1)])
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.cls_pos_embed = nn.Parameter(torch.zeros(1, 1, width))
        self.patch_pos_embed = nn.Parameter(torch.zeros(1, n_patches, width))
        self.blocks = nn.ModuleList([Block(width, n_heads, hidden) for _ in KEEP_RATES])
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n width"]:
        """The class token after the final norm."""
        tokens = rearrange(self.projs[0](x), "n width h w -> n (h w) width")
        kept = _highest(tokens.float().abs().sum(dim=2), self.n_kept)
        tokens = _take(tokens + self.patch_pos_embed, kept)
        first = (self.cls_token + self.cls_pos_embed).expand(len(x), -1, -1)
        hidden = torch.cat([first, tokens], dim=1)
        for block, rate in zip(self.blocks, KEEP_RATES, strict=True):
            hidden = block(hidden, max(1, int(rate * (hidden.shape[1] - 1))))
        return self.norm(hidden)[:, 0]


class ApVit(nn.Module):
    """The whole network. The defaults are the published model's sizes; tests use smaller ones."""

    def __init__(
        self,
        *,
        widths: Sequence[int] = (64, 128, 256),
        n_units: Sequence[int] = (3, 4, 14),
        width: int = 768,
        n_heads: int = 8,
        hidden: int = 2304,
        n_kept: int = 160,
    ):
        super().__init__()
        self.width = width
        self.extractor = IR50(widths, n_units)
        self.vit = PoolingViT(widths[-1], width, n_heads, hidden, n_kept, N_PATCHES)
        self.head = nn.ModuleDict({"fc": nn.Linear(width, len(CLASSES))})

    def features(self, x: Float[Tensor, "n 3 112 112"]) -> Float[Tensor, "n width"]:
        """What the paper takes: the class token, before the classes."""
        return self.vit(self.extractor(x))

    def forward(self, x: Float[Tensor, "n 3 112 112"]) -> Float[Tensor, "n 7"]:
        """Logits of `CLASSES`."""
        return self.head["fc"](self.features(x))


def _highest(scores: Float[Tensor, "n tokens"], n: int) -> Int[Tensor, "n kept"]:
    """Places of the `n` highest scores of each row, in ascending order."""
    return torch.topk(scores, n, dim=1).indices.sort(dim=1).values


def _take(
    tokens: Float[Tensor, "n tokens width"], places: Int[Tensor, "n kept"]
) -> Float[Tensor, "n kept width"]:
    return tokens.gather(1, places[..., None].expand(-1, -1, tokens.shape[2]))


def load_apvit(path: Path, **sizes: Any) -> ApVit:
    """The network with a checkpoint's weights: every parameter is set, none is left over.

    Args:
        path: the authors' .pth (of a training checkpoint, its `state_dict`), or safetensors.
        sizes: of `ApVit`, for another variant.

    Raises:
        InputError: the file is no checkpoint, or not of this network.
    """
    network = ApVit(**sizes)
    state = {name.removeprefix("module."): value for name, value in read_state(path).items()}
    expected = network.state_dict()
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = sorted(expected.keys() - state.keys() - counters)
    left = sorted(state.keys() - expected.keys())
    other = sorted(n for n in expected.keys() & state.keys() if expected[n].shape != state[n].shape)
    if missing or left or other:
        first = (
            f"'{missing[0]}' is missing"
            if missing
            else f"'{left[0]}' is none of its parameters"
            if left
            else f"'{other[0]}' is {tuple(state[other[0]].shape)}, not "
            f"{tuple(expected[other[0]].shape)}"
        )
        raise InputError(
            f"{path}: not an APViT checkpoint: {len(missing)} parameters missing, {len(left)} "
            f"unknown, {len(other)} of another shape; {first}"
        )
    network.load_state_dict({**expected, **state})
    return network.eval().requires_grad_(False)


class ApVitFeatures:
    """APViT as a face network; see `extractors.expression.ExpressionNetwork`."""

    grey = False
    crop_px = 112
    n_layers = 1
    mean = (123.675 / 255, 116.28 / 255, 103.53 / 255)
    std = (58.395 / 255, 57.12 / 255, 57.375 / 255)
    input = normalisation_note(mean, std)

    def __init__(
        self,
        network: ApVit,
        *,
        compute: Compute,
        batch: BatchSize,
        revision: str = "",
        sha256: str = "",
    ):
        self.network = compute.place(network)
        self._features = compute.compiled(self.network.features)
        self.width = network.width
        self.compute, self.batch = compute, batch
        self.attrs: Mapping[str, Any] = {
            "model": "apvit",
            "revision": revision,
            "sha256": sha256,
            "layers": ["class token after the final norm"],
        }

    def __call__(
        self, crops: UInt8[np.ndarray, "n side side channels"]
    ) -> Float32[np.ndarray, "n layers width"]:
        return run_crops(
            crops,
            lambda x: self._features(x)[:, None],
            shape=(self.n_layers, self.width),
            mean=self.mean,
            std=self.std,
            compute=self.compute,
            batch=self.batch,
        )

"""APViT against a forward written out from its checkpoint's names, and prunings by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from small_faces import SMALL_APVIT, crops, write_apvit

from amanda.store.errors import AmandaError, InputError
from extractors.apvit import ApVit, ApVitFeatures, Attention, Block, load_apvit
from extractors.compute import BatchSize, Compute

CPU = torch.device("cpu")
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def network(path: Path, batch_size: int = 8, **sizes: object) -> ApVitFeatures:
    return ApVitFeatures(
        load_apvit(path, **sizes),
        compute=Compute(device=CPU),
        batch=BatchSize(CPU, asked=batch_size),
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("apvit") / "APViT_RAF-3eeecf7d.pth"
    write_apvit(path)
    return path


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Every parameter of the authors' model: stages of 3, 4, 14 units and eight blocks."""
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, width: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (width,)
        shapes[f"{name}.num_batches_tracked"] = ()

    shapes["extractor.input_layer.0.weight"] = (64, 3, 3, 3)
    norm("extractor.input_layer.1", 64)
    shapes["extractor.input_layer.2.weight"] = (64,)
    for stage, (n, before, width) in enumerate([(3, 64, 64), (4, 64, 128), (14, 128, 256)]):
        for i in range(n):
            unit = f"extractor.body.{stage}.{i}"
            n_in = before if i == 0 else width
            norm(f"{unit}.res_layer.0", n_in)
            shapes[f"{unit}.res_layer.1.weight"] = (width, n_in, 3, 3)
            shapes[f"{unit}.res_layer.2.weight"] = (width,)
            shapes[f"{unit}.res_layer.3.weight"] = (width, width, 3, 3)
            norm(f"{unit}.res_layer.4", width)
            if n_in != width:
                shapes[f"{unit}.shortcut_layer.0.weight"] = (width, n_in, 1, 1)
                norm(f"{unit}.shortcut_layer.1", width)
    shapes |= {
        "vit.cls_token": (1, 1, 768),
        "vit.cls_pos_embed": (1, 1, 768),
        "vit.patch_pos_embed": (1, 196, 768),
        "vit.projs.0.weight": (768, 256, 1, 1),
        "vit.projs.0.bias": (768,),
        "vit.norm.weight": (768,),
        "vit.norm.bias": (768,),
        "head.fc.weight": (7, 768),
        "head.fc.bias": (7,),
    }
    for i in range(8):
        block = f"vit.blocks.{i}"
        shapes[f"{block}.attn.qkv.weight"] = (2304, 768)
        for layer, out, n_in in (
            ("attn.proj", 768, 768),
            ("mlp.fc1", 2304, 768),
            ("mlp.fc2", 768, 2304),
        ):
            shapes[f"{block}.{layer}.weight"], shapes[f"{block}.{layer}.bias"] = (out, n_in), (out,)
        for layer in ("norm1", "norm2"):
            shapes[f"{block}.{layer}.weight"] = shapes[f"{block}.{layer}.bias"] = (768,)
    return shapes


def test_names_and_shapes_are_the_published_ones() -> None:
    with torch.device("meta"):
        state = ApVit().state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == published_shapes()


class Written:
    """The forward of one picture, in float64, from the names; tokens are chosen in a loop."""

    def __init__(self, state: dict[str, torch.Tensor], n_heads: int, skipped: int | None = None):
        self.p = {k: v.double() for k, v in state.items()}
        self.n_heads, self.skipped = n_heads, skipped
        self.n_tokens: list[int] = []

    def norm2d(self, x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var = self.p[f"{name}.running_mean"], self.p[f"{name}.running_var"]
        scaled = (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
        return (
            scaled * self.p[f"{name}.weight"][:, None, None] + self.p[f"{name}.bias"][:, None, None]
        )

    def unit(self, x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        y = self.norm2d(x, f"{name}.res_layer.0")
        y = F.conv2d(y[None], self.p[f"{name}.res_layer.1.weight"], padding=1)[0]
        slope = self.p[f"{name}.res_layer.2.weight"][:, None, None]
        y = torch.where(y >= 0, y, slope * y)
        y = F.conv2d(y[None], self.p[f"{name}.res_layer.3.weight"], padding=1, stride=stride)[0]
        y = self.norm2d(y, f"{name}.res_layer.4")
        if f"{name}.shortcut_layer.0.weight" in self.p:
            x = F.conv2d(x[None], self.p[f"{name}.shortcut_layer.0.weight"], stride=stride)[0]
            return y + self.norm2d(x, f"{name}.shortcut_layer.1")
        return y + x[:, ::stride, ::stride]

    def layer_norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        scaled = centred / ((centred**2).mean(dim=-1, keepdim=True) + 1e-6).sqrt()
        return scaled * self.p[f"{name}.weight"] + self.p[f"{name}.bias"]

    def block(self, x: torch.Tensor, name: str, rate: float) -> torch.Tensor:
        normed = self.layer_norm(x, f"{name}.norm1")
        width, head = x.shape[1], x.shape[1] // self.n_heads
        queries, keys, values = (normed @ self.p[f"{name}.attn.qkv.weight"].T).split(width, dim=1)
        out, of_class = [], torch.zeros(len(x), dtype=torch.float64)
        for h in range(self.n_heads):
            part = slice(h * head, (h + 1) * head)
            logits = queries[:, part] @ keys[:, part].T * head**-0.5
            of_class += logits[0]
            out.append(logits.softmax(dim=1) @ values[:, part])
        x = x + torch.cat(out, dim=1) @ self.p[f"{name}.attn.proj.weight"].T
        x = x + self.p[f"{name}.attn.proj.bias"]
        n_kept = int(rate * (len(x) - 1))
        if n_kept < len(x) - 1 and len(x) != self.skipped:
            ranked = sorted(range(1, len(x)), key=lambda i: -float(of_class[i]))
            x = x[[0, *sorted(ranked[:n_kept])]]
        self.n_tokens.append(len(x) - 1)
        hidden = self.layer_norm(x, f"{name}.norm2") @ self.p[f"{name}.mlp.fc1.weight"].T
        hidden = F.gelu(hidden + self.p[f"{name}.mlp.fc1.bias"])
        return x + hidden @ self.p[f"{name}.mlp.fc2.weight"].T + self.p[f"{name}.mlp.fc2.bias"]

    def __call__(self, crop: np.ndarray) -> np.ndarray:
        """Features of one 112 × 112 RGB picture."""
        pixels = (torch.from_numpy(crop).double() - torch.tensor(MEAN)) / torch.tensor(STD)
        x = F.conv2d(
            pixels.permute(2, 0, 1)[None], self.p["extractor.input_layer.0.weight"], padding=1
        )[0]
        x = self.norm2d(x, "extractor.input_layer.1")
        x = torch.where(x >= 0, x, self.p["extractor.input_layer.2.weight"][:, None, None] * x)
        for stage in range(3):
            i = 0
            while f"extractor.body.{stage}.{i}.res_layer.1.weight" in self.p:
                x = self.unit(x, f"extractor.body.{stage}.{i}", 2 if i == 0 else 1)
                i += 1
        projected = F.conv2d(x[None], self.p["vit.projs.0.weight"], self.p["vit.projs.0.bias"])[0]
        tokens = projected.flatten(1).T
        magnitude = tokens.abs().sum(dim=1)
        best = sorted(sorted(range(196), key=lambda i: -float(magnitude[i]))[:160])
        tokens = (tokens + self.p["vit.patch_pos_embed"][0])[best]
        x = torch.cat([self.p["vit.cls_token"][0] + self.p["vit.cls_pos_embed"][0], tokens])
        self.n_tokens = []
        for i in range(8):
            x = self.block(x, f"vit.blocks.{i}", 1.0 if i < 4 else 0.9)
        return self.layer_norm(x, "vit.norm")[0].numpy()


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_features_are_those_of_a_forward_written_out(checkpoint: Path) -> None:
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    written = Written(state, SMALL_APVIT["n_heads"])
    pictures = crops(3)
    found = network(checkpoint, **SMALL_APVIT)(pictures)
    assert found.shape == (3, 1, 32)
    for picture, features in zip(pictures, found, strict=True):
        assert relative(features[0], written(picture)) < 1e-5
        assert written.n_tokens == [160, 160, 160, 160, 144, 129, 116, 104]
    assert relative(found[0], found[1]) > 0.05


@pytest.mark.slow
def test_the_published_size(tmp_path: Path) -> None:
    state = write_apvit(tmp_path / "apvit.pth", published_size=True)
    [picture] = crops(1)
    found = network(tmp_path / "apvit.pth")(picture[None])
    assert found.shape == (1, 1, 768)
    assert relative(found[0, 0], Written(state, 8)(picture)) < 1e-5


def test_tokens_are_dropped_by_the_class_tokens_logits_summed_over_heads() -> None:
    """Two heads of one dimension; q, k and v are the input itself, so logits are products."""
    attention = Attention(width=2, n_heads=2)
    with torch.no_grad():
        attention.qkv.weight.copy_(torch.eye(2).repeat(3, 1))
    # The class token is (1, 2): a token (a, b) has the logits a and 2 b, in all a + 2 b.
    tokens = [(5, -3), (-4, 3), (1, 1), (0, 0), (9, -4), (-9, 4)]
    #  sums:   -1       2       3       0       1       -1   (magnitudes would rank 1, 5, 6 first)
    x = torch.tensor([[(1, 2), *tokens]], dtype=torch.float32)
    _, kept = attention(x, 3)
    assert kept.tolist() == [[0, 2, 3, 5]]
    _, kept = attention(x, 2)
    assert kept.tolist() == [[0, 2, 3]]
    assert attention(x, 6)[1] is None


def test_tokens_leave_between_attention_and_mlp_in_their_order() -> None:
    block = Block(width=4, n_heads=2, hidden=4)
    with torch.no_grad():
        for layer in (block.attn.proj, block.mlp.fc2):
            layer.weight.zero_()
            layer.bias.zero_()
    x = torch.randn(2, 11, 4, generator=torch.Generator().manual_seed(0))
    _, kept = block.attn(block.norm1(x), 9)
    out = block(x, 9)
    for row in range(2):
        assert kept[row].tolist() == sorted(kept[row].tolist())
        assert kept[row, 0] == 0
        torch.testing.assert_close(out[row], x[row, kept[row]])
    assert out.shape == (2, 10, 4)


def test_batches_of_145_and_161_are_pruned_like_any_other(checkpoint: Path) -> None:
    """The original compares these sizes with its numbers of tokens, and skips a pruning."""
    pictures = crops(161)
    expected = network(checkpoint, 7, **SMALL_APVIT)(pictures)
    for n in (145, 161):
        found = network(checkpoint, n, **SMALL_APVIT)(pictures[:n])
        assert relative(found, expected[:n]) < 1e-5
    shuffled = np.random.default_rng(0).permutation(161)
    found = network(checkpoint, 161, **SMALL_APVIT)(np.ascontiguousarray(pictures[shuffled]))
    assert relative(found, expected[shuffled]) < 1e-5
    # A skipped pruning shows, so the comparison above is not void.
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    skipped = Written(state, SMALL_APVIT["n_heads"], skipped=161)(pictures[0])
    assert relative(skipped, expected[0, 0]) > 1e-3


def test_no_crop_gives_no_feature(checkpoint: Path) -> None:
    assert network(checkpoint, **SMALL_APVIT)(crops(1)[:0]).shape == (0, 1, 32)


def test_forms_of_the_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    pictures = crops(2)
    expected = network(checkpoint, **SMALL_APVIT)(pictures)
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "a.pth")
    save_file(
        {name: value.contiguous() for name, value in state.items()}, tmp_path / "a.safetensors"
    )
    old = {name: v for name, v in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    for name in ("a.pth", "a.safetensors", "old.pth"):
        found = network(tmp_path / name, **SMALL_APVIT)(pictures)
        np.testing.assert_array_equal(found, expected)


def test_other_files_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    bad = tmp_path / "bad.pth"
    bad.write_text("no checkpoint")
    with pytest.raises(InputError, match=r"bad\.pth: no weights can be read"):
        load_apvit(bad)
    torch.save({name: value for name, value in state.items() if name != "vit.norm.bias"}, bad)
    with pytest.raises(InputError, match=r"1 parameters missing.*'vit\.norm\.bias' is missing"):
        load_apvit(bad, **SMALL_APVIT)
    torch.save({**state, "vit.alpha": torch.zeros(1)}, bad)
    with pytest.raises(InputError, match=r"1 unknown.*'vit\.alpha' is none of its parameters"):
        load_apvit(bad, **SMALL_APVIT)
    torch.save({**state, "head.fc.bias": torch.zeros(8)}, bad)
    with pytest.raises(InputError, match=r"'head\.fc\.bias' is \(8,\), not \(7,\)"):
        load_apvit(bad, **SMALL_APVIT)
    torch.save({**state, "head.fc.bias": torch.full((7,), torch.nan)}, bad)
    network(bad, **SMALL_APVIT)(crops(1))  # the classes are not used
    torch.save({**state, "vit.norm.bias": torch.full((32,), torch.nan)}, bad)
    with pytest.raises(AmandaError, match="NaN or infinity for 2 of 2 crops"):
        network(bad, **SMALL_APVIT)(crops(2))

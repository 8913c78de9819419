"""The models of the paper's profile, one clip at a time and as we run them."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from einops import rearrange

from extractors.acoustic import build as build_acoustic
from extractors.compute import Compute
from extractors.expression import build_network
from extractors.faces import MEAN_BGR, S3fd
from extractors.lexical import build as build_lexical
from extractors.profiles import AcousticSettings, LexicalSettings, VisualSettings
from extractors.s3fd_boxes import STEPS_PX, library_postprocess, vectorised_postprocess

FRAMES_A_CLIP, CLIP_S, N_WORDS = 64, 4.5, 12
LAYERS = (1, 7, 12)
HEIGHT, WIDTH = 480, 640
BATCH_CLIPS = 4
"""Clips of sound and text that are run together; detection takes its own batches."""


def clock(device: torch.device) -> float:
    """CPU seconds of this process where one thread computes, else the clock's."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    one = device.type == "cpu" and torch.get_num_threads() == 1
    return time.process_time() if one else time.perf_counter()


def timed(device: torch.device, function: Callable[[], Any]) -> float:
    start_s = clock(device)
    function()
    return clock(device) - start_s


def synthetic_maps(n: int, device: torch.device, faces: int = 2) -> list[torch.Tensor]:
    """S3FD's maps of `n` frames with so many faces, each seen at a few dozen places."""
    generator = torch.Generator().manual_seed(0)
    maps = []
    for step in STEPS_PX:
        rows, columns = HEIGHT // step, WIDTH // step
        logits = torch.zeros(n, 2, rows, columns)
        logits[:, 0] = 8.0
        offsets = 0.3 * torch.randn(n, 4, rows, columns, generator=generator)
        if step in (16, 32):
            for face in range(faces):
                y, x = (face + 1) * rows // (faces + 1), (face + 1) * columns // (faces + 1)
                around = logits[:, 0, y - 2 : y + 3, x - 2 : x + 3]
                away = torch.linspace(-2, 2, 5) ** 2
                peak = 6.0 - 1.3 * (away[:, None] + away[None])
                around.copy_(-peak + 0.3 * torch.randn(around.shape, generator=generator))
        maps += [logits.to(device), offsets.to(device)]
    return maps


def measure_s3fd_post(device: torch.device, *, rounds: int, n: int = 64) -> dict[str, float]:
    """S3FD's boxes from its maps: the library's way and ours, in turn; the boxes are the same."""
    maps = synthetic_maps(n, device)
    theirs, ours = library_postprocess(maps), vectorised_postprocess(maps)
    assert any(len(frame.boxes) for frame in ours)
    for one, other in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
    seconds = {"library": 0.0, "ours": 0.0}
    for _ in range(rounds):
        seconds["library"] += timed(device, lambda: library_postprocess(maps)) / rounds
        seconds["ours"] += timed(device, lambda: vectorised_postprocess(maps)) / rounds
    ratio = seconds["library"] / seconds["ours"]
    print(
        f"S3FD's boxes of {n} frames of {WIDTH} x {HEIGHT} with 2 faces: the library "
        f"{seconds['library']:.3f} s, ours {seconds['ours']:.3f} s: {ratio:.1f} times, equal boxes"
    )
    return {
        "s3fd_post_naive_s": seconds["library"],
        "s3fd_post_ours_s": seconds["ours"],
        "ratio_s3fd_post": ratio,
    }


def write_checkpoints(folder: Path) -> None:
    """BERT-base, wav2vec2-base, ViT-B (14 x 14 patches of 8 pixels) and S3FD, random."""
    from face_alignment.detection.sfd.net_s3fd import s3fd

    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{i}" for i in range(500))]
    transformers.utils.logging.disable_progress_bar()
    transformers.BertModel(transformers.BertConfig()).save_pretrained(folder / "bert")
    transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}).save_pretrained(
        folder / "bert"
    )
    (folder / "bert" / "vocab.txt").write_text("\n".join(words))
    transformers.Wav2Vec2Model(transformers.Wav2Vec2Config()).save_pretrained(folder / "wav2vec2")
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder / "wav2vec2")
    vit = transformers.ViTConfig(image_size=112, patch_size=8)
    transformers.ViTModel(vit, add_pooling_layer=False).save_pretrained(folder / "vit")
    transformers.ViTImageProcessor(size=dict(height=112, width=112)).save_pretrained(folder / "vit")
    torch.save(s3fd().state_dict(), folder / "s3fd.pth")


class Naive:
    """Each model on one clip, one frame, one crop at a time: float32, default memory format."""

    def __init__(self, folder: Path, device: torch.device):
        from face_alignment.detection.sfd.net_s3fd import s3fd

        self.device = device
        self.bert = self._load(transformers.BertModel, folder / "bert")
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "bert")
        self.wav2vec2 = self._load(transformers.Wav2Vec2Model, folder / "wav2vec2")
        self.vit = self._load(transformers.ViTModel, folder / "vit", add_pooling_layer=False)
        self.s3fd = s3fd()
        self.s3fd.load_state_dict(torch.load(folder / "s3fd.pth", weights_only=True))
        self.s3fd = self.s3fd.eval().to(device)

    def _load(self, kind: Any, folder: Path, **more: Any) -> Any:
        return kind.from_pretrained(folder, **more).eval().to(self.device)

    @torch.no_grad()
    def detect(self, frames: np.ndarray) -> None:
        for frame in frames:
            image = frame[..., ::-1].astype(np.float32) - np.array(MEAN_BGR, np.float32)
            tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
            [m.cpu() for m in self.s3fd(tensor.to(self.device))]

    @torch.no_grad()
    def faces(self, crops: np.ndarray) -> None:
        for crop in crops:
            x = torch.from_numpy(crop.astype(np.float32) / 127.5 - 1)
            x = rearrange(x, "h w c -> 1 c h w").to(self.device)
            self.vit(x).last_hidden_state.cpu()

    @torch.no_grad()
    def sound(self, waveforms: list[np.ndarray]) -> None:
        for wave in waveforms:
            x = torch.from_numpy((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7))[None]
            states = self.wav2vec2(x.to(self.device), output_hidden_states=True).hidden_states
            [states[k].cpu() for k in LAYERS]

    @torch.no_grad()
    def text(self, texts: list[str]) -> None:
        for text in texts:
            inputs = self.tokenizer(text, return_tensors="pt").to(self.device)
            states = self.bert(**inputs, output_hidden_states=True).hidden_states
            [states[k].cpu() for k in LAYERS]


class Ours:
    """The extractors of a profile, in one precision."""

    def __init__(self, folder: Path, device: torch.device, precision: Any):
        compute = Compute(device=device, precision=precision, channels_last=True)
        self.detector = S3fd(folder / "s3fd.pth", device=device, compute=compute)
        visual = VisualSettings(
            n_frames=FRAMES_A_CLIP,
            detector="s3fd",
            detector_weights=str(folder / "s3fd.pth"),
            model=f"transformers:{folder / 'vit'}",
            precision=precision,
            channels_last=True,
        )
        self.network = build_network(visual, device=device)
        acoustic = AcousticSettings(
            model=str(folder / "wav2vec2"), layers=LAYERS, precision=precision
        )
        self.acoustic = build_acoustic(acoustic, device=str(device))
        lexical = LexicalSettings(model=str(folder / "bert"), layers=LAYERS, precision=precision)
        self.lexical = build_lexical(lexical, device=str(device))

    def detect(self, frames: np.ndarray) -> None:
        list(self.detector.batch.over(frames, self.detector.maps))

    def faces(self, crops: np.ndarray) -> np.ndarray:
        return np.asarray(self.network(crops))

    def sound(self, waveforms: list[np.ndarray]) -> None:
        self.acoustic(waveforms)

    def text(self, texts: list[str]) -> None:
        self.lexical(texts)


def measure_clip(
    folder: Path,
    device: torch.device,
    *,
    rounds: int,
    n_detected: int,
    n_crops: int,
    bf16: bool,
    decode_s: Mapping[str, float],
) -> dict[str, float]:
    """Seconds a clip by stage; `decode_s` holds what the parts before have measured."""
    write_checkpoints(folder)
    ways: dict[str, Naive | Ours] = {
        "naive": Naive(folder, device),
        "fp32": Ours(folder, device, "fp32"),
    }
    if bf16:
        ways["bf16"] = Ours(folder, device, "bf16")
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (n_detected, HEIGHT, WIDTH, 3), dtype=np.uint8)
    crops = rng.integers(0, 255, (n_crops, 112, 112, 3), dtype=np.uint8)
    lengths = [round(16_000 * CLIP_S * share) for share in (0.7, 0.9, 1.1, 1.3)[:BATCH_CLIPS]]
    waves = [rng.normal(0, 0.1, n).astype(np.float32) for n in lengths]
    texts = [" ".join(f"word{i % 500}" for i in range(N_WORDS + k)) for k in range(BATCH_CLIPS)]
    stages: dict[str, tuple[float, Callable[[Naive | Ours], Any]]] = {
        "S3FD": (FRAMES_A_CLIP / n_detected, lambda way: way.detect(frames)),
        "ViT-B": (FRAMES_A_CLIP / n_crops, lambda way: way.faces(crops)),
        "wav2vec2": (1 / BATCH_CLIPS, lambda way: way.sound(waves)),
        "BERT": (1 / BATCH_CLIPS, lambda way: way.text(texts)),
    }
    seconds = {way: dict.fromkeys(stages, float("inf")) for way in ways}
    for way in ways.values():  # the first call sets kernels up
        way.faces(crops[:1]), way.sound(waves[:1]), way.text(texts[:1])
        way.detect(frames[: 1 if device.type == "cpu" else None])
    for _ in range(rounds):
        for stage, (scale, run) in stages.items():
            for name, way in ways.items():
                taken_s = timed(device, lambda run=run, way=way: run(way))
                # The least of the rounds: what else the machine does only adds.
                seconds[name][stage] = min(seconds[name][stage], scale * taken_s)
    for name in ways:
        kind = "naive" if name == "naive" else "ours"
        seconds[name]["decoding"] = decode_s.get(f"decode_{kind}_s", 0.0)
        seconds[name]["S3FD's boxes"] = decode_s.get(f"s3fd_post_{kind}_s", 0.0)
    return _clip_table(ways, seconds, crops, n_detected, n_crops)


def _clip_table(
    ways: Mapping[str, Naive | Ours],
    seconds: Mapping[str, Mapping[str, float]],
    crops: np.ndarray,
    n_detected: int,
    n_crops: int,
) -> dict[str, float]:
    print(
        f"seconds a clip of {CLIP_S:g} s, {FRAMES_A_CLIP} frames of {WIDTH} x {HEIGHT}; S3FD timed "
        f"on {n_detected} frames and ViT-B on {n_crops} crops, scaled to {FRAMES_A_CLIP}"
    )
    print(f"  {'':14}" + "".join(f"{name:>10}" for name in ways))
    for stage in seconds["naive"]:
        row = "".join(f"{seconds[name][stage]:10.3f}" for name in ways)
        ratios = [
            f"{seconds['naive'][stage] / seconds[name][stage]:.2f}"
            for name in ways
            if name != "naive" and seconds[name][stage] > 0
        ]
        print(f"  {stage:14}{row}   times {', '.join(ratios)}")
    totals = {name: sum(values.values()) for name, values in seconds.items()}
    print(f"  {'clip':14}" + "".join(f"{totals[name]:10.3f}" for name in ways))
    found = {f"clip_{name}_s": total for name, total in totals.items()}
    for name in totals:
        if name != "naive":
            found[f"ratio_clip_{name}"] = totals["naive"] / totals[name]
    if "bf16" in ways:
        exact = np.asarray(ways["fp32"].faces(crops))
        error = np.abs(np.asarray(ways["bf16"].faces(crops)) - exact).max() / np.abs(exact).max()
        found["bf16_error_vit"] = float(error)
        print(f"bf16's error in the face network: {error:.1e} of the largest feature")
    return found

"""Whole extractions with tiny checkpoints: memory by the number of clips, estimates beside runs."""

import csv
import re
import shutil
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
import transformers
import yaml

CLIPS_A_VIDEO, CLIP_S, RATE_HZ, FPS = 10, 1.0, 16_000, 10
EXTRACT = """
import json, resource, sys
from extractors.extract import run_extraction
text = run_extraction(
    sys.argv[1], sys.argv[2], profile=sys.argv[3], estimate=sys.argv[4] == "estimate", max_failed=1
)
print(text)
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
      resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def write_tiny_profile(folder: Path) -> Path:
    """BERT and wav2vec2 of 16 features, RetinaFace and a face network with random weights."""
    from face_alignment.detection.retinaface.net_retinaface import RetinaFace

    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    small = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    speech = transformers.Wav2Vec2Config(
        **small,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        vocab_size=8,
    )
    transformers.Wav2Vec2Model(speech).save_pretrained(folder / "speech")
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder / "speech")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{i}" for i in range(50))]
    text = transformers.BertConfig(**small, vocab_size=len(words), max_position_embeddings=64)
    transformers.BertModel(text).save_pretrained(folder / "text")
    transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}).save_pretrained(
        folder / "text"
    )
    (folder / "text" / "vocab.txt").write_text("\n".join(words))
    face = transformers.ViTConfig(**small, image_size=32, patch_size=16)
    transformers.ViTModel(face, add_pooling_layer=False).save_pretrained(folder / "face")
    size = {"height": 32, "width": 32}
    transformers.ViTImageProcessor(size=size).save_pretrained(folder / "face")
    state = RetinaFace().state_dict()
    for name, values in state.items():
        if name.startswith("ClassHead") and name.endswith("conv1x1.bias"):
            # Random weights see faces everywhere; these see none.
            values[0::2], values[1::2] = 10.0, -10.0
    torch.save(state, folder / "detector.pth")
    profile = {
        "acoustic": {"model": str(folder / "speech"), "layers": [1, 2]},
        "lexical": {"model": str(folder / "text"), "layers": [2]},
        "visual": {
            "n_frames": 8,
            "detector": "retinaface",
            "detector_weights": str(folder / "detector.pth"),
            "model": f"transformers:{folder / 'face'}",
        },
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(profile))
    return path


def write_corpus(folder: Path, n_clips: int) -> Path:
    """A manifest of so many clips, ten a video; the videos are copies of one."""
    folder.mkdir()
    first = folder / "0.mp4"
    write_video(first, CLIPS_A_VIDEO * CLIP_S)
    for k in range(1, -(-n_clips // CLIPS_A_VIDEO)):
        shutil.copy(first, folder / f"{k}.mp4")
    with open(folder / "corpus.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "path", "start_s", "end_s", "text", "label", "split"])
        for i in range(n_clips):
            start_s = CLIP_S * (i % CLIPS_A_VIDEO)
            row = [f"u{i}", f"{i // CLIPS_A_VIDEO}.mp4", start_s, start_s + CLIP_S]
            writer.writerow([*row, f"word{i % 50} word{i % 7}", "happy", "train"])
    return folder / "corpus.csv"


def write_video(path: Path, length_s: float) -> None:
    """Grey that grows lighter, and noise."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=FPS)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        for k in range(round(length_s * FPS)):
            image = np.full((120, 160, 3), 2 * k % 200, np.uint8)
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = k, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        noise = rng.normal(0, 0.1, (1, round(length_s * RATE_HZ))).astype(np.float32)
        for at in range(0, noise.shape[1], 1024):
            part = np.ascontiguousarray(noise[:, at : at + 1024])
            sound = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = RATE_HZ, at, Fraction(1, RATE_HZ)
            container.mux(audio.encode(sound))
        container.mux(audio.encode())


def _extract(manifest: Path, profile: Path, what: str) -> tuple[str, float, float]:
    """What it printed, wall seconds, and the peak memory of its processes in MB."""
    command = [sys.executable, "-c", EXTRACT, str(manifest), str(manifest.with_suffix(".h5"))]
    start_s = time.perf_counter()
    done = subprocess.run(
        [*command, str(profile), what], check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start_s
    *text, peaks = done.stdout.strip().splitlines()
    peak = sum(float(word) for word in peaks.split()[1:])
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return "\n".join(text), seconds, peak / scale


def measure_memory(folder: Path, few: int = 100, many: int = 1000) -> dict[str, float]:
    """Peak memory, this process's and its decoder's together, of few clips and of many."""
    folder = folder / "memory"
    folder.mkdir()
    profile = write_tiny_profile(folder)
    found = {}
    for n in (few, many):
        _, seconds, peak_mb = _extract(write_corpus(folder / str(n), n), profile, "run")
        found[f"peak_mb_{n}"] = peak_mb
        print(f"{n} clips: {peak_mb:.0f} MB at most, {seconds:.0f} s")
    found["ratio_memory"] = found[f"peak_mb_{many}"] / found[f"peak_mb_{few}"]
    print(f"ten times the clips: {found['ratio_memory']:.3f} times the memory")
    return found


def measure_estimate(folder: Path, n_clips: int = 400) -> dict[str, float]:
    """What `--estimate` says beside what the run then takes."""
    folder = folder / "estimate"
    folder.mkdir()
    profile = write_tiny_profile(folder)
    manifest = write_corpus(folder / "corpus", n_clips)
    text, _, _ = _extract(manifest, profile, "estimate")
    said = re.search(r"about ([0-9.]+) (s|min|h)\b", text)
    if said is None:
        raise SystemExit(f"no estimate in: {text}")
    estimated_s = float(said[1]) * {"s": 1, "min": 60, "h": 3600}[said[2]]
    _, run_s, _ = _extract(manifest, profile, "run")
    print(f"{n_clips} clips: estimated {estimated_s:.0f} s, took {run_s:.0f} s")
    return {"estimated_s": estimated_s, "run_s": run_s, "ratio_estimate": estimated_s / run_s}

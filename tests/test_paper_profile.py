"""`--profile paper` end to end: S3FD, a vision transformer, BERT and wav2vec2 of twelve blocks.

The profile's own settings stand (64 frames, blocks 1, 7, 12, memory format); only the models are
folders of small random checkpoints, named by a config as a user without a hub would. What is stored
is compared with forwards by transformers.
"""

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
import yaml
from small_faces import randomise, write_apvit
from small_models import WORDS, write_recording
from torch import nn

from amanda.store.check import check_files
from amanda.store.features import FeatureFile
from extractors.audio import read_audio_clips
from extractors.extract import run_extraction
from extractors.media import ClipRequest
from extractors.profiles import load_profile
from extractors.video import read_video_clips
from extractors.visual import crop_face
from extractors.weights import fetch_profile

BLOCKS = (1, 7, 12)
SMALL = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
TEXTS = ["i am so happy", "never so sad at home"]


def write_s3fd(path: Path) -> None:
    """S3FD that finds one large face on every small frame: only its coarsest map fires."""
    from face_alignment.detection.sfd.net_s3fd import s3fd

    network = s3fd()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d):
                fan_in = module.weight[0].numel()
                noise = torch.randn(module.weight.shape, generator=generator)
                module.weight.copy_(noise * (2 / fan_in) ** 0.5)
                module.bias.zero_()
            if name.endswith(("conf", "loc")):
                module.weight.mul_(0.001)
            if name.endswith("conf"):
                score = 2.0 if name == "conv7_2_mbox_conf" else -9.0
                module.bias[:-1], module.bias[-1] = -score, score
        network.conv1_1.weight /= 100  # pixels are up to 150 from the mean
    torch.save(network.state_dict(), path)


def write_checkpoints(folder: Path) -> None:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    bert = transformers.BertConfig(
        vocab_size=len(vocabulary), num_hidden_layers=12, max_position_embeddings=32, **SMALL
    )
    wav2vec2 = transformers.Wav2Vec2Config(
        num_hidden_layers=12,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        vocab_size=8,
        **SMALL,
    )
    vit = transformers.ViTConfig(num_hidden_layers=2, image_size=32, patch_size=8, **SMALL)
    for name, model in (
        ("bert", transformers.BertModel(bert)),
        ("wav2vec2", transformers.Wav2Vec2Model(wav2vec2)),
        ("vit", transformers.ViTForImageClassification(vit)),
    ):
        randomise(model).save_pretrained(folder / name)
    transformers.BertTokenizerFast(
        vocab={word: i for i, word in enumerate(vocabulary)}
    ).save_pretrained(folder / "bert")
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder / "wav2vec2")
    card = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "vit" / "preprocessor_config.json").write_text(json.dumps(card))
    write_s3fd(folder / "s3fd.pth")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_checkpoints(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the corpus is; no network, and an empty cache."""
    folder = tmp_path_factory.mktemp("corpus")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HF_HUB_OFFLINE", "1")
        environment.setenv("AMANDA_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def config(models: Path, folder: Path) -> Path:
    """A config that keeps the profile `paper` and names local weights."""
    changes = {
        "lexical": {"model": str(models / "bert")},
        "acoustic": {"model": str(models / "wav2vec2")},
        "visual": {
            "detector_weights": str(models / "s3fd.pth"),
            "model": f"transformers:{models / 'vit'}",
            "crop_px": 32,
        },
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"profiles": {"paper": changes}}))
    return path


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Path:
    path = folder / "toy.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["id", "path", "start_s", "end_s", "text", "label", "speaker", "group", "split"]
        )
        for k, text in enumerate(TEXTS):
            write_recording(folder / f"{k}.mp4", 1.2, seed=k)
            writer.writerow([f"u{k}", f"{k}.mp4", 0, 1.0, text, "happy", "s", "g", "train"])
    return path


@pytest.fixture(scope="module")
def extracted(manifest: Path, config: Path) -> Path:
    out = manifest.with_suffix(".h5")
    run_extraction(manifest, out, profile="paper", config=config, device="cpu", downmix=True)
    return out


def assert_stored(found: np.ndarray, expected: np.ndarray) -> None:
    """As the format promises: within a thousandth, of float16."""
    assert found.shape == expected.shape
    error = np.abs(found.astype(np.float32) - expected) / np.maximum(1, np.abs(expected))
    assert error.max() <= 1e-3


def hidden_states(model: object, **inputs: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        states = model(**inputs, output_hidden_states=True).hidden_states
    return torch.stack([states[k][0] for k in BLOCKS], dim=1).numpy()


def test_paper_runs_offline_from_folders(config: Path, models: Path, extracted: Path) -> None:
    profile = load_profile("paper", config)
    assert profile.visual.n_frames == 64
    assert all("your own path" in line for line in fetch_profile(profile))
    assert check_files([extracted]) == []
    with FeatureFile(extracted) as features:
        bert = transformers.BertModel.from_pretrained(models / "bert").eval()
        tokens = transformers.AutoTokenizer.from_pretrained(models / "bert")
        wav2vec2 = transformers.Wav2Vec2Model.from_pretrained(models / "wav2vec2").eval()
        vit = transformers.ViTModel.from_pretrained(models / "vit").eval()
        for k, text in enumerate(TEXTS):
            row, media = np.array([k]), extracted.parent / f"{k}.mp4"
            expected = hidden_states(bert, **tokens(text, return_tensors="pt"))
            assert_stored(features.modality("lexical").read(row).values, expected)
            [sound] = read_audio_clips(media, [ClipRequest(row=0, end_s=1.0)])
            wave = (sound.clip - sound.clip.mean()) / np.sqrt(sound.clip.var() + 1e-7)
            expected = hidden_states(wav2vec2, input_values=torch.from_numpy(wave)[None])
            assert_stored(features.modality("acoustic").read(row).values, expected)
            [picture] = read_video_clips(media, [ClipRequest(row=0, end_s=1.0)], 64)
            visual = features.modality("visual")
            boxes = visual.group["boxes"][64 * k : 64 * (k + 1)] * [96, 64, 96, 64]
            crops = [
                crop_face(frame, box.astype(np.float32), 32)
                for frame, box in zip(picture.clip.frames, boxes, strict=True)
            ]
            pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2) / 127.5 - 1
            with torch.inference_mode():
                expected = vit(pixel_values=pixels).last_hidden_state[:, :1].numpy()
            assert visual.read(row).valid.all()
            assert_stored(visual.read(row).values, expected)
            np.testing.assert_array_equal(
                visual.group["time_s"][64 * k : 64 * (k + 1)], picture.clip.time_s
            )


def test_the_file_says_how_it_was_made(models: Path, extracted: Path) -> None:
    with FeatureFile(extracted) as features:
        attrs = features.attrs
        assert attrs["resampler"].startswith("soxr")
        assert attrs["downmix"]
        assert json.loads(attrs["versions"])["torch"] == torch.__version__.split("+")[0]
        for name, model, file in (
            ("lexical", "bert", "bert/model.safetensors"),
            ("acoustic", "wav2vec2", "wav2vec2/model.safetensors"),
            ("visual", "vit", "vit/model.safetensors"),
        ):
            own = features.modality(name).attrs
            assert (own["model"], own["revision"]) == (model, "local")
            assert own["sha256"] == hashlib.sha256((models / file).read_bytes()).hexdigest()
            assert own["compute"] == ("fp32, channels_last" if name == "visual" else "fp32")
        assert features.modality("lexical").attrs["layers"] == list(BLOCKS)
        detector = hashlib.sha256((models / "s3fd.pth").read_bytes()).hexdigest()
        preprocessing = features.modality("visual").attrs["preprocessing"]
        assert f"s3fd {detector[:12]} at confidence 0.5" in preprocessing
        stored = features.file["utterances/source_sha256"].asstr()[:]
        assert list(stored) == [
            hashlib.sha256((extracted.parent / f"{k}.mp4").read_bytes()).hexdigest()
            for k in range(2)
        ]


@pytest.mark.slow
def test_paper_with_apvit(config: Path, manifest: Path, tmp_path: Path) -> None:
    """The published size, so that the profile's own face network is the one that runs."""
    write_apvit(tmp_path / "APViT.pth", published_size=True)
    changes = yaml.safe_load(config.read_text())
    visual = changes["profiles"]["paper"]["visual"]
    visual |= {"model": "apvit", "weights": str(tmp_path / "APViT.pth"), "crop_px": 112}
    visual["n_frames"] = 4
    own = tmp_path / "config.yaml"
    own.write_text(yaml.safe_dump(changes))
    out = tmp_path / "toy.h5"
    run_extraction(manifest, out, profile="paper", config=own, device="cpu", modalities=["visual"])
    with FeatureFile(out) as features:
        visual = features.modality("visual")
        assert (visual.n_layers, visual.width) == (1, 768)
        assert visual.attrs["model"] == "apvit"
        assert visual.read().valid.all()

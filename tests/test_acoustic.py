"""Acoustic features against transformers' own forward of the single clip, on small random models.

The models are written by `save_pretrained`, as a user's folder would be. Their parameters are drawn
larger than transformers draws them, so that a wrong mask or norm shows.
"""

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from amanda.store.errors import AmandaError, InputError
from extractors.acoustic import build, plan_windows
from extractors.compute import Compute
from extractors.profiles import AcousticSettings, load_profile
from extractors.weights import fetch_profile, locate
from extractors.whisper import load_whisper
from extractors.whisper_ct2 import load_whisper_encoder

N_BLOCKS = 3
TOLERANCE = 1e-5
ON_CPU = Compute(device=torch.device("cpu"))
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": N_BLOCKS,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": (24,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 32,
}
LAYER_NORM = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
FAMILIES = {
    "wav2vec2 group norm": (transformers.Wav2Vec2Config, transformers.Wav2Vec2Model, {}),
    "wav2vec2 layer norm": (transformers.Wav2Vec2Config, transformers.Wav2Vec2Model, LAYER_NORM),
    "hubert": (transformers.HubertConfig, transformers.HubertModel, {}),
    "wavlm": (transformers.WavLMConfig, transformers.WavLMModel, {}),
    "wavlm layer norm": (transformers.WavLMConfig, transformers.WavLMModel, LAYER_NORM),
    "data2vec": (transformers.Data2VecAudioConfig, transformers.Data2VecAudioModel, {}),
    "conformer": (
        transformers.Wav2Vec2ConformerConfig,
        transformers.Wav2Vec2ConformerModel,
        {"position_embeddings_type": "rotary"},
    ),
}


def randomise(model: torch.nn.Module, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 0.6 / max(1, parameter.shape[-1]) ** 0.5 if parameter.dim() > 1 else 0.3
            parameter.add_(torch.randn(parameter.shape, generator=generator) * scale)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder a family."""
    root = tmp_path_factory.mktemp("models")
    for name, (config_class, model_class, changes) in FAMILIES.items():
        torch.manual_seed(0)
        model = model_class(config_class(**SMALL, **changes)).eval()
        randomise(model)
        model.save_pretrained(root / name)
        transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(root / name)
    torch.manual_seed(0)
    whisper = transformers.WhisperModel(
        transformers.WhisperConfig(
            d_model=32,
            encoder_layers=N_BLOCKS,
            encoder_attention_heads=4,
            encoder_ffn_dim=48,
            decoder_layers=1,
            decoder_attention_heads=4,
            decoder_ffn_dim=32,
            vocab_size=64,
            num_mel_bins=20,
            max_source_positions=150,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        )
    ).eval()
    randomise(whisper)
    whisper.save_pretrained(root / "whisper")
    transformers.WhisperFeatureExtractor(feature_size=20, chunk_length=3).save_pretrained(
        root / "whisper"
    )
    return {name: root / name for name in [*FAMILIES, "whisper"]}


def settings(folder: Path, **changes: object) -> AcousticSettings:
    values = {"model": str(folder), "layers": (1, 2, 3), **changes}
    if folder.name == "whisper":
        values = {"window_s": 3.0, "overlap_s": 1.0, **values}
    return AcousticSettings(**values)


def clips(*lengths: int, seed: int = 0) -> list[np.ndarray]:
    """Waveforms with an offset and a level of their own, which normalisation has to undo."""
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=n) * rng.uniform(0.01, 0.3) + rng.normal() * 0.01).astype(np.float32)
        for n in lengths
    ]


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
    assert found.shape == expected.shape
    np.testing.assert_array_less(np.abs(found - expected), tolerance * np.abs(expected).max())


def blocks_of(output: object) -> np.ndarray:
    """Blocks 1 to 3, the last after the final norm (whatever `hidden_states` ends with)."""
    states = [*output.hidden_states[1:-1], output.last_hidden_state]
    return torch.stack(states, dim=2).numpy()


def alone(folder: Path, clip: np.ndarray) -> np.ndarray:
    """Blocks 1 to 3 of a wav2vec2-like model by transformers: one clip, no mask, no batch."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor(clip, sampling_rate=16_000, return_tensors="pt")["input_values"]
    with torch.inference_mode():
        out = model(inputs, output_hidden_states=True)
    return blocks_of(out)[0]


def whisper_alone(folder: Path, clip: np.ndarray) -> np.ndarray:
    """The same for Whisper: a model whose windows are as long as the clip."""
    model = transformers.WhisperModel.from_pretrained(folder).get_encoder()
    n_frames = -(-len(clip) // 320)
    config = transformers.WhisperConfig(
        **{**model.config.to_dict(), "max_source_positions": n_frames}
    )
    cut = transformers.models.whisper.modeling_whisper.WhisperEncoder(config).eval()
    state = model.state_dict()
    state["embed_positions.weight"] = state["embed_positions.weight"][:n_frames]
    cut.load_state_dict(state)
    mel = transformers.WhisperFeatureExtractor.from_pretrained(folder)(
        clip, sampling_rate=16_000, return_tensors="pt"
    )["input_features"]
    with torch.inference_mode():
        return blocks_of(cut(mel[:, :, : 2 * n_frames], output_hidden_states=True))[0]


@pytest.mark.parametrize("family", list(FAMILIES))
def test_features_are_those_of_the_clip_alone(folders: dict[str, Path], family: str) -> None:
    waves = clips(16_000, 7_000, 400, 16_000, 11_111)
    expected = [alone(folders[family], wave) for wave in waves]
    for seconds, order in ((100.0, [0, 1, 2, 3, 4]), (1.2, [4, 2, 0, 3, 1]), (0.1, [3, 1, 0])):
        extractor = build(settings(folders[family], seconds_per_batch=seconds))
        found = extractor([waves[i] for i in order])
        for i, features in zip(order, found, strict=True):
            assert_close(features.values, expected[i])
            assert features.status == "ok"
            assert features.valid.all()


def test_whisper_features_are_those_of_a_model_of_the_clips_length(
    folders: dict[str, Path],
) -> None:
    waves = clips(16_000, 7_000, 400, 48_000, 11_111)
    expected = [whisper_alone(folders["whisper"], wave) for wave in waves]
    for seconds, order in ((100.0, [0, 1, 2, 3, 4]), (1.2, [4, 2, 0, 3, 1])):
        extractor = build(settings(folders["whisper"], seconds_per_batch=seconds))
        found = extractor([waves[i] for i in order])
        for i, features in zip(order, found, strict=True):
            assert_close(features.values, expected[i])


def test_a_padded_batch_with_group_norm_would_be_wrong(folders: dict[str, Path]) -> None:
    """What the extractor avoids; were the difference small, the tests above would be void."""
    folder = folders["wav2vec2 group norm"]
    model = transformers.AutoModel.from_pretrained(folder).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    waves = clips(16_000, 7_000)
    inputs = extractor(
        waves, sampling_rate=16_000, padding=True, return_attention_mask=True, return_tensors="pt"
    )
    with torch.inference_mode():
        batched = model(inputs["input_values"], inputs["attention_mask"]).last_hidden_state[1]
    expected = alone(folder, waves[1])[:, -1]
    difference = np.abs(batched[: len(expected)].numpy() - expected).max() / np.abs(expected).max()
    assert difference > 0.01


@pytest.mark.parametrize("length", [400, 401, 12_345, 47_361, 47_999, 48_000])
def test_log_mel_is_the_front_of_transformers_window(folders: dict[str, Path], length: int) -> None:
    encoder = load_whisper(folders["whisper"], settings(folders["whisper"]), ON_CPU)
    (wave,) = clips(length)
    reference = transformers.WhisperFeatureExtractor.from_pretrained(folders["whisper"])(
        wave, sampling_rate=16_000, return_tensors="np"
    )["input_features"][0]
    found = encoder.prepare(wave).numpy()
    assert found.shape == (20, 2 * -(-length // 320))
    np.testing.assert_allclose(found, reference[:, : found.shape[1]], atol=1e-6)


def test_whisper_in_full_windows_is_transformers_forward(folders: dict[str, Path]) -> None:
    folder = folders["whisper"]
    model = transformers.WhisperModel.from_pretrained(folder).get_encoder().eval()
    waves = clips(48_000, 5_000, 30_000)
    mel = transformers.WhisperFeatureExtractor.from_pretrained(folder)(
        waves, sampling_rate=16_000, return_tensors="pt"
    )["input_features"]
    with torch.inference_mode():
        expected = blocks_of(model(mel, output_hidden_states=True))
    found = build(settings(folder, full_window=True))(waves)
    for features, reference, wave in zip(found, expected, waves, strict=True):
        assert_close(features.values, reference[: -(-len(wave) // 320)])
    own = build(settings(folder))(waves)
    assert_close(own[0].values, expected[0])  # a clip that fills the window
    assert np.abs(own[1].values - found[1].values).max() > 0.01  # and one that does not


@pytest.mark.parametrize("family", ["wav2vec2 layer norm", "wavlm layer norm", "whisper"])
def test_blocks_by_forward_hooks(folders: dict[str, Path], family: str) -> None:
    """Block k is the k-th block's output; the last also after the final norm; 0 is the input."""
    folder = folders[family]
    (wave,) = clips(48_000)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    encoder = model.encoder
    seen: dict[object, torch.Tensor] = {}

    def keep(key: object):
        def hook(_module, args, output):
            value = output[0] if isinstance(output, tuple) else output
            seen.setdefault(0, args[0])
            seen[key] = value

        return hook

    for k, block in enumerate(encoder.layers, start=1):
        block.register_forward_hook(keep(k))
    encoder.layer_norm.register_forward_hook(keep("normed"))
    kind = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = kind(wave, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        (encoder if family == "whisper" else model)(next(iter(inputs.values())))
    raw = build(settings(folder, layers=(0, 1, 2, 3), last_block="raw"))([wave])[0].values
    normed = build(settings(folder, layers=(2, 3), last_block="normed"))([wave])[0].values
    for k in range(4):
        assert_close(raw[:, k], seen[k][0].numpy())
    assert_close(normed[:, 0], seen[2][0].numpy())
    assert_close(normed[:, 1], seen["normed"][0].numpy())
    assert np.abs(raw[:, 3] - normed[:, 1]).max() > 0.01


@given(st.integers(1, 400), st.integers(1, 60), st.data())
def test_windows_cover_every_frame_once(n_frames: int, window: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, window - 1))
    windows = plan_windows(n_frames, window, overlap)
    kept = [f for w in windows for f in range(w.keep_start, w.keep_stop)]
    assert kept == list(range(n_frames))
    for w in windows:
        assert 0 <= w.start <= w.keep_start < w.keep_stop <= w.stop <= n_frames
        assert w.stop - w.start == min(window, n_frames)
    for a, b in pairwise(windows[:-1]):
        assert a.stop - b.start == overlap  # the last pair may share more
        assert a.stop - a.keep_stop >= overlap // 2


@pytest.mark.parametrize("family", ["wav2vec2 group norm", "whisper"])
def test_a_long_clip_is_its_windows_joined(folders: dict[str, Path], family: str) -> None:
    folder = folders[family]
    changes = {"window_s": 1.0, "overlap_s": 0.4}
    extractor = build(settings(folder, **changes))
    assert "clips over 1 s in windows of that length overlapping 0.4 s" in str(
        extractor.attrs["preprocessing"]
    )
    (wave,) = clips(40_000)
    (found,) = extractor([wave])
    whole = build(settings(folder, window_s=3.0, overlap_s=0.4))([wave])[0]
    assert found.values.shape == whole.values.shape
    # By hand: 50 frames a window, 20 shared, so windows start at frames 0, 30, 60, … and each gives
    # way to the next 10 frames before its end.
    prepared = extractor.encoder.prepare(wave)
    plan = plan_windows(len(found.values), 50, 20)
    assert [w.start for w in plan[:3]] == [0, 30, 60]
    assert [w.keep_stop for w in plan[:2]] == [40, 70]
    for window in plan:
        piece = extractor.encoder.run([prepared], [window])[0].numpy()
        part = slice(window.keep_start, window.keep_stop)
        expected = piece[window.keep_start - window.start : window.keep_stop - window.start]
        assert_close(found.values[part], expected)


def test_a_window_of_wav2vec2_is_the_stretch_of_sound_under_its_frames(
    folders: dict[str, Path],
) -> None:
    folder = folders["wav2vec2 group norm"]
    (wave,) = clips(40_000)
    extractor = build(settings(folder, window_s=1.0, overlap_s=0.4, normalise=False))
    (long,) = extractor([wave])
    stretch = wave[30 * 320 : 30 * 320 + 49 * 320 + 400]
    (short,) = extractor([stretch])
    assert_close(long.values[40:70], short.values[10:40])


def test_time_is_the_centre_of_what_a_frame_hears(folders: dict[str, Path]) -> None:
    (wave,) = clips(16_000)
    (wav2vec2,) = build(settings(folders["wav2vec2 group norm"]))([wave])
    (whisper,) = build(settings(folders["whisper"]))([wave])
    assert len(wav2vec2.values) == 49
    np.testing.assert_allclose(wav2vec2.time_s[:2], [0.0125, 0.0325])  # samples 0–400, 320–720
    assert len(whisper.values) == 50
    np.testing.assert_allclose(whisper.time_s[:2], [0.0, 0.02])


@pytest.mark.parametrize("family", ["wav2vec2 group norm", "whisper"])
def test_sound_that_cannot_be_used_has_a_status(folders: dict[str, Path], family: str) -> None:
    good, short, broken = clips(8_000, 399, 8_000)
    broken[[5, 600]] = np.nan, np.inf
    extractor = build(settings(folders[family]))
    found = extractor([short, good, broken, np.zeros(0, np.float32), np.zeros(800, np.float32)])
    assert [f.status for f in found] == ["too_short", "ok", "unreadable", "no_audio", "ok"]
    assert found[0].detail == "399 samples at 16 kHz; at least 400 are needed"
    assert found[2].detail == "2 of 8000 samples are NaN or infinite"
    assert found[0].values.shape == (0, 3, 32)
    assert_close(found[1].values, extractor([good])[0].values)
    assert extractor([]) == []


def test_attributes_identify_the_features(folders: dict[str, Path]) -> None:
    folder = folders["hubert"]
    attrs = build(settings(folder)).attrs
    assert attrs["model"] == "hubert"
    assert attrs["revision"] == "local"
    assert attrs["layers"] == [1, 2, 3]
    assert attrs["rate_hz"] == 50.0
    assert "zero mean and unit variance a clip" in attrs["preprocessing"]
    import hashlib

    weights = (folder / "model.safetensors").read_bytes()
    assert attrs["sha256"] == hashlib.sha256(weights).hexdigest()
    assert build(settings(folder, normalise=False)).attrs["preprocessing"] != attrs["preprocessing"]


def test_loading_says_nothing(folders: dict[str, Path], capfd: pytest.CaptureFixture) -> None:
    build(settings(folders["wav2vec2 group norm"]))
    build(settings(folders["whisper"]))
    assert capfd.readouterr() == ("", "")


def test_settings_that_do_not_fit_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    wav2vec2, whisper = folders["wav2vec2 group norm"], folders["whisper"]
    with pytest.raises(InputError, match="has 3 blocks, so block 12"):
        build(settings(wav2vec2, layers=(1, 7, 12)))
    with pytest.raises(InputError, match="full_window is for Whisper"):
        build(settings(wav2vec2, full_window=True))
    with pytest.raises(InputError, match="takes at most 3 s"):
        build(settings(whisper, window_s=4.0))
    with pytest.raises(InputError, match=r"overlap_s 3 must be below window_s 3"):
        build(settings(whisper, overlap_s=3.0))
    with pytest.raises(InputError, match="takes waveforms as they are"):
        build(settings(whisper, normalise=True))
    transformers.BertModel(
        transformers.BertConfig(
            hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
        )
    ).save_pretrained(tmp_path / "bert")
    with pytest.raises(InputError, match="a model of type 'bert'; speech encoders known here"):
        build(settings(tmp_path / "bert", layers=(1,)))


def test_a_model_without_its_preprocessor_asks(folders: dict[str, Path], tmp_path: Path) -> None:
    model = transformers.AutoModel.from_pretrained(folders["hubert"])
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="says whether waveforms are normalised"):
        build(settings(tmp_path))
    (wave,) = clips(8_000)
    (found,) = build(settings(tmp_path, normalise=True))([wave])
    assert_close(found.values, alone(folders["hubert"], wave))


def test_a_pretraining_checkpoint_as_published(folders: dict[str, Path], tmp_path: Path) -> None:
    """facebook/wav2vec2-base is a pickled state of the pretraining model with old names."""
    folder = folders["wav2vec2 group norm"]
    state = transformers.AutoModel.from_pretrained(folder).state_dict()
    old = {
        "wav2vec2."
        + name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in state.items()
    }
    assert any(name.endswith("pos_conv_embed.conv.weight_g") for name in old)
    old["quantizer.codevectors"] = torch.zeros(1, 4, 2)
    torch.save(old, tmp_path / "pytorch_model.bin")
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(folder / name, tmp_path)
    (wave,) = clips(8_000)
    (found,) = build(settings(tmp_path))([wave])
    assert_close(found.values, alone(folder, wave))


def test_weights_of_another_model_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folders["hubert"] / "model.safetensors")
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folders["hubert"] / name).read_bytes())
    lacking = {k: v for k, v in state.items() if ".layers.2." not in k}
    save_file(lacking, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="the weights do not fill HubertModel: 16 missing"):
        build(settings(tmp_path))
    state["encoder.layers.0.feed_forward.output_dense.bias"][0] = float("nan")
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AmandaError, match="a clip of 8000 samples: the model gave"):
        build(settings(tmp_path))(clips(8_000))


def test_frames_are_pooled(folders: dict[str, Path]) -> None:
    folder = folders["hubert"]
    (wave,) = clips(16_000)
    (frames,) = build(settings(folder))([wave])
    pooled = build(settings(folder, pool_frames=10))
    (found,) = pooled([wave])
    # 49 frames: four times ten, and nine.
    expected = [frames.values[k : k + 10].mean(axis=0) for k in range(0, 49, 10)]
    assert_close(found.values, np.stack(expected))
    assert found.time_s[0] == pytest.approx(frames.time_s[:10].mean())
    assert found.time_s[-1] == pytest.approx(frames.time_s[40:].mean())
    assert pooled.attrs["rate_hz"] == pytest.approx(5.0)
    assert "means of 10 frames" in pooled.attrs["preprocessing"]
    one = build(settings(folder, pool_frames=0))
    (found,) = one([wave])
    assert_close(found.values, frames.values.mean(axis=0, keepdims=True))
    assert one.attrs["rate_hz"] == 0.0
    (short,) = one([wave[:100]])
    assert (short.status, short.values.shape) == ("too_short", (0, 3, 32))


def test_memory_that_runs_out_halves_the_batch(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = build(settings(folders["wavlm"], seconds_per_batch=100.0))
    waves = clips(16_000, 7_000, 400, 16_000, 11_111)
    expected = extractor(waves)
    real = extractor.encoder.run

    def small_memory(prepared: list, windows: list) -> torch.Tensor:
        if len(windows) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")
        return real(prepared, windows)

    monkeypatch.setattr(extractor.encoder, "run", small_memory)
    for found, one in zip(extractor(waves), expected, strict=True):
        assert_close(found.values, one.values)

    def no_memory(_prepared: list, _windows: list) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(extractor.encoder, "run", no_memory)
    with pytest.raises(AmandaError, match="memory of cpu does not hold one clip"):
        extractor(waves)


def test_bf16_is_near_and_named(folders: dict[str, Path]) -> None:
    (wave,) = clips(16_000)
    exact = build(settings(folders["wav2vec2 group norm"]))
    rough = build(settings(folders["wav2vec2 group norm"], precision="bf16"))
    found, one = rough([wave])[0].values, exact([wave])[0].values
    assert 1e-5 < np.abs(found - one).max() / np.abs(one).max() < 0.1
    assert rough.attrs["preprocessing"] == f"{exact.attrs['preprocessing']}; bf16 autocast"


@pytest.mark.weights
def test_the_embedded_whisper_is_transformers_on_full_windows() -> None:
    list(fetch_profile(load_profile("embedded")))
    section = load_profile("embedded").acoustic
    extractor = build(section)
    (noise,) = clips(480_000)
    tone = np.sin(2 * np.pi * 220 * np.arange(480_000) / 16_000) * np.hanning(480_000)
    wave = (0.05 * noise + 0.3 * tone).astype(np.float32)
    encoder = load_whisper_encoder(locate("whisper-base") / "model.bin")
    mel = transformers.WhisperFeatureExtractor()(wave, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        states = encoder(mel["input_features"], output_hidden_states=True).hidden_states
    (found,) = extractor([wave])
    assert found.values.shape == (1500, 3, 512)
    for i, block in enumerate((1, 4, 6)):
        assert_close(found.values[:, i], states[block][0].numpy())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("family", ["wav2vec2 group norm", "wavlm", "whisper"])
def test_cuda_gives_the_features_of_the_cpu(folders: dict[str, Path], family: str) -> None:
    waves = clips(16_000, 7_000)
    on_cpu = build(settings(folders[family]), device="cpu")(waves)
    on_gpu = build(settings(folders[family]), device="cuda")(waves)
    for a, b in zip(on_cpu, on_gpu, strict=True):
        assert_close(b.values, a.values, 1e-4)

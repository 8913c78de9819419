"""Text features against transformers' own forward of the single text, on small random models."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from amanda.store.errors import AmandaError, InputError
from extractors.lexical import build
from extractors.profiles import LexicalSettings, load_profile
from extractors.weights import fetch_profile, locate

TOLERANCE = 1e-5
WORDS = "i you am are not so very happy sad angry today what is this ##ly ##ing ! ? , ."
TEXTS = [
    "I am happy!",
    "what is this, are you not so very angry today?",
    "sadly",
    "you are happy, I am not.",
    "I",
]
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
}


def randomise(model: torch.nn.Module) -> None:
    """Draw parameters larger than transformers does, so that a wrong mask shows."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 0.6 / parameter.shape[-1] ** 0.5 if parameter.dim() > 1 else 0.3
            parameter.add_(torch.randn(parameter.shape, generator=generator) * scale)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders as a user has them: BERT, MPNet (positions from 2), ModernBERT (pre-norm), T5."""
    root = tmp_path_factory.mktemp("models")
    bert_vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]
    bert_tokens = transformers.BertTokenizer(
        vocab={word: i for i, word in enumerate(bert_vocabulary)}
    )
    mpnet_vocabulary = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>", *WORDS.split()]
    mpnet_tokens = transformers.MPNetTokenizer(
        vocab={word: i for i, word in enumerate(mpnet_vocabulary)}
    )
    n_words = len(bert_vocabulary)
    bert = transformers.BertModel(transformers.BertConfig(vocab_size=n_words, **SMALL))
    mpnet = transformers.MPNetModel(transformers.MPNetConfig(vocab_size=n_words, **SMALL))
    modern = transformers.ModernBertModel(
        transformers.ModernBertConfig(vocab_size=n_words, pad_token_id=0, cls_token_id=2, **SMALL)
    )
    t5 = transformers.T5Model(
        transformers.T5Config(
            vocab_size=n_words, d_model=32, d_kv=8, d_ff=48, num_layers=3, num_heads=4
        )
    )
    for name, model, tokens in (
        ("bert", bert, bert_tokens),
        ("mpnet", mpnet, mpnet_tokens),
        ("modernbert", modern, bert_tokens),
        ("t5", t5, bert_tokens),
    ):
        randomise(model)
        model.eval().save_pretrained(root / name)
        tokens.save_pretrained(root / name)
    return {name: root / name for name in ("bert", "mpnet", "modernbert", "t5")}


def settings(folder: Path, **changes: object) -> LexicalSettings:
    return LexicalSettings(**{"model": str(folder), "layers": (1, 2, 3), **changes})


def alone(folder: Path, text: str) -> np.ndarray:
    """Blocks 1 to 3 by transformers: one text, no padding."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    inputs = transformers.AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    with torch.inference_mode():
        out = model(**inputs, output_hidden_states=True)
    states = [*out.hidden_states[1:-1], out.last_hidden_state]
    return torch.stack(states, dim=2)[0].numpy()


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    np.testing.assert_array_less(np.abs(found - expected), TOLERANCE * np.abs(expected).max())


@pytest.mark.parametrize("model", ["bert", "mpnet", "modernbert", "t5"])
def test_features_are_those_of_the_text_alone(folders: dict[str, Path], model: str) -> None:
    expected = [alone(folders[model], text) for text in TEXTS]
    for budget, order in ((4096, [0, 1, 2, 3, 4]), (12, [3, 1, 4, 0, 2]), (1, [2, 0])):
        extractor = build(settings(folders[model], tokens_per_batch=budget))
        found = extractor([TEXTS[i] for i in order])
        for i, features in zip(order, found, strict=True):
            assert_close(features.values, expected[i])
            assert features.status == "ok"
            assert features.valid.all()
            np.testing.assert_array_equal(features.time_s, np.arange(len(expected[i])))


def test_the_embedding_output_by_hand(folders: dict[str, Path]) -> None:
    """Block 0 of BERT is layer norm of word + position + segment, in numpy."""
    state = {
        k: v.double().numpy() for k, v in load_file(folders["bert"] / "model.safetensors").items()
    }
    tokens = transformers.AutoTokenizer.from_pretrained(folders["bert"])
    ids = tokens.convert_tokens_to_ids(["[CLS]", "so", "sad", "##ly", "!", "[SEP]"])
    total = (
        state["embeddings.word_embeddings.weight"][ids]
        + state["embeddings.position_embeddings.weight"][: len(ids)]
        + state["embeddings.token_type_embeddings.weight"][0]
    )
    centred = total - total.mean(axis=1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12)
    expected = normed * state["embeddings.LayerNorm.weight"] + state["embeddings.LayerNorm.bias"]
    (found,) = build(settings(folders["bert"], layers=(0,)))(["So sadly!"])
    assert_close(found.values[:, 0], expected.astype(np.float32))


def test_blocks_by_forward_hooks(folders: dict[str, Path]) -> None:
    """Block k is the k-th layer's output; for a pre-norm model the last, raw or normed."""
    model = transformers.AutoModel.from_pretrained(folders["modernbert"]).eval()
    seen: dict[object, torch.Tensor] = {}
    for k, layer in enumerate(model.layers, start=1):
        layer.register_forward_hook(
            lambda _m, _a, out, k=k: seen.update({k: out[0] if isinstance(out, tuple) else out})
        )
    model.final_norm.register_forward_hook(lambda _m, _a, out: seen.update(normed=out))
    inputs = transformers.AutoTokenizer.from_pretrained(folders["modernbert"])(
        TEXTS[1], return_tensors="pt"
    )
    with torch.inference_mode():
        model(inputs["input_ids"], attention_mask=inputs["attention_mask"])
    raw = build(settings(folders["modernbert"], last_block="raw"))([TEXTS[1]])[0].values
    normed = build(settings(folders["modernbert"], layers=(3,)))([TEXTS[1]])[0].values
    for k in (1, 2, 3):
        assert_close(raw[:, k - 1], seen[k][0].numpy())
    assert_close(normed[:, 0], seen["normed"][0].numpy())
    assert np.abs(raw[:, 2] - normed[:, 0]).max() > 0.01


def test_tokens_are_described(folders: dict[str, Path]) -> None:
    (found,) = build(settings(folders["bert"]))(["So sadly!"])
    # [CLS] so sad ##ly ! [SEP]
    assert found.extra["special"].tolist() == [True, False, False, False, False, True]
    assert found.extra["word"].tolist() == [-1, 0, 1, 1, 2, -1]
    assert found.extra["char_span"].tolist() == [[0, 0], [0, 2], [3, 6], [6, 8], [8, 9], [0, 0]]


def test_special_tokens_can_be_stripped(folders: dict[str, Path]) -> None:
    (kept,) = build(settings(folders["bert"]))([TEXTS[0]])
    extractor = build(settings(folders["bert"], strip_special=True))
    (stripped,) = extractor([TEXTS[0]])
    np.testing.assert_array_equal(stripped.values, kept.values[1:-1])
    np.testing.assert_array_equal(stripped.time_s, np.arange(len(kept.values) - 2))
    assert stripped.extra["word"].tolist() == [0, 1, 2, 3]
    assert "special tokens stripped" in extractor.attrs["preprocessing"]


@pytest.mark.parametrize(("model", "limit"), [("bert", 24), ("mpnet", 22)])
def test_a_long_text_is_cut_and_says_so(folders: dict[str, Path], model: str, limit: int) -> None:
    """MPNet numbers positions from 2, so its table of 24 holds 22."""
    text = " ".join(["happy"] * 40)
    extractor = build(settings(folders[model]))
    found, short = extractor([text, TEXTS[0]])
    assert found.status == "truncated"
    assert found.detail == f"42 tokens, the first {limit} kept"
    assert_close(found.values, alone(folders[model], " ".join(["happy"] * (limit - 2))))
    assert short.status == "ok"
    (cut,) = build(settings(folders[model], max_tokens=8))([text])
    assert (len(cut.values), cut.detail) == (8, "42 tokens, the first 8 kept")
    (fits,) = extractor([" ".join(["happy"] * (limit - 2))])
    assert fits.status == "ok"


@pytest.mark.parametrize("text", ["", "  \n\t ", "\u200b\u0000"])
def test_a_text_without_words_is_empty(folders: dict[str, Path], text: str) -> None:
    extractor = build(settings(folders["bert"]))
    empty, full = extractor([text, TEXTS[0]])
    assert (empty.status, empty.detail) == ("empty_text", "the text has no word")
    assert empty.values.shape == (0, 3, 32)
    assert empty.extra["char_span"].shape == (0, 2)
    assert_close(full.values, alone(folders["bert"], TEXTS[0]))
    assert [f.status for f in extractor([text])] == ["empty_text"]
    assert extractor([]) == []


def test_attributes_identify_the_features(folders: dict[str, Path]) -> None:
    attrs = build(settings(folders["mpnet"])).attrs
    assert attrs["model"] == "mpnet"
    assert attrs["layers"] == [1, 2, 3]
    assert attrs["preprocessing"] == (
        "text as given; MPNetTokenizer; special tokens kept; cut at 22 tokens; last block normed"
    )
    assert attrs["sha256"] != build(settings(folders["bert"])).attrs["sha256"]


def test_loading_says_nothing(folders: dict[str, Path], capfd: pytest.CaptureFixture) -> None:
    build(settings(folders["bert"]))([" ".join(["happy"] * 40)])
    assert capfd.readouterr() == ("", "")


def test_what_cannot_work_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 3 blocks, so block 12 is not"):
        build(settings(folders["bert"], layers=(1, 7, 12)))
    model = transformers.AutoModel.from_pretrained(folders["bert"])
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="no tokenizer in it"):
        build(settings(tmp_path))
    tokens = transformers.AutoTokenizer.from_pretrained(folders["bert"])
    tokens.add_tokens(["unheard"])
    tokens.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="tokenizer has 26 tokens and the model knows 25"):
        build(settings(tmp_path))
    tokens = transformers.AutoTokenizer.from_pretrained(folders["bert"])
    tokens.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    lacking = {k: v for k, v in state.items() if not k.startswith("pooler")}
    save_file(lacking, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (found,) = build(settings(tmp_path))([TEXTS[0]])  # the pooler is not used
    assert_close(found.values, alone(folders["bert"], TEXTS[0]))
    lacking.pop("encoder.layer.1.output.dense.bias")
    save_file(lacking, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"do not fill BertModel: 1 missing.*layer\.1\.output"):
        build(settings(tmp_path))
    state["encoder.layer.1.output.dense.bias"][3] = float("inf")
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AmandaError, match="values that are NaN or infinite"):
        build(settings(tmp_path))([TEXTS[0]])


def test_words_and_texts_are_means_of_their_tokens(folders: dict[str, Path]) -> None:
    (tokens,) = build(settings(folders["bert"]))(["So sadly!"])
    by_word = build(settings(folders["bert"], pooling="word"))
    (words,) = by_word(["So sadly!"])
    # [CLS] so sad ##ly ! [SEP]: the third and fourth are one word.
    expected = [*tokens.values[:2], tokens.values[2:4].mean(axis=0), *tokens.values[4:]]
    assert_close(words.values, np.stack(expected))
    assert words.extra["word"].tolist() == [-1, 0, 1, 2, -1]
    assert words.extra["special"].tolist() == [True, False, False, False, True]
    assert words.extra["char_span"].tolist() == [[0, 0], [0, 2], [3, 8], [8, 9], [0, 0]]
    np.testing.assert_array_equal(words.time_s, np.arange(5))
    assert "mean of a word's tokens" in by_word.attrs["preprocessing"]
    (text,) = build(settings(folders["bert"], pooling="mean", strip_special=True))(["So sadly!"])
    assert_close(text.values, tokens.values[1:5].mean(axis=0, keepdims=True))
    assert text.extra["char_span"].tolist() == [[0, 9]]
    (empty,) = by_word([" "])
    assert (empty.status, empty.values.shape) == ("empty_text", (0, 3, 32))


def test_memory_that_runs_out_halves_the_batch(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = build(settings(folders["bert"], tokens_per_batch=4096))
    expected = extractor(TEXTS)
    real, sizes = extractor._run, []

    def small_memory(ids: list[list[int]]) -> torch.Tensor:
        sizes.append(len(ids))
        if len(ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(ids)

    monkeypatch.setattr(extractor, "_run", small_memory)
    for found, one in zip(extractor(TEXTS), expected, strict=True):
        assert_close(found.values, one.values)
    assert sizes == [5, 2, 3, 1, 2]


def test_bf16_is_near_and_named(folders: dict[str, Path]) -> None:
    exact = build(settings(folders["bert"]))
    rough = build(settings(folders["bert"], precision="bf16"))
    for found, one in zip(rough(TEXTS), exact(TEXTS), strict=True):
        difference = np.abs(found.values - one.values).max() / np.abs(one.values).max()
        assert 1e-5 < difference < 0.1
    assert exact.attrs["compute"] == "fp32"
    assert rough.attrs["compute"] == "bf16"
    assert rough.attrs["preprocessing"] == f"{exact.attrs['preprocessing']}; bf16 autocast"
    with pytest.raises(InputError, match="precision fp16: for CUDA devices only"):
        build(settings(folders["bert"], precision="fp16"))


@pytest.mark.weights
def test_the_embedded_mpnet_is_transformers() -> None:
    list(fetch_profile(load_profile("embedded")))
    section = load_profile("embedded").lexical
    texts = ["I can't believe you did that to me!", "Oh.", "We are going to the sea tomorrow."]
    found = build(section)(texts)
    folder = locate("all-mpnet-base-v2")
    model = transformers.MPNetModel.from_pretrained(folder, add_pooling_layer=False).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(folder)
    for text, features in zip(texts, found, strict=True):
        with torch.inference_mode():
            out = model(**tokens(text, return_tensors="pt"), output_hidden_states=True)
        assert features.values.shape[1:] == (3, 768)
        for i, block in enumerate((1, 7, 12)):
            assert_close(features.values[:, i], out.hidden_states[block][0].numpy())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_features_of_the_cpu(folders: dict[str, Path]) -> None:
    on_cpu = build(settings(folders["mpnet"]), device="cpu")(TEXTS)
    on_gpu = build(settings(folders["mpnet"]), device="cuda")(TEXTS)
    for a, b in zip(on_cpu, on_gpu, strict=True):
        np.testing.assert_allclose(b.values, a.values, atol=1e-4 * np.abs(a.values).max())

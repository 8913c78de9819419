"""Text to features: hidden states of any transformer text encoder, one vector a token.

All tokens are kept, with a mask of the special ones ([CLS], [SEP]), unless the settings strip them:
peers do either. Texts run in padded batches of similar length with an attention mask, which
changes features by rounding only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from amanda.store.errors import InputError
from extractors.base import Extractor, SequenceFeatures
from extractors.compute import Compute, halving
from extractors.pretrained import (
    batch_budget,
    batches_by_length,
    check_layers,
    find_blocks,
    length_mask,
    load_encoder,
    load_preprocessor,
    run_blocks,
    to_numpy,
)
from extractors.profiles import LexicalSettings
from extractors.weights import find

MODALITY = "lexical"
_POOLING_NOTES = {"none": "", "word": "; mean of a word's tokens", "mean": "; mean of the tokens"}
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """One tokenised text.

    Attributes:
        ids: (T,) token ids, special tokens included.
        special: (T,) whether a token was added by the tokenizer.
        word: (T,) index of the token's word in the text, -1 for special tokens.
        char_span: (T, 2) first character and the one after the last; 0, 0 for special tokens.
        n_cut: how many tokens did not fit.
    """

    ids: list[int]
    special: np.ndarray
    word: np.ndarray
    char_span: np.ndarray
    n_cut: int


def build(settings: LexicalSettings, *, device: str | torch.device = "cpu") -> Extractor:
    """The extractor of a profile's lexical section.

    Raises:
        InputError: the weights are missing or damaged, or the model has no such block.
    """
    located = find(settings.model, settings.revision)
    tokenizer = _load_tokenizer(located.path)
    compute = settings.compute(torch.device(device))
    model = load_encoder(located.path, device=device)
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    if hasattr(model, "pooler"):
        model.pooler = None  # the sentence vector: not used, and not in every checkpoint
    n_blocks = int(model.config.num_hidden_layers)
    check_layers(settings.layers, n_blocks, settings.model)
    n_words = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > n_words:
        raise InputError(
            f"{located.path}: the tokenizer has {len(tokenizer)} tokens and the model knows "
            f"{n_words}; they are of different models"
        )
    limit = _max_tokens(model, tokenizer, settings)
    preprocessing = (
        f"text as given; {type(tokenizer).__name__}; special tokens "
        f"{'stripped' if settings.strip_special else 'kept'}; cut at {limit} tokens; "
        f"last block {settings.last_block}{_POOLING_NOTES[settings.pooling]}"
        f"{compute.precision_note}"
    )
    attrs = {
        "extractor": settings.made_by,
        "model": Path(settings.model).name if located.revision == "local" else settings.model,
        "revision": located.revision,
        "sha256": located.sha256,
        "layers": list(settings.layers),
        "rate_hz": 0.0,
        "dtype": "float32",
        "compute": compute.description,
        "preprocessing": preprocessing,
    }
    return LexicalExtractor(
        model=model,
        tokenizer=tokenizer,
        settings=settings,
        max_tokens=limit,
        compute=compute,
        attrs=attrs,
    )


def _group_starts(word: np.ndarray, pooling: str) -> np.ndarray:
    """Where each stretch of tokens begins that becomes one vector; special tokens stay alone."""
    if pooling == "none":
        return np.arange(len(word))
    if pooling == "mean":
        return np.zeros(1, np.int64)
    goes_on = (word[1:] == word[:-1]) & (word[1:] >= 0)
    return np.flatnonzero(np.concatenate([[True], ~goes_on]))


def _load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    # Without any of these, transformers makes a tokenizer that knows no word.
    if not any(file for name in VOCABULARIES for file in folder.glob(name)):
        raise InputError(f"{folder}: no tokenizer in it ({', '.join(VOCABULARIES)})")
    tokenizer = load_preprocessor(AutoTokenizer, folder, "tokenizer")
    if not tokenizer.is_fast:
        raise InputError(
            f"{folder}: its tokenizer has no fast form (tokenizer.json), which word ids need"
        )
    return tokenizer


def _max_tokens(model: Any, tokenizer: Any, settings: LexicalSettings) -> int:
    """The longest sequence that the model, its tokenizer and the settings allow."""
    limits = [settings.max_tokens, tokenizer.model_max_length]
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions:
        # RoBERTa and MPNet number positions from their padding index + 1.
        table = next(
            (m for n, m in model.named_modules() if n.endswith("position_embeddings")), None
        )
        first = getattr(table, "padding_idx", None)
        limits.append(positions if first is None else positions - first - 1)
    return int(min(limit for limit in limits if limit))


class LexicalExtractor:
    """Texts to token features; see `extractors.base.Extractor`."""

    modality = MODALITY

    def __init__(
        self,
        *,
        model: Any,
        tokenizer: Any,
        settings: LexicalSettings,
        max_tokens: int,
        compute: Compute,
        attrs: Mapping[str, Any],
    ):
        self.model = model  # transformers' PreTrainedModel
        self.tokenizer = tokenizer
        self.settings = settings
        self.max_tokens = max_tokens
        self.attrs = attrs
        self.n_layers = len(settings.layers)
        self.width = int(model.config.hidden_size)
        self.blocks = find_blocks(model, int(model.config.num_hidden_layers))
        self.compute, self.device = compute, compute.device
        compute.compile_blocks(self.blocks)

    def __call__(self, clips: Sequence[str]) -> list[SequenceFeatures]:
        """Features of each text, in the order given.

        Status is `truncated` for a text longer than the model takes, `empty_text` for one without
        any token. `extra` holds `special`, `word` and `char_span` of `Tokens`.
        """
        tokens = [self._tokenise(text) for text in clips]
        features: list[SequenceFeatures] = [self._empty() for _ in clips]
        full = [i for i, t in enumerate(tokens) if t is not None and not t.special.all()]
        lengths = [len(tokens[i].ids) for i in full]  # type: ignore[union-attr]
        budget = batch_budget(self.settings.tokens_per_batch, self.device, cpu=512, gpu=16384)
        for batch in batches_by_length(lengths, budget):
            rows = [full[i] for i in batch]
            chosen = [tokens[row] for row in rows]
            ids = [t.ids for t in chosen if t is not None]
            values = halving(ids, lambda part: list(self._run(part)), self.device)
            for row, text_tokens, value in zip(rows, chosen, values, strict=True):
                assert text_tokens is not None
                features[row] = self._features(text_tokens, value[: len(text_tokens.ids)])
        return features

    def _tokenise(self, text: str) -> Tokens | None:
        if not text.strip():
            return None
        encoded = self.tokenizer(
            text,
            truncation=False,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            verbose=False,
        )
        n_all = len(encoded["input_ids"])
        if n_all > self.max_tokens:
            encoded = self.tokenizer(
                text,
                truncation=True,
                max_length=self.max_tokens,
                return_offsets_mapping=True,
                return_special_tokens_mask=True,
            )
        ids = list(encoded["input_ids"])
        words = [-1 if word is None else word for word in encoded.word_ids()]
        return Tokens(
            ids=ids,
            special=np.array(encoded["special_tokens_mask"], bool),
            word=np.array(words, np.int32),
            char_span=np.array(encoded["offset_mapping"], np.int32).reshape(-1, 2),
            n_cut=n_all - len(ids),
        )

    def _run(self, ids: list[list[int]]) -> Float[Tensor, "batch time layers width"]:
        lengths = [len(row) for row in ids]
        pad = self.tokenizer.pad_token_id or 0
        padded = [row + [pad] * (max(lengths) - len(row)) for row in ids]
        inputs = torch.tensor(padded, device=self.device)
        mask = length_mask(lengths, self.device)
        if mask is None:
            mask = torch.ones_like(inputs, dtype=torch.bool)
        with self.compute.running():
            return run_blocks(
                self.blocks,
                self.settings.layers,
                self.settings.last_block,
                lambda: self.model(input_ids=inputs, attention_mask=mask).last_hidden_state,
            )

    def _features(
        self, tokens: Tokens, values: Float[Tensor, "time layers width"]
    ) -> SequenceFeatures:
        array = to_numpy(values, f"lexical, {self.attrs['model']}")
        keep = ~tokens.special if self.settings.strip_special else np.ones(len(array), bool)
        n_tokens = len(tokens.ids) + tokens.n_cut
        detail = f"{n_tokens} tokens, the first {len(tokens.ids)} kept" if tokens.n_cut else ""
        special, word, span = tokens.special[keep], tokens.word[keep], tokens.char_span[keep]
        starts = _group_starts(word, self.settings.pooling)
        last = np.array([*starts[1:], len(word)]) - 1
        counts = (last - starts + 1)[:, None, None]
        one_word = self.settings.pooling != "mean"
        return SequenceFeatures(
            values=np.add.reduceat(array[keep], starts, axis=0) / counts.astype(np.float32),
            time_s=np.arange(len(starts), dtype=np.float64),
            valid=np.ones(len(starts), bool),
            status="truncated" if tokens.n_cut else "ok",
            detail=detail,
            extra={
                "special": special[starts] if one_word else np.zeros(len(starts), bool),
                "word": word[starts] if one_word else np.full(len(starts), -1, np.int32),
                "char_span": np.stack(
                    [
                        np.minimum.reduceat(span[:, 0], starts),
                        np.maximum.reduceat(span[:, 1], starts),
                    ],
                    axis=1,
                ),
            },
        )

    def _empty(self) -> SequenceFeatures:
        return SequenceFeatures.none(
            self.n_layers,
            self.width,
            status="empty_text",
            detail="the text has no word",
            extra={
                "special": np.zeros(0, bool),
                "word": np.zeros(0, np.int32),
                "char_span": np.zeros((0, 2), np.int32),
            },
        )

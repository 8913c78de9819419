"""Small feature files whose classes can be learned, for tests of training.

Frames of an utterance are drawn around a direction of its class, plus an offset of its corpus. All
seeded; sequences differ in length, down to one frame.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from amanda.store.features import ModalityTable, Ragged, UtteranceTable, write_features
from amanda.store.names import CLASSES

SHAPES = {"acoustic": (2, 6), "visual": (1, 5), "lexical": (2, 4)}
MEAN_FRAMES = {"acoustic": 8, "visual": 4, "lexical": 3}

Edit = Callable[[dict[str, np.ndarray]], None]


def write_corpus(
    path: Path,
    *,
    n: int = 72,
    seed: int = 0,
    gap: float = 0.5,
    shapes: dict[str, tuple[int, int]] = SHAPES,
    edit: Edit | None = None,
    missing: dict[str, float] | None = None,
) -> Path:
    """Write a corpus named after the file: 2/3 train, 1/6 val, 1/6 test, 6 speakers.

    Args:
        edit: changes the columns "label" (-1 to 3) and "split" in place before they are written.
        missing: by modality, the share of utterances that lack it.
    """
    generator, classes = np.random.default_rng([seed, n]), np.random.default_rng(7)
    truth = np.arange(n) % 4
    columns = {
        "label": truth.astype(np.int8),
        "split": np.repeat(["train", "val", "test"], [n - 2 * (n // 6), n // 6, n // 6]),
    }
    if edit is not None:
        edit(columns)
    modalities = {}
    for name, (layers, width) in shapes.items():
        direction = classes.normal(size=(4, layers, width))
        offset = gap * generator.normal(size=(layers, width))
        lengths = generator.poisson(MEAN_FRAMES.get(name, 5), n) + 1
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        noise = generator.normal(size=(offsets[-1], layers, width))
        values = noise + np.repeat(direction[truth], lengths, axis=0) + offset
        gone = generator.random(n) < (missing or {}).get(name, 0.0)
        valid = ~np.repeat(gone, lengths) & (generator.random(offsets[-1]) < 0.9)
        valid[offsets[:-1]] = ~gone  # who has a modality has at least one valid frame of it
        modalities[name] = ModalityTable(
            data=Ragged(values=values.astype(np.float16), offsets=offsets, valid=valid),
            time_s=np.arange(offsets[-1], dtype=np.float64),
            status=["no_face" if g else "ok" for g in gone],
            detail=["" for _ in gone],
            attrs={
                "extractor": "drawn",
                "model": name,
                "revision": "1",
                "layers": list(range(1, layers + 1)),
                "preprocessing": "none",
                "rate_hz": 10.0,
                "dtype": "float16",
            },
        )
    corpus = path.stem
    utterances = UtteranceTable(
        id=[f"{corpus}_{i:03d}" for i in range(n)],
        label=columns["label"],
        split=columns["split"].tolist(),
        speaker=[f"{corpus}_s{i % 6}" for i in range(n)],
        group=[""] * n,
        text=[""] * n,
        start_s=np.zeros(n),
        end_s=np.ones(n),
        source=[""] * n,
        label_names=CLASSES,
    )
    write_features(path, utterances, modalities, corpus=corpus, profile="drawn")
    return path


def write_pair(folder: Path, **target: object) -> tuple[Path, Path]:
    """A source "one" and a target "two"; keywords go to the target."""
    source = write_corpus(folder / "one.h5", seed=1)
    return source, write_corpus(folder / "two.h5", seed=2, **target)  # type: ignore[arg-type]

"""Made-up feature files and trainings, for tests of what comes after training.

Numbers are drawn, not trained; they have the shapes, the missing rows and the kinds of curve that a
training gives. Everything is seeded.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amanda.balance import imbalance
from amanda.records import Balance, EpochRecord, RunRecord, Selection, TestRows
from amanda.results import Result, describe_features, merge_results, write_method_result
from amanda.settings import RunSettings
from amanda.store.features import (
    FeatureFile,
    ModalityTable,
    Ragged,
    UtteranceTable,
    write_features,
)
from amanda.store.names import CLASSES, MODALITIES, RECORDED, STANDIN
from amanda.validators import VALIDATORS, select_epoch

BRANCHES = (*MODALITIES, "joint")
METHODS = (
    ("direct_transfer", "norm:2", 0.55),
    ("supervised", "norm:2", 0.85),
    ("amanda", "norm:1", 0.60),
    ("amanda", "norm:2", 0.64),
    ("amanda", "norm:inf", 0.62),
    ("amanda", "logexp:1", 0.63),
)
MODELS = {
    "acoustic": ("whisper", "whisper-base", [1, 4, 6], 10.0),
    "visual": ("expression", "mini-xception", [1], 15.0),
    "lexical": ("bert", "all-mpnet-base-v2", [1, 7, 12], 2.0),
}


def fake_features(
    path: Path,
    corpus: str,
    *,
    n: int = 120,
    labelled: bool = True,
    origin: str = STANDIN,
    share_speakers: bool = True,
    modalities: tuple[str, ...] = MODALITIES,
    seed: int = 0,
) -> Path:
    """Write a small feature file: 10 speakers, three splits, some clips without a face."""
    rng = np.random.default_rng([seed, n])
    split = rng.permutation(np.repeat(["train", "val", "test"], [n * 17 // 24, n // 12, n])[:n])
    speaker = rng.integers(0, 10, n)
    if not share_speakers:
        split = np.where(speaker < 7, "train", np.where(speaker < 8, "val", "test"))
    label = rng.choice(4, n, p=[0.3, 0.3, 0.2, 0.2]) if labelled else np.full(n, -1)
    start_s = rng.uniform(0, 200, n)
    table = UtteranceTable(
        id=[f"{corpus}_{i:04d}" for i in range(n)],
        label=label.astype(np.int8),
        split=split.tolist(),
        speaker=[f"{corpus}_s{s}" for s in speaker],
        group=[f"{corpus}_g{s // 2}" for s in speaker],
        text=["not for the page"] * n,
        start_s=start_s,
        end_s=start_s + rng.gamma(6, 0.45, n),
        source=[f"{corpus}/{i}.avi" for i in range(n)],
    )
    tables = {name: _modality(rng, name, n) for name in modalities}
    write_features(path, table, tables, corpus=corpus, profile="embedded", origin=origin)
    return path


def _modality(rng: np.random.Generator, name: str, n: int) -> ModalityTable:
    extractor, model, layers, rate_hz = MODELS[name]
    status = ["ok"] * n
    if name == "visual":
        for row in rng.choice(n, max(1, n // 30), replace=False):
            status[row] = "no_face"
    lengths = rng.integers(3, 9, n)
    total = int(lengths.sum())
    valid = np.ones(total, bool)
    if name == "visual":
        valid = rng.random(total) < 0.97
        owner = np.repeat(np.arange(n), lengths)
        valid[np.isin(owner, np.flatnonzero(np.asarray(status) == "no_face"))] = False
    return ModalityTable(
        data=Ragged(
            values=rng.normal(size=(total, len(layers), 4)).astype(np.float16),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            valid=valid,
        ),
        time_s=np.arange(total) / rate_hz,
        status=status,
        detail=["" if s == "ok" else "no face in any frame" for s in status],
        attrs={
            "extractor": extractor,
            "model": model,
            "revision": "1",
            "sha256": "a" * 64,
            "layers": layers,
            "rate_hz": rate_hz,
            "dtype": "float16",
            "preprocessing": "as in the tests",
        },
    )


def fake_run(
    rows: TestRows,
    settings: RunSettings,
    *,
    seed: int,
    level: float,
    n_epochs: int = 30,
    missing_visual: tuple[int, ...] = (),
) -> RunRecord:
    """A training of `n_epochs` whose joint branch ends near the weighted F1 `level`."""
    rng = np.random.default_rng([seed, int(1000 * level)])
    labelled = bool((rows.label >= 0).any())
    truth = np.where(rows.label >= 0, rows.label, rng.integers(0, 4, len(rows)))
    aligned = settings.method == "amanda"
    epochs = [_epoch(rng, settings, e, n_epochs, aligned=aligned) for e in range(n_epochs)]
    chosen = {"last": (n_epochs, None, False)}
    for name, validator in VALIDATORS.items():
        values = [epoch.validators[name] for epoch in epochs]
        index = select_epoch(values, validator.direction)
        chosen[name] = (index + 1, values[index], False)
    if labelled:
        chosen["oracle"] = (int(n_epochs * 0.8), level + 0.02, True)

    def predict(skill: float) -> np.ndarray:
        logits = rng.normal(0, 1, (len(rows), 4)) + 1.9 * skill * np.eye(4)[truth]
        exponent = np.exp(logits)
        return (exponent / exponent.sum(axis=1, keepdims=True)).astype(np.float32)

    selections = {}
    for name, (epoch, value, used) in chosen.items():
        skill = level + (0.03 if name == "oracle" else rng.normal(0, 0.02))
        branches = {"joint": predict(skill)}
        for m, drop in zip(MODALITIES, (0.15, 0.3, 0.05), strict=True):
            branches[m] = predict(max(0.05, skill - drop))
        branches["visual"][list(missing_visual)] = np.nan
        selections[name] = Selection(
            epoch=epoch, value=value, used_target_labels=used, probabilities=branches
        )
    return RunRecord(
        seed=seed,
        fold=0,
        test=rows,
        epochs=epochs,
        selections=selections,
        wall_s=12.5 + seed,
        balance=_balance(epochs[-1], settings) if aligned else None,
    )


def _balance(epoch: EpochRecord, settings: RunSettings) -> Balance:
    loss = dict(epoch.alignment)
    psi = _psi(settings.surrogate, np.array(list(loss.values())))
    single = [loss[name] for name in MODALITIES]
    return Balance(
        loss=loss,
        relative={name: value / 60 for name, value in loss.items()},
        floor={name: 0.3 for name in loss},
        proxy_a_distance={name: 1.1 for name in loss},
        index=imbalance(single),
        index_floor=0.0,
        index_relative=imbalance(single),
        psi=psi,
        pull={name: psi[name] + psi["joint"] for name in MODALITIES},
    )


def _epoch(
    rng: np.random.Generator, settings: RunSettings, epoch: int, n: int, *, aligned: bool
) -> EpochRecord:
    progress = (epoch + 1) / n
    noise = np.exp(rng.normal(0, 0.06, 4))
    balance = {"norm:1": 0.0, "norm:2": 0.6, "norm:inf": 0.9}.get(settings.surrogate, 0.7)
    start = np.array([30.0, 6.0, 12.0])
    end = start.mean() ** balance * start ** (1 - balance) * 0.08
    single = (start * (end / start) ** (progress**0.5)) * noise[:3]
    values = [*single, single.sum() * 1.4 * noise[3]]
    alignment = dict(zip(BRANCHES, (float(v) for v in values), strict=True))
    ce = 1.4 * np.exp(-2.2 * progress) * noise[0] + 0.1
    loss = {"ce": float(ce), "bottleneck": float(-0.2 * progress)}
    if aligned:
        loss["label_alignment"] = float(0.08 * (1.37 + 0.1 * (1 - progress)))
        loss["alignment"] = float(0.1 * np.sqrt(np.square(values).sum()))
    loss["total"] = sum(loss.values())
    validators = {
        "source_val_f1": float(0.9 - 0.5 * np.exp(-4 * progress) + rng.normal(0, 0.01)),
        "entropy": float(1.2 * np.exp(-2 * progress) + 0.1 + rng.normal(0, 0.01)),
        "im": float(0.2 + 0.7 * progress + rng.normal(0, 0.02)),
        "snd": float(2 + progress + rng.normal(0, 0.05)),
        "bnm": float(0.3 + 0.1 * progress + rng.normal(0, 0.01)),
        "dev": float(1.0 - 0.4 * progress + rng.normal(0, 0.05)),
    }
    return EpochRecord(
        loss=loss,
        alignment=alignment if aligned else {},
        alignment_relative={k: v / 60 for k, v in alignment.items()} if aligned else {},
        psi=_psi(settings.surrogate, np.array(values)) if aligned else {},
        validators=validators,
        lr=5e-4 * min(1.0, 1.25 * (1 - progress) + 0.01),
    )


def _psi(surrogate: str, a: np.ndarray) -> dict[str, float]:
    """Weights of Eq. 14 and 15."""
    kind, _, parameter = surrogate.partition(":")
    value = float(parameter)
    if kind == "logexp":
        psi = np.exp(value * (a - a.max()))
        psi /= psi.sum()
    elif np.isinf(value):
        psi = (a == a.max()).astype(float)
    else:
        psi = (a / (a**value).sum() ** (1 / value)) ** (value - 1)
    return dict(zip(BRANCHES, (float(v) for v in psi), strict=True))


def fake_method_result(
    path: Path,
    source: Path,
    target: Path,
    *,
    method: str = "amanda",
    surrogate: str = "norm:2",
    level: float = 0.6,
    seeds: int = 3,
    n_epochs: int = 30,
    **others: object,
) -> Result:
    """Write one method's result file on two feature files; `others` are more settings."""
    settings = RunSettings(
        method=method, surrogate=surrogate, seeds=seeds, epochs=n_epochs, **others
    )
    with FeatureFile(source) as s, FeatureFile(target) as t:
        for file in (s, t):
            file.resplit(settings.split, settings.split_seed)
        rows = t.rows("test")
        test = TestRows(
            ids=[t.ids[row] for row in rows],
            speakers=[t.speaker[row] for row in rows],
            label=t.label[rows].astype(np.int64),
        )
        described = describe_features(s), describe_features(t)
    runs = [
        fake_run(test, settings, seed=k, level=level, n_epochs=n_epochs, missing_visual=(1, 4))
        for k in range(seeds)
    ]
    supervised = ("supervised:train,val",) if method == "supervised" else ()
    return write_method_result(
        path,
        settings,
        runs,
        source=described[0],
        target=described[1],
        label_names=CLASSES,
        modalities=MODALITIES,
        device="cpu",
        target_labels_used=supervised,
    )


def fake_pair(
    folder: Path,
    source: str = "ie",
    target: str = "msp",
    *,
    n: int = 240,
    labelled: bool = True,
    origin: str = STANDIN,
    share_speakers: bool = True,
    seeds: int = 3,
    n_epochs: int = 30,
    methods: Sequence[tuple[str, str, float]] = METHODS,
) -> tuple[Path, list[Path]]:
    """A merged result file, and its two feature files (those that are there are kept)."""
    files = []
    for corpus in (source, target):
        path = folder / f"{corpus}.h5"
        if not path.exists():
            fake_features(
                path,
                corpus,
                n=n,
                origin=origin,
                labelled=labelled or corpus != target,
                share_speakers=share_speakers,
                seed=len(corpus),
            )
        files.append(path)
    parts = []
    for method, surrogate, level in methods:
        if method == "supervised" and not labelled:
            continue
        part = (
            folder / "runs" / f"{source}2{target}" / f"{method}-{surrogate.replace(':', '_')}.json"
        )
        fake_method_result(
            part,
            *files,
            method=method,
            surrogate=surrogate,
            level=level,
            seeds=seeds,
            n_epochs=n_epochs,
        )
        parts.append(part)
    out = folder / f"{source}2{target}.json"
    merge_results(parts, out)
    return out, files


__all__ = ["RECORDED", "fake_features", "fake_method_result", "fake_pair", "fake_run"]

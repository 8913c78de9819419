"""k folds of whole groups: the split itself, and training on every fold."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_features import write_corpus, write_pair

from amanda import workers
from amanda.models import load_model
from amanda.predictions import read_predictions
from amanda.report import write_report
from amanda.results import check_result, merge_results, read_result
from amanda.settings import RunSettings, parse_settings
from amanda.store.errors import AmandaError, InputError
from amanda.store.features import FeatureFile
from amanda.store.names import CLASSES
from amanda.store.splits import kfold_split
from amanda.training import train_method

SMALL = {"epochs": 2, "seeds": 2, "batch_size": 16, "dim": 8, "channels": 4, "eval_every": 2}


def run_settings(**changes: object) -> RunSettings:
    return RunSettings(**(SMALL | {"split": "kfold", "folds": 3} | changes))  # type: ignore[arg-type]


@st.composite
def grouped(draw: st.DrawFn) -> tuple[dict[str, str], int]:
    sizes = draw(st.lists(st.integers(1, 9), min_size=3, max_size=12))
    group_of = {f"{g}-{i}": f"g{g}" for g, size in enumerate(sizes) for i in range(size)}
    return group_of, draw(st.integers(3, len(sizes)))


@settings(max_examples=60)
@given(grouped(), st.integers(0, 99), st.randoms())
def test_every_id_is_tested_once_and_groups_stay_whole(
    made: tuple[dict[str, str], int], seed: int, rng
) -> None:
    group_of, k = made
    folds = [kfold_split(group_of, k, fold, seed) for fold in range(k)]
    for split_of in folds:
        assert split_of.keys() == group_of.keys()
        assert set(split_of.values()) == {"train", "val", "test"}
        assert len({(group_of[i], split) for i, split in split_of.items()}) == len(
            set(group_of.values())
        )
    for name in group_of:
        assert Counter(split_of[name] for split_of in folds) == {
            "test": 1,
            "val": 1,
            "train": k - 2,
        }
    order = list(group_of)
    rng.shuffle(order)
    assert kfold_split({name: group_of[name] for name in order}, k, 0, seed) == folds[0]
    # Dealt out by size, folds differ by no more than the largest group.
    sizes = [list(split_of.values()).count("test") for split_of in folds]
    assert max(sizes) - min(sizes) <= max(Counter(group_of.values()).values())


def test_seeds_give_other_folds_that_never_change() -> None:
    group_of = {f"u{i}": f"g{i % 10}" for i in range(50)}
    first = kfold_split(group_of, 5, 0, 0)
    assert first != kfold_split(group_of, 5, 0, 1)
    # Fixed for good: a result made tomorrow on another machine has the same folds.
    assert sorted({group_of[i] for i, split in first.items() if split == "test"}) == ["g3", "g9"]


@pytest.mark.parametrize(
    ("group_of", "k", "fold", "message"),
    [
        ({"a": "1", "b": "2", "c": ""}, 3, 0, "1 rows have neither group nor speaker"),
        ({"a": "1", "b": "2"}, 3, 0, r"3 folds need at least 3 groups; there are 2 \(1, 2\)"),
        ({}, 3, 0, r"there are 0 \(no rows\)"),
        ({"a": "1", "b": "2"}, 2, 0, "fold 0 of 2: give at least 3 folds"),
        ({"a": "1"}, 3, 3, "fold 3 of 3"),
    ],
)
def test_folds_that_cannot_be(group_of: dict[str, str], k: int, fold: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        kfold_split(group_of, k, fold, 0)


def test_settings_of_folds() -> None:
    assert RunSettings(split="kfold").n_folds == 5
    assert RunSettings(split="speaker").n_folds == 1
    with pytest.raises(InputError, match="folds = 2"):
        parse_settings({"split": "kfold", "folds": 2}, "c.yaml")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("kfold")
    pair = write_pair(folder)
    out = folder / "one2two.json"
    train_method(*pair, run_settings(), out=out, device="cpu", workers=1, save_model=folder / "m")
    return out, pair


def test_every_seed_is_trained_on_every_fold(trained: tuple[Path, tuple[Path, Path]]) -> None:
    out, pair = trained
    result = read_result(out)
    (method,) = result.file.methods
    assert [(run.fold, run.seed) for run in method.runs] == [
        (fold, seed) for fold in range(3) for seed in range(2)
    ]
    assert len(method.aggregate["last"]["weighted_f1"].values) == 6
    assert check_result(out) == []
    with FeatureFile(pair[1]) as target:
        group = dict(zip(target.ids, target.group_or_speaker, strict=True))
    blocks = read_predictions(result.predictions_path, CLASSES, ["last"])
    for seed in range(2):
        tested = {b.fold: list(b.ids) for b in blocks if b.seed == seed}
        assert sorted(i for ids in tested.values() for i in ids) == sorted(group)
        groups = [{group[i] for i in ids} for ids in tested.values()]
        assert sum(map(len, groups)) == len(set(group.values())), "no group in two folds"
    assert result.file.features.target.split_rule == (
        "kfold, fold 0 of 3, seed 0, drawn for this training"
    )
    assert not [path for path in out.parent.iterdir() if "unfinished" in path.name]


def test_a_model_of_each_fold_and_seed_is_saved(trained: tuple[Path, tuple[Path, Path]]) -> None:
    folder = trained[0].parent / "m"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"fold-{fold}-seed-{seed}" for fold in range(3) for seed in range(2)
    ]
    one, other = (load_model(folder / f"fold-{fold}-seed-0") for fold in (0, 1))
    assert one != other


def test_folds_are_merged_and_reported(
    trained: tuple[Path, tuple[Path, Path]], tmp_path: Path
) -> None:
    out, pair = trained
    other = tmp_path / "direct.json"
    train_method(*pair, run_settings(method="direct_transfer"), out=other, device="cpu", workers=1)
    merged = tmp_path / "one2two.json"
    merge_results([out, other], merged)
    write_report([merged], tmp_path / "report.html", features=list(pair))
    assert "kfold, fold 0 of 3" in (tmp_path / "report.html").read_text(encoding="utf-8")
    apart = tmp_path / "apart.json"
    train_method(
        *pair, run_settings(method="direct_transfer", split="speaker"), out=apart, device="cpu"
    )
    with pytest.raises(InputError, match="is another than that of"):
        merge_results([out, apart], tmp_path / "x.json")


def test_finished_folds_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = write_pair(tmp_path)
    out, once = tmp_path / "r.json", tmp_path / "once.json"
    options = {"device": "cpu", "workers": 1}
    train_method(*pair, run_settings(), out=once, **options)
    kept = workers.write_run
    calls = []

    def interrupted(path: Path, run) -> None:
        if len(calls) == 3:
            raise AmandaError("interrupted")
        calls.append((run.fold, run.seed))
        kept(path, run)

    monkeypatch.setattr(workers, "write_run", interrupted)
    with pytest.raises(AmandaError, match="interrupted"):
        train_method(*pair, run_settings(), out=out, **options)
    assert calls == [(0, 0), (0, 1), (1, 0)]

    def recorded(path: Path, run) -> None:
        calls.append((run.fold, run.seed))
        kept(path, run)

    monkeypatch.setattr(workers, "write_run", recorded)
    train_method(*pair, run_settings(), out=out, **options)
    assert calls[3:] == [(1, 1), (2, 0), (2, 1)]
    predictions = [read_result(path).predictions_path.read_bytes() for path in (out, once)]
    assert predictions[0] == predictions[1]


@pytest.mark.slow
def test_processes_train_the_folds_as_one_does(tmp_path: Path) -> None:
    pair = write_pair(tmp_path)
    found = []
    for n_workers in (1, 2):
        out = tmp_path / f"r{n_workers}.json"
        train_method(*pair, run_settings(folds=3), out=out, device="cpu", workers=n_workers)
        found.append(read_predictions(read_result(out).predictions_path, CLASSES))
    for one, other in zip(*found, strict=True):
        assert (one.fold, one.seed, list(one.ids)) == (other.fold, other.seed, list(other.ids))
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)


def test_too_few_groups_are_told_before_training(tmp_path: Path) -> None:
    pair = write_corpus(tmp_path / "one.h5"), write_corpus(tmp_path / "two.h5")
    with pytest.raises(InputError, match="7 folds need at least 7 groups; there are 6"):
        train_method(*pair, run_settings(folds=7), out=tmp_path / "r.json", device="cpu")

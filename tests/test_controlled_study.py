"""The controlled study: cells that differ in one thing alone, and tables of what was trained."""

import json
import sys
from pathlib import Path

import pytest
from small_features import write_corpus

from amanda.settings import RunSettings
from amanda.store.names import CLASSES, MODALITIES
from benchmarks import controlled_study
from benchmarks.controlled_study import (
    FAR_SHARES,
    GAPS,
    METHODS,
    PRIORS,
    SOURCE_SHARES,
    cells,
    corpus_job,
    markdown,
    train_job,
)
from corpora.standin.plan import class_counts
from corpora.standin.write import MAX_GAP

CELLS = {cell.name: cell for cell in cells()}


def test_a_cell_differs_in_one_thing_alone() -> None:
    assert len(CELLS) == 13
    for name, cell in CELLS.items():
        differing = [m for m in MODALITIES if cell.gap[m] != 0]
        if name.startswith("shift"):
            assert differing == []
            assert cell.shares != SOURCE_SHARES
        else:
            assert cell.shares == SOURCE_SHARES
            assert differing == ([] if name == "none" else [GAPS[name[:-1]]])
        assert max(cell.gap.values()) <= MAX_GAP


def test_strengths_rise() -> None:
    for name, modality in GAPS.items():
        strengths = [CELLS[f"{name}{number}"].gap[modality] for number in (1, 2, 3)]
        assert strengths == sorted(set(strengths))
    gaps = [
        sum(abs(CELLS[f"shift{n}"].shares[c] - SOURCE_SHARES[c]) for c in CLASSES)
        for n in (1, 2, 3)
    ]
    assert gaps == sorted(set(gaps))
    assert CELLS["shift3"].shares == pytest.approx(FAR_SHARES)
    for cell in CELLS.values():
        assert sum(cell.shares.values()) == pytest.approx(1)
        assert min(class_counts(240, cell.shares).values()) > 0  # every class can be tested


def test_settings_are_those_of_methods_that_there_are() -> None:
    assert len({RunSettings(**settings).run_id for settings in METHODS.values()}) == len(METHODS)
    shift = CELLS["shift2"].methods
    assert tuple(shift) == ("direct_transfer", *PRIORS)
    given = RunSettings(**shift["given"])
    assert given.given_prior == pytest.approx(tuple(CELLS["shift2"].shares.values()))
    assert RunSettings(**shift["estimated"]).label_prior == "estimated"


def test_commands(tmp_path: Path) -> None:
    job = corpus_job(tmp_path, "light2", 1, CELLS["light2"], 240)
    standin, manifest, extract = job.commands
    assert standin[standin.index("--gap") + 1] == "visual=1,acoustic=0,lexical=0"
    assert standin[standin.index("--utterances") + 1] == "240"
    assert manifest[manifest.index("--root") + 1] == standin[standin.index("--out") + 1]
    assert extract[extract.index("--out") + 1] == str(job.out)
    trained = train_job(
        job.out, job.out, {"method": "dann", "epochs": 2}, tmp_path / "r.json", 240
    ).commands[0]
    assert trained[trained.index("--method") + 1] == "dann"
    assert trained[trained.index("--epochs") + 1] == "2"


def test_tables() -> None:
    figures = {
        "f1": [0.5, 0.6],
        "index": 0.4,
        "index_floor": 0.1,
        "index_relative": 0.3,
        "proxy_a_distance": {"acoustic": 1.5, "joint": None},
        "pull": {"acoustic": 1.25},
    }
    adapted = figures | {"difference": 0.05, "low": -0.01, "high": 0.12}
    page = markdown(
        {
            "light1": {"direct_transfer": figures, "norm:2": adapted},
            "shift1": {"direct_transfer": figures, "given": adapted},
        }
    )
    lines = page.splitlines()
    (row,) = [line for line in lines if line.startswith("| light1 | 55.0")]
    assert "55.0 (+5.0: -1.0 to +12.0)" in row
    assert row.count("|") == len(METHODS) + 2
    assert any("0.40 (0.10); 0.30" in line for line in lines)
    assert any("acoustic 1.50, joint –" in line for line in lines)
    (shift,) = [line for line in lines if line.startswith("| shift1")]
    assert shift.count("|") == len(PRIORS) + 3


@pytest.mark.slow  # two processes train
def test_it_trains_measures_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(("ref", "shift3")):
        (tmp_path / "features").mkdir(exist_ok=True)
        write_corpus(tmp_path / "features" / f"{name}.h5", seed=number)
    monkeypatch.setattr(controlled_study, "PRIORS", ("none",))
    given = ["--cells", "shift3", "--seeds", "1", "--epochs", "1", "--work", str(tmp_path)]
    # Without "given" there is no such method to describe.
    monkeypatch.setattr(
        controlled_study,
        "_shift_methods",
        lambda shares: {
            "direct_transfer": {"method": "direct_transfer"},
            "none": {"method": "amanda", "label_prior": "none"},
        },
    )
    monkeypatch.setattr(sys, "argv", ["controlled_study", *given])
    controlled_study.main()
    printed = capsys.readouterr()
    figures = json.loads(printed.out.splitlines()[-1])["controlled_study"]["shift3"]
    assert set(figures) == {"direct_transfer", "none"}
    assert figures["none"]["low"] <= figures["none"]["difference"] <= figures["none"]["high"]
    assert "2 of 4 steps to do" in printed.err
    controlled_study.main()
    again = capsys.readouterr()
    assert "0 of 4 steps to do" in again.err
    assert again.out == printed.out
    monkeypatch.setattr(sys, "argv", ["controlled_study", "--cells", "dark"])
    with pytest.raises(SystemExit):
        controlled_study.main()
    assert "no cell dark; there are none, light1" in capsys.readouterr().err

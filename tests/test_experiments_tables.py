"""Tables of the experiments: each cell is its result file's figure, beside the paper's."""

import json

import numpy as np
import pytest
from fake_experiments import fake_experiments, inside, plan_of
from fake_results import RECORDED, fake_features, fake_method_result

from amanda.comparison import paired_runs, predictions_of
from amanda.experiments_files import by_place, read_table
from amanda.experiments_tables import (
    Filled,
    describe,
    parse_cell,
    write_counts,
    write_table,
)
from amanda.intervals import difference_interval
from amanda.paper_tables import paper_counts, paper_tables
from amanda.results import read_result
from amanda.store.errors import InputError

OVERRIDES = {"epochs": 4, "seeds": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A smoke budget, two seeds a training but one in the sweep."""
    folder = tmp_path_factory.mktemp("experiments")
    fake_experiments(folder, n=120, budget="smoke", experiments=OVERRIDES)
    return folder


@pytest.fixture(scope="module")
def plan(folder):
    return plan_of(folder, budget="smoke", experiments=OVERRIDES)


def table(folder, name):
    return read_table(folder / "results" / f"{name}.json")


def test_cells_are_the_figures_of_their_files(folder, plan):
    found = by_place(table(folder, "table3"))
    planned = plan.cells("table3")
    assert len(found) == len(planned) == 4
    for cell in planned:
        here = found[cell.row, cell.column, "paper"]
        method = read_result(folder / cell.training.result).file.methods[0]
        assert here.run_id == method.run_id
        assert here.seeds == [0, 1]
        for selection, scores in method.aggregate.items():
            assert here.scores[selection]["weighted_f1"] == scores["weighted_f1"]


def test_the_papers_side_is_the_whole_table_also_where_nothing_was_trained(folder):
    papers = paper_tables()
    for name in ("table1", "table2", "table3"):
        made = table(folder, name)
        theirs = papers[name]
        assert [row.key for row in made.rows] == list(theirs.rows)
        for (row, column), figure in theirs.figures.items():
            assert made.paper[row][column] == figure.f1
    assert table(folder, "table2").paper_accuracy["ie"] == pytest.approx(0.7995)
    sweep = table(folder, "sweep_ie2msp")
    assert sweep.paper["amanda_norm_p1"]["2"] == pytest.approx(0.4724)
    ablation = table(folder, "ablation")
    assert ablation.paper["amanda_without_ca"]["ie2msp"] == pytest.approx(0.6449)
    assert ablation.paper["amanda_norm_p2"]["ie2msp"] == pytest.approx(0.6443)


def test_a_sweep_compares_the_same_seeds_though_some_runs_have_more(folder):
    sweep = table(folder, "sweep_ie2msp")
    assert {tuple(cell.seeds) for cell in sweep.cells} == {(0,)}
    shared = next(c for c in sweep.cells if c.row == "amanda_norm_p2" and c.column == "0.1")
    method = read_result(folder / shared.file).file.methods[0]
    assert len(method.runs) == 2
    score = shared.scores["last"]["weighted_f1"]
    assert score.mean == method.aggregate["last"]["weighted_f1"].values[0]
    assert score.std is None


def test_the_difference_is_from_direct_transfer_with_the_same_inputs(folder, plan):
    found = by_place(table(folder, "table3"))
    assert found["direct_transfer", "ie2msp", "paper"].difference is None
    files = {cell.row: folder / cell.training.result for cell in plan.cells("table3")}
    blocks = {}
    for row in ("dann", "direct_transfer"):
        (each,) = predictions_of(read_result(files[row]), "last").values()
        blocks[row] = each
    runs = paired_runs(blocks["dann"], blocks["direct_transfer"])
    expected = difference_interval(runs, 4)
    difference = found["dann", "ie2msp", "paper"].difference
    assert difference.estimate == pytest.approx(expected.estimate)
    assert difference.low == pytest.approx(expected.low)
    by_hand = np.mean(
        [
            a - b
            for a, b in zip(
                found["dann", "ie2msp", "paper"].scores["last"]["weighted_f1"].values,
                found["direct_transfer", "ie2msp", "paper"].scores["last"]["weighted_f1"].values,
                strict=True,
            )
        ]
    )
    assert difference.estimate == pytest.approx(by_hand)


def test_the_budget_is_said_in_every_table(folder):
    for name in ("table1", "table2", "table3", "sweep_ie2msp", "ablation"):
        made = table(folder, name)
        runs = "1 run a cell" if name.startswith("sweep") else "2 runs a cell"
        assert made.budget.sentence.startswith(f"Budget smoke: {runs}, 4 epochs, batches of 32 ")
        assert "its figures say nothing" in made.budget.sentence
        assert made.corpora == "stand-in"


def test_departures_from_the_papers_training_are_listed(folder):
    cell = table(folder, "table3").cells[0]
    assert cell.departures == {"epochs": 4, "batch_size": 32, "seeds": 2}


def test_budgets_in_words(plan):
    assert describe(plan.budget) == (
        "up to 1 pair × 4 methods × 2 seeds, α2 at 2 weights × 2 surrogates × 1 seed on 1 pair, "
        "3 rows of ablation, 4 epochs"
    )


def test_counts_of_table_7(tmp_path):
    files = [fake_features(tmp_path / f"{name}.h5", name, n=96) for name in ("ie", "mine")]
    out = tmp_path / "table7.json"
    made = write_counts(files, out)
    assert read_table(out) == made
    assert sum(n for counts in made.ours["ie"].values() for n in counts.values()) == 96
    assert made.ours["ie"]["sad"].keys() == {"train", "val", "test"}
    assert made.paper == {"ie": paper_counts("ie")}
    with pytest.raises(InputError, match="another file of corpus 'ie' is given"):
        write_counts([files[0], files[0]], out)


def test_the_release_variant_stands_beside(tmp_path):
    fake_features(tmp_path / "ie.h5", "ie", n=96)
    fake_features(tmp_path / "msp.h5", "msp", n=96, seed=1)
    cells = []
    for variant in ("paper", "release"):
        path = tmp_path / f"{variant}.json"
        features = tmp_path / "ie.h5", tmp_path / "msp.h5"
        fake_method_result(path, *features, seeds=1, n_epochs=3, variant=variant)
        cells.append(Filled("amanda_norm_p2", "ie2msp", path))
    made = write_table("table3", cells, "smoke", tmp_path / "table3.json")
    assert [cell.variant for cell in made.cells] == ["paper", "release"]
    assert made.cells[0].paper == made.cells[1].paper == pytest.approx(0.6443)


def test_recorded_corpora_are_no_stand_ins(tmp_path):
    fake_features(tmp_path / "ie.h5", "ie", n=96, origin=RECORDED)
    fake_features(tmp_path / "msp.h5", "msp", n=96, origin=RECORDED, seed=1)
    path = tmp_path / "r.json"
    fake_method_result(path, tmp_path / "ie.h5", tmp_path / "msp.h5", seeds=1, n_epochs=2)
    cell = Filled("amanda_norm_p2", "ie2msp", path)
    assert write_table("table3", [cell], "smoke", tmp_path / "t.json").corpora == "real"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("dann", "write ROW@COLUMN=FILE"),
        ("dann@ie2msp", "write ROW@COLUMN=FILE"),
        ("dan@ie2msp=r.json", "no row 'dan'; did you mean 'dann'"),
    ],
)
def test_cells_that_cannot_be_understood(text, sentence):
    with pytest.raises(InputError, match=sentence):
        parse_cell(text)


def test_what_no_table_can_be_made_of(folder, tmp_path, plan):
    out = tmp_path / "t.json"
    with inside(folder):
        cells = [parse_cell(str(cell)) for cell in plan.cells("table3")]
        with pytest.raises(InputError, match="table 'table9': no such table"):
            write_table("table9", cells, "smoke", out)
        with pytest.raises(InputError, match="budget 'smok': no such budget; did you mean 'smoke'"):
            write_table("table3", cells, "smok", out)
        with pytest.raises(InputError, match="no cell to fill"):
            write_table("table3", [], "smoke", out)
    assert not out.exists()
    for text, sentence in (("{", "not JSON"), ("{}", "not a table file")):
        out.write_text(text)
        with pytest.raises(InputError, match=sentence):
            read_table(out)
    good = json.loads((folder / "results/table3.json").read_text())
    out.write_text(json.dumps({**good, "cells": [{}]}))
    with pytest.raises(InputError, match=r"cells\.0\.row: Field required"):
        read_table(out)

"""The paper's figures, and which training answers which of them."""

import math

import pytest

from amanda.paper_tables import (
    CONSTANT_IN_SWEEP,
    PAIRS,
    ROWS,
    SWEEP_PAIRS,
    departures,
    paper_counts,
    paper_figures,
    paper_row,
    paper_tables,
)
from amanda.settings import RunSettings
from corpora.published import table7

TABLES = paper_tables()


def cells(source: str, target: str, **settings: object) -> list[tuple[str, str, float]]:
    found = paper_figures(source, target, RunSettings(**settings))
    return [(figure.table, figure.column, round(100 * figure.f1, 2)) for figure in found]


# The data


def test_sizes_are_those_of_the_paper() -> None:
    shapes = {name: (len(t.rows), len(t.columns)) for name, t in TABLES.items()}
    sweep = (8, 12)
    assert shapes == {
        "table1": (9, 7),
        "table2": (1, 4),
        "table3": (11, 7),
        "table4": sweep,
        "table5": sweep,
        "table6": sweep,
    }
    for table in TABLES.values():
        assert set(table.figures) == {(r, c) for r in table.rows for c in table.columns}
        assert all(0.1 < figure.f1 < 0.9 for figure in table.figures.values())


def test_tables_agree_where_they_say_the_same() -> None:
    for name, pair in SWEEP_PAIRS.items():
        sweep, comparison = TABLES[name], TABLES["table3"]
        for row in sweep.rows:
            if row == "amanda_without_ca":
                continue
            at = "0.1" if row not in CONSTANT_IN_SWEEP else "2"
            assert sweep.figures[row, at].f1 == comparison.figures[row, pair].f1, (name, row)
    for cell, figure in TABLES["table1"].figures.items():
        assert figure.f1 == TABLES["table3"].figures[cell].f1


def test_figures_copied_by_eye() -> None:
    """Corners and middles of the tables, read from the paper a second time."""
    table3 = TABLES["table3"].figures
    assert table3["dann", "ie2msp"].f1 == pytest.approx(0.5883)
    assert table3["cdan_e", "mosei2msp"].f1 == pytest.approx(0.4933)
    assert table3["amanda_norm_p2", "meld2msp"].f1 == pytest.approx(0.5746)
    assert table3["amanda_logexp_t1", "msp2ie"].f1 == pytest.approx(0.6405)
    assert TABLES["table4"].figures["amanda_norm_p3", "0.002"].f1 == pytest.approx(0.6742)
    assert TABLES["table5"].figures["amanda_norm_p1", "2"].f1 == pytest.approx(0.1423)
    assert TABLES["table6"].figures["amanda_logexp_t0.5", "0.0005"].f1 == pytest.approx(0.5343)
    mosei = TABLES["table2"].figures["supervised", "mosei"]
    assert (mosei.f1, mosei.accuracy) == (pytest.approx(0.5489), pytest.approx(0.5558))


@pytest.mark.parametrize("corpus", ["ie", "msp", "meld", "mosei"])
def test_counts_of_table_7_agree_with_those_of_the_readers(corpus: str) -> None:
    assert paper_counts(corpus) == table7(corpus) != {}


def test_a_corpus_that_is_not_the_papers_has_no_counts() -> None:
    assert paper_counts("mine") == {}


# Which training is which row


def test_a_training_answers_every_cell_that_it_is() -> None:
    assert cells("ie", "msp", surrogate="norm:2") == [
        ("table1", "ie2msp", 64.43),
        ("table3", "ie2msp", 64.43),
        ("table4", "0.1", 64.43),
    ]
    assert cells("ie", "msp", surrogate="norm:3") == [
        ("table3", "ie2msp", 64.98),
        ("table4", "0.1", 64.98),
    ]
    assert cells("mosei", "ie", surrogate="norm:inf", alpha2=0.0005) == [
        ("table5", "0.0005", 53.62)
    ]
    assert cells("meld", "ie", alpha2=0) == [("table6", "0.0005", 52.79)]
    assert cells("meld", "msp", method="mada") == [
        ("table1", "meld2msp", 49.91),
        ("table3", "meld2msp", 49.91),
    ]
    assert cells("msp", "meld", method="supervised") == [("table2", "meld", 55.84)]


@pytest.mark.parametrize(
    ("source", "target", "settings"),
    [
        ("msp", "meld", {}),  # not among the seven pairs
        ("mine", "msp", {}),
        ("ie", "msp", {"alpha2": 0.3}),
        ("ie", "msp", {"surrogate": "norm:4"}),
        ("ie", "msp", {"surrogate_over": "modalities"}),
        ("ie", "msp", {"standardise": "domain"}),
        ("ie", "msp", {"bottleneck": "none"}),
        ("ie", "msp", {"label_prior": "uniform"}),
        ("ie", "msp", {"modalities": "acoustic,lexical"}),
        ("ie", "msp", {"method": "dann", "label_alignment": "with"}),
    ],
)
def test_what_the_paper_has_not_answers_nothing(source: str, target: str, settings: dict) -> None:
    assert cells(source, target, **settings) == []


def test_budget_and_variant_do_not_move_a_training_to_another_row() -> None:
    small = {"epochs": 40, "batch_size": 32, "seeds": 1, "modalities": "lexical,acoustic,visual"}
    assert cells("ie", "msp", **small) == cells("ie", "msp")
    assert cells("ie", "msp", variant="release") == cells("ie", "msp")
    assert departures(RunSettings(**small)) == {"epochs": 40, "batch_size": 32, "seeds": 1}
    assert departures(RunSettings(variant="release")) == {}


def test_settings_of_another_method_do_not_count() -> None:
    assert paper_row(RunSettings(method="dann", surrogate="norm:1", alpha2=2.0)) == "dann"
    assert paper_row(RunSettings(alpha2=0, surrogate="logexp:1")) == "amanda_without_ca"


def test_a_stored_config_is_as_good_as_settings() -> None:
    settings = RunSettings(surrogate="logexp:0.5")
    stored = settings.model_dump(mode="json")
    assert paper_figures("msp", "ie", stored) == paper_figures("msp", "ie", settings) != []


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_is_answered_by_the_settings_it_names(name: str) -> None:
    """There and back: the settings of a cell find that cell, and print as the paper does."""
    table = TABLES[name]
    for (row, column), figure in table.figures.items():
        settings = RunSettings(**table.settings_of(row, column))
        pair = table.pair or (column if "2" in column else f"ie2{column}")
        found = paper_figures(*pair.split("2"), settings)
        if row in CONSTANT_IN_SWEEP and table.pair:
            assert any(f.table == name and math.isclose(f.f1, figure.f1) for f in found)
        else:
            assert figure in found
        assert settings.label.split(" [")[0] == ROWS[row].label
    assert set(PAIRS) == set(TABLES["table3"].columns)

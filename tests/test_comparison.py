"""Differences and tables of result files: from predictions alone, and what is said of bad names."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from fake_results import fake_features, fake_method_result, fake_pair
from sklearn.metrics import f1_score
from typer.testing import CliRunner

from amanda.cli import app
from amanda.comparison import as_json, as_text, compare, holm, paired_runs
from amanda.lookup import find_method
from amanda.predictions import Predictions, read_predictions
from amanda.results import Result, merge_results, read_result
from amanda.store.errors import InputError
from amanda.table_text import as_latex, as_markdown, as_plain, latex, latex_label
from amanda.tables import Table, make_table

METHODS = (
    ("direct_transfer", "norm:2", 0.55),
    ("supervised", "norm:2", 0.95),
    ("dann", "norm:2", 0.30),
    ("amanda", "norm:1", 0.60),
    ("amanda", "norm:2", 1.4),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_pair(tmp_path_factory.mktemp("pair"), methods=METHODS, n_epochs=3)[0]


@pytest.fixture(scope="module")
def result(path: Path) -> Result:
    return read_result(path)


def blocks_of(result: Result) -> dict[str, list[Predictions]]:
    found: dict[str, list[Predictions]] = {}
    file = result.file
    for block in read_predictions(result.predictions_path, file.label_names, ["last"]):
        label = next(m.label for m in file.methods if m.run_id == block.run_id)
        found.setdefault(label, []).append(block)
    return found


# Holm


def test_holm_by_hand() -> None:
    # Sorted: 0.01 · 4, 0.02 · 3, then 0.03 · 2 and 0.04 · 1, which may not fall below 0.06.
    assert holm([0.02, 0.01, 0.04, 0.03]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_holm_leaves_one_alone_and_never_exceeds_1() -> None:
    assert holm([0.04]) == [0.04]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_of_unknown_ones() -> None:
    adjusted = holm([0.01, math.nan, 0.02])
    assert math.isnan(adjusted[1])
    assert (adjusted[0], adjusted[2]) == pytest.approx((0.02, 0.02))


def test_holm_is_at_least_p_and_keeps_its_order() -> None:
    p = np.random.default_rng(0).random(20)
    adjusted = np.array(holm(p.tolist()))
    assert (adjusted >= p).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()


# Pairing


def test_runs_are_paired_by_seed_and_their_rows_by_place(result: Result) -> None:
    blocks = blocks_of(result)
    first, second = blocks["A-N (p=2)"], blocks["D.T."]
    assert [r.label.tolist() for r in paired_runs(first, second[::-1])] == [
        r.label.tolist() for r in paired_runs(first, second)
    ]
    assert len(paired_runs(first, second[:2])) == 2
    assert paired_runs(first, []) == []
    moved = [dataclasses.replace(block, ids=list(block.ids)[::-1]) for block in second]
    assert paired_runs(first, moved) == []


def test_rows_without_label_or_prediction_enter_no_difference(result: Result) -> None:
    (first, *_), (second, *_) = blocks_of(result)["A-N (p=2)"], blocks_of(result)["D.T."]
    label = first.label.copy()
    label[:3] = -1
    unpredicted = second.probabilities.copy()
    unpredicted[5] = np.nan
    (run,) = paired_runs(
        [dataclasses.replace(first, label=label)],
        [dataclasses.replace(second, probabilities=unpredicted)],
    )
    assert len(run.label) == len(label) - 4
    assert (run.label >= 0).all()


# Compare


def test_the_difference_is_that_of_the_predictions(result: Result) -> None:
    made = compare(result, ["A-N (p=2)"], ["D.T."], n_resamples=200)
    blocks = blocks_of(result)
    expected = np.mean(
        [
            f1_score(a.label, a.probabilities.argmax(1), average="weighted")
            - f1_score(b.label, b.probabilities.argmax(1), average="weighted")
            for a, b in zip(blocks["A-N (p=2)"], blocks["D.T."], strict=True)
        ]
    )
    (difference,) = made.differences
    assert difference.interval.estimate == pytest.approx(expected)
    assert difference.interval.low < expected < difference.interval.high
    assert difference.p_holm == difference.interval.p_value
    stored = {m.label: m.aggregate["last"]["weighted_f1"].mean for m in result.file.methods}
    assert expected == pytest.approx(stored["A-N (p=2)"] - stored["D.T."])


def test_several_are_one_family(result: Result) -> None:
    made = compare(result, [], ["direct_transfer"], n_resamples=200)
    assert [d.first.label for d in made.differences] == ["DANN", "A-N (p=1)", "A-N (p=2)"]
    alone = [d.interval.p_value for d in made.differences]
    assert [d.p_holm for d in made.differences] == holm(alone)
    text = as_text(made)
    assert "p (Holm)" in text
    assert "Stand-in corpora" in text
    assert "10 " in text or "(10)" in text
    assert "p (Holm)" not in as_text(compare(result, ["dann"], ["norm:1"], n_resamples=100))


def test_swapping_changes_the_sign_alone(result: Result) -> None:
    there, back = (
        compare(result, [a], [b], n_resamples=300).differences[0].interval
        for a, b in (("norm:2", "dann"), ("dann", "norm:2"))
    )
    assert (there.estimate, there.low, there.high) == pytest.approx(
        (-back.estimate, -back.high, -back.low)
    )
    assert there.p_value == back.p_value


def test_other_selections_and_scores(result: Result) -> None:
    by_oracle = compare(result, ["norm:2"], ["dann"], selection="oracle", metric="uar")
    assert by_oracle.selection == "oracle"
    assert by_oracle.differences[0].interval.estimate != pytest.approx(
        compare(result, ["norm:2"], ["dann"]).differences[0].interval.estimate
    )


def test_json_has_fractions_and_nulls(result: Result) -> None:
    made = compare(result, ["norm:2"], ["dann"], n_resamples=200)
    found = json.loads(json.dumps(as_json(made)))
    (difference,) = found["differences"]
    assert difference["difference"] == pytest.approx(made.differences[0].interval.estimate)
    assert difference["a"].startswith("amanda-")
    assert found["corpora"] == "stand-in"


@pytest.mark.parametrize(
    ("a", "b", "change", "match"),
    [
        (
            ["norm:2"],
            ["daan"],
            {},
            r"run 'daan': not in the results of ie2msp; did you mean 'dann'\?",
        ),
        (["amanda"], ["dann"], {}, r"run 'amanda' is 2 runs of ie2msp: amanda-"),
        (["dann"], ["dann"], {}, "DANN cannot be compared with itself"),
        (
            ["norm:2"],
            ["dann"],
            {"selection": "oracl"},
            "no selection 'oracl'; did you mean 'oracle'",
        ),
    ],
)
def test_wrong_names(result: Result, a: list[str], b: list[str], change: dict, match: str) -> None:
    with pytest.raises(InputError, match=match):
        compare(result, a, b, **change)


def test_a_target_without_labels_cannot_be_compared(tmp_path: Path) -> None:
    path, _ = fake_pair(tmp_path, labelled=False, methods=METHODS, n_epochs=2, seeds=1)
    with pytest.raises(InputError, match="no seed in common whose test rows are the same and lab"):
        compare(read_result(path), ["norm:2"], ["dann"])


def test_a_method_is_found_by_each_of_its_names(result: Result) -> None:
    file = result.file
    method = next(m for m in file.methods if m.label == "A-N (p=2)")
    for name in ("A-N (p=2)", "amanda:norm:2", "norm:2", method.run_id, method.run_id[:12]):
        assert find_method(file, name) is method


# Tables


@pytest.fixture(scope="module")
def two_pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("ie", "msp", "meld"):
        fake_features(folder / f"{name}.h5", name, n=120, seed=len(name))
    return [
        fake_pair(folder, target=target, methods=methods, n_epochs=2)[0]
        for target, methods in (("msp", METHODS), ("meld", METHODS[:4]))
    ]


@pytest.fixture(scope="module")
def table(two_pairs: list[Path]) -> Table:
    return make_table(two_pairs, n_resamples=200)


def test_table_has_a_row_a_method_and_a_column_a_pair(two_pairs: list[Path], table: Table) -> None:
    assert table.pairs == ("ie2msp", "ie2meld")
    assert [row.label for row in table.rows] == [
        "D.T.",
        "Supervised",
        "DANN",
        "A-N (p=1)",
        "A-N (p=2)",
    ]
    for number, pair in enumerate(table.pairs):
        stored = {
            m.run_id: m.aggregate["last"]["weighted_f1"]
            for m in read_result(two_pairs[number]).file.methods
        }
        for row in table.rows:
            if row.run_id in stored:
                cell = row.cells[pair]
                assert cell.mean == pytest.approx(stored[row.run_id].mean)
                assert cell.std == pytest.approx(stored[row.run_id].std)
            else:
                assert (row.label, pair) == ("A-N (p=2)", "ie2meld")
                assert pair not in row.cells


def test_marks(table: Table) -> None:
    cells = {row.label: row.cells["ie2msp"] for row in table.rows}
    assert [label for label, cell in cells.items() if cell.best] == ["A-N (p=2)"]
    assert cells["DANN"].negative
    assert not cells["A-N (p=2)"].negative
    assert cells["D.T."].difference is None
    assert cells["A-N (p=2)"].p_holm < 0.05
    # The upper bound is measured from direct transfer too, but is no part of the family.
    assert cells["Supervised"].difference is not None
    assert math.isnan(cells["Supervised"].p_holm)


def test_plain_and_markdown(table: Table) -> None:
    plain, markdown = as_plain(table), as_markdown(table)
    for text in (plain, markdown):
        assert "ie→msp" in text
        assert "negative transfer" in text
        assert "Supervised: trained on target labels, an upper bound" in text
        assert "Stand-in corpora" in text
    dann = next(line for line in plain.splitlines() if line.startswith("DANN"))
    assert "↓" in dann
    best = next(line for line in markdown.splitlines() if line.startswith("| A-N (p=2)"))
    assert best.split("|")[2].strip().startswith("**")
    assert best.split("|")[3].strip() == "–"
    widths = {line.count("|") for line in markdown.splitlines() if line.startswith("|")}
    assert widths == {4}


def test_latex(table: Table) -> None:
    text = as_latex(table)
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in body} == {2}
    assert r"A-N ($p=2$)" in text
    assert r"\textbf{" in text
    assert "Stand-in corpora" in text.split(r"\caption{")[1].split("\n")[0]
    assert r"\midrule" in text
    # Every brace is closed, and nothing is left that LaTeX would read as a command or a comment.
    assert text.count("{") == text.count("}")
    assert "→" not in text
    assert "↓" not in text
    assert "±" not in text


def test_latex_of_labels() -> None:
    assert latex_label("A-N (p=∞)") == r"A-N ($p=\infty$)"
    assert latex_label("A-L (t=0.5) [surrogate_over=modalities]") == (
        r"A-L ($t=0.5$) [surrogate\_over=modalities]"
    )
    assert latex_label("CDAN+E") == "CDAN+E"
    assert latex("50% of {a_b}\\") == r"50\% of \{a\_b\}\textbackslash{}"


def test_calibration_error_is_better_when_low_and_has_no_difference(two_pairs: list[Path]) -> None:
    table = make_table(two_pairs[:1], metric="ece", n_resamples=100)
    competing = {row.label: row.cells["ie2msp"] for row in table.rows if not row.upper_bound}
    least = min(competing, key=lambda label: competing[label].mean)
    assert [label for label, cell in competing.items() if cell.best] == [least]
    assert all(cell.difference is None for cell in competing.values())


def test_methods_in_files_of_their_own_make_one_column(tmp_path: Path) -> None:
    path, _ = fake_pair(tmp_path, methods=METHODS, n_epochs=2, seeds=1)
    parts = sorted((tmp_path / "runs" / "ie2msp").glob("*[0-9r].json"))
    assert len(parts) == len(METHODS)
    apart, merged = make_table(parts, n_resamples=100), make_table([path], n_resamples=100)
    assert apart.to_json() == merged.to_json()


def test_settings_that_all_share_are_said_once(tmp_path: Path) -> None:
    files = [fake_features(tmp_path / f"{name}.h5", name) for name in ("ie", "msp")]
    paths = []
    for method in ("direct_transfer", "dann"):
        paths.append(tmp_path / f"{method}.json")
        fake_method_result(paths[-1], *files, method=method, batch_size=32, n_epochs=2)
    table = make_table(paths, n_resamples=100)
    assert [row.label for row in table.rows] == ["D.T.", "DANN"]
    assert "batch_size=32" in table.shared
    assert "batch_size=32" in as_plain(table)


def test_an_unlabelled_target_has_no_figures(tmp_path: Path) -> None:
    path, _ = fake_pair(tmp_path, labelled=False, methods=METHODS[2:], n_epochs=2, seeds=1)
    table = make_table([path], n_resamples=100)
    assert all(not cell.values for row in table.rows for cell in row.cells.values())
    assert as_plain(table).splitlines()[-1].split()[-1] == "–"
    json.dumps(table.to_json(), allow_nan=False)


def test_what_does_not_go_together_is_refused(tmp_path: Path, path: Path) -> None:
    with pytest.raises(InputError, match="no result file"):
        make_table([])
    with pytest.raises(InputError, match="metric 'macro': no such score; did you mean 'macro_f1'"):
        make_table([path], metric="macro")
    with pytest.raises(InputError, match=r"is in .* too; name one of them"):
        make_table([path, path])
    other, _ = fake_pair(tmp_path, n=120, methods=METHODS[:1], n_epochs=2, seeds=1)
    with pytest.raises(InputError, match="made from another"):
        make_table([path, other])


# The commands


def run(*arguments: object) -> str:
    found = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_commands(path: Path) -> None:
    compared = run("compare", path, "--a", "norm:2", "--b", "D.T.", "--resamples", 200)
    assert "A-N (p=2)" in compared
    assert "[" in compared
    assert json.loads(run("compare", path, "--b", "D.T.", "--resamples", 100, "--json"))
    assert r"\toprule" in run("table", path, "--latex", "--resamples", 100)
    assert run("table", path, "--markdown", "--resamples", 100).startswith("| Method |")
    assert json.loads(run("table", path, "--json", "--resamples", 100))["pairs"] == ["ie2msp"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("table", "--latex", "--json"), "choose one of them"),
        (("table", "--level", "95"), "--level 95.0: write a share between 0 and 1"),
        (("compare", "--b", "dann", "--resamples", "3"), "--resamples 3: write at least 100"),
    ],
)
def test_wrong_options(path: Path, arguments: tuple[str, ...], match: str) -> None:
    command, *options = arguments
    with pytest.raises(InputError, match=match):
        CliRunner().invoke(app, [command, str(path), *options], catch_exceptions=False)


def test_merged_results_compare_as_before_merging(path: Path, tmp_path: Path) -> None:
    again = merge_results([path], tmp_path / "again.json")
    pair = ["norm:2"], ["dann"]
    assert as_json(compare(again, *pair)) == as_json(compare(read_result(path), *pair))

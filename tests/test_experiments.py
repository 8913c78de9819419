"""The plan of the paper's experiments: which trainings, which are shared, how long they take."""

import datetime
import json
import subprocess
import sys

import pytest
from fake_experiments import plan_of
from typer.testing import CliRunner

from amanda.cli import app
from amanda.config import parse_config
from amanda.experiments import Experiments
from amanda.experiments_budget import ABLATIONS, ALPHA2, BUDGETS, METHODS
from amanda.experiments_progress import (
    SECONDS_PER_UTTERANCE,
    SOURCE_ONLY,
    START_S,
    duration,
    make_plan,
    measure,
    read_plan,
    write_plan,
)
from amanda.paper_tables import PAIRS, ROWS, paper_row, paper_tables
from amanda.settings import RunSettings
from amanda.store.errors import InputError

FOUR = ("ie", "msp", "meld", "mosei")


def experiments(budget: str, corpora: tuple[str, ...] = FOUR, **values: object) -> Experiments:
    places = {name: {"standin": True} for name in corpora}
    config = {"corpora": places, "budget": budget, "train": {"batch_size": 32}, **values}
    return Experiments(parse_config(config))


# Budgets


def test_budgets_of_the_config_are_those_of_the_data():
    assert set(BUDGETS) == {"smoke", "embedded", "paper"}
    for name in BUDGETS:
        assert experiments(name).budget.name == name
    with pytest.raises(InputError, match=r"budget = 'papre'"):
        experiments("papre")


def test_the_papers_budget_is_everything_the_paper_has():
    plan, tables = experiments("paper"), paper_tables()
    assert plan.pairs == list(PAIRS)
    cells = {(cell.row, cell.column) for cell in plan.cells("table3")}
    assert cells == set(tables["table3"].figures)
    assert {(c.row, c.column) for c in plan.cells("table1")} == set(tables["table1"].figures)
    assert {(c.row, c.column) for c in plan.cells("table2")} == set(tables["table2"].figures)
    for name in ("table4", "table5", "table6"):
        table = tables[name]
        cells = {(c.row, c.column) for c in plan.cells(f"sweep_{table.pair}") if c.column}
        constant = {(row, column) for row, column in table.figures if row not in METHODS[5:]}
        assert cells == set(table.figures) - constant
    assert [f"{alpha2:g}" for alpha2 in ALPHA2] == list(tables["table4"].columns)
    assert {len(c.training.settings.seeds * "x") for c in plan.cells("table3")} == {3}


def test_the_embedded_budget_is_three_pairs_eleven_methods_three_seeds():
    plan = experiments("embedded")
    table3 = plan.cells("table3")
    assert len(table3) == 3 * 11
    assert {cell.training.settings.seeds for cell in table3} == {3}
    assert {training.settings.epochs for training in plan.trainings} == {40}
    sweep = [cell for cell in plan.cells("sweep_ie2msp") if cell.column]
    assert len(sweep) == 5 * 6
    removed = {c.row for c in plan.cells("ablation")} - {"direct_transfer", "amanda_norm_p2"}
    assert len(removed) == 3
    assert len(plan.cells("table2")) == 4
    # 99 of Table 3, 24 new ones of the sweep, 9 of ablations, 12 of Table 2.
    assert plan.n_trainings == 99 + 24 + 9 + 12


def test_a_config_with_two_corpora_has_their_two_pairs():
    plan = experiments("embedded", ("ie", "msp"))
    assert plan.pairs == ["ie2msp", "msp2ie"]
    assert plan.corpora == ["ie", "msp"]
    assert [cell.training.pair for cell in plan.cells("table2")] == ["msp2ie", "ie2msp"]


def test_pairs_of_ones_own_and_what_cannot_be_planned():
    corpora = ("one", "two")
    with pytest.raises(InputError, match="table1: no pair of the paper is configured"):
        experiments("smoke", corpora).cells("table1")
    own = {"pairs": ["one2two"], "sweeps": ["one2two"], "ablation": ["one2two"], "seeds": 2}
    plan = experiments("smoke", corpora, experiments=own)
    assert {cell.column for cell in plan.cells("table1")} == {"one2two"}
    assert {training.settings.seeds for training in plan.trainings} == {1, 2}
    with pytest.raises(InputError, match=r"pair 'one2tow': no corpus 'tow' .* mean 'two'"):
        experiments("smoke", corpora, experiments={"pairs": ["one2tow"]})
    with pytest.raises(InputError, match=r"unknown key 'experiments.pair'; did you mean 'pairs'"):
        experiments("smoke", experiments={"pair": ["ie2msp"]})


# Sharing


def test_trainings_that_tables_share_are_one():
    plan = experiments("embedded")
    at_01 = {
        cell.row: cell.training.result
        for cell in plan.cells("sweep_ie2msp")
        if cell.column in ("0.1", "")
    }
    in_table3 = {
        cell.row: cell.training.result for cell in plan.cells("table3") if cell.column == "ie2msp"
    }
    for row in at_01.keys() & in_table3.keys():
        assert at_01[row] == in_table3[row]
    ablated = {cell.row: cell.training.result for cell in plan.cells("ablation")}
    assert ablated["amanda_without_ca"] == at_01["amanda_without_ca"]
    assert ablated["amanda_norm_p2"] == in_table3["amanda_norm_p2"]
    results = [training.result for training in plan.trainings]
    assert len(results) == len(set(results))


def test_the_configs_own_methods_are_the_same_runs():
    """A run of the demo is not trained again for the page, nor the other way round."""
    config = {
        "corpora": {name: {"standin": True} for name in FOUR},
        "methods": ["direct_transfer", "supervised", "amanda:norm:1", "amanda:norm:2"],
        "train": {"epochs": 40, "batch_size": 32, "eval_every": 5},
    }
    parsed = parse_config(config)
    assert set(parsed.runs) <= set(Experiments(parsed).runs)


def test_changing_one_weight_of_the_sweep_leaves_the_other_trainings():
    before = {training.result for training in experiments("embedded").trainings}
    after = {
        training.result
        for training in experiments("embedded", experiments={"sweeps": ["meld2ie"]}).trainings
    }
    table3 = {cell.training.result for cell in experiments("embedded").cells("table3")}
    assert table3 <= before & after
    assert before - after


def test_every_row_of_the_papers_tables_is_trained_as_that_row():
    for cell in experiments("paper").cells("table3"):
        assert paper_row(cell.training.settings) == cell.row
    for key, row in ABLATIONS.items():
        settings = RunSettings(**row.settings)
        assert paper_row(settings) == (key if key in ROWS else None)


def test_the_release_variant_on_request():
    plain, both = experiments("embedded"), experiments("embedded", experiments={"release": True})
    assert len(both.cells("table3")) == 2 * len(plain.cells("table3"))
    assert {c.training.settings.variant for c in both.cells("table3")} == {"paper", "release"}
    assert {c.training.settings.variant for c in plain.cells("table3")} == {"paper"}


def test_a_plan_is_made_without_torch():
    code = (
        "import sys; from amanda.config import parse_config; "
        "from amanda.experiments import Experiments; "
        "e = Experiments(parse_config({'corpora': {'ie': {'standin': True}, 'msp': {'standin': "
        "True}}})); print(len(e.trainings), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "False"


# Progress


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "results").mkdir()
    return tmp_path


def finish(folder, entry, seconds):
    result = folder / "results/runs" / entry.pair / f"{entry.run_id}.json"
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text("{}")
    bench = folder / "bench_logs/train" / entry.pair / f"{entry.run_id}.tsv"
    bench.parent.mkdir(parents=True, exist_ok=True)
    bench.write_text(f"s\th:m:s\n{seconds}\t0:00:00\n")


def test_before_anything_is_trained_time_comes_from_the_stated_measure(folder):
    plan = make_plan(experiments("smoke", ("ie", "msp")), n_parallel=2)
    progress = measure(plan, folder)
    # 360 utterances, of which 17/24 are train; 2 epochs; 2 at a time.
    each = SECONDS_PER_UTTERANCE["embedded"] * 2 * (360 * 17 // 24)
    labels = [entry.label.split(" [")[0] for entry in plan.entries]
    single = sum(label in ("D.T.", "Supervised") for label in labels)
    assert (progress.n_done, single) == (0, 3)
    expected = each * (len(labels) - single + SOURCE_ONLY * single) + START_S * len(labels)
    assert progress.left_s == pytest.approx(expected / 2)
    text = progress.to_text(datetime.datetime(2026, 1, 1, 12, 0, 0))
    assert f"0 of {plan.n_trainings} trainings done" in text
    assert "2 at a time, until 12:" in text
    assert "stated measure" in text


def test_the_papers_corpora_are_known_by_their_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # features that the demo left in the clone would be counted
    config = {
        "corpora": {"ie": {"root": "a"}, "msp": {"root": "b"}},
        "budget": "paper",
        "profile": "paper",
        "experiments": {"pairs": ["ie2msp"]},
        "resources": {"train": {"threads": 2}},
    }
    plan = make_plan(Experiments(parse_config(config)), n_parallel=1)
    # IEMOCAP's train split is the longer one: 3,868 utterances (Table 7).
    expected = SECONDS_PER_UTTERANCE["paper"] * 100 * 3868 * 3 / 2 + START_S
    seconds = {entry.label: entry.seconds for entry in plan.entries}
    assert seconds["A-N (p=2)"] == pytest.approx(expected)


def test_a_given_time_counts_and_an_unknown_size_is_said(folder):
    for name in ("ie", "msp"):
        (folder / f"{name}.h5").write_text("")
    unknown = measure(make_plan(plan_of(folder, budget="smoke"), 1), folder)
    assert unknown.left_s is None
    assert "when it ends can be told once one has finished" in unknown.to_text()
    given = plan_of(folder, budget="smoke", experiments={"seconds_per_training": 60})
    plan = make_plan(given, 1)
    assert measure(plan, folder).left_s == (60 + START_S) * plan.n_trainings


def test_finished_runs_and_seeds_are_counted_and_measured(folder):
    plan = make_plan(experiments("embedded", ("ie", "msp")), n_parallel=2)
    first, second = plan.entries[:2]
    finish(folder, first, 90.0)
    kept = folder / f"results/runs/{second.pair}/.{second.run_id}.0123456789ab.unfinished"
    kept.mkdir(parents=True)
    (kept / "seed-1.npz").write_text("")
    progress = measure(plan, folder)
    assert progress.n_done == first.n_runs + 1
    left = plan.n_trainings - progress.n_done
    assert progress.left_s == pytest.approx(left * 90.0 / first.n_runs / 2)
    assert "from 1 finished runs" in progress.to_text()
    for entry in plan.entries:
        finish(folder, entry, 1.0)
    done = measure(plan, folder)
    assert done.left_s == 0
    assert done.to_text().endswith(f"{plan.n_trainings} of {plan.n_trainings} trainings done.")


def test_a_plan_is_kept_for_the_command(folder):
    plan = make_plan(experiments("smoke", ("ie", "msp")), n_parallel=1)
    path = folder / "results/paper.plan.json"
    write_plan(plan, path)
    assert read_plan(path) == plan
    with pytest.raises(InputError, match="no plan there"):
        read_plan(folder / "nothing.json")
    path.write_text("{}")
    with pytest.raises(InputError, match="not a plan of experiments"):
        read_plan(path)


def test_the_command_tells_progress(folder, monkeypatch):
    monkeypatch.chdir(folder)
    run = CliRunner()
    missing = run.invoke(app, ["progress"])
    assert "no plan there" in str(missing.exception)
    plan = make_plan(experiments("smoke", ("ie", "msp")), n_parallel=1)
    write_plan(plan, folder / "results/paper.plan.json")
    finish(folder, plan.entries[0], 12.0)
    assert run.invoke(app, ["progress"]).output.startswith(
        "Experiments, budget smoke: 1 of 9 trainings done; "
    )
    told = json.loads(run.invoke(app, ["progress", "--json"]).output)
    assert (told["n_done"], told["left_s"]) == (1, 8 * 12.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(45.0, "45 s"), (720.0, "12 min"), (11100.0, "3 h 05 min"), (352800.0, "4 days 2 h")],
)
def test_durations_in_words(seconds, text):
    assert duration(seconds) == text

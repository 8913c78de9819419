"""The targets of the paper's experiments: what they plan, and the smoke budget for real."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from small_features import write_corpus
from test_report import Page
from workflow_runs import ROOT, plan, snakemake, write_config

from amanda.config import parse_config
from amanda.experiments import Experiments

FOUR = {name: {"standin": True} for name in ("ie", "msp", "meld", "mosei")}
METHODS = ["direct_transfer", "supervised", "amanda:norm:1", "amanda:norm:2"]


@pytest.fixture
def folder(tmp_path):
    """Four corpora whose features are there, for plans without extraction."""
    corpora = {}
    for name in FOUR:
        (tmp_path / f"{name}.h5").write_text("features")
        corpora[name] = {"features": f"{name}.h5"}
    write_config(tmp_path, corpora=corpora, methods=METHODS, train={"epochs": 40})
    return tmp_path


def test_the_page_plans_each_training_once(folder):
    jobs = plan(folder, "results/paper.html")
    # Table 3: 3 × 11; the sweep: 5 × 6 less the six at 0.1; ablations: 3; Table 2: 4 corpora.
    assert jobs == {
        "train": 33 + 24 + 3 + 4,
        "table": 5,
        "counts": 1,
        "figure": 6,
        "paper_page": 1,
    }


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("results/table1.json", {"train": 27, "table": 1}),
        ("results/table2.json", {"train": 4, "table": 1}),
        ("results/table7.json", {"counts": 1}),
        ("results/sweep_msp2meld.json", {"train": 32, "table": 1}),
        ("figures/psi_ie2msp.pdf", {"train": 6, "figure": 1}),
        ("figures/representations_msp2ie.svg", {"train": 2, "figure": 1}),
    ],
)
def test_targets(folder, target, expected):
    assert plan(folder, target) == expected


def test_the_demos_runs_are_shared(folder):
    """All four methods of the config on ie2msp stand in the page's tables."""
    write_config(
        folder,
        corpora={n: {"features": f"{n}.h5"} for n in FOUR},
        methods=METHODS,
        train={"epochs": 40},
        pairs=["ie2msp"],
    )
    both = plan(folder, "results/ie2msp.json", "results/paper.html")
    assert both["train"] == 33 + 24 + 3 + 4


def test_the_projection_is_printed_before_anything_starts(folder):
    done = snakemake(folder, "--dry-run", "results/paper.html", "--config", "budget=paper")
    assert re.search(r"Experiments, budget paper: 0 of 927 trainings done", done.stdout)
    assert "Budget paper trains everything that the paper reports" in done.stdout
    other = snakemake(folder, "--dry-run", "results/ie2msp.json")
    assert "Experiments, budget" not in other.stdout


def test_the_papers_config_plans_everything(tmp_path):
    config = str(ROOT / "config/paper.yaml")
    done = snakemake(tmp_path, "--dry-run", "results/paper.html", "--configfile", config)
    assert done.returncode == 0, done.stdout
    stats = done.stdout.split("\nJob stats:\n", 1)[1]
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", stats, re.M))
    # Table 3: 7 × 11. Three sweeps of 12 × 6, of which 6 each are in it. On three pairs w/o CA and
    # nine more ablations. Table 2: 4 corpora.
    assert int(jobs["train"]) == 77 + 3 * 66 + 3 * 10 + 4
    assert int(jobs["table"]) == 7
    assert int(jobs["figure"]) == 3 * 6
    assert int(jobs["total"]) < 2000
    # 100 epochs of IEMOCAP's, MELD's, ... train splits: weeks of one core, and it says so.
    projected = re.search(r"0 of 927 trainings done; (\d+) days", done.stdout)
    assert projected, done.stdout[:2000]


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("results/sweep_ie2mps.json", r"no corpus 'mps' .*; did you mean 'msp'\?"),
        ("figures/psi_ie2mps.svg", r"no corpus 'mps' .*; did you mean 'msp'\?"),
    ],
)
def test_a_mistyped_target_is_told(folder, target, sentence):
    done = snakemake(folder, target)
    assert done.returncode != 0
    assert re.search(sentence, done.stdout), done.stdout


# The smoke budget, for real


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The page from tiny features, in one call of snakemake."""
    folder = tmp_path_factory.mktemp("smoke")
    for seed, name in enumerate(("ie", "msp")):
        write_corpus(folder / f"{name}.h5", n=96, seed=seed)
    corpora = {name: {"features": f"{name}.h5"} for name in ("ie", "msp")}
    write_config(
        folder,
        corpora=corpora,
        budget="smoke",
        train={"batch_size": 16, "dim": 16, "channels": 8, "adversary_hidden": [16]},
        resources={"train": {"mem_mb": 700}, "report": {"mem_mb": 700}},
    )
    return folder, snakemake(folder, "results/paper.html")


@pytest.mark.slow
def test_smoke_makes_every_table_figure_and_the_page(made):
    folder, done = made
    assert done.returncode == 0, done.stdout[-4000:]
    for name in ("table1", "table2", "table3", "sweep_ie2msp", "ablation", "table7"):
        assert json.loads((folder / f"results/{name}.json").read_text())["format"] == "amanda-table"
    config = parse_config(
        {"corpora": {n: {"features": str(folder / f"{n}.h5")} for n in ("ie", "msp")}}
        | {"budget": "smoke"}
    )
    for stem in Experiments(config).figures:
        assert ElementTree.parse(folder / f"figures/{stem}.svg").getroot().tag.endswith("svg")
        assert (folder / f"figures/{stem}.pdf").read_bytes().startswith(b"%PDF-")
    page = Page((folder / "results/paper.html").read_text(encoding="utf-8"))
    assert page.table(r"^Table 3\.")["DANN"][1] != "–"
    assert page.table(r"balance of the alignment")["A-N (p=2)"]


@pytest.mark.slow
def test_progress_is_told_before_and_after_each_training(made):
    folder, done = made
    counts = [int(n) for n in re.findall(r"budget smoke: (\d+) of 9 trainings done", done.stdout)]
    assert counts[0] == 0
    assert sorted(counts) == counts
    assert counts[-1] == 9
    assert len(counts) == 10
    assert (folder / "results/paper.plan.json").is_file()


@pytest.mark.slow
def test_what_is_finished_is_never_trained_again(made):
    folder, done = made
    assert done.returncode == 0, done.stdout[-4000:]
    assert plan(folder, "results/paper.html") == {}
    runs = {p: p.stat().st_mtime_ns for p in Path(folder).glob("results/runs/*/*.json")}
    assert len(runs) == 9
    jobs = plan(folder, "results/paper.html", "--forcerun", "table")
    assert "train" not in jobs
    done = snakemake(folder, "results/table3.json", "--forcerun", "table")
    assert done.returncode == 0, done.stdout
    assert runs == {p: p.stat().st_mtime_ns for p in runs}

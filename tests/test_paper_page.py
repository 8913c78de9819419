"""The page of the experiments: each table with paper and ours, and the figures."""

import re
from html import unescape

import pytest
from browser import find_browser, open_browser
from fake_experiments import fake_experiments, inside
from fake_results import RECORDED, fake_features, fake_method_result
from test_report import Page

from amanda.experiments_files import read_table
from amanda.experiments_tables import Filled, write_table
from amanda.figures import write_figure
from amanda.paper_tables import paper_tables
from amanda.report.balance import verdict
from amanda.report.paper import UNLIKE, read_figure, write_paper_page
from amanda.result_schema import BalanceResult
from amanda.store.errors import InputError

COMMAND = "snakemake --cores 8 results/paper.html --configfile config/mine.yaml"


def write_page(folder, plan, command=COMMAND):
    tables = [folder / "results" / f"{name}.json" for name in [*plan.tables, "table7"]]
    out = folder / "results/paper.html"
    figure = folder / "figures/alpha2_ie2msp.svg"
    with inside(folder):
        write_figure("alpha2", [folder / "results/sweep_ie2msp.json"], figure)
        write_paper_page(tables, out, figures=[figure], command=command)
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    plan = fake_experiments(folder, n=120, budget="smoke", experiments={"epochs": 4, "seeds": 2})
    return folder, plan, write_page(folder, plan)


@pytest.fixture(scope="module")
def text(made):
    return made[2]


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_every_table_has_a_section_and_is_linked(page, text):
    for name in ("1", "2", "3", "4", "7"):
        assert f"paper-table{name}" in page.ids
        assert f"#paper-table{name}" in page.links
    assert {"paper-ablation", "paper-balance", "paper-figures"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert all(link[1:] in page.ids for link in page.links if link.startswith("#"))


def test_it_needs_nothing_from_elsewhere(page, text):
    outside = [link for link in page.links if not link.startswith(("#", "data:"))]
    assert outside == []
    assert "script-src 'sha256-" in unescape(text)


def test_paper_and_ours_stand_side_by_side(page):
    paper = paper_tables()["table3"]
    rows = page.table(r"^Table 3\.")
    assert len(rows) == 2 + 11
    labels = {"D.T.": "direct_transfer", "DANN": "dann", "A-N (p=2)": "amanda_norm_p2"}
    for label, key in labels.items():
        theirs = rows[label][::2]
        expected = [f"{100 * paper.figures[key, column].f1:.1f}" for column in paper.columns]
        assert theirs == expected
        assert re.match(r"([▽▼] )?\d\d\.\d / ± \d", rows[label][1])
        assert rows[label][3::2] == ["–"] * 6
    assert rows["MADA"][1] == "–"


def test_what_was_not_trained_is_named(text):
    assert "–: not trained in this budget (CDAN, CDAN+E, MADA" in text


def test_a_sweep_has_twelve_weights_and_its_two_constant_rows(page):
    rows = page.table(r"^Table 4\.")
    weights = "0.0005 0.001 0.002 0.005 0.01 0.02 0.05 0.1 0.2 0.5 1 2"
    assert [key for key in rows if key not in ("", "α2")] == weights.split()
    assert rows["0.1"][0] == "57.6"
    assert rows["0.1"][1] == rows["2"][1] != "–"
    assert rows["0.1"][4] == "64.3"
    assert rows["0.1"][5] != "–"
    assert rows["0.2"][5] == "–"


def test_supervised_training_has_f1_and_accuracy(page):
    rows = page.table(r"^Table 2\.")
    assert rows["ie"][0] == "79.7"
    assert rows["ie"][2] == "80.0"  # 79.95
    assert rows["meld"] == ["55.8", "–", "56.4", "–", ""]


def test_counts_are_summed(page):
    tables = [t for caption, ts in page.tables.items() if caption.startswith("Table 7") for t in ts]
    rows = {row[0]: row[1:] for row in tables[0]}
    assert rows["all"][-1] == "120"


def test_the_budget_stands_on_every_table(page):
    captions = [c for c in page.tables if re.match(r"Table [1-4]\.|Ablations", c)]
    assert len(captions) == 5
    assert all("Budget smoke: " in caption for caption in captions)


def test_generated_corpora_are_marked_and_the_papers_column_is_greyed(page, text):
    assert "Stand-in corpora: generated data" in text
    assert text.count(UNLIKE) == 1
    assert text.count("cannot be compared") >= 5
    cells = re.findall(r'<td [^>]*class="(theirs[^"]*)"', text)
    assert len(cells) > 100
    assert set(cells) == {"theirs greyed"}


def test_recorded_corpora_are_not_greyed(tmp_path):
    plan = fake_experiments(
        tmp_path, n=96, origin=RECORDED, budget="smoke", experiments={"epochs": 2}
    )
    text = write_page(tmp_path, plan)
    assert 'class="theirs greyed"' not in text
    assert "Stand-in" not in re.sub(r"data:image[^\"]+", "", text)
    assert "How ours differ from the paper’s: " in text


def test_validators_and_oracle_are_apart_and_named(page):
    found = [t for c, ts in page.tables.items() if "by the rule that chose" in c for t in ts]
    assert found
    groups, names = found[0][0], found[0][1]
    assert groups[-1] == "Upper bound"
    assert names[-1] == "Oracle"
    assert names[1] == "Last epoch"


def test_negative_transfer_is_marked(made, page):
    below = {
        cell.row
        for cell in read_table(made[0] / "results/table3.json").cells
        if cell.difference and round(100 * cell.difference.estimate, 1) < 0
    }
    rows, labels = page.table(r"^Table 3\."), {"dann": "DANN", "amanda_norm_p1": "A-N (p=1)"}
    for key, label in labels.items():
        assert (rows[label][1][0] in "▽▼") == (key in below)
    assert below, "the made-up DANN is worse than direct transfer"


def test_each_table_has_its_command(text):
    for name in ("table1", "table3", "sweep_ie2msp", "table7"):
        assert f"results/{name}.json --configfile config/mine.yaml" in text
    assert COMMAND in text


def test_figures_are_the_files_for_print(made, text):
    folder, _, _ = made
    figure = read_figure(folder / "figures/alpha2_ie2msp.svg")
    assert figure.data_uri in text
    assert "Weighted F1 against the weight α2" in figure.title
    assert "Figure 2. " in text
    assert str(folder) not in text
    assert "<code>alpha2_ie2msp.svg</code>" in text


def test_the_text_has_no_marks_of_another_language(text):
    said = re.sub(r"<(script|style|pre).*?</\1>|<.*?>", "", text, flags=re.S)
    assert "`" not in said
    assert "C_s" not in said
    assert "supervised:train" not in said


def test_what_cannot_be_shown_is_told(made, tmp_path):
    folder, _, _ = made
    table = folder / "results/table1.json"
    with pytest.raises(InputError, match="no table to show"):
        write_paper_page([], tmp_path / "p.html")
    with pytest.raises(InputError, match="the table 'table1' is given already"):
        write_paper_page([table, table], tmp_path / "p.html")
    (tmp_path / "f.svg").write_text("<svg/>")
    with pytest.raises(InputError, match="not an SVG of amanda experiments figure"):
        write_paper_page([table], tmp_path / "p.html", figures=[tmp_path / "f.svg"])
    assert not (tmp_path / "p.html").exists()


# Balance


def balance(index: float, relative: float) -> BalanceResult:
    nothing: dict[str, float] = {}
    return BalanceResult(
        loss=nothing,
        relative=nothing,
        floor=nothing,
        proxy_a_distance=nothing,
        index=index,
        index_floor=0.1,
        index_relative=relative,
        psi=nothing,
        pull=nothing,
    )


def test_the_claim_of_balance_is_judged_run_by_run():
    sentences = verdict(
        {
            "D.T.": [balance(0.0, 0.0)],
            "A-N (p=1)": [balance(0.5, 0.2), balance(0.4, 0.2)],
            "A-N (p=2)": [balance(0.3, 0.3), balance(0.1, 0.3)],
            "A-N (p=∞)": [balance(0.4, 0.1), balance(0.6, 0.3)],
        }
    )
    assert sentences[0] == (
        "The index of the losses against the plain sum’s, A-N (p=1), mean difference in brackets: "
        "lower in every run for A-N (p=2) (−0.25); lower in some runs and not in others for "
        "A-N (p=∞) (+0.05)."
    )
    assert "does not hold here, for A-N (p=2) (+0.10)" in sentences[1]
    equal = {"A-N (p=1)": [balance(0.5, 0.2)], "A-N (p=2)": [balance(0.495, 0.2)]}
    assert "lower in no run" in verdict(equal)[0]
    assert verdict({"A-N (p=2)": [balance(0.3, 0.3)]}) == []


def test_balance_is_a_number_with_its_floor(page):
    rows = page.table(r"^ie → msp: balance")
    assert {"A-N (p=1)", "A-N (p=2)"} < set(rows)
    assert "D.T." not in rows  # the made-up ones measure it for the surrogates alone
    assert float(rows["A-N (p=1)"][0]) > float(rows["A-N (p=2)"][0]) > 0


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason="no Chromium to open the page in")
def test_a_browser_shows_it_without_a_word_of_complaint(made, tmp_path):
    where = made[0] / "results/paper.html"
    with open_browser(find_browser(), tmp_path / "profile") as browser:
        browser.open(where, width=390)
        assert browser.console == []
        root = "document.documentElement"
        assert browser.evaluate(f"{root}.scrollWidth") <= browser.evaluate(f"{root}.clientWidth")
        asked = [url for url in browser.requests if not url.startswith("data:")]
        assert asked == [where.as_uri()]
        assert browser.evaluate("document.images.length") >= 1
        assert browser.evaluate("[...document.images].every(image => image.naturalWidth > 50)")
        assert browser.evaluate("document.querySelectorAll('table.sortable').length") >= 5
        assert browser.evaluate("document.querySelector('th[role=columnheader]').tabIndex") == 0


def test_the_released_variant_has_a_column_of_its_own(tmp_path):
    fake_features(tmp_path / "ie.h5", "ie", n=96)
    fake_features(tmp_path / "msp.h5", "msp", n=96, seed=1)
    cells = []
    for variant in ("paper", "release"):
        path = tmp_path / f"{variant}.json"
        features = tmp_path / "ie.h5", tmp_path / "msp.h5"
        fake_method_result(path, *features, seeds=1, n_epochs=3, variant=variant)
        cells.append(Filled("amanda_norm_p2", "ie2msp", path))
    write_table("table3", cells, "smoke", tmp_path / "table3.json")
    write_paper_page([tmp_path / "table3.json"], tmp_path / "p.html")
    rows = Page((tmp_path / "p.html").read_text(encoding="utf-8")).table(r"^Table 3\.")
    assert rows["Method"][:3] == ["paper", "ours", "release"]
    assert rows["A-N (p=2)"][0] == "64.4"
    assert "–" not in rows["A-N (p=2)"][:3]

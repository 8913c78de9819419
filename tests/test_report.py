"""The report: what it says agrees with the files, and it stands alone in a browser."""

import base64
import hashlib
import json
import re
import shutil
from html import unescape
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pytest
from fake_results import METHODS, RECORDED, fake_features, fake_method_result, fake_pair
from markupsafe import Markup

from amanda.predictions import predictions_path
from amanda.report import plots, vendor, write_report
from amanda.report.differences import find_baseline, is_direct_transfer, is_plain_sum
from amanda.report.markup import MISSING, Cell, small, sort_key, table
from amanda.report.registry import SECTIONS, Pair, load_sections, section
from amanda.report.sections.alignment import by_epoch, shares
from amanda.report.sections.results import results
from amanda.results import merge_results, read_result
from amanda.store.errors import InputError

FEW = METHODS[:3]
VOID = {"meta", "link", "br", "img", "input"}
PAIR_SECTIONS = (
    "results",
    "selection",
    "alignment",
    "balance",
    "psi",
    "confusion",
    "classes",
    "branches",
    "marginals",
)


class Page(HTMLParser):
    """A page's tables by caption, ids, links and tags that were left open."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.open, self.tags = [], [], [], set()
        self.tables, self.texts = {}, {}
        self._caption, self._cell, self._rows, self._path = None, None, None, []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        self.links += [v for k, v in attrs.items() if k in ("href", "xlink:href", "src")]
        if tag == "figcaption":
            self._caption = ""
        if tag == "table":
            self._rows = []
        if tag == "tr" and self._rows is not None:
            self._rows.append([])
        if tag in ("td", "th") and self._rows is not None:
            self._cell = ""
        if tag == "span" and self._cell is not None:
            self._cell += " / "

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th") and self._cell is not None:
            self._rows[-1].append(self._cell)
            self._cell = None
        if tag == "table":
            self.tables.setdefault(self._caption, []).append(self._rows)
            self._rows = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data
        elif self._caption is not None and self.open and "figcaption" in self.open:
            self._caption += data

    def table(self, pattern):
        """The rows of the one table whose caption matches, by their first cell."""
        found = [t for c, ts in self.tables.items() if re.search(pattern, c) for t in ts]
        assert len(found) == 1
        return {row[0]: row[1:] for row in found[0]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two pairs made from the same two feature files."""
    folder = tmp_path_factory.mktemp("report")
    fake_pair(folder, "ie", "msp", n=120, seeds=2, n_epochs=4)
    fake_pair(folder, "msp", "ie", n=120, seeds=2, n_epochs=4, methods=FEW)
    return folder


@pytest.fixture(scope="module")
def text(folder):
    out = folder / "report.html"
    write_report([folder / "ie2msp.json"], out, [folder / "ie.h5", folder / "msp.h5"])
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


@pytest.fixture(scope="module")
def methods(folder):
    return read_result(folder / "ie2msp.json").file.methods


def test_the_page_needs_nothing_from_elsewhere(text, page):
    assert [link for link in page.links if not link.startswith(("#", "data:"))] == []
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.S)
    outside = re.sub(r'xmlns(:xlink)?="[^"]*"', "", text.replace(script, ""))
    assert not re.search(r"https?://|@import|url\((?!#)", outside)
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|sendBeacon|import|eval)\b", script)


def test_the_policy_names_the_one_script_of_the_page(text):
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in unescape(policy).split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert {"connect-src", "font-src", "frame-src"}.isdisjoint(rules)  # so default-src holds
    assert text.index("Content-Security-Policy") < text.index("<style>") < text.index("<script>")


def test_scripts_of_others_are_those_of_their_package_and_carry_their_licence(text):
    files = resources.files(vendor)
    for name, digest in vendor.SHA256.items():
        assert hashlib.sha256(files.joinpath(name).read_bytes()).hexdigest() == digest
        assert files.joinpath(name).read_text(encoding="utf-8").strip() in text
    assert "Copyright (c) Tristen Brown" in text
    assert "THE SOFTWARE IS PROVIDED" in text


def test_links_within_the_page_lead_somewhere_and_ids_are_unique(page):
    assert len(page.ids) == len(set(page.ids))
    targets = [link[1:] for link in page.links if link.startswith("#")]
    assert targets
    assert set(targets) <= set(page.ids)


def test_every_section_is_there(page):
    for name in PAIR_SECTIONS:
        assert f"ie2msp-{name}" in page.ids
    assert {"overview", "corpora", "provenance"} <= set(page.ids)


def test_scores_are_those_of_the_file(page, methods):
    rows = page.table("ie → msp, last epoch, percent")
    for method in methods:
        for column, metric in enumerate(("weighted_f1", "uar", "macro_f1")):
            score = method.aggregate["last"][metric]
            runs = " · ".join(f"{100 * v:.1f}" for v in score.values)
            expected = f"{100 * score.mean:.1f} ± {100 * score.std:.1f} / {runs}"
            assert rows[method.label][column] == expected


def test_the_difference_column_is_the_difference_of_means(page, methods):
    rows = page.table("ie → msp, last epoch, percent")
    mean = {m.label: m.aggregate["last"]["weighted_f1"].mean for m in methods}
    for method in methods:
        shown = rows[method.label][3].split(" / ")[0].replace("−", "-")
        if method.label == "D.T.":
            assert shown == "–"
        else:
            assert float(shown) == pytest.approx(
                100 * (mean[method.label] - mean["D.T."]), abs=0.051
            )
    to_sum = rows["A-N (p=2)"][4].split(" / ")[0].replace("−", "-")
    assert float(to_sum) == pytest.approx(100 * (mean["A-N (p=2)"] - mean["A-N (p=1)"]), abs=0.051)
    assert rows["Supervised"][4] == "–"


def test_the_oracle_and_supervised_stand_apart_as_upper_bounds(page, text):
    head = page.table("ie → msp: weighted F1 on the target’s test split")
    assert head["Method"][0] == "Last epoch"
    assert head["Method"][-1] == "Oracle"
    assert head[""][-1] == "Upper bound"
    group = text.index("Upper bound: trained with target labels", text.index('id="ie2msp-results"'))
    assert text.index(">D.T.</th>", text.index("UAR</th>")) < group
    assert text.index(">Supervised</th>", text.index("UAR</th>")) > group


def test_confusion_matrices_are_summed_over_seeds(page, methods):
    tables = [t for caption, ts in page.tables.items() if caption == "A-N (p=2)" for t in ts]
    (matrix,) = tables
    counts = [[int(cell.split(" / ")[1]) for cell in row[1:]] for row in matrix[1:]]
    method = next(m for m in methods if m.label == "A-N (p=2)")
    expected = np.sum([run.selections["last"].confusion for run in method.runs], axis=0)
    np.testing.assert_array_equal(counts, expected)


def test_class_and_branch_scores_are_those_of_the_file(page, methods):
    classes, branches = page.table("F1 of each class"), page.table("weighted F1 of each branch")
    for method in methods:
        last = [run.selections["last"] for run in method.runs]
        happy = np.mean([each.per_class_f1["happy"] for each in last])
        assert classes[method.label][1].startswith(f"{100 * happy:.1f} ±")
        lexical = np.mean([each.branches["lexical"].weighted_f1 for each in last])
        assert branches[method.label][2].startswith(f"{100 * lexical:.1f} ±")


def test_marginals_are_shares(page, methods):
    rows = page.table("share of each class")
    for name in ("Source train, true", "Target test, true", "A-N (p=∞)"):
        assert sum(int(cell) for cell in rows[name][:4]) == pytest.approx(100, abs=2)
    method = next(m for m in methods if m.label == "A-N (p=∞)")
    sad = [run.selections["last"].label_marginals.predicted["sad"] for run in method.runs]
    assert rows["A-N (p=∞)"][2] == f"{100 * np.mean(sad):.0f}"


def test_corpora_are_counted(folder, page):
    info = read_result(folder / "ie2msp.json").file.features.source
    tables = page.tables["Utterances by class and split."]
    train = {row[0]: row[1:] for row in tables[0]}["train"]
    assert train[:4] == [str(n) for n in info.splits["train"].classes.values()]
    assert train[4] == str(info.splits["train"].n)
    faces = next(
        row
        for c, ts in page.tables.items()
        if c.startswith("Modalities")
        for row in ts[0]
        if row[0] == "visual"
    )
    assert faces[2:4] == ["116", "4"]
    assert 90 < float(faces[4].rstrip("%")) < 100


def test_shared_speakers_are_warned_about(text, tmp_path):
    assert re.search(r"\d+ of the \d+ test speakers are in the train split too", text)
    out, _ = fake_pair(tmp_path, n=60, seeds=1, n_epochs=2, methods=FEW, share_speakers=False)
    write_report([out], tmp_path / "r.html")
    apart = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "No test speaker is in the train split" in apart
    assert "are in the train split too" not in apart


def test_the_stand_in_banner_is_on_the_page_and_on_every_section(text, page):
    assert text.count("Stand-in corpora: generated data; nothing here is evidence") == 2
    headings = re.findall(r"<h[23]>(.*?)</h[23]>", text)
    of_sections = [
        h
        for h in headings
        if "What these" not in h and h not in ("The methods", "Programs", "Commands")
    ]
    assert len(of_sections) == len(PAIR_SECTIONS) + 5 + 2
    assert all("stand-in" in heading for heading in of_sections)


def test_recorded_corpora_have_no_banner(tmp_path):
    out, _ = fake_pair(tmp_path, n=60, seeds=1, n_epochs=2, methods=FEW, origin=RECORDED)
    write_report([out], tmp_path / "r.html")
    body = (tmp_path / "r.html").read_text(encoding="utf-8").split("</style>")[1]
    assert "stand-in" not in body.lower()


def test_no_name_text_or_folder_of_a_corpus_is_on_the_page(text, folder):
    for secret in ("not for the page", "ie_s0", "msp_0001", ".avi", str(folder.parent)):
        assert secret not in text


def test_what_files_say_is_escaped(folder, tmp_path):
    evil = '<img src=x onerror="alert(1)">'
    data = json.loads((folder / "ie2msp.json").read_text())
    data["methods"][0]["label"] = evil
    data["methods"][0]["warnings"] = [evil]
    data["features"]["source"]["split_rule"] = evil
    data["features"]["source"]["modalities"]["acoustic"]["model"] = evil
    for epoch in data["methods"][2]["runs"][0]["epochs"]:
        for quantity in ("alignment", "psi"):
            epoch[quantity][evil] = 1.0
    path = tmp_path / "ie2msp.json"
    path.write_text(json.dumps(data))
    write_report([path], tmp_path / "r.html")
    written = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<img" not in written
    assert "img" not in Page(written).tags
    assert "&lt;img src=x" in written


def test_an_unlabelled_target_has_no_scores_but_marginals_and_epochs(tmp_path):
    out, _ = fake_pair(tmp_path, n=60, labelled=False, seeds=2, n_epochs=3, methods=FEW)
    write_report([out], tmp_path / "r.html")
    written = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Page(written)
    assert "msp has no labels in its test split" in written
    assert "ie2msp-confusion" not in page.ids
    assert "ie2msp-classes" not in page.ids
    rows = page.table("share of each class")
    assert "Target test, true" not in rows
    assert sum(int(cell) for cell in rows["A-N (p=1)"][:4]) == pytest.approx(100, abs=2)
    assert page.table("epochs that each rule chose")["D.T."][0] == "3 · 3"
    assert "None" not in written
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", written.lower())


def test_two_pairs_share_a_page(folder):
    out = folder / "two.html"
    write_report([folder / "ie2msp.json", folder / "msp2ie.json"], out)
    page = Page(out.read_text(encoding="utf-8"))
    assert {"ie2msp", "msp2ie", "ie2msp-results", "msp2ie-results"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.table("Weighted F1 on the target’s test split, percent, mean")["Method"] == [
        "ie → msp",
        "msp → ie",
    ]
    assert len(page.tables["Utterances by class and split."]) == 2


def test_one_run_one_method_one_epoch(tmp_path):
    files = [fake_features(tmp_path / f"{c}.h5", c, n=60) for c in ("ie", "msp")]
    fake_method_result(tmp_path / "r.json", *files, seeds=1, n_epochs=1)
    write_report([tmp_path / "r.json"], tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert re.fullmatch(r"\d+\.\d", page.table("last epoch, percent: mean")["A-N (p=2)"][0])


def test_a_method_is_measured_from_the_baseline_most_like_it(tmp_path):
    files = [fake_features(tmp_path / f"{c}.h5", c, n=60) for c in ("ie", "msp")]
    variants = [
        {"surrogate": surrogate, "standardise": standardise, "alpha2": alpha2}
        for surrogate in ("norm:1", "norm:2")
        for standardise in ("none", "domain")
        for alpha2 in (0.1, 0.5)
    ]
    variants += [{"method": "direct_transfer"}, {"method": "direct_transfer", "alpha2": 0.5}]
    parts = [tmp_path / f"{number}.json" for number in range(len(variants))]
    for path, variant in zip(parts, variants, strict=True):
        fake_method_result(path, *files, seeds=1, n_epochs=1, **variant)
    pair = Pair(merge_results(parts, tmp_path / "ie2msp.json"))
    methods = {m.label: m for m in pair.file.methods}

    def baseline(label, rule):
        found = find_baseline(pair, methods[label], rule)
        return found and found.label

    assert baseline("A-N (p=2)", is_direct_transfer) == "D.T."
    assert baseline("A-N (p=2)", is_plain_sum) == "A-N (p=1)"
    assert baseline("A-N (p=2) [alpha2=0.5]", is_plain_sum) == "A-N (p=1) [alpha2=0.5]"
    assert (
        baseline("A-N (p=2) [standardise=domain]", is_plain_sum) == "A-N (p=1) [standardise=domain]"
    )
    assert baseline("A-N (p=2) [standardise=domain]", is_direct_transfer) is None
    assert baseline("A-N (p=1)", is_plain_sum) is None
    assert baseline("D.T. [alpha2=0.5]", is_direct_transfer) is None


def test_a_split_drawn_anew_is_drawn_again_for_the_corpora(tmp_path):
    files = [fake_features(tmp_path / f"{c}.h5", c, n=60) for c in ("ie", "msp")]
    result = fake_method_result(
        tmp_path / "r.json", *files, seeds=1, n_epochs=2, split="speaker", split_seed=1
    )
    write_report([tmp_path / "r.json"], tmp_path / "r.html", files)
    written = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Split “speaker, seed 1, drawn for this training”" in written
    target = result.file.features.target.splits["test"]
    rows = Page(written).tables["Utterances by class and split."][1]
    assert {row[0]: row[5] for row in rows}["test"] == str(target.n)
    assert "median s" in rows[0]


def test_without_predictions_there_are_no_differences_and_the_page_says_so(folder, tmp_path):
    shutil.copy(folder / "ie2msp.json", tmp_path)
    write_report([tmp_path / "ie2msp.json"], tmp_path / "r.html")
    written = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "ie2msp.predictions.csv is not beside the result file" in written


def test_the_same_files_give_the_same_page(folder, text):
    again = folder / "again" / "report.html"
    write_report([folder / "ie2msp.json"], again, [folder / "ie.h5", folder / "msp.h5"])
    assert again.read_text(encoding="utf-8") == text


def test_what_cannot_be_reported_is_told(folder, tmp_path):
    out = tmp_path / "r.html"
    with pytest.raises(InputError, match="no result file to report on"):
        write_report([], out)
    for name in ("ie2msp.json", "ie2msp.predictions.csv"):
        shutil.copy(folder / name, tmp_path)
    with pytest.raises(InputError, match=r"of the pair ie2msp, as is .*join them first"):
        write_report([folder / "ie2msp.json", tmp_path / "ie2msp.json"], out)
    other = fake_features(tmp_path / "ie.h5", "ie", n=30, seed=9)
    with pytest.raises(InputError, match=r"does not hold the utterances and splits of 'ie'"):
        write_report([folder / "ie2msp.json"], out, [other])
    with pytest.raises(InputError, match=r"another feature file of corpus 'ie'"):
        write_report([folder / "ie2msp.json"], out, [folder / "ie.h5", other])
    assert not out.exists()


def test_a_broken_predictions_file_is_told(folder, tmp_path):
    for name in ("ie2msp.json", "ie2msp.predictions.csv"):
        shutil.copy(folder / name, tmp_path)
    beside = predictions_path(tmp_path / "ie2msp.json")
    beside.write_text(beside.read_text()[:-30])
    with pytest.raises(InputError, match=r"predictions\.csv, line \d+"):
        write_report([tmp_path / "ie2msp.json"], tmp_path / "r.html")


def test_a_section_is_added_by_registering_it(folder, tmp_path):
    @section("extra", "Something new", scope="pair", order=99)
    def extra(pair):
        return f"about {pair.name} & more"

    try:
        write_report([folder / "ie2msp.json"], tmp_path / "r.html")
    finally:
        del SECTIONS["extra"]
    written = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert 'id="ie2msp-extra"' in written
    assert "about ie2msp &amp; more" in written


def test_what_adapts_nothing_is_not_marked_and_what_was_not_run_not_explained(tmp_path):
    methods = [("direct_transfer", "norm:2", 0.9), ("supervised", "norm:2", 0.3)]
    out, _ = fake_pair(
        tmp_path, n=60, seeds=1, n_epochs=2, methods=[*methods, ("amanda", "norm:2", 0.3)]
    )
    written = str(results(Pair(read_result(out))))
    rows = {
        re.sub("<.*?>", "", row.partition("</th>")[0]).strip(): row
        for row in written.partition("<tbody")[2].split("<tr")
    }
    (worse, bound) = (next(r for k, r in rows.items() if n in k) for n in ("A-N", "Supervised"))
    assert "−" in worse
    assert "−" in bound
    assert ('"negative"' in worse, '"negative"' in bound) == (True, False)
    assert "what adapting gains." in written
    assert "A-N (p=1)" not in written


@pytest.mark.parametrize("n_epochs", [1, 2, 5, 8, 10, 15, 40, 75, 100, 150, 1000])
def test_epochs_are_named_at_equal_steps(n_epochs):
    ticks = plots._epoch_ticks(n_epochs)
    assert ticks[0] == 1
    assert ticks[-1] <= max(n_epochs, 2)
    assert 2 <= len(ticks) <= 6
    # After the first, which a round step does not meet.
    assert len(set(np.diff(ticks[1:]))) <= 1
    if n_epochs < 10:
        assert len(set(np.diff(ticks))) == 1


def test_two_sections_of_one_name_are_refused():
    load_sections("pair")

    def other(pair):
        return ""

    with pytest.raises(ValueError, match="two sections are named 'psi'"):
        section("psi", "Twice", scope="pair", order=1)(other)


def test_shares_are_of_the_modalities_without_the_joint_one(methods):
    method = next(m for m in methods if m.label == "A-N (p=1)")
    losses = by_epoch(method, "alignment")
    assert list(losses) == ["acoustic", "visual", "lexical", "joint"]
    assert losses["visual"][1, 2] == method.runs[1].epochs[2].alignment["visual"]
    share = shares(losses)
    assert "joint" not in share
    np.testing.assert_allclose(sum(share.values()), 1.0)
    expected = losses["acoustic"] / (losses["acoustic"] + losses["visual"] + losses["lexical"])
    np.testing.assert_allclose(share["acoustic"], expected)


def test_shares_where_every_loss_is_zero_are_unknown():
    share = shares({"acoustic": np.zeros((1, 2)), "visual": np.zeros((1, 2))})
    assert np.isnan(share["acoustic"]).all()


def figure(**changes):
    series = {"acoustic": np.array([[1.0, 0.5, np.nan]]), "visual": np.array([[0.2, 0.49, 0.48]])}
    return plots.curves(series, **{"title": "A & B", "y_label": "Loss", **changes})


def test_figures_take_fonts_and_colours_from_the_page():
    svg = str(figure())
    assert "font-family" not in svg
    assert set(re.findall(r"#[0-9a-f]{6}", svg)) == set()
    assert {"var(--acoustic)", "var(--visual)", "var(--ink)"} <= set(re.findall(r"var\(.*?\)", svg))
    assert "<style" not in svg
    assert "A &amp; B" in svg


def test_figures_name_axes_and_lines_and_keep_names_apart():
    svg = str(figure(log=True))
    texts = re.findall(r"<text[^>]*?y=\"([\d.]+)\"[^>]*>([^<]*)</text>", svg)
    assert {"Epoch", "acoustic", "visual"} <= {text for _, text in texts}
    y = {text: float(at) for at, text in texts}
    assert abs(y["acoustic"] - y["visual"]) >= 12.9


def test_figures_of_nothing_finite_are_still_drawn():
    empty = plots.curves(
        {"acoustic": np.full((2, 3), np.nan)}, title="Nothing", y_label="Loss", limits=(0.0, 1.0)
    )
    assert "Nothing" in empty


def test_dots_show_every_run_and_shorten_long_labels():
    rows = [
        plots.Dots(label="short", values=[50.0, 60.0]),
        plots.Dots(label="x" * 80, values=[40.0]),
    ]
    svg = str(plots.dots(rows, x_label="Weighted F1 (%)", reference=("D.T.", 45.0)))
    assert "short" in svg
    assert "x" * 35 + "…</text>" in svg
    assert "D.T." in svg


def test_tables_escape_and_mark_their_headings():
    html = str(table("a < b", [["", Cell("x", span=2)]], [["<i>", "1", Cell("2", css="c")]]))
    assert "a &lt; b" in html
    assert '<th scope="row">&lt;i&gt;</th>' in html
    assert '<th scope="colgroup" colspan="2">x</th>' in html
    assert '<td class="c">2</td>' in html


@pytest.mark.parametrize(
    ("shown", "key"),
    [
        ("57.6 ± 1.2", "57.6"),
        ("▽ 57.6", "57.6"),
        ("−10.7", "-10.7"),
        ("+4.3", "4.3"),
        ("12,345", "12345"),
        ("1.2e+05", "120000"),
        ("98.0%", "98"),
        ("30 · 28", "30"),
        ("0.5–4.2", "0.5"),
        ("–", MISSING),
        ("", MISSING),
        ("A-N (p=2)", None),
        ("2026-11-23", None),
        ("3fa2", None),
        ("-", None),
    ],
)
def test_cells_sort_by_the_number_they_begin_with(shown, key):
    assert sort_key(shown) == key


def test_a_second_line_in_a_cell_is_no_part_of_its_number():
    assert sort_key(Markup("{}{}").format("57.6", small("9 · 8"))) == "57.6"
    assert sort_key(Markup("{}{}").format("+4.3", small("−25.2 to +34.9"))) == "4.3"


def test_tables_say_how_each_column_sorts():
    total = [Cell(text, css="total") for text in ("all", "9", "")]
    rows = [["b", "1.5", ""], ["a", "–", ""], ["c", "7", ""], total]
    html = str(table("c", [["Method", "F1", ""]], rows))
    assert '<table class="sortable">' in html
    assert re.findall(r'data-sort-method="(\w+)"', html) == ["text", "number", "none", "none"]
    assert re.findall(r'data-sort="(.*?)"', html) == ["1.5", MISSING, "7", "9"]
    assert '<tr data-sort-method="none"><th scope="row" class="total">all' in html


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": [["a", "1"], ["b", "2"]]},
        {"rows": [["a", Cell("1", span=2)]] * 3},
        {"rows": [["a", "1"]] * 3, "sortable": False},
    ],
)
def test_tables_that_sorting_does_not_serve_are_left_alone(changes):
    assert "sort" not in str(table("c", [["Method", "F1"]], **changes))


def test_curves_carry_the_mean_at_each_epoch_and_where_it_is_drawn():
    (attribute,) = re.findall(r'data-readout="(.*?)"', str(figure()))
    data = json.loads(unescape(attribute))
    assert data["series"] == {"acoustic": [1.0, 0.5, None], "visual": [0.2, 0.49, 0.48]}
    svg = str(figure())
    left, right = data["x"]
    ticks = re.findall(r'<use xlink:href="#figure-id-\w+" x="([\d.]+)" y="([\d.]+)"', svg)
    at = [float(x) for x, y in ticks if abs(float(y) - data["y"][1]) < 0.2]
    assert min(at) == pytest.approx(left, abs=0.1)
    assert max(at) == pytest.approx(right, abs=0.1)


def test_several_runs_are_told_as_their_mean():
    series = {"joint": np.array([[1.0, 2.0], [3.0, np.nan]])}
    svg = str(plots.curves(series, title="t", y_label="y"))
    assert "&#34;joint&#34;:[2.0,2.0]" in svg

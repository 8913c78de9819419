"""Figures for print: valid SVG and PDF, fonts inside, axes named, deterministic."""

import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fake_experiments import fake_experiments, inside
from fake_results import fake_features, fake_method_result

from amanda.figures import KINDS, write_figure
from amanda.figures.representations import embed
from amanda.figures.style import MODALITY_COLOURS
from amanda.report.plots import DASHES
from amanda.representations import Representations
from amanda.store.errors import InputError

EXPECTED = {
    "alpha2": ["Weight α2 of the alignment surrogate", "Weighted F1 (%)", "D.T.", "A. w/o CA"],
    "alignment": ["Normalised loss", "Epoch", "A-N (p=1)", "A-N (p=2)", "acoustic", "joint"],
    "psi": ["Weight ψ", "Epoch", "A-N (p=2)", "lexical"],
    "representations": ["t-SNE 1 (no unit)", "ie (source, train)", "msp (target, test)", "sad"],
    "confusion": ["Predicted class", "True class (% of its row)", "neutral"],
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Every figure of a smoke budget, by kind."""
    folder = tmp_path_factory.mktemp("figures")
    plan = fake_experiments(folder, n=120, budget="smoke", experiments={"epochs": 6})
    figures = {}
    with inside(folder):
        for stem in plan.figures:
            kind = stem.split("_")[0]
            inputs = inputs_of(plan, stem)
            out = folder / "figures" / f"{stem}.svg"
            assert write_figure(kind, inputs, out) == (out, out.with_suffix(".pdf"))
            figures[kind] = out
    return figures, plan, folder


def inputs_of(plan, stem):
    kind, pair = stem.rsplit("_", 1)
    if kind == "alpha2":
        return [Path(f"results/sweep_{pair}.json")]
    trainings = plan.figure_trainings(kind, pair)
    if kind == "representations":
        return [Path(training.representations) for training in trainings]
    return [Path(training.result) for training in trainings]


def texts(svg: str) -> str:
    """What is written on a figure: matplotlib notes each text beside its outlines."""
    return "\n".join(re.findall(r"<!-- (.*?) -->", svg, re.DOTALL))


def test_every_kind_is_drawn(drawn):
    assert set(drawn[0]) == set(KINDS)


@pytest.mark.parametrize("kind", EXPECTED)
def test_svg_is_valid_names_axes_and_lines_and_holds_its_fonts(drawn, kind):
    svg = drawn[0][kind].read_text(encoding="utf-8")
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    written = texts(svg)
    for text in [*EXPECTED[kind], "Stand-in corpora: generated data"]:
        assert text in written, text
    # Glyphs are outlines: no font is asked for, and nothing is fetched.
    assert "<text" not in svg
    assert "font-family" not in svg
    assert not re.search(r'href="(?!#)', svg)
    assert re.search(r"<dc:description>.{40,}</dc:description>", svg, re.DOTALL)


@pytest.mark.parametrize("kind", EXPECTED)
def test_pdf_is_valid_and_its_fonts_are_embedded(drawn, kind):
    pdf = drawn[0][kind].with_suffix(".pdf")
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert content.count(b"/FontFile2") == content.count(b"/Type /FontDescriptor") > 0
    assert b"/Type3" not in content
    if shutil.which("pdftotext"):
        done = subprocess.run(["pdftotext", pdf, "-"], capture_output=True, text=True, check=True)
        for text in EXPECTED[kind]:
            assert text.split()[0] in done.stdout


def test_the_same_inputs_give_the_same_files(drawn, tmp_path):
    figures, plan, folder = drawn
    with inside(folder):
        for stem in plan.figures:
            kind = stem.split("_")[0]
            if kind in ("alpha2", "representations"):
                write_figure(kind, inputs_of(plan, stem), tmp_path / "again.svg")
                for suffix in (".svg", ".pdf"):
                    again = (tmp_path / "again.svg").with_suffix(suffix)
                    assert again.read_bytes() == figures[kind].with_suffix(suffix).read_bytes()


def test_modalities_differ_in_dashes_and_in_grey():
    def grey(colour):
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.299 * red + 0.587 * green + 0.114 * blue

    assert len({str(DASHES[name]) for name in MODALITY_COLOURS}) == 4
    greys = sorted(grey(colour) for colour in MODALITY_COLOURS.values())
    assert min(np.diff(greys)) > 0.05


def test_a_map_keeps_neighbours_and_is_the_same_each_time():
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(2, 6) * 20, 15, axis=0)
    rows = (centres + rng.normal(size=(30, 6))).astype(np.float32)
    label = np.repeat([0, 1], 15)
    sample = Representations(
        source=rows[::2], target=rows[1::2], source_label=label[::2], target_label=label[1::2]
    )
    source, target = embed(sample, Path("r.npz"))
    assert source.shape == target.shape == (15, 2)
    plane, of = np.concatenate([source, target]), np.concatenate([label[::2], label[1::2]])
    distance = np.linalg.norm(plane[:, None] - plane[None], axis=-1) + np.diag([np.inf] * 30)
    assert (of[distance.argmin(axis=1)] == of).all()
    again, _ = embed(sample, Path("r.npz"))
    assert (again == source).all()
    few = Representations(
        source=rows[:3], target=rows[:2], source_label=label[:3], target_label=label[:2]
    )
    with pytest.raises(InputError, match=r"r\.npz: 5 utterances are too few for a map; needs 8"):
        embed(few, Path("r.npz"))


def test_what_cannot_be_drawn_is_told(drawn, tmp_path):
    _, plan, folder = drawn
    out = tmp_path / "f.svg"
    with inside(folder):
        runs = inputs_of(plan, "alignment_norm_ie2msp")
        plain = [Path(t.result) for t in plan.trainings if t.settings.method == "direct_transfer"]
        with pytest.raises(InputError, match="figure 'alpha': no such kind; did you mean 'alpha2'"):
            write_figure("alpha", runs, out)
        with pytest.raises(InputError, match=r"written as \.svg and \.pdf"):
            write_figure("psi", runs, tmp_path / "f.png")
        with pytest.raises(InputError, match="nothing to draw from"):
            write_figure("psi", [], out)
        with pytest.raises(InputError, match="this method has no surrogate"):
            write_figure("psi", [*runs, *plain], out)
        with pytest.raises(InputError, match="not the table of a sweep"):
            write_figure("alpha2", [Path("results/table3.json")], out)
        with pytest.raises(InputError, match=r"lie in files named \*\.representations\.npz"):
            write_figure("representations", runs, out)
    assert not list(tmp_path.iterdir())


def test_panels_of_one_name_say_what_tells_them_apart(tmp_path):
    fake_features(tmp_path / "ie.h5", "ie", n=96)
    fake_features(tmp_path / "msp.h5", "msp", n=96, seed=1)
    runs = []
    for alpha2 in (0.1, 1.0):
        runs.append(tmp_path / f"{alpha2}.json")
        files = tmp_path / "ie.h5", tmp_path / "msp.h5"
        fake_method_result(runs[-1], *files, seeds=1, n_epochs=2, batch_size=32, alpha2=alpha2)
    svg, _ = write_figure("psi", runs, tmp_path / "f.svg")
    assert "A-N (p=2) [batch_size=32, alpha2=1.0]" in texts(svg.read_text(encoding="utf-8"))
    svg, _ = write_figure("psi", runs[:1], tmp_path / "f.svg")
    assert "batch_size" not in texts(svg.read_text(encoding="utf-8"))


def test_files_of_two_pairs_and_targets_without_labels(tmp_path):
    fake_features(tmp_path / "ie.h5", "ie", n=96)
    fake_features(tmp_path / "msp.h5", "msp", n=96, labelled=False, seed=1)
    there, back = tmp_path / "a.json", tmp_path / "b.json"
    fake_method_result(there, tmp_path / "ie.h5", tmp_path / "msp.h5", seeds=1, n_epochs=2)
    fake_method_result(back, tmp_path / "msp.h5", tmp_path / "ie.h5", seeds=1, n_epochs=2)
    with pytest.raises(InputError, match=r"b\.json: of the pair msp2ie, but .*a\.json is of ie2ms"):
        write_figure("psi", [there, back], tmp_path / "f.svg")
    with pytest.raises(InputError, match="no labels, so there is no confusion to draw"):
        write_figure("confusion", [there], tmp_path / "f.svg")

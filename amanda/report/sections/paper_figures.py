"""The figures for print, as they are in their files."""

from markupsafe import Markup

from amanda.report.markup import paragraphs, shown_path
from amanda.report.paper import PaperPage, PrintedFigure
from amanda.report.registry import section

_ABOUT = {
    "alpha2": ("Figure 2", "D.T. and A. w/o CA do not depend on the weight: lines."),
    "alignment": (
        "Figures 3 to 6",
        "Upper panels: each modality’s share of the sum over the modalities, where the grey line "
        "is perfect balance; lower panels: the losses, the joint representation included. Bands: "
        "range over the runs. A loss that is not divided by its scale falls when representations "
        "shrink, so a falling curve alone is no evidence of better alignment.",
    ),
    "confusion": (
        "",
        "Last epoch, counts summed over the runs; a cell is percent of its row.",
    ),
    "psi": (
        "",
        "Since the joint covariance holds the single ones as blocks, its loss is never smaller "
        "than their sum, and balancing surrogates weigh it most.",
    ),
    "representations": (
        "",
        "t-SNE keeps neighbours, not distances: how far two clouds lie apart means nothing.",
    ),
}


@section("paper-figures", "Figures", scope="paper", order=70)
def figures(page: PaperPage) -> Markup | str:
    """Every figure given, under the paper's number where it has one."""
    if not page.figures:
        return ""
    intro = paragraphs(
        "Each is in figures/ as SVG and PDF, fonts inside, for print; lines differ in dashes and "
        "markers besides colour."
    )
    return Markup("").join([intro, *(_figure(figure) for figure in page.figures)])


def _figure(figure: PrintedFigure) -> Markup:
    number, about = _ABOUT.get(figure.path.stem.split("_")[0], ("", ""))
    return Markup(
        '<figure class="print"><div class="scroll" tabindex="0"><img src="{}" alt="{}"></div>'
        "<figcaption><b>{}{}.</b> {} "
        "<code>{}</code>, <code>.pdf</code></figcaption></figure>"
    ).format(
        figure.data_uri,
        figure.description,
        number and f"{number}. ",
        figure.title,
        about,
        shown_path(figure.path),
    )

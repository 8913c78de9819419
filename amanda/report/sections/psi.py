"""The weights that minimising a surrogate gives each alignment loss, over training."""

from markupsafe import Markup

from amanda.report.markup import figure, note, paragraphs
from amanda.report.plots import curves
from amanda.report.registry import Pair, section
from amanda.report.sections.alignment import by_epoch
from amanda.result_schema import MethodResult


@section("psi", "Weights ψ over training", scope="pair", order=50)
def psi(pair: Pair) -> Markup | str:
    """One panel a surrogate."""
    methods = [m for m in pair.file.methods if any(e.psi for e in m.runs[0].epochs)]
    if not methods:
        return ""
    panels = [
        curves(
            by_epoch(method, "psi"),
            title=method.label,
            y_label="Weight ψ",
            limits=(-0.03, 1.05),
        )
        for method in methods
    ]
    return Markup("").join(
        [
            paragraphs(
                "Minimising a surrogate of the alignment losses is minimising their weighted sum "
                "with weights ψ that follow the losses (Eq. 13 to 15): a larger loss gets a "
                "larger weight."
            ),
            figure("Mean over the runs; the band is their range.", panels),
            _joint_note(methods),
        ]
    )


def _joint_note(methods: list[MethodResult]) -> Markup | str:
    """Why the joint representation takes most of the weight, where it is aligned too."""
    settings = [method.config for method in methods]
    if not any(
        c.get("surrogate_over", "all") == "all"
        and c.get("alignment_space", "representation") == "representation"
        for c in settings
    ):
        return ""
    return note(
        Markup(
            "The joint representation is the single ones side by side, so its covariance contains "
            "theirs as blocks and its loss is never below their sum. A surrogate over all of them "
            "therefore weighs the joint one most: with p&nbsp;=&nbsp;∞ it alone has weight; with "
            "p&nbsp;=&nbsp;2 and three equal losses each modality has at most .29, the joint one "
            "at least .87. Modalities are then balanced mostly through the joint term."
        )
    )

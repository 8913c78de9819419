"""What was asked, what came out, and what may be concluded."""

from markupsafe import Markup

from amanda.records import LAST
from amanda.report.differences import FEW_SPEAKERS, difference, find_baseline, is_direct_transfer
from amanda.report.glossary import explain_methods
from amanda.report.markup import Cell, Text, bullets, label_use, paragraphs, table
from amanda.report.registry import UPPER_BOUND, Page, Pair, is_upper_bound, section
from amanda.report.sections.alignment import flat_modalities
from amanda.result_text import percent, split_sentence


@section("overview", "Overview", scope="opening", order=10)
def overview(page: Page) -> Markup:
    """The question, weighted F1 of every method on every pair, and the limits of it."""
    question = Markup(
        "A model is trained on the labelled utterances of one corpus, the <em>source</em>, and "
        "has to recognise emotions in another, the <em>target</em>, whose labels it never sees. "
        "Two questions: does adapting to the target’s unlabelled utterances help over using the "
        "source’s model as it is (direct transfer, D.T.)? And does balancing the alignment across "
        "modalities, as Amanda’s surrogates do (A-N with p&nbsp;&gt;&nbsp;1, A-L), help over "
        "adding up the alignment losses (A-N with p&nbsp;=&nbsp;1)?"
    )
    names = {method.method for pair in page.pairs for method in pair.file.methods}
    return Markup("{}{}<h3>What these figures can show</h3>{}<h3>The methods</h3>{}").format(
        paragraphs(question), _summary(page), bullets(_limits(page)), explain_methods(names)
    )


def _summary(page: Page) -> Markup | str:
    """Methods by pairs, as the paper's Table 1; nothing where no target has labels."""
    if not any(pair.labelled for pair in page.pairs):
        return ""
    labels: dict[str, bool] = {}
    for pair in page.pairs:
        for method in pair.file.methods:
            labels[method.label] = labels.get(method.label, True) and is_upper_bound(method)
    head = ["Method", *(pair.title for pair in page.pairs)]

    def row(label: str) -> list[Text | Cell]:
        cells: list[Text | Cell] = [label]
        for pair in page.pairs:
            found = [m for m in pair.file.methods if m.label == label]
            cells.append(percent(found[0].aggregate[LAST]["weighted_f1"]) if found else "")
        return cells

    compared = [row(label) for label, bound in labels.items() if not bound]
    bounds = [row(label) for label, bound in labels.items() if bound]
    caption = Markup(
        "<b>Weighted F1 on the target’s test split</b>, percent, mean ± sample standard deviation "
        "over {} runs, model of the last epoch."
    ).format(" or ".join(dict.fromkeys(pair.n_runs for pair in page.pairs)))
    return table(caption, [head], compared, groups=[(UPPER_BOUND, bounds)] if bounds else [])


def _limits(page: Page) -> list[Text]:
    items: list[Text] = []
    if page.standin:
        items.append(
            Markup(
                "<b>Nothing about the methods.</b> The corpora marked stand-in are generated: "
                "drawn faces, synthetic speech, written sentences. Their figures show that the "
                "pipeline runs and that there is something to learn, not which method is better on "
                "people."
            )
        )
    for pair in page.pairs:
        items += _limits_of(pair)
    if any(pair.labelled for pair in page.pairs):
        items += [
            "The spread (±) is over training seeds on one split. It leaves out what other speakers "
            "or another split would change; the intervals in the results tables take in speakers.",
            "The headline is the last epoch, fixed beforehand. Epochs chosen by a validator are "
            "listed apart; the oracle looks at test labels, so it is an upper bound and never a "
            "result.",
        ]
    if used := sorted({use for pair in page.pairs for use in pair.file.target_labels_used}):
        items.append(label_use(used))
    return items


def _limits_of(pair: Pair) -> list[Text]:
    test = pair.file.features.target.splits["test"]
    if not pair.labelled:
        return [
            Markup(
                "<b>{}</b>: the target’s test split has no labels, so nothing here says how good "
                "the predictions are."
            ).format(pair.title)
        ]
    n = test.n - test.unlabelled
    # Half width of the 95% interval of a share of one half: what a test of this size can resolve.
    resolution = 100 * 1.96 * 0.5 / n**0.5
    size = Markup(
        "<b>{}</b>: tested on {} labelled utterances; {}. A single accuracy on so many utterances "
        "is known to about ±{} points, before any difference between speakers."
    ).format(pair.title, n, split_sentence(pair.file.features.target), f"{resolution:.0f}")
    said = [text for text in (_gain(pair), _collapsed(pair)) if text]
    return [size, *(Markup("<b>{}</b>: {}").format(pair.title, text) for text in said)]


def _collapsed(pair: Pair) -> str:
    """Which modalities were lost in training, and by which methods."""
    lost: dict[str, list[str]] = {}
    for method in pair.file.methods:
        for modality in flat_modalities(method):
            lost.setdefault(modality, []).append(method.label)
    if not lost:
        return ""
    said = "; ".join(f"{modality} in runs of {', '.join(who)}" for modality, who in lost.items())
    return (
        f"representations that no longer vary at the last epoch: {said}. Those runs worked without "
        "that modality, and their balance means little."
    )


def _gain(pair: Pair) -> str:
    """How many methods differ from direct transfer by more than their interval."""
    adapted = [
        (method.label, interval)
        for method in pair.file.methods
        if not is_upper_bound(method)
        and not is_direct_transfer(method)
        and (interval := difference(pair, method, find_baseline(pair, method, is_direct_transfer)))
        and interval.n_speakers > 1
    ]
    if not adapted:
        return ""
    above = [label for label, interval in adapted if interval.low > 0]
    below = [label for label, interval in adapted if interval.high < 0]
    parts = []
    if above:
        parts.append(f"above direct transfer by more than the 95% interval: {', '.join(above)}")
    if below:
        parts.append(f"below direct transfer by more than the 95% interval: {', '.join(below)}")
    if not parts:
        return (
            f"none of the {len(adapted)} adapted methods differs from direct transfer by more than "
            "the 95% interval of the difference."
        )
    n_speakers = min(interval.n_speakers for _, interval in adapted)
    few = f"; {n_speakers} test speakers make it a rough guide" if n_speakers < FEW_SPEAKERS else ""
    return (
        f"of {len(adapted)} adapted methods, {'; '.join(parts)} (not corrected for several{few})."
    )

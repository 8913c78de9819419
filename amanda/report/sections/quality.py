"""How well the extraction went."""

import math

from markupsafe import Markup

from amanda.report.markup import Cell, Row, Text, note, paragraphs, percent, small, table
from amanda.report.quality import CLOSE, SAMPLE, CorpusQuality, Spread, measure
from amanda.report.registry import Page, section


@section("quality", "Extraction quality", scope="closing", order=85)
def quality(page: Page) -> Markup | str:
    """Faces found, lengths, norms and failures of each corpus whose feature file is given."""
    found = sorted((measure(path) for path in page.feature_files), key=lambda each: each.corpus)
    if not found:
        return ""
    opening = paragraphs(
        "What the features were made of, before any training. A corpus whose faces are found half "
        "as often, whose texts are twice as long or whose vectors are of another size than the "
        "other’s differs in ways that have nothing to do with emotion."
    )
    tables = (_faces(found), _lengths(found), _norms(found), _reasons(found))
    return Markup("{}{}").format(opening, Markup("").join(tables))


def _faces(found: list[CorpusQuality]) -> Markup | str:
    with_faces = [each for each in found if each.faces]
    if not with_faces:
        return ""
    known = any(face.several is not None for each in with_faces for face in each.faces.values())
    head: Row = ["Split", "utterances", "with a face", "frames with the face"]
    if known:
        head = [*head, "several persons", "close choices"]

    def row(split: str, each: CorpusQuality) -> Row:
        face = each.faces[split]
        cells: list[Text | Cell] = [split, f"{face.n:,}", _share(face.found), _share(face.coverage)]
        return [*cells, _share(face.several), _share(face.close)] if known else cells

    groups = [(each.corpus, [row(split, each) for split in each.faces]) for each in with_faces]
    caption = Markup(
        "<b>Faces</b>: utterances with frames, and the share of them and of their frames in which "
        "the chosen person’s face was found."
    )
    remark = note(
        f"Close choices are those between several persons whose score is less than {CLOSE:g} above "
        "the runner-up’s. Which faces they are is on the contact sheets, which "
        "amanda contact-sheets makes apart from this page."
    )
    return Markup("{}{}").format(table(caption, [head], [], groups=groups), remark if known else "")


def _lengths(found: list[CorpusQuality]) -> Markup:
    names = list(dict.fromkeys(name for each in found for name in each.lengths))
    units = {"lexical": "tokens"}
    head: Row = ["Split", "seconds", *(f"{name} {units.get(name, 'frames')}" for name in names)]

    def row(split: str, each: CorpusQuality) -> Row:
        lengths = [each.lengths.get(name, {}).get(split) for name in names]
        return [split, _spread(each.seconds[split], 1), *(_spread(x, 0) for x in lengths)]

    groups = [(each.corpus, [row(split, each) for split in each.seconds]) for each in found]
    caption = Markup(
        "<b>Lengths</b> of an utterance and of its usable sequences: median, and below it the 5th "
        "to 95th percentile."
    )
    return table(caption, [head], [], groups=groups)


def _norms(found: list[CorpusQuality]) -> Markup | str:
    rows: list[Row] = []
    n_layers = max((len(norms) for each in found for norms in each.norms.values()), default=0)
    if not n_layers:
        return ""
    groups = []
    for name in dict.fromkeys(name for each in found for name in each.norms):
        rows = []
        for each in found:
            norms = each.norms.get(name, {})
            if norms:
                cells = [_layer(layer, norm) for layer, norm in norms.items()]
                rows.append([each.corpus, *cells, *[""] * (n_layers - len(cells))])
        groups.append((name, rows))
    head: Row = ["Corpus", *(f"layer {i + 1}" for i in range(n_layers))]
    caption = Markup(
        "<b>Feature norms by layer</b>: Euclidean norm of a frame’s vector, median and 5th to 95th "
        "percentile, over the valid frames of at most {} utterances."
    ).format(SAMPLE)
    return table(caption, [head], [], groups=groups)


def _reasons(found: list[CorpusQuality]) -> Markup:
    groups = []
    for each in found:
        rows: list[Row] = []
        for (modality, status, reason), n in each.reasons.items():
            said = Cell(status.replace("_", " "), css="text")
            rows.append([modality, said, Cell(reason, css="text"), f"{n:,}"])
        if rows:
            groups.append((f"{each.corpus}, {each.n:,} utterances", rows))
    if not groups:
        return note("Every utterance of every corpus could be used in full, in every modality.")
    head: Row = ["Modality", Cell("Status", css="text"), Cell("Reason", css="text"), "utterances"]
    caption = Markup(
        "<b>What was not extracted in full</b>, by reason; truncated utterances are used all the "
        "same."
    )
    return table(caption, [head], [], groups=groups)


def _share(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{percent(value)}%"


def _spread(value: Spread | None, digits: int) -> Text:
    if value is None or math.isnan(value.median):
        return "–"
    low, high = (f"{x:.{digits}f}" for x in (value.low, value.high))
    return Markup("{}{}").format(f"{value.median:.{digits}f}", small(f"{low} – {high}"))


def _layer(name: str, norm: Spread) -> Text:
    """A layer has a number, or, of an image network, a description that is too long for a cell."""
    if math.isnan(norm.median):
        return "–"
    figures = f"{_figure(norm.low)} – {_figure(norm.high)}"
    block = f"block {name}: " if name.isdigit() else ""
    return Markup("{}{}").format(_figure(norm.median), small(f"{block}{figures}"))


def _figure(value: float) -> str:
    """Three significant digits without an exponent.

    >>> [_figure(value) for value in (1.8, 20, 123.4, 4567.8)]
    ['1.80', '20.0', '123', '4,568']
    """
    return f"{value:#.3g}".rstrip(".") if value < 999.5 else f"{value:,.0f}"

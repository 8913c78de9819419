"""What the corpora hold."""

from markupsafe import Markup

from amanda.report.corpora import CorpusStatistics
from amanda.report.glossary import CORPORA, corpus_title
from amanda.report.markup import Cell, Row, Text, note, paragraphs, percent, table
from amanda.report.registry import Page, section
from amanda.store.names import SPLITS, STANDIN


@section("corpora", "Corpora", scope="closing", order=80)
def corpora(page: Page) -> Markup:
    """Counts by class and split, durations, speakers and the state of each modality."""
    return Markup("").join(
        Markup('<section class="corpus"><h3>{}{}</h3>{}{}{}{}</section>').format(
            corpus_title(corpus.corpus, corpus.origin),
            Markup(' <span class="badge">stand-in</span>') if corpus.origin == STANDIN else "",
            _about(corpus),
            _counts(corpus),
            _modalities(corpus),
            Markup("").join(note(text) for text in (_speakers(corpus), *corpus.notes)),
        )
        for corpus in page.corpora
    )


def _about(corpus: CorpusStatistics) -> Markup | str:
    """What a corpus that is known by name holds; of a generated one the head says it."""
    if corpus.corpus not in CORPORA or corpus.origin == STANDIN:
        return ""
    return paragraphs(CORPORA[corpus.corpus][1])


def _counts(corpus: CorpusStatistics) -> Markup:
    names = list(corpus.label_names)
    unlabelled = any(split.unlabelled for split in corpus.splits.values())
    head: list[Text | Cell] = ["Split", *names]
    if unlabelled:
        head.append("no label")
    head += ["all", "speakers"]
    if corpus.durations:
        head += ["median s", "range s", "hours"]
    rows: list[Row] = []
    for split in SPLITS:
        info = corpus.splits[split]
        row: list[Text | Cell] = [split, *(f"{info.classes.get(name, 0):,}" for name in names)]
        if unlabelled:
            row.append(f"{info.unlabelled:,}")
        row += [f"{info.n:,}", f"{info.n_speakers:,}" if info.n_speakers else "–"]
        if corpus.durations:
            length = corpus.durations.get(split)
            row += (
                [
                    f"{length.median_s:.1f}",
                    f"{length.shortest_s:.1f}–{length.longest_s:.1f}",
                    f"{length.total_h:.2f}",
                ]
                if length
                else ["–", "–", "–"]
            )
        rows.append(row)
    total: list[Text | Cell] = ["all"]
    total += [f"{sum(s.classes.get(n, 0) for s in corpus.splits.values()):,}" for n in names]
    if unlabelled:
        total.append(f"{sum(s.unlabelled for s in corpus.splits.values()):,}")
    total += [f"{corpus.n:,}", ""]
    if corpus.durations:
        total += ["", "", f"{sum(d.total_h for d in corpus.durations.values()):.2f}"]
    caption = Markup("<b>Utterances by class and split.</b>")
    summed = [Cell(c, css="total") for c in _texts(total)]
    return table(caption, [head], [*rows, summed], sortable=False)


def _texts(cells: list[Text | Cell]) -> list[Text]:
    return [cell.text if isinstance(cell, Cell) else cell for cell in cells]


def _modalities(corpus: CorpusStatistics) -> Markup:
    statuses = list({s: None for m in corpus.modalities.values() for s in m.status})
    statuses.sort(key=lambda status: (status not in ("ok", "truncated"), status))
    head: Row = [
        "Modality",
        Cell("Model", css="text"),
        *(s.replace("_", " ") for s in statuses),
        "frames with evidence",
    ]
    rows: list[Row] = [
        [
            name,
            Cell(modality.model, css="text wrap"),
            *(f"{modality.status.get(status, 0):,}" for status in statuses),
            "–" if modality.coverage is None else f"{percent(modality.coverage)}%",
        ]
        for name, modality in corpus.modalities.items()
    ]
    caption = Markup(
        "<b>Modalities</b>: the model that read them, utterances by status, and the share of "
        "frames with evidence (a face, for visual) in usable utterances."
    )
    return table(caption, [head], rows)


def _speakers(corpus: CorpusStatistics) -> str:
    test = corpus.splits["test"].n_speakers
    rule = f"Split “{corpus.split_rule}”. " if corpus.split_rule else ""
    if not test:
        return (
            f"{rule}Speakers are not known, so whether test speakers were trained on is not either."
        )
    if corpus.shared_speakers:
        those = (
            "The one test speaker is"
            if test == 1
            else f"{corpus.shared_speakers} of the {test} test speakers are"
        )
        return (
            f"{rule}{those} in the train split too: a model may know their voices and faces, and "
            "scores are higher than on people never seen. A speaker-independent split is --split "
            "speaker."
        )
    return f"{rule}No test speaker is in the train split."

"""Sentences and tables about a result that a terminal and a page share."""

from collections.abc import Sequence

from pydantic import ValidationError

from amanda.records import LAST
from amanda.result_schema import CorpusInfo, MethodResult, ResultFile, Score
from amanda.settings import RunSettings, shared_changes
from amanda.store.errors import InputError

STANDIN_SENTENCE = "Stand-in corpora: generated data; nothing here is evidence for a method"
COLUMNS = {
    "weighted_f1": "weighted F1",
    "uar": "UAR",
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
}


def as_text(file: ResultFile) -> str:
    """The scores of the last epoch, one line a method, in percent."""
    test = file.features.target.splits["test"]
    lines = [
        f"{file.pair}: tested on {test.n} utterances of {file.target}, "
        f"{test.n - test.unlabelled} with a label; {split_sentence(file.features.target)}"
    ]
    if file.corpora == "stand-in":
        lines.append(STANDIN_SENTENCE + ".")
    counts = sorted({len(method.runs) for method in file.methods})
    n_runs = " or ".join(map(str, counts))
    spread = " ± sample standard deviation" if counts[-1] > 1 else ""
    lines.append(f"Selection: last epoch. Percent, mean{spread} over {n_runs} run(s).")
    if shared := shared_settings(file.methods):
        lines.append(f"All methods: {shared}.")
    rows = [["method", *COLUMNS.values()]]
    for method in file.methods:
        scores = method.aggregate[LAST]
        rows.append([method.label, *(percent(scores[name]) for name in COLUMNS)])
    if test.n == test.unlabelled:
        lines.append("The target has no labels: nothing to score; see the predictions file.")
    warnings = [f"{m.label}: {warning}" for m in file.methods for warning in m.warnings]
    return "\n".join([*lines, "", *aligned(rows), *(f"Warning: {w}" for w in warnings)])


def shared_settings(methods: Sequence[MethodResult]) -> str:
    """ "batch_size=32, seeds=5": what every method changed from the defaults, which labels omit."""
    try:
        runs = [RunSettings(**method.config) for method in methods]
    except (InputError, ValidationError):  # a method or setting that this version does not know
        return ""
    shared = shared_changes(runs)
    return ", ".join(f"{key}={value}" for key, value in sorted(shared.items()))


def percent(score: Score) -> str:
    """'57.6 ± 1.2', '57.6' for one run, '–' for none."""
    if score.mean is None:
        return "–"
    spread = "" if score.std is None else f" ± {100 * score.std:.1f}"
    return f"{100 * score.mean:.1f}{spread}"


def split_sentence(corpus: CorpusInfo) -> str:
    """Whether the test speakers of a corpus are among its train speakers."""
    rule = f"split {corpus.split_rule}: " if corpus.split_rule else ""
    test = corpus.splits["test"].n_speakers
    if not test:
        return f"{rule}its speakers are not known"
    if corpus.shared_speakers:
        if test == 1:
            return f"{rule}its one test speaker is in its train split too"
        return (
            f"{rule}{corpus.shared_speakers} of its {test} test speakers are in its train split too"
        )
    if test == 1:
        return f"{rule}its one test speaker is not in its train split"
    return f"{rule}none of its {test} test speakers is in its train split"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines: first column flush left, the others flush right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]

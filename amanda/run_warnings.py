"""What a reader of a result must be told: of its features, and of trainings that collapsed."""

from collections.abc import Sequence

import numpy as np

from amanda.records import LAST, RunRecord
from amanda.store.features import FeatureFile
from amanda.store.names import JOINT

MIN_ROWS, ONE_CLASS_SHARE = 10, 0.95
"""From so many predicted test utterances on, so large a share of one class is called a collapse."""
TRY = "(try standardise: source, a smaller weight of the alignment, or more data)"


def file_warnings(files: Sequence[FeatureFile]) -> list[str]:
    """What was warned about when the features were made, such as a model of another language."""
    return [
        f"{file.corpus}: {line}"
        for file in files
        for line in str(file.attrs.get("warnings", "")).splitlines()
        if line
    ]


def collapse_warnings(runs: Sequence[RunRecord], label_names: Sequence[str]) -> list[str]:
    """A sentence for each run that gives one class nearly always, or whose branches went flat."""
    found = []
    for run in runs:
        where = f"seed {run.seed}" + (f", fold {run.fold}" if run.fold else "")
        flat = flat_branches(run)
        said = [_one_class(run, label_names)]
        said.append(f"the representations of {', '.join(flat)} no longer vary" if flat else "")
        what = " and ".join(text for text in said if text)
        if said[0] or JOINT in flat:
            found.append(
                f"{where}: {what}; this training collapsed, so its figures say little {TRY}"
            )
        elif flat:
            found.append(
                f"{where}: {what}; it learned nothing from them and rests on the rest {TRY}"
            )
    return found


def _one_class(run: RunRecord, label_names: Sequence[str]) -> str:
    p = run.selections[LAST].probabilities[JOINT]
    p = p[~np.isnan(p).any(axis=1)]
    if len(p) < MIN_ROWS:
        return ""
    counts = np.bincount(p.argmax(axis=1), minlength=len(label_names))
    share = counts.max() / len(p)
    if share < ONE_CLASS_SHARE:
        return ""
    name = label_names[int(counts.argmax())]
    return f"{100 * share:.0f}% of the test utterances are called {name}"


def flat_branches(run: RunRecord) -> list[str]:
    """Branches in which a domain maps all utterances to one point, so that Eq. 9 compares nothing.

    The relative loss of the last epoch is NaN where one domain's covariance is 0 to rounding, and 0
    where both are; a branch that never varied (a modality that nobody has) is not meant.
    """
    last = run.epochs[-1].alignment_relative
    varied = {
        branch
        for epoch in run.epochs
        for branch, value in epoch.alignment_relative.items()
        if value > 0
    }
    return [
        branch
        for branch, value in last.items()
        if np.isnan(value) or (value == 0 and branch in varied)
    ]

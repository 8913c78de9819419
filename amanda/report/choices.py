"""What label-free choices of an epoch were worth: one table for the report and the page."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from markupsafe import Markup

from amanda.records import LAST, ORACLE
from amanda.report.markup import Row, Text, note, table
from amanda.result_schema import SelectionQuality
from amanda.scoring import selection_order
from amanda.validators import VALIDATORS


def quality_table(caption: Text, found: Mapping[str, Sequence[SelectionQuality]]) -> Markup | str:
    """A row a rule: its rank correlation with target F1 over epochs, and its regret.

    Args:
        found: rule to the quality of each run of each method; "" is returned where there is none.
    """
    rows: list[Row] = []
    for name in selection_order(list(found)):
        if name == ORACLE or not found[name]:
            continue
        title = VALIDATORS[name].title if name in VALIDATORS else "Last epoch"
        correlation = _mean(each.rank_correlation for each in found[name])
        regret = _mean(each.regret for each in found[name])
        rows.append(
            [
                title,
                "–"
                if correlation is None or name == LAST
                else f"{correlation:+.2f}".replace("-", "−"),
                "–" if regret is None else f"{100 * regret:.1f}",
            ]
        )
    if not rows:
        return ""
    head: list[Row] = [["Rule", "rank correlation", "regret, points"]]
    return Markup("{}{}").format(
        table(caption, head, rows, css="dense"),
        note(
            "Rank correlation: Spearman’s between a validator and weighted F1 on the target’s test "
            "split, over the evaluated epochs (1: it orders epochs as labels would). Regret: the "
            "oracle’s F1 less that of the chosen epoch. Both look at labels afterwards; nothing "
            "is chosen by them."
        ),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None

"""How evenly modalities are aligned: one table for the report and the page of experiments."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from markupsafe import Markup

from amanda.report.markup import Cell, Row, Text, note, paragraphs, table
from amanda.result_schema import BalanceResult
from amanda.store.names import JOINT

PLAIN_SUM = "A-N (p=1)"
MARGIN = 0.01
"""An index that is lower by no more counts as equal."""
_ALWAYS = "lower in every run for"
_MIXED = "lower in some runs and not in others for"
_NEVER = "lower in no run, so that the claim does not hold here, for"
_KINDS = (_ALWAYS, _MIXED, _NEVER)

INTRODUCTION = Markup(
    "The claim of balance, as a number: with each modality’s share of the sum of the alignment "
    "losses (Eq. 9, the joint one left out), the imbalance index is 0 where all shares are equal "
    "and 1 where one modality has all. It is measured on the whole train splits with the last "
    "epoch’s model. The floor is the index that sampling alone would give if both domains were "
    "one. The relative index is of losses over ‖C<sub>s</sub>‖·‖C<sub>t</sub>‖, which do not fall "
    "when representations shrink. The proxy A-distance is 2(1 − 2ε), ε the held-out error of a "
    "linear classifier that tells the two domains apart: 0 where it cannot, 2 where it always can."
)
JOINT_TERM = (
    "ψ of the joint term: the joint covariance holds the single ones as diagonal blocks, so its "
    "loss is at least their sum, and a balancing surrogate (p > 1, log-exp) weighs it most, p=∞ it "
    "alone. What pulls on a modality is then mostly the joint loss, which holds every modality’s "
    "loss with the same weight, as p=1 does."
)


def balance_table(
    caption: Text, methods: Sequence[tuple[str, Sequence[BalanceResult]]]
) -> Markup | str:
    """A row a method, and a sentence that says which are more even than the plain sum.

    Args:
        methods: label and the balance of each run; without any run a method is left out.
    """
    measured = [(label, runs) for label, runs in methods if runs]
    if not measured:
        return ""
    modalities = [name for name in measured[0][1][0].loss if name != JOINT]
    head: list[Row] = [
        [
            "",
            Cell("Imbalance index", span=3),
            Cell("Share of the sum", css="ruled", span=len(modalities)),
            Cell("Proxy A-distance", css="ruled", span=len(modalities)),
            Cell("", css="ruled"),
        ],
        [
            "Method",
            "losses",
            "floor",
            "relative",
            *_ruled(modalities),
            *_ruled(modalities),
            Cell("ψ joint", css="ruled"),
        ],
    ]
    rows: list[Row] = [
        [
            label,
            _mean(runs, lambda run: run.index),
            _mean(runs, lambda run: run.index_floor),
            _mean(runs, lambda run: run.index_relative),
            *_ruled([_mean(runs, _share_of(name)) for name in modalities]),
            *_ruled([_mean(runs, _of(name)) for name in modalities]),
            Cell(_mean(runs, lambda run: run.psi.get(JOINT)), css="ruled"),
        ]
        for label, runs in measured
    ]
    return Markup("{}{}").format(
        table(caption, head, rows, css="dense"),
        Markup("").join(note(text) for text in verdict(dict(measured))),
    )


def verdict(methods: Mapping[str, Sequence[BalanceResult]]) -> list[str]:
    """Whether surrogates that balance are more even than the plain sum, run by run, in words."""
    plain = methods.get(PLAIN_SUM)
    surrogates = [label for label in methods if label.startswith("A-") and label != PLAIN_SUM]
    if not plain or not surrogates:
        return []
    sentences = []
    for name, title in (("index", "index of the losses"), ("index_relative", "relative index")):
        said: dict[str, list[str]] = {}
        for label in surrogates:
            gaps = [
                theirs - ours
                for run, base in zip(methods[label], plain, strict=False)
                if (ours := getattr(run, name)) is not None
                and (theirs := getattr(base, name)) is not None
            ]
            if gaps:
                kind = _ALWAYS if min(gaps) > MARGIN else _NEVER if max(gaps) <= MARGIN else _MIXED
                said.setdefault(kind, []).append(f"{label} ({_signed(-float(np.mean(gaps)))})")
        parts = [f"{kind} {', '.join(said[kind])}" for kind in _KINDS if kind in said]
        if parts:
            sentences.append(
                f"The {title} against the plain sum’s, A-N (p=1), mean difference in brackets: "
                f"{'; '.join(parts)}."
            )
    return sentences


def _signed(value: float) -> str:
    points = round(value, 2)
    return f"{points:+.2f}".replace("-", "−") if points else "0.00"


def introduction() -> Markup:
    """What the numbers are, and what the joint term does."""
    return paragraphs(INTRODUCTION, JOINT_TERM)


def _share_of(name: str) -> Callable[[BalanceResult], float | None]:
    def share(run: BalanceResult) -> float | None:
        single = [loss for branch, loss in run.loss.items() if branch != JOINT]
        total = sum(loss for loss in single if loss is not None)
        own = run.loss.get(name)
        return own / total if own is not None and total > 0 else None

    return share


def _of(name: str) -> Callable[[BalanceResult], float | None]:
    return lambda run: run.proxy_a_distance.get(name)


def _mean(runs: Sequence[BalanceResult], value: Callable[[BalanceResult], float | None]) -> str:
    known = [found for run in runs if (found := value(run)) is not None]
    return f"{np.mean(known):.2f}" if known else "–"


def _ruled(texts: Sequence[str]) -> list[Text | Cell]:
    return [Cell(text, css="ruled" if number == 0 else "") for number, text in enumerate(texts)]

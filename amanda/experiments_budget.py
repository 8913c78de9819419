"""What the paper's experiments are, and how much of them a budget trains.

Everything here is data. A budget is printed with every table that was made with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from amanda.paper_tables import CONSTANT_IN_SWEEP, PAIRS, ROWS, SWEEP_PAIRS, Row

METHODS = tuple(key for key in ROWS if key not in ("supervised", "amanda_without_ca"))
"""Rows of Table 3: direct transfer, four baselines, six surrogates."""

SURROGATES = tuple(key for key in METHODS if key.startswith("amanda_"))

ALPHA2 = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""The weights of Tables 4 to 6."""


def _row(label: str, **settings: object) -> Row:
    return Row(label, MappingProxyType(settings))


ABLATIONS: Mapping[str, Row] = MappingProxyType(
    {
        "direct_transfer": ROWS["direct_transfer"],
        "amanda_norm_p2": ROWS["amanda_norm_p2"],
        "amanda_without_ca": ROWS["amanda_without_ca"],
        "without_label_alignment": _row(
            "A-N (p=2) w/o LA", method="amanda", surrogate="norm:2", label_alignment="without"
        ),
        "without_bottleneck": _row(
            "A-N (p=2) w/o IB", method="amanda", surrogate="norm:2", bottleneck="none"
        ),
        "without_joint": _row(
            "A-N (p=2) w/o joint", method="amanda", surrogate="norm:2", surrogate_over="modalities"
        ),
        "dann_label_alignment": _row("DANN with LA", method="dann", label_alignment="with"),
        "cdan_label_alignment": _row("CDAN with LA", method="cdan", label_alignment="with"),
        "cdan_e_label_alignment": _row("CDAN+E with LA", method="cdan_e", label_alignment="with"),
        "mada_label_alignment": _row("MADA with LA", method="mada", label_alignment="with"),
        "direct_transfer_domain": _row(
            "D.T., inputs standardised", method="direct_transfer", standardise="domain"
        ),
        "amanda_norm_p2_domain": _row(
            "A-N (p=2), inputs standardised",
            method="amanda",
            surrogate="norm:2",
            standardise="domain",
        ),
    }
)
"""Rows of `ablation.json`: the full method, what is taken out of it, and what others gain from it.

CA: correlation alignment; LA: label alignment; IB: the information bottleneck's entropy term.
"""

_OURS = ("without_label_alignment", "without_bottleneck")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much is trained.

    Attributes:
        pairs: of Tables 1 and 3, in order of preference; those whose corpora are configured count.
        n_pairs: at most so many of them.
        methods: rows of Table 3.
        seeds, epochs: of every training but the sweep's, whose seeds are `sweep_seeds`.
        sweeps: pairs whose α2 is varied, as `pairs`; the first `n_sweeps` that are configured.
        alpha2, surrogates: columns and rows of the sweep, besides its two constant rows.
        ablations: keys of `ABLATIONS`; on the first `n_ablated` of `sweeps` that are configured.
    """

    name: str
    pairs: tuple[str, ...]
    n_pairs: int
    methods: tuple[str, ...]
    seeds: int
    epochs: int
    sweeps: tuple[str, ...]
    n_sweeps: int
    alpha2: tuple[float, ...]
    surrogates: tuple[str, ...]
    sweep_seeds: int
    ablations: tuple[str, ...]
    n_ablated: int

    @property
    def sweep_rows(self) -> tuple[str, ...]:
        """Rows of Tables 4 to 6 that this budget trains."""
        return (*CONSTANT_IN_SWEEP, *self.surrogates)


_SWEEPS = tuple(SWEEP_PAIRS.values())
_FEW_PAIRS = (*_SWEEPS, *(pair for pair in reversed(PAIRS) if pair not in _SWEEPS))
"""With few pairs, first those of which the paper has a sweep too."""

BUDGETS: Mapping[str, Budget] = MappingProxyType(
    {
        "smoke": Budget(
            name="smoke",
            pairs=_FEW_PAIRS,
            n_pairs=1,
            methods=("direct_transfer", "dann", "amanda_norm_p1", "amanda_norm_p2"),
            seeds=1,
            epochs=2,
            sweeps=_FEW_PAIRS,
            n_sweeps=1,
            alpha2=(0.1, 1.0),
            surrogates=("amanda_norm_p1", "amanda_norm_p2"),
            sweep_seeds=1,
            ablations=("direct_transfer", "amanda_norm_p2", "amanda_without_ca"),
            n_ablated=1,
        ),
        "embedded": Budget(
            name="embedded",
            pairs=_FEW_PAIRS,
            n_pairs=3,
            methods=METHODS,
            seeds=3,
            epochs=40,
            sweeps=_FEW_PAIRS,
            n_sweeps=1,
            alpha2=(0.001, 0.01, 0.1, 0.5, 2.0),
            surrogates=SURROGATES,
            sweep_seeds=1,
            ablations=("direct_transfer", "amanda_norm_p2", "amanda_without_ca", *_OURS),
            n_ablated=1,
        ),
        "paper": Budget(
            name="paper",
            pairs=PAIRS,
            n_pairs=len(PAIRS),
            methods=METHODS,
            seeds=3,
            epochs=100,
            sweeps=_SWEEPS,
            n_sweeps=len(_SWEEPS),
            alpha2=ALPHA2,
            surrogates=SURROGATES,
            sweep_seeds=3,
            ablations=tuple(ABLATIONS),
            n_ablated=len(_SWEEPS),
        ),
    }
)
"""`paper` is everything; `embedded`, the default, what two cores do in an evening; `smoke`, what a
test can afford, whose figures say nothing."""

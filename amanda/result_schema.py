"""The shape of a result file: `docs/results-format.md` in types.

Keys that are not named here are kept and ignored, so that a later version 1 file may say more.
Numbers are finite or null; shares and scores are fractions, times are seconds.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT, VERSION = "amanda-result", 1

Number = Annotated[float, Field(allow_inf_nan=False)] | None
ByClass = dict[str, Number]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Score(_Part):
    """One metric over runs: the sample standard deviation (n − 1), null for a single run."""

    mean: Number
    std: Number
    values: list[Number]


class BranchResult(_Part):
    """Scores of one branch on the test rows it could predict; null where none has a label."""

    n: int
    n_labelled: int
    weighted_f1: Number
    macro_f1: Number
    uar: Number
    accuracy: Number
    ece: Number
    per_class_f1: ByClass


class Marginals(_Part):
    """Share of each class: among labels, among predictions, and its mean probability."""

    true: ByClass
    predicted: ByClass
    mean_probability: ByClass


class SelectionResult(BranchResult):
    """The epoch that one rule chose, evaluated on the target's test split by the joint branch."""

    epoch: int
    value: Number
    used_target_labels: bool
    n_unpredicted: int
    confusion: list[list[int]] | None
    label_marginals: Marginals
    branches: dict[str, BranchResult]


class Epoch(_Part):
    """Means over one epoch's steps, and the validators after its last step."""

    epoch: int
    lr: Number
    loss: dict[str, Number]
    alignment: dict[str, Number]
    alignment_relative: dict[str, Number] = {}
    psi: dict[str, Number]
    label_prior: ByClass = {}
    validators: dict[str, Number]


class EpochScore(_Part):
    """Weighted F1 of one evaluated epoch on the target's test split, for judging choices."""

    epoch: int
    weighted_f1: Number


class SelectionQuality(_Part):
    """What one rule's choice of an epoch was worth (`amanda.validator_quality`)."""

    rank_correlation: Number
    regret: Number


class BalanceResult(_Part):
    """How evenly modalities are aligned, on the whole train splits (`amanda.balance`)."""

    loss: dict[str, Number]
    relative: dict[str, Number]
    floor: dict[str, Number]
    proxy_a_distance: dict[str, Number]
    index: Number
    index_floor: Number
    index_relative: Number
    psi: dict[str, Number]
    pull: dict[str, Number]


class Run(_Part):
    """One training."""

    seed: int
    fold: int
    wall_s: Number
    epochs: list[Epoch]
    selections: dict[str, SelectionResult]
    test_f1: list[EpochScore] = []
    selection_quality: dict[str, SelectionQuality] = {}
    balance: BalanceResult | None = None


class MethodResult(_Part):
    """One method with one configuration, on this pair."""

    run_id: str
    label: str
    method: str
    surrogate: str | None
    variant: str
    standardise: str
    modalities: list[str]
    target_labels_used: list[str]
    warnings: list[str] = []
    config: dict[str, Any]
    config_sha256: Sha256
    aggregate: dict[str, dict[str, Score]]
    runs: Annotated[list[Run], Field(min_length=1)]
    provenance: dict[str, Any]


class SplitInfo(_Part):
    """One split of a corpus; `ids_sha256` is of the sorted ids, a line feed between two."""

    n: int
    ids_sha256: Sha256
    classes: dict[str, int]
    unlabelled: int
    n_speakers: int


class ModalityInfo(_Part):
    """Who made one modality's features, and how many utterances have them."""

    extractor: str
    model: str
    revision: str
    layers: Any
    preprocessing: Any
    sha256: str
    status: dict[str, int]


class CorpusInfo(_Part):
    """One feature file as it was when read."""

    corpus: str
    file: str
    profile: str
    origin: str
    file_sha256: Sha256
    manifest_sha256: str
    split_rule: str
    splits: dict[str, SplitInfo]
    shared_speakers: int
    modalities: dict[str, ModalityInfo]


class Features(_Part):
    """The two feature files."""

    source: CorpusInfo
    target: CorpusInfo


class PredictionsInfo(_Part):
    """The predictions file beside the result file."""

    file: str
    rows: int
    sha256: Sha256


class ResultFile(_Part):
    """The methods of one pair."""

    format: Literal["amanda-result"]
    version: Literal[1]
    source: str
    target: str
    corpora: Literal["stand-in", "real"]
    label_names: list[str]
    target_labels_used: list[str]
    features: Features
    predictions: PredictionsInfo
    provenance: dict[str, Any]
    methods: Annotated[list[MethodResult], Field(min_length=1)]

    @property
    def pair(self) -> str:
        """`ie2msp` for source ie and target msp."""
        return f"{self.source}2{self.target}"

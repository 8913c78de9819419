"""What defines one training: every number that changes a result, nothing that does not.

Defaults are the paper's (section 4, "Implementation details") where it gives them; a field's
description says when its default comes from the released code instead. Reading settings imports no
torch, so that the workflow can do it at every start.
"""

import hashlib
import json
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from amanda.methods import method_names
from amanda.store.errors import InputError, nearest
from amanda.surrogates import parse_surrogate

RELEASE_OVERRIDES: dict[str, Any] = {
    # docs/paper.md, decisions 1 to 5 and 9: what the released code does where it differs.
    "alignment_space": "softmax",
    "covariance": "uncentred",
    "bottleneck": "release",
    "ce_weight_single": 0.008,
    "label_prior": "given",
    "given_prior": (2 / 9, 3 / 9, 2 / 9, 2 / 9),
    "lr": 2e-4,
    "betas": (0.5, 0.999),
    "weight_decay": 1e-4,
    "clip": 0.5,
}


class RunSettings(BaseModel):
    """The settings of one method on one pair. Frozen; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = Field("amanda", description="Name of a file in amanda/methods/.")
    surrogate: str = Field(
        "norm:2",
        description="norm:P (P ≥ 1 or inf), logexp:T (T > 0), or phi:MODULE.PAIR, functions of "
        "your own.",
    )
    surrogate_over: Literal["all", "modalities"] = Field(
        "all", description="Whether the joint branch's alignment loss enters the surrogate."
    )
    variant: Literal["paper", "release"] = Field("paper", description="docs/paper.md.")
    standardise: Literal["none", "source", "domain"] = Field(
        "none",
        description="Inputs as they are, by source-train statistics, or each domain by its own.",
    )
    split: Literal["file", "paper", "speaker", "kfold"] = Field(
        "file",
        description="The feature files' own split, or another drawn anew without extracting again; "
        "kfold trains every seed on every fold of whole groups.",
    )
    split_seed: int = Field(0, ge=0, description="Seed of a split drawn anew.")
    folds: int = Field(5, ge=3, description="Folds of kfold: one is test, the next val.")
    modalities: str = Field("shared", description="shared, or a list as acoustic,lexical.")

    seeds: int = Field(3, ge=1, description="Runs with seeds 0 to N-1; the paper averages 3.")
    epochs: int = Field(100, ge=1, description="Passes over the longer domain (release: 20 + 80).")
    eval_every: int = Field(
        1, ge=1, description="Epochs between evaluations; the last is always evaluated."
    )
    constant_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share of the steps at full rate, then linear decay to 0 (release).",
    )
    batch_size: int = Field(128, ge=2, description="Utterances a domain and step.")
    lr: float = Field(5e-4, gt=0, description="Adam's learning rate.")
    betas: tuple[float, float] = Field((0.9, 0.999), description="Adam's momenta.")
    weight_decay: float = Field(1e-4, ge=0, description="Adam's L2 penalty (release).")
    clip: float = Field(
        0.5, ge=0, description="Gradient norm bound a network, 0 for none (release)."
    )

    gamma: float = Field(5e-4, ge=0, description="Weight of the entropy of Z (Eq. 5).")
    alpha1: float = Field(0.08, ge=0, description="Weight of label alignment (Eq. 10).")
    alpha2: float = Field(0.1, ge=0, description="Weight of the surrogate of alignment (Eq. 10).")
    ce_weight_single: float = Field(1.0, ge=0, description="Weight of a single modality's CE.")
    bottleneck: Literal["paper", "release", "none"] = Field(
        "paper", description="Form of Eq. 5's entropy."
    )
    alignment_space: Literal["representation", "logits", "softmax"] = Field(
        "representation", description="Where covariances are matched (Eq. 9)."
    )
    covariance: Literal["centred", "uncentred"] = Field("centred", description="C of Eq. 9.")
    label_prior: Literal["source", "uniform", "given", "estimated", "none"] = Field(
        "source",
        description="What target predictions are drawn to (Eq. 8); estimated: by expectation "
        "maximisation after every epoch, from predictions calibrated on source val.",
    )
    given_prior: tuple[float, ...] | None = Field(None, description="For label_prior: given.")
    label_alignment: Literal["method", "with", "without"] = Field(
        "method",
        description="Eq. 8's term: as the method has it (amanda: with), or for any method.",
    )

    adversary_weight: float | None = Field(
        None, ge=0, description="Of the domain loss; None: the method's own (1, MADA 0.3 a class)."
    )
    adversary_on: Literal["joint", "each"] = Field(
        "joint", description="Representations that domain discriminators see."
    )
    adversary_hidden: tuple[int, ...] = Field(
        (1024, 1024), description="Hidden widths of a domain discriminator."
    )
    adversary_dropout: float = Field(0.5, ge=0, lt=1, description="In a domain discriminator.")
    adversary_lr_factor: float = Field(
        10.0, gt=0, description="A domain discriminator's learning rate over lr."
    )

    dim: int = Field(128, ge=1, description="Width d of each representation Z_m.")
    dropout: float = Field(0.5, ge=0, lt=1, description="In the encoders (release).")
    head_dropout: float = Field(0.3, ge=0, lt=1, description="In the joint head (release).")
    kernels: tuple[int, ...] = Field((3, 5), description="TextCNN's kernel sizes (release).")
    channels: int = Field(128, ge=1, description="TextCNN's channels a kernel (release).")
    precision: Literal["float32", "tf32", "bfloat16"] = Field(
        "float32",
        description="Number format of TextCNN's product over frames; tf32: of all products, on a "
        "GPU alone.",
    )

    @model_validator(mode="before")
    @classmethod
    def _variant_defaults(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("variant") == "release":
            return {**RELEASE_OVERRIDES, **values}
        return values

    @field_validator("method")
    @classmethod
    def _known_method(cls, method: str) -> str:
        if method not in method_names():
            raise ValueError(f"no such method; {nearest(method, method_names())}")
        return method

    @field_validator("surrogate")
    @classmethod
    def _one_spelling(cls, surrogate: str) -> str:
        # norm:2 and norm:2.0 are one run, so they need one run_id.
        return str(parse_surrogate(surrogate))

    @field_validator("modalities")
    @classmethod
    def _no_spaces(cls, modalities: str) -> str:
        return ",".join(name.strip() for name in modalities.split(",") if name.strip()) or "shared"

    @field_validator("kernels", "adversary_hidden")
    @classmethod
    def _positive(cls, widths: tuple[int, ...], info: Any) -> tuple[int, ...]:
        if any(width < 1 for width in widths) or (info.field_name == "kernels" and not widths):
            raise ValueError("write whole numbers from 1 on")
        return widths

    @field_validator("betas")
    @classmethod
    def _momenta(cls, betas: tuple[float, float]) -> tuple[float, float]:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError("each must be at least 0 and below 1")
        return betas

    @model_validator(mode="after")
    def _given(self) -> "RunSettings":
        if self.label_prior == "given" and not self.given_prior:
            raise ValueError("label_prior is given, so given_prior must list a share a class")
        shares = self.given_prior or (1.0,)
        if min(shares) < 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
            raise ValueError(f"given_prior {list(shares)} must be shares that sum to 1")
        return self

    @property
    def n_folds(self) -> int:
        """How many splits each seed is trained on."""
        return self.folds if self.split == "kfold" else 1

    @property
    def sha256(self) -> str:
        """Hash of every setting."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def run_id(self) -> str:
        """`<method>-<12 hex of the hash>`: the name of the file a finished run is kept in."""
        return f"{self.method}-{self.sha256[:12]}"

    def changed(self) -> dict[str, Any]:
        """The settings that differ from the defaults of their variant, for a command or a title."""
        default = RunSettings(variant=self.variant).model_dump()
        return {
            k: v
            for k, v in self.model_dump().items()
            if (k == "variant" and v != "paper") or v != default[k]
        }

    @property
    def label(self) -> str:
        """As printed in the paper's tables, for example "A-N (p=2)"."""
        return self.label_beside(())

    def label_beside(self, shared: Collection[str]) -> str:
        """`label` without the settings named in `shared`, which every run beside it has too."""
        name = METHOD_LABELS.get(self.method, self.method)
        # Every run of one result file shares these, or the name says them already.
        ignored = {"method", "seeds", "epochs", "eval_every", "given_prior", *shared}
        if self.method == "amanda":
            ignored |= {"surrogate", "alpha2"} if self.alpha2 == 0 else {"surrogate"}
            name = "A. w/o CA" if self.alpha2 == 0 else _amanda_label(self.surrogate)
        extras = [f"{k}={v}" for k, v in self.changed().items() if k not in ignored]
        return f"{name} [{', '.join(extras)}]" if extras else name


METHOD_LABELS = {
    "direct_transfer": "D.T.",
    "supervised": "Supervised",
    "dann": "DANN",
    "cdan": "CDAN",
    "cdan_e": "CDAN+E",
    "mada": "MADA",
    "amanda": "Amanda",
}
"""The paper's names; a method that is not here is printed by its file's name."""


def _amanda_label(surrogate: str) -> str:
    kind, _, parameter = surrogate.partition(":")
    parameter = "∞" if parameter == "inf" else parameter
    if kind == "norm":
        return f"A-N (p={parameter})"
    return f"A-L (t={parameter})" if kind == "logexp" else f"A ({surrogate})"


def shared_changes(runs: Sequence[RunSettings]) -> dict[str, Any]:
    """The settings that all runs changed from the defaults to one value: no label need say them."""
    first, *others = runs
    return {
        key: value
        for key, value in first.changed().items()
        if key not in ("method", "surrogate")
        and others
        and all(other.changed().get(key) == value for other in others)
    }


def parse_settings(values: dict[str, Any], where: str) -> RunSettings:
    """`RunSettings` of plain values; `where` names the file or flag they came from.

    Raises:
        InputError: an unknown key (the nearest is named) or a value out of range.
    """
    try:
        return RunSettings(**values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = list(RunSettings.model_fields)
            raise InputError(f"{where}: unknown setting '{key}'; {nearest(key, known)}") from error
        sentence = first["msg"].removeprefix("Value error, ")
        if not key:
            raise InputError(f"{where}: {sentence}") from error
        raise InputError(f"{where}: {key} = {first['input']!r}: {sentence}") from error


def unknown_argument(arguments: Sequence[str], options: Collection[str]) -> str:
    """A sentence on the first argument of a command line that is none of its options.

    >>> unknown_argument(["--batch-size", "64"], ["--epochs"])
    "--batch-size: no such option; it is a setting, write '--set batch_size=64'"
    """
    name, _, value = arguments[0].partition("=")
    if not name.startswith("-"):
        return f"'{name}': no option stands before it; train takes nothing else"
    field = name.lstrip("-").replace("-", "_")
    if field not in RunSettings.model_fields:
        return f"{name}: no such option; {nearest(name, sorted(options))}"
    given = value or next((each for each in arguments[1:] if each[:1] != "-"), "VALUE")
    return f"{name}: no such option; it is a setting, write '--set {field}={given}'"


def resolve_settings(
    config: Path | None, assignments: list[str], **flags: str | int | None
) -> RunSettings:
    """Settings from a YAML file, then `key=value` assignments, then flags that are not None.

    Raises:
        InputError: the file cannot be read, or a key or value is wrong.
    """
    values: dict[str, Any] = {}
    if config is not None:
        try:
            loaded = yaml.safe_load(Path(config).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"{config}: cannot be read as YAML ({error})") from error
        if not isinstance(loaded, dict):
            raise InputError(f"{config}: write key: value lines, one a setting")
        values.update(loaded)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"--set '{assignment}': write key=value, as batch_size=64")
        try:
            values[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"--set '{assignment}': the value is not YAML ({error})") from error
    values.update({k: v for k, v in flags.items() if v is not None})
    return parse_settings(values, str(config) if config else "settings")


def to_flags(settings: RunSettings) -> list[str]:
    """The command-line flags of `amanda train` that give these settings."""
    named = {"method", "surrogate", "seeds", "epochs", "standardise", "variant", "modalities"}
    flags: list[str] = []
    changed = {"method": settings.method, "seeds": settings.seeds, **settings.changed()}
    for key, value in changed.items():
        if key in named:
            flags += [f"--{key}", str(value)]
        else:
            flags += ["--set", f"{key}={json.dumps(value)}"]
    return flags

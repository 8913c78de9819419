"""What defines one training: every number that changes a result, nothing that does not.

Defaults are the paper's (section 4, "Implementation details") where it gives them; the comment
beside a field says when it comes from the released code instead.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from amanda.store.errors import InputError, nearest

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
}


class RunSettings(BaseModel):
    """The settings of one method on one pair. Frozen; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = Field("amanda", description="Name of a file in amanda/methods/.")
    surrogate: str = Field("norm:2", description="norm:P (P ≥ 1 or inf) or logexp:T (T > 0).")
    surrogate_over: Literal["all", "modalities"] = Field(
        "all", description="Whether the joint branch's alignment loss enters the surrogate."
    )
    variant: Literal["paper", "release"] = Field("paper", description="docs/paper.md.")
    standardise: Literal["none", "source", "domain"] = Field(
        "none",
        description="Inputs as they are, by source-train statistics, or each domain by its own.",
    )
    modalities: str = Field("shared", description="shared, or a list as acoustic,lexical.")

    seeds: int = Field(3, ge=1, description="Runs with seeds 0 to N-1; the paper averages 3.")
    epochs: int = Field(100, ge=1, description="Passes over the longer domain (release: 20 + 80).")
    constant_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share of the epochs at full rate, then linear decay (release).",
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
    label_prior: Literal["source", "uniform", "given", "none"] = Field(
        "source", description="What target predictions are drawn to (Eq. 8)."
    )
    given_prior: tuple[float, ...] | None = Field(None, description="For label_prior: given.")

    dim: int = Field(128, ge=1, description="Width d of each representation Z_m.")
    dropout: float = Field(0.5, ge=0, lt=1, description="In the encoders (release).")
    head_dropout: float = Field(0.3, ge=0, lt=1, description="In the joint head (release).")
    kernels: tuple[int, ...] = Field((3, 5), description="TextCNN's kernel sizes (release).")
    channels: int = Field(128, ge=1, description="TextCNN's channels a kernel (release).")

    @model_validator(mode="before")
    @classmethod
    def _variant_defaults(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("variant") == "release":
            return {**RELEASE_OVERRIDES, **values}
        return values

    @model_validator(mode="after")
    def _given(self) -> Self:
        if self.label_prior == "given" and not self.given_prior:
            raise ValueError("label_prior is given, so given_prior must list a share a class")
        return self

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
        name = METHOD_LABELS.get(self.method, self.method)
        if self.method == "amanda":
            kind, _, parameter = self.surrogate.partition(":")
            parameter = "∞" if parameter == "inf" else parameter
            name = f"A-N (p={parameter})" if kind == "norm" else f"A-L (t={parameter})"
        ignored = {"method", "surrogate", "seeds", "epochs", "given_prior"}
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


def parse_settings(values: dict[str, Any], where: str) -> RunSettings:
    """`RunSettings` of plain values; `where` names the file or flag they came from.

    Raises:
        InputError: an unknown key (the nearest is named) or a value out of range.
    """
    try:
        return RunSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "settings"
        if first["type"] == "extra_forbidden":
            known = list(RunSettings.model_fields)
            raise InputError(f"{where}: unknown setting '{key}'; {nearest(key, known)}") from error
        raise InputError(f"{where}: {key} = {first['input']!r}: {first['msg']}") from error


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
        values[key.strip()] = yaml.safe_load(text)
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

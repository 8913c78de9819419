"""The workflow's config: which corpora, pairs and methods, and how they are run.

These models are the one source. `python -m amanda.config --write` makes
`workflow/schemas/config.schema.json` (for editors) and `docs/config.md` from them, and a test holds
that they agree. Reading a config imports neither torch nor the other rooms, so a dry run is quick.
"""

from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    field_validator,
)

from amanda.settings import RunSettings, parse_settings
from amanda.store.errors import InputError, nearest
from amanda.store.names import CLASSES, MODALITIES, check_corpus_name, split_pair

TOP_LEVEL = ("variant", "standardise", "modalities", "seeds")
"""Settings of a training that stand at the top of the config, not under `train`."""
OF_METHOD = ("method", "surrogate")
"""Settings that tell methods apart, so never the same for all of them."""

PLACES = ("standin", "root", "manifest", "features")
"""Where a corpus may come from; each entry of `corpora` has one."""

_PROPERTIES = RunSettings.model_json_schema()["properties"]


def _settings_schema(*left_out: str) -> dict[str, Any]:
    properties = {k: v for k, v in _PROPERTIES.items() if k not in left_out}
    return {"type": "object", "properties": properties, "additionalProperties": False}


ClassName = Literal["neutral", "happy", "sad", "angry"]
Modality = Literal["acoustic", "visual", "lexical"]
TrainSettings = Annotated[dict[str, Any], WithJsonSchema(_settings_schema(*TOP_LEVEL, *OF_METHOD))]
MethodEntry = Annotated[
    str | dict[str, Any], WithJsonSchema({"anyOf": [{"type": "string"}, _settings_schema()]})
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StandinConfig(_Section):
    """A generated corpus, in the layout of the real one."""

    utterances: int = Field(360, ge=1, description="How many utterances.")
    seed: int = Field(0, ge=0, description="Another seed gives another corpus.")
    prior: dict[ClassName, float] = Field(
        {"neutral": 3, "happy": 3, "sad": 2, "angry": 2}, description="Weights of the classes."
    )
    gap: dict[Modality, float] = Field(
        {"visual": 1, "acoustic": 1, "lexical": 1},
        description="Strength of the corpus's own traits a modality: 0 takes them away, 1 is the "
        "corpus as documented, and what is left out.",
    )

    @field_validator("gap")
    @classmethod
    def _every_modality(cls, gap: dict[Modality, float]) -> dict[str, float]:
        return {name: gap.get(name, 1.0) for name in get_args(Modality)}


def _standin(value: Any) -> Any:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


Standin = Annotated[
    StandinConfig | None,
    BeforeValidator(_standin, json_schema_input_type=bool | StandinConfig | None),
]


class CorpusConfig(_Section):
    """One corpus: where it is (one of standin, root, manifest and features), how it is read."""

    standin: Standin = Field(
        None, description="true, or settings as below: write a generated corpus to data/<name>."
    )
    root: str | None = Field(None, description="Folder of the corpus as its owners distribute it.")
    manifest: str | None = Field(None, description="CSV of your own clips, one row an utterance.")
    features: str | None = Field(
        None, description="Feature file made elsewhere (`amanda import`, `amanda check`)."
    )
    reader: str | None = Field(
        None,
        description="Layout of the folder: ie, msp, meld or mosei; default: the corpus's name.",
    )
    split: Literal["paper", "speaker", "official", "column"] | None = Field(
        None,
        description="How train, val and test are made: at random as in the paper, by speaker, as "
        "the corpus's owners did, or from the CSV's column split; default: paper, "
        "and column for a CSV.",
    )
    split_seed: int = Field(0, ge=0, description="Seed of the split and of cap.")
    subset: str | None = Field(
        None,
        description="Only a part: improvised or scripted (ie); natural, read, improvised or target "
        "(msp); several as read,improvised.",
    )
    cap: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="At most so many of a class, as {neutral: 1400}."
    )
    label_map: str | None = Field(
        None,
        description="YAML of the corpus's label: class, instead of the reader's own; it may name "
        "classes of its own (docs/formats.md).",
    )
    profile: str | None = Field(None, description="Profile of this corpus; default: `profile`.")
    extract: list[Modality] = Field(
        default_factory=list, description="Extract only these; default: all of the profile."
    )
    downmix: bool = Field(False, description="Average the channels of stereo audio.")
    faces: str | None = Field(
        None, description="CSV of your own choices of the speakers' faces (docs/speaker.md)."
    )
    privacy: Literal["normal", "strict"] = Field(
        "normal",
        description="strict: what is printed of the extraction, and so its log, counts clips and "
        "names none, and the report takes no pictures of this corpus (docs/security.md).",
    )
    shards: int | None = Field(None, ge=1, description="Shards of this corpus; default: `shards`.")
    max_failed: float = Field(
        0.2, ge=0, le=1, description="Stop when a larger share of a shard's clips failed."
    )


class ReportConfig(_Section):
    """What is on the report's page."""

    thumbnails: bool = Field(
        False,
        description="Pictures of people: the most doubtful choices of faces of each corpus.",
    )


class StageResources(_Section):
    """What one job of a stage takes; the workflow never plans more than the machine has."""

    threads: int = Field(1, ge=1, description="CPUs.")
    mem_mb: int = Field(1000, ge=1, description="Memory in MB.")
    gpu: int | None = Field(
        None,
        ge=0,
        le=1,
        description="GPUs; default: 1 where this machine has one (extract and train), else 0.",
    )
    runtime: int | None = Field(None, ge=1, description="Minutes, for clusters.")
    partition: str | None = Field(None, description="Slurm's partition; default: the profile's.")


class Resources(_Section):
    """One entry a stage."""

    standin: StageResources = StageResources(threads=2, mem_mb=1500)
    manifest: StageResources = StageResources()
    weights: StageResources = StageResources()
    extract: StageResources = StageResources(mem_mb=2500)
    merge: StageResources = StageResources()
    train: StageResources = StageResources(mem_mb=2000)
    report: StageResources = StageResources(mem_mb=1500)


class ExperimentsConfig(_Section):
    """The paper's experiments (results/paper.html), where they are not as the budget has them."""

    pairs: list[str] = Field(
        default_factory=list,
        description="Pairs of Tables 1 and 3; default: the paper's whose corpora are configured, "
        "as many as the budget takes.",
    )
    sweeps: list[str] = Field(
        default_factory=list, description="Pairs whose alpha2 is varied; default: as above."
    )
    ablation: list[str] = Field(
        default_factory=list, description="Pairs of the ablations; default: as above."
    )
    seeds: int | None = Field(None, ge=1, description="Instead of the budget's.")
    epochs: int | None = Field(
        None, ge=1, description="Instead of the budget's; those of `train` do not count here."
    )
    release: bool = Field(
        False, description="Train Table 3's rows with `variant: release` too, shown beside ours."
    )
    seconds_per_training: float | None = Field(
        None,
        gt=0,
        description="One seed's time, for the projection before anything is trained; default: a "
        "measured time an utterance.",
    )


class Config(_Section):
    """The whole config."""

    corpora: dict[str, CorpusConfig] = Field(description="Name: corpus; see below.")
    pairs: list[str] = Field(
        default_factory=list,
        description="Pairs of `rule all` and the report, as ie2msp; default: all, both ways.",
    )
    profile: str = Field("embedded", description="How features are made: embedded, paper or yours.")
    profiles: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Profiles of your own, `base: embedded` and what differs."
    )
    methods: list[MethodEntry] = Field(
        ["direct_transfer", "supervised", "amanda:norm:2"],
        description="What is trained on each pair: a name, amanda:SURROGATE, or settings as "
        "{method: amanda, surrogate: norm:2, lr: 1e-3}.",
    )
    variant: Literal["paper", "release"] = Field(
        "paper", description="The paper's equations, or the released code's where they differ."
    )
    standardise: Literal["none", "source", "domain"] = Field(
        "none",
        description="Inputs as they are, by source-train statistics, or each domain by its own.",
    )
    modalities: str = Field(
        "shared", description="Trained on: shared (usable in both), or a list as acoustic,lexical."
    )
    seeds: int = Field(3, ge=1, description="Runs a method, seeds 0 to N-1.")
    train: TrainSettings = Field(
        default_factory=dict, description="Settings of every method, as {epochs: 100}; see below."
    )
    budget: Literal["smoke", "embedded", "paper"] = Field(
        "embedded", description="How much of the paper's experiments results/paper.html trains."
    )
    experiments: ExperimentsConfig = Field(
        ExperimentsConfig(), description="The experiments, where not as the budget has them."
    )
    allow_mismatch: bool = Field(
        False, description="Pair feature files of different models, for those who know."
    )
    shards: int = Field(
        2, ge=1, description="Jobs that extraction of a corpus is cut in; whole source videos each."
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")
    report: ReportConfig = Field(ReportConfig(), description="What is on its page; see below.")
    resources: Resources = Field(Resources(), description="What a job takes, by stage; see below.")

    @property
    def runs(self) -> dict[str, RunSettings]:
        """Settings of each method by run id, in the order of the config."""
        common = {name: getattr(self, name) for name in TOP_LEVEL} | self.train
        settings = [
            parse_settings(common | method_settings(entry), f"methods, '{entry}'")
            for entry in self.methods
        ]
        return {each.run_id: each for each in settings}


def method_settings(entry: str | Mapping[str, Any]) -> dict[str, Any]:
    """Settings of one entry of `methods`: "amanda:norm:1" is its method and its surrogate."""
    if not isinstance(entry, str):
        return {"method": "amanda", **entry}
    method, _, surrogate = entry.partition(":")
    return {"method": method, "surrogate": surrogate} if surrogate else {"method": method}


def parse_config(
    values: Mapping[str, Any], where: str = "config", *, files_here: bool = True
) -> Config:
    """`Config` of plain values; `where` names the file they came from.

    Args:
        files_here: whether the CSVs and feature files that it names must be on this machine, and
            not in a store such as a bucket.

    Raises:
        InputError: an unknown key (the nearest is named), a value out of range, or parts that do
            not fit together, as a pair of a corpus that is not configured.
    """
    try:
        config = Config(**values)
    except ValidationError as error:
        raise InputError(_sentence(error, where)) from error
    try:
        _check_corpora(config, files_here)
        _check_methods(config)
        pairs = config.pairs or ["2".join(p) for p in permutations(config.corpora, 2)]
        asked = config.experiments
        for pair in [*pairs, *asked.pairs, *asked.sweeps, *asked.ablation]:
            check_pair(pair, config)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return config.model_copy(update={"pairs": pairs})


def check_pair(pair: str, config: Config) -> tuple[str, str]:
    """Source and target of `pair`.

    Raises:
        InputError: it is not two different corpora of the config.
    """
    source, target = split_pair(pair)
    for name in (source, target):
        if name not in config.corpora:
            hint = nearest(name, list(config.corpora))
            raise InputError(f"pair '{pair}': no corpus '{name}' under corpora; {hint}")
    if source == target:
        raise InputError(f"pair '{pair}': source and target are the same corpus")
    return source, target


def _check_corpora(config: Config, files_here: bool) -> None:
    if not config.corpora:
        raise InputError("corpora: name at least one, as ie: {standin: true}")
    for name, corpus in config.corpora.items():
        check_corpus_name(name)
        places = [k for k in PLACES if getattr(corpus, k) is not None]
        if len(places) != 1:
            found = f"has {' and '.join(places)}" if places else "says not where it is"
            raise InputError(
                f"corpora.{name} {found}; give one of standin: true, root: FOLDER (of {name} as "
                "distributed), manifest: FILE.csv (your own clips) and features: FILE.h5"
            )
        if corpus.manifest and corpus.reader:
            raise InputError(f"corpora.{name}: a manifest needs no reader; leave one of them out")
        for label in [] if corpus.label_map else corpus.cap:
            if label not in CLASSES:
                hint = nearest(label, list(CLASSES))
                raise InputError(f"corpora.{name}.cap.{label}: no such class; {hint}")
        inputs = ("manifest", "features", "label_map") if files_here else ()
        for key in (*inputs, "faces"):
            file = getattr(corpus, key)
            if file and not Path(file).is_file():
                raise InputError(f"corpora.{name}.{key}: there is no file {file}")


def _check_methods(config: Config) -> None:
    for key in config.train:
        if key in (*TOP_LEVEL, *OF_METHOD):
            place = "at the top of the config" if key in TOP_LEVEL else "in an entry of methods"
            raise InputError(f"train.{key}: write it {place}")
    parse_settings(config.train, "train")
    if not config.methods:
        raise InputError("methods: list at least one, as amanda:norm:2")
    ids: dict[str, int] = {}
    for number, entry in enumerate(config.methods, start=1):
        ((run_id, settings),) = config.model_copy(update={"methods": [entry]}).runs.items()
        if isinstance(entry, str) and ":" in entry and settings.method != "amanda":
            method = settings.method
            raise InputError(f"methods, '{entry}': {method} has no surrogate; write {method}")
        if run_id in ids:
            raise InputError(f"methods: entries {ids[run_id]} and {number} are the same run")
        for name in [] if settings.modalities == "shared" else settings.modalities.split(","):
            if name not in MODALITIES:
                hint = f"write shared, or a list of {', '.join(MODALITIES)}"
                raise InputError(f"modalities: no modality '{name}'; {hint}")
        ids[run_id] = number


def _sentence(error: ValidationError, where: str) -> str:
    """The first problem in words, and how many more there are."""
    problems = error.errors()
    first = problems[0]
    place = [str(part) for part in first["loc"] if part != "[key]"]
    key = ".".join(place)
    if first["type"] == "extra_forbidden":
        known = list(_model_at(place[:-1]).model_fields)
        sentence = f"unknown key '{key}'; {nearest(place[-1], known)}"
    elif first["type"] == "missing":
        sentence = f"{key} is missing"
    elif first["type"] in ("model_type", "dict_type"):
        sentence = f"{key} needs key: value lines under it, not {first['input']!r}"
    else:
        sentence = f"{key} = {first['input']!r}: {first['msg']}"
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{where}: {sentence}{more}"


def _model_at(place: list[str]) -> type[BaseModel]:
    """The model whose keys stand at `place`."""
    if not place:
        return Config
    if place[0] == "experiments":
        return ExperimentsConfig
    if place[0] == "report":
        return ReportConfig
    if place[0] == "resources":
        return Resources if len(place) == 1 else StageResources
    return StandinConfig if place[2:] == ["standin"] else CorpusConfig


if __name__ == "__main__":
    from amanda.config_docs import main

    main()

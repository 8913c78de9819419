"""The settings of a profile's sections: text, speech, faces; each with its meaning and default."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    import torch

    from extractors.compute import Compute

SPEED_FIELDS = frozenset(
    {
        "batch_size",
        "tokens_per_batch",
        "seconds_per_batch",
        "memory_gb",
        "channels_last",
        "compile",
    }
)
"""Fields that change how fast features are made, and the features by rounding at most."""
ADDED: dict[str, dict[str, Any]] = {
    "lexical": {"extractor": "lexical", "precision": "fp32", "pooling": "none"},
    "acoustic": {"extractor": "acoustic", "precision": "fp32", "pool_frames": 1},
    "visual": {
        "extractor": "visual",
        "precision": "fp32",
        "layers": None,
        "last_block": "normed",
        "pooling": "auto",
        "alignment": "box",
        "landmark_weights": None,
        "speaker_weights": None,
    },
}
"""By extractor, fields that came later, with the values that do what was done before. Those are not
hashed, so that features made without them are still known as what they are."""
LANDMARKS = "fan-2d"


def _ascending(layers: tuple[int, ...]) -> tuple[int, ...]:
    if list(layers) != sorted(set(layers)) or layers[0] < 0:
        raise ValueError("list block numbers once each, in ascending order, as [1, 7, 12]")
    return layers


Blocks = Annotated[tuple[int, ...], Field(min_length=1), AfterValidator(_ascending)]


class Settings(BaseModel):
    """Frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Section(Settings):
    """A modality's section of a profile; each extractor's settings are a subclass."""

    VERSION: ClassVar[int] = 1
    """Raised when the extractor makes something else of the same settings."""

    extractor: str = Field(description="The file of `extractors/` that makes the features.")

    @property
    def made_by(self) -> str:
        """The extractor and its version, as `acoustic/1`: the feature file's `extractor`."""
        return f"{self.extractor}/{self.VERSION}"

    @property
    def hashed(self) -> dict[str, Any]:
        """What decides whether features are made again: every setting that changes them."""
        added = ADDED.get(self.extractor, {})
        values = {
            key: value
            for key, value in self.model_dump(mode="json").items()
            if key not in SPEED_FIELDS and (key, value) not in added.items()
        }
        return {**values, "extractor": self.made_by} if "extractor" in values else values

    @property
    def weights_used(self) -> list[tuple[str, str | None]]:
        """(name, revision) of every weight that `amanda weights fetch` is to get."""
        return []

    @property
    def lacking(self) -> str:
        """What must be named before it can run, in a sentence; "" for nothing."""
        return ""


class VisualSection(Section):
    """A visual section: frames are sampled before an extractor sees a clip."""

    n_frames: int = Field(ge=1, description="Frames sampled evenly over a clip.")

    @property
    def glimpses_hz(self) -> float:
        """Grey frames a second that come with the sampled ones, and the sound; 0: none."""
        return 0.0


_EXTRACTOR = "Another file of `extractors/`, with settings of its own ([how](extending.md))."


class _ModelSettings(Section):
    """How a model is run."""

    precision: Literal["fp32", "tf32", "bf16", "fp16"] = Field(
        "fp32",
        description="fp32 is exact. bf16 and fp16 run in autocast, tf32 with its products: faster, "
        "other features, and named in the file. tf32 and fp16 are for CUDA only.",
    )
    compile: bool = Field(
        False, description="torch.compile: a minute at the start, faster after it; rounding only."
    )

    def compute(self, device: "torch.device") -> "Compute":
        """Raises `InputError` when the device does not have the precision."""
        from extractors.compute import Compute

        channels_last = bool(getattr(self, "channels_last", False))
        return Compute(
            device=device,
            precision=self.precision,
            channels_last=channels_last,
            compile=self.compile,
        )


class LexicalSettings(_ModelSettings):
    """A text encoder and what is kept of it."""

    extractor: str = Field("lexical", description=_EXTRACTOR)
    model: str = Field(description="Name in `amanda weights list`, hub id, or folder.")
    revision: str | None = Field(None, description="Commit or tag on the hub; default: pinned.")
    layers: Blocks = Field(description="Transformer blocks, 1 the first; 0 is their input.")
    last_block: Literal["raw", "normed"] = Field(
        "normed",
        description="For models with a final norm: the last block before it, or after it "
        "(transformers' last hidden state).",
    )
    strip_special: bool = Field(False, description="Leave out [CLS], [SEP] and the like.")
    pooling: Literal["none", "word", "mean"] = Field(
        "none",
        description="A vector a token (none), a word (the mean of its pieces), or a text (mean).",
    )
    max_tokens: int | None = Field(None, ge=3, description="Cut longer texts; default: model's.")
    tokens_per_batch: int | None = Field(
        None, ge=1, description="Padded tokens run at once; default: 512, on a GPU 16384."
    )
    language: str | None = Field(None, description="The model's, where its card does not say.")

    @property
    def weights_used(self) -> list[tuple[str, str | None]]:
        return [(self.model, self.revision)]


class AcousticSettings(_ModelSettings):
    """A speech encoder and what is kept of it."""

    extractor: str = Field("acoustic", description=_EXTRACTOR)
    model: str = Field(description="Name in `amanda weights list`, hub id, or folder.")
    revision: str | None = Field(None, description="Commit or tag on the hub; default: pinned.")
    layers: Blocks = Field(description="Transformer blocks, 1 the first; 0 is their input.")
    last_block: Literal["raw", "normed"] = Field(
        "normed",
        description="For models with a final norm: the last block before it, or after it "
        "(transformers' last hidden state).",
    )
    full_window: bool = Field(
        False,
        description="Whisper only: run each clip inside a silent 30 s window, as it was trained, "
        "instead of on the clip's own frames (10 to 15 times slower on short clips).",
    )
    normalise: bool | None = Field(
        None, description="Zero mean, unit variance a clip; default: the model's preprocessor."
    )
    pool_frames: int = Field(
        1, ge=0, description="Mean of so many consecutive frames; 0: one vector a clip."
    )
    window_s: float = Field(30.0, gt=0, description="Longer clips run in windows of this length.")
    overlap_s: float = Field(4.0, ge=0, description="Overlap of windows, joined at its middle.")
    seconds_per_batch: float | None = Field(
        None, gt=0, description="Padded speech run at once; default: 10 s, on a GPU 240 s."
    )
    language: str | None = Field(None, description="The model's, where its card does not say.")

    @property
    def weights_used(self) -> list[tuple[str, str | None]]:
        return [(self.model, self.revision)]


class VisualSettings(_ModelSettings, VisualSection):
    """A face detector, a face network, and how many frames a clip gives."""

    VERSION: ClassVar[int] = 2

    extractor: str = Field("visual", description=_EXTRACTOR)
    detector: Literal["retinaface", "s3fd"] = Field(description="Face detector.")
    detector_weights: str = Field(
        description="Name in `amanda weights list`, a file, or URL#sha256=HASH."
    )
    model: str = Field(
        description="The face network: mini_xception, apvit, timm:MODEL or transformers:MODEL, "
        "where MODEL is a hub id or a folder (timm: an architecture too, its file in `weights`)."
    )
    weights: str | None = Field(
        None, description="Name in `amanda weights list`, a file, or URL#sha256=HASH."
    )
    revision: str | None = Field(None, description="Commit or tag on the hub; default: pinned.")
    layers: Blocks | None = Field(
        None, description="Blocks of a timm or transformers model, 1 the first; default: the last."
    )
    last_block: Literal["raw", "normed"] = Field(
        "normed", description="The last block before the model's final norm, or after it."
    )
    pooling: Literal["auto", "class", "mean"] = Field(
        "auto",
        description="Of a timm or transformers model's tokens: the class token (class), or the "
        "mean of the patches (mean); auto: the class token where there is one, else the mean.",
    )
    crop_px: int | None = Field(
        None, ge=16, description="Width and height of the crop; default: the network's own."
    )
    alignment: Literal["box", "five_points"] = Field(
        "box",
        description="box: the square around the detected box. five_points: eyes, nose and mouth, "
        "found by FAN, turned and scaled to where face networks trained on aligned faces expect.",
    )
    landmark_weights: str | None = Field(
        None, description="Of FAN, for five_points: name, file or URL#sha256=HASH."
    )
    margin: float = Field(0.0, ge=0, description="Added around the box, as a share of its side.")
    glimpse_hz: float = Field(
        12.5,
        ge=0,
        le=60,
        description="Grey frames a second for shot cuts and for whose mouth moves with the sound; "
        "0: neither sound nor mouths decide who speaks.",
    )
    speaker_weights: str | None = Field(
        None,
        description="Of LR-ASD, an active speaker model, in place of the mouths' motion: lr-asd, "
        "a file, or URL#sha256=HASH.",
    )
    batch_size: int | None = Field(
        None, ge=1, description="Frames or crops run at once; default: what memory holds."
    )
    memory_gb: float | None = Field(
        None,
        gt=0,
        description="Of a GPU, for the default batch size; default: 70% of the free.",
    )
    channels_last: bool = Field(
        False, description="Memory format of convolutions; faster on most machines, rounding only."
    )

    @model_validator(mode="after")
    def _fit(self) -> "VisualSettings":
        if self.alignment == "five_points" and self.margin:
            raise ValueError("margin is for alignment: box; five points say themselves how wide")
        if self.alignment == "box" and self.landmark_weights:
            raise ValueError("landmark_weights are for alignment: five_points")
        return self

    @property
    def network_weights(self) -> str | None:
        """Name of the face network's weights; None where they must still be named."""
        kind, _, name = self.model.partition(":")
        hub_id_or_folder = kind == "transformers" or (kind == "timm" and "/" in name)
        return self.weights or (name if hub_id_or_folder else None)

    @property
    def weights_used(self) -> list[tuple[str, str | None]]:
        used = [
            (self.detector_weights, None),
            (self.network_weights, self.revision),
            (self.landmarks, None),
            (self.speaker_weights, None),
        ]
        return [(name, revision) for name, revision in used if name is not None]

    @property
    def lacking(self) -> str:
        if self.network_weights is not None:
            return ""
        if self.model != "apvit":
            return (
                f"visual.weights: name the weights of {self.model} (a file, or a name in `amanda "
                "weights list`)"
            )
        return (
            "visual.weights: APViT's checkpoint is on no hub; download it from the link on its "
            "authors' page (youqingxiaozhua/APViT) and name the file in a profile with `base: "
            "paper`, as config/paper.yaml does, or take --profile paper_vit, whose face network "
            "`amanda weights fetch --profile paper_vit` gets"
        )

    @property
    def glimpses_hz(self) -> float:
        """Glimpses a second that are decoded: those of the active speaker model, where one is."""
        return max(self.glimpse_hz, 25.0) if self.speaker_weights else self.glimpse_hz

    @property
    def landmarks(self) -> str | None:
        """Name of the landmark weights where any are used."""
        return (self.landmark_weights or LANDMARKS) if self.alignment == "five_points" else None

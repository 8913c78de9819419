"""Trained models on disk: a folder of `model.safetensors` and `model.json`.

The JSON says how to build the network, what its inputs must be and where it comes from; the tensors
are the weights, and the statistics that inputs are standardised by. Nothing is ever unpickled. A
folder may come from a stranger: names are fixed, links are refused, and the network that the JSON
asks for must match the tensors before any memory is taken for it.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from torch import Tensor, nn

from amanda import __version__
from amanda.calibration import Calibration
from amanda.predictions import file_sha256
from amanda.settings import RunSettings
from amanda.store.errors import InputError

FORMAT, VERSION = "amanda-model", 1
CARD, WEIGHTS = "model.json", "model.safetensors"
MAX_CARD_BYTES = 16 * 2**20
_STATE, _STANDARDISATION = "state/", "standardisation/"

Modality = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$", max_length=64)]


class ModelCard(BaseModel):
    """`model.json`.

    Attributes:
        architecture: arguments of the network's constructor, plain values.
        extraction: by modality, the identity of the features it was trained on: extractor, model,
            revision, layers, preprocessing and sha256, as in the feature file.
        selection: the rule that chose the epoch, as "last".
        profile: of the extraction that made the features; "" where they were made elsewhere.
        calibration: the temperature that logits are divided by; null when not fitted.
        weights_sha256: of model.safetensors.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["amanda-model"] = "amanda-model"
    version: Literal[1] = 1
    code_version: str
    source: str
    target: str
    corpora: Literal["stand-in", "real"]
    label_names: Annotated[list[str], Field(min_length=2)]
    modalities: Annotated[list[Modality], Field(min_length=1)]
    architecture: dict[str, Any]
    extraction: dict[Modality, dict[str, Any]]
    settings: RunSettings
    seed: int
    selection: str
    epoch: int
    profile: str = ""
    calibration: Calibration | None = None
    weights_sha256: str


@dataclass(frozen=True, kw_only=True)
class SavedModel:
    """A model folder in memory.

    Attributes:
        state: the network's state dict.
        standardisation: by modality, "mean" and "scale" of its inputs, (layers · width,) each;
            empty when inputs are taken as they are.
    """

    card: ModelCard
    state: Mapping[str, Tensor]
    standardisation: Mapping[str, Mapping[str, Float[Tensor, "..."]]]


def save_model(
    folder: Path,
    state: Mapping[str, Tensor],
    *,
    architecture: Mapping[str, Any],
    settings: RunSettings,
    source: str,
    target: str,
    corpora: str,
    label_names: Sequence[str],
    modalities: Sequence[str],
    extraction: Mapping[str, Mapping[str, Any]],
    seed: int,
    epoch: int,
    selection: str = "last",
    standardisation: Mapping[str, Mapping[str, Float[Tensor, "..."]]] | None = None,
    profile: str = "",
    calibration: Calibration | None = None,
) -> None:
    """Write a model folder, whole or not at all; a model that was there is replaced.

    Raises:
        InputError: `folder` holds something that is not a model, or a weight is not finite.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / CARD).is_file():
        raise InputError(f"{folder}: exists and holds no {CARD}; name a new folder for the model")
    tensors = {_STATE + name: tensor for name, tensor in state.items()}
    for modality, statistics in (standardisation or {}).items():
        for name, tensor in statistics.items():
            tensors[f"{_STANDARDISATION}{modality}/{name}"] = tensor
    _refuse_non_finite(folder, tensors)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        save_file(
            {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
            temporary / WEIGHTS,
        )
        card = ModelCard(
            code_version=__version__,
            source=source,
            target=target,
            corpora=corpora,  # type: ignore[arg-type]  # pydantic refuses other words
            label_names=list(label_names),
            modalities=list(modalities),
            architecture=dict(architecture),
            extraction={name: dict(identity) for name, identity in extraction.items()},
            settings=settings,
            seed=seed,
            selection=selection,
            epoch=epoch,
            profile=profile,
            calibration=calibration,
            weights_sha256=file_sha256(temporary / WEIGHTS),
        )
        text = json.dumps(card.model_dump(mode="json"), indent=1, allow_nan=False)
        (temporary / CARD).write_text(text + "\n", encoding="utf-8")
        _open_to_umask(temporary)
        _replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_model(folder: Path) -> SavedModel:
    """Read a model folder.

    Raises:
        InputError: a file is missing, is a link, is of another format or version, does not match
            the other, or holds a weight that is not finite.
    """
    folder = Path(folder)
    for name in (CARD, WEIGHTS):
        path = folder / name
        if path.is_symlink():
            raise InputError(f"{path}: is a link; a model folder holds its own files, copy it")
        if not path.is_file():
            seeds = sorted(folder.glob(f"seed-*/{name}"))
            hint = f"; did you mean {seeds[0].parent}?" if seeds else ""
            raise InputError(f"{path}: missing; a model folder holds {CARD} and {WEIGHTS}{hint}")
    card = _read_card(folder / CARD)
    content = (folder / WEIGHTS).read_bytes()
    if (found := _sha256(content)) != card.weights_sha256:
        raise InputError(
            f"{folder / WEIGHTS}: sha256 {found[:12]}, but {CARD} names "
            f"{card.weights_sha256[:12]}; the two are of different models, or the copy is damaged"
        )
    try:
        tensors = load_tensors(content)
    except SafetensorError as error:
        raise InputError(f"{folder / WEIGHTS}: not a safetensors file ({error})") from error
    _refuse_non_finite(folder / WEIGHTS, tensors)
    state: dict[str, Tensor] = {}
    standardisation: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_STATE):
            state[name.removeprefix(_STATE)] = tensor
        elif name.startswith(_STANDARDISATION) and name.count("/") == 2:
            modality, statistic = name.removeprefix(_STANDARDISATION).split("/")
            standardisation.setdefault(modality, {})[statistic] = tensor
        else:
            raise InputError(f"{folder / WEIGHTS}: unknown tensor '{name}'")
    if strangers := set(standardisation) - set(card.modalities):
        raise InputError(
            f"{folder / WEIGHTS}: statistics of '{min(strangers)}', which is no modality of {CARD}"
        )
    return SavedModel(card=card, state=state, standardisation=standardisation)


def restore(saved: SavedModel, build: Callable[[Mapping[str, Any]], nn.Module]) -> nn.Module:
    """The network of a saved model, in evaluation mode.

    Args:
        build: makes the network from `architecture`. It runs on the meta device, where no memory
            is taken, and the result must have the names and shapes of the saved tensors.

    Raises:
        InputError: the architecture cannot be built, or differs from the weights.
    """
    try:
        with torch.device("meta"):
            network = build(saved.card.architecture)
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{CARD}: architecture cannot be built ({reason})") from error
    expected = network.state_dict()
    found = saved.state
    if missing := sorted(set(expected) - set(found)):
        raise InputError(f"{WEIGHTS}: no tensor '{missing[0]}', which the architecture has")
    if extra := sorted(set(found) - set(expected)):
        raise InputError(f"{WEIGHTS}: tensor '{extra[0]}' is not in the architecture")
    for name, due in expected.items():
        shape, wanted = tuple(found[name].shape), tuple(due.shape)
        if shape != wanted:
            raise InputError(
                f"{WEIGHTS}: '{name}' has shape {shape}, the architecture needs {wanted}"
            )
        if found[name].dtype != due.dtype:
            raise InputError(
                f"{WEIGHTS}: '{name}' is of {found[name].dtype}, the architecture needs {due.dtype}"
            )
    network.load_state_dict(dict(saved.state), assign=True)
    return network.eval()


def _read_card(path: Path) -> ModelCard:
    if path.stat().st_size > MAX_CARD_BYTES:
        raise InputError(f"{path}: above {MAX_CARD_BYTES // 2**20} MiB; this is no model card")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not JSON, or cut short ({error})") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"{path}: not a model card (it has no format: {FORMAT})")
    if data.get("version") != VERSION:
        raise InputError(
            f"{path}: model version {data.get('version')!r}; this program reads {VERSION}"
        )
    try:
        return ModelCard.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']}") from error


def _refuse_non_finite(where: Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(
                f"{where}: tensor '{name.partition('/')[2]}' has values that are not finite; "
                "the training diverged, or the file is damaged"
            )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _open_to_umask(folder: Path) -> None:
    """mkdtemp makes a folder for its owner alone; outputs follow the user's umask."""
    umask = os.umask(0)
    os.umask(umask)
    folder.chmod(0o777 & ~umask)


def _replace(new: Path, final: Path) -> None:
    """Put `new` where `final` is. A folder cannot be renamed over another, so the old one steps
    aside first; it comes back when the rename fails."""
    if not final.exists():
        os.rename(new, final)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".old", dir=final.parent))
    os.rename(final, aside / "model")
    try:
        os.rename(new, final)
    except BaseException:
        os.rename(aside / "model", final)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)

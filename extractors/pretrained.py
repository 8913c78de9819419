"""What text and speech extractors share: loading an encoder, and reading its blocks.

Block k is the k-th transformer block, 1 the first; 0 is what enters it. transformers lists the
same as `hidden_states[k]`, except that its last entry may be after the model's final norm
(pre-norm models: Whisper, large wav2vec2): `last_block` says which of the two is meant. Blocks are
read by forward hooks, since what `hidden_states` holds differs between models and versions.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from amanda.store.errors import AmandaError, InputError

Blocks = nn.ModuleList | nn.Sequential

# Parameters that a checkpoint may lack, since features do not depend on them.
_UNUSED = ("pooler.", "masked_spec_embed", "decoder.", "adapter.")


def load_encoder(folder: Path, *, device: str | torch.device) -> Any:
    """The `AutoModel` of a folder: float32, in evaluation mode; no network, no chatter.

    Raises:
        InputError: the folder has no such model, or its weights do not fill the model.
    """
    from transformers import AutoModel

    with quiet():
        try:
            model, report = AutoModel.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"{folder}: no model can be loaded ({_one_line(error)})") from error
    missing = sorted(n for n in report["missing_keys"] if not n.startswith(_UNUSED))
    wrong = sorted(str(n) for n in report["mismatched_keys"])
    if missing or wrong:
        raise InputError(
            f"{folder}: the weights do not fill {type(model).__name__}: {len(missing)} missing, "
            f"{len(wrong)} of another shape, the first '{(missing + wrong)[0]}'; they are of "
            "another model than config.json says"
        )
    return model.eval().requires_grad_(False).to(device)


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a .safetensors file, or of a PyTorch checkpoint; nothing in it is run.

    A training checkpoint's tensors are those under `state_dict` or `model`.

    Raises:
        InputError: neither kind of file, or objects in it other than tensors and plain data.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        for wrapper in ("state_dict", "model"):
            if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
                state = state[wrapper]
        tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    except Exception as error:
        raise InputError(f"{path}: no weights can be read from it ({_one_line(error)})") from error
    if not tensors:
        raise InputError(f"{path}: no tensors in it")
    return tensors


def model_type(folder: Path) -> str:
    """`model_type` of a folder's config.json.

    Raises:
        InputError: there is no such file, or it does not say.
    """
    path = folder / "config.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not the description of a transformers model ({_one_line(error)})"
        ) from error


def load_preprocessor(kind: Any, folder: Path, what: str) -> Any:
    """`kind.from_pretrained(folder)`, for AutoTokenizer or AutoFeatureExtractor.

    Raises:
        InputError: the folder has none; `what` is its name in the message.
    """
    with quiet():
        try:
            return kind.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise InputError(f"{folder}: no {what} can be loaded ({_one_line(error)})") from error


@contextmanager
def quiet() -> Iterator[None]:
    """transformers without chatter and bars."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]}…"


def find_blocks(model: nn.Module, n_blocks: int) -> Blocks:
    """The list of transformer blocks: the outermost module list of that length (timm: sequence).

    Raises:
        InputError: there is none.
    """
    for kind in (nn.ModuleList, nn.Sequential):
        for module in model.modules():
            if isinstance(module, kind) and len(module) == n_blocks:
                return module
    raise InputError(
        f"{type(model).__name__}: no list of {n_blocks} transformer blocks in it; this kind of "
        "model is not known here"
    )


def check_layers(layers: Sequence[int], n_blocks: int, model: str) -> None:
    """Raise `InputError` when a block is asked for that the model does not have."""
    if layers[-1] > n_blocks:
        raise InputError(
            f"layers {list(layers)}: {model} has {n_blocks} blocks, so block {layers[-1]} is not "
            "one of them"
        )


def run_blocks(
    blocks: Blocks,
    layers: Sequence[int],
    last_block: Literal["raw", "normed"],
    forward: Callable[[], Float[Tensor, "batch time width"]],
) -> Float[Tensor, "batch time layers width"]:
    """Run `forward`, which returns the model's last hidden state, and stack what the blocks gave.

    Args:
        last_block: "normed" takes the last hidden state itself for the last block.
    """
    outputs: dict[int, Tensor] = {}
    handles = []

    def entering(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        outputs[0] = args[0] if args else kwargs["hidden_states"]

    def leaving(k: int) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            outputs[k] = output[0] if isinstance(output, tuple) else output

        return hook

    try:
        for k in layers:
            if k == 0:
                handles.append(blocks[0].register_forward_pre_hook(entering, with_kwargs=True))
            else:
                handles.append(blocks[k - 1].register_forward_hook(leaving(k)))
        last_hidden_state = forward()
    finally:
        for handle in handles:
            handle.remove()
    if last_block == "normed" and len(blocks) in layers:
        outputs[len(blocks)] = last_hidden_state
    return torch.stack([outputs[k].float() for k in layers], dim=2)


def batch_budget(asked: int | None, device: torch.device, *, cpu: int, gpu: int) -> int:
    """How much to run at once: what the settings ask for, else what suits the device.

    On a CPU small batches win, since padding and the mask cost more than they save.
    """
    return asked if asked is not None else (cpu if device.type == "cpu" else gpu)


def batches_by_length(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices in batches of similar length, longest first, each at most `budget` when padded.

    >>> batches_by_length([3, 9, 2, 8], budget=18)
    [[1, 3], [0, 2]]
    """
    batches: list[list[int]] = []
    longest = 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batches and longest * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(i)
        else:
            batches.append([i])
            longest = lengths[i]
    return batches


def length_mask(lengths: Sequence[int], device: str | torch.device) -> Tensor | None:
    """(batch, longest) bool, true where a sequence has content; None when all are equally long.

    Bool, because wav2vec2's code indexes with `~mask`, which an integer mask turns into rows -1
    and -2.
    """
    if min(lengths) == max(lengths):
        return None
    positions = torch.arange(max(lengths), device=device)
    return positions[None, :] < torch.tensor(lengths, device=device)[:, None]


def to_numpy(
    values: Float[Tensor, "time layers width"], what: str
) -> Float[np.ndarray, "time layers width"]:
    """Features on the CPU as float32, in memory of their own.

    Raises:
        AmandaError: a value is NaN or infinite: the model or its weights are broken.
    """
    array = np.array(values.to("cpu", torch.float32).numpy())
    if not np.isfinite(array).all():
        raise AmandaError(
            f"{what}: the model gave {np.count_nonzero(~np.isfinite(array))} values that are NaN "
            "or infinite; check its weights, and the device"
        )
    return array

"""How models are run: precision, memory format, compilation, and how much at once.

`fp32` is exact: no TF32, features within rounding of a forward of the clip alone. The other
precisions are faster and change features, so the feature file names them and files made with
different ones are not paired. `channels_last` and `compile` change rounding only; they are named
too (`compute`), and do not keep files apart.

How many items run at once does not change features beyond rounding, so it is chosen by memory: on a
GPU from what a first small batch took, and halved whenever memory runs out.
"""

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor, nn

from amanda.store.errors import AmandaError, InputError

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
_HALF: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}

_PROBE = 8
"""Items of the first batch on a GPU, from which the memory of one item is learned."""
_SHARE_OF_MEMORY = 0.7
_NO_MEMORY = ("out of memory", "can't allocate memory", "CUDNN_STATUS_ALLOC_FAILED")

Module = TypeVar("Module", bound=nn.Module)
Item = TypeVar("Item")
Out = TypeVar("Out")


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Where and how a network is run.

    Attributes:
        precision: fp32 (exact), tf32 (CUDA only), or autocast to bf16 or fp16 (CUDA only).
        channels_last: convolutions over channels-last memory, faster on most CPUs and GPUs.
        compile: through `torch.compile`.

    Raises:
        InputError: a precision that the device does not have.
    """

    device: torch.device
    precision: Precision = "fp32"
    channels_last: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        if self.precision in ("tf32", "fp16") and self.device.type != "cuda":
            raise InputError(
                f"precision {self.precision}: for CUDA devices only; on {self.device.type} use "
                "fp32, or bf16 where the processor has AVX512-BF16 or AMX"
            )

    @property
    def precision_note(self) -> str:
        """What `preprocessing` says of a precision that changes features; "" for fp32."""
        if self.precision == "tf32":
            return "; products in TF32"
        return f"; {self.precision} autocast" if self.precision != "fp32" else ""

    @property
    def description(self) -> str:
        """For the attribute `compute`: all that was chosen."""
        return ", ".join(
            [
                self.precision,
                *(["channels_last"] if self.channels_last else []),
                *(["torch.compile"] if self.compile else []),
            ]
        )

    def place(self, network: Module) -> Module:
        """Move a network over images to the device, in the memory format asked for.

        Weights of convolutions and linear layers are kept as autocast would make them for every
        batch anew.
        """
        if half := _HALF.get(self.precision):
            for part in network.modules():
                if type(part) in (nn.Conv2d, nn.Linear):
                    part.to(half)
        if self.channels_last:
            # nn.Module.to has no overload for a memory format alone.
            return cast(Any, network).to(self.device, memory_format=torch.channels_last)
        return network.to(self.device)

    def compiled(self, function: Callable[..., Out]) -> Callable[..., Out]:
        """`function` through `torch.compile`, where it is asked for."""
        return torch.compile(function, dynamic=True) if self.compile else function

    def compile_blocks(self, blocks: Sequence[nn.Module] | nn.ModuleList | nn.Sequential) -> None:
        """Compile each block's `forward`; hooks on the blocks stay outside and are called."""
        for block in blocks if self.compile else ():
            block.forward = torch.compile(block.forward, dynamic=True)

    def images(self, images: Tensor) -> Tensor:
        """A batch of images in the memory format asked for."""
        if self.channels_last:
            return images.contiguous(memory_format=torch.channels_last)
        return images

    @contextmanager
    def running(self) -> Iterator[None]:
        """No gradients; products and convolutions in the precision asked for."""
        tf32 = self.precision == "tf32"
        half = _HALF.get(self.precision)
        autocast = torch.autocast(self.device.type, half) if half else nullcontext()
        with torch.inference_mode(), _tf32(tf32), autocast:
            yield


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """TF32 on CUDA, or not: its error is 1e-3, and cuDNN uses it unless told otherwise."""
    products = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=False, allow_tf32=allowed
        ):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = products


class BatchSize:
    """How many items run at once: as asked, else what suits the device; less when memory runs out.

    Args:
        asked: a fixed number; None chooses.
        cpu: what is chosen on a CPU, where large batches leave the cache and gain nothing.
        most: the largest that is chosen on a GPU.
        memory_gb: how much of a GPU's memory batches may take; None: 70% of what is free.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        asked: int | None = None,
        cpu: int = 16,
        most: int = 512,
        memory_gb: float | None = None,
    ):
        self.device, self.most, self.memory_gb = device, most, memory_gb
        by_memory = asked is None and device.type == "cuda"
        self.now = asked if asked is not None else (_PROBE if by_memory else cpu)
        self._learning = by_memory

    def halve(self) -> None:
        """Run half as many at once from now on. Raises `AmandaError` when it is one already."""
        if self.now == 1:
            raise AmandaError(
                f"memory of {self.device} does not hold one item; close other programs that use "
                "it, or take --device cpu"
            )
        self._learning = False
        self.now //= 2
        logging.getLogger(__name__).info("memory ran out; %d at once from now on", self.now)

    def over(self, items: Any, run: Callable[[Any], Out]) -> Iterator[Out]:
        """`run` over consecutive slices of `items`, a list or an array."""
        start = 0
        while start < len(items):
            batch = items[start : start + self.now]
            try:
                result = self._measured(run, batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                result = None
            if result is None:
                # Outside of `except`, where the error's traceback would keep tensors alive.
                self.halve()
                release_memory(self.device)
                continue
            yield result
            start += len(batch)

    def _measured(self, run: Callable[[Any], Out], batch: Any) -> Out:
        """Run; after the first full batch on a GPU, choose the size from what it took."""
        if not self._learning or len(batch) < self.now:
            return run(batch)
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        result = run(batch)
        torch.cuda.synchronize(self.device)
        each = max(1, (torch.cuda.max_memory_allocated(self.device) - before) // len(batch))
        free, _ = torch.cuda.mem_get_info(self.device)
        budget = self.memory_gb * 1e9 if self.memory_gb else free * _SHARE_OF_MEMORY
        self.now = int(min(self.most, max(1, budget // each)))
        self._learning = False
        return result


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of a GPU or of the machine."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)


def release_memory(device: torch.device) -> None:
    """Give freed memory back, so that a smaller batch finds room."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def halving(
    batch: list[Item], run: Callable[[list[Item]], list[Out]], device: torch.device
) -> list[Out]:
    """`run(batch)`; where memory runs out, in two halves, and so on.

    For batches of sequences, whose size goes by padded length and not by number.

    Raises:
        AmandaError: memory does not hold one item.
    """
    try:
        return run(batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    if len(batch) == 1:
        raise AmandaError(
            f"memory of {device} does not hold one clip; close other programs that use it, take "
            "--device cpu, or a smaller window"
        )
    release_memory(device)
    half = len(batch) // 2
    return [*halving(batch[:half], run, device), *halving(batch[half:], run, device)]

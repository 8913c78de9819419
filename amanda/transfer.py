"""Bringing arrays to a GPU without waiting for it.

An ordinary copy makes the CPU wait until the GPU has done all work before it. Copies from
page-locked memory are only queued; the memory must then stay as it is until they are done.
"""

import numpy as np
import torch
from jaxtyping import Float16
from torch import Tensor


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """A tensor of `array` on `device`; on a CPU the same memory."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


class Staging:
    """Page-locked float16 memory on the way to a GPU: two sets, used in turns.

    A set is filled again only when the copies from it are done, which they are after a step's work
    as a rule, so that nobody waits.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.turn = 0
        self.memory: list[list[Tensor]] = [[], []]
        self.done: list[torch.cuda.Event | None] = [None, None]
        self.taken = 0

    def begin(self) -> None:
        """The next batch."""
        if self.device.type != "cuda":
            return
        if self.taken:
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(self.device))
            self.done[self.turn] = event
        self.turn, self.taken = 1 - self.turn, 0
        event_before = self.done[self.turn]
        if event_before is not None:
            event_before.synchronize()

    def take(self, n_frames: int, dim: int) -> Float16[Tensor, "n_frames dim"]:
        """Memory of this batch."""
        chunks = self.memory[self.turn]
        size = n_frames * dim
        if self.taken == len(chunks) or chunks[self.taken].numel() < size:
            fresh = torch.empty(size + size // 8, dtype=torch.float16, pin_memory=True)
            chunks[self.taken : self.taken + 1] = [fresh]
        self.taken += 1
        return chunks[self.taken - 1][:size].view(n_frames, dim)

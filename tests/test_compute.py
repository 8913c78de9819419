"""How models are run: precisions, memory formats, compilation, batches that memory decides."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_faces import SMALL_APVIT, crops, write_apvit
from torch import nn

from amanda.store.errors import AmandaError, InputError
from extractors.apvit import ApVitFeatures, load_apvit
from extractors.compute import BatchSize, Compute, halving, is_out_of_memory
from extractors.profiles import VisualSettings

CPU = torch.device("cpu")


def test_precisions_that_a_cpu_lacks_are_refused() -> None:
    for precision in ("tf32", "fp16"):
        with pytest.raises(InputError, match=f"precision {precision}: for CUDA devices only"):
            Compute(device=CPU, precision=precision)
    assert Compute(device=CPU).precision_note == ""
    chosen = Compute(device=CPU, precision="bf16", channels_last=True, compile=True)
    assert chosen.description == "bf16, channels_last, torch.compile"
    assert chosen.precision_note == "; bf16 autocast"


def test_nothing_of_a_run_stays_behind() -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with Compute(device=CPU, precision="bf16").running():
        assert torch.is_autocast_enabled("cpu")
        assert torch.is_inference_mode_enabled()
        assert not torch.backends.cudnn.allow_tf32
    assert not torch.is_autocast_enabled("cpu")
    assert not torch.is_inference_mode_enabled()
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


def test_batches_cover_everything_once() -> None:
    items = np.arange(11)
    batches = list(BatchSize(CPU, asked=4).over(items, lambda part: part.tolist()))
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert list(BatchSize(CPU).over([], len)) == []
    assert BatchSize(CPU, cpu=5).now == 5


class SmallMemory:
    """Holds so many items at once."""

    def __init__(self, most: int, error: Exception):
        self.most, self.error, self.sizes = most, error, []

    def __call__(self, part: list[int]) -> list[int]:
        self.sizes.append(len(part))
        if len(part) > self.most:
            raise self.error
        return [2 * value for value in part]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_a_batch_that_memory_does_not_hold_is_halved(error: Exception) -> None:
    batch, run = BatchSize(CPU, asked=8), SmallMemory(3, error)
    found = [value for part in batch.over(list(range(7)), run) for value in part]
    assert found == [0, 2, 4, 6, 8, 10, 12]
    # 7 and 4 are too many; from then on 2 at once, also in the next call.
    assert run.sizes == [7, 4, 2, 2, 2, 1]
    assert batch.now == 2
    run = SmallMemory(3, error)
    assert halving(list(range(7)), run, CPU) == [0, 2, 4, 6, 8, 10, 12]
    assert run.sizes == [7, 3, 4, 2, 2]


def test_one_item_too_many_is_said() -> None:
    nothing_fits = SmallMemory(0, MemoryError())
    with pytest.raises(AmandaError, match="memory of cpu does not hold one item"):
        list(BatchSize(CPU, asked=2).over([1, 2], nothing_fits))
    with pytest.raises(AmandaError, match="memory of cpu does not hold one clip"):
        halving([1, 2], nothing_fits, CPU)


def test_other_errors_are_not_taken_for_memory() -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(ValueError, match="wrong"):
        list(BatchSize(CPU).over([1], SmallMemory(0, ValueError("wrong"))))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compute") / "apvit.pth"
    write_apvit(path)
    return path


def apvit(path: Path, **options: object) -> ApVitFeatures:
    compute = Compute(device=CPU, **options)
    return ApVitFeatures(
        load_apvit(path, **SMALL_APVIT), compute=compute, batch=BatchSize(CPU, asked=4)
    )


def test_channels_last_changes_rounding_only(checkpoint: Path) -> None:
    pictures = crops(5)
    plain, fast = apvit(checkpoint)(pictures), apvit(checkpoint, channels_last=True)(pictures)
    assert np.abs(plain - fast).max() < 1e-5 * np.abs(plain).max()


def test_bf16_is_near(checkpoint: Path) -> None:
    pictures = crops(5)
    plain, rough = apvit(checkpoint)(pictures), apvit(checkpoint, precision="bf16")(pictures)
    difference = np.abs(plain - rough).mean() / np.abs(plain).mean()
    assert 1e-4 < difference < 0.1


COMPILED = """
import sys
from pathlib import Path
import numpy as np
from test_compute import apvit, crops
path, pictures = Path(sys.argv[1]), crops(5)
plain, compiled = apvit(path)(pictures), apvit(path, compile=True)(pictures)
print(np.abs(plain - compiled).max() / np.abs(plain).max())
"""


@pytest.mark.slow
def test_compilation_changes_rounding_only(checkpoint: Path) -> None:
    """In a process of its own: checks of shapes, which tests switch on, do not compile."""
    done = subprocess.run(
        [sys.executable, "-c", COMPILED, str(checkpoint)],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) < 1e-5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch, about its own modules
def test_hooks_see_compiled_blocks() -> None:
    """`compile_blocks` compiles each block's forward, around which hooks are called."""
    torch.manual_seed(0)
    blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.GELU()) for _ in range(2))
    x = torch.randn(3, 4)
    with torch.inference_mode():
        expected = blocks[0](x)
    Compute(device=CPU, compile=True).compile_blocks(blocks)
    seen: list[torch.Tensor] = []
    blocks[0].register_forward_hook(lambda _m, _a, out: seen.append(out))
    with torch.inference_mode():
        blocks[1](blocks[0](x))
    torch.testing.assert_close(seen[0], expected)


def test_speed_settings_reach_the_network() -> None:
    settings = VisualSettings(
        n_frames=4,
        detector="s3fd",
        detector_weights="s3fd",
        model="apvit",
        precision="bf16",
        channels_last=True,
    )
    assert settings.compute(CPU) == Compute(device=CPU, precision="bf16", channels_last=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpus_batch_is_as_large_as_memory_allows() -> None:
    device = torch.device("cuda")
    batch = BatchSize(device, memory_gb=0.2, most=100_000)
    items = torch.zeros(400, 1_000_000)  # 4 MB each, doubled by what is made of them
    made = list(batch.over(items, lambda part: (part.to(device) * 2).sum(dim=1).cpu()))
    assert sum(len(part) for part in made) == 400
    assert 12 <= batch.now <= 50


def test_weights_in_half_precision_are_those_that_autocast_makes() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.LayerNorm(32), nn.Linear(32, 5)
    ).eval()
    images = torch.randn(4, 3, 4, 4)
    compute = Compute(device=CPU, precision="bf16")
    with compute.running():
        expected = network(images)
    placed = compute.place(network)
    assert placed[0].weight.dtype == torch.bfloat16
    assert placed[3].weight.dtype == torch.float32
    with compute.running():
        assert torch.equal(placed(images), expected)

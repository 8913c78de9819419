"""A new HDF5 file on a disk that fills up: an error, never a crash, and no file."""

import subprocess
import sys
from pathlib import Path

# Every size at which the disk may be full, in one process: a crash would end it.
SWEEP = """
import resource, sys
from pathlib import Path
import h5py, numpy as np
from amanda.store.hdf5 import new_hdf5

def write(path):
    with new_hdf5(path) as file:
        for name in ("one", "two"):
            group = file.create_group(name)
            group["values"] = np.ones((400, 2, 16), np.float16)
            for column in ("id", "text", "status"):
                texts = [f"{column} {i} " * (i % 7) for i in range(60)]
                group.create_dataset(column, data=texts, dtype=h5py.string_dtype())
            joined = group.create_dataset("joined", (80,), h5py.string_dtype())
            joined[:50] = [f"a {i}" for i in range(50)]
            joined[50:] = [f"b {i}" for i in range(30)]
            group.attrs["note"] = "x" * 500

folder = Path(sys.argv[1])
write(folder / "whole.h5")
size = (folder / "whole.h5").stat().st_size
n = 0
for limit in range(0, size, 509):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write(folder / "full.h5")
    except OSError as error:
        assert error.filename == str(folder / "full.h5"), error
        n += 1
assert [path.name for path in folder.iterdir()] == ["whole.h5"]
print(n, len(range(0, size, 509)))
"""


def test_a_disk_full_at_any_size_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SWEEP, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])
    failed, tried = map(int, done.stdout.split())
    assert failed == tried > 100

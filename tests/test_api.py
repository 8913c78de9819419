"""What `import amanda` offers, and the page that shows it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_features import write_corpus, write_pair

import amanda
from amanda.store.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


def test_importing_costs_nothing():
    code = "import amanda, sys; print([m for m in ('torch', 'h5py', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_offered_is_listed_and_nothing_else():
    assert {"FeatureFile", "load", "train"} <= set(dir(amanda))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = amanda.trian


def test_a_wrong_setting_names_the_nearest(tmp_path):
    pair = write_pair(tmp_path)
    with pytest.raises(InputError, match="unknown setting 'epoch'; did you mean 'epochs'"):
        amanda.train(*pair, epoch=3)


def test_the_page_on_python(tmp_path, monkeypatch):
    """Runs the page's first example as it stands, on small files under the names it gives."""
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.S)
    (tmp_path / "features").mkdir()
    for name in ("ie", "msp"):
        write_corpus(tmp_path / f"features/{name}.h5", seed=len(name))
    monkeypatch.chdir(tmp_path)
    done: dict = {}
    exec(compile(example, "docs/python.md", "exec"), done)
    assert done["result"].file.pair == "ie2msp"
    assert done["result"].path.parent == Path(".")
    assert (tmp_path / "alignment.png").stat().st_size > 5000

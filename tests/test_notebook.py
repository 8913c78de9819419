"""The notebook, executed from its first cell to its last, on smaller corpora than it names."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow  # draws two corpora, extracts and trains
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the notebook's own machinery
def test_it_runs_and_ends_with_a_figure(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(ROOT / "notebooks/first-adaptation.ipynb", as_version=4)
    (budget,) = [cell for cell in notebook.cells if "UTTERANCES = 60" in cell.source]
    budget.source = budget.source.replace("UTTERANCES = 60", "UTTERANCES = 40")
    client = NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    assert (tmp_path / "alignment.png").stat().st_size > 10_000
    said = [
        output.get("text", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    ]
    assert "nothing here is evidence for a method" in "".join(said)
    assert "joint: " in said[-1]

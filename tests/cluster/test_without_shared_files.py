"""The workflow where jobs share no folder, as on Kubernetes: files go through a store.

The store is a folder, through Snakemake's `fs` plugin, which copies by rsync. A job is given copies
of what its rule names as input, and no file beside them.
"""

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))

from small_models import write_models
from workflow_runs import snakemake, write_clips, write_config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("rsync") is None, reason="no rsync on this machine"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """Where snakemake is called, with the config alone; and the store, with the user's CSVs."""
    called, store, volume = (
        tmp_path_factory.mktemp(name) for name in ("called", "store", "volume")
    )
    for name, seed in (("ie", 0), ("msp", 100)):
        write_clips(volume / name, clips_a_file=4, seed=seed)
        rows = (volume / name / "clips.csv").read_text(encoding="utf-8")
        (store / name).mkdir()
        for wav in (volume / name).glob("*.wav"):
            rows = rows.replace(f",{wav.name},", f",{wav},")
        (store / name / "clips.csv").write_text(rows, encoding="utf-8")
    modalities = ["acoustic", "lexical"]
    write_config(
        called,
        corpora={
            name: {"manifest": f"{name}/clips.csv", "extract": modalities} for name in ("ie", "msp")
        },
        pairs=["ie2msp"],
        profile=str(write_models(volume / "models")),
        methods=["direct_transfer", "amanda:norm:2"],
        seeds=1,
        train={"epochs": 2, "batch_size": 8},
        shards=2,
        budget="smoke",
    )
    return called, store


@pytest.fixture(scope="module")
def done(folders):
    called, store = folders
    return snakemake(
        called,
        *("--default-storage-provider", "fs", "--default-storage-prefix", str(store)),
        *("--shared-fs-usage", "none", "--latency-wait", "5"),
        *("results/ie2msp.json", "results/report.html", "results/ablation.json"),
        *("figures/representations_ie2msp.svg",),
    )


def test_everything_arrives_in_the_store(folders, done):
    assert done.returncode == 0, done.stdout
    called, store = folders
    result = json.loads((store / "results/ie2msp.json").read_text(encoding="utf-8"))
    assert [method["method"] for method in result["methods"]] == ["direct_transfer", "amanda"]
    for name in (
        "features/ie.h5",
        "features/msp.h5",
        "results/ie2msp.predictions.csv",
        "results/report.html",
        "results/ablation.json",
        "figures/representations_ie2msp.svg",
    ):
        assert (store / name).stat().st_size > 0, name
        assert not (called / name).exists(), name


def test_merged_shards_are_gone(folders, done):
    assert done.returncode == 0, done.stdout
    assert not any((folders[1] / "features/shards").rglob("*.h5"))


def test_the_report_has_the_methods(folders, done):
    assert done.returncode == 0, done.stdout
    assert "A-N (p=2)" in (folders[1] / "results/report.html").read_text(encoding="utf-8")

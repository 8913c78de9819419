"""Two corpora of real recordings through the whole workflow, from their CSVs and a config alone.

RAVDESS (English) to EmoDB (German): speech and text, no video. Figures of so few utterances mean
nothing; that everything runs, and what is said about the languages, is what is tested.
"""

import json

import pytest
from workflow_runs import plan, snakemake, write_config

pytestmark = [pytest.mark.slow, pytest.mark.weights]


@pytest.fixture(scope="module")
def folder(real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    corpora = {
        name: {"manifest": str(real_data / name / f"{name}.csv"), "split": "column"}
        for name in ("ravdess", "emodb")
    }
    write_config(
        folder,
        corpora=corpora,
        pairs=["ravdess2emodb"],
        methods=["direct_transfer", "amanda:norm:2"],
        seeds=1,
        train={"epochs": 3, "batch_size": 16},
        shards=1,
    )
    return folder


def test_ravdess_to_emodb(folder):
    done = snakemake(folder, "results/ravdess2emodb.json")
    assert done.returncode == 0, done.stdout
    result = json.loads((folder / "results/ravdess2emodb.json").read_text(encoding="utf-8"))
    assert result["corpora"] == "real"
    assert [method["method"] for method in result["methods"]] == ["direct_transfer", "amanda"]
    for method in result["methods"]:
        assert set(method["runs"][0]["selections"]["last"]["branches"]) == {"acoustic", "lexical"}
        (score,) = method["aggregate"]["last"]["weighted_f1"]["values"]
        assert 0 < score < 1
    log = (folder / "logs/extract/emodb/0-of-1.log").read_text(encoding="utf-8")
    assert "the corpus is in 'de'" in log
    assert "was trained on 'en'" in log
    assert "multilingual" in log
    assert plan(folder, "results/ravdess2emodb.json") == {}

"""The stand-in corpora through the real readers, detector and expression network.

The generator knows where it drew each head and who speaks; the extraction is held against that.
"""

import json
from pathlib import Path

import pytest

from amanda.store.features import FeatureFile
from corpora.manifest import build_manifest
from corpora.standin import write_standin
from extractors.extract import run_extraction

pytestmark = [pytest.mark.slow, pytest.mark.weights]

PRIOR = {"neutral": 3.0, "happy": 3.0, "sad": 2.0, "angry": 2.0}
GAP = {"visual": 1.0, "acoustic": 1.0, "lexical": 1.0}
N_UTTERANCES = 40


@pytest.fixture(scope="module", params=["ie", "msp"])
def extracted(request, tmp_path_factory):
    """A small stand-in corpus's visual features, and what the generator says of each utterance."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    write_standin(
        request.param, folder / "raw", n_utterances=N_UTTERANCES, seed=5, prior=PRIOR, gap=GAP
    )
    build_manifest(request.param, folder / "raw", folder / "m.csv")
    run_extraction(
        folder / "m.csv",
        folder / "f.h5",
        profile="embedded",
        config=None,
        corpus=request.param,
        shard=None,
        n_shards=1,
        modalities=["visual"],
        device="cpu",
        downmix=False,
        max_failed=0.0,
        estimate=False,
    )
    truth = json.loads((folder / "raw" / "standin.json").read_text(encoding="utf-8"))["truth"]
    return FeatureFile(folder / "f.h5"), truth


def test_a_face_is_found_in_at_least_95_percent_of_frames(extracted):
    features, _ = extracted
    valid = features.modality("visual").read().valid
    assert len(features) == N_UTTERANCES
    assert len(valid) == N_UTTERANCES * 16
    assert valid.mean() >= 0.95


def test_the_face_is_the_speakers_in_every_utterance(extracted):
    features, truth = extracted
    visual = features.modality("visual")
    boxes, sequences = visual.group["boxes"][:], visual.read()
    sides = set()
    for row, name in enumerate(features.ids):
        here = slice(sequences.offsets[row], sequences.offsets[row + 1])
        found = boxes[here][sequences.valid[here]]
        centre = found[:, [0, 2]].mean(), found[:, [1, 3]].mean()
        x0, y0, x1, y1 = truth[name]["head_box"]
        assert x0 < centre[0] < x1, name
        assert y0 < centre[1] < y1, name
        sides.add(truth[name]["side"])
    assert sides == ({"left", "right"} if features.corpus == "ie" else {"only"})


def test_labels_speakers_and_origin_are_the_generators(extracted):
    features, truth = extracted
    assert features.origin == "stand-in"
    for row, name in enumerate(features.ids):
        assert features.label_names[features.label[row]] == truth[name]["label"]

"""The stand-in corpora through the real readers, detector and expression network.

The generator knows where it drew each head and who speaks; the extraction is held against that.
"""

from pathlib import Path

import numpy as np
import pytest
from standin_corpora import faces_at, mark

from amanda.store.features import FeatureFile
from corpora.manifest import build_manifest
from corpora.standin import write_standin
from extractors.extract import run_extraction

pytestmark = [pytest.mark.slow, pytest.mark.weights]

PRIOR = {"neutral": 3.0, "happy": 3.0, "sad": 2.0, "angry": 2.0}
GAP = {"visual": 1.0, "acoustic": 1.0, "lexical": 1.0}
N_UTTERANCES = {"ie": 40, "msp": 40, "meld": 24, "mosei": 24}
ALONE = ("ie", "msp", "mosei")  # in a picture, or half of one


@pytest.fixture(scope="module", params=sorted(N_UTTERANCES))
def extracted(request, tmp_path_factory):
    """A small stand-in corpus's visual features, and what the generator says of each utterance."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    n = N_UTTERANCES[request.param]
    write_standin(request.param, folder / "raw", n_utterances=n, seed=5, prior=PRIOR, gap=GAP)
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
    return FeatureFile(folder / "f.h5"), mark(folder / "raw")["truth"]


def frames(features, truth):
    """Of every frame: the utterance, whether a face was found, its box, and the true faces."""
    visual = features.modality("visual")
    boxes, sequences, times = visual.group["boxes"][:], visual.read(), visual.group["time_s"][:]
    for row, name in enumerate(features.ids):
        for i in range(sequences.offsets[row], sequences.offsets[row + 1]):
            time_s = truth[name]["start_s"] + times[i]
            yield name, bool(sequences.valid[i]), boxes[i], faces_at(truth[name], time_s)


def test_a_face_is_found_in_at_least_95_percent_of_the_frames_that_show_one(extracted):
    features, truth = extracted
    n = N_UTTERANCES[features.corpus]
    assert len(features) == n
    found = [valid for _, valid, _, faces in frames(features, truth) if faces]
    assert 0.9 * 16 * n < len(found) <= 16 * n
    assert np.mean(found) >= 0.95


def test_what_is_found_is_a_face_that_was_drawn_there(extracted):
    features, truth = extracted
    for name, valid, box, faces in frames(features, truth):
        if not valid:
            continue
        x, y = box[[0, 2]].mean(), box[[1, 3]].mean()
        within = [x0 < x < x0 + w and y0 < y < y0 + h for x0, y0, w, h in faces.values()]
        assert sum(within) == 1, name


def test_the_face_is_the_speakers_in_every_utterance(extracted):
    features, truth = extracted
    if features.corpus not in ALONE:
        pytest.skip("several people in the picture: tests of speaker choice")
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

"""What `amanda check` says of the faces in a feature file."""

import h5py
import numpy as np
import pytest

from amanda.store.check import check_files
from amanda.store.features import ModalityTable, Ragged, UtteranceTable, write_features

IDS = ["u1", "u2", "u3"]
BOX = [0.1, 0.2, 0.4, 0.8]


@pytest.fixture
def sound_file(tmp_path):
    """Three utterances of two frames, the last without a face."""
    boxes = np.array([BOX, BOX, BOX, [0] * 4, [0] * 4, [0] * 4], np.float32)
    valid = boxes.any(axis=1)
    path = tmp_path / "features.h5"
    write_features(
        path,
        UtteranceTable(
            id=IDS,
            label=np.zeros(3, np.int8),
            split=["train"] * 3,
            speaker=[""] * 3,
            group=[""] * 3,
            text=[""] * 3,
            start_s=np.zeros(3),
            end_s=np.ones(3),
            source=["a.mp4"] * 3,
        ),
        {
            "visual": ModalityTable(
                data=Ragged(
                    values=np.ones((6, 1, 4), np.float16),
                    offsets=np.array([0, 2, 4, 6]),
                    valid=valid,
                ),
                time_s=np.array([0, 0.5] * 3),
                status=["ok", "ok", "no_face"],
                detail=["", "", "no face"],
                attrs=dict.fromkeys(("extractor", "model", "revision", "preprocessing"), "x")
                | {"layers": ["last"]},
                extra={
                    "boxes": boxes,
                    "runner_up_boxes": np.zeros((6, 4), np.float32),
                    "score": np.where(valid, 0.9, 0.0).astype(np.float32),
                    "track": np.where(valid, 0, -1).astype(np.int16),
                },
                rows={
                    "face_score": np.array([0.9, 0.8, 0], np.float32),
                    "face_runner_up": np.zeros(3, np.float32),
                    "face_track": np.array([0, 0, -1], np.int16),
                    "runner_up_track": np.full(3, -1, np.int16),
                    "n_tracks": np.array([1, 1, 0], np.int32),
                    "face_rule": np.array(["only", "only", "none"], object),
                },
            )
        },
        corpus="toy",
        profile="small",
    )
    return path


def problems(path) -> list[str]:
    return check_files([path])


def test_what_extraction_writes_is_sound(sound_file):
    assert problems(sound_file) == []


@pytest.mark.parametrize(
    ("dataset", "at", "value", "message"),
    [
        ("boxes", 2, [10, 20, 40, 80], "u2: boxes of visual are no fractions of the frame"),
        ("boxes", 0, [0.4, 0.2, 0.1, 0.8], "u1: boxes of visual are no boxes x0, y0, x1, y1"),
        ("boxes", 0, [0, 0, 0, 0], "u1: frames of visual are valid, but show no box"),
        ("boxes", 1, [np.nan] * 4, "u1: boxes of visual are no fractions"),
        ("runner_up_boxes", 5, [0, 0, 2, 2], "u3: runner_up_boxes of visual are no fractions"),
        ("score", 0, 1.5, "u1: score of visual is not from 0 to 1"),
        ("track", 4, -2, "u3: track of visual is not from -1 up"),
        ("face_score", 1, 7, "u2: face_score of visual is not from 0 to 1"),
        ("n_tracks", 2, -1, "u3: n_tracks of visual is not from 0 up"),
        ("face_rule", 1, "guess", "u2: face_rule of visual 'guess' is unknown"),
    ],
)
def test_each_defect_is_named(sound_file, dataset, at, value, message):
    with h5py.File(sound_file, "a") as file:
        file[f"visual/{dataset}"][at] = value
    [problem] = problems(sound_file)
    assert message in problem


def test_a_dataset_of_another_shape(sound_file):
    with h5py.File(sound_file, "a") as file:
        del file["visual/boxes"]
        file["visual/boxes"] = np.zeros((6, 5))
    assert "/visual/boxes has shape (6, 5)" in problems(sound_file)[0]

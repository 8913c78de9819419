"""Contact sheets: every utterance once, the doubtful first; the CSV that mends a choice."""

import csv
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from small_models import BrightSquares, write_models, write_recording

from amanda.store.errors import InputError
from amanda.store.features import FeatureFile
from extractors.boxes import Detections
from extractors.contact_sheets import read_choices, write_contact_sheets
from extractors.contact_sheets_draw import CHOSEN, HEAD, OTHER, ROW, ROWS, Chosen, _spread, _wrap
from extractors.extract import run_extraction
from extractors.faces import DETECTORS


class BrightSquareAndCorner(BrightSquares):
    """Beside the bright square, always a small face in the corner at the bottom right."""

    def _one(self, bright: np.ndarray) -> Detections:
        found = super()._one(bright)
        height, width = bright.shape
        corner = np.array([[width - 14, height - 14, width, height]], np.float32)
        return Detections(
            boxes=np.concatenate([found.boxes, corner]),
            scores=np.concatenate([found.scores, np.array([0.6], np.float32)]),
        )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Features of three recordings: a square and a corner, a corner alone, and no recording."""
    folder = tmp_path_factory.mktemp("corpus")
    profile = write_models(tmp_path_factory.mktemp("models"))
    write_recording(folder / "one.mp4", 2.0, seed=1)
    write_recording(folder / "two.mp4", 1.0, face=False, seed=2)
    manifest = folder / "toy.csv"
    manifest.write_text(
        "id,path,start_s,end_s\na,one.mp4,0,1\nb,one.mp4,1,2\nc,two.mp4,,\nd,absent.mp4,,\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DETECTORS, "retinaface", BrightSquareAndCorner)
        said = run_extraction(
            manifest,
            folder / "toy.h5",
            profile=str(profile),
            modalities=["visual"],
            max_failed=0.5,
            contact_sheets=folder / "sheets",
        )
    return folder, said, str(profile)


def rows_of(folder: Path) -> list[dict]:
    with open(folder / "choices.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_utterance_is_there_once_the_doubtful_first(corpus):
    folder, said, _ = corpus
    rows = rows_of(folder / "sheets")
    assert rows[-1]["id"] == "d"  # unreadable: there is nothing to look at
    assert sorted(row["id"] for row in rows) == ["a", "b", "c", "d"]
    clarity = [float(r["margin"]) * float(r["coverage"]) for r in rows if r["person"]]
    assert clarity == sorted(clarity)
    assert {row["id"]: row["persons"] for row in rows} == {"a": "2", "b": "2", "c": "1", "d": "0"}
    assert "4 utterances on 1 sheets" in said


def test_pictures_without_a_face_come_before_all_others():
    face = dict.fromkeys(("row", "n_persons", "runner_up"), 0) | {"name": "", "detail": ""}
    face |= {"rule": "", "boxes": np.zeros((1, 4)), "runner_up_boxes": np.zeros((1, 4))}
    chosen = [
        Chosen(**face, status=status, person=person, score=score, runner_up_score=1.0, coverage=0.5)
        for status, person, score in (
            ("no_face", -1, 0.0),
            ("ok", 0, 1.0),
            ("ok", 0, 4.0),
            ("no_video", -1, 0.0),
        )
    ]
    assert [each.clarity for each in chosen] == [-1.0, 0.0, 1.5, math.inf]


def test_the_sheet_shows_boxes_of_both_persons(corpus):
    folder, _, _ = corpus
    image = np.asarray(Image.open(folder / "sheets" / "sheet_001.png"))
    names = [row["id"] for row in rows_of(folder / "sheets")]

    def strip(name):
        top = HEAD + names.index(name) * ROW
        return image[top : top + ROW - 8, 300:]

    def pixels(name, colour):
        return int((strip(name) == np.array(colour)).all(axis=-1).sum())

    assert pixels("a", CHOSEN) > 50
    assert pixels("a", OTHER) > 20
    assert pixels("c", CHOSEN) > 20
    assert pixels("c", OTHER) == 0
    assert pixels("d", CHOSEN) == 0


def test_the_page_stays_where_it_is(corpus):
    folder, _, _ = corpus
    html = (folder / "sheets" / "index.html").read_text(encoding="utf-8")
    assert 'name="viewport"' in html  # else a phone shows it as a desk, in tiny letters
    assert 'src="sheet_001.png"' in html
    assert "http" not in html
    assert "1 without a face, 2 with several persons" in html


def test_a_users_choice_changes_the_face_and_is_named(corpus, tmp_path, monkeypatch):
    folder, _, profile = corpus
    monkeypatch.setitem(DETECTORS, "retinaface", BrightSquareAndCorner)
    free = {row["id"]: row for row in rows_of(folder / "sheets")}
    other = 1 - int(free["a"]["person"])
    (tmp_path / "faces.csv").write_text(f'id,face\na,{other}\nb,none\nc,"0.8,0.7,1,1"\nd,7\n')
    run_extraction(
        folder / "toy.csv",
        tmp_path / "told.h5",
        profile=profile,
        modalities=["visual"],
        max_failed=1.0,
        faces=tmp_path / "faces.csv",
        contact_sheets=tmp_path / "sheets",
    )
    told = {row["id"]: row for row in rows_of(tmp_path / "sheets")}
    assert (told["a"]["person"], told["a"]["chosen_by"]) == (str(other), "track")
    assert (told["b"]["status"], told["b"]["chosen_by"]) == ("no_face", "nobody")
    assert told["c"]["chosen_by"] == "box"
    with FeatureFile(tmp_path / "told.h5") as features, FeatureFile(folder / "toy.h5") as before:
        mine, theirs = (f.modality("visual").group["boxes"][:4] for f in (features, before))
        detail = features.modality("visual").detail
        assert features.attrs["faces_sha256"]
        assert features.attrs["extraction_key"] != before.attrs["extraction_key"]
    assert not np.allclose(mine, theirs)
    assert "not in the picture" in detail[1]


def test_a_choice_that_does_not_fit_fails_that_clip_alone(corpus, tmp_path, monkeypatch):
    folder, _, profile = corpus
    monkeypatch.setitem(DETECTORS, "retinaface", BrightSquareAndCorner)
    (tmp_path / "faces.csv").write_text("id,face\na,9\n")
    run_extraction(
        folder / "toy.csv",
        tmp_path / "told.h5",
        profile=profile,
        modalities=["visual"],
        max_failed=1.0,
        faces=tmp_path / "faces.csv",
    )
    with FeatureFile(tmp_path / "told.h5") as features:
        visual = features.modality("visual")
        assert visual.status[:3] == ["failed", "ok", "ok"]
        assert visual.detail[0] == "person 9 was asked for, but there are 2 (from 0)"


def test_sheets_are_written_over_sheets_and_over_nothing_else(corpus, tmp_path):
    folder, _, _ = corpus
    sheets = tmp_path / "sheets"
    write_contact_sheets(folder / "toy.h5", folder / "toy.csv", sheets)
    (sheets / "sheet_009.png").write_bytes(b"of an earlier, longer corpus")
    write_contact_sheets(folder / "toy.h5", folder / "toy.csv", sheets)
    assert not (sheets / "sheet_009.png").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("work of years")
    with pytest.raises(InputError, match="holds files that are no contact sheets"):
        write_contact_sheets(folder / "toy.h5", folder / "toy.csv", tmp_path / "mine")


def test_another_manifest_or_file_is_refused(corpus, tmp_path):
    folder, _, _ = corpus
    (tmp_path / "other.csv").write_text("id,path\nx,one.mp4\n")
    with pytest.raises(InputError, match="has no id 'a'"):
        write_contact_sheets(folder / "toy.h5", tmp_path / "other.csv", tmp_path / "s")
    old = tmp_path / "old.h5"
    old.write_bytes((folder / "toy.h5").read_bytes())
    with h5py.File(old, "a") as file:
        del file["visual/runner_up_boxes"]
    with pytest.raises(InputError, match="/visual has no runner_up_boxes"):
        read_choices(old)


def test_parts_by_hand():
    np.testing.assert_array_equal(_spread(16, 4), [2, 6, 10, 14])
    np.testing.assert_array_equal(_spread(2, 6), [0, 1])
    assert len(_spread(0, 6)) == 0
    assert ROWS * ROW < 4000  # a sheet stays a picture that viewers open
    import PIL.ImageDraw
    import PIL.ImageFont

    draw = PIL.ImageDraw.Draw(Image.new("RGB", (10, 10)))
    font = PIL.ImageFont.load_default(12)
    lines = _wrap(draw, "no face in any of the sixteen frames", font, 90)
    assert " ".join(lines) == "no face in any of the sixteen frames"
    assert all(draw.textlength(line, font=font) <= 90 for line in lines)

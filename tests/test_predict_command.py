"""`amanda predict` on recordings, by the commands of docs/predict.md: as the evaluation answers."""

import csv
import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from small_models import BrightSquares, write_models, write_recording

from amanda import cli
from amanda.calibration import calibrated
from amanda.models import load_model
from amanda.predictions import predictions_path, read_predictions
from amanda.store.names import CLASSES
from extractors.contact_sheets_draw import CHOSEN, EDGE, HEAD, ROW, TEXT_WIDTH
from extractors.extract import run_extraction
from extractors.faces import DETECTORS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "predict.md"
SMALL = "--seeds 1 --epochs 2 --set dim=8 --set channels=4 --set batch_size=8 --device cpu"
CLIPS = {
    "anna/all.mp4": {},
    "anna/silent.mp4": {"sound": False},
    "ben/faceless.mkv": {"face": False},
    "ben/voice.wav": {"picture": False},
    "ben/mute.mp4": {},
}
"""Recordings that no training sees; the last one has no words beside it."""


def commands() -> list[list[str]]:
    """What the page says to type, in order."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


def amanda(*arguments: object) -> int:
    """Exit code of `amanda ARGUMENTS` in this process, where the detector is `BrightSquares`."""
    before, sys.argv = sys.argv, ["amanda", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as stop:
            cli.main()
    finally:
        sys.argv = before
    return int(stop.value.code or 0)


def table(path: Path) -> dict[str, dict[str, str]]:
    """The rows of a prediction table by id."""
    with open(path, newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


@pytest.fixture(autouse=True)
def _bright_squares(monkeypatch):
    monkeypatch.setitem(DETECTORS, "retinaface", BrightSquares)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A working folder where the page's first command was given: models/ie2msp, and clips beside.

    The clips are the test split of the target, so r.predictions.csv holds what the evaluation says
    of them.
    """
    folder = tmp_path_factory.mktemp("predict")
    profile = yaml.safe_load(write_models(tmp_path_factory.mktemp("models")).read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({"profiles": {"small": profile}}))
    (folder / "features").mkdir()
    for name, has in CLIPS.items():
        (folder / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        write_recording(folder / "clips" / name, 1.0, seed=len(name), **has)
        if "mute" not in name:
            words = (folder / "clips" / name).with_suffix(".txt")
            words.write_text("we never go home\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DETECTORS, "retinaface", BrightSquares)
        patch.chdir(folder)
        for seed, corpus in enumerate(("ie", "msp")):
            write_recording(folder / f"{corpus}.mp4", 6.0, seed=seed)
            rows = [
                f"{corpus}{k},{corpus}.mp4,{0.3 * k},{0.3 * k + 1},i am {CLASSES[k % 4][:3]},"
                f"{CLASSES[k % 4]},{'train' if k < 12 else 'val'}"
                for k in range(16)
            ]
            for name in CLIPS if corpus == "msp" else ():
                words = "" if "mute" in name else "we never go home"
                path = Path(name)
                rows.append(f"{path.parent}_{path.stem},clips/{name},,,{words},happy,test")
            if corpus == "ie":
                rows.append("ie_test,ie.mp4,5,6,i am sad,sad,test")
            head = "id,path,start_s,end_s,text,label,split"
            manifest = folder / f"{corpus}.csv"
            manifest.write_text("\n".join([head, *rows]) + "\n")
            out = folder / f"features/{corpus}.h5"
            run_extraction(manifest, out, profile="small", config=folder / "config.yaml")
        train, _ = commands()
        assert amanda(*train, *SMALL.split()) == 0
    return folder


def test_the_page(trained, monkeypatch, capsys):
    """The second command gives what the evaluation gave; the folder holds a broken clip."""
    monkeypatch.chdir(trained)
    broken = trained / "clips/anna/broken.mp4"
    broken.write_text("not a film")
    _, predict = commands()
    assert amanda(*predict, "--config", "config.yaml") == 0
    broken.unlink()
    said = capsys.readouterr()
    assert "5 of 5 clips predicted" in said.out
    assert "broken.mp4" in said.err
    rows = table(trained / "predictions.csv")
    (block,) = read_predictions(predictions_path(trained / "r.json"), CLASSES, ["last"])
    assert sorted(rows) == sorted(block.ids)
    card = load_model(trained / "models/ie2msp/seed-0").card
    expected = calibrated(block.probabilities, card.calibration)
    for i, clip in enumerate(block.ids):
        found = np.array([float(rows[clip][f"p_{name}"]) for name in CLASSES])
        np.testing.assert_allclose(found, expected[i], atol=1e-5, err_msg=clip)
    assert len({tuple(row) for row in expected.round(4).tolist()}) == 5
    assert {clip: row["modalities"] for clip, row in rows.items()} == {
        "anna_all": "acoustic+visual+lexical",
        "anna_silent": "visual+lexical",
        "ben_faceless": "acoustic+lexical",
        "ben_voice": "acoustic+lexical",
        "ben_mute": "acoustic+visual",
    }
    assert not list(trained.glob(".predictions*"))


def test_too_many_broken_clips_end_in_3_and_the_others_are_predicted(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    (trained / "broken.mp4").write_text("not a film")
    (trained / "list.csv").write_text("id,path\ngood,clips/anna/all.mp4\nbad,broken.mp4\n")
    flags = ["--model", "models/ie2msp/seed-0", "--clips", "list.csv", "--config", "config.yaml"]
    assert amanda("predict", *flags, "--out", "some.csv", "--json") == 3
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert (summary["n"], summary["unpredicted"]) == (2, 1)
    assert re.search(r"Error: .* 1 clips failed, .*\(--max-failed\); the first is bad ", said.err)
    rows = table(trained / "some.csv")
    assert rows["good"]["predicted"] in CLASSES
    assert rows["bad"]["predicted"] == rows["bad"]["modalities"] == rows["bad"]["p_sad"] == ""
    assert amanda("predict", *flags, "--out", "some.csv", "--max-failed", "0.5") == 0


def test_recordings_of_a_folder_that_do_not_open_count_too(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    folder = trained / "mixed"
    folder.mkdir()
    shutil.copy(trained / "clips/anna/all.mp4", folder / "good.mp4")
    for name in ("bad.mp4", "worse.wav"):
        (folder / name).write_text("no recording")
    flags = ["--model", "models/ie2msp/seed-0", "--clips", "mixed", "--config", "config.yaml"]
    assert amanda("predict", *flags, "--out", "mixed.csv") == 3
    said = capsys.readouterr()
    assert "1 of 1 clips predicted" in said.out
    assert "Error: mixed: 2 of 3 recordings do not open, more than --max-failed 0.2" in said.err
    assert table(trained / "mixed.csv")["good"]["predicted"] in CLASSES
    assert amanda("predict", *flags, "--out", "mixed.csv", "--max-failed", "0.7") == 0


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ("nowhere", "nowhere: no such file or folder; name clips to predict"),
        ("features", "features"),
    ],
)
def test_nothing_to_predict(trained, monkeypatch, capsys, clips, message):
    monkeypatch.chdir(trained)
    model = ["--model", "models/ie2msp/seed-0", "--config", "config.yaml", "--out", "none.csv"]
    assert amanda("predict", *model, "--clips", clips) == 2
    assert message in capsys.readouterr().err
    assert not (trained / "none.csv").exists()


def test_contact_sheets_show_what_was_predicted(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    _, predict = commands()
    flags = ["--config", "config.yaml", "--contact-sheets", "sheets"]
    assert amanda(*predict, *flags) == 0
    assert "sheets/index.html, 5 utterances on 1 sheets" in capsys.readouterr().err
    predicted = table(trained / "predictions.csv")
    with open(trained / "sheets/choices.csv", newline="", encoding="utf-8") as file:
        shown = {row["id"]: row["predicted"] for row in csv.DictReader(file)}
    assert shown == {
        clip: f"{row['predicted']} {float(row['confidence']):.2f}"
        for clip, row in predicted.items()
    }
    assert "the class that the model predicts" in (trained / "sheets/index.html").read_text()
    # The words are on the picture, in the colour of the chosen face, left of where pictures begin.
    sheet = np.asarray(Image.open(trained / "sheets/sheet_001.png"))[:, : EDGE + TEXT_WIDTH]
    written = [
        (sheet[HEAD + k * ROW + 88 : HEAD + k * ROW + 112] == CHOSEN).all(axis=-1).sum()
        for k in range(5)
    ]
    assert min(written) > 20


@pytest.mark.parametrize(
    ("clips", "folder", "message"),
    [
        ("features/msp.h5", "s", "holds features and no pictures; name the recordings in --clips"),
        ("clips", "features", "holds files that are no contact sheets; choose another folder"),
    ],
)
def test_contact_sheets_that_cannot_be_are_refused_at_once(
    trained, monkeypatch, capsys, clips, folder, message
):
    monkeypatch.chdir(trained)
    flags = ["--model", "models/ie2msp/seed-0", "--out", "none.csv", "--contact-sheets", folder]
    assert amanda("predict", "--clips", clips, *flags) == 2
    assert message in capsys.readouterr().err
    assert not (trained / "none.csv").exists()


def test_clips_without_pictures_have_no_contact_sheets(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    (trained / "voices").mkdir()
    (trained / "voices/voice.wav").write_bytes((trained / "clips/ben/voice.wav").read_bytes())
    flags = ["--model", "models/ie2msp/seed-0", "--config", "config.yaml", "--out", "voices.csv"]
    assert amanda("predict", "--clips", "voices", *flags, "--contact-sheets", "s") == 2
    assert "s: no contact sheets, since no clip has a picture" in capsys.readouterr().err
    assert len(table(trained / "voices.csv")) == 1

"""The report's page on the extraction: figures by hand, and nothing of the people."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from amanda.report import write_report
from amanda.report.quality import measure, plain_reason, spread
from amanda.report.registry import Page, load_sections
from amanda.report.sections import quality as quality_section
from amanda.report.sections.provenance import provenance
from amanda.report.sections.quality import quality
from amanda.store.errors import InputError
from amanda.store.features import ModalityTable, Ragged, UtteranceTable, write_features

IDENTITY = dict.fromkeys(("extractor", "model", "revision", "preprocessing"), "x")


def ragged(lengths, valid, values) -> Ragged:
    return Ragged(
        values=values.astype(np.float16),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        valid=np.array(valid, bool),
    )


@pytest.fixture
def path(tmp_path):
    """Four utterances: two of train, one of val, one of test; two layers of text."""
    # Faces: 2 of 2 frames, 1 of 2, none of 2, and a video that could not be read.
    valid = [1, 1, 1, 0, 0, 0]
    visual = ModalityTable(
        data=ragged([2, 2, 2, 0], valid, np.full((6, 1, 4), 1.5)),
        time_s=np.array([0, 1, 0, 1, 0, 1.0]),
        status=["ok", "ok", "no_face", "unreadable"],
        detail=["", "", "no face in any of 2 frames", "no such file: /corpus/Anna.mp4"],
        attrs={**IDENTITY, "layers": ["map"]},
        rows={
            "n_tracks": np.array([1, 2, 0, 0], np.int32),
            "face_score": np.array([0.9, 0.5, 0, 0], np.float32),
            "face_runner_up": np.array([0, 0.45, 0, 0], np.float32),
        },
    )
    # 3, 5, 4 and 0 tokens; layer 1 has norm 2, layer 12 norm 20.
    text = np.concatenate([np.full((12, 1, 4), 1.0), np.full((12, 1, 4), 10.0)], axis=1)
    lexical = ModalityTable(
        data=ragged([3, 5, 4, 0], [1] * 12, text),
        time_s=np.concatenate([np.arange(n) for n in (3, 5, 4)]).astype(float),
        status=["ok", "truncated", "ok", "empty_text"],
        detail=["", "5 of 9 tokens kept", "", "the row has no text"],
        attrs={**IDENTITY, "layers": [1, 12]},
    )
    write_features(
        tmp_path / "ie.h5",
        UtteranceTable(
            id=["secret_a", "secret_b", "secret_c", "secret_d"],
            label=np.zeros(4, np.int8),
            split=["train", "train", "val", "test"],
            speaker=["Anna"] * 4,
            group=["Anna"] * 4,
            text=["private words"] * 4,
            start_s=np.zeros(4),
            end_s=np.array([2.0, 4.0, 1.0, np.nan]),
            source=["Anna.mp4"] * 4,
        ),
        {"visual": visual, "lexical": lexical},
        corpus="ie",
        profile="small",
    )
    return tmp_path / "ie.h5"


def page(*paths: Path) -> Page:
    return Page(pairs=(), corpora=(), feature_files=paths, out=Path("report.html"))


def test_figures_by_hand(path):
    found = measure(path)
    train, val = found.faces["train"], found.faces["val"]
    assert (train.n, train.found, train.coverage) == (2, 1.0, 0.75)
    assert (train.several, train.close) == (0.5, 1.0)  # 0.5 against 0.45
    assert (val.n, val.found, val.coverage, val.close) == (1, 0.0, 0.0, None)
    assert found.faces["test"].n == 0
    assert found.seconds["train"].median == 3.0
    assert math.isnan(found.seconds["test"].median)
    assert found.lengths["lexical"]["train"].median == 4.0
    assert found.lengths["visual"]["val"].median != found.lengths["visual"]["val"].median  # NaN
    assert found.norms["lexical"]["1"].median == pytest.approx(2.0)
    assert found.norms["lexical"]["12"].high == pytest.approx(20.0)
    assert found.norms["visual"] == {"map": spread(np.full(3, 3.0))}
    assert found.reasons == {
        ("visual", "no_face", "no face in any of n frames"): 1,
        ("visual", "unreadable", "no such file"): 1,
        ("lexical", "truncated", "n of n tokens kept"): 1,
        ("lexical", "empty_text", "the row has no text"): 1,
    }


def test_spread_is_of_percentiles():
    values = np.append(np.arange(101.0), [np.nan, np.inf])
    assert spread(values) == spread(np.arange(101.0))
    assert (spread(values).low, spread(values).median, spread(values).high) == (5, 50, 95)


def test_reasons_name_nothing_of_ones_own():
    assert plain_reason("cannot be opened: Invalid data (Anna.mp4)") == "cannot be opened"
    assert plain_reason("the clip ends at 8.00 s") == "the clip ends at n s"


def test_the_section_shows_figures_and_nobody(path):
    html = str(quality(page(path)))
    text = re.sub(r"<[^>]+>", " ", html)
    for figure in ("75.0%", "100.0%", "50.0%", "no such file", "truncated"):
        assert figure in text
    for private in ("secret", "Anna", "private", "corpus/"):
        assert private not in html
    assert "<img" not in html


def test_without_feature_files_there_is_no_section():
    assert quality(page()) == ""
    assert "quality" in [each.name for each in load_sections("closing")]


def test_features_made_elsewhere_say_less(path, tmp_path):
    import h5py

    with h5py.File(path, "a") as file:
        del file["visual/n_tracks"]
    html = str(quality(page(path)))
    assert "several persons" not in html
    assert "75.0%" in html


def test_faces_are_shown_only_where_they_are_asked_for(tmp_path):
    from PIL import Image

    from amanda.report.sections.thumbnails import thumbnails

    assert thumbnails(page()) == ""
    (tmp_path / "meld").mkdir()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(tmp_path / "meld" / "sheet_001.png")
    asked = Page(
        pairs=(),
        corpora=(),
        feature_files=(),
        out=Path("report.html"),
        contact_sheets=(tmp_path / "meld",),
    )
    html = str(thumbnails(asked))
    assert html.count("data:image/png;base64,") == 1
    assert "<b>meld</b>" in html
    assert "pictures of people" in html
    commands = re.sub("<.*?>", "", str(provenance(asked)))
    assert "--thumbnails meld --out report.html" in commands
    with pytest.raises(InputError, match="holds no contact sheet"):
        write_report([tmp_path / "x.json"], tmp_path / "r.html", contact_sheets=[tmp_path])


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1.8, "1.80"), (0.8491, "0.849"), (20.0, "20.0"), (123.4, "123"), (999.6, "1,000")],
)
def test_norms_have_three_digits_and_no_exponent(value, shown):
    assert quality_section._figure(value) == shown

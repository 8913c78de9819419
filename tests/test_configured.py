"""What a plan can know of the corpora: their readers, their splits, and whether they are there."""

from typing import Any

import pytest

from amanda.config import parse_config
from amanda.store.errors import InputError
from corpora.configured import check_corpora
from corpora.readers import reader_names
from corpora.standin.layouts import layout_names


def check(**corpora: Any) -> list[str]:
    return check_corpora(parse_config({"corpora": corpora}))


def test_sound_corpora_and_one_that_is_not_here(tmp_path):
    csv = tmp_path / "mine.csv"
    csv.write_text("id,path,split\nclip,clip.wav,train\n")
    plain = tmp_path / "plain.csv"
    plain.write_text("id,path\nclip,clip.wav\n")
    (tmp_path / "theirs.h5").write_text("features")
    assert (
        check(
            ie={"standin": True},
            own={"root": str(tmp_path), "reader": "msp"},
            mine={"manifest": str(csv)},
            drawn={"manifest": str(plain), "split": "speaker"},
            theirs={"features": str(tmp_path / "theirs.h5")},
        )
        == []
    )
    (warning,) = check(ie={"root": "/nowhere/IEMOCAP"}, msp={"root": str(tmp_path)})
    assert warning.startswith(
        "config: corpora.ie.root: there is no /nowhere/IEMOCAP on this machine"
    )


@pytest.mark.parametrize(
    ("corpora", "sentence"),
    [
        ({"ie": {"root": "x", "reader": "meldd"}}, r"corpora\.ie\.reader: .*; did you mean 'meld'"),
        ({"meldd": {"root": "x"}}, r"no reader 'meldd'; .*; did you mean 'meld'\?$"),
        ({"emobd": {"root": "x"}}, r"reader: ie or .* manifest: FILE\.csv; known: ie"),
        ({"iee": {"standin": True}}, r"no generated corpus 'iee'; did you mean 'ie'"),
        ({"own": {"standin": True, "reader": "ie"}}, r"no generated corpus 'own'; known: ie, "),
        ({"ie": {"root": "x", "reader": "csv"}}, "no reader 'csv'"),
    ],
)  # fmt: skip
def test_a_corpus_that_nothing_reads(corpora, sentence):
    with pytest.raises(InputError, match=sentence):
        check(**corpora)


@pytest.mark.parametrize("header", ["id,path", "", "\ufeffid,path,splits", '"split,id",path'])
@pytest.mark.parametrize("split", [{}, {"split": "column"}])
def test_a_csv_without_splits_says_where_they_come_from(tmp_path, header, split):
    csv = tmp_path / "mine.csv"
    csv.write_text(f"{header}\nclip,clip.wav\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"corpora\.mine: .*mine\.csv has no column split; write "
                                         r"split: speaker beside its manifest"):  # fmt: skip
        check(mine={"manifest": str(csv), **split})
    csv.write_text("\ufeffid, split ,path\n", encoding="utf-8")
    assert check(mine={"manifest": str(csv), **split}) == []


def test_every_reader_of_a_corpus_has_a_generated_one():
    assert layout_names() == [name for name in reader_names() if name != "csv"]

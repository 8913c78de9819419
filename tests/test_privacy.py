"""What could tell who somebody is: counted in a page, and taken out of an export."""

import csv
import html
import json
import pickle
import random

import numpy as np
import pytest
from fake_results import METHODS, fake_features, fake_pair
from typer.testing import CliRunner

from amanda.cli import app
from amanda.exchange import export_features
from amanda.exchange.deidentify import KEY_COLUMNS, deidentified
from amanda.privacy import check_privacy
from amanda.report import write_report
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile

SECRETS = ("ie_0", "ie_s", "ie_g", ".avi", "not for the page")


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return fake_features(tmp_path_factory.mktemp("features") / "ie.h5", "ie", n=48)


def counts(path, *features):
    return check_privacy([path], features).files[0].counts


# Counting.


def test_the_report_names_nobody(tmp_path):
    out, files = fake_pair(tmp_path, n=48, seeds=1, n_epochs=2, methods=METHODS[:3])
    write_report([out], tmp_path / "report.html", files)
    found = check_privacy([tmp_path / "report.html"], files)
    assert found.n_found == 0
    assert set(found.files[0].counts) == {
        *("ids", "speaker", "group", "source", "text", "path", "picture")
    }


def test_a_result_file_s_predictions_hold_ids_and_speakers(tmp_path):
    out, files = fake_pair(tmp_path, n=48, seeds=1, n_epochs=2, methods=METHODS[:1])
    with FeatureFile(files[1]) as target:
        rows = target.rows("test")
        ids, speakers = len(rows), len({target.speaker[row] for row in rows})
    found = counts(out.with_name("ie2msp.predictions.csv"), *files)
    assert (found["ids"], found["speaker"]) == (ids, speakers)
    assert found["text"] == found["path"] == found["picture"] == 0


def test_what_stands_in_a_page_is_counted_once_a_name(features, tmp_path):
    page = tmp_path / "p.html"
    page.write_text(
        "<script>a/b/c /usr/lib/x</script><p>ie_0001, IE_0001 and ie_0002; not ie_00011 "
        "</p><td>ie_s3</td>Not  for\nthe page"
        "<p>see /home/ann/corpus/x.wav, ~/notes and https://example.org/a/b; 3/4, and/or</p>"
        '<img src="data:image/png;base64,AAAA"><img src="data:image/svg+xml;base64,AA">'
    )
    assert counts(page, features) == {
        "ids": 2,
        "speaker": 1,
        "group": 0,
        "source": 0,
        "text": 1,
        "path": 2,
        "picture": 1,
    }


def test_escaping_hides_nothing(tmp_path):
    path = fake_features(tmp_path / "o.h5", "ob", n=24)
    with FeatureFile(path) as file:
        text = file.text[0]
    (tmp_path / "p.html").write_text(f"<p>{html.escape('“x” & ' + text)}</p>")
    (tmp_path / "p.json").write_text(json.dumps({"s": "ob/3.avi"}).replace("/", "\\/"))
    assert counts(tmp_path / "p.html", path)["text"] == 1
    assert counts(tmp_path / "p.json", path)["source"] == 1


def test_without_feature_files_it_says_what_it_did_not_look_for(tmp_path):
    (tmp_path / "log.txt").write_text("reading /data/corpora/ie/Ses01.avi")
    report = check_privacy([tmp_path / "log.txt"])
    assert report.files[0].counts == {"path": 1, "picture": 0}
    assert "where --features names a feature file" in report.to_text()
    assert "Ses01" not in report.to_text()


def test_what_is_no_text_is_told(features, tmp_path):
    with pytest.raises(InputError, match=r"ie\.h5: is no text; --privacy reads reports"):
        check_privacy([features])
    with pytest.raises(InputError, match="cannot be read"):
        check_privacy([tmp_path / "none.html"])


def test_the_command_exits_with_2_where_something_is_found(features, tmp_path):
    (tmp_path / "a.html").write_text("<p>ie_0001</p>")
    (tmp_path / "b.html").write_text("<p>nobody</p>")
    run = CliRunner().invoke
    wanted = ["--privacy", "--features", str(features)]
    bad = run(app, ["check", str(tmp_path / "a.html"), *wanted, "--json"])
    assert (bad.exit_code, json.loads(bad.output)["found"]) == (2, 1)
    good = run(app, ["check", str(tmp_path / "b.html"), *wanted])
    assert (good.exit_code, "none of these" in good.output) == (0, True)


# Taking out.


def strings_of(path):
    """Every byte that a reader of an export meets, folder or file."""
    paths = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    names = "".join(str(p.relative_to(path.parent)) for p in paths)
    if path.suffix == ".npz":
        with np.load(path) as data:
            arrays = {k: data[k].tolist() for k in data.files if data[k].dtype.kind == "U"}
        return json.dumps(arrays)
    if path.suffix == ".pkl":
        return str(pickle.loads(path.read_bytes()))
    return names + "".join(p.read_text() for p in paths if p.suffix in (".json", ".csv"))


@pytest.mark.parametrize("name", ["x.npz", "x.pkl", "folder"])
def test_an_export_names_nobody_and_the_key_leads_back(features, tmp_path, name):
    with_names, without, key = tmp_path / f"a{name}", tmp_path / name, tmp_path / "key.csv"
    export_features(features, with_names)
    summary = export_features(features, without, key=key)
    assert any(secret in strings_of(with_names) for secret in SECRETS)
    assert not any(secret in strings_of(without) for secret in SECRETS)
    assert any("not anonymous" in note for note in summary.notes)
    with open(key, encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert tuple(header) == KEY_COLUMNS
    assert key.stat().st_mode & 0o077 == 0
    with FeatureFile(features) as file:
        originals = {("utterance", i) for i in file.ids} | {("speaker", s) for s in file.speaker}
        originals |= {("group", g) for g in file.group}
    assert {(kind, original) for kind, _, original in rows} == originals
    assert len({new for _, new, _ in rows}) == len(rows)


def test_rows_keep_their_values_labels_and_who_shares_a_speaker(features, tmp_path):
    export_features(features, tmp_path / "a.npz")
    export_features(features, tmp_path / "b.npz", key=tmp_path / "key.csv")
    with open(tmp_path / "key.csv", encoding="utf-8", newline="") as file:
        original = {row["name"]: row["original"] for row in csv.DictReader(file)}
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        for column in ("id", "speaker", "group"):
            assert [original[name] for name in b[column]] == a[column].tolist()
        for column in ("label", "split", "acoustic", "acoustic_offsets", "visual_status"):
            np.testing.assert_array_equal(b[column], a[column])
        np.testing.assert_allclose(b["end_s"] - b["start_s"], a["end_s"] - a["start_s"])
        assert set(b["start_s"]) == {0.0}
        for column in ("text", "source", "visual_detail"):
            assert set(b[column]) == {""}
            assert set(a[column]) != {""}


def test_names_are_drawn_anew_and_tell_no_order(features, tmp_path):
    def names(seed):
        with FeatureFile(features) as file:
            key = tmp_path / f"{seed}.csv"
            with deidentified(file, {}, key, tmp_path / "out", random.Random(seed)):
                return list(file.ids)

    assert names(1) != names(2)
    assert names(3) != sorted(names(4))


def test_a_key_is_never_overwritten_nor_passed_on(features, tmp_path):
    key = tmp_path / "key.csv"
    key.write_text("precious")
    with pytest.raises(InputError, match=r"key\.csv exists, and a key that is lost"):
        export_features(features, tmp_path / "x.npz", key=key)
    assert key.read_text() == "precious"
    assert not (tmp_path / "x.npz").exists()
    with pytest.raises(InputError, match="would lie in"):
        export_features(features, tmp_path / "folder", key=tmp_path / "folder/key.csv")
    with pytest.raises(InputError, match="would lie in"):
        export_features(features, tmp_path / "y.npz", key=tmp_path / "y.npz")


def test_where_the_export_fails_there_is_no_key(features, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/x").write_text("")
    with pytest.raises(InputError):
        export_features(features, tmp_path / "there", key=tmp_path / "key.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there"]


def test_the_two_flags_go_together(features, tmp_path):
    run = CliRunner().invoke
    base = ["export", str(features), "--out", str(tmp_path / "x.npz")]
    for flags in (["--deidentify"], ["--key", str(tmp_path / "k.csv")]):
        result = run(app, [*base, *flags])
        assert isinstance(result.exception, InputError)
        assert "go together" in str(result.exception)
    assert run(app, [*base, "--deidentify", "--key", str(tmp_path / "k.csv")]).exit_code == 0
    assert (tmp_path / "k.csv").exists()

"""The result file and its predictions: both ways, and what is refused."""

import csv
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_results import fake_features, fake_method_result, fake_pair, fake_run
from sklearn.metrics import f1_score

from amanda.predictions import predictions_path, read_predictions
from amanda.records import TestRows
from amanda.results import (
    check_result,
    describe_features,
    merge_results,
    read_result,
    write_method_result,
)
from amanda.settings import RunSettings
from amanda.store.errors import InputError
from amanda.store.features import FeatureFile
from amanda.store.names import CLASSES


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A merged result file, its feature files, and the methods' files it was merged from."""
    folder = tmp_path_factory.mktemp("pair")
    out, features = fake_pair(folder, n=96, seeds=2, n_epochs=4)
    return out, features, sorted((folder / "runs").rglob("*.json"))


def copy_result(path, folder):
    folder.mkdir(exist_ok=True)
    shutil.copy(predictions_path(path), folder)
    return shutil.copy(path, folder / path.name)


def edit(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return path


def test_scores_can_be_computed_again_from_the_predictions_alone(pair):
    out, _, _ = pair
    data = json.loads(out.read_text())
    with open(predictions_path(out), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for method in data["methods"]:
        for run in method["runs"]:
            for name, selection in run["selections"].items():
                here = [
                    row
                    for row in rows
                    if (row["run_id"], row["seed"], row["selection"])
                    == (method["run_id"], str(run["seed"]), name)
                ]
                guess = [max(CLASSES, key=lambda c, row=row: float(row[f"p_{c}"])) for row in here]
                expected = f1_score([row["label"] for row in here], guess, average="weighted")
                assert selection["weighted_f1"] == pytest.approx(expected)
                assert np.sum(selection["confusion"]) == len(here)
    assert check_result(out) == []


def test_probabilities_read_back_exactly(tmp_path):
    rng = np.random.default_rng(0)
    rows = TestRows(ids=["a", "b, c", 'd"'], speakers=["s", "", "t"], label=np.array([0, -1, 3]))
    run = fake_run(rows, RunSettings(), seed=0, level=0.6, n_epochs=2)
    probabilities = rng.dirichlet(np.ones(4), 3).astype(np.float32)
    probabilities[1] = np.nan
    run.selections["last"].probabilities["joint"][:] = probabilities
    source = fake_features(tmp_path / "ie.h5", "ie", n=30)
    with FeatureFile(source) as features:
        info = describe_features(features)
    result = write_method_result(
        tmp_path / "r.json",
        RunSettings(),
        [run],
        source=info,
        target=info,
        label_names=CLASSES,
        modalities=("acoustic",),
        device="cpu",
    )
    block = read_predictions(result.predictions_path, CLASSES, ["last"])[0]
    np.testing.assert_array_equal(block.probabilities, probabilities)
    assert (block.ids, block.speakers) == (list(rows.ids), list(rows.speakers))
    np.testing.assert_array_equal(block.label, rows.label)
    last = result.file.methods[0].runs[0].selections["last"]
    assert (last.n, last.n_unpredicted, last.n_labelled) == (2, 1, 2)


def test_aggregate_is_mean_and_sample_deviation_of_the_runs(pair):
    out, _, _ = pair
    for method in read_result(out).file.methods:
        for name, metrics in method.aggregate.items():
            for metric, score in metrics.items():
                values = [getattr(run.selections[name], metric) for run in method.runs]
                assert score.values == values
                assert score.mean == pytest.approx(np.mean(values))
                assert score.std == pytest.approx(np.std(values, ddof=1))


def test_one_run_has_no_deviation(tmp_path):
    files = [fake_features(tmp_path / f"{c}.h5", c, n=48) for c in ("ie", "msp")]
    result = fake_method_result(tmp_path / "r.json", *files, seeds=1, n_epochs=2)
    score = result.file.methods[0].aggregate["last"]["weighted_f1"]
    assert score.std is None
    assert score.mean == score.values[0]
    assert "over 1 run(s)" in result.to_text()


def test_branches_are_scored_on_the_rows_they_could_predict(pair):
    out, features, _ = pair
    with FeatureFile(features[1]) as target:
        n_test = len(target.rows("test"))
    last = read_result(out).file.methods[0].runs[0].selections["last"]
    assert last.n == last.branches["acoustic"].n == n_test
    assert last.branches["visual"].n == n_test - 2


def test_same_seed_gives_the_same_bytes_but_for_dates_and_times(tmp_path):
    files = [fake_features(tmp_path / f"{c}.h5", c, n=48) for c in ("ie", "msp")]
    texts, predictions = [], []
    for name in ("a", "b"):
        path = tmp_path / name / "r.json"
        fake_method_result(path, *files, seeds=2, n_epochs=3)
        text = path.read_text()
        texts.append(re.sub(r'"(created|wall_s)": [^,]+,', "", text))
        predictions.append(predictions_path(path).read_bytes())
    assert texts[0] == texts[1]
    assert predictions[0] == predictions[1]


def test_numbers_that_are_not_finite_become_null(tmp_path):
    rows = TestRows(ids=["a", "b"], speakers=["s", "t"], label=np.array([0, 1]))
    run = fake_run(rows, RunSettings(), seed=0, level=0.5, n_epochs=2)
    run.epochs[0].loss["total"] = float("nan")
    run.epochs[1].validators["dev"] = float("inf")
    with FeatureFile(fake_features(tmp_path / "ie.h5", "ie", n=30)) as features:
        info = describe_features(features)
    path = tmp_path / "r.json"
    write_method_result(
        path,
        RunSettings(),
        [run],
        source=info,
        target=info,
        label_names=CLASSES,
        modalities=("acoustic",),
        device="cpu",
    )
    epochs = json.loads(path.read_text())["methods"][0]["runs"][0]["epochs"]
    assert epochs[0]["loss"]["total"] is None
    assert epochs[1]["validators"]["dev"] is None
    assert "NaN" not in path.read_text()
    assert "Infinity" not in path.read_text()


def test_what_is_kept_of_a_feature_file(tmp_path):
    path = fake_features(tmp_path / "ie.h5", "ie", n=48, share_speakers=False)
    with FeatureFile(path) as features:
        info = describe_features(features)
        train = features.rows("train")
        ids = "\n".join(sorted(features.ids[row] for row in train))
        n_sad = int((features.label[train] == CLASSES.index("sad")).sum())
    assert info.file_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert info.splits["train"].ids_sha256 == hashlib.sha256(ids.encode()).hexdigest()
    assert info.splits["train"].classes["sad"] == n_sad
    assert info.shared_speakers == 0
    assert info.modalities["acoustic"].model == "whisper-base"
    assert info.modalities["visual"].status == {"no_face": 1, "ok": 47}
    assert info.file == "ie.h5"
    dumped = info.model_dump_json()
    assert "not for the page" not in dumped
    assert "ie_s0" not in dumped
    assert str(tmp_path) not in dumped


def test_unlabelled_target_has_null_scores_and_predictions(tmp_path):
    out, _ = fake_pair(tmp_path, n=48, labelled=False, seeds=2, n_epochs=2)
    result = read_result(out)
    for method in result.file.methods:
        assert "oracle" not in method.aggregate
        assert method.aggregate["last"]["weighted_f1"].values == [None, None]
        assert method.aggregate["last"]["weighted_f1"].mean is None
        last = method.runs[0].selections["last"]
        assert last.confusion is None
        assert sum(last.label_marginals.predicted.values()) == pytest.approx(1)
    assert "no labels" in result.to_text()
    assert check_result(out) == []
    with open(result.predictions_path, encoding="utf-8", newline="") as file:
        assert {row["label"] for row in csv.DictReader(file)} == {""}


def test_methods_come_in_the_order_of_the_papers_tables(pair, tmp_path):
    _, _, parts = pair
    merged = merge_results(parts[::-1], tmp_path / "ie2msp.json")
    assert [m.label for m in merged.file.methods] == [
        "D.T.",
        "Supervised",
        "A-N (p=1)",
        "A-N (p=2)",
        "A-N (p=∞)",
        "A-L (t=1)",
    ]
    other = merge_results(parts, tmp_path / "other.json")
    assert predictions_path(other.path).read_bytes() == merged.predictions_path.read_bytes()
    assert merged.file.target_labels_used == ["supervised:train,val"]


def test_labels_omit_what_all_methods_share_and_the_text_says_it_once(tmp_path):
    features = [tmp_path / f"{corpus}.h5" for corpus in ("ie", "msp")]
    for path in features:
        fake_features(path, path.stem, n=48)
    parts = [tmp_path / f"{method}.json" for method in ("direct_transfer", "dann")]
    for part in parts:
        fake_method_result(part, *features, method=part.stem, n_epochs=2, seeds=1, batch_size=32)
    assert read_result(parts[0]).file.methods[0].label == "D.T. [batch_size=32]"
    merged = merge_results(parts, tmp_path / "ie2msp.json")
    assert [method.label for method in merged.file.methods] == ["D.T.", "DANN"]
    assert "All methods: batch_size=32, epochs=2, seeds=1." in merged.to_text()


def test_merged_files_merge_again(pair, tmp_path):
    _, _, parts = pair
    first = merge_results(parts[:3], tmp_path / "a.json")
    whole = merge_results([first.path, *parts[3:]], tmp_path / "b.json")
    assert len(whole.file.methods) == len(parts)
    assert check_result(whole.path) == []


def test_merge_refuses_another_pair(pair, tmp_path):
    out, _, parts = pair
    back, _ = fake_pair(tmp_path, "msp", "ie", n=48, seeds=1, n_epochs=2)
    with pytest.raises(InputError, match="merge a pair"):
        merge_results([parts[0], back], tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()
    assert not predictions_path(tmp_path / "x.json").exists()
    assert out.exists()


def test_merge_refuses_other_feature_files(pair, tmp_path):
    _, _, parts = pair
    other = [fake_features(tmp_path / f"{c}.h5", c, n=48, seed=7) for c in ("ie", "msp")]
    path = tmp_path / "r.json"
    fake_method_result(path, *other, method="direct_transfer", seeds=1, n_epochs=2)
    with pytest.raises(InputError, match=r"another source feature file .* train it again"):
        merge_results([parts[0], path], tmp_path / "x.json")


def test_merge_refuses_another_split_of_the_same_files(pair, tmp_path):
    _, features, parts = pair
    path = tmp_path / "r.json"
    fake_method_result(path, *features, seeds=1, n_epochs=2, split="speaker", split_seed=3)
    with pytest.raises(InputError, match=r"speaker, seed 3.*compared on one split"):
        merge_results([parts[0], path], tmp_path / "x.json")


def test_merge_refuses_a_method_twice_and_no_file(pair, tmp_path):
    _, _, parts = pair
    with pytest.raises(InputError, match="merge each run once"):
        merge_results([parts[0], parts[0]], tmp_path / "x.json")
    with pytest.raises(InputError, match="no result file to merge"):
        merge_results([], tmp_path / "x.json")


def test_merge_refuses_missing_predictions(pair, tmp_path):
    _, _, parts = pair
    alone = shutil.copy(parts[0], tmp_path / "alone.json")
    with pytest.raises(InputError, match=r"alone\.predictions\.csv: cannot be read"):
        merge_results([alone], tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


def test_runs_of_one_seed_twice_are_refused(tmp_path):
    rows = TestRows(ids=["a"], speakers=["s"], label=np.array([0]))
    run = fake_run(rows, RunSettings(), seed=0, level=0.5, n_epochs=2)
    with FeatureFile(fake_features(tmp_path / "ie.h5", "ie", n=30)) as features:
        info = describe_features(features)
    for runs in ([run, run], []):
        with pytest.raises(ValueError, match="one a seed and fold"):
            write_method_result(
                tmp_path / "r.json",
                RunSettings(),
                runs,
                source=info,
                target=info,
                label_names=CLASSES,
                modalities=("acoustic",),
                device="cpu",
            )
    assert not list(tmp_path.glob("r*"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: d.update(format="something"), "not a result file"),
        (lambda d: d.update(version=2), "version 2; this program reads 1"),
        (lambda d: d.pop("methods"), "methods = .*: Field required"),
        (lambda d: d.update(methods=[]), "methods = .* at least 1 item"),
        (lambda d: d["methods"][0].update(runs="x"), "methods.0.runs = 'x'"),
        (lambda d: d["methods"][0].update(config_sha256="12"), "config_sha256 = '12'"),
        (lambda d: d.update(corpora="both"), "corpora = 'both'"),
    ],
)
def test_wrong_files_are_told_in_one_sentence(pair, tmp_path, change, match):
    path = edit(copy_result(pair[2][0], tmp_path), change)
    with pytest.raises(InputError, match=match):
        read_result(path)
    assert len(check_result(path)) == 1


@pytest.mark.parametrize(
    ("text", "match"),
    [("{", "not JSON"), ("[]", "not a result file"), ("\udcff", "not JSON"), ("[" * 9999, "JSON")],
)
def test_files_that_are_not_results(tmp_path, text, match):
    path = tmp_path / "r.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=match):
        read_result(path)


def test_missing_result_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_result(tmp_path / "none.json")


def test_check_names_scores_that_the_predictions_do_not_give(pair, tmp_path):
    def change(data):
        data["methods"][0]["runs"][0]["selections"]["last"]["uar"] = 0.99

    path = edit(copy_result(pair[2][0], tmp_path), change)
    (problem,) = check_result(path)
    assert re.search(r"seed 0, last: uar is 0\.99, the predictions give 0\.\d+", problem)


def test_check_names_predictions_of_another_training(pair, tmp_path):
    path = copy_result(pair[2][0], tmp_path)
    beside = predictions_path(path)
    lines = beside.read_text().splitlines(keepends=True)
    beside.write_text("".join(line for line in lines if ",1,0,last," not in line))
    problems = check_result(path)
    assert any("hash" in problem for problem in problems)
    assert any(re.search(r"no rows of .*, seed 1, last", problem) for problem in problems)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda text: text.replace("speaker", "person", 1), "columns are"),
        (lambda text: text[:-20], r"line \d+: \d+ fields|not as written"),
        (lambda text: re.sub(r"(?m),0\.\d+$", ",x", text, count=1), "not as written"),
        (lambda text: text.replace(",0,0,last", ",zero,0,last"), "whole numbers"),
    ],
)
def test_predictions_that_were_edited_are_refused(pair, tmp_path, change, match):
    path = copy_result(pair[2][0], tmp_path)
    beside = predictions_path(path)
    beside.write_text(change(beside.read_text()))
    with pytest.raises(InputError, match=match):
        read_predictions(beside, CLASSES)


def test_the_example_of_the_docs_runs(pair, tmp_path, monkeypatch, capsys):
    page = Path(__file__).parents[1] / "docs" / "results-format.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    copy_result(pair[0], tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, str(page), "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(read_result(pair[0]).file.methods)
    for line in printed:
        stored, computed = re.findall(r"\[.*?\]", line.split(")", 1)[-1])
        assert stored == computed


def test_text_names_selection_split_and_stand_in(pair):
    text = read_result(pair[0]).to_text()
    assert "Selection: last epoch" in text
    assert "Stand-in corpora" in text
    assert re.search(r"\d+ of its \d+ test speakers are in its train split too", text)
    table = text.split("\n\n", 1)[1].splitlines()
    assert len({len(line) for line in table}) == 1
    assert re.match(r"D\.T\.\s+\d+\.\d ± \d+\.\d", table[1])


def test_a_full_disk_leaves_no_result_file(tmp_path, monkeypatch):
    files = [fake_features(tmp_path / f"{c}.h5", c, n=48) for c in ("ie", "msp")]

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("amanda.results.write_text", full)
    with pytest.raises(OSError, match="No space"):
        fake_method_result(tmp_path / "r.json", *files, seeds=1, n_epochs=2)
    assert not (tmp_path / "r.json").exists()
    assert not [p for p in tmp_path.iterdir() if ".tmp" in p.name]


def test_tables_and_reports_need_no_torch():
    """Their jobs are many and short; importing torch takes longer than a table."""
    modules = "amanda.results, amanda.tables, amanda.comparison, amanda.report.page"
    code = f"import sys, {modules}; print(sorted({{'torch', 'sklearn'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""What the report explains to a reader from outside, and what it says of collapsed trainings."""

import json
import re
from pathlib import Path

import pytest
from fake_results import METHODS, RECORDED, fake_pair

from amanda.methods import method_names
from amanda.report import write_report
from amanda.report.balance import verdict
from amanda.report.glossary import METHODS as EXPLAINED
from amanda.report.glossary import corpus_title, explain_methods, explain_validators
from amanda.report.markup import commands, label_use, shown_path
from amanda.report.registry import Pair
from amanda.report.sections.alignment import flat_modalities
from amanda.result_schema import BalanceResult
from amanda.results import read_result
from amanda.validators import VALIDATORS


def words(html):
    return re.sub(r"\s+", " ", re.sub("<.*?>", "", html))


def report_of(tmp_path, result, features=()):
    write_report([result], tmp_path / "r.html", features)
    return (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glossary")
    return fake_pair(folder, n=60, seeds=2, n_epochs=3, methods=METHODS[:4])


def test_every_method_of_ours_is_explained_where_it_is_used():
    assert set(EXPLAINED) == set(method_names())
    said = str(explain_methods(["dann", "direct_transfer", "someone_elses"]))
    assert re.findall("<b>(.*?)</b>", said) == ["D.T.", "DANN"]
    assert explain_methods(["someone_elses"]) == ""


def test_every_validator_is_explained():
    said = explain_validators(VALIDATORS)
    assert all(f"{each.title}, {each.meaning}" in said for each in VALIDATORS.values())
    assert explain_validators(["last", "oracle"]) == ""


@pytest.mark.parametrize(
    ("corpus", "origin", "title"),
    [
        ("mosei", "recorded", "mosei: CMU-MOSEI"),
        ("mosei", "stand-in", "mosei: generated in CMU-MOSEI’s layout"),
        ("calls", "recorded", "calls"),
    ],
)
def test_corpora_have_their_own_names(corpus, origin, title):
    assert corpus_title(corpus, origin) == title


def test_a_generated_corpus_is_not_described_as_the_recorded_one(made, tmp_path):
    result, _ = made
    assert "Busso" not in report_of(tmp_path, result)
    recorded, _ = fake_pair(
        tmp_path, n=60, seeds=1, n_epochs=2, methods=METHODS[:1], origin=RECORDED
    )
    assert "Busso et al. 2008" in report_of(tmp_path, recorded)


def test_a_modality_that_was_lost_in_training_is_told(made, tmp_path):
    result, _ = made
    assert flat_modalities(Pair(read_result(result)).file.methods[-1]) == {}
    assert "no longer vary" not in words(report_of(tmp_path, result)).replace(
        "– where they no longer vary", ""
    )
    data = json.loads(result.read_text())
    method = data["methods"][-1]
    assert method["label"] == "A-N (p=2)"
    for run, value in zip(method["runs"], (0.0, None), strict=True):
        run["epochs"][-1]["alignment_relative"]["acoustic"] = value
    method["runs"][0]["epochs"][-1]["alignment_relative"]["visual"] = 0.0
    method["runs"][1]["epochs"][0]["alignment_relative"]["lexical"] = 0.0  # and varies later
    lost = tmp_path / "ie2msp.json"
    lost.write_text(json.dumps(data))
    (tmp_path / "ie2msp.predictions.csv").write_bytes(
        result.with_name("ie2msp.predictions.csv").read_bytes()
    )
    assert flat_modalities(read_result(lost).file.methods[-1]) == {"acoustic": 2, "visual": 1}
    said = words(report_of(tmp_path, lost))
    assert "A-N (p=2): acoustic in 2 of 2 runs; A-N (p=2): visual in 1 of 2 runs" in said
    assert "last epoch: acoustic in runs of A-N (p=2); visual in runs of A-N (p=2)." in said


def test_the_commands_begin_with_the_extraction(made, tmp_path):
    result, files = made
    html = report_of(tmp_path, result, files)
    profile = read_result(result).file.features.source.profile
    line = f"amanda extract --manifest manifests/ie.csv --profile {profile} --out ie.h5"
    assert line in words(html)
    assert "<span>--manifest</span> manifests/ie.csv" in html


def test_commands_are_copied_as_they_are_run():
    shown = commands(["amanda train --source 'a b.h5' --set lr=1e-3", "amanda check <file>"])
    assert re.sub("<.*?>", "", shown) == (
        "amanda train --source &#39;a b.h5&#39; --set lr=1e-3\namanda check &lt;file&gt;"
    )


def test_uses_of_labels_in_words():
    assert label_use(["supervised:train,val", "cap:train"]) == (
        "Target labels were used before testing by: cap (train); supervised (train, val)."
    )


def test_absolute_folders_are_not_shown(tmp_path):
    assert shown_path(tmp_path / "figures" / "psi.svg") == "psi.svg"
    assert shown_path(Path("figures/psi.svg")) == "figures/psi.svg"


def test_a_difference_that_rounds_to_nothing_has_no_sign():
    def run(index):
        return BalanceResult.model_validate(
            {
                "loss": {},
                "relative": {},
                "floor": {},
                "proxy_a_distance": {},
                "psi": {},
                "pull": {},
                "index": index,
                "index_floor": None,
                "index_relative": None,
            }
        )

    (said,) = verdict({"A-N (p=1)": [run(0.5)], "A-N (p=2)": [run(0.499)]})
    assert said.endswith("for A-N (p=2) (0.00).")


def test_few_test_speakers_are_told_beside_what_is_concluded(tmp_path):
    methods = [("direct_transfer", "norm:2", 0.3), ("amanda", "norm:2", 0.95)]
    result, _ = fake_pair(tmp_path, n=120, methods=methods, n_epochs=2, share_speakers=False)
    said = words(report_of(tmp_path, result))
    assert "interval: A-N (p=2) (not corrected for several; 2 test speakers make it a rough" in said

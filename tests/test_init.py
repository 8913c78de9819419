"""`amanda init`: corpora looked at, and their places written into a config."""

from pathlib import Path

import pytest
import yaml
from corpus_trees import ie_tree, msp_tree
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from amanda.cli import app
from amanda.config import parse_config
from amanda.config_roots import Place, known_places, with_pairs, with_places
from amanda.init import PAPER_CONFIG, SHIPPED
from amanda.paper_tables import PAIRS
from amanda.store.errors import InputError


def run(*arguments: object) -> tuple[int, str]:
    """Exit code, and all that was printed."""
    done = CliRunner().invoke(app, ["init", *map(str, arguments)])
    if isinstance(done.exception, InputError):
        return 2, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.fixture
def corpora(tmp_path: Path) -> dict[str, Path]:
    ie_tree(tmp_path / "IEMOCAP")
    msp_tree(tmp_path / "MSP")
    return {"ie": tmp_path / "IEMOCAP", "msp": tmp_path / "MSP"}


def test_two_corpora_and_their_pairs(corpora, tmp_path):
    out = tmp_path / "config/paper.yaml"
    arguments = [f"--corpus={name}={root}" for name, root in corpora.items()]
    code, said = run(*arguments, "--out", out)
    assert code == 0
    for root in corpora.values():
        assert f"{root}: " in said
    assert "utterances (reader ie" in said
    assert f"{out}: written; pairs ie2msp, msp2ie" in said
    config = yaml.safe_load(out.read_text())
    assert config["pairs"] == ["ie2msp", "msp2ie"]
    assert {name: config["corpora"][name]["root"] for name in corpora} == {
        name: str(root) for name, root in corpora.items()
    }
    # All else is the paper's, comments too.
    paper = yaml.safe_load(PAPER_CONFIG.read_text())
    for name in corpora:
        del config["corpora"][name]["root"], paper["corpora"][name]["root"]
    del config["pairs"], paper["pairs"]
    assert config == paper
    comments = [x for x in PAPER_CONFIG.read_text().splitlines() if x.lstrip().startswith("#")]
    assert [x for x in out.read_text().splitlines() if x.lstrip().startswith("#")] == comments
    assert run(*arguments, "--out", out) == (
        0,
        said.split(f"{out}:")[0] + f"{out}: says so already\n",
    )


def test_pairs_of_a_corpus_that_is_not_there_are_told_instead_of_a_command(corpora, tmp_path):
    code, said = run(f"--corpus=ie={corpora['ie']}", "--out", tmp_path / "paper.yaml")
    assert code == 0
    assert "Run: snakemake" not in said
    assert "meld, mosei, msp is not there (data/MELD.Raw, data/CMU-MOSEI, data/MSP-IMPROV)" in said


def test_a_place_somebody_wrote_is_changed_with_force_only(corpora, tmp_path):
    out = tmp_path / "paper.yaml"
    assert run(f"--corpus=ie={corpora['ie']}", "--out", out)[0] == 0
    before = out.read_text()
    moved = corpora["ie"].rename(tmp_path / "elsewhere")
    code, said = run(f"--corpus=ie={moved}", "--out", out)
    assert code == 2
    assert f"has ie at {corpora['ie']} already; add --force to change it to {moved}" in said
    assert out.read_text() == before
    assert run(f"--corpus=ie={moved}", "--out", out, "--force")[0] == 0
    assert known_places(out.read_text(), "it")["ie"] == str(moved)


def test_a_csv_and_a_corpus_under_another_name_are_added(corpora, tmp_path):
    out, mine = tmp_path / "paper.yaml", tmp_path / "mine.csv"
    mine.write_text("id,path,label\na,a.wav,happy\nb,b.wav,sad\n")
    code, said = run(f"--corpus=mine={mine}", f"--corpus=lab={corpora['msp']}", "--out", out)
    assert code == 0
    assert f"{mine}: 2 rows of your own" in said
    config = yaml.safe_load(out.read_text())
    assert config["corpora"]["mine"] == {"manifest": str(mine), "split": "speaker"}
    assert config["corpora"]["lab"] == {
        "root": str(corpora["msp"]),
        "reader": "msp",
        "split": "paper",
    }
    assert config["pairs"] == list(PAIRS)
    assert "# Those of Table 3." in out.read_text()


def test_what_is_not_what_its_name_says_writes_nothing(corpora, tmp_path):
    out = tmp_path / "paper.yaml"
    for asked, sentence in [
        (f"ie={tmp_path}/nowhere", "nowhere: no such folder; give where ie is"),
        (f"ie={corpora['msp']}", "IEMOCAP|Session1|EmoEvaluation"),
        ("ie", "--corpus ie: write NAME=PATH, as ie=/data/IEMOCAP"),
        (f"a2b={corpora['ie']}", "a2b"),
    ]:
        code, said = run(f"--corpus={asked}", f"--corpus=msp={corpora['msp']}", "--out", out)
        assert code == 2, asked
        assert any(part in said for part in sentence.split("|")), said
        assert not out.exists()
    twice = [f"--corpus=ie={corpora['ie']}"] * 2
    assert run(*twice, "--out", out) == (2, "--corpus ie is given twice; give each corpus once")


def test_configs_in_another_form_are_told_not_damaged(corpora, tmp_path):
    out = tmp_path / "mine.yaml"
    place = f"--corpus=ie={corpora['ie']}"
    for text, sentence in [
        ("corpora: [", "mine.yaml, line 1: not YAML"),
        ("corpora: {ie: {root: data/IEMOCAP_full_release}}\n", "no line 'corpora:'"),
        ("corpora:\n  ie: {root: data/IEMOCAP_full_release}\n", "is written in one line; write it"),
        (
            "corpora:\n  ie:\n    root: data/IEMOCAP_full_release\npears: []\n",
            "did you mean 'pairs'",
        ),
        ("7\n", "no config"),
    ]:
        out.write_text(text)
        code, said = run(place, "--out", out)
        assert code == 2, said
        assert sentence in said
        assert out.read_text() == text


def test_the_shipped_places_are_those_of_the_papers_config():
    assert known_places(PAPER_CONFIG.read_text(), "paper.yaml") == SHIPPED


def test_somebodys_own_pairs_stay():
    text = "corpora:\n  ie:\n    root: a\n  mine:\n    manifest: m.csv\npairs: [ie2mine]\n"
    assert with_pairs(text, {"ie", "msp"}, "it") == (text, ["ie2mine"])
    block = "corpora:\n  ie:\n    root: a\npairs:\n  - ie2msp\n"
    assert with_pairs(block, {"ie", "msp"}, "it") == (block, ["ie2msp"])
    without = "corpora:\n  ie:\n    root: a\n"
    assert yaml.safe_load(with_pairs(without, {"ie", "msp"}, "it")[0])["pairs"] == [
        "ie2msp",
        "msp2ie",
    ]


NAMES = st.sampled_from(["ie", "msp", "meld", "mosei", "mine", "theirs"])
PATHS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=30)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(NAMES, PATHS, min_size=1, max_size=4))
def test_any_path_comes_back_and_nothing_else_changes(paths):
    places = {name: Place(name, "root", path) for name, path in paths.items()}
    text = with_places(PAPER_CONFIG.read_text(), places, "it")
    assert known_places(text, "it") == {**SHIPPED, **paths}
    assert with_places(text, places, "it") == text
    before, after = (yaml.safe_load(t) for t in (PAPER_CONFIG.read_text(), text))
    for name in SHIPPED:
        del before["corpora"][name]["root"], after["corpora"][name]["root"]
    for name in set(paths) - set(SHIPPED):
        assert after["corpora"].pop(name) == {"root": paths[name], "split": "paper"}
    assert before == after
    parse_config(yaml.safe_load(text))

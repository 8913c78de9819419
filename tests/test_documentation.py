"""Every code block of the documentation is run here, followed by a test of its page, or marked.

Python is run, and so are scripts of `amanda` alone, in a folder with small files under the names
that the pages use; configs are validated, commands of `snakemake` are planned by
test_documented_commands. What cannot be run says why (`documented.REASONS`), and its commands are
parsed all the same, so that a renamed option is found.
"""

import contextlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from corpus_trees import ie_tree
from documented import (
    PROGRAMS,
    REASONS,
    ROOT,
    Block,
    blocks,
    check_amanda,
    check_commands,
    command_lines,
    inline_commands,
    program,
    run,
)
from fake_results import METHODS, fake_pair
from PIL import Image

from amanda.config import Config, parse_config
from amanda.experiments import Experiments
from amanda.experiments_progress import make_plan, write_plan
from amanda.settings import RunSettings
from amanda.store.manifest import read_manifest
from amanda.training import train_method
from corpora.labels import read_label_map
from extractors.profiles import load_profile
from extractors.speaker_fixes import read_fixes

# Pages that a test of their own follows: all their blocks of a language.
FOLLOWED = {
    ("docs/command-line.md", "bash"): ("command_line_doc", "home"),
    ("docs/own-corpus.md", "bash"): ("own_docs", "test_own_corpus"),
    ("docs/own-corpus.md", "yaml"): ("own_docs", "test_own_corpus"),
    ("docs/features-from-elsewhere.md", "bash"): ("own_docs", "test_features_from_elsewhere"),
    ("docs/extending.md", "python"): ("extending", "test_a_method_and_a_surrogate"),
    ("docs/extending.md", "yaml"): ("extending", "test_an_extractor"),
    ("docs/formats.md", "python"): ("formats_doc", "test_the_python_examples_write_and_read"),
    ("docs/formats.md", "csv"): ("formats_doc", "test_the_smallest_manifest_is_sound"),
    ("docs/python.md", "python"): ("api", "test_the_page_on_python"),
    ("docs/extractors.md", "yaml"): ("extractors_doc", "test_the_face_networks_shown"),
    ("docs/predict.md", "bash"): ("predict_command", "test_the_page"),
}
ALL = list(blocks())
SMALL = {"epochs": 2, "seeds": 1, "batch_size": 16, "dim": 8, "channels": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Small files under the names of the pages."""
    folder = tmp_path_factory.mktemp("pages")
    for source, target in (("ie", "msp"), ("msp", "ie")):
        results, methods = folder / "results", (METHODS[0], METHODS[3])
        _, made = fake_pair(results, source, target, n=96, seeds=2, n_epochs=3, methods=methods)
    for part in ("features", "old", "new", "config"):
        (folder / part).mkdir()
    for path in made:
        shutil.move(path, folder / "features")
    shutil.copy(folder / "features/msp.h5", folder / "features/new.h5")
    for part in ("old", "new"):
        shutil.copy(folder / "features/ie.h5", folder / part)
    pair = folder / "features/ie.h5", folder / "features/msp.h5"
    run = RunSettings(**SMALL)
    models = folder / "models/ie2msp"
    train_method(*pair, run, out=folder / "r.json", device="cpu", workers=1, save_model=models)
    for name in ("a", "b"):
        for end in ("json", "predictions.csv"):
            shutil.copy(folder / f"r.{end}", folder / f"{name}.{end}")
    ie_tree(folder / "data/ie")
    second = folder / "data/ie/Session2/dialog/EmoEvaluation/Ses02M_script01_1.txt"
    third = Path(str(second).replace("Session2", "Session3").replace("Ses02", "Ses03"))
    third.parent.mkdir()
    third.write_text(second.read_text().replace("Ses02", "Ses03"))
    sound = folder / "data/ie/Session3/sentences/wav/Ses03M_script01_1/Ses03M_script01_1_M000.wav"
    sound.parent.mkdir(parents=True)
    sound.touch()
    corpora = {name: {"features": str(folder / f"features/{name}.h5")} for name in ("ie", "msp")}
    experiments = Experiments(parse_config({"corpora": corpora, "budget": "smoke"}))
    write_plan(make_plan(experiments, n_parallel=2), folder / "results/paper.plan.json")
    (folder / "mine.wav").touch()
    (folder / "mine.csv").write_text("id,path,split\na,mine.wav,train\n")
    return folder


def run_bash(block: Block, folder: Path) -> None:
    called = {program(line) for line in command_lines(block.code)}
    if called == {"snakemake"}:
        return  # planned by test_documented_commands, which finds every one
    assert called == {"amanda"}, (
        f"{block.place}: calls {', '.join(sorted(called))}; write `<!-- not run: REASON -->` above "
        f"it (REASON: {', '.join(REASONS)}), or follow the page with a test and name it in FOLLOWED"
    )
    run(["bash", "-euo", "pipefail", "-c", block.code], folder)


def run_python(block: Block, folder: Path) -> None:
    run([sys.executable, "-W", "error", "-c", block.code], folder)


def validate_yaml(block: Block, folder: Path) -> None:
    loaded = yaml.safe_load(block.code)
    path = folder / "config" / "shown.yaml"
    path.write_text(block.code, encoding="utf-8")
    if set(loaded) == {"profiles"}:
        for name in loaded["profiles"]:
            assert load_profile(name, path).modalities
    elif set(loaded) <= set(Config.model_fields):
        with contextlib.chdir(folder):  # files that it names are looked for
            parse_config({"corpora": {"ie": {"standin": True}}, **loaded}, block.place)
    else:
        assert read_label_map(path, reader="ie").classes


def validate_csv(block: Block, folder: Path) -> None:
    head, *rows = block.code.splitlines()
    assert head == "id,face", f"{block.place}: name the test that reads this table in FOLLOWED"
    names = [row.partition(",")[0] for row in rows]
    (folder / "people").mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(folder / "people/ross.jpg")
    (folder / "faces.csv").write_text(block.code)
    manifest = folder / "dialogues.csv"
    manifest.write_text("id,path\n" + "".join(f"{name},{name}.mp4\n" for name in names))
    assert set(read_fixes(folder / "faces.csv", list(read_manifest(manifest))).by_id) == set(names)


RUNNERS: dict[str, Callable[[Block, Path], None]] = {
    "bash": run_bash,
    "python": run_python,
    "yaml": validate_yaml,
    "csv": validate_csv,
}


@pytest.mark.parametrize("block", ALL, ids=lambda block: block.place)
def test_block(block, folder):
    if block.mark is not None:
        assert block.mark in REASONS, f"{block.place}: give one of the reasons {REASONS}"
    if block.language == "bash":
        check_commands(block.code)
    if block.mark is not None or (block.page, block.language) in FOLLOWED:
        return
    if block.language == "text":
        commands = [line for line in command_lines(block.code) if program(line) in PROGRAMS]
        assert not commands, f"{block.place}: {commands[0]!r} is a command; call the block bash"
        return
    assert block.language in RUNNERS, (
        f"{block.place}: no test knows what to do with a block of '{block.language}'; call it "
        f"{', '.join(RUNNERS)}, or text for what is no code"
    )
    RUNNERS[block.language](block, folder)


def test_pages_are_followed_by_tests_that_exist():
    shown = {(block.page, block.language) for block in ALL}
    for (page, language), (module, name) in FOLLOWED.items():
        assert (page, language) in shown, f"{page} has no {language} block; take it out of FOLLOWED"
        text = (ROOT / f"tests/test_{module}.py").read_text(encoding="utf-8")
        assert f"def {name}" in text
        assert page.rpartition("/")[2] in text


@pytest.mark.parametrize(
    ("page", "command"), sorted(set(inline_commands())), ids=lambda text: text.replace(" ", "_")
)
def test_command_in_a_sentence(page, command):
    """What it leaves out is not missed; what it names exists."""
    check_amanda([word.strip("[]") for word in command.split()], whole=False)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("amanda trian --out r.json", "no command 'trian'"),
        ("amanda train --metod amanda", "has no option --metod"),
        ("amanda weights fetsch", "`amanda weights` has no command 'fetsch'"),
        ("amanda train --out r.json", "Missing option"),
        (
            "amanda train --source a.h5 --target b.h5 --out r.json \\\n  --seeds two",
            "valid integer",
        ),
        ("python -m benchmarks.training_run --fast", "has no --fast"),
        ("make tea", "the Makefile has no tea"),
    ],
)
def test_commands_that_do_not_exist_are_found(code, message):
    with pytest.raises(AssertionError, match=message):
        check_commands(code)

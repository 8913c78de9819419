"""Every `snakemake` command that the documentation shows is planned by the real snakemake."""

import re
import shutil
from pathlib import Path

import pytest
from workflow_runs import ROOT, plan

PAGES = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")]
PAGES += ROOT.glob("config/*.yaml")
STANDINS = {"standin": 2, "weights": 1, "manifest": 2, "extract": 4, "features": 2}
REAL = {"weights": 1, "manifest": 2, "extract": 64, "features": 2}
PAIR, PAPERS_PAIR = {"train": 4, "pair": 1}, {"train": 8, "pair": 1}
BOTH = {"train": 8, "pair": 2, "report": 1}
PAPER = "--configfile config/paper.yaml"

# What each command plans in a fresh clone.
PLANS: dict[str, dict[str, int]] = {
    "--cores 8": {**STANDINS, **BOTH, "all": 1},
    "--cores 8 results/ie2msp.json": {**STANDINS, **PAIR},
    "--cores 8 results/report.html": {**STANDINS, **BOTH},
    "--cores 8 features/ie.h5": {
        **{"standin": 1, "weights": 1, "manifest": 1, "extract": 2, "features": 1}
    },
    "--cores 8 results/paper.html": {
        **{"standin": 4, "weights": 1, "manifest": 4, "extract": 8, "features": 4},
        **{"train": 64, "table": 5, "counts": 1, "figure": 6, "paper_page": 1},
    },
    f"--cores 8 results/paper.html {PAPER}": {
        **{"weights": 1, "manifest": 4, "extract": 128, "features": 4},
        **{"train": 309, "table": 7, "counts": 1, "figure": 18, "paper_page": 1},
    },
    "--workflow-profile profiles/slurm": {**STANDINS, **BOTH, "all": 1},
    f"--cores 8 {PAPER}": {
        **{"weights": 1, "manifest": 4, "extract": 128, "features": 4},
        **{"train": 56, "pair": 7, "report": 1, "all": 1},
    },
    f"results/ie2msp.json --cores 8 {PAPER}": {**REAL, **PAPERS_PAIR},
    f"--workflow-profile profiles/slurm results/ie2msp.json {PAPER}": {**REAL, **PAPERS_PAIR},
    # The examples of README.md and config/README.md.
    "--cores 8 --configfile config/mine.yaml": {
        **{**REAL, "extract": 4},
        **{"train": 6, "pair": 2, "report": 1, "all": 1},
    },
    "--cores 8 --configfile mine.yaml": {
        **{**REAL, "extract": 4},
        **{"train": 2, "pair": 1, "report": 1, "all": 1},
    },
}

# What plans nothing, or is planned by the test of its page.
TESTED_ELSEWHERE = {
    "--report workflow.html": ("workflow_end_to_end", "test_snakemakes_own_report"),
    "--unlock": ("workflow_end_to_end", "test_after_a_kill_it_is_unlocked_and_goes_on"),
    "--forcerun train": ("workflow", "test_what_runs_again"),
    "--cores 8 results/{ie2msp,ie2mosei,meld2ie,meld2msp,mosei2ie,mosei2msp,msp2ie}.json": (
        "workflow",
        "test_all_pairs_of_the_paper_run_on_generated_corpora",
    ),
    "-n --cores 8 results/msp2mine.json --configfile config/mine.yaml": (
        "own_docs",
        "test_own_corpus",
    ),
}


def documented() -> dict[str, list[str]]:
    """Command → the pages that show it; what stands in `...` or <...> is no command."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        whole_lines = re.findall(r"^ *(?:# +)?(?:\.venv/bin/)?snakemake (.*)$", text, re.M)
        in_sentences = re.findall(r"(?<!`)`snakemake ([^`]*)`(?!`)", text)
        for shown in [*whole_lines, *in_sentences]:
            command = " ".join(shown.split("#")[0].split())
            if not re.search(r"\.\.\.|…|<|`", command):
                found.setdefault(command, []).append(page.relative_to(ROOT).as_posix())
    return found


def yaml_blocks(page: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the configs that come with the product and those of the pages' examples."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    (tmp_path / "config/mine.yaml").write_text(yaml_blocks("README.md")[0])
    (tmp_path / "mine.yaml").write_text(yaml_blocks("config/README.md")[0])
    (tmp_path / "mine.csv").write_text("id,path\nclip,clip.wav\n")
    return tmp_path


def test_every_command_is_expected_and_every_expectation_documented():
    shown = documented()
    new = {command: pages for command, pages in shown.items() if command not in PLANS}
    assert sorted(new) == sorted(TESTED_ELSEWHERE), "say in PLANS what the others plan"
    assert sorted(PLANS | TESTED_ELSEWHERE) == sorted(shown)
    for module, name in TESTED_ELSEWHERE.values():
        text = (ROOT / f"tests/test_{module}.py").read_text(encoding="utf-8")
        assert f"def {name}(" in text


@pytest.mark.parametrize("command", PLANS)
def test_plan(folder, command):
    arguments = command.replace("--cores 8", "").split()
    assert plan(folder, *arguments) == PLANS[command]

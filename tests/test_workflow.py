"""The plans that snakemake makes: what runs, what runs again, and what is refused."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from workflow_runs import ROOT, plan, snakemake, write_config

from amanda.paper_tables import PAIRS

METHODS = ["direct_transfer", "supervised", "amanda:norm:1", {"method": "amanda", "alpha2": 0.2}]
FEATURES = {"standin": 2, "weights": 1, "manifest": 2, "extract": 4, "features": 2}


@pytest.fixture
def folder(tmp_path):
    write_config(tmp_path, methods=METHODS)
    return tmp_path


def test_default_target_is_every_pair_and_the_report(folder):
    assert plan(folder) == {**FEATURES, "train": 8, "pair": 2, "report": 1, "all": 1}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("results/ie2msp.json", {**FEATURES, "train": 4, "pair": 1}),
        ("results/msp2ie.json", {**FEATURES, "train": 4, "pair": 1}),
        ("results/report.html", {**FEATURES, "train": 8, "pair": 2, "report": 1}),
        (
            "features/ie.h5",
            {"standin": 1, "weights": 1, "manifest": 1, "extract": 2, "features": 1},
        ),
    ],
)
def test_targets(folder, target, expected):
    assert plan(folder, target) == expected


def test_pictures_are_made_where_asked_for_and_never_of_a_corpus_kept_private(folder):
    asked = {"report": {"thumbnails": True}, "methods": ["supervised"], "pairs": ["ie2msp"]}
    write_config(folder, **asked)
    assert plan(folder, "results/report.html")["contact_sheets"] == 2
    write_config(
        folder,
        **asked,
        corpora={"ie": {"standin": True, "privacy": "strict"}, "msp": {"standin": True}},
    )
    assert plan(folder, "results/report.html")["contact_sheets"] == 1


def test_a_pair_that_is_not_listed_can_be_asked_for(folder):
    write_config(folder, pairs=["ie2msp"], methods=["supervised"])
    expected = {**FEATURES, "train": 1, "pair": 1}
    assert plan(folder, "results/msp2ie.json") == expected


def test_the_config_that_comes_with_it(tmp_path):
    config = ROOT / "config/config.yaml"
    arguments = ("results/ie2msp.json", "results/report.html", "--configfile", str(config))
    runs = len(yaml.safe_load(config.read_text())["methods"])
    demo = plan(tmp_path, *arguments, "--config", "pairs=[ie2msp]")
    assert demo == {**FEATURES, "train": runs, "pair": 1, "report": 1}
    assert plan(tmp_path, *arguments)["train"] == 2 * runs


def test_all_pairs_of_the_paper_run_on_generated_corpora(tmp_path):
    config = ROOT / "config/config.yaml"
    targets = [f"results/{pair}.json" for pair in PAIRS]
    planned = plan(tmp_path, *targets, "--configfile", str(config))
    runs = len(yaml.safe_load(config.read_text())["methods"])
    expected = {name: 2 * n for name, n in FEATURES.items()} | {"weights": 1}
    assert planned == {**expected, "train": 7 * runs, "pair": 7}


def test_the_papers_config(tmp_path):
    planned = plan(tmp_path, "--configfile", str(ROOT / "config/paper.yaml"))
    assert "standin" not in planned
    assert planned["extract"] == 4 * 32
    assert planned["train"] == 7 * 8


def test_own_clips_need_a_config_entry_only(folder):
    (folder / "mine.csv").write_text("id,path,split\nclip,clip.wav,train\n")
    corpora = {"ie": {"standin": True}, "mine": {"manifest": "mine.csv", "shards": 1}}
    write_config(folder, corpora=corpora, methods=["supervised"])
    expected = {"standin": 1, "weights": 1, "manifest": 2, "extract": 3, "features": 2}
    expected |= {"train": 1, "pair": 1}
    assert plan(folder, "results/ie2mine.json") == expected


def test_features_made_elsewhere_are_taken_as_they_are(folder):
    (folder / "theirs.h5").write_text("features")
    corpora = {"ie": {"standin": True}, "theirs": {"features": "theirs.h5"}}
    write_config(folder, corpora=corpora, methods=["supervised"])
    expected = {"standin": 1, "weights": 1, "manifest": 1, "extract": 2, "features": 1}
    assert plan(folder, "results/ie2theirs.json") == {**expected, "train": 1, "pair": 1}


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("results/ie2mps.json", r"pair 'ie2mps': no corpus 'mps' .*; did you mean 'msp'\?"),
        ("results/ie2ie.json", "pair 'ie2ie': source and target are the same corpus"),
        ("features/iee.h5", r"target 'features/iee\.h5': .*; did you mean 'features/ie\.h5'\?"),
        ("results/raport.html", r"nothing makes it; did you mean 'results/report\.html'\?"),
    ],
)
def test_a_mistyped_target_is_told_at_once(folder, target, sentence):
    started_s = time.monotonic()
    done = snakemake(folder, target)
    assert done.returncode != 0
    last = done.stdout.rstrip().splitlines()[-1]
    assert re.search(f"^Error: .*{sentence}", last), done.stdout
    assert 'File "' not in done.stdout
    assert time.monotonic() - started_s < 20
    assert not (folder / "data").exists()


def test_a_wrong_config_is_told_before_anything_runs(folder):
    write_config(folder, methods=["amnda:norm:1"])
    done = snakemake(folder)
    assert done.returncode != 0
    last = done.stdout.rstrip().splitlines()[-1]
    assert last.startswith("Error: config.yaml: methods, 'amnda:norm:1': method = 'amnda'")
    assert "did you mean 'amanda'?" in last
    assert 'File "' not in done.stdout


def test_a_corpus_that_is_not_here_is_planned_with_a_warning_and_an_unread_one_is_not(folder):
    write_config(folder, corpora={"ie": {"root": "/nowhere/IEMOCAP"}, "msp": {"standin": True}})
    done = snakemake(folder, "--dry-run", "manifests/ie.csv")
    assert done.returncode == 0, done.stdout
    assert "config.yaml: corpora.ie.root: there is no /nowhere/IEMOCAP" in done.stdout
    write_config(folder, corpora={"ei": {"root": "/nowhere/IEMOCAP"}, "msp": {"standin": True}})
    done = snakemake(folder, "--dry-run", "manifests/ie.csv")
    last = done.stdout.rstrip().splitlines()[-1]
    assert last.startswith("Error: config.yaml: corpora.ei: no reader 'ei'"), done.stdout


def test_what_a_job_died_of_is_said_last_and_mended_it_goes_on(folder):
    corpora = {"mine": {"manifest": "mine.csv", "split": "speaker"}, "ie": {"standin": True}}
    (folder / "mine.csv").write_text("id,path,text,label,speaker\none,,Hello.,hapy,anna\n")
    write_config(folder, corpora=corpora)
    done = snakemake(folder, "manifests/mine.csv")
    assert done.returncode == 1
    after = done.stdout.partition("Exiting because a job execution failed")[2]
    assert "At least one job did not complete" not in after
    assert re.findall("^Error: .*", after, re.M) == re.findall("^Error: .*", done.stdout, re.M)[-1:]
    assert re.search(r"^Error: mine\.csv: one: label 'hapy'", after, re.M), done.stdout

    rows = [f"{i},,Hello.,happy,{name}\n" for i, name in enumerate(["anna", "ben", "cleo"])]
    (folder / "mine.csv").write_text("id,path,text,label,speaker\n" + "".join(rows))
    shard = folder / "features/shards/mine/0-of-2.h5"
    shard.parent.mkdir(parents=True)
    shard.write_text("merged long ago")
    (folder / "features/mine.h5").write_text("merged")
    done = snakemake(folder, "manifests/mine.csv")
    assert done.returncode == 0, done.stdout
    assert not shard.parent.exists()


def finish(folder: Path) -> None:
    """Stand files in for everything that the workflow makes, as if it had run."""
    listed = snakemake(folder, "--dry-run", "--forceall").stdout
    for line in re.findall(r"^ +output: (.+)$", listed, re.M):
        for name in line.split(", "):
            file = folder / name.removesuffix(" (temp)")
            if "shards" not in file.parts:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("made")
    done = snakemake(folder, "--touch", "--forceall")
    assert done.returncode == 0, done.stdout
    assert plan(folder) == {}


@pytest.mark.slow
def test_what_runs_again(folder):
    finish(folder)
    follows = {"pair": 2, "report": 1, "all": 1}

    # A method's setting: that method, on both pairs.
    changed = [*METHODS[:3], {"method": "amanda", "alpha2": 0.3}]
    write_config(folder, methods=changed)
    assert plan(folder) == {"train": 2, **follows}

    # What says how jobs run and not what they write: nothing.
    write_config(folder, methods=METHODS, device="cpu", resources={"train": {"mem_mb": 3000}})
    assert plan(folder) == {}

    # One corpus's split: its manifest, its features, and what uses them.
    corpora = {"ie": {"standin": True, "split": "speaker"}, "msp": {"standin": True}}
    write_config(folder, methods=METHODS, corpora=corpora)
    expected = {"manifest": 1, "extract": 2, "features": 1, "train": 8, **follows}
    assert plan(folder) == expected

    # The version of a stage.
    write_config(folder, methods=METHODS)
    assert plan(folder) == {}
    newer = "import extractors; extractors.EXTRACT_VERSION += 1"
    expected = {"extract": 4, "features": 2, "train": 8, **follows}
    assert plan(folder, before=newer) == expected
    newer = "import amanda; amanda.REPORT_VERSION += 1"
    assert plan(folder, before=newer) == {"report": 1, "all": 1}


def test_no_more_is_planned_at_once_than_the_machine_has(folder):
    one_cpu = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    done = snakemake(folder, "--dry-run", before=one_cpu)
    assert "Cores asked for: 8; this machine has 1" in done.stdout
    finish(folder)
    done = snakemake(folder, "--touch", "--forceall", before=one_cpu)
    assert re.search(r"Provided cores: 1\b", done.stdout), done.stdout


@pytest.mark.parametrize(
    ("flags", "memory", "gpus"),
    [
        ((), 900, 0),
        (("--resources", "mem_mb=700", "gpu=1"), 700, 1),
        (("--workflow-profile", str(ROOT / "profiles/slurm")), 5000, 1),
    ],
)
def test_a_job_gets_what_this_machine_has_unless_a_scheduler_has_more(folder, flags, memory, gpus):
    write_config(folder, resources={"train": {"mem_mb": 5000, "gpu": 1}}, methods=["supervised"])
    machine = "from amanda import device; device.machine_memory_mb = lambda: 1000; "
    machine += "device.machine_gpus = lambda: 0"
    done = snakemake(folder, "--dry-run", "results/ie2msp.json", *flags, before=machine)
    assert done.returncode == 0, done.stdout
    train = done.stdout.split("rule train:", 1)[1].split("\n\n", 1)[0]
    assert f"mem_mb={memory}," in train
    assert re.search(rf"\bgpu={gpus}\b", train)


@pytest.mark.parametrize(
    ("command", "verdict"),
    [
        (["snakemake", "--lint"], "your workflow is in a good condition"),
        (["snakefmt", "--check", "Snakefile", "workflow"], "would be left unchanged"),
    ],
)
def test_lint_and_formatting(command, verdict):
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert verdict in done.stderr

"""The config: what it means as runs and command lines, and what is said of a wrong one."""

import subprocess
import sys
from typing import Any

import pytest
import typer
import yaml
from workflow_runs import ROOT

from amanda import commands, config_docs
from amanda.cli import app
from amanda.config import parse_config
from amanda.settings import RunSettings, to_flags
from amanda.store.errors import InputError

CORPORA: dict[str, Any] = {"ie": {"standin": True}, "msp": {"standin": True}}


def parse(**values: Any):
    return parse_config({"corpora": CORPORA, **values}, "c.yaml")


def test_defaults():
    config = parse()
    assert config.pairs == ["ie2msp", "msp2ie"]
    assert [run.label for run in config.runs.values()] == ["D.T.", "Supervised", "A-N (p=2)"]
    assert config.corpora["ie"].standin.utterances == 360


def test_pairs_default_to_all_both_ways():
    four = {name: {"root": name} for name in ("ie", "msp", "meld", "mosei")}
    assert len(parse(corpora=four).pairs) == 12


def test_a_run_is_the_settings_of_train_with_those_of_its_entry():
    config = parse(
        methods=["amanda:logexp:0.5", {"method": "amanda", "surrogate": "norm:inf", "lr": 1e-3}],
        seeds=5,
        standardise="domain",
        train={"epochs": 7, "lr": 1e-4},
    )
    first, second = config.runs.values()
    common = {"seeds": 5, "standardise": "domain", "epochs": 7}
    assert first == RunSettings(method="amanda", surrogate="logexp:0.5", lr=1e-4, **common)
    assert second == RunSettings(method="amanda", surrogate="norm:inf", lr=1e-3, **common)
    assert list(config.runs) == [first.run_id, second.run_id]


def test_a_run_does_not_depend_on_the_others():
    alone = parse(methods=["supervised"]).runs
    among = parse(methods=["direct_transfer", "supervised", "amanda:norm:1"]).runs
    assert set(alone) <= set(among)


def test_the_release_variant_keeps_its_own_defaults():
    (run,) = parse(methods=["amanda"], variant="release").runs.values()
    assert (run.lr, run.alignment_space) == (2e-4, "softmax")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"piars": []}, r"unknown key 'piars'; did you mean 'pairs'\?"),
        (
            {"modalities": "acoustic,video"},
            "modalities: no modality 'video'; write shared, or a list of acoustic, visual, lexical",
        ),
        ({"pairs": ["ie2mps"]}, r"pair 'ie2mps': no corpus 'mps' .*; did you mean 'msp'\?"),
        ({"pairs": ["ie2ie"]}, "source and target are the same corpus"),
        ({"pairs": ["iemsp"]}, "pair 'iemsp': write source2target"),
        ({"methods": ["amnda:norm:1"]}, r"'amnda:norm:1': .*did you mean 'amanda'\?"),
        ({"methods": ["amanda:nrm:1"]}, r"no kind 'nrm'; did you mean 'norm'\?"),
        ({"methods": ["amanda:norm:0.5"]}, "P is a number ≥ 1"),
        ({"methods": ["supervised:norm:1"]}, "supervised has no surrogate; write supervised"),
        ({"methods": [{"lrr": 1}]}, r"unknown setting 'lrr'; did you mean 'lr'\?"),
        ({"methods": ["supervised", {"method": "supervised"}]}, "entries 1 and 2 are the same"),
        ({"methods": []}, "list at least one"),
        ({"train": {"epoch": 3}}, r"unknown setting 'epoch'; did you mean 'epochs'\?"),
        ({"train": {"seeds": 3}}, "train.seeds: write it at the top of the config"),
        ({"train": {"method": "amanda"}}, "train.method: write it in an entry of methods"),
        ({"train": {"epochs": 0}}, "epochs = 0"),
        ({"seeds": 0}, "seeds = 0"),
        ({"resources": {"extrat": {}}}, r"'resources.extrat'; did you mean 'extract'\?"),
        ({"resources": {"train": {"gpu": 2}}}, "resources.train.gpu = 2"),
        ({"corpora": {}}, "corpora: name at least one"),
        ({"corpora": {"Ie": {"root": "x"}}}, "corpus name 'Ie'"),
        ({"corpora": {"ie": None}}, "corpora.ie needs key: value lines under it"),
        ({"corpora": {"ie": {}}}, "corpora.ie says not where it is; give one of standin"),
        ({"corpora": {"ie": {"root": "x", "standin": True}}}, "ie has standin and root"),
        ({"corpora": {"ie": {"rot": "x"}}}, r"'corpora.ie.rot'; did you mean 'root'\?"),
        ({"corpora": {"ie": {"standin": {"sed": 1}}}}, r"standin.sed'; did you mean 'seed'\?"),
        ({"corpora": {"ie": {"root": "x", "cap": {"hapy": 3}}}}, "cap.hapy"),
        ({"corpora": {"ie": {"manifest": "no.csv"}}}, "there is no file no.csv"),
        ({"corpora": {"ie": {"features": "no.h5"}}}, "ie.features: there is no file no.h5"),
    ],
)
def test_errors_are_one_sentence_that_names_the_key(values, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        parse(**values)
    assert str(caught.value).startswith("c.yaml: ")
    assert "\n" not in str(caught.value)


def accepted(command: str, flags: list[str]) -> dict[str, Any]:
    """The parameters that `amanda COMMAND` reads from these flags; an error if it refuses them."""
    subcommand = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    return subcommand.make_context(command, flags).params


def test_the_command_line_takes_what_a_config_stands_for(tmp_path):
    csv = tmp_path / "mine.csv"
    csv.write_text("id,path\n")
    config = parse(
        corpora={
            "ie": {"standin": {"seed": 3, "gap": {"visual": 0.5}}, "cap": {"neutral": 9}},
            "mine": {
                "manifest": str(csv),
                "downmix": True,
                "extract": ["acoustic", "lexical"],
                "privacy": "strict",
            },
        },
        profiles={"own": {"base": "embedded"}},
        profile="own",
        methods=[{"method": "amanda", "surrogate": "norm:3", "batch_size": 64}],
    )
    ie, mine = config.corpora["ie"], config.corpora["mine"]
    read = accepted(
        "standin", ["--corpus", "ie", "--out", "x", *commands.standin_flags(ie.standin)]
    )
    assert (read["seed"], read["gap"]) == (3, "acoustic=1,visual=0.5,lexical=1")
    read = accepted("manifest", ["--out", "x.csv", *commands.manifest_flags("ie", ie)])
    assert (read["corpus"], str(read["root"]), read["cap"]) == ("ie", "data/ie", "neutral=9")
    read = accepted("manifest", ["--out", "x.csv", *commands.manifest_flags("mine", mine)])
    assert (read["corpus"], str(read["root"]), read["split"]) == ("csv", str(csv), "column")
    ends = ["--manifest", "m.csv", "--out", "f.h5", "--shard", "0/2"]
    read = accepted("extract", [*ends, *commands.extract_flags("mine", config, "c.yaml")])
    assert (read["profile"], str(read["config"]), read["downmix"]) == ("own", "c.yaml", True)
    assert (read["modalities"], read["name_no_clips"]) == ("acoustic,lexical", True)
    assert "--name-no-clips" not in commands.extract_flags("ie", config, "c.yaml")
    (run,) = config.runs.values()
    ends = ["--source", "a.h5", "--target", "b.h5", "--out", "r.json"]
    read = accepted("train", [*ends, *to_flags(run)])
    assert (read["surrogate"], read["setting"]) == ("norm:3", ["batch_size=64"])


@pytest.mark.parametrize(
    ("file", "made"),
    [(config_docs.SCHEMA, config_docs.schema), (config_docs.DOCS, config_docs.documentation)],
)
def test_generated_files_agree_with_the_models(file, made):
    message = f"{file} is out of date: python -m amanda.config --write"
    assert (ROOT / file).read_text(encoding="utf-8") == made(), message


@pytest.mark.parametrize("name", ["config.yaml", "paper.yaml"])
def test_configs_that_come_with_it_fit_the_schema(name):
    import json

    import jsonschema

    schema = json.loads((ROOT / config_docs.SCHEMA).read_text(encoding="utf-8"))
    values = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    jsonschema.validate(values, schema)
    parse_config(values, name)
    with pytest.raises(jsonschema.ValidationError, match="sedes"):
        jsonschema.validate({**values, "sedes": 3}, schema)


def test_reading_a_config_imports_no_torch():
    code = "import amanda.config, amanda.commands, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0

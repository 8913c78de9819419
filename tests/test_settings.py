"""Settings: one spelling a run, one clear sentence a mistake."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from amanda.methods import method_names
from amanda.settings import RunSettings, parse_settings, resolve_settings, to_flags
from amanda.store.errors import InputError


def parse_flags(flags: list[str]) -> RunSettings:
    """Settings as `amanda train` makes them of a command line."""
    named = dict(zip(flags[::2], flags[1::2], strict=True)) | {}
    assignments = [b for a, b in zip(flags[::2], flags[1::2], strict=True) if a == "--set"]
    named.pop("--set", None)
    return resolve_settings(None, assignments, **{k[2:]: v for k, v in named.items()})


def test_defaults_are_the_papers() -> None:
    settings = RunSettings()
    paper = {
        "lr": 5e-4,
        "betas": (0.9, 0.999),
        "batch_size": 128,
        "gamma": 5e-4,
        "alpha1": 0.08,
        "alpha2": 0.1,
        "dim": 128,
        "ce_weight_single": 1.0,
        "alignment_space": "representation",
        "covariance": "centred",
        "label_prior": "source",
        "seeds": 3,
        "standardise": "none",
    }
    assert {name: getattr(settings, name) for name in paper} == paper


def test_every_field_is_described() -> None:
    assert all(field.description for field in RunSettings.model_fields.values())


def test_variant_release() -> None:
    settings = RunSettings(variant="release")
    assert settings.alignment_space == "softmax"
    assert settings.covariance == "uncentred"
    assert settings.bottleneck == "release"
    assert settings.ce_weight_single == 0.008
    assert settings.label_prior == "given"
    assert settings.given_prior == (2 / 9, 3 / 9, 2 / 9, 2 / 9)
    assert (settings.lr, settings.betas) == (2e-4, (0.5, 0.999))
    assert (settings.weight_decay, settings.clip) == (1e-4, 0.5)
    assert RunSettings(variant="release", lr=1e-3).lr == 1e-3  # what is said outright wins
    assert settings.changed() == {"variant": "release"}


def test_run_id_is_the_hash_of_every_setting() -> None:
    base = RunSettings()
    assert base.run_id == f"amanda-{base.sha256[:12]}"
    assert base.run_id == RunSettings(surrogate="norm:2.0", modalities=" shared ").run_id
    changes: list[dict[str, object]] = [
        {"surrogate": "norm:1"},
        {"seeds": 5},
        {"method": "dann"},
        {"standardise": "domain"},
        {"alpha2": 0.2},
        {"modalities": "acoustic"},
        {"precision": "bfloat16"},
    ]
    ids = [RunSettings(**change).run_id for change in changes]  # type: ignore[arg-type]
    assert len({base.run_id, *ids}) == len(changes) + 1


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, "A-N (p=2)"),
        ({"surrogate": "norm:inf"}, "A-N (p=∞)"),
        ({"surrogate": "logexp:0.5"}, "A-L (t=0.5)"),
        ({"method": "direct_transfer"}, "D.T."),
        ({"method": "cdan_e"}, "CDAN+E"),
        ({"alpha2": 0, "surrogate": "norm:1"}, "A. w/o CA"),
        ({"epochs": 7, "seeds": 1, "eval_every": 2}, "A-N (p=2)"),
        ({"standardise": "domain", "alpha2": 0.5}, "A-N (p=2) [standardise=domain, alpha2=0.5]"),
        ({"variant": "release"}, "A-N (p=2) [variant=release]"),
    ],
)
def test_labels(changes: dict, label: str) -> None:
    assert RunSettings(**changes).label == label


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"method": "dann", "adversary_on": "each", "adversary_hidden": [64]},
        {"variant": "release", "lr": 1e-5, "betas": [1e-3, 0.9]},
        {"surrogate": "logexp:0.5", "modalities": "acoustic,lexical", "epochs": 7},
        {"label_prior": "given", "given_prior": [0.1, 0.2, 0.3, 0.4], "standardise": "source"},
        {"kernels": [3], "alpha2": 0.0005, "adversary_weight": 0.3, "precision": "bfloat16"},
    ],
)
def test_flags_give_the_settings_back(changes: dict) -> None:
    settings = RunSettings(**changes)
    flags = shlex.split(shlex.join(to_flags(settings)))
    assert parse_flags(flags).run_id == settings.run_id


def test_flags_win_over_assignments_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump({"lr": 0.1, "epochs": 5, "alpha2": 0.3}))
    settings = resolve_settings(config, ["epochs=6", "alpha2=0.4"], epochs=7, method=None)
    assert (settings.lr, settings.epochs, settings.alpha2) == (0.1, 7, 0.4)
    assert settings.method == "amanda"
    (tmp_path / "empty.yaml").write_text("")
    assert resolve_settings(tmp_path / "empty.yaml", []) == RunSettings()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"method": "dan"}, "c.yaml: method = 'dan': no such method; did you mean"),
        ({"methd": "dann"}, "c.yaml: unknown setting 'methd'; did you mean 'method'"),
        ({"surrogate": "nrm:2"}, "c.yaml: surrogate 'nrm:2': no kind 'nrm'; did you mean 'norm'"),
        ({"surrogate": "norm:0.5"}, "P is a number ≥ 1"),
        ({"surrogate": "logexp:0"}, "T is a finite number > 0"),
        ({"lr": 0}, "c.yaml: lr = 0: Input should be greater than 0"),
        ({"lr": "fast"}, "c.yaml: lr = 'fast'"),
        ({"batch_size": 1}, "batch_size = 1: Input should be greater than or equal to 2"),
        ({"standardise": "target"}, "standardise = 'target': Input should be 'none'"),
        ({"kernels": []}, "write whole numbers from 1 on"),
        ({"kernels": [3, 0]}, "write whole numbers from 1 on"),
        ({"betas": [0.9, 1.0]}, "at least 0 and below 1"),
        ({"label_prior": "given"}, "given_prior must list a share a class"),
        ({"given_prior": [0.5, 0.6]}, "must be shares that sum to 1"),
        ({"given_prior": [1.5, -0.5]}, "must be shares that sum to 1"),
    ],
)
def test_mistakes(values: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse_settings(values, "c.yaml")


def test_files_and_assignments_that_cannot_be_read(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    for text in ("a: [", "- 1"):
        bad.write_text(text)
        with pytest.raises(InputError, match=r"bad\.yaml: "):
            resolve_settings(bad, [])
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        resolve_settings(tmp_path / "none.yaml", [])
    with pytest.raises(InputError, match="--set 'epochs': write key=value"):
        resolve_settings(None, ["epochs"])
    with pytest.raises(InputError, match="the value is not YAML"):
        resolve_settings(None, ["betas=[0.5"])


def test_settings_do_not_import_torch() -> None:
    """The workflow reads them at every start."""
    code = (
        "import sys, amanda.settings as s; s.parse_settings({'surrogate': 'logexp:1'}, '');"
        "print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_settings_are_plain_data() -> None:
    for name in method_names():
        settings = RunSettings(method=name)
        assert RunSettings(**json.loads(settings.model_dump_json())) == settings

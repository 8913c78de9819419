"""The command line as a person meets it: exit codes, one sentence an error, nothing half-written.

Errors that need media, a network or a full disk are tested where they arise (test_extract,
test_weights, test_store_features); here is what every other wrong input ends in.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from corpus_trees import ie_tree
from small_features import write_corpus

from amanda import cli
from amanda.commands_weights import weights_app
from amanda.methods import method_names
from corpora.readers import reader_names

HEADER = "id,path,start_s,end_s,text,label,speaker,group,split\n"


def run(monkeypatch, capsys, *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `amanda ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["amanda", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    printed = capsys.readouterr()
    return int(stop.value.code or 0), printed.out, printed.err


def wrong_root(folder: Path) -> list[object]:
    return ["manifest", "--corpus", "ie", "--root", folder / "nowhere", "--out", folder / "m.csv"]


def empty_root(folder: Path) -> list[object]:
    (folder / "empty").mkdir()
    return ["manifest", "--corpus", "ie", "--root", folder / "empty", "--out", folder / "m.csv"]


def other_layout(folder: Path) -> list[object]:
    ie_tree(folder / "ie")
    return ["manifest", "--corpus", "msp", "--root", folder / "ie", "--out", folder / "m.csv"]


def unknown_reader(folder: Path) -> list[object]:
    return ["manifest", "--corpus", "msb", "--root", folder, "--out", folder / "m.csv"]


def write_csv(folder: Path, rows: str) -> Path:
    path = folder / "mine.csv"
    path.write_text(HEADER + rows, encoding="utf-8")
    (folder / "a.wav").touch()
    return path


def duplicate_ids(folder: Path) -> list[object]:
    path = write_csv(folder, "u1,a.wav,,,hi,sad,s,s,train\nu1,a.wav,,,ho,sad,s,s,train\n")
    return ["extract", "--manifest", path, "--out", folder / "f.h5"]


def foreign_label(folder: Path) -> list[object]:
    path = write_csv(folder, "u1,a.wav,,,hi,joyful,s,s,train\n")
    return ["extract", "--manifest", path, "--out", folder / "f.h5"]


def all_media_missing(folder: Path) -> list[object]:
    path = folder / "mine.csv"
    path.write_text(HEADER + "u1,gone.wav,,,,sad,s,s,train\n", encoding="utf-8")
    return ["extract", "--manifest", path, "--out", folder / "f.h5"]


def unknown_profile(folder: Path) -> list[object]:
    path = write_csv(folder, "u1,a.wav,,,hi,sad,s,s,train\n")
    return ["extract", "--manifest", path, "--out", folder / "f.h5", "--profile", "embeded"]


def bad_shard(folder: Path) -> list[object]:
    path = write_csv(folder, "u1,a.wav,,,hi,sad,s,s,train\n")
    return ["extract", "--manifest", path, "--out", folder / "f.h5", "--shard", "3/3"]


def train(folder: Path, *arguments: str) -> list[object]:
    files = ["--source", folder / "a.h5", "--target", folder / "b.h5", "--out", folder / "r.json"]
    return ["train", *files, "--epochs", "1", "--seeds", "1", "--workers", "1", *arguments]


def two_files(folder: Path) -> None:
    write_corpus(folder / "a.h5")
    write_corpus(folder / "b.h5", seed=1)


def nan_in_features(folder: Path) -> list[object]:
    two_files(folder)
    with h5py.File(folder / "b.h5", "r+") as file:
        file["acoustic/values"][3, 0, 0] = np.nan
    return train(folder)


def other_width(folder: Path) -> list[object]:
    two_files(folder)
    write_corpus(folder / "b.h5", shapes={"acoustic": (2, 7), "visual": (1, 5), "lexical": (2, 4)})
    return train(folder)


def other_model(folder: Path) -> list[object]:
    two_files(folder)
    with h5py.File(folder / "b.h5", "r+") as file:
        file["lexical"].attrs["model"] = "a German BERT"
    return train(folder)


def no_shared_modality(folder: Path) -> list[object]:
    write_corpus(folder / "a.h5", shapes={"acoustic": (2, 6)})
    write_corpus(folder / "b.h5", shapes={"lexical": (2, 4)})
    return train(folder)


def missing_features(folder: Path) -> list[object]:
    return train(folder)


def not_features(folder: Path) -> list[object]:
    two_files(folder)
    (folder / "b.h5").write_bytes(b"no HDF5 here")
    return train(folder)


def unknown_method(folder: Path) -> list[object]:
    two_files(folder)
    return train(folder, "--method", "amnda")


def small_p(folder: Path) -> list[object]:
    two_files(folder)
    return train(folder, "--surrogate", "norm:0.5")


def unknown_setting(folder: Path) -> list[object]:
    two_files(folder)
    return train(folder, "--set", "batchsize=3")


def setting_as_option(folder: Path) -> list[object]:
    two_files(folder)
    return train(folder, "--batch-size", "64")


def misspelt_option(folder: Path) -> list[object]:
    two_files(folder)
    return train(folder, "--surogate=norm:1")


def nothing_before_it(folder: Path) -> list[object]:
    two_files(folder)
    return train(folder, "amanda")


def class_absent(folder: Path) -> list[object]:
    def no_sad(columns: dict[str, np.ndarray]) -> None:
        columns["label"][columns["label"] == 2] = -1

    two_files(folder)
    write_corpus(folder / "a.h5", edit=no_sad)
    return train(folder)


def truncated_result(folder: Path) -> list[object]:
    (folder / "r.json").write_text('{"format": "amanda-result"', encoding="utf-8")
    return ["report", folder / "r.json", "--out", folder / "report.html"]


def unknown_standin(folder: Path) -> list[object]:
    return ["standin", "--corpus", "iee", "--out", folder / "ie"]


def bad_prior(folder: Path) -> list[object]:
    return ["standin", "--corpus", "ie", "--out", folder / "ie", "--prior", "neutral=lots"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (wrong_root, r"nowhere.*(no such|does not exist|not a folder)"),
        (empty_root, r"empty.*Session"),
        (other_layout, r"ie.*Eval"),
        (unknown_reader, r"did you mean 'msp'"),
        (duplicate_ids, r"line 3: id 'u1' stands on line 2 already"),
        (foreign_label, r"line 2.*'joyful'.*--label-map"),
        (all_media_missing, r"gone\.wav"),
        (unknown_profile, r"did you mean 'embedded'"),
        (bad_shard, r"--shard '3/3'"),
        (nan_in_features, r"b\.h5.*b_0\d\d.*NaN"),
        (other_width, r"acoustic.*(6.*7|7.*6)"),
        (other_model, r"a German BERT.*--allow-mismatch"),
        (no_shared_modality, r"no modality|share no|none in common|no shared"),
        (missing_features, r"a\.h5: no such file"),
        (not_features, r"b\.h5: not an HDF5 file"),
        (unknown_method, r"did you mean 'amanda'"),
        (small_p, r"norm:0\.5.*≥ 1"),
        (unknown_setting, r"did you mean 'batch_size'"),
        (setting_as_option, r"--batch-size.*'--set batch_size=64'"),
        (misspelt_option, r"--surogate: no such option; did you mean '--surrogate'"),
        (nothing_before_it, r"'amanda': no option stands before it"),
        (class_absent, r"a\.h5.*'sad'"),
        (truncated_result, r"r\.json"),
        (unknown_standin, r"did you mean 'ie'"),
        (bad_prior, r"--prior 'neutral=lots'"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(
    monkeypatch, capsys, tmp_path, wrong: Callable[[Path], list[object]], said: str
):
    arguments = wrong(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(monkeypatch, capsys, *arguments)
    error = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert code == 2, err
    assert len(error) == 1
    assert "Traceback" not in out + err

    assert re.search(said, error[0]), error[0]
    after = [p for p in sorted(tmp_path.rglob("*")) if ".unfinished" not in str(p)]
    assert after == before, "something was left behind"


def test_check_prints_every_problem_and_one_json_object(monkeypatch, capsys, tmp_path):
    path = write_csv(tmp_path, "u1,a.wav,2,1,hi,sad,s,s,train\nu2,a.wav,,,hi,bad,s,s,exam\n")
    code, out, _ = run(monkeypatch, capsys, "check", path)
    assert code == 2
    assert len(out.splitlines()) == 3
    code, out, _ = run(monkeypatch, capsys, "check", path, "--json")
    assert code == 2
    assert len(json.loads(out)["problems"]) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("corpora: {ie: {standin: true}, msp: {standin: true}}\npairs: [ie2msp]\n", "sound"),
        ("corpora: {ie: {standin: true}}\npair: [ie2msp]\n", "did you mean 'pairs'?"),
        ("corpora: {ie: {standin: true}}\npairs: [ie2msp]\n", "msp"),
        ("corpora: [\n", "not YAML"),
        ("exc: happy\nneu: neutral\n", "sound"),
        ("exc: hapy\n", "'exc: hapy' names no class; did you mean 'happy'?"),
        ("- happy\n", "no keys"),
        ("classes: [negative, positive]\nfrom: valence\n", "sound"),
        ("epochs: 20\n", "neither a config, which has corpora, nor a map of labels"),
    ],
)
def test_check_reads_configs_and_maps_of_labels(monkeypatch, capsys, tmp_path, text, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    code, out, err = run(monkeypatch, capsys, "check", path)
    assert (code, err) == (0 if said == "sound" else 2, "")
    assert re.fullmatch(rf"{re.escape(str(path))}.*{re.escape(said)}.*\n", out)


def test_check_of_a_yaml_file_that_is_no_text(monkeypatch, capsys, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\xfa")
    code, out, _ = run(monkeypatch, capsys, "check", path)
    assert (code, "cannot be read" in out) == (2, True)


def test_check_of_predictions_is_that_of_their_result(monkeypatch, capsys, tmp_path):
    two_files(tmp_path)
    assert run(monkeypatch, capsys, *train(tmp_path, "--method", "direct_transfer"))[0] == 0
    predictions = tmp_path / "r.predictions.csv"
    code, out, _ = run(monkeypatch, capsys, "check", predictions)
    assert (code, out) == (0, f"{predictions}: sound\n")
    predictions.write_text(predictions.read_text(encoding="utf-8").replace(",happy,", ",sad,", 1))
    code, out, _ = run(monkeypatch, capsys, "check", predictions)
    assert (code, "r.predictions.csv" in out, "Traceback" in out) == (2, True, False)
    both = run(monkeypatch, capsys, "check", predictions, tmp_path / "r.json")
    assert both == (code, out, "")  # a problem of both files is said once


def test_check_says_that_a_sound_file_is_sound(monkeypatch, capsys, tmp_path):
    two_files(tmp_path)
    code, out, _ = run(monkeypatch, capsys, "check", tmp_path / "a.h5", tmp_path / "b.h5")
    assert (code, out.strip().endswith("sound")) == (0, True)


def test_train_writes_a_result_and_predictions(monkeypatch, capsys, tmp_path):
    two_files(tmp_path)
    code, out, _ = run(monkeypatch, capsys, *train(tmp_path, "--method", "direct_transfer"))
    assert code == 0
    assert "D.T." in out
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["target"] == "b"
    assert (tmp_path / "r.predictions.csv").exists()


def test_every_command_has_help_with_an_example(monkeypatch, capsys):
    for command in cli.app.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")
        code, out, _ = run(monkeypatch, capsys, name, "--help")
        assert code == 0
        assert "Example:" in out, name


def test_help_names_what_there_is(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")

    def help_of(command: str) -> str:
        return " ".join(run(monkeypatch, capsys, *command.split(), "--help")[1].split())

    listed = ", ".join(method_names()[:-1]).replace("amanda", "amanda (default)")
    assert f"{listed} or {method_names()[-1]}." in help_of("train")
    layouts = [name for name in reader_names() if name != "csv"]
    assert all(name in help_of("standin").partition("Its layout:")[2] for name in layouts)
    assert "as 1,7,12 or MODALITY=1,7,12" in help_of("import")
    commands = [command.name for command in weights_app.registered_commands]
    assert weights_app.info.help == f"The models' weights: {', '.join(commands)}."
    assert all("Example:" in help_of(f"weights {name}") for name in commands)


def test_extraction_of_a_file_that_can_name_no_corpus_says_what_to_give(
    monkeypatch, capsys, tmp_path
):
    manifest = tmp_path / "Rec-Two.csv"
    code, _, err = run(
        monkeypatch, capsys, "extract", "--manifest", manifest, "--out", tmp_path / "x.h5"
    )
    assert code == 2
    assert f"{manifest}: without --corpus the corpus is named after the file" in err
    assert "give --corpus NAME" in err
    out = tmp_path / "My-Features.h5"
    code, _, err = run(monkeypatch, capsys, "import", tmp_path / "x.npz", "--out", out)
    assert code == 2
    assert f"{out}: without --corpus the corpus is named after the file" in err


@pytest.mark.slow
def test_interrupted_training_says_so_and_leaves_no_result(tmp_path):
    two_files(tmp_path)
    arguments = [str(a) for a in train(tmp_path, "--set", "epochs=100000")]
    del arguments[arguments.index("--epochs") : arguments.index("--epochs") + 2]
    process = subprocess.Popen(
        [sys.executable, "-m", "amanda.cli", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    kept = None
    for _ in range(600):
        kept = next(tmp_path.glob(".r.*.unfinished"), None)
        if kept is not None:
            break
        time.sleep(0.1)
    assert kept is not None, "training did not start"
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not (tmp_path / "r.json").exists()

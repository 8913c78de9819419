"""From a corpus to its manifest: drop, cap, split, and every row accounted for."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from corpus_trees import ie_tree, meld_tree, mosei_tree, msp_tree, write, write_folds
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from amanda.cli import app
from amanda.commands import manifest_flags
from amanda.config import parse_config
from amanda.store.check import check_files
from amanda.store.errors import InputError
from amanda.store.manifest import (
    check_manifest,
    manifest_classes,
    read_manifest,
    read_meta,
    resolve_path,
)
from amanda.store.names import CLASSES, SPLITS
from corpora.manifest import build_manifest


def own_csv(folder: Path, labels: list[str], *, speakers: int = 6, split: str = "") -> Path:
    write(folder / "clips" / "a.wav")
    rows = [
        f"u{i:03},clips/a.wav,some words,{label},S{i % speakers}{',' + split if split else ''}"
        for i, label in enumerate(labels)
    ]
    header = f"id,path,text,label,speaker{',split' if split else ''}"
    return write(folder / "mine.csv", "\n".join([header, *rows]) + "\n")


def dropped_rows(manifest: Path) -> list[dict[str, str]]:
    with open(manifest.with_suffix(".dropped.csv"), newline="") as file:
        return list(csv.DictReader(file))


def test_iemocap_is_read_dropped_and_accounted_for(tmp_path: Path) -> None:
    out = tmp_path / "manifests" / "ie.csv"
    summary = build_manifest("ie", ie_tree(tmp_path / "data"), out)
    rows = read_manifest(out)
    assert {row.id: row.label for row in rows} == {
        "Ses01F_impro01_F000": "neutral",
        "Ses01F_impro01_M000": "happy",
        "Ses01F_impro01_M001": "angry",
        "Ses01F_impro01_M002": "happy",
        "Ses02M_script01_1_M000": "angry",
    }
    first = rows[0]
    assert first.text == "Excuse me."
    none = dict.fromkeys(CLASSES, 0.0)
    assert first.shares == {**none, "neutral": 0.5, "happy": 0.5}
    assert rows[1].shares == {**none, "happy": 0.5}, "one rater said what is no class"
    assert rows[2].shares == {}, "no raters in the file"
    assert first.path == "../data/Session1/dialog/avi/DivX/Ses01F_impro01.avi"
    assert resolve_path(out, first.audio_path).is_file()
    assert summary.dropped == Counter(row["reason"] for row in dropped_rows(out))
    assert summary.dropped == {
        "label line does not parse": 2,
        "neither video nor audio file": 2,
        "label xxx is no class": 1,
        "ends before it starts": 1,
        "id stands twice": 1,
    }
    assert summary.n_total == summary.n_kept + len(dropped_rows(out)) == 12
    assert summary.labels_read == {
        "hap": 2, "ang": 2, "neu": 1, "exc": 1, "xxx": 1, "sad": 1,
    }  # fmt: skip
    where = dropped_rows(out)[-1]
    assert Path(where["file"]).is_file()


def test_msp_is_read(tmp_path: Path) -> None:
    out = tmp_path / "msp.csv"
    summary = build_manifest("msp", msp_tree(tmp_path / "data"), out)
    assert {row.id[-4:]: (row.label, row.text) for row in read_manifest(out)} == {
        "FM01": ("neutral", "Words of FM01."),
        "MF02": ("angry", ""),
        "FF11": ("happy", "Words of FF11."),
        "MM01": ("sad", ""),
    }
    assert summary.dropped["label X is no class"] == 1
    assert (summary.n_speakers, summary.n_groups) == (4, 2)


def test_meld_is_read(tmp_path: Path) -> None:
    out = tmp_path / "meld.csv"
    summary = build_manifest("meld", meld_tree(tmp_path / "data"), out, split="official")
    assert {row.id: (row.label, row.split) for row in read_manifest(out)} == {
        "train_dia0_utt0": ("neutral", "train"),
        "train_dia0_utt1": ("happy", "train"),
        "train_dia1_utt0": ("sad", "train"),
        "train_dia1_utt1": ("angry", "train"),
        "test_dia0_utt0": ("happy", "test"),
        "test_dia0_utt1": ("neutral", "test"),
    }
    assert summary.dropped == {
        "no clip": 2,
        "CSV line does not parse": 2,
        "label surprise is no class": 1,
    }
    assert summary.n_total == 11, "every line under the headers"
    assert (summary.n_speakers, summary.n_groups) == (4, 3)


@pytest.mark.parametrize("labels", ["csd", "aligned"])
def test_mosei_is_read_by_the_papers_rule(labels: str, tmp_path: Path) -> None:
    out = tmp_path / "mosei.csv"
    root = write_folds(mosei_tree(tmp_path / "data", labels=labels))
    summary = build_manifest("mosei", root, out, split="official")
    rows = {row.id: row for row in read_manifest(out)}
    assert {k: (r.label, r.split, r.start_s) for k, r in rows.items()} == {
        "_0ab_cD-_0": ("neutral", "train", 0.0),
        "_0ab_cD-_1": ("happy", "train", 3.4),
        "100178[0]": ("angry", "test", 0.0),
    }
    assert rows["_0ab_cD-_1"].shares["happy"] == pytest.approx(2 / 3)
    assert rows["_0ab_cD-_1"].shares["sad"] == 0.0
    assert rows["_0ab_cD-_0"].shares["neutral"] == 1.0
    assert resolve_path(out, rows["_0ab_cD-_0"].audio_path).is_file()
    assert summary.dropped == {
        "label tie is no class": 1,
        "label none is no class": 1,
        "ends before it starts": 1,
        "neither video nor audio file": 1,
    }
    assert summary.n_total == 7


def test_rows_that_the_official_folds_leave_out_are_dropped(tmp_path: Path) -> None:
    root = write_folds(mosei_tree(tmp_path / "data"))
    write(root / "folds/test.txt", "elsewhere\n")
    summary = build_manifest("mosei", root, tmp_path / "mosei.csv", split="official")
    assert summary.dropped["in none of the official folds"] == 1
    assert {row.split for row in read_manifest(tmp_path / "mosei.csv")} == {"train"}
    for name in ("train", "valid", "test"):
        (root / f"folds/{name}.txt").unlink()
    with pytest.raises(InputError, match="--split official, but none is prescribed for 3 rows"):
        build_manifest("mosei", root, tmp_path / "mosei.csv", split="official")


@pytest.mark.parametrize(
    ("corpus", "subset", "ids"),
    [
        ("ie", "improvised", ["F000", "M000", "M001", "M002"]),
        ("ie", "scripted", ["M000"]),
        ("msp", "natural", ["FM01"]),
        ("msp", "improvised, read", ["MF02", "FF11"]),
        ("msp", "target", ["MM01"]),
    ],
)
def test_a_part_of_a_corpus(corpus: str, subset: str, ids: list[str], tmp_path: Path) -> None:
    tree = {"ie": ie_tree, "msp": msp_tree}[corpus]
    out = tmp_path / f"{corpus}.csv"
    summary = build_manifest(corpus, tree(tmp_path / "data"), out, subset=subset)
    assert [row.id[-4:] for row in read_manifest(out)] == ids
    assert summary.dropped["outside the subset"] == (5 if corpus == "ie" else 4) - len(ids)
    assert read_meta(out)["subset"] == subset
    assert f"; only {subset};" in summary.to_text().splitlines()[0]


def test_a_part_that_a_corpus_has_not_is_told(tmp_path: Path) -> None:
    root = ie_tree(tmp_path / "data")
    with pytest.raises(InputError, match="--subset impro: no such part of ie; did you mean 'impro"):
        build_manifest("ie", root, tmp_path / "ie.csv", subset="impro")
    path = own_csv(tmp_path / "own", ["happy"])
    with pytest.raises(InputError, match="--subset read: no such part of csv; csv has none"):
        build_manifest("csv", path, tmp_path / "own.csv", subset="read")


def test_classes_of_ones_own_are_kept_beside_the_manifest(tmp_path: Path) -> None:
    label_map = write(
        tmp_path / "map.yaml", "classes: [calm, tense]\nlabels: {neu: calm, ang: tense}\n"
    )
    out = tmp_path / "ie.csv"
    root = ie_tree(tmp_path / "data")
    summary = build_manifest("ie", root, out, label_map=label_map, cap={"tense": 1})
    assert [row.label for row in read_manifest(out, classes=None)].count("tense") == 1
    assert list(summary.counts) == read_meta(out)["classes"] == ["calm", "tense"]
    assert read_manifest(out, classes=["calm", "tense"])[0].shares == {"calm": 0.5, "tense": 0.0}
    assert manifest_classes(out) == ("calm", "tense")
    assert check_files([out]) == [], "the check reads the classes from the note beside it"
    with pytest.raises(InputError, match="--cap happy=1: no such class; known: calm, tense"):
        build_manifest("ie", root, out, label_map=label_map, cap={"happy": 1})
    out.write_text(out.read_text() + "\n")
    assert manifest_classes(out) == ("calm", "tense"), "of an edited manifest too"
    out.with_suffix(".meta.json").unlink()
    assert manifest_classes(out) == CLASSES
    assert any("label 'calm' is not a class" in problem for problem in check_files([out]))


def test_the_sign_of_the_sentiment(tmp_path: Path) -> None:
    label_map = write(tmp_path / "map.yaml", "classes: [negative, positive]\nfrom: valence\n")
    out = tmp_path / "mosei.csv"
    summary = build_manifest("mosei", mosei_tree(tmp_path / "data"), out, label_map=label_map)
    assert {row.id: row.label for row in read_manifest(out, classes=None)} == {
        "_0ab_cD-_1": "positive",
        "_0ab_cD-_2": "negative",
        "_0ab_cD-[3]": "negative",
        "100178[0]": "negative",
    }
    assert summary.dropped["label neutral is no class"] == 1
    assert (summary.label_source, summary.labels_used[0]) == ("valence", "classes:train")


def test_the_papers_counts_stand_beside_where_they_can_be_compared(tmp_path: Path) -> None:
    root = ie_tree(tmp_path / "data")
    lines = build_manifest("ie", root, tmp_path / "ie.csv", cap={"happy": 1}).to_text().splitlines()
    table = {line.split()[0]: line.split()[1:] for line in lines[3:8]}
    assert table["happy"][3:] == ["1", "2", "1119", "115", "351", "1585"]
    assert table["sum"][4:] == ["5", "3868", "455", "1138", "5461"]
    label_map = write(
        tmp_path / "map.yaml", "classes: [calm, tense]\nlabels: {neu: calm, ang: tense}\n"
    )
    for options in ({"label_map": label_map}, {}):
        if not options:
            write(root / "standin.json", "{}")
        text = build_manifest("ie", root, tmp_path / "ie.csv", **options).to_text()
        assert "Table 7" not in text


def test_the_files_beside_say_how_it_was_made(tmp_path: Path) -> None:
    out = tmp_path / "mine.csv"
    path = own_csv(tmp_path / "data", ["happy"] * 30 + ["sad"] * 20)
    summary = build_manifest("csv", path, out, split="speaker", split_seed=3, cap={"happy": 24})
    meta = json.loads((tmp_path / "mine.meta.json").read_text())
    assert meta == json.loads(summary.to_json())
    assert read_meta(out) == meta
    assert (meta["reader"], meta["root"], meta["origin"]) == ("csv", str(path), "recorded")
    assert (meta["split"], meta["split_seed"], meta["cap"]) == ("speaker", 3, {"happy": 24})
    assert meta["before_cap"] == {"happy": 30, "sad": 20}
    assert meta["dropped"] == {"over the cap of 24 happy": 6}
    assert meta["labels_used"] == ["cap:train", "cap:val", "cap:test"]
    counted = Counter((row.label, row.split) for row in read_manifest(out))
    assert meta["counts"] == {c: {s: counted[c, s] for s in SPLITS} for c in CLASSES}
    out.write_text(out.read_text() + "\n")
    assert read_meta(out) == {}, "a manifest that was edited has no known history"


def test_labels_used_names_the_filter_by_class(tmp_path: Path) -> None:
    summary = build_manifest("ie", ie_tree(tmp_path / "data"), tmp_path / "ie.csv")
    assert summary.labels_used == ["classes:train", "classes:val", "classes:test"]
    path = own_csv(tmp_path / "own", ["happy", ""] * 20)
    assert build_manifest("csv", path, tmp_path / "own.csv").labels_used == []


def test_the_summary_shows_a_table_and_the_drops(tmp_path: Path) -> None:
    path = own_csv(tmp_path / "data", ["happy"] * 30 + [""] * 18)
    text = build_manifest("csv", path, tmp_path / "mine.csv", cap={"happy": 6}).to_text()
    lines = text.splitlines()
    assert lines[0].endswith(
        "mine.csv: 24 of 48 utterances (reader csv, recorded; split paper, seed 0; "
        "6 speakers, 6 groups)"
    )
    table = {line.split()[0]: line.split()[1:] for line in lines[3:9]}
    assert lines[2].split() == ["train", "val", "test", "sum", "before", "cap"]
    assert table["sum"] == ["17", "2", "5", "24", "48"]
    assert table["happy"][3:] == ["6", "30"]
    assert table["unlabelled"][3:] == ["18", "18"]
    assert "24 dropped:" in lines
    assert "      24 over the cap of 6 happy" in lines
    assert len({len(line) for line in lines[2:9]}) == 1, "columns are aligned"


def test_an_empty_split_is_told(tmp_path: Path) -> None:
    path = own_csv(tmp_path / "data", ["happy"] * 5)
    text = build_manifest("csv", path, tmp_path / "mine.csv").to_text()
    assert "No row is in val." in text.splitlines()
    assert "Warning" not in text


def test_a_split_that_lacks_a_class_is_told(tmp_path: Path) -> None:
    path = own_csv(tmp_path / "data", ["happy"] * 24 + ["sad"])
    text = build_manifest("csv", path, tmp_path / "mine.csv").to_text()
    told = [line for line in text.splitlines() if line.startswith("Warning: ")]
    assert len(told) == 2  # the one sad utterance is in one of three parts
    assert all("has no utterance labelled sad, so nothing" in line for line in told)


@settings(max_examples=25, deadline=None)
@given(
    labels=st.lists(st.sampled_from(["", *CLASSES]), min_size=12, max_size=60),
    cap=st.dictionaries(st.sampled_from(CLASSES), st.integers(1, 12)),
    seed=st.integers(0, 99),
    rule=st.sampled_from(["paper", "speaker"]),
    rng=st.randoms(),
)
def test_any_corpus_adds_up_and_does_not_depend_on_the_order_of_rows(
    labels: list[str],
    cap: dict[str, int],
    seed: int,
    rule: str,
    rng,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("own")
    path = own_csv(folder, labels, speakers=12)
    out = folder / "out.csv"
    options = {"cap": cap, "split_seed": seed, "split": rule}
    if rule == "speaker":
        options["cap"] = {}  # too few groups may be left of one
    summary = build_manifest("csv", path, out, **options)
    rows = read_manifest(out)
    assert len(rows) + len(dropped_rows(out)) == summary.n_total == len(labels)
    assert {r.id for r in rows}.isdisjoint(d["id"] for d in dropped_rows(out))
    if rule == "paper":
        assert [sum(r.split == s for r in rows) for s in ("train", "val")] == [
            17 * len(rows) // 24,
            len(rows) // 12,
        ]
    else:
        assert len({(r.group, r.split) for r in rows}) == len({r.group for r in rows})
    header, *body = path.read_text().splitlines()
    rng.shuffle(body)
    path.write_text("\n".join([header, *body]) + "\n")
    build_manifest("csv", path, out, **options)
    assert sorted(read_manifest(out), key=lambda r: r.id) == sorted(rows, key=lambda r: r.id)


def test_paths_are_rebased_and_absolute_ones_stay(tmp_path: Path) -> None:
    path = own_csv(tmp_path / "data", ["happy"])
    absolute = tmp_path / "data" / "clips" / "a.wav"
    path.write_text(f"id,path,audio_path\nu,clips/a.wav,{absolute}\n")
    out = tmp_path / "manifests" / "deep" / "mine.csv"
    build_manifest("csv", path, out)
    (row,) = read_manifest(out)
    assert (row.path, row.audio_path) == ("../../data/clips/a.wav", str(absolute))


def test_paths_hold_when_folders_are_links(tmp_path: Path, monkeypatch) -> None:
    own_csv(tmp_path / "far" / "away" / "data", ["happy"])
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "data").symlink_to(tmp_path / "far" / "away" / "data")
    (tmp_path / "far" / "manifests").mkdir()
    (tmp_path / "project" / "manifests").symlink_to(tmp_path / "far" / "manifests")
    monkeypatch.chdir(tmp_path / "project")
    out = Path("manifests/mine.csv")
    build_manifest("csv", Path("data/mine.csv"), out)
    (row,) = read_manifest(out)
    assert resolve_path(out, row.path).is_file()
    assert row.path == "../../project/data/clips/a.wav", "through the link, not where it leads"


def test_a_csv_of_ones_own_is_a_manifest_too(tmp_path: Path) -> None:
    path = own_csv(tmp_path, ["happy", "sad", "neutral"], split="test")
    build_manifest("csv", path, tmp_path / "again.csv", split="column")
    assert read_manifest(tmp_path / "again.csv") == read_manifest(path)


@pytest.mark.slow
@pytest.mark.parametrize("corpus", ["ie", "msp"])
def test_a_generated_corpus_is_read_as_it_was_meant(corpus: str, tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="stand-in corpora speak with espeak-ng")
    from corpora.standin import write_standin

    root, out = tmp_path / "data" / corpus, tmp_path / f"{corpus}.csv"
    equal = dict.fromkeys(CLASSES, 1.0)
    one = {"visual": 1.0, "acoustic": 1.0, "lexical": 1.0}
    write_standin(corpus, root, n_utterances=20, seed=1, prior=equal, gap=one)
    truth = json.loads((root / "standin.json").read_text())["truth"]
    build_manifest(corpus, root, out, split="speaker")
    rows = read_manifest(out)
    assert len(rows) == 20
    assert check_files([out]) == []
    for row in rows:
        meant = truth[row.id]
        assert row.origin == "stand-in"
        assert (row.label, row.speaker, row.text) == tuple(
            meant[key] for key in ("label", "speaker", "text")
        )
        assert resolve_path(out, row.path) == (root / meant["file"]).resolve()
        if corpus == "ie":
            assert (
                row.region
                == {
                    "left": (0.0, 0.0, 0.5, 1.0),
                    "right": (0.5, 0.0, 1.0, 1.0),
                }[meant["side"]]
            )
            assert (row.start_s, row.end_s) == (meant["start_s"], meant["end_s"])
            assert resolve_path(out, row.audio_path) == (root / meant["wav"]).resolve()


def test_standin_corpora_say_so_in_every_row(tmp_path: Path) -> None:
    root = ie_tree(tmp_path / "data")
    write(root / "standin.json", "{}")
    summary = build_manifest("ie", root, tmp_path / "ie.csv")
    assert summary.origin == "stand-in"
    assert {row.origin for row in read_manifest(tmp_path / "ie.csv")} == {"stand-in"}


def test_a_label_map_decides_what_is_kept(tmp_path: Path) -> None:
    label_map = write(tmp_path / "map.yaml", "fru: angry\nxxx: neutral\nzzz: sad\n")
    root = ie_tree(tmp_path / "data")
    write(root / "Session2/sentences/wav/Ses02M_script01_1/Ses02M_script01_1_F001.wav")
    summary = build_manifest("ie", root, tmp_path / "ie.csv", label_map=label_map)
    assert {r.id: r.label for r in read_manifest(tmp_path / "ie.csv")} == {
        "Ses01F_impro01_F001": "neutral",
        "Ses02M_script01_1_F001": "angry",
    }
    assert summary.label_map == {"fru": "angry", "xxx": "neutral", "zzz": "sad"}
    assert summary.notes[f"label zzz of {label_map} is in no row"] == 1


def test_a_label_map_opens_a_csv_with_labels_of_its_own(tmp_path: Path) -> None:
    path = own_csv(tmp_path / "data", ["joy", "wut", "bored"] * 5)
    with pytest.raises(InputError, match=r"u000: label 'joy' is not a class; .*--label-map"):
        build_manifest("csv", path, tmp_path / "mine.csv")
    label_map = write(tmp_path / "map.yaml", "joy: happy\nwut: angry\n")
    summary = build_manifest("csv", path, tmp_path / "mine.csv", label_map=label_map)
    assert summary.dropped == {"label bored is no class": 5}
    assert summary.counts["happy"] == {"train": 4, "val": 0, "test": 1} or summary.n_kept == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "papre"}, "--split papre: no such rule; did you mean 'paper'"),
        ({"split": "column"}, "--split column, but the CSV has no column split for 9 rows"),
        ({"split": "official"}, "--split official, but none is prescribed for 9 rows"),
        ({"cap": {"joy": 3}}, "--cap joy=3: no such class"),
        ({"cap": {"happy": 0}}, "no utterance is left: 9 over the cap of 0 happy"),
        ({"out": "mine.txt"}, "a manifest's name ends in .csv"),
        ({"out": "Mine.csv"}, "corpus name 'Mine': use lower-case"),
        ({"out": "ie2msp.csv"}, "corpus name 'ie2msp'"),
        ({"out": "data/mine.csv"}, "--out is the input itself"),
    ],
)
def test_arguments_that_cannot_be_are_one_sentence_and_write_nothing(
    options: dict, message: str, tmp_path: Path
) -> None:
    path = own_csv(tmp_path / "data", ["happy"] * 9)
    before = path.read_text()
    out = tmp_path / options.pop("out", "mine.csv")
    with pytest.raises(InputError, match=message):
        build_manifest("csv", path, out, **options)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_a_corpus_without_media_says_why_nothing_is_left(tmp_path: Path) -> None:
    root = ie_tree(tmp_path / "data")
    shutil.rmtree(root / "Session1" / "sentences")
    shutil.rmtree(root / "Session2" / "sentences")
    shutil.rmtree(root / "Session1" / "dialog" / "avi")
    with pytest.raises(InputError, match=r"no utterance is left: 10 neither video nor audio file"):
        build_manifest("ie", root, tmp_path / "ie.csv")


def test_a_failure_keeps_the_former_files(tmp_path: Path) -> None:
    path = own_csv(tmp_path / "data", ["happy"] * 30)
    out = tmp_path / "mine.csv"
    build_manifest("csv", path, out)
    before = {p.name: p.read_bytes() for p in tmp_path.glob("mine.*")}
    path.write_text(path.read_text().replace("u007", "u006"))
    with pytest.raises(InputError, match="id 'u006' stands on line 8 already"):
        build_manifest("csv", path, out)
    assert {p.name: p.read_bytes() for p in tmp_path.glob("mine.*")} == before
    assert sorted(before) == ["mine.csv", "mine.dropped.csv", "mine.meta.json"]


def test_the_command_line(tmp_path: Path) -> None:
    path = own_csv(tmp_path / "data", ["happy"] * 30 + ["sad"] * 6)
    out = tmp_path / "mine.csv"
    command = ["manifest", "--corpus", "csv", "--root", str(path), "--out", str(out)]
    done = CliRunner().invoke(app, [*command, "--split", "speaker", "--cap", "happy=20", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["n_kept"] == 26
    assert check_manifest(out) == []
    done = CliRunner().invoke(app, command)
    assert "36 of 36 utterances" in done.stdout


def test_a_part_and_classes_from_the_command_line_and_the_config(tmp_path: Path) -> None:
    root, out = ie_tree(tmp_path / "data"), tmp_path / "ie.csv"
    label_map = write(
        tmp_path / "map.yaml", "classes: [calm, tense]\nlabels: {neu: calm, ang: tense}\n"
    )
    corpus = {
        "root": str(root),
        "subset": "improvised",
        "label_map": str(label_map),
        "cap": {"calm": 9},
    }
    config = parse_config({"corpora": {"ie": corpus, "msp": {"standin": True}}})
    flags = manifest_flags("ie", config.corpora["ie"])
    done = CliRunner().invoke(app, ["manifest", *flags, "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    meta = json.loads(done.stdout)
    assert (meta["subset"], meta["classes"], meta["cap"]) == (
        "improvised",
        ["calm", "tense"],
        {"calm": 9},
    )
    assert [row.label for row in read_manifest(out, classes=None)] == ["calm", "tense"]


def test_the_real_recordings(real_data: Path, tmp_path: Path) -> None:
    for name, n in (("ravdess", 56), ("emodb", 132)):
        root = real_data / name / f"{name}.csv"
        summary = build_manifest("csv", root, tmp_path / f"{name}.csv", split="column")
        assert summary.n_kept == n
        rows = read_manifest(tmp_path / f"{name}.csv")
        assert [r.id for r in rows] == [r.id for r in read_manifest(root)]
        assert all(resolve_path(tmp_path / f"{name}.csv", r.path).is_file() for r in rows)

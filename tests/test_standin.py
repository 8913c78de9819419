"""Stand-in corpora as they lie on disk: layouts, media, truth, seeds, interruption."""

import os
import re
import subprocess
import sys
import wave
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from standin_corpora import mark, write_all

pytest.importorskip("espeakng_loader", reason="stand-in corpora speak with espeak-ng")

import corpora.standin.write as write_module
from amanda.store.errors import InputError
from corpora.manifest import build_manifest
from corpora.standin import write_standin
from corpora.standin.plan import class_counts
from corpora.standin.write import DEFAULT_PRIOR

N = {"ie": 12, "msp": 12}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with one small corpus a layout."""
    folder = tmp_path_factory.mktemp("standin")
    write_all(*((c, folder / c, {"n_utterances": n, "seed": 4}) for c, n in N.items()))
    return folder


def bytes_of(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def sound_of(path: Path) -> tuple[np.ndarray, int]:
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        pieces = [frame.to_ndarray()[0] for frame in file.decode(stream)]
        sound = np.concatenate(pieces)
        return sound / (32768 if sound.dtype.kind == "i" else 1), stream.rate


def frame_times(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.array([frame.time for frame in file.decode(video=0)])


@pytest.mark.parametrize("corpus", N)
def test_classes_are_counted_exactly_and_read_as_meant(made, corpus, tmp_path):
    out = tmp_path / f"{corpus}.csv"
    summary = build_manifest(corpus, made / corpus, out)
    truth = mark(made / corpus)["truth"]
    assert Counter(row["label"] for row in truth.values()) == class_counts(N[corpus], DEFAULT_PRIOR)
    from amanda.store.manifest import read_manifest

    rows = {row.id: row for row in read_manifest(out)}
    assert set(rows) == set(truth)
    assert summary.origin == "stand-in"
    for name, meant in truth.items():
        assert (rows[name].label, rows[name].speaker) == (meant["label"], meant["speaker"])
        assert rows[name].text == meant["text"]
    dropped = mark(made / corpus)["dropped"]
    assert len(dropped) >= 2
    assert not set(dropped) & set(rows)


def test_ie_has_the_half_of_each_speaker_on_disk(made):
    for name, row in mark(made / "ie")["truth"].items():
        lead, speaker = name[5], name.rsplit("_", 1)[1][0]
        assert row["side"] == ("left" if lead == speaker else "right")
        x0, y0, x1, y1 = row["head_box"]
        assert 0 < y0 < y1 < 1
        assert (x1 < 0.5) if row["side"] == "left" else (x0 > 0.5)
        assert row["speaker"] == name[:5] + speaker
        for time_s, *box in row["head_boxes"]:
            assert row["start_s"] <= time_s <= row["end_s"]
            assert np.abs(np.array(box) - row["head_box"]).max() < 0.06


def test_ie_label_files_have_the_corpus_form(made):
    root = made / "ie"
    ids = set()
    for path in root.glob("Session*/dialog/EmoEvaluation/*.txt"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("% [START_TIME - END_TIME] TURN_NAME EMOTION")
        for i, line in enumerate(lines):
            if not line.startswith("["):
                continue
            match = re.fullmatch(
                r"\[(\d+\.\d{4}) - (\d+\.\d{4})\]\t(Ses0\d[FM]_\w+_[FM]\d{3})\t([a-z]{3})"
                r"\t\[([\d.]+), ([\d.]+), ([\d.]+)\]",
                line,
            )
            assert match, line
            assert all(1 <= float(v) <= 5 for v in match.groups()[4:])
            ids.add(match[3])
            block = lines[i + 1 : i + 8]
            assert [b.split(":")[0][:3] for b in block] == ["C-E"] * 3 + [f"C-{match[3][-4]}"] + [
                "A-E"
            ] * 2 + [f"A-{match[3][-4]}"]
            votes = [b.split("\t")[1].rstrip(";") for b in block[:3]]
            scales = [[int(n) for n in re.findall(r"\w+ +(\d);", b)] for b in block[4:6]]
            np.testing.assert_allclose(np.mean(scales, 0), [float(v) for v in match.groups()[4:]])
            if match[4] == "xxx":
                assert len(set(votes)) == 3
            else:
                assert Counter(votes).most_common(1)[0][1] >= 2
    known = mark(root)
    assert ids == set(known["truth"]) | set(known["dropped"])


def test_ie_transcripts_hold_what_is_said_and_some_odd_lines(made):
    root, odd, said = made / "ie", 0, {}
    for path in root.glob("Session*/dialog/transcriptions/*.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            match = re.fullmatch(
                r"(Ses\w+_[FM]\d{3}) \[(\d{3}\.\d{4})-(\d{3}\.\d{4})\]: (.+)", line
            )
            if match:
                said[match[1]] = match[4]
            else:
                odd += 1
    truth = mark(root)["truth"]
    assert {name: said[name] for name in truth} == {n: r["text"] for n, r in truth.items()}
    assert all(row["text"] == row["spoken"] for row in truth.values())
    assert odd >= 5


def test_msp_names_labels_and_transcripts_have_the_corpus_form(made):
    root = made / "msp"
    known = mark(root)
    blocks = (root / "Evalution.txt").read_text(encoding="utf-8").strip().split("\n\n")
    codes = {}
    for block in blocks:
        first, *raters = block.splitlines()
        match = re.fullmatch(
            r"UTD-(IMPROV-S\d\d[AHSN]-[FM]0\d-[PRST]-(?:FM|MF)\d\d)\.avi; ([AHSNOX]); "
            r"A:[\d.]+; V:[\d.]+; D:[\d.]+; N:[\d.]+;",
            first,
        )
        assert match, first
        codes[f"MSP-{match[1]}"] = match[2]
        assert len(raters) == 5
        assert all(re.match(r"WORKER\d{8}; \w+; \w+; A:", r) for r in raters)
    assert set(codes) == set(known["truth"]) | set(known["dropped"])
    empty = 0
    for name, row in known["truth"].items():
        assert codes[name] == row["label"][0].upper()
        parts = name.split("-")
        assert row["speaker"] == parts[5][1] + parts[3][1:]
        assert row["side"] == "only"
        folder = f"session{int(parts[3][1:])}/{parts[2]}/{parts[4]}"
        assert row["file"] == f"{folder}/{name}.avi"
        text = (root / "All_human_transcriptions" / f"{name}.txt").read_text(encoding="utf-8")
        assert text.strip() == row["text"]
        empty += not row["text"]
    texts = [p.read_text() for p in (root / "All_human_transcriptions").iterdir()]
    assert "" in texts
    assert empty <= 1


@pytest.mark.parametrize("corpus", N)
def test_media_are_real_and_hold_every_utterance(made, corpus):
    root = made / corpus
    uneven, even = 0, 0
    for path in sorted(root.rglob("*.avi")):
        with av.open(str(path)) as file:
            assert file.streams.video[0].codec_context.name == "mpeg4"
            assert file.streams.audio[0].channels == 1
            size = (file.streams.video[0].width, file.streams.video[0].height)
        assert size == ((640, 240) if corpus == "ie" else (320, 240))
        times = frame_times(path)
        steps = np.diff(times)
        assert times[0] == 0
        assert steps.min() > 0
        if np.ptp(steps) > 0.01:
            uneven += 1
        else:
            even += 1
            assert steps.mean() == pytest.approx(1 / 15)
        sound, rate_hz = sound_of(path)
        mine = [r for r in mark(root)["truth"].values() if root / r["file"] == path]
        for row in mine:
            assert row["end_s"] <= times[-1] + 0.25
            with wave.open(str(root / row["wav"])) as file:
                assert file.getnchannels() == 1
                assert file.getframerate() == rate_hz == {"ie": 16_000, "msp": 22_050}[corpus]
                alone = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
            # The sound file is the stretch of the video's sound, to the sample or two.
            first = round(row["start_s"] * rate_hz) if corpus == "ie" else 0
            around = sound[max(0, first - 200) : first + len(alone) + 200]
            lag = np.argmax(np.correlate(around, alone[: len(around)], "valid"))
            assert abs(lag - min(first, 200)) <= 2
            n = min(len(alone), len(sound) - first)
            assert np.corrcoef(sound[first : first + n], alone[:n])[0, 1] > 0.95
    assert even >= 4
    assert uneven == (1 if corpus == "ie" else 0)


def test_speakers_are_spread(made):
    for corpus, n in N.items():
        speakers = Counter(row["speaker"] for row in mark(made / corpus)["truth"].values())
        assert len(speakers) == {"ie": 10, "msp": 12}[corpus]
        assert max(speakers.values()) <= np.ceil(n / len(speakers))


def test_the_same_seed_is_the_same_corpus_and_another_is_not(tmp_path):
    seeds = {"a": 1, "b": 1, "c": 2}
    write_all(*(("ie", tmp_path / k, {"n_utterances": 1, "seed": v}) for k, v in seeds.items()))
    a, b, c = (bytes_of(tmp_path / name) for name in "abc")
    assert a == b
    assert a["standin.json"] != c["standin.json"]


@pytest.mark.slow
def test_processes_do_not_change_a_byte(tmp_path, monkeypatch):
    write_all(("msp", tmp_path / "alone", {"n_utterances": 4}))
    monkeypatch.setattr(write_module, "PARALLEL_FROM", 1)
    monkeypatch.setattr(write_module.os, "sched_getaffinity", lambda _: {0, 1})
    write_standin("msp", tmp_path / "together", n_utterances=4)
    assert bytes_of(tmp_path / "alone") == bytes_of(tmp_path / "together")


def test_asked_again_nothing_is_done(made, capsys):
    before = {p: p.stat().st_mtime_ns for p in (made / "msp").rglob("*")}
    write_standin("msp", made / "msp", n_utterances=N["msp"], seed=4)
    assert "nothing done" in capsys.readouterr().err
    assert before == {p: p.stat().st_mtime_ns for p in (made / "msp").rglob("*")}


def test_another_corpus_in_the_way_is_told(made, tmp_path):
    with pytest.raises(InputError, match=r"msp: holds a stand-in corpus with seed = 4, not 5"):
        write_standin("msp", made / "msp", n_utterances=N["msp"], seed=5)
    with pytest.raises(InputError, match="with gap = "):
        write_standin("msp", made / "msp", n_utterances=N["msp"], seed=4, gap={"visual": 0.0})
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds files, but no standin\.json"):
        write_standin("msp", tmp_path, n_utterances=2)
    with pytest.raises(InputError, match="a file is in the way"):
        write_standin("msp", tmp_path / "mine.txt", n_utterances=2)
    (tmp_path / "standin.json").write_text("{")
    with pytest.raises(InputError, match=r"standin\.json: cannot be read"):
        write_standin("msp", tmp_path, n_utterances=2)


@pytest.mark.parametrize(
    ("corpus", "more", "message"),
    [
        ("mps", {}, r"no stand-in for corpus 'mps'; did you mean 'msp'\?"),
        ("ie", {"gap": {"visul": 1.0}}, r"no modality 'visul'; did you mean 'visual'\?"),
        ("ie", {"gap": {"visual": -1.0}}, "visual = -1.0; strengths go from 0 to 3"),
        ("ie", {"prior": {"joy": 1.0}}, "no class 'joy'"),
        ("ie", {"n_utterances": 0}, "n_utterances 0"),
        ("ie", {"seed": -1}, "seed -1"),
    ],
)
def test_bad_arguments_are_told_and_leave_nothing(corpus, more, message, tmp_path):
    with pytest.raises(InputError, match=message):
        write_standin(corpus, tmp_path / "out", **more)
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def fails(scene, root):
        (root / "half").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(write_module, "perform", fails)
    with pytest.raises(KeyboardInterrupt):
        write_standin("msp", tmp_path / "out", n_utterances=2)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_writer_left_is_removed_and_a_living_one_is_not(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / f".out.standin.{gone.pid}.x").mkdir()
    alive = tmp_path / f".out.standin.{os.getppid()}.y"
    alive.mkdir()
    write_standin("msp", tmp_path / "out", n_utterances=1)
    assert {p.name for p in tmp_path.iterdir()} == {"out", alive.name}


def test_the_prior_asked_for_is_the_prior_written(tmp_path):
    prior = {"sad": 3.0, "angry": 1.0}
    write_all(("msp", tmp_path / "out", {"n_utterances": 4, "prior": prior}))
    labels = Counter(row["label"] for row in mark(tmp_path / "out")["truth"].values())
    assert labels == {"sad": 3, "angry": 1}


@pytest.mark.weights
@pytest.mark.parametrize("corpus", N)
def test_faces_are_found_where_they_are(made, corpus):
    """RetinaFace finds the speaker's face in at least 95% of the frames, at the true place."""
    import torch

    from extractors.faces import RetinaFace
    from extractors.weights import find

    detector = RetinaFace(find("retinaface-mobilenet0.25").path, device=torch.device("cpu"))
    root = made / corpus
    rows = mark(root)["truth"].values()
    found, asked = 0, 0
    for name in sorted({row["file"] for row in rows}):
        boxes = [box for row in rows if row["file"] == name for box in row["head_boxes"][1::2]]
        with av.open(str(root / name)) as file:
            frames = {f.time: f for f in file.decode(video=0)}
        for time_s, *box in boxes:
            nearest = min(frames, key=lambda t, at=time_s: abs(t - at))
            picture = frames[nearest].to_ndarray(format="rgb24")
            (detected,) = detector(picture[None])
            truth = np.array(box) * np.tile(picture.shape[1::-1], 2)
            asked += 1
            found += any(overlap(b, truth) > 0.5 for b in detected.boxes)
    assert asked > 20
    assert found >= 0.95 * asked, f"{found} of {asked}"


def overlap(a, b) -> float:
    """Intersection over union of two boxes."""
    x0, y0 = np.maximum(a[:2], b[:2])
    x1, y1 = np.minimum(a[2:4], b[2:4])
    inside = max(0.0, x1 - x0) * max(0.0, y1 - y0)
    area = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return inside / (sum(area) - inside)

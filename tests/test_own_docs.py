"""The pages on a corpus and on features of one's own, followed line by line."""

import re
import shutil
import sys
import wave
from pathlib import Path

import h5py
import numpy as np
import pytest
from documented import run
from exchange_files import IDS, dictionary, features, manifest, npz_padded

ROOT = Path(__file__).resolve().parents[1]


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language, in order."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def bash(script: str, folder: Path) -> str:
    """What a block prints; the page's `.venv/bin` and bare `amanda` are this environment's."""
    here = Path(sys.executable).parent
    return run(["bash", "-euo", "pipefail", "-c", script.replace(".venv/bin", str(here))], folder)


def record_clips(folder: Path, listing: str) -> None:
    """The files of the page's listing: a second of tone, and the words."""
    for line in listing.splitlines():
        name, *words = line.split(maxsplit=1)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text(words[0] + "\n", encoding="utf-8")
            continue
        tone = np.sin(np.arange(16000) * 0.1) * 8000
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(tone.astype("<i2").tobytes())


@pytest.mark.slow
def test_own_corpus(tmp_path):
    for name in ("Snakefile", "workflow", "profiles", "config"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    (listing,) = blocks("own-corpus.md", "text")
    record_clips(tmp_path, listing)
    draft, fill_in, check, run = blocks("own-corpus.md", "bash")
    said = bash(draft, tmp_path)
    assert "9 utterances drafted" in said
    assert "left out" not in said
    bash(fill_in, tmp_path)
    rows = (tmp_path / "mine.csv").read_text(encoding="utf-8").splitlines()
    assert rows[1] == "angry_anna-01,clips/angry/anna-01.wav,,,I said no!,angry,anna,"
    # On a slow machine a line of progress comes first.
    assert bash(check, tmp_path).splitlines()[-1] == "mine.csv: sound"
    (config,) = blocks("own-corpus.md", "yaml")
    (tmp_path / config.splitlines()[0].removeprefix("# ")).write_text(config, encoding="utf-8")
    planned = bash(run, tmp_path)
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", planned, re.M))
    assert jobs["manifest"] == "2"
    assert jobs["pair"] == "1"
    assert "results/msp2mine.json" in planned
    # What the plan does first with the CSV, really done.
    out = "manifests/mine.csv --corpus csv --root mine.csv --split speaker"
    assert "9 of 9 utterances" in bash(f"amanda manifest --out {out}", tmp_path)


@pytest.mark.slow
def test_features_from_elsewhere(tmp_path):
    import pickle

    for name in "AVL":
        (tmp_path / name).mkdir()
    npz_padded(tmp_path, features())
    (tmp_path / "f.npz").rename(tmp_path / "A/comparE.npz")
    manifest(tmp_path).rename(tmp_path / "ie.csv")
    for name in ("A/comparE", "V/denseface", "L/bert"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            for utterance_id, clip in features().items():
                file[utterance_id] = clip
            file["not in the manifest"] = np.ones((2, 5))
    content = dictionary()
    for part, name in zip(content.values(), ("Negative", "Neutral", "Positive"), strict=True):
        part["annotations"] = [name]
    (tmp_path / "mosei.pkl").write_bytes(pickle.dumps(content))
    said = [bash(block, tmp_path) for block in blocks("features-from-elsewhere.md", "bash")]
    assert len(said) == 4
    assert "features/ie.h5: sound" in said[0]
    assert "lexical: 3 ok" in said[1]
    assert "3 utterances" in said[2]
    assert sorted(p.stem for p in (tmp_path / "ie_npy/acoustic").iterdir()) == sorted(
        ["a1", "b%2F2", "%C3%BC%203"]
    )
    with np.load(tmp_path / "ie.npz", allow_pickle=False) as arrays:
        assert arrays["id"].tolist() == IDS

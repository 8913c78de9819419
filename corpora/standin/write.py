"""Write a stand-in corpus: plan, perform in one or two processes, label, rename into place."""

import json
import math
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from amanda.store.errors import InputError, nearest
from amanda.store.names import CLASSES, MODALITIES, STANDIN
from amanda.store.progress import track
from corpora.standin.layouts import load_layout
from corpora.standin.perform import perform
from corpora.standin.plan import cast_people, class_counts, plan_lines
from corpora.standin.scene import Scene, Spoken
from corpora.standin.sound.voice import library_files
from corpora.standin.traits import corpus_traits
from corpora.standin.truth import as_json

GENERATOR_VERSION = 1
MARK = "standin.json"
DEFAULT_PRIOR = {"neutral": 3.0, "happy": 3.0, "sad": 2.0, "angry": 2.0}
DEFAULT_GAP = {modality: 1.0 for modality in MODALITIES}
MAX_GAP = 3.0
N_WORKERS = 2
PARALLEL_FROM = 60  # utterances; below, starting processes costs more than it saves


def write_standin(
    corpus: str,
    out: Path,
    *,
    n_utterances: int = 360,
    seed: int = 0,
    prior: Mapping[str, float] = DEFAULT_PRIOR,
    gap: Mapping[str, float] = DEFAULT_GAP,
) -> None:
    """Write a generated corpus in the real corpus's layout.

    The same arguments give the same corpus. `<out>/standin.json` marks it as generated and holds
    the truth about each utterance. The folder appears whole or not at all; where it stands already
    with the same arguments, nothing is done.

    Args:
        corpus: name of a layout: "ie", "msp", "meld" or "mosei".
        out: folder to make.
        n_utterances: utterances of the four classes; a few more have labels that readers drop.
        seed: another seed gives other people, words and recordings.
        prior: weights of the classes; counts follow them exactly (largest remainder).
        gap: strength of the corpus's own traits by modality: 0 none, 1 as in `traits/`; a
            modality left out has 1.

    Raises:
        InputError: an unknown corpus, class or modality, a value out of range, a missing package,
            or a folder that holds something else.
    """
    layout = load_layout(corpus)
    asked = _check(corpus, n_utterances, seed, prior, gap)
    out = Path(os.path.realpath(out))
    if _stands(out, asked):
        print(f"{out}: stands already as asked; nothing done", file=sys.stderr)
        return
    library_files()
    traits = corpus_traits(corpus, asked["gap"])
    rng = np.random.default_rng([seed, zlib.crc32(corpus.encode())])
    people = cast_people(layout.SLOTS, traits.acoustic, rng)
    speakers = [slot.speaker for slot in layout.SLOTS]
    lines = plan_lines(n_utterances, asked["prior"], speakers, traits, rng)
    lines += layout.plan_extras(n_utterances, traits, rng)
    scenes = layout.arrange(lines, people, traits, rng)
    partial_folder = _partial_folder(out)
    try:
        spoken = _perform_all(corpus, scenes, partial_folder)
        layout.write_labels(partial_folder, spoken, rng)
        mark = {**asked, **as_json(spoken)}
        (partial_folder / MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")
        os.replace(partial_folder, out)
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


def _check(
    corpus: str, n: int, seed: int, prior: Mapping[str, float], gap: Mapping[str, float]
) -> dict[str, Any]:
    """What is asked for, complete and in a fixed order."""
    if n < 1:
        raise InputError(f"n_utterances {n}: ask for at least one")
    if seed < 0:
        raise InputError(f"seed {seed}: seeds are whole numbers from 0 up")
    class_counts(n, prior)
    for name, strength in gap.items():
        if name not in MODALITIES:
            raise InputError(f"gap: no modality '{name}'; {nearest(name, list(MODALITIES))}")
        if not (math.isfinite(strength) and 0 <= strength <= MAX_GAP):
            raise InputError(f"gap: {name} = {strength}; strengths go from 0 to {MAX_GAP:g}")
    return {
        "format": "amanda-standin",
        "version": GENERATOR_VERSION,
        "origin": STANDIN,
        "corpus": corpus,
        "n_utterances": n,
        "seed": seed,
        "prior": {name: float(prior.get(name, 0.0)) for name in CLASSES},
        "gap": {name: float(gap.get(name, 1.0)) for name in MODALITIES},
    }


def _stands(out: Path, asked: Mapping[str, Any]) -> bool:
    """Whether `out` is already what is asked for; raises when it is something else."""
    if not out.exists():
        return False
    if not out.is_dir():
        raise InputError(f"{out}: a file is in the way; choose another folder")
    if not any(out.iterdir()):
        return False
    try:
        found = json.loads((out / MARK).read_text(encoding="utf-8"))
        differs = [key for key in asked if found.get(key) != asked[key]]
    except FileNotFoundError:
        raise InputError(
            f"{out}: holds files, but no {MARK}, so it is no stand-in; choose an empty folder"
        ) from None
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{out / MARK}: cannot be read ({error}); remove the folder") from error
    if differs:
        key = differs[0]
        raise InputError(
            f"{out}: holds a stand-in corpus with {key} = {found.get(key)!r}, not {asked[key]!r}; "
            "choose another folder or remove this one"
        )
    return True


def _partial_folder(out: Path) -> Path:
    """A new folder beside `out`; those that dead writers left are removed."""
    prefix = f".{out.name}.standin."
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for left in out.parent.glob(f"{prefix}*"):
            writer = left.name.removeprefix(prefix).split(".")[0]
            if not (writer.isdigit() and _alive(int(writer))):
                shutil.rmtree(left, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}.", dir=out.parent))
    except OSError as error:
        raise InputError(
            f"{out}: the folder cannot be made ({error.strerror}); choose another place"
        ) from error


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _perform_all(corpus: str, scenes: Sequence[Scene], root: Path) -> list[list[Spoken]]:
    what = f"{corpus}: stand-in scenes"
    n_lines = sum(len(scene.lines) for scene in scenes)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if min(N_WORKERS, cpus or 1) < 2 or n_lines < PARALLEL_FROM:
        return list(track(map(partial(perform, root=root), scenes), total=len(scenes), what=what))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(N_WORKERS, mp_context=context, initializer=_start_worker) as pool:
        try:
            done = pool.map(partial(perform, root=root), scenes, chunksize=_chunk(len(scenes)))
            return list(track(done, total=len(scenes), what=what))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _chunk(n_scenes: int) -> int:
    """Scenes handed to a process at once: neighbours share a speaker, so a head is painted once."""
    return max(1, min(15, n_scenes // (4 * N_WORKERS)))


def _start_worker() -> None:
    """One thread a process, and an end when the parent ends, however that came."""
    import cv2

    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

"""CMU-MOSEI: one person a video, cut in segments; scores instead of labels, as CSD and as CSV.

With what is odd in the corpus as distributed: segments that are not numbered in order of time, rows
of the CSD in another order still, starts before 0, transcript lines without a label, ties, labels
of a video that is not there. The CSV says the same as the CSD, in both forms of ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from corpora.labels import MOSEI_EMOTIONS
from corpora.standin.picture.stage import Seat
from corpora.standin.plan import Slot, plan_line
from corpora.standin.scene import Line, Person, Scene, Shot, Spoken
from corpora.standin.traits import REFERENCE, Traits

# Made up, in the forms that they have: of a video site, and plain numbers.
_VIDEOS = (
    *("-mJ2ud6oKI8", "0Wv_k3RtZqA", "1DmNV9C1hbY", "2fTCJw-8Yp0", "3WZ6R1B80PM", "4o4ilPK9rl8"),
    *("5vxS_nUdG7k", "6uoM8-9d0zA", "7mb8Y2AhXIw", "8VhVf0TbjDA", "96642", "9TAGpMywQyE"),
    *("100178", "aJKOQ-xN3cE", "Bfr499ggo-0", "CO2YoTZbUr0", "107585", "dq3Nf_lMPnE"),
    *("eFV7iFPYZB4", "GNP0N241wEI", "121759", "iiK8YX8oH1E", "kbRtSmJM5-Q", "208322"),
)
SLOTS = tuple(Slot(video, "FM"[i % 2], 1) for i, video in enumerate(_VIDEOS))
ABSENT = "Xd0kUq3_absent"  # has labels, but neither video nor sound
WIDTH, HEIGHT, RATE_FPS, AUDIO_RATE_HZ = 320, 240, 15, 16_000
EXTRA_SHARE = 0.1
NO_LABEL = "no label"
EXTRA_LABELS = ("surprise", "tie", NO_LABEL, "none", "disgust", "fear")
LINES_A_SHOT = 5
SHUFFLED_SHARE = 0.35  # of the videos number their segments in another order than that of time
EARLY_SHARE = 0.3  # of the videos have a first segment that starts before 0
FOLDS = {"train": 0.7, "valid": 0.1, "test": 0.2}

_MEANS = {"surprise": "happy", "disgust": "angry", "fear": "sad"}
_SCORES = ("sentiment", *MOSEI_EMOTIONS)


def plan_extras(n: int, traits: Traits, rng: np.random.Generator) -> list[Line]:
    lines = []
    for i in range(max(3, round(EXTRA_SHARE * n))):
        label = EXTRA_LABELS[i % len(EXTRA_LABELS)]
        speaker = SLOTS[int(rng.integers(len(SLOTS)))].speaker
        lines.append(plan_line(speaker, _MEANS.get(label, "neutral"), label, traits, rng))
    return lines


def arrange(
    lines: Sequence[Line], people: Mapping[str, Person], traits: Traits, rng: np.random.Generator
) -> list[Scene]:
    scenes = []
    for slot in SLOTS:
        mine = [line for line in lines if line.speaker == slot.speaker]
        if mine:
            order = [mine[i] for i in rng.permutation(len(mine))]
            scenes.append(_scene(people[slot.speaker], order, traits, rng))
    return scenes


def _scene(
    person: Person, lines: Sequence[Line], traits: Traits, rng: np.random.Generator
) -> Scene:
    video = person.id
    shuffled = rng.random() < SHUFFLED_SHARE
    numbers = rng.permutation(len(lines)) if shuffled else np.arange(len(lines))
    named = [replace(x, id=f"{video}_{n}") for x, n in zip(lines, numbers, strict=True)]
    own = rng.random() < traits.visual.own_share
    backdrops = traits.visual.backdrops if own else REFERENCE.visual.backdrops
    backdrop, room = str(rng.choice(backdrops)), int(rng.integers(2**31))
    shots = []
    for first in range(0, len(lines), LINES_A_SHOT):
        seat = Seat(
            x=160.0 + float(rng.uniform(-20, 20)),
            y=110.0 + float(rng.uniform(-5, 5)),
            half_face=traits.visual.half_face * float(rng.uniform(0.94, 1.06)),
        )
        shots.append(
            Shot(first_line=first, backdrop=backdrop, seats={video: seat}, backdrop_seed=room)
        )
    return Scene(
        name=video,
        video=f"Raw/Videos/Full/Combined/{video}.mp4",
        container="mp4",
        width=WIDTH,
        height=HEIGHT,
        rate_fps=RATE_FPS,
        variable_rate=False,
        people={video: person},
        sides={video: "only"},
        lines=tuple(named),
        shots=tuple(shots),
        traits=traits,
        audio_codec="aac",
        audio_rate_hz=AUDIO_RATE_HZ,
        pause_s=(0.1, 0.3),
        lead_s=0.1,
        clip_margin_s=0.1,
        seed=int(rng.integers(2**63)),
        wav=f"Raw/Audio/Full/WAV_16000/{video}.wav",
    )


def write_labels(root: Path, scenes: Sequence[Sequence[Spoken]], rng: np.random.Generator) -> None:
    texts = root / "Raw/Transcript/Segmented/Combined"
    texts.mkdir(parents=True)
    table = ["id,start,end," + ",".join(_SCORES)]
    with h5py.File(root / "CMU_MOSEI_Labels.csd", "w", track_order=False) as csd:
        data = csd.create_group("All Labels/data")
        for k, spoken in enumerate(scenes):
            video = spoken[0].line.speaker
            by_number = sorted(spoken, key=lambda s: _number(s.line.id))
            (texts / f"{video}.txt").write_text(
                "".join(
                    f"{video}___{_number(s.line.id)}___{s.start_s:.4f}___{s.end_s:.4f}"
                    f"___{s.line.text}\n"
                    for s in by_number
                ),
                encoding="utf-8",
            )
            labelled = [s for s in spoken if s.line.label != NO_LABEL]
            labelled = [labelled[i] for i in rng.permutation(len(labelled))]
            if not labelled:
                continue
            early_s = -0.05 * float(rng.random() < EARLY_SHARE)
            times = np.array([(s.start_s or early_s, s.end_s) for s in labelled])
            scores = np.array([_scores(s.line.label, rng) for s in labelled], np.float32)
            _write_group(data, video, times, scores)
            for place, s in enumerate(labelled):
                name = f"{video}[{place}]" if k % 2 else s.line.id
                table.append(_row(name, times[place], scores[place]))
        scores = np.array([_scores("happy", rng)], np.float32)
        _write_group(data, ABSENT, np.array([(0.0, 2.5)]), scores)
        table.append(_row(f"{ABSENT}_0", np.array((0.0, 2.5)), scores[0]))
    (root / "CMU_MOSEI_Labels.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    _write_folds(root / "folds", [spoken[0].line.speaker for spoken in scenes], rng)


def _number(segment: str) -> int:
    return int(segment.rpartition("_")[2])


def _write_group(data: h5py.Group, video: str, times: np.ndarray, scores: np.ndarray) -> None:
    group = data.create_group(video)
    group.create_dataset("intervals", data=times, track_times=False)
    group.create_dataset("features", data=scores, track_times=False)


def _row(name: str, times: np.ndarray, scores: np.ndarray) -> str:
    return ",".join([name, *(f"{t:.4f}" for t in times), *(f"{score:.7g}" for score in scores)])


def _scores(label: str, rng: np.random.Generator) -> list[float]:
    """Sentiment (-3 to 3) and six emotions (0 to 3) that mean `label`, all in thirds."""
    emotions = dict.fromkeys(MOSEI_EMOTIONS, 0)
    top = int(rng.integers(2, 8))
    if label == "neutral":
        return [0.0] * len(_SCORES)
    if label == "tie":
        first, second = rng.choice(MOSEI_EMOTIONS, 2, replace=False)
        emotions[str(first)] = emotions[str(second)] = top
    elif label != "none":
        name = {"angry": "anger"}.get(label, label)
        emotions[name] = top
        if rng.random() < 0.4:
            others = [other for other in MOSEI_EMOTIONS if other != name]
            emotions[others[int(rng.integers(len(others)))]] = int(rng.integers(1, top))
    pleasant = label in ("happy", "surprise") or (label in ("tie", "none") and rng.random() < 0.5)
    sentiment = int(rng.integers(1, 8)) * (1 if pleasant else -1)
    return [sentiment / 3, *(score / 3 for score in emotions.values())]


def _write_folds(folder: Path, videos: Sequence[str], rng: np.random.Generator) -> None:
    """One list of videos a fold."""
    folder.mkdir()
    order = [videos[i] for i in rng.permutation(len(videos))]
    n_valid, n_test = (max(1, round(FOLDS[name] * len(order))) for name in ("valid", "test"))
    parts = {
        "valid": order[:n_valid],
        "test": order[n_valid : n_valid + n_test],
        "train": order[n_valid + n_test :],
    }
    for name in FOLDS:
        (folder / f"{name}.txt").write_text(
            "".join(f"{video}\n" for video in sorted(parts[name])), encoding="utf-8"
        )

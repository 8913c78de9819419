"""MELD: scenes of a television comedy, a clip an utterance, three parts with a CSV each.

With what is wrong in the corpus as distributed: a clip that does not open, one that is missing,
names that repeat across parts, a part where some clips come twice, curly quotes in the wrong
encoding, odd times, a clip without a row.
"""

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from corpora.standin.plan import Slot, plan_line, plan_show, take_turns
from corpora.standin.scene import Line, Person, Scene, Spoken
from corpora.standin.staging import HEIGHT, WIDTH, Room, stage_line
from corpora.standin.traits import REFERENCE, Traits

SLOTS = tuple(
    Slot(name, sex, 1)
    for names, sex in (
        (("Nora", "Wendy", "Tess", "Carla", "Joan", "Mimi"), "F"),
        (("Felix", "Gus", "Max", "Oscar", "Ray", "Hank"), "M"),
    )
    for name in names
)
RATE_FPS, AUDIO_RATE_HZ = 15, 32_000
LINES_A_DIALOGUE = 8
EXTRA_SHARE = 0.06
NO_CLIP, CORRUPT = "no clip", "does not open"
EXTRA_LABELS = (NO_CLIP, CORRUPT, "surprise", "disgust", "surprise", "fear")
LAUGHTER_SHARE, LAUGHTER_S = 0.35, (0.5, 1.0)  # after any class alike: laughter gives none away
NOD_SHARE = 0.4
TWICE, BETTER = 2, "final_videos_test"  # clips of the test part in two versions; the right one

_EMOTIONS = {"happy": "joy", "sad": "sadness", "angry": "anger", NO_CLIP: "joy"}
_MEANS = {"surprise": "happy", "disgust": "angry", "fear": "sad", NO_CLIP: "happy"}
_SENTIMENTS = {"joy": "positive", "neutral": "neutral", "surprise": "positive"}
_COLUMNS = (
    "Sr No.",
    "Utterance",
    "Speaker",
    "Emotion",
    "Sentiment",
    "Dialogue_ID",
    "Utterance_ID",
    "Season",
    "Episode",
    "StartTime",
    "EndTime",
)


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    folder: str
    share: float


PARTS = (
    _Part("train", "train_splits", 0.72),
    _Part("dev", "dev_splits_complete", 0.08),
    _Part("test", "output_repeated_splits_test", 0.2),
)


def plan_extras(n: int, traits: Traits, rng: np.random.Generator) -> list[Line]:
    lines = []
    for i in range(max(4, round(EXTRA_SHARE * n))):
        once = i < len(EXTRA_LABELS)  # a clip that is missing, and one that does not open: one each
        label = EXTRA_LABELS[i] if once else EXTRA_LABELS[2:][i % 4]
        speaker = SLOTS[int(rng.integers(len(SLOTS)))].speaker
        lines.append(plan_line(speaker, _MEANS.get(label, "neutral"), label, traits, rng))
    return lines


def arrange(
    lines: Sequence[Line], people: Mapping[str, Person], traits: Traits, rng: np.random.Generator
) -> list[Scene]:
    dialogues = _dialogues(lines, rng)
    own = rng.random() < traits.visual.own_share
    backdrops = traits.visual.backdrops if own else REFERENCE.visual.backdrops
    scenes = []
    for part, numbers in _deal(len(dialogues), rng):
        for number, dialogue in enumerate(dialogues[i] for i in numbers):
            room = Room(backdrop=str(rng.choice(backdrops)), seed=int(rng.integers(2**31)))
            present = _present(dialogue, people, rng)
            for k, line in enumerate(dialogue):
                named = replace(
                    line,
                    id=f"{part.name}_dia{number}_utt{k}",
                    text=line.text.replace("'", "’"),
                )
                twice = part.name == "test" and number == 0 and k < TWICE
                clip = f"{BETTER if twice else ''}dia{number}_utt{k}.mp4"
                video = f"{part.folder}/{clip}"
                scenes.append(_scene(named, video, present, people, room, traits, rng))
    return scenes


def _dialogues(lines: Sequence[Line], rng: np.random.Generator) -> list[list[Line]]:
    """All lines in dialogues of two to four speakers, at least three dialogues."""
    left: dict[str, list[Line]] = {}
    for i in rng.permutation(len(lines)):
        left.setdefault(lines[i].speaker, []).append(lines[i])
    n_lines = min(LINES_A_DIALOGUE, -(-len(lines) // 3))
    dialogues = []
    while left:
        # Those who have most left to say, so that nobody is left to talk alone.
        able = sorted(left, key=lambda who: (-len(left[who]), who))[:6]
        k = min(len(able), int(rng.integers(2, 5)))
        who = [able[i] for i in rng.permutation(len(able))[:k]]
        parts = {name: left[name][: -(-n_lines // k)] for name in who}
        for name, taken in parts.items():
            left[name] = left[name][len(taken) :]
            if not left[name]:
                del left[name]
        dialogues.append(take_turns(parts, rng))
    return dialogues


def _deal(n: int, rng: np.random.Generator) -> list[tuple[_Part, list[int]]]:
    """Which dialogues are in which part; each part has one where there are three."""
    order = [int(i) for i in rng.permutation(n)]
    n_dev, n_test = (max(1, round(part.share * n)) for part in PARTS[1:])
    cuts = (max(1, n - n_dev - n_test), max(1, n - n_test))
    return list(
        zip(PARTS, (order[: cuts[0]], order[cuts[0] : cuts[1]], order[cuts[1] :]), strict=True)
    )


def _present(
    dialogue: Sequence[Line], people: Mapping[str, Person], rng: np.random.Generator
) -> list[str]:
    """The speakers of a dialogue, and silent ones to make it three people at least."""
    names = list(dict.fromkeys(line.speaker for line in dialogue))
    others = [name for name in people if name not in names]
    silent = rng.permutation(len(others))[: max(0, 3 - len(names))]
    return names + [others[i] for i in silent]


def _scene(
    line: Line,
    video: str,
    present: Sequence[str],
    people: Mapping[str, Person],
    room: Room,
    traits: Traits,
    rng: np.random.Generator,
) -> Scene:
    listeners = [name for name in present if name != line.speaker]
    shots = stage_line(line.speaker, listeners, traits.visual.half_face, room, rng)
    seen = {name for shot in shots for name in shot.seats} | {line.speaker}
    there = {name: people[name] for name in present if name in seen}
    reactions = {}
    for name in there:
        if name != line.speaker:
            emotion = _reaction(line.visual.emotion, rng)
            reactions[name] = plan_show(emotion, traits.visual, rng)
    return Scene(
        name=line.id,
        video=video,
        container="mp4",
        width=WIDTH,
        height=HEIGHT,
        rate_fps=RATE_FPS,
        variable_rate=False,
        people=there,
        sides=dict.fromkeys(there, "several" if len(there) > 1 else "only"),
        lines=(line,),
        shots=shots,
        traits=traits,
        audio_codec="alac",  # lossless: AAC would make the like channels differ
        audio_rate_hz=AUDIO_RATE_HZ,
        channels=2,
        pause_s=(0.0, 0.0),
        lead_s=0.2,
        clip_margin_s=0.2,
        reactions=reactions,
        nodding=frozenset(name for name in reactions if rng.random() < NOD_SHARE),
        laughter_s=float(rng.uniform(*LAUGHTER_S)) if rng.random() < LAUGHTER_SHARE else 0.0,
        listener_every=2,
        seed=int(rng.integers(2**63)),
    )


def _reaction(emotion: str, rng: np.random.Generator) -> str:
    """What a listener feels: the same, nothing, or something else."""
    return str(
        rng.choice([emotion, "neutral", "happy", "sad", "angry"], p=[0.4, 0.3, 0.1, 0.1, 0.1])
    )


def write_labels(root: Path, scenes: Sequence[Sequence[Spoken]], rng: np.random.Generator) -> None:
    spoken = [s for scene in scenes for s in scene]
    for part in PARTS:
        mine = [s for s in spoken if s.line.id.startswith(f"{part.name}_")]
        rows = _rows(mine, rng)
        data = b"".join(
            _encode(row, how) for row, how in zip(rows, _manners(len(rows)), strict=True)
        )
        (root / f"{part.name}_sent_emo.csv").write_bytes(_csv_line(_COLUMNS).encode() + data)
    for s in spoken:
        if s.line.label == NO_CLIP:
            (root / s.file).unlink()
        elif s.line.label == CORRUPT:
            _cut_short(root / s.file)
    _repeat(root, spoken)


def _rows(spoken: Sequence[Spoken], rng: np.random.Generator) -> list[list[str]]:
    """A row a line, as the corpus's CSVs have them; two with odd times."""
    rows = []
    place, now_s = "", 0.0
    for i, s in enumerate(spoken):
        dialogue, utterance = (part[3:] for part in s.line.id.split("_")[1:])
        if dialogue != place:
            place, now_s = dialogue, float(rng.uniform(30, 1300))
            season, episode = int(rng.integers(1, 11)), int(rng.integers(1, 25))
        length_s = {1: 0.0, 2: 305.0}.get(i, s.end_s)
        emotion = _EMOTIONS.get(s.line.label, s.line.label)
        emotion = "surprise" if emotion == CORRUPT else emotion
        sentiment = _SENTIMENTS.get(emotion, "negative")
        rows.append(
            [
                str(i + 1),
                s.line.text,
                s.line.speaker,
                emotion,
                sentiment,
                dialogue,
                utterance,
                str(season),
                str(episode),
                _clock(now_s),
                _clock(now_s + length_s),
            ]
        )
        now_s += s.end_s + float(rng.uniform(0, 1))
    return rows


def _clock(time_s: float) -> str:
    """00:16:16,059."""
    whole, thousandths = divmod(round(time_s * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d},{thousandths:03d}"


def _manners(n: int) -> list[str]:
    """How the quotes of each row are broken."""
    return [("control", "control", "letters", "control", "byte")[i % 5] for i in range(n)]


def _encode(row: Sequence[str], how: str) -> bytes:
    """A line of a CSV whose curly quotes were read in the wrong encoding.

    `control`: the byte of Windows-1252 taken for Latin-1, then written as UTF-8. `letters`: the
    three bytes of UTF-8 taken for Windows-1252. `byte`: the byte of Windows-1252 as it is.
    """
    line = _csv_line(row)
    if how == "letters":
        return line.replace("’", "â€™").encode()
    line = line.replace("’", "\x92")
    return line.encode("latin-1") if how == "byte" else line.encode()


def _csv_line(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()


def _cut_short(path: Path) -> None:
    """What a download that broke off leaves: no index, so nothing can open it."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3])


def _repeat(root: Path, spoken: Sequence[Spoken]) -> None:
    """Wrong versions of clips that come twice, which show another line; a clip without a row."""
    there = [s for s in spoken if (root / s.file).is_file() and s.line.label != CORRUPT]
    for i, s in enumerate(there):
        path = root / s.file
        if path.name.startswith(BETTER):
            shutil.copyfile(
                root / there[i - 1].file, path.with_name(path.name.removeprefix(BETTER))
            )
    path = root / there[-1].file
    shutil.copyfile(path, path.with_name("dia9999_utt0.mp4"))

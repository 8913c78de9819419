"""MSP-IMPROV: one person a file, the scenario and both partners in the name, one label file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from amanda.store.names import CLASSES
from corpora.standin.picture.stage import Seat
from corpora.standin.plan import Slot, plan_line
from corpora.standin.scene import Line, Person, Scene, Shot, Spoken
from corpora.standin.traits import REFERENCE, Traits
from corpora.standin.words import load_wording

N_SESSIONS = 6
SLOTS = tuple(
    Slot(f"{sex}{session:02d}", sex, session)
    for session in range(1, N_SESSIONS + 1)
    for sex in "FM"
)
LABEL_FILE = "Evalution.txt"  # the corpus's own spelling
WIDTH, HEIGHT, RATE_FPS, AUDIO_RATE_HZ = 320, 240, 15, 22_050
N_SENTENCES = 20
EXTRA_SHARE = 0.06
EMPTY_SHARE = 0.02  # of the transcripts; at least one
AS_INTENDED = 0.65  # of the utterances are perceived as the scenario meant them

_CODES = {"neutral": "N", "happy": "H", "sad": "S", "angry": "A"}
_NAMES = {"N": "Neutral", "H": "Happy", "S": "Sad", "A": "Angry", "O": "Other"}
# Activation, valence (high is pleasant), dominance from 1 to 5.
_AVD = {
    "N": (2.6, 3.0, 3.0),
    "H": (3.4, 4.1, 3.3),
    "S": (2.2, 1.9, 2.5),
    "A": (3.7, 1.9, 3.8),
    "O": (2.9, 2.7, 3.0),
}


def plan_extras(n: int, traits: Traits, rng: np.random.Generator) -> list[Line]:
    lines = []
    for i in range(max(2, round(EXTRA_SHARE * n))):
        speaker = SLOTS[int(rng.integers(len(SLOTS)))].speaker
        emotion = CLASSES[int(rng.integers(len(CLASSES)))]
        lines.append(plan_line(speaker, emotion, "XO"[i % 2], traits, rng))
    return lines


def arrange(
    lines: Sequence[Line], people: Mapping[str, Person], traits: Traits, rng: np.random.Generator
) -> list[Scene]:
    empty = set(rng.permutation(len(lines))[: max(1, round(EMPTY_SHARE * len(lines)))].tolist())
    taken: Counter[str] = Counter()
    scenes = []
    # By speaker, so that a process paints a head once and uses it for its neighbours.
    for i in sorted(range(len(lines)), key=lambda k: lines[k].speaker):
        line = replace(lines[i], text="") if i in empty else lines[i]
        stem = _name(line, taken, rng)
        parts = stem.split("-")
        folder = f"session{people[line.speaker].session}/{parts[2]}/{parts[4]}"
        line = replace(line, id=stem, wav=f"{folder}/{stem}.wav")
        scenes.append(_scene(line, f"{folder}/{stem}.avi", people[line.speaker], traits, rng))
    return scenes


def _name(line: Line, taken: Counter[str], rng: np.random.Generator) -> str:
    """MSP-IMPROV-S{sentence}{intended}-{lead}{session}-{scenario}-{listener}{speaker}{turn}."""
    sex, session = line.speaker[0], line.speaker[1:]
    targets = load_wording("msp").ambiguous
    if line.spoken in targets:  # the same sentence in every emotion: target or read
        sentence = targets.index(line.spoken) % N_SENTENCES + 1
        scenario = "T" if rng.random() < 0.6 else "R"
        lead = sex
    else:
        sentence = int(rng.integers(N_SENTENCES)) + 1
        scenario = "S" if rng.random() < 0.7 else "P"
        lead = "FM"[int(rng.integers(2))]
    intended = _CODES.get(line.label, "")
    if not intended or rng.random() > AS_INTENDED:
        intended = "AHSN"[int(rng.integers(4))]
    listener = "M" if sex == "F" else "F"
    stem = f"MSP-IMPROV-S{sentence:02d}{intended}-{lead}{session}-{scenario}-{listener}{sex}"
    taken[stem] += 1
    return f"{stem}{taken[stem]:02d}"


def _scene(
    line: Line, video: str, person: Person, traits: Traits, rng: np.random.Generator
) -> Scene:
    own = rng.random() < traits.visual.own_share
    backdrops = traits.visual.backdrops if own else REFERENCE.visual.backdrops
    seat = Seat(
        x=160.0 + float(rng.uniform(-8, 8)),
        y=108.0 + float(rng.uniform(-3, 3)),
        half_face=traits.visual.half_face * float(rng.uniform(0.97, 1.03)),
    )
    return Scene(
        name=line.id,
        video=video,
        container="avi",
        width=WIDTH,
        height=HEIGHT,
        rate_fps=RATE_FPS,
        variable_rate=False,
        people={person.id: person},
        sides={person.id: "only"},
        lines=(line,),
        shots=(Shot(first_line=0, backdrop=str(rng.choice(backdrops)), seats={person.id: seat}),),
        traits=traits,
        audio_codec="pcm_s16le",
        audio_rate_hz=AUDIO_RATE_HZ,
        pause_s=(0.0, 0.0),
        lead_s=0.15,
        clip_margin_s=0.15,
        seed=int(rng.integers(2**63)),
    )


def write_labels(root: Path, scenes: Sequence[Sequence[Spoken]], rng: np.random.Generator) -> None:
    texts = root / "All_human_transcriptions"
    texts.mkdir(parents=True, exist_ok=True)
    spoken = sorted((s for scene in scenes for s in scene), key=lambda s: s.line.id)
    for s in spoken:
        text = f"{s.line.text}\n" if s.line.text else ""
        (texts / f"{s.line.id}.txt").write_text(text, encoding="utf-8")
    blocks = [_evaluation(s, rng) for s in spoken]
    (root / LABEL_FILE).write_text("\n".join(blocks), encoding="utf-8")


def _evaluation(spoken: Spoken, rng: np.random.Generator) -> str:
    """An utterance's block: the consensus, then five raters."""
    code = _CODES.get(spoken.line.label, spoken.line.label)
    if code == "X":
        votes = [str(v) for v in rng.choice(list(_NAMES), 5, replace=False)]
    else:
        others = [c for c in _NAMES if c != code]
        votes = [code] * 3 + [
            code if rng.random() < 0.5 else others[int(rng.integers(len(others)))] for _ in range(2)
        ]
    mean = _AVD.get(code, _AVD["N"])
    scores = [
        [int(np.clip(round(m + 0.7 * float(rng.normal())), 1, 5)) for m in (*mean, 3.6)]
        for _ in votes
    ]
    a, v, d, n = np.mean(scores, axis=0)
    name = spoken.line.id.replace("MSP-", "UTD-", 1)
    lines = [f"{name}.avi; {code}; A:{a:.6f}; V:{v:.6f}; D:{d:.6f}; N:{n:.6f};"]
    for vote, (ra, rv, rd, rn) in zip(votes, scores, strict=True):
        worker = f"WORKER{int(rng.integers(1, 60)):08d}"
        lines.append(
            f"{worker}; {_NAMES[vote]}; {_NAMES[vote]}; "
            f"A:{ra:.6f}; V:{rv:.6f}; D:{rd:.6f}; N:{rn:.6f};"
        )
    return "\n".join(lines) + "\n"

"""IEMOCAP: dialogues of two people side by side, a WAV file an utterance, labels by dialogue.

The F or M in a dialogue's name (`Ses01F_impro01`) is the one who sits on the left.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpora.standin.picture.stage import Seat
from corpora.standin.plan import Slot, plan_line, take_turns
from corpora.standin.scene import Line, Person, Scene, Shot, Spoken
from corpora.standin.traits import REFERENCE, Traits

N_SESSIONS = 5
SLOTS = tuple(
    Slot(f"Ses{session:02d}{sex}", sex, session)
    for session in range(1, N_SESSIONS + 1)
    for sex in "FM"
)
WIDTH, HEIGHT, RATE_FPS, AUDIO_RATE_HZ = 640, 240, 15, 16_000
LINES_A_DIALOGUE = 12
VARIABLE_SCENE = 1  # this dialogue, in order of the sessions, has frames at uneven times
EXTRA_SHARE = 0.06
EXTRA_CODES = ("fru", "xxx", "fru", "sur", "fru", "oth", "xxx", "fea", "dis")
LAUGHTER = "[LAUGHTER]"

_NAMES = {
    "neu": "Neutral",
    "hap": "Happiness",
    "exc": "Excited",
    "sad": "Sadness",
    "ang": "Anger",
    "fru": "Frustration",
    "sur": "Surprise",
    "fea": "Fear",
    "dis": "Disgust",
    "oth": "Other",
}
_SECOND = {"neu": "fru", "hap": "exc", "exc": "hap", "sad": "neu", "ang": "fru", "fru": "ang"}
# Valence, activation, dominance from 1 to 5, as raters see them.
_VAD = {
    "neu": (2.9, 2.6, 3.0),
    "hap": (4.0, 3.1, 3.1),
    "exc": (4.1, 3.7, 3.4),
    "sad": (2.2, 2.2, 2.6),
    "ang": (1.8, 3.7, 3.9),
    "fru": (2.2, 3.1, 3.2),
}
# What an utterance of a code the reader drops looks and sounds like.
_MEANS = {
    "fru": "angry",
    "sur": "happy",
    "fea": "sad",
    "dis": "angry",
    "oth": "neutral",
    "xxx": "neutral",
}


def plan_extras(n: int, traits: Traits, rng: np.random.Generator) -> list[Line]:
    lines = []
    for i in range(max(2, round(EXTRA_SHARE * n))):
        code = EXTRA_CODES[i % len(EXTRA_CODES)]
        speaker = SLOTS[int(rng.integers(len(SLOTS)))].speaker
        line = plan_line(speaker, _MEANS[code], code, traits, rng)
        if code == "oth":
            line = replace(line, text=LAUGHTER, spoken="Ha, ha, ha, ha!")
        lines.append(line)
    return lines


def arrange(
    lines: Sequence[Line], people: Mapping[str, Person], traits: Traits, rng: np.random.Generator
) -> list[Scene]:
    scenes: list[Scene] = []
    for session in range(1, N_SESSIONS + 1):
        mine = {
            slot.speaker: [line for line in lines if line.speaker == slot.speaker]
            for slot in SLOTS
            if slot.session == session
        }
        total = sum(map(len, mine.values()))
        if not total:
            continue
        n_dialogues = max(1, round(total / LINES_A_DIALOGUE))
        dealt: list[dict[str, list[Line]]] = [{} for _ in range(n_dialogues)]
        for speaker, spoken in mine.items():
            for k, i in enumerate(rng.permutation(len(spoken))):
                dealt[k % n_dialogues].setdefault(speaker, []).append(spoken[i])
        for k, parts in enumerate(dealt):
            name = _dialogue_name(session, k)
            variable = len(scenes) == VARIABLE_SCENE
            scenes.append(
                _scene(name, session, take_turns(parts, rng), people, traits, variable, rng)
            )
    return scenes


def _dialogue_name(session: int, k: int) -> str:
    lead = "FM"[(k + session + 1) % 2]
    part = k // 2
    kind = f"impro{part // 2 + 1:02d}" if part % 2 == 0 else f"script{part // 2 + 1:02d}_1"
    return f"Ses{session:02d}{lead}_{kind}"


def _scene(
    name: str,
    session: int,
    lines: Sequence[Line],
    people: Mapping[str, Person],
    traits: Traits,
    variable: bool,
    rng: np.random.Generator,
) -> Scene:
    counts = {"F": 0, "M": 0}
    named = []
    for line in lines:
        sex = people[line.speaker].sex
        utterance = f"{name}_{sex}{counts[sex]:03d}"
        counts[sex] += 1
        wav = f"Session{session}/sentences/wav/{name}/{utterance}.wav"
        named.append(replace(line, id=utterance, wav=wav))
    pair = {p.id: p for p in people.values() if p.session == session}
    sides = {p.id: "left" if p.sex == name[5] else "right" for p in pair.values()}
    half_face = traits.visual.half_face
    seats = {
        who: Seat(
            x=(160.0 if sides[who] == "left" else 480.0) + float(rng.uniform(-6, 6)),
            y=108.0 + float(rng.uniform(-3, 3)),
            half_face=half_face * float(rng.uniform(0.97, 1.03)),
        )
        for who in pair
    }
    own = rng.random() < traits.visual.own_share
    backdrops = traits.visual.backdrops if own else REFERENCE.visual.backdrops
    return Scene(
        name=name,
        video=f"Session{session}/dialog/avi/DivX/{name}.avi",
        container="matroska" if variable else "avi",
        width=WIDTH,
        height=HEIGHT,
        rate_fps=RATE_FPS,
        variable_rate=variable,
        people=pair,
        sides=sides,
        lines=tuple(named),
        shots=(Shot(first_line=0, backdrop=str(rng.choice(backdrops)), seats=seats),),
        traits=traits,
        audio_codec="libmp3lame",
        audio_rate_hz=AUDIO_RATE_HZ,
        pause_s=(0.3, 0.45),
        lead_s=0.5,
        clip_margin_s=0.12,
        seed=int(rng.integers(2**63)),
    )


def write_labels(root: Path, scenes: Sequence[Sequence[Spoken]], rng: np.random.Generator) -> None:
    for spoken in scenes:
        video = Path(spoken[0].file)
        dialog = root / video.parts[0] / "dialog"
        name = video.stem
        codes = {s.line.id: _code(s.line.label, rng) for s in spoken}
        evaluation = dialog / "EmoEvaluation"
        (evaluation / "Categorical").mkdir(parents=True, exist_ok=True)
        blocks = [_evaluation(s, codes[s.line.id], rng) for s in spoken]
        header = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
        (evaluation / f"{name}.txt").write_text(header + "\n".join(blocks) + "\n", encoding="utf-8")
        # One rater's own file, in a folder below: not the consensus, and not to be read as it.
        one = "".join(f"{s.line.id} :{_NAMES[_vote(codes[s.line.id], rng)]}; ()\n" for s in spoken)
        (evaluation / "Categorical" / f"{name}_e2_cat.txt").write_text(one, encoding="utf-8")
        transcriptions = dialog / "transcriptions"
        transcriptions.mkdir(parents=True, exist_ok=True)
        text = "\n".join(_transcript(name, spoken, rng)) + "\n"
        (transcriptions / f"{name}.txt").write_text(text, encoding="utf-8")


def _code(label: str, rng: np.random.Generator) -> str:
    if label == "happy":
        return "exc" if rng.random() < 0.55 else "hap"
    return {"neutral": "neu", "sad": "sad", "angry": "ang"}.get(label, label)


def _vote(code: str, rng: np.random.Generator) -> str:
    known = list(_NAMES)
    return known[int(rng.integers(len(known)))] if code == "xxx" else code


def _evaluation(spoken: Spoken, code: str, rng: np.random.Generator) -> str:
    """An utterance's block: consensus, raters' categories and scales, the actor's own."""
    if code == "xxx":
        votes = [str(v) for v in rng.choice(["neu", "fru", "sad", "hap", "ang"], 3, replace=False)]
    else:
        votes = [code, code, code if rng.random() < 0.6 else _SECOND.get(code, "neu")]
    scores = [_scores(code, rng) for _ in range(2)]
    mean = np.mean(scores, axis=0)
    lines = [
        f"[{spoken.start_s:.4f} - {spoken.end_s:.4f}]\t{spoken.line.id}\t{code}\t"
        f"[{mean[0]:.4f}, {mean[1]:.4f}, {mean[2]:.4f}]"
    ]
    for rater, vote in zip(("C-E2", "C-E3", "C-E4"), votes, strict=True):
        lines.append(f"{rater}:\t{_NAMES[vote]};\t()")
    sex = spoken.line.id.rsplit("_", 1)[1][0]
    lines.append(f"C-{sex}1:\t{_NAMES[_vote(code, rng)]};\t()")
    for rater, (v, a, d) in zip(("A-E3", "A-E4"), scores, strict=True):
        lines.append(f"{rater}:\tval {v}; act {a}; dom  {d};\t()")
    v, a, d = _scores(code, rng)
    lines.append(f"A-{sex}1:\tval {v}; act {a}; dom  {d};\t()")
    return "\n".join(lines) + "\n"


def _scores(code: str, rng: np.random.Generator) -> tuple[int, int, int]:
    mean = _VAD.get(code, _VAD["neu"])
    v, a, d = (int(np.clip(round(m + 0.6 * float(rng.normal())), 1, 5)) for m in mean)
    return v, a, d


def _transcript(name: str, spoken: Sequence[Spoken], rng: np.random.Generator) -> Iterator[str]:
    """Transcript lines, and now and then a line of another form, as the corpus has them."""
    for i, s in enumerate(spoken):
        yield f"{s.line.id} [{s.start_s:08.4f}-{s.end_s:08.4f}]: {s.line.text}"
        if i == 0 or rng.random() < 0.06:
            sex = "FM"[int(rng.integers(2))]
            odd = (
                f"{sex}: Mhm.",
                f"{name}_{sex}XX{i} [{s.end_s:08.4f}-{s.end_s + 0.3:08.4f}]: {LAUGHTER}",
            )
            yield odd[int(rng.integers(2))] if i else odd[0]

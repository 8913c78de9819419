"""Who speaks, which class how often, and how clearly: everything decided before drawing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from amanda.store.errors import InputError, nearest
from amanda.store.names import CLASSES
from corpora.standin.picture.identity import sample_look
from corpora.standin.scene import Line, Person, Show
from corpora.standin.sound.voice import Voice
from corpora.standin.traits import REFERENCE, AcousticTraits, LexicalTraits, Traits, VisualTraits
from corpora.standin.words import compose, load_wording

INTENSITY_SPREAD = 0.18
MISLEADING_INTENSITY = 0.6  # of the ordinary one


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a speaker in a layout: its id, sex and session."""

    speaker: str
    sex: str
    session: int


def class_counts(n: int, prior: Mapping[str, float]) -> dict[str, int]:
    """Utterances a class by largest remainder, ties to the earlier class.

    >>> class_counts(10, {"neutral": 3, "happy": 3, "sad": 2, "angry": 2})
    {'neutral': 3, 'happy': 3, 'sad': 2, 'angry': 2}

    Raises:
        InputError: an unknown class, a negative weight, or no weight above 0.
    """
    for name, weight in prior.items():
        if name not in CLASSES:
            raise InputError(f"prior: no class '{name}'; {nearest(name, list(CLASSES))}")
        if not (np.isfinite(weight) and weight >= 0):
            raise InputError(f"prior: {name} = {weight}; weights are numbers from 0 up")
    total = sum(prior.values())
    if total <= 0:
        raise InputError("prior: every class has weight 0; give at least one a weight above 0")
    exact = {name: n * prior.get(name, 0.0) / total for name in CLASSES}
    counts = {name: int(exact[name] + 1e-9) for name in CLASSES}
    order = sorted(CLASSES, key=lambda c: (counts[c] - exact[c], CLASSES.index(c)))
    for name in order[: n - sum(counts.values())]:
        counts[name] += 1
    return counts


def cast_people(
    slots: Sequence[Slot], traits: AcousticTraits, rng: np.random.Generator
) -> dict[str, Person]:
    """A person for each slot of the layout."""
    people = {}
    for slot in slots:
        people[slot.speaker] = Person(
            id=slot.speaker,
            sex=slot.sex,
            session=slot.session,
            look=sample_look(slot.sex, rng),
            voice=_cast_voice(slot.sex, traits, rng),
        )
    return people


def _cast_voice(sex: str, traits: AcousticTraits, rng: np.random.Generator) -> Voice:
    own = rng.random() < traits.own_share
    accents = traits.voices if own else REFERENCE.acoustic.voices
    language, female, male = accents[int(rng.integers(len(accents)))]
    variants = female if sex == "F" else male
    return Voice(
        name=f"{language}+{variants[int(rng.integers(len(variants)))]}",
        pitch=float(np.clip(rng.normal(50, 6), 36, 64)),
        range=float(np.clip(rng.normal(50, 6), 36, 64)),
        rate=float(np.clip(rng.normal(172, 9), 150, 195)),
    )


def plan_lines(
    n: int,
    prior: Mapping[str, float],
    speakers: Sequence[str],
    traits: Traits,
    rng: np.random.Generator,
) -> list[Line]:
    """`n` lines of the classes asked for, dealt so that each speaker has about the same of each."""
    counts = class_counts(n, prior)
    order = [speakers[i] for i in rng.permutation(len(speakers))]
    lines: list[Line] = []
    for emotion in CLASSES:
        for _ in range(counts[emotion]):
            speaker = order[len(lines) % len(order)]
            lines.append(plan_line(speaker, emotion, emotion, traits, rng))
    return lines


def plan_line(
    speaker: str, emotion: str, label: str, traits: Traits, rng: np.random.Generator
) -> Line:
    """One line that means `emotion`, labelled `label`, as clear as the traits let it be."""
    said, text = _plan_words(emotion, traits.lexical, rng)
    return Line(
        speaker=speaker,
        label=label,
        text=text,
        spoken=text,
        visual=plan_show(emotion, traits.visual, rng),
        acoustic=plan_show(emotion, traits.acoustic, rng),
        lexical=said,
    )


def take_turns(parts: Mapping[str, Sequence[Line]], rng: np.random.Generator) -> list[Line]:
    """The lines of several speakers, mostly by turns."""
    left = {speaker: list(lines) for speaker, lines in parts.items()}
    order: list[Line] = []
    while any(left.values()):
        able = [s for s, lines in left.items() if lines]
        others = [s for s in able if not order or s != order[-1].speaker]
        pick = others if others and rng.random() < 0.8 else able
        order.append(left[pick[int(rng.integers(len(pick)))]].pop())
    return order


def plan_show(
    emotion: str, traits: VisualTraits | AcousticTraits, rng: np.random.Generator
) -> Show:
    """What a face or voice shows of an emotion: not always that, nor always as strongly."""
    intensity = float(np.clip(rng.normal(traits.intensity, INTENSITY_SPREAD), 0.15, 1.0))
    if rng.random() >= traits.ambiguous_share:
        return Show(emotion, intensity)
    if rng.random() < traits.misleading_share:
        return Show(_other(emotion, rng), MISLEADING_INTENSITY * intensity)
    return Show("neutral", intensity)


def _plan_words(
    emotion: str, traits: LexicalTraits, rng: np.random.Generator
) -> tuple[str | None, str]:
    wording = load_wording(traits.wording if rng.random() < traits.own_share else "shared")
    said: str | None = emotion
    if rng.random() < traits.ambiguous_share:
        said = _other(emotion, rng) if rng.random() < traits.misleading_share else None
    return said, compose(wording, said, rng)


def _other(emotion: str, rng: np.random.Generator) -> str:
    others = [name for name in CLASSES if name != emotion]
    return others[int(rng.integers(len(others)))]

"""Stand-in corpora: the table of traits, class counts, wording, people."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amanda.store.errors import InputError
from amanda.store.names import CLASSES
from corpora.standin.layouts import layout_names, load_layout
from corpora.standin.picture.expression import AXES
from corpora.standin.picture.stage import BACKDROPS
from corpora.standin.plan import cast_people, class_counts, plan_lines
from corpora.standin.sound.prosody import Delivery
from corpora.standin.traits import (
    BOUNDS,
    REFERENCE,
    TRAITS,
    AcousticTraits,
    VisualTraits,
    blend,
    corpus_traits,
)
from corpora.standin.words import compose, load_wording

DEFAULT = {"neutral": 3.0, "happy": 3.0, "sad": 2.0, "angry": 2.0}
FULL = {"visual": 1.0, "acoustic": 1.0, "lexical": 1.0}
CORPORA = sorted(TRAITS)


def test_class_counts_by_hand():
    assert class_counts(360, DEFAULT) == {"neutral": 108, "happy": 108, "sad": 72, "angry": 72}
    # 7 · (.3, .3, .2, .2) = 2.1, 2.1, 1.4, 1.4: the two left over go to the largest remainders.
    assert class_counts(7, DEFAULT) == {"neutral": 2, "happy": 2, "sad": 2, "angry": 1}
    assert class_counts(5, {"sad": 1.0}) == {"neutral": 0, "happy": 0, "sad": 5, "angry": 0}


@given(st.integers(1, 500), st.lists(st.floats(0, 10), min_size=4, max_size=4))
def test_class_counts_add_up_and_are_within_one_of_the_exact_share(n, weights):
    if sum(weights) < 1e-6:
        return
    counts = class_counts(n, dict(zip(CLASSES, weights, strict=True)))
    assert sum(counts.values()) == n
    for name, weight in zip(CLASSES, weights, strict=True):
        assert abs(counts[name] - n * weight / sum(weights)) < 1 + 1e-6


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({"hapy": 1.0}, r"no class 'hapy'; did you mean 'happy'\?"),
        ({"happy": -1.0}, "happy = -1"),
        ({"happy": float("nan")}, "happy = nan"),
        ({"happy": 0.0}, "every class has weight 0"),
    ],
)
def test_bad_priors_are_told(prior, message):
    with pytest.raises(InputError, match=message):
        class_counts(10, prior)


def test_blend_by_hand():
    reference, own = REFERENCE.acoustic, TRAITS["msp"].acoustic
    half = blend(reference, own, 0.5)
    assert half.snr_db == pytest.approx((reference.snr_db + own.snr_db) / 2)
    pitch = (reference.prosody["angry"]["pitch"] + own.prosody["angry"]["pitch"]) / 2
    assert half.prosody["angry"]["pitch"] == pytest.approx(pitch)
    light = blend(REFERENCE.visual, TRAITS["msp"].visual, 2.0).light
    expected = 2 * np.array(TRAITS["msp"].visual.light) - np.array(REFERENCE.visual.light)
    np.testing.assert_allclose(light, expected)


@pytest.mark.parametrize("modality", ["visual", "acoustic", "lexical"])
def test_no_gap_in_a_modality_is_the_same_corpus_there_and_only_there(modality):
    ie, msp = (corpus_traits(c, {**FULL, modality: 0.0}) for c in ("ie", "msp"))
    for name in FULL:
        one, other = (dataclasses.asdict(getattr(traits, name)) for traits in (ie, msp))
        if name == modality:
            # Names of the corpus's own sets stay, but are never drawn from.
            assert one.pop("own_share") == other.pop("own_share") == 0.0
            for key in ("voices", "backdrops", "wording"):
                one.pop(key, None), other.pop(key, None)
            assert one == other
        else:
            assert one != other


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0])
def test_traits_stay_within_bounds(corpus, strength):
    traits = corpus_traits(corpus, dict.fromkeys(FULL, strength))
    for part in (traits.visual, traits.acoustic, traits.lexical):
        for name, value in dataclasses.asdict(part).items():
            if name in BOUNDS:
                low, high = BOUNDS[name]
                assert all(low <= v <= high for v in np.atleast_1d(value)), name
    if strength == 1.0:
        for modality in FULL:
            made, own = (dataclasses.asdict(getattr(t, modality)) for t in (traits, TRAITS[corpus]))
            for name, value in own.items():
                if isinstance(value, dict):
                    assert set(made[name]) <= set(value)
                    for emotion, changes in value.items():
                        assert made[name].get(emotion, {}) == pytest.approx(changes)
                elif name in ("voices", "backdrops", "wording"):
                    assert made[name] == value
                else:
                    assert made[name] == pytest.approx(value)


@pytest.mark.parametrize("traits", [REFERENCE, *TRAITS.values()])
def test_the_table_names_what_there_is(traits):
    assert set(traits.visual.expressions) == set(traits.acoustic.prosody) == set(CLASSES)
    for axes in traits.visual.expressions.values():
        assert set(axes) <= set(AXES)
    for changes in traits.acoustic.prosody.values():
        assert set(changes) <= {f.name for f in dataclasses.fields(Delivery)}
    assert set(traits.visual.backdrops) <= set(BACKDROPS)


def test_every_layout_has_traits_and_wording():
    assert layout_names() == CORPORA
    for corpus in CORPORA:
        load_wording(TRAITS[corpus].lexical.wording)
        assert len(load_layout(corpus).SLOTS) >= 10


@pytest.mark.parametrize("name", ["shared", *CORPORA])
def test_wordings_are_whole_and_varied(name):
    wording = load_wording(name)
    rng = np.random.default_rng(0)
    for emotion in (*CLASSES, None):
        said = {compose(wording, emotion, rng) for _ in range(400)}
        assert len(said) >= (20 if emotion is None else 24)
        for text in said:
            assert re.fullmatch(r"[A-Z][A-Za-z ,']+[.!?]", text), text
            assert 5 <= len(text.split()) <= 14, text


def test_a_slot_that_stands_twice_takes_one_word():
    rng = np.random.default_rng(0)
    asked = {compose(load_wording("ie"), "angry", rng) for _ in range(3000)}
    asked = {text for text in asked if text.startswith("Who is")}
    assert asked
    for text in asked:
        name, again = re.findall(r"is (\w+)", text)
        assert name == again


def test_corpora_do_not_share_their_own_sentences():
    own = {name: load_wording(name) for name in ("shared", *CORPORA)}
    for emotion in CLASSES:
        sentences = [set(w.sentences[emotion]) for w in own.values()]
        assert len(set().union(*sentences)) == sum(map(len, sentences))


def test_lines_are_dealt_evenly_and_as_clear_as_asked():
    traits = corpus_traits("ie", FULL)
    speakers = [f"s{i}" for i in range(10)]
    lines = plan_lines(2000, DEFAULT, speakers, traits, np.random.default_rng(0))
    for emotion in CLASSES:
        each = [sum(x.speaker == s and x.label == emotion for x in lines) for s in speakers]
        assert max(each) - min(each) <= 1
    emotional = [x for x in lines if x.label != "neutral"]
    for show, part in (("visual", traits.visual), ("acoustic", traits.acoustic)):
        unclear = np.mean([getattr(x, show).emotion != x.label for x in emotional])
        assert unclear == pytest.approx(part.ambiguous_share, abs=0.04)
    assert np.mean([x.lexical != x.label for x in lines]) == pytest.approx(
        traits.lexical.ambiguous_share, abs=0.04
    )


def test_people_follow_the_slots():
    layout = load_layout("msp")
    people = cast_people(layout.SLOTS, TRAITS["msp"].acoustic, np.random.default_rng(0))
    assert [p.sex for p in people.values()] == ["F", "M"] * 6
    assert len({p.look for p in people.values()}) == 12
    shared = {n for _, f, m in REFERENCE.acoustic.voices for n in (*f, *m)}
    nobody_own = dataclasses.replace(TRAITS["msp"].acoustic, own_share=0.0)
    voices = cast_people(layout.SLOTS, nobody_own, np.random.default_rng(0)).values()
    assert {p.voice.name.split("+")[1] for p in voices} <= shared


def test_traits_have_no_field_without_use():
    """Every number of the table is read somewhere: a knob that does nothing would mislead."""
    from pathlib import Path

    import corpora.standin

    folder = Path(corpora.standin.__file__).parent
    code = "\n".join(
        p.read_text(encoding="utf-8") for p in folder.rglob("*.py") if p.parent.name != "traits"
    )
    for part in (VisualTraits, AcousticTraits):
        for f in dataclasses.fields(part):
            assert re.search(rf"\.{f.name}\b", code), f.name

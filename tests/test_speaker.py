"""Who speaks: mouths that move with the sound, the choice by evidence, and what a user says."""

import numpy as np
import pytest

from amanda.store.errors import InputError
from amanda.store.manifest import Utterance
from extractors.base import FaceFix, Glimpses, VideoClip
from extractors.faces import Detections
from extractors.speaker import WEIGHTS, choose, weigh, weigh_all
from extractors.speaker_clip import find_speaker, mouth_evidence
from extractors.speaker_fixes import FaceFixes, FixError, read_fixes
from extractors.speaker_motion import (
    RATE_HZ,
    Motion,
    boxes_at,
    correlation,
    loudness,
    loudness_at,
    mouth_motion,
)
from extractors.tracks import Track, link

SIZE = (120, 200)
FPS = 25
LEFT, RIGHT = (20, 20), (120, 30)  # x, y of a head; the right one is larger
SIDES = {LEFT: 60, RIGHT: 72}


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise in syllables, four a second, with a pause in the middle."""
    rng = np.random.default_rng(seed)
    at_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    syllables = np.clip(np.sin(2 * np.pi * 4 * at_s), 0, 1) * (abs(at_s - seconds / 2) > 0.2)
    return (0.2 * syllables * rng.normal(size=len(at_s))).astype(np.float32)


def head(image: np.ndarray, at: tuple[int, int], opening: float, nod: float = 0.0) -> None:
    """A face with eyes and a mouth that opens by 0 to 1, drawn in place."""
    x, y = at[0], at[1] + round(6 * nod)
    side = SIDES[at]
    image[y : y + side, x : x + side] = 170
    for eye in (0.25, 0.65):
        left, right = x + int(eye * side), x + int((eye + 0.12) * side)
        image[y + side // 4 : y + side // 3, left:right] = 60
    top, height = y + int(0.72 * side), 1 + int(0.16 * side * opening)
    image[top : top + height, x + side // 3 : x + 2 * side // 3] = 40


def clip(speaker: tuple[int, int] | None, *, nodding: tuple[int, int] | None = None) -> VideoClip:
    """Two seconds of two heads, of which one speaks and one may nod."""
    sound = speech(2.0)
    envelope = loudness(sound)
    time_s = np.arange(2 * FPS) / FPS
    rng = np.random.default_rng(1)
    frames = []
    for t, loud in zip(time_s, loudness_at(envelope, time_s), strict=True):
        image = np.full(SIZE, 110.0)
        for at in (LEFT, RIGHT):
            nod = np.sin(2 * np.pi * 1.5 * t) if at == nodding else 0.0
            head(image, at, loud if at == speaker else 0.1, nod)
        frames.append(np.clip(image + rng.normal(0, 2, SIZE), 0, 255).astype(np.uint8))
    grey = np.stack(frames)
    sampled = np.arange(2, 2 * FPS, 5)
    return VideoClip(
        frames=np.repeat(grey[sampled][..., None], 3, axis=-1),
        time_s=time_s[sampled],
        glimpses=Glimpses(frames=grey[::2], time_s=time_s[::2]),
        sound=sound,
    )


def faces(n: int, *places: tuple[int, int]) -> list[Detections]:
    """The same heads found in each of `n` frames."""
    boxes = np.array([(x, y, x + SIDES[x, y], y + SIDES[x, y]) for x, y in places], np.float32)
    scores = np.full(len(places), 0.9, np.float32)
    return [Detections(boxes=boxes.reshape(-1, 4), scores=scores)] * n


WHOLE = (0, 0, SIZE[1], SIZE[0])


@pytest.mark.parametrize("speaker", [LEFT, RIGHT])
@pytest.mark.parametrize("nodding", [None, LEFT, RIGHT])
def test_the_one_whose_mouth_moves_with_the_sound_is_chosen(speaker, nodding):
    scene = clip(speaker, nodding=nodding)
    choice = find_speaker(scene, faces(len(scene.frames), RIGHT, LEFT), WHOLE)
    assert choice.rule == "evidence"
    assert tuple(choice.track.boxes[0][:2].astype(int)) == speaker
    assert choice.score > choice.runner_up_score + 0.2
    assert choice.runner_up.number != choice.track.number


def test_without_sound_or_glimpses_the_larger_face_is_chosen():
    scene = clip(LEFT)
    for missing in ({"sound": None}, {"glimpses": None}):
        mute = VideoClip(**{**vars_of(scene), **missing})
        choice = find_speaker(mute, faces(len(scene.frames), LEFT, RIGHT), WHOLE)
        assert tuple(choice.track.boxes[0][:2].astype(int)) == RIGHT
        assert set(choice.evidence) == {"size", "confidence", "duration"}


def test_when_no_mouth_moves_the_choice_is_a_doubtful_one():
    scene = clip(None)
    silent = find_speaker(scene, faces(len(scene.frames), LEFT, RIGHT), WHOLE)
    assert silent.score < 0.5
    assert silent.score - silent.runner_up_score < 0.2


def vars_of(scene: VideoClip) -> dict:
    return {"frames": scene.frames, "time_s": scene.time_s, "glimpses": scene.glimpses} | {
        "sound": scene.sound
    }


def test_a_look_alike_who_rests_in_the_next_shot_is_somebody_else():
    """One head in each of two shots, drawn alike; the one of the first shot speaks."""
    speaking, resting = clip(LEFT), clip(None)

    def shot(frames: np.ndarray, at: int) -> np.ndarray:
        """Only the left head of these frames, at another place."""
        moved = np.full(frames.shape, 30, np.uint8)
        moved[:, 20:88, at : at + 68] = frames[:, 16:84, 16:84]
        return moved

    def scene(second: VideoClip) -> VideoClip:
        n, m = len(speaking.frames) // 2, len(speaking.glimpses.time_s) // 2
        first, then = speaking.glimpses.frames[:m], second.glimpses.frames[m:]
        return VideoClip(
            frames=np.concatenate([shot(speaking.frames[:n], 16), shot(second.frames[n:], 110)]),
            time_s=speaking.time_s,
            glimpses=Glimpses(
                frames=np.concatenate([shot(first, 16), shot(then, 110)]),
                time_s=speaking.glimpses.time_s,
            ),
            sound=speaking.sound,
        )

    def heads(n: int) -> list[Detections]:
        boxes = [[20, 24, 80, 84]] * (n // 2) + [[114, 24, 174, 84]] * (n - n // 2)
        scores = np.array([0.9], np.float32)
        return [Detections(boxes=np.array([b], np.float32), scores=scores) for b in boxes]

    n = len(speaking.frames)
    choice = find_speaker(scene(resting), heads(n), WHOLE)
    assert (choice.n_tracks, choice.track.number) == (2, 0)
    assert sorted(choice.track.boxes) == list(range(n // 2))
    # Were the mouth to move in both shots, it would be one person.
    assert find_speaker(scene(speaking), heads(n), WHOLE).n_tracks == 1


def test_one_person_needs_no_evidence():
    scene = clip(LEFT)
    choice = find_speaker(scene, faces(len(scene.frames), LEFT), WHOLE)
    assert (choice.rule, choice.n_tracks, choice.runner_up) == ("only", 1, None)
    # By hand: size 1, confidence 0.9, duration 1.
    parts = {"size": 1.0, "confidence": 0.9, "duration": 1.0}
    expected = sum(WEIGHTS[k] * v for k, v in parts.items()) / sum(WEIGHTS[k] for k in parts)
    assert choice.score == pytest.approx(expected)
    nobody = find_speaker(scene, faces(len(scene.frames)), WHOLE)
    assert (nobody.track, nobody.score, nobody.rule, nobody.n_tracks) == (None, 0.0, "none", 0)


def test_a_region_hides_the_others():
    scene = clip(LEFT)
    half = VideoClip(**vars_of(scene), region=(0.5, 0.0, 1.0, 1.0))
    x0 = SIZE[1] // 2
    shift = np.array([x0, 0, x0, 0], np.float32)
    boxes = faces(len(scene.frames), RIGHT)
    moved = [Detections(boxes=d.boxes - shift, scores=d.scores) for d in boxes]
    choice = find_speaker(half, moved, (x0, 0, SIZE[1], SIZE[0]))
    assert choice.rule == "only"


def test_scores_by_hand():
    tracks = link(faces(4, LEFT, RIGHT))
    known = weigh_all(tracks, 8, mouth=[1.0, 0.25])
    assert known[0]["size"] == pytest.approx(60 / 72)
    assert known[1]["size"] == 1.0
    assert known[0]["duration"] == 0.5
    left = WEIGHTS["size"] * 60 / 72 + WEIGHTS["confidence"] * 0.9 + WEIGHTS["duration"] * 0.5
    assert weigh(known[0]) == pytest.approx(left + WEIGHTS["mouth"])
    choice = choose(tracks, known)
    assert (choice.track.number, choice.runner_up.number) == (0, 1)
    assert choice.score == pytest.approx(weigh(known[0]))
    model = weigh_all(tracks, 8, mouth=[1.0, 0.25], speaking=[0.1, 0.9])
    assert choose(tracks, model).track.number == 1
    # Equal evidence: the one who appeared first.
    same = [dict.fromkeys(("size", "confidence", "duration"), 0.5)] * 2
    assert choose(tracks, same).track.number == 0


def test_order_of_detections_does_not_matter():
    scene = clip(LEFT)
    one = find_speaker(scene, faces(len(scene.frames), LEFT, RIGHT), WHOLE)
    other = find_speaker(scene, faces(len(scene.frames), RIGHT, LEFT), WHOLE)
    assert one.score == pytest.approx(other.score)
    np.testing.assert_array_equal(one.track.boxes[0], other.track.boxes[0])


def test_loudness_follows_the_level():
    at_s = np.arange(RATE_HZ) / RATE_HZ
    tone = np.sin(2 * np.pi * 300 * at_s) * np.where(at_s < 0.5, 0.001, 0.3)
    envelope = loudness(tone.astype(np.float32))
    assert len(envelope) == 100
    assert envelope[10:45].max() < 0.05
    assert envelope[55:90].min() > 0.95
    np.testing.assert_allclose(loudness((5 * tone).astype(np.float32)), envelope, atol=1e-6)
    assert not loudness(np.zeros(RATE_HZ, np.float32)).any()
    assert len(loudness(np.zeros(100, np.float32))) == 0
    assert not loudness_at(envelope, np.array([-1.0, 2.0])).any()


def test_motion_is_the_mouths_alone():
    still, moving, nodding = clip(None), clip(LEFT), clip(None, nodding=LEFT)
    x, y = LEFT
    motion = {}
    for name, scene in (("still", still), ("moving", moving), ("nodding", nodding)):
        glimpses = scene.glimpses
        boxes = np.tile([x, y, x + 60.0, y + 60.0], (len(glimpses.time_s), 1))
        motion[name] = mouth_motion(glimpses, boxes, np.zeros(len(boxes), int))
    mean = {name: m.values.mean() for name, m in motion.items()}
    assert mean["moving"] > 5 * mean["still"]
    assert mean["moving"] > 2 * mean["nodding"]
    assert correlation(motion["moving"], loudness(moving.sound)) > 0.2


def test_pairs_over_a_cut_or_without_the_face_are_not_seen():
    scene = clip(LEFT)
    n = len(scene.glimpses.time_s)
    x, y = LEFT
    boxes = np.tile([x, y, x + 60.0, y + 60.0], (n, 1))
    boxes[3] = np.nan
    shot = np.r_[np.zeros(10, int), np.ones(n - 10, int)]
    seen = mouth_motion(scene.glimpses, boxes, shot).seen
    assert list(np.flatnonzero(~seen)) == [2, 3, 9]


def test_boxes_between_frames_are_on_the_line_between():
    track = Track(number=0)
    for frame, x in ((0, 10.0), (1, 20.0), (3, 60.0)):
        track.add(frame, np.array([x, 0, x + 10, 10]), 0.9)
    frame_s, frame_shot = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 1])
    wanted = np.array([0.5, 1.0, 1.9, 2.5, 3.0, 3.9, 4.5])
    boxes = boxes_at(track, frame_s, frame_shot, wanted, np.array([0, 0, 0, 1, 1, 1, 1]))
    np.testing.assert_allclose(boxes[:, 0], [15, 20, 20, 60, 60, 60, np.nan])


def test_evidence_is_relative_and_a_glance_counts_little():
    time_s = np.arange(50) / 25
    values = np.abs(np.sin(2 * np.pi * 4 * time_s))
    every, few = np.ones(50, bool), np.arange(50) < 3

    def motion(scale, seen):
        return Motion(time_s=time_s, values=scale * values * seen, seen=seen)

    sound = speech(2.0)
    loud, quiet = mouth_evidence([motion(1.0, every), motion(0.25, every)], sound)
    assert quiet == pytest.approx(0.25 * loud)
    whole, glance = mouth_evidence([motion(1.0, every), motion(1.0, few)], sound)
    assert glance < 0.5 * whole
    assert mouth_evidence([motion(1.0, every), motion(1.0, every)], 0 * sound) == [0.0, 0.0]


def test_constant_motion_correlates_with_nothing():
    time_s = np.arange(20) / 25
    flat = Motion(time_s=time_s, values=np.ones(20), seen=np.ones(20, bool))
    assert correlation(flat, loudness(speech(1.0))) == 0.0
    short = Motion(time_s=time_s, values=time_s, seen=np.arange(20) < 5)
    assert correlation(short, loudness(speech(1.0))) == 0.0


PEOPLE = [
    Utterance(id="a", path="a.mp4", speaker="Ross"),
    Utterance(id="b", path="b.mp4", speaker="Ross"),
    Utterance(id="c", path="c.mp4", speaker="Joey"),
]


def fixes(tmp_path, text: str) -> FaceFixes:
    path = tmp_path / "faces.csv"
    path.write_text(text, encoding="utf-8")
    return read_fixes(path, PEOPLE)


def picture(path) -> None:
    import cv2

    cv2.imwrite(str(path), np.full((20, 20, 3), 90, np.uint8))


def test_a_users_csv(tmp_path):
    picture(tmp_path / "joey.png")
    found = fixes(tmp_path, 'id,face\na,1\nb,none\nc,"0.1, 0.2, 0.4, 0.8"\n')
    assert found.by_id == {
        "a": FaceFix(track=1),
        "b": FaceFix(nobody=True),
        "c": FaceFix(box=(0.1, 0.2, 0.4, 0.8)),
    }
    by_speaker = fixes(tmp_path, "id,speaker,face\n,Ross,2\nb,,none\n,Joey,joey.png\n")
    assert by_speaker.by_id["a"] == FaceFix(track=2)
    assert by_speaker.by_id["b"] == FaceFix(nobody=True)
    assert by_speaker.by_id["c"].image.name == "joey.png"
    assert by_speaker.sha256 != found.sha256
    before = by_speaker.sha256
    (tmp_path / "joey.png").unlink()
    import cv2

    cv2.imwrite(str(tmp_path / "joey.png"), np.full((20, 20, 3), 200, np.uint8))
    after = fixes(tmp_path, "id,speaker,face\n,Ross,2\nb,,none\n,Joey,joey.png\n").sha256
    assert after != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,face\na,1\n", r"faces\.csv: its first line is 'name,face'; write id,face"),
        ("id,face,sex\na,1,f\n", "unknown column 'sex'"),
        ("id,face\nx,1\n", "line 2: the manifest has no id 'x'"),
        ("speaker,face\nRos,1\n", "no speaker 'Ros'; did you mean 'Ross'"),
        ("id,face\na,1\na,2\n", "line 3: id 'a' stands here a second time"),
        ("id,face\na,left\n", "line 2: face 'left' is none of: none, the number"),
        ("id,face\na,0.1,0.2,0.3,0.4\n", "a box stands in quotes"),
        ('id,face\na,"0.4,0.2,0.1,0.4"\n', "is none of"),
        ("id,face\na,ross.jpg\n", "no such picture"),
    ],
)
def test_what_a_users_csv_may_not_say(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        fixes(tmp_path, text)


@pytest.mark.parametrize("content", [b"not a picture", b""])
def test_a_picture_that_is_none(tmp_path, content):
    (tmp_path / "ross.jpg").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a picture"):
        fixes(tmp_path, "id,face\na,ross.jpg\n")


def fixed(fix: FaceFix, **more):
    scene = clip(LEFT)
    told = VideoClip(**vars_of(scene), face=fix)
    return find_speaker(told, faces(len(scene.frames), LEFT, RIGHT), WHOLE, **more)


def test_a_users_choice_is_followed():
    free = find_speaker(clip(LEFT), faces(10, LEFT, RIGHT), WHOLE)
    assert free.track.number == 0
    by_number = fixed(FaceFix(track=1))
    assert (by_number.track.number, by_number.runner_up.number, by_number.rule) == (1, 0, "track")
    by_box = fixed(FaceFix(box=(0.5, 0.0, 1.0, 1.0)))
    assert (by_box.track.number, by_box.rule) == (1, "box")
    nobody = fixed(FaceFix(nobody=True))
    assert (nobody.track, nobody.rule, nobody.n_tracks) == (None, "nobody", 2)


def test_a_choice_that_does_not_fit_the_clip():
    with pytest.raises(FixError, match=r"person 5 was asked for, but there are 2 \(from 0\)"):
        fixed(FaceFix(track=5))
    with pytest.raises(FixError, match="no face is in the box"):
        fixed(FaceFix(box=(0.0, 0.9, 0.1, 1.0)))


def test_a_picture_of_the_person(tmp_path):
    colours = {LEFT: (200, 80, 60), RIGHT: (60, 90, 200)}
    frames = np.full((6, *SIZE, 3), 110, np.uint8)
    for at, colour in colours.items():
        x, y = at
        frames[:, y - 20 : y + SIDES[at], x : x + SIDES[at]] = colour
    scene = VideoClip(frames=frames, time_s=np.arange(6) / 3)
    from extractors.tracks_look import describe

    x, y = RIGHT
    right = describe(frames[0], np.array([x, y, x + SIDES[RIGHT], y + SIDES[RIGHT]], np.float32))
    told = VideoClip(
        frames=scene.frames, time_s=scene.time_s, face=FaceFix(image=tmp_path / "r.png")
    )
    choice = find_speaker(told, faces(6, LEFT, RIGHT), WHOLE, look_of=lambda _: right)
    assert (choice.track.number, choice.rule) == (1, "image")
    with pytest.raises(FixError, match=r"nobody looks like r\.png"):
        find_speaker(told, faces(6, LEFT, RIGHT), WHOLE, look_of=lambda _: right + 60)

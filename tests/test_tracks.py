"""Tracks by hand: who is linked to whom within a shot, and who is the same person after a cut."""

import numpy as np
import pytest

from extractors.faces import Detections
from extractors.tracks import join, link, overlap
from extractors.tracks_look import PLACES, describe, likeness, mean_look

RED, BLUE, GREEN = (200, 60, 50), (40, 60, 200), (60, 180, 70)


def found(*boxes: tuple[float, ...]) -> Detections:
    """Boxes as x0, y0, side, score."""
    squares = [(x, y, x + side, y + side) for x, y, side, _ in boxes]
    return Detections(
        boxes=np.array(squares, np.float32).reshape(-1, 4),
        scores=np.array([b[3] for b in boxes], np.float32),
    )


def look(*colour: float) -> np.ndarray:
    """A look of one colour (L*, a*, b*) everywhere."""
    return np.broadcast_to(np.array(colour, np.float32), (len(PLACES), 3)).copy()


def test_overlap_by_hand():
    # Two 2 × 2 squares that share 1 × 2: 2 / (4 + 4 - 2).
    assert overlap(np.array([0.0, 0, 2, 2]), np.array([1.0, 0, 3, 2])) == pytest.approx(1 / 3)
    assert overlap(np.array([0.0, 0, 2, 2]), np.array([2.0, 0, 4, 2])) == 0.0


def test_two_people_are_two_tracks_whatever_the_order_of_detections():
    near = [(10 + 2 * k, 10, 40, 0.9) for k in range(6)]
    far = [(100 - k, 20, 20, 0.99) for k in range(6)]
    tracks = link([found(n, f) for n, f in zip(near, far, strict=True)])
    swapped = link(
        [
            found(*((f, n) if k % 2 else (n, f)))
            for k, (n, f) in enumerate(zip(near, far, strict=True))
        ]
    )
    for result in (tracks, swapped):
        assert [sorted(t.boxes) for t in result] == [list(range(6))] * 2
        np.testing.assert_allclose(result[0].boxes[0], [10, 10, 50, 50])
        np.testing.assert_allclose(result[1].boxes[5], [95, 20, 115, 40])


def test_a_face_comes_back_and_a_head_moves():
    frames = [found((10, 10, 30, 0.9)), found(), found(), found((14, 10, 30, 0.9))]
    frames += [found((38, 12, 30, 0.9))]  # no overlap to speak of, but within one face
    frames += [found((150, 12, 30, 0.9))]  # somebody else
    tracks = link(frames)
    assert [sorted(t.boxes) for t in tracks] == [[0, 3, 4], [5]]


def test_the_closest_pairs_are_joined_first():
    # Both old boxes overlap the first new one; the second new one overlaps only the second old one.
    before, after = found((0, 0, 40, 0.9), (10, 0, 40, 0.9)), found((9, 0, 40, 0.9), (24, 0, 40, 1))
    tracks = link([before, after])
    assert len(tracks) == 3 or [sorted(t.boxes) for t in tracks] == [[0, 1], [0, 1]]
    # (10 → 9) is nearer than (0 → 9), whichever was found first.
    np.testing.assert_allclose(tracks[1].boxes[1][:1], [9.0])


def test_a_cut_ends_tracks_and_looks_join_them_again():
    # A B | B A | A: after the first cut the other person sits in the same place.
    one, other = look(60, 30, 20), look(60, -10, -30)
    frames = [found((10, 10, 40, 0.9), (90, 10, 40, 0.9))] * 4 + [found((10, 10, 40, 0.9))]
    looks = [[one, other], [one, other], [other, one], [other, one], [one]]
    tracks = link(frames, [0, 0, 1, 1, 2], looks)
    assert [sorted(t.boxes) for t in tracks] == [[0, 1], [0, 1], [2, 3], [2, 3], [4]]
    people = join(tracks)
    assert [p.number for p in people] == [0, 1]
    assert [int(people[0].boxes[k][0]) for k in range(5)] == [10, 10, 90, 90, 10]
    assert sorted(people[1].boxes) == [0, 1, 2, 3]


def test_two_who_look_alike_but_are_seen_together_stay_two():
    same = look(60, 20, 20)
    frames = [found((10, 10, 40, 0.9), (90, 10, 40, 0.9))] * 2
    assert len(join(link(frames, [0, 1], [[same, same]] * 2))) == 2


def test_what_people_do_can_tell_look_alikes_apart():
    same = look(60, 20, 20)
    frames = [found((10, 10, 40, 0.9))] * 3
    tracks = link(frames, [0, 1, 2], [[same]] * 3)
    assert len(join(link(frames, [0, 1, 2], [[same]] * 3))) == 1
    # The second is somebody else than the third, so than whoever the third is joined with.
    people = join(tracks, lambda one, other: {one.number, other.number} == {1, 2})
    assert sorted(sorted(p.boxes) for p in people) in ([[0, 1], [2]], [[0, 2], [1]])


def test_without_a_found_cut_a_stranger_in_the_same_place_is_not_linked():
    frames = [found((10, 10, 40, 0.9))] * 2
    stranger = [[look(60, 30, 20)], [look(60, -30, -30)]]
    assert len(link(frames, None, stranger)) == 2
    assert len(link(frames, None, [[look(60, 30, 20)], [look(55, 28, 21)]])) == 1


def test_no_face_at_all():
    assert link([found(), found()]) == []
    assert join([]) == []


def person(x: int, clothes: tuple[int, int, int], hair: tuple[int, int, int]) -> np.ndarray:
    """A frame of 160 × 120 with a head 40 wide at `x`, its hair and its clothes."""
    frame = np.full((120, 160, 3), 128, np.uint8)
    frame[:40, x - 5 : x + 45] = hair
    frame[40:80, x : x + 40] = (220, 180, 160)
    frame[84:, x - 20 : x + 60] = clothes
    return frame


def test_look_is_of_the_person_not_of_the_place():
    def at(x):
        return np.array([x, 40, x + 40, 80], np.float32)

    mine = describe(person(20, RED, (40, 30, 20)), at(20))
    moved = describe(person(90, RED, (40, 30, 20)), at(90))
    darker = describe((person(90, RED, (40, 30, 20)) * 0.9).astype(np.uint8), at(90))
    changed = describe(person(20, BLUE, (40, 30, 20)), at(20))
    other = describe(person(20, GREEN, (230, 210, 120)), at(20))
    assert likeness(mine, moved) == pytest.approx(1.0, abs=1e-3)
    assert likeness(mine, darker) > 0.8
    assert likeness(mine, other) < 0.1
    # Other clothes count only where clothes are compared.
    assert likeness(mine, changed) < 0.3
    assert likeness(mine, changed, ("hair", "eyes", "mouth")) == pytest.approx(1.0, abs=1e-3)


def test_places_outside_the_frame_are_left_out():
    frame = person(20, RED, (40, 30, 20))
    low = describe(frame[:82], np.array([20, 40, 60, 80], np.float32))
    assert np.isnan(low[list(PLACES).index("clothes")]).all()
    assert likeness(low, describe(frame, np.array([20, 40, 60, 80], np.float32))) > 0.99
    assert likeness(np.full_like(low, np.nan), low) == 0.5
    full = describe(frame, np.array([20, 40, 60, 80], np.float32))
    np.testing.assert_allclose(mean_look([low, full, full]), full, atol=1e-4)

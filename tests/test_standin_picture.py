"""Stand-in corpora: faces, their movement, camera and light."""

import dataclasses

import cv2
import numpy as np
import pytest

from corpora.standin.picture.acting import Moment, act
from corpora.standin.picture.camera import Camera
from corpora.standin.picture.expression import AXES, Expression
from corpora.standin.picture.features import draw_features
from corpora.standin.picture.head import Head, face_outline, head_box, paint_head
from corpora.standin.picture.identity import FEMALE_HAIR, MALE_HAIR, sample_look
from corpora.standin.picture.ink import Grid, curve
from corpora.standin.picture.paint import HEAD_GRID
from corpora.standin.picture.stage import BACKDROPS, Seat, head_patch, paint_backdrop, put_patch
from corpora.standin.traits import REFERENCE

FRONT = np.array([0.0, 0.0, 0.6])


@pytest.fixture(scope="module")
def head() -> Head:
    look = sample_look("F", np.random.default_rng(3))
    return paint_head(dataclasses.replace(look, glasses="", hair_style="bun"), FRONT, 0.5)


def part(picture, x0, y0, x1, y1):
    """A part of a picture of the head, given in face units."""
    (left, top), (right, bottom) = HEAD_GRID.pixels(np.array([(x0, y0), (x1, y1)])).astype(int)
    return picture[top:bottom, left:right].astype(int)


def changed(head, e, where):
    """Mean change of a part of the face against rest."""
    rest, moved = draw_features(head, Expression()), draw_features(head, e)
    return np.abs(part(moved, *where) - part(rest, *where)).mean()


MOUTH, BROWS, EYES = (-0.6, 0.4, 0.6, 1.15), (-0.8, -0.75, 0.8, -0.3), (-0.7, -0.3, 0.7, 0.1)


@pytest.mark.parametrize(
    ("axes", "where", "elsewhere"),
    [
        ({"smile": 0.9}, MOUTH, EYES),
        ({"open": 0.9}, MOUTH, BROWS),
        ({"brow_low": 0.9}, BROWS, MOUTH),
        ({"brow_inner": 0.9}, BROWS, MOUTH),
        ({"lid": 0.1}, EYES, MOUTH),
        ({"gaze_x": 0.9}, EYES, MOUTH),
    ],
)
def test_an_expression_moves_its_part_of_the_face(head, axes, where, elsewhere):
    e = Expression(**axes)
    assert changed(head, e, where) > 10 * changed(head, e, elsewhere)
    assert changed(head, e, where) > 0.8


def test_a_smile_lifts_the_corners_and_a_frown_lowers_them(head):
    def corner_height(smile):
        dark = part(draw_features(head, Expression(smile=smile)), -0.62, 0.4, -0.3, 1.0)
        lips = np.abs(dark - np.array(head.look.skin)).sum(-1) > 110
        return np.flatnonzero(lips.any(1)).mean()

    assert corner_height(0.9) < corner_height(0.0) - 3 < corner_height(-0.9) - 6


@pytest.mark.parametrize("sex", ["F", "M"])
def test_everybody_is_drawn_whole(sex):
    rng = np.random.default_rng(0)
    for style in FEMALE_HAIR if sex == "F" else MALE_HAIR:
        for glasses in ("", "round", "square"):
            look = dataclasses.replace(sample_look(sex, rng), hair_style=style, glasses=glasses)
            painted = paint_head(look, FRONT, 0.5)
            for alpha in painted.alpha:
                inside = np.zeros(alpha.shape, np.uint8)
                cv2.fillPoly(inside, [HEAD_GRID.pixels(face_outline(look)).astype(int)], 1)
                assert alpha[cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0].min() > 0.99
            e = Expression(smile=1.0, open=1.0, teeth=1.0, yaw=0.24, pitch=0.18, lid=1.35)
            assert draw_features(painted, e).shape == (*painted.alpha[0].shape, 3)


def test_the_same_person_is_painted_the_same(head):
    again = paint_head(head.look, FRONT, 0.5)
    for one, other in zip(head.skins, again.skins, strict=True):
        np.testing.assert_array_equal(one, other)


def test_light_from_the_left_lights_the_left(head):
    lit = paint_head(head.look, np.array([-0.7, 0.0, 0.3]), 0.4).light
    left, right = part(lit, -0.9, -0.5, -0.6, 0.5), part(lit, 0.6, -0.5, 0.9, 0.5)
    assert left.mean() > 1.3 * right.mean()


def test_the_box_is_where_the_head_is_put(head):
    seat = Seat(x=100.0, y=90.0, half_face=50.0)
    e = Expression()
    affine = seat.affine(e)
    box = seat.box(head_box(head.look), affine)
    expected = (50.0, 90 - 0.95 * 50, 150.0, 90 + head.look.chin_y * 50)
    np.testing.assert_allclose(box, expected, atol=1e-6)
    frame = np.zeros((240, 320, 3), np.uint8)
    put_patch(frame, *head_patch(frame.shape, head, e, affine, lambda picture: picture))
    covered = np.flatnonzero(frame.sum(-1)[90] > 0)
    assert covered.min() == pytest.approx(50 - 0.13 * 50, abs=4)  # ears reach beyond the face
    assert covered.max() == pytest.approx(150 + 0.13 * 50, abs=4)


def test_tilting_keeps_the_foot_of_the_neck(head):
    seat = Seat(x=100.0, y=90.0, half_face=50.0)
    foot = HEAD_GRID.pixels(np.array([[0.0, 1.5]]))[0]
    for roll in (-0.15, 0.0, 0.15):
        affine = seat.affine(Expression(roll=roll))
        np.testing.assert_allclose(affine[:, :2] @ foot + affine[:, 2], (100, 165), atol=1e-6)


def test_acting_reaches_the_expression_and_comes_back(head):
    time_s = np.arange(0, 6, 1 / 15)
    moment = Moment(2.0, 4.0, {"brow_low": 0.8}, np.zeros(0))
    look = dataclasses.replace(head.look, resting_brow=0.0)
    low = np.mean(
        [
            [e.brow_low for e in act(time_s, [moment], look, 1.0, np.random.default_rng(seed))]
            for seed in range(40)
        ],
        axis=0,
    )
    assert low[(time_s > 2.3) & (time_s < 3.9)] == pytest.approx(0.8, abs=0.1)
    assert np.abs(low[(time_s < 1.7) | (time_s > 4.5)]).max() < 0.02


def test_the_mouth_opens_in_step_with_the_speech(head):
    time_s = np.arange(0, 4, 1 / 15)
    speech = np.clip(np.sin(np.arange(200) / 9), 0, 1)  # 2 s at 100 Hz, spoken from 1 s on
    faces = act(time_s, [Moment(1.0, 3.0, {}, speech)], head.look, 1.0, np.random.default_rng(0))
    opening = np.array([e.open for e in faces])
    heard = np.interp((time_s - 1.0) * 100, np.arange(200), speech, left=0, right=0)
    assert np.corrcoef(opening, heard)[0, 1] > 0.99
    assert opening[time_s < 0.95].max() == 0


def test_people_blink_and_stay_within_bounds(head):
    time_s = np.arange(0, 60, 1 / 15)
    loud = Moment(0.0, 60.0, dict.fromkeys(AXES, 3.0), np.ones(6000))
    faces = act(time_s, [loud], head.look, 2.0, np.random.default_rng(0))
    table = np.array([dataclasses.astuple(e) for e in faces])
    assert np.isfinite(table).all()
    assert np.abs(table).max() <= 1.35
    calm = act(time_s, [], head.look, 1.0, np.random.default_rng(0))
    shut = np.array([e.lid for e in calm]) < 0.5
    blinks = np.flatnonzero(np.diff(shut.astype(int)) == 1)
    assert 8 <= len(blinks) <= 40


def test_camera_noise_and_tone():
    traits = dataclasses.replace(
        REFERENCE.visual, noise=8.0, blur_px=0.0, gamma=2.0, cast=(1.0, 0.8, 1.0)
    )
    camera = Camera(traits, 320, 240, np.random.default_rng(0))
    grey = np.full((240, 320, 3), 128, np.uint8)
    developed = camera.develop(grey)
    expected = 255 * (128 / 255) ** 2
    np.testing.assert_allclose(developed[0, 0], (expected, 0.8 * expected, expected), atol=1)
    noisy = np.stack([camera.expose(developed) for _ in range(4)]).astype(float)
    assert np.std(noisy - developed) == pytest.approx(8.0, rel=0.1)
    assert np.abs(noisy.mean((0, 1, 2)) - developed.mean((0, 1))).max() < 0.3
    assert np.corrcoef(noisy[0].ravel(), noisy[1].ravel())[0, 1] < 0.95


def test_backdrops_differ_and_follow_their_colour():
    for kind in BACKDROPS:
        one, other = (
            paint_backdrop(kind, 320, 240, (150, 100, 60), np.random.default_rng(seed))
            for seed in (0, 1)
        )
        assert not np.array_equal(one, other)
        red, _, blue = one.mean((0, 1))
        assert red > blue


def test_curves_pass_through_their_corners():
    corners = [(0.0, 0.0), (1.0, 2.0), (2.0, -1.0), (4.0, 0.5)]
    line = curve(corners, 31)
    np.testing.assert_allclose(line[[0, 10, 20, 30]], corners, atol=1e-9)


def test_pixels_by_hand():
    grid = Grid(scale=10.0, origin_x=5.0, origin_y=7.0, width=20, height=20)
    np.testing.assert_allclose(grid.pixels(np.array([[1.0, -0.5]])), [[15.0, 2.0]])
    np.testing.assert_array_equal(grid.fixed(np.array([[1.0, -0.5]])), [[240, 32]])

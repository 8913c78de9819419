"""Shot cuts in made sequences: what is one, and what is not."""

import cv2
import numpy as np
import pytest

from extractors.shots import differences, find_cuts, shots_at

SIZE = (96, 128)


def scene(seed: int) -> np.ndarray:
    """A room: blurred patches of grey."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 236, (4, 5)).astype(np.float32)
    return cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 255)


def film(*shots: tuple[int, int], noise: float = 4.0, seed: int = 0) -> np.ndarray:
    """Frames of (scene, how many), with noise and a square that walks through each."""
    rng = np.random.default_rng(seed)
    frames = []
    for number, n in shots:
        for k in range(n):
            frame = scene(number) + rng.normal(0, noise, SIZE)
            frame[40:70, 6 * k % 100 : 6 * k % 100 + 24] = 210
            frames.append(frame.clip(0, 255).astype(np.uint8))
    return np.stack(frames)


@pytest.mark.parametrize("seed", range(5))
def test_cuts_are_where_the_scene_changes(seed):
    frames = film((seed, 12), (seed + 40, 9), (seed, 14), seed=seed)
    np.testing.assert_array_equal(find_cuts(frames), [12, 21])


def test_movement_noise_and_dim_light_are_no_cuts():
    assert not len(find_cuts(film((1, 40), noise=12.0)))
    assert not len(find_cuts((film((2, 40)) // 6).astype(np.uint8)))
    wide = cv2.resize(scene(3), (400, SIZE[0]))
    pan = np.stack([wide[:, 8 * k : 8 * k + SIZE[1]] for k in range(30)]).astype(np.uint8)
    assert not len(find_cuts(pan))


def test_a_fade_is_no_cut():
    steps = np.linspace(0, 1, 16)[:, None, None]
    dissolve = ((1 - steps) * scene(4) + steps * scene(5)).astype(np.uint8)
    assert not len(find_cuts(dissolve))


def test_differences_by_hand():
    black, white = np.zeros((1, *SIZE), np.uint8), np.full((1, *SIZE), 255, np.uint8)
    half = black.copy()
    half[:, :, 64:] = 255
    picture, histogram = differences(np.concatenate([black, black, white, half, half[:, :, ::-1]]))
    np.testing.assert_allclose(picture, [0, 1, 0.5, 1])
    np.testing.assert_allclose(histogram, [0, 1, 0.5, 0])


def test_short_sequences():
    assert not len(find_cuts(film((0, 1))))
    assert not len(find_cuts(np.zeros((0, *SIZE), np.uint8)))
    np.testing.assert_array_equal(find_cuts(film((0, 1), (9, 1))), [1])


def test_a_shot_begins_at_its_cut():
    time_s = np.array([0.0, 0.4, 0.5, 0.9, 1.0])
    np.testing.assert_array_equal(shots_at(time_s, np.array([0.5, 1.0])), [0, 0, 1, 1, 2])
    np.testing.assert_array_equal(shots_at(time_s, np.zeros(0)), [0] * 5)

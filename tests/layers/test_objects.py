import numpy as np
import pytest
import tensorflow as tf

from keras_vad.errors import VadError
from keras_vad.layers.objects import crop_objects, detect_objects, foreground_objects, get_detector, people


def scene():
    """A still background of (60, 80), and a frame with two objects on it."""
    background = np.random.default_rng(0).integers(90, 110, (60, 80)).astype(np.float32) / 255
    frame = background.copy()
    frame[10:30, 20:28] += 0.4
    frame[40:55, 50:70] -= 0.3
    return background, frame


def test_foreground_finds_what_differs_from_the_background():
    background, frame = scene()
    boxes = foreground_objects((frame * 255).astype(np.uint8), frame - background)
    # The blur of the mask may widen a box by two pixels.
    np.testing.assert_allclose(boxes, [[40, 50, 55, 70], [10, 20, 30, 28]], atol=2)
    assert boxes.dtype == np.float32


def test_foreground_of_the_background_is_empty():
    background, _ = scene()
    boxes = foreground_objects((background * 255).astype(np.uint8), np.zeros_like(background))
    assert boxes.shape == (0, 4)


@pytest.mark.parametrize("size", [(60, 80), (240, 200)])
def test_people_are_not_seen_in_an_empty_picture(size):
    assert people(np.full(size, 100, np.uint8), np.zeros(size, np.float32)).shape == (0, 4)


def test_boxes_are_shares_of_the_frame_and_the_largest_come_first():
    background, frame = scene()
    frames = np.stack([frame - background, np.zeros_like(frame)])[..., None].astype(np.float32)
    boxes, mask = detect_objects(tf.constant(frames), tf.constant(background[..., None]), foreground_objects, 3)
    assert boxes.shape == (2, 3, 4)
    np.testing.assert_array_equal(mask, [[1, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(boxes[0, 0], [40 / 60, 50 / 80, 55 / 60, 70 / 80], atol=2 / 60)
    np.testing.assert_array_equal(boxes[1], np.tile([0, 0, 1, 1], (3, 1)))


def test_no_more_boxes_than_asked_for():
    background, frame = scene()
    frames = (frame - background)[None, ..., None].astype(np.float32)
    boxes, mask = detect_objects(tf.constant(frames), tf.constant(background[..., None]), foreground_objects, 1)
    assert boxes.shape == (1, 1, 4)
    np.testing.assert_array_equal(mask, [[1]])


def test_a_crop_of_its_own_size_is_the_slice():
    windows = np.random.default_rng(1).random((2, 3, 20, 30, 1)).astype(np.float32)
    boxes = np.array([[[4, 5, 12, 15], [0, 0, 8, 10]], [[12, 20, 20, 30], [6, 1, 14, 11]]], np.float32)
    crops = crop_objects(tf.constant(windows), tf.constant(boxes / [20, 30, 20, 30], tf.float32), (8, 10))
    assert crops.shape == (4, 3, 8, 10, 1)
    for row in range(2):
        for number, (top, left, bottom, right) in enumerate(boxes[row].astype(int)):
            expected = windows[row, :, top:bottom, left:right]
            np.testing.assert_allclose(crops[2 * row + number], expected, atol=1e-5)


def test_the_whole_frame_is_a_crop():
    windows = np.random.default_rng(1).random((1, 3, 20, 30, 1)).astype(np.float32)
    crops = crop_objects(tf.constant(windows), tf.constant([[[0.0, 0.0, 1.0, 1.0]]]), (20, 30))
    np.testing.assert_allclose(crops, windows, atol=1e-5)


def test_detectors_by_name_and_as_callables():
    assert get_detector("foreground") is foreground_objects
    assert get_detector(people) is people
    with pytest.raises(VadError, match="object_crops is 'cats', but must be one of foreground, people, a callable"):
        get_detector("cats")

import numpy as np
import pytest
import tensorflow as tf

from keras_vad.layers.frames import resize_each, resize_frames


def frames(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_frames_of_the_right_size_stay_as_they_are():
    x = frames(2, 3, 12, 16, 3)
    np.testing.assert_array_equal(resize_frames(x, (12, 16)), x)


def test_identity_holds_where_the_size_is_known_only_when_it_runs():
    graph = tf.function(
        lambda x: resize_frames(x, (12, 16)), input_signature=[tf.TensorSpec((None, None, None, None, 3), tf.uint8)]
    )
    x = frames(2, 3, 12, 16, 3)
    np.testing.assert_array_equal(graph(x), x)
    large = frames(2, 3, 30, 41, 3)
    np.testing.assert_array_equal(graph(large), resize_frames(large, (12, 16)))
    assert graph(frames(0, 3, 30, 41, 3)).shape == (0, 3, 12, 16, 3)


def test_halving_is_the_antialiased_triangle_filter():
    x = np.zeros((8, 1, 1), np.uint8)
    x[3] = 200
    # Weights of a triangle two input pixels wide, for the outputs centred at 2 and 4 (pixel 3 has its centre at 3.5).
    expected = np.round(200 * np.array([0.0, 0.125, 0.375, 0.0]))
    expected[1] = round(200 * 0.375)
    expected[2] = round(200 * 0.125)
    found = resize_frames(np.repeat(x, 8, axis=1), (4, 8)).numpy()[:, 3, 0]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("value", [0, 1, 127, 255])
def test_a_plain_picture_keeps_its_value(value):
    x = np.full((2, 23, 31, 3), value, np.uint8)
    found = resize_frames(x, (40, 9))
    assert found.dtype == tf.uint8
    np.testing.assert_array_equal(found, np.full((2, 40, 9, 3), value))


def test_frames_resized_in_a_stream_are_those_resized_together():
    x = frames(5, 20, 30, 3)
    np.testing.assert_array_equal(list(resize_each(iter(x), (12, 16))), resize_frames(x, (12, 16)))


def test_a_stream_passes_on_what_is_no_frame():
    odd = [frames(20, 30), np.zeros((20, 30, 3))]
    assert all(a is b for a, b in zip(resize_each(iter(odd), (12, 16)), odd, strict=True))

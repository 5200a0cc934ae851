import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vad.layers.shuffle import PixelShuffle


@pytest.mark.parametrize("factor", [2, 3])
def test_is_the_plain_loop(factor):
    channels = 2
    inputs = np.random.default_rng(0).normal(size=(2, 3, 4, channels * factor**2)).astype("float32")
    expected = np.zeros((2, 3 * factor, 4 * factor, channels), "float32")
    for b, h, w in np.ndindex(2, 3, 4):
        for dy, dx, channel in np.ndindex(factor, factor, channels):
            value = inputs[b, h, w, (dy * factor + dx) * channels + channel]
            expected[b, h * factor + dy, w * factor + dx, channel] = value
    np.testing.assert_array_equal(PixelShuffle(factor)(inputs), expected)


def test_knows_its_shape_beforehand():
    assert PixelShuffle(2)(keras.Input((3, 5, 8))).shape == (None, 6, 10, 2)
    assert PixelShuffle.from_config(PixelShuffle(3).get_config()).factor == 3


def test_keeps_half_precision():
    assert PixelShuffle(2, dtype="mixed_bfloat16")(tf.zeros((1, 2, 2, 4))).dtype == tf.bfloat16

"""Pooling of places, all of them or some."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vad.layers.playback import coverage, rectangles
from keras_vad.layers.pooling import log_mean_exp


def test_only_places_of_the_mask_count():
    places = np.random.default_rng(0).normal(size=(5, 4, 6)).astype("float32")
    mask = np.random.default_rng(1).random((5, 4, 6)) < 0.5
    expected = [np.log(np.exp(3.0 * place[chosen]).mean()) / 3.0 for place, chosen in zip(places, mask, strict=True)]
    np.testing.assert_allclose(log_mean_exp(tf.constant(places), 3.0, tf.constant(mask)), expected, rtol=1e-4)


def test_no_place_at_all_gives_a_finite_number_and_gradient():
    places = tf.Variable(np.ones((2, 3, 3), "float32"))
    with tf.GradientTape() as tape:
        pooled = log_mean_exp(places, 4.0, tf.zeros((2, 3, 3), tf.bool))
    assert np.isfinite(pooled).all() and np.isfinite(tape.gradient(pooled, places)).all()


@pytest.mark.parametrize("grid", [(8, 12), (5, 7), (128, 192)])
def test_the_covered_cells_add_up_to_the_rectangle(grid):
    boxes = rectangles(tf.constant([1, 2]), tf.constant(50), (0.1, 0.9), (0.3, 0.4)).numpy()
    areas = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
    covered = coverage(tf.constant(boxes), grid).numpy()
    assert covered.min() >= 0.0 and covered.max() <= 1.0
    np.testing.assert_allclose(covered.mean(axis=(1, 2)), areas, rtol=1e-3)
    assert boxes.min() >= 0.0 and boxes.max() <= 1.0 and (boxes[:, 3] - boxes[:, 2]).max() < 0.4

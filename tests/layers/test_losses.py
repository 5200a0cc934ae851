"""Losses against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vad.layers.losses import dssim, gradient_difference


def images(seed, shape=(2, 16, 20, 3)):
    return np.random.default_rng(seed).random(shape).astype("float32")


def ssim_by_plain_loop(a, b, window=11):
    """Mean SSIM of two one-channel images, float64."""
    places = np.arange(window) - (window - 1) / 2
    kernel = np.exp(-0.5 * (places / 1.5) ** 2)
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
    values = []
    for top in range(a.shape[0] - window + 1):
        for left in range(a.shape[1] - window + 1):
            x, y = (image[top : top + window, left : left + window].astype("float64") for image in (a, b))
            mean_x, mean_y = (kernel * x).sum(), (kernel * y).sum()
            var_x, var_y = (kernel * x * x).sum() - mean_x**2, (kernel * y * y).sum() - mean_y**2
            covariance = (kernel * x * y).sum() - mean_x * mean_y
            c1, c2 = 0.01**2, 0.03**2
            luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
            values.append(luminance * (2 * covariance + c2) / (var_x + var_y + c2))
    return np.mean(values)


@pytest.mark.parametrize("window", [7, 11])
def test_dssim_against_a_plain_loop(window):
    a, b = images(0), images(1)
    expected = [
        np.mean([(1 - ssim_by_plain_loop(x[..., c], y[..., c], window)) / 2 for c in range(3)])
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(dssim(tf.constant(a), tf.constant(b), window), expected, rtol=1e-4)


def test_dssim_of_equal_images_is_zero():
    np.testing.assert_allclose(dssim(tf.constant(images(0)), tf.constant(images(0))), 0, atol=1e-6)


def test_gradient_difference_by_hand():
    # One edge of height 1 between columns 1 and 2 of three rows, against nothing: 3 of 3 * 3 horizontal gradients.
    a = np.zeros((1, 3, 4, 1), "float32")
    a[:, :, 2:] = 1
    assert float(gradient_difference(tf.constant(a), tf.zeros_like(a))[0]) == pytest.approx(1 / 3)
    # The sign of an edge does not count.
    assert float(gradient_difference(tf.constant(a), tf.constant(1 - a))[0]) == 0

"""Losses between images that several methods share; pure functions."""

import tensorflow as tf


def dssim(a: tf.Tensor, b: tf.Tensor, window: int = 11) -> tf.Tensor:
    """Structural dissimilarity (1 - SSIM) / 2 (Wang et al. 2004) with Gaussian windows of deviation 1.5.

    Args:
        a: float32, (batch, h, w, channels), in [0, 1]; h and w at least ``window``.
        b: Likewise.
        window: Side of the window in pixels.

    Returns:
        float32, (batch,), in [0, 1]; the mean over places and channels.
    """
    return (1.0 - tf.image.ssim(a, b, max_val=1.0, filter_size=window)) / 2.0


def gradient_difference(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """How much the absolute gradients of two images differ (Mathieu et al. 2016, eq. 6, with exponent 1).

    Args:
        a: float32, (batch, h, w, channels).
        b: Likewise.

    Returns:
        float32, (batch,): | |vertical gradient of a| - |that of b| |, its mean over places and channels, plus the same
        of the horizontal gradients.
    """
    vertical_a, horizontal_a = _gradients(a)
    vertical_b, horizontal_b = _gradients(b)
    vertical = tf.reduce_mean(tf.abs(tf.abs(vertical_a) - tf.abs(vertical_b)), axis=(1, 2, 3))
    horizontal = tf.reduce_mean(tf.abs(tf.abs(horizontal_a) - tf.abs(horizontal_b)), axis=(1, 2, 3))
    return vertical + horizontal


def _gradients(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return image[:, 1:] - image[:, :-1], image[:, :, 1:] - image[:, :, :-1]

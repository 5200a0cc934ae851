"""Smoothing of error maps over space."""

import numpy as np
import tensorflow as tf


def gaussian_blur(maps: tf.Tensor, sigma: float, radius: int | None = None) -> tf.Tensor:
    """Blur maps with a Gaussian whose kernel sums to 1; outside the frame counts as 0.

    Args:
        maps: float32, (batch, h, w).
        sigma: Deviation of the Gaussian in pixels, > 0.
        radius: Pixels after which it is cut off; three deviations, rounded up, if ``None``.

    Returns:
        float32, (batch, h, w).
    """
    if radius is None:
        radius = int(np.ceil(3 * sigma))
    places = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (places / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype("float32")
    blurred = tf.nn.conv2d(maps[..., None], kernel[:, None, None, None], 1, "SAME")
    return tf.nn.conv2d(blurred, kernel[None, :, None, None], 1, "SAME")[..., 0]

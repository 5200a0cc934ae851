"""Pooling of the places of a map into one number."""

import math

import tensorflow as tf


def log_mean_exp(places: tf.Tensor, sharpness: float, mask: tf.Tensor | None = None) -> tf.Tensor:
    """log(mean(e^(s x))) / s over places: between the mean (s near 0) and the maximum (s large).

    The mean of the exponentials, not their sum: the number of places does not count.

    Args:
        places: float32, (batch, ...), with static sizes but the first.
        sharpness: s, above 0.
        mask: bool, like ``places``: which of them count; all if ``None``.

    Returns:
        float32, (batch,). Without any place that counts it is a number of no meaning, but finite, as is its gradient.
    """
    count = math.prod(places.shape[1:])
    flat = tf.reshape(places, [-1, count])
    if mask is None:
        return (tf.reduce_logsumexp(sharpness * flat, axis=1) - math.log(count)) / sharpness
    mask = tf.reshape(mask, [-1, count])
    counts = tf.maximum(tf.reduce_sum(tf.cast(mask, tf.float32), axis=1), 1.0)
    scaled = tf.where(mask, sharpness * flat, -1e9)
    return (tf.reduce_logsumexp(scaled, axis=1) - tf.math.log(counts)) / sharpness

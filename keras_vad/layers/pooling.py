"""Pooling of the places of a map into one number."""

import math

import tensorflow as tf


def log_mean_exp(places: tf.Tensor, sharpness: float) -> tf.Tensor:
    """log(mean(e^(s x))) / s over all places: between the mean (s near 0) and the maximum (s large).

    The mean of the exponentials, not their sum: the number of places does not count.

    Args:
        places: float32, (batch, ...), with static sizes but the first.
        sharpness: s, above 0.

    Returns:
        float32, (batch,).
    """
    count = math.prod(places.shape[1:])
    flat = tf.reshape(places, [-1, count])
    return (tf.reduce_logsumexp(sharpness * flat, axis=1) - math.log(count)) / sharpness

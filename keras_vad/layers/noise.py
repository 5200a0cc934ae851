"""Corruptions of a denoising auto-encoder's input, drawn without state so that a resumed run repeats them."""

import tensorflow as tf

from keras_vad.errors import VadError

NOISES = ("gaussian", "salt_and_pepper", "poisson")


def corrupt(
    inputs: tf.Tensor, noise: str | None, *, seed: tf.Tensor, stddev: float = 0.005, signal_to_noise: float = 0.95
) -> tf.Tensor:
    """Corrupt a model input (Sun et al. 2020, eq. 7 and table VI).

    Args:
        inputs: float32, any shape, frames in [0, 1] (background subtracted or not).
        noise: ``"gaussian"`` adds noise of deviation ``stddev``; ``"salt_and_pepper"`` sets a share
            ``1 - signal_to_noise`` of the values to the smallest or largest value of the batch; ``"poisson"`` replaces
            each value v (shifted to be non-negative) by Poisson(255 v) / 255, the shot noise of an 8-bit camera;
            ``None`` returns the input.
        seed: int32, (2,).
        stddev: Deviation of the Gaussian noise, in units of the input. The paper's value is 0.005.
        signal_to_noise: Share of values that salt and pepper leaves alone. The paper's value is 0.95.

    Returns:
        float32, the shape of ``inputs``.
    """
    if noise is None:
        return inputs
    shape = tf.shape(inputs)
    if noise == "gaussian":
        return inputs + stddev * tf.random.stateless_normal(shape, seed)
    if noise == "salt_and_pepper":
        draw = tf.random.stateless_uniform(shape, seed)
        share = (1.0 - signal_to_noise) / 2
        salted = tf.where(draw > 1.0 - share, tf.reduce_max(inputs), inputs)
        return tf.where(draw < share, tf.reduce_min(inputs), salted)
    if noise == "poisson":
        floor = tf.reduce_min(inputs)
        return tf.random.stateless_poisson(shape, seed, lam=255.0 * (inputs - floor), dtype=tf.float32) / 255.0 + floor
    raise VadError(f"noise is {noise!r}, but must be one of {', '.join(NOISES)}, or None.")

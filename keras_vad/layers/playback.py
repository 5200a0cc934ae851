"""Clips played at a rate drawn from a continuous range, for methods that learn to see acceleration."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from keras_vad.errors import VadError


def check_rate_range(name: str, rate_range: Sequence[float]) -> None:
    """Refuse what is not the lowest and the highest rate of accelerated clips.

    Raises:
        VadError: It names the option, ``name``.
    """
    if len(rate_range) != 2 or not 1 < rate_range[0] <= rate_range[1]:
        raise VadError(
            f"{name} is {tuple(rate_range)}, but must hold the lowest and the highest rate, both above 1, for example "
            "1.3 and 4."
        )


def frames_needed(length: int, highest_rate: float) -> int:
    """Frames that a clip of ``length`` frames spans at the highest rate, at any fraction of a frame."""
    return math.ceil((length - 1) * highest_rate) + 1


def playback_clips(
    frames: tf.Tensor,
    seed: tf.Tensor,
    *,
    length: int,
    rate_range: Sequence[float],
    accelerated_share: float,
    preprocess: Callable[[tf.Tensor], tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw a clip from each window, at the original rate or at an accelerated one.

    Rates are uniform in their logarithm. Times fall between frames, which are then blended. Clips at the original rate
    start at a random fraction of a frame, too: blending blurs, and blur must not give an accelerated clip away. Every
    batch has accelerated clips in their share, to one clip: with independent lots the training is not stable.

    Args:
        frames: uint8, (batch, n, H0, W0, 3), n at least ``frames_needed``.
        seed: int32, (2,).
        length: Frames of a clip, T.
        rate_range: Lowest and highest rate of accelerated clips, above 1.
        accelerated_share: Share of accelerated clips, in [0, 1].
        preprocess: Raw frames to model input; called with those that are blended, which are fewer than all.

    Returns:
        float32 (batch, T, H, W, channels), and whether each is accelerated, bool (batch,).
    """
    batch, available = tf.shape(frames)[0], tf.shape(frames)[1]
    chances = tf.random.stateless_uniform([3, batch], seed)
    rank = tf.argsort(tf.argsort(chances[0]))
    accelerated = (tf.cast(rank, tf.float32) + 0.5) / tf.cast(batch, tf.float32) < accelerated_share
    low, high = np.log(rate_range)
    rates = tf.where(accelerated, tf.exp(low + (high - low) * chances[1]), 1.0)
    starts = chances[2] * (tf.cast(available - 1, tf.float32) - (length - 1) * rates)
    times = starts[:, None] + rates[:, None] * tf.range(length, dtype=tf.float32)
    before = tf.floor(times)
    share = tf.reshape(times - before, [-1, length, 1, 1, 1])
    first = tf.cast(before, tf.int32)
    earlier, later = (
        preprocess(tf.gather(frames, at, batch_dims=1)) for at in (first, tf.minimum(first + 1, available - 1))
    )
    return (1.0 - share) * earlier + share * later, accelerated

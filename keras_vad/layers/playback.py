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
    batch = tf.shape(frames)[0]
    chances = tf.random.stateless_uniform([3, batch], seed)
    rank = tf.argsort(tf.argsort(chances[0]))
    accelerated = (tf.cast(rank, tf.float32) + 0.5) / tf.cast(batch, tf.float32) < accelerated_share
    low, high = np.log(rate_range)
    rates = tf.where(accelerated, tf.exp(low + (high - low) * chances[1]), 1.0)
    return resampled(frames, rates, chances[2], length=length, preprocess=preprocess), accelerated


def resampled(
    frames: tf.Tensor,
    rates: tf.Tensor,
    chances: tf.Tensor,
    *,
    length: int,
    preprocess: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """A clip of each window at a rate of its own, blended between frames.

    Args:
        frames: (batch, n, ...), n at least ``frames_needed`` of every rate.
        rates: float32, (batch,), frames of the window from one frame of the clip to the next.
        chances: float32, (batch,), in [0, 1): where in the window the clip lies.
        length: Frames of a clip, T.
        preprocess: Frames to model input, float32 (batch, T, H, W, channels).

    Returns:
        float32 (batch, T, H, W, channels).
    """
    available = tf.shape(frames)[1]
    starts = chances * (tf.cast(available - 1, tf.float32) - (length - 1) * rates)
    times = starts[:, None] + rates[:, None] * tf.range(length, dtype=tf.float32)
    before = tf.floor(times)
    share = tf.reshape(times - before, [-1, length, 1, 1, 1])
    first = tf.cast(before, tf.int32)
    earlier, later = (
        preprocess(tf.gather(frames, at, batch_dims=1)) for at in (first, tf.minimum(first + 1, available - 1))
    )
    return (1.0 - share) * earlier + share * later


def rectangles(
    seed: tf.Tensor, count: tf.Tensor, heights: tuple[float, float], widths: tuple[float, float]
) -> tf.Tensor:
    """Random rectangles within a frame, as shares of its sides.

    Args:
        seed: int32, (2,).
        count: int32 scalar.
        heights: Lowest and highest height.
        widths: Lowest and highest width.

    Returns:
        float32 (count, 4): top, bottom, left, right, in [0, 1].
    """
    chances = tf.random.stateless_uniform([4, count], seed)
    height = heights[0] + (heights[1] - heights[0]) * chances[0]
    width = widths[0] + (widths[1] - widths[0]) * chances[1]
    top, left = chances[2] * (1.0 - height), chances[3] * (1.0 - width)
    return tf.stack([top, top + height, left, left + width], axis=1)


def coverage(boxes: tf.Tensor, grid: tuple[int, int]) -> tf.Tensor:
    """How much of each cell of a grid a rectangle covers.

    Args:
        boxes: float32 (batch, 4), from ``rectangles``.
        grid: Cells (h, w) of the frame; its pixels, for a mask of pixels.

    Returns:
        float32 (batch, h, w), in [0, 1].

    Example:
    >>> coverage(tf.constant([[0.0, 0.5, 0.25, 0.5]]), (2, 2)).numpy().tolist()
    [[[0.5, 0.0], [0.0, 0.0]]]
    """

    def along(low: tf.Tensor, high: tf.Tensor, cells: int) -> tf.Tensor:
        edges = tf.range(cells, dtype=tf.float32)
        return tf.clip_by_value(
            tf.minimum(high[:, None] * cells, edges + 1.0) - tf.maximum(low[:, None] * cells, edges), 0.0, 1.0
        )

    rows, columns = along(boxes[:, 0], boxes[:, 1], grid[0]), along(boxes[:, 2], boxes[:, 3], grid[1])
    return rows[:, :, None] * columns[:, None, :]

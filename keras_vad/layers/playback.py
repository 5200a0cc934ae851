"""Clips played at a rate drawn from a continuous range, for methods that learn to see acceleration."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from keras_vad.errors import VadError
from keras_vad.layers.pooling import log_mean_exp

# Sides of the rectangles of mixed clips, as shares of the frame's: wide enough for a cell or two of a grid, and never
# the whole frame.
BOX_HEIGHTS, BOX_WIDTHS = (0.2, 0.7), (0.15, 0.6)


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
    accelerated, rates, chances = drawn_rates(seed, tf.shape(frames)[0], rate_range, accelerated_share)
    times = clip_times(rates, chances, tf.shape(frames)[1], length)
    before = tf.floor(times)
    share = tf.reshape(times - before, [-1, length, 1, 1, 1])
    first = tf.cast(before, tf.int32)
    earlier, later = (
        preprocess(tf.gather(frames, at, batch_dims=1))
        for at in (first, tf.minimum(first + 1, tf.shape(frames)[1] - 1))
    )
    return (1.0 - share) * earlier + share * later, accelerated


def drawn_rates(
    seed: tf.Tensor, batch: tf.Tensor, rate_range: Sequence[float], accelerated_share: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A rate and a place in time for each clip of a batch; accelerated ones have their share in it, to one clip.

    Args:
        seed: int32, (2,).
        batch: int32 scalar.
        rate_range: Lowest and highest rate of accelerated clips, above 1; uniform in their logarithm.
        accelerated_share: Share of accelerated clips, in [0, 1].

    Returns:
        Whether each is accelerated, bool (batch,); the rates, 1 for the others, and a number in [0, 1), float32
        (batch,).
    """
    chances = tf.random.stateless_uniform([3, batch], seed)
    rank = tf.argsort(tf.argsort(chances[0]))
    accelerated = (tf.cast(rank, tf.float32) + 0.5) / tf.cast(batch, tf.float32) < accelerated_share
    low, high = np.log(rate_range)
    return accelerated, tf.where(accelerated, tf.exp(low + (high - low) * chances[1]), 1.0), chances[2]


def clip_times(rates: tf.Tensor, chances: tf.Tensor, available: tf.Tensor, length: int) -> tf.Tensor:
    """When in its window each frame of a clip is, in frames from the start.

    Args:
        rates: float32, (batch,), from one frame of the clip to the next.
        chances: float32, (batch,), in [0, 1): where in the window the clip lies.
        available: Frames of the window.
        length: Frames of a clip, T.

    Returns:
        float32 (batch, T), in [0, available - 1].
    """
    starts = chances * (tf.cast(available - 1, tf.float32) - (length - 1) * rates)
    return starts[:, None] + rates[:, None] * tf.range(length, dtype=tf.float32)


def nearest_frames(frames: tf.Tensor, times: tf.Tensor) -> tf.Tensor:
    """The frames nearest to times, not blended.

    Blending two frames averages their noise, and neighbours of a slow clip then share frames, so the noise of a place
    where nothing moves could tell the rate.

    Args:
        frames: (batch, n, ...).
        times: float32 (batch, T), in [0, n - 1]; at least 1 apart, so no frame comes twice.

    Returns:
        (batch, T, ...).
    """
    return tf.gather(frames, tf.cast(tf.floor(times + 0.5), tf.int32), batch_dims=1)


def mixed_clips(
    frames: tf.Tensor,
    seed: tf.Tensor,
    *,
    length: int,
    rate_range: Sequence[float],
    accelerated_share: float,
    preprocess: Callable[[tf.Tensor], tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Draw a clip from each window: within a rectangle another one, perhaps at an accelerated rate, than around it.

    Frames are the nearest ones, not blended (``nearest_frames``). The same rectangles serve both kinds, so their edges
    tell nothing.

    Args:
        frames: uint8, (batch, n, H0, W0, 3), n at least ``frames_needed``.
        seed: int32, (2,).
        length: Frames of a clip, T.
        rate_range: Lowest and highest rate of accelerated clips, above 1.
        accelerated_share: Share of clips with an accelerated rectangle, in [0, 1].
        preprocess: Raw frames to model input.

    Returns:
        float32 (batch, T, H, W, channels); whether the rectangle is accelerated, bool (batch,); and the rectangles,
        float32 (batch, 4), see ``rectangles``.
    """
    seed, other_seed, box_seed = tf.unstack(tf.random.split(seed, 3))
    batch, available = tf.shape(frames)[0], tf.shape(frames)[1]
    accelerated, rates, chances = drawn_rates(seed, batch, rate_range, accelerated_share)
    others = tf.random.stateless_uniform([batch], other_seed)
    inner, outer = (
        preprocess(nearest_frames(frames, clip_times(rate, chance, available, length)))
        for rate, chance in ((rates, chances), (tf.ones([batch]), others))
    )
    boxes = rectangles(box_seed, batch, BOX_HEIGHTS, BOX_WIDTHS)
    inside = coverage(boxes, (inner.shape[2], inner.shape[3]))[:, None, :, :, None] > 0.5
    return tf.where(inside, inner, outer), accelerated, boxes


def mixed_entropy(places: tf.Tensor, accelerated: tf.Tensor, boxes: tf.Tensor, sharpness: float) -> tf.Tensor:
    """Cross-entropy of what places say of ``mixed_clips``: within the rectangles, and around them, where all is normal.

    Args:
        places: float32, (batch, t, h, w), log-odds of acceleration.
        accelerated: bool, (batch,).
        boxes: float32, (batch, 4).
        sharpness: Of the pooling of places, see ``log_mean_exp``.

    Returns:
        float32 (batch,). A rectangle that covers no cell by half counts nothing, nor what is around one that leaves
        none free.
    """
    cover = coverage(boxes, (places.shape[2], places.shape[3]))[:, None]
    entropy = tf.zeros(tf.shape(places)[:1])
    for mask, label in ((cover > 0.5, tf.cast(accelerated, tf.float32)), (cover < 0.05, tf.zeros_like(entropy))):
        counts = tf.reduce_any(mask, axis=(1, 2, 3))
        mask = tf.repeat(mask, places.shape[1], axis=1)
        log_odds = tf.where(counts, log_mean_exp(places, sharpness, mask), 0.0)
        part = tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=log_odds)
        entropy += tf.where(counts, part, 0.0)
    return entropy


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

"""Where does this look faster than normal: playback rate, predicted at every place (ours, after Lohani et al. 2023)."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from keras_vad.errors import VadError
from keras_vad.layers.playback import (
    BOX_HEIGHTS,
    BOX_WIDTHS,
    check_rate_range,
    clip_times,
    coverage,
    drawn_rates,
    frames_needed,
    nearest_frames,
    rectangles,
)
from keras_vad.layers.pooling import log_mean_exp
from keras_vad.models.checks import check_above, check_at_least, check_channels
from keras_vad.models.detector import TrainingPhase, VideoAnomalyDetector
from keras_vad.window import Window, as_size

# Change is small: a tenth of the range where somebody walks, nothing elsewhere. The gain keeps it clear of the epsilon
# of the batch normalisation.
_CHANGE_GAIN = 4.0


@keras.saving.register_keras_serializable(package="keras_vad")
class LocalPlaybackRate(VideoAnomalyDetector):
    """A small network that says at every place whether something there moves faster than it normally does.

    It learns to tell normal clips from the same video played faster. Whatever is fast in a test video, a bicycle among
    pedestrians, looks like a pedestrian in a clip that was played faster.

    From Lohani et al. (VISAPP 2023, section 3.1.3, ``luss_ae`` here): the task, telling clips at the original rate from
    accelerated ones, which needs nothing but normal video. Ours: the answer is given at every place of a grid, not once
    for the frame. One place that looks accelerated is enough, and the map says which. The rates are drawn from a
    continuous range that begins near 1, because rates of 2 and more are told apart without an error after a minute and
    then teach nothing. A clip's frames are those nearest to its times: blended ones could tell the rate by their noise
    (``nearest_frames``). Frames are the channels of a network of 2D convolutions, which learns as well as one of 3D
    convolutions and is several times as fast on a CPU.

    Two more parts are ours, and matter most (docs/local_playback_study.md). The mean of a clip over time is subtracted
    from it: what stands still cannot tell a rate, and a network that sees it learns the places of the training scenes
    by heart. And clips are mixed: a rectangle shows an accelerated or another normal clip, the rest a normal one, and
    the loss asks within and outside of it; so the answer for one place may not lean on what happens at others.

    A method of motion: an odd object that moves as everything does is normal to it.

    Args:
        image_size: (height, width) of the input in pixels, or one number for both.
        window_length: Frames in a clip, T.
        hop: Frames between the starts of windows when scoring; a frame's score is the mean over its windows.
        channels: Channels of the convolutions; each halves height and width.
        kernel_size: Side of the first convolution, odd; the others have 3.
        rate_range: Lowest and highest rate of accelerated clips; rates are uniform in their logarithm.
        accelerated_share: Share of accelerated clips in a training batch.
        subtract_clip_mean: Whether the network sees each clip minus its mean over time.
        mixed: Whether training clips are mixed of two. If not, the loss is that of the whole clip.
        least_motion: An accelerated rectangle teaches nothing unless, somewhere in it, the gray values of a cell change
            by this much from frame to frame, on average, in [0, 1]; 0 for all. Where nobody is, no rate can be seen.
        mirror: Whether half of the training clips are mirrored, left to right.
        sharpness: Of the pooling of places, s in log(mean(e^(s x))) / s: 0 would be the mean, infinity the maximum.
        learning_rate: Of Adam.

    Call arguments:
        windows: float32, (batch, T, H, W, 1), from ``preprocess``.

    Example:
    >>> import numpy as np
    >>> detector = LocalPlaybackRate(image_size=(32, 48), channels=(4, 4))
    >>> detector.score_video(np.zeros((20, 48, 64, 3), "uint8"), maps=True).maps.shape
    (20, 8, 12)
    """

    paper = "ours, after Lohani et al. 2023"
    parts = ("max_log_odds", "mean_log_odds")

    def __init__(
        self,
        image_size: int | Sequence[int] = (128, 192),
        window_length: int = 8,
        hop: int = 2,
        channels: Sequence[int] = (32, 64, 96, 96),
        kernel_size: int = 5,
        rate_range: Sequence[float] = (1.3, 4.0),
        accelerated_share: float = 0.5,
        subtract_clip_mean: bool = True,
        mixed: bool = True,
        least_motion: float = 0.012,
        mirror: bool = True,
        sharpness: float = 4.0,
        learning_rate: float = 5e-4,
        name: str | None = None,
    ) -> None:
        check_channels("channels", channels, 1)
        check_at_least(2, window_length=window_length)
        check_at_least(1, kernel_size=kernel_size)
        if kernel_size % 2 == 0:
            raise VadError(f"kernel_size is {kernel_size}, but must be odd.")
        check_above(0, sharpness=sharpness, learning_rate=learning_rate)
        check_rate_range("rate_range", rate_range)
        check_at_least(0, least_motion=least_motion)
        if not 0 <= accelerated_share <= 1:
            raise VadError(f"accelerated_share is {accelerated_share}, but must lie between 0 and 1.")
        size = as_size(image_size)
        super().__init__(Window(length=window_length, size=size, hop=hop), name=name)

        self.network = build_network((window_length, *size, 1), channels, kernel_size, name="network")

        # === Config ===
        self.image_size = size
        self.window_length = window_length
        self.hop = hop
        self.channels = tuple(channels)
        self.kernel_size = kernel_size
        self.rate_range = tuple(rate_range)
        self.accelerated_share = accelerated_share
        self.subtract_clip_mean = subtract_clip_mean
        self.mixed = mixed
        self.least_motion = least_motion
        self.mirror = mirror
        self.sharpness = sharpness
        self.learning_rate = learning_rate

    @property
    def training_window(self) -> Window:
        """Consecutive frames, as many as a clip at the highest rate spans."""
        return Window(length=frames_needed(self.window_length, self.rate_range[1]), size=self.image_size)

    # === Training ===

    def phases(self) -> list[TrainingPhase]:
        """One phase."""
        return [TrainingPhase("playback", epochs=20)]

    def clips(self, frames: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Draw a clip of T frames from each training window.

        Args:
            frames: uint8, (batch, frames of ``training_window``, H0, W0, 3).
            seed: int32, (2,).

        Returns:
            float32 (batch, T, H, W, 1); whether each is accelerated, float32 (batch,), 0 or 1; and the rectangle in
            which it is, float32 (batch, 4), top, bottom, left, right as shares of the frame; the frame if not
            ``mixed``.
        """
        seed, mirror_seed, other_seed, box_seed = tf.unstack(tf.random.split(seed, 4))
        batch, available = tf.shape(frames)[0], tf.shape(frames)[1]
        accelerated, rates, chances = drawn_rates(seed, batch, self.rate_range, self.accelerated_share)
        times = clip_times(rates, chances, available, self.window_length)
        clips = self.preprocess(nearest_frames(frames, times))
        boxes = tf.tile([[0.0, 1.0, 0.0, 1.0]], [batch, 1])
        if self.mixed:
            others = tf.random.stateless_uniform([batch], other_seed)
            times = clip_times(tf.ones([batch]), others, available, self.window_length)
            normal = self.preprocess(nearest_frames(frames, times))
            boxes = rectangles(box_seed, batch, BOX_HEIGHTS, BOX_WIDTHS)
            inside = coverage(boxes, self.image_size)[:, None, :, :, None] > 0.5
            clips = tf.where(inside, clips, normal)
        mirrored = tf.random.stateless_uniform([batch], mirror_seed) < (0.5 if self.mirror else 0.0)
        clips = tf.where(mirrored[:, None, None, None, None], tf.reverse(clips, [3]), clips)
        top, bottom, left, right = tf.unstack(boxes, axis=1)
        mirror_image = tf.stack([top, bottom, 1.0 - right, 1.0 - left], axis=1)
        return clips, tf.cast(accelerated, tf.float32), tf.where(mirrored[:, None], mirror_image, boxes)

    def compute_losses(self, frames: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """One replica's share of the loss.

        Args:
            frames: uint8, (batch, frames of ``training_window``, H0, W0, 3).
            training: Whether to use batch statistics. Without training the same clips are drawn at every step.

        Returns:
            ``playback``, the cross-entropy of the rectangles and, where clips are mixed, of what is around them;
            float32 scalar.
        """
        step = self.optimizer.iterations if training else tf.constant(0)
        clips, accelerated, boxes = self.clips(frames, self.random_seed(step))
        places = self.network(self.seen(clips), training=training)
        if not self.mixed:
            log_odds = self.pool(places)
            entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=accelerated, logits=log_odds)
            return {"playback": self.global_mean(entropy)}
        cover = coverage(boxes, places.shape[1:])
        inside, outside = cover > 0.5, cover < 0.05
        moving = self._motion(clips, places.shape[1:]) >= self.least_motion
        telling = (accelerated < 0.5) | tf.reduce_any(inside & moving, axis=(1, 2))
        entropy = tf.zeros_like(accelerated)
        for mask, counts, label in (
            (inside, telling, accelerated),
            (outside, tf.ones_like(telling), tf.zeros_like(accelerated)),
        ):
            counts &= tf.reduce_any(mask, axis=(1, 2))
            log_odds = tf.where(counts, log_mean_exp(places, self.sharpness, mask), 0.0)
            part = tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=log_odds)
            entropy += tf.where(counts, part, 0.0)
        return {"playback": self.global_mean(entropy)}

    def _motion(self, clips: tf.Tensor, grid: tuple[int, int]) -> tf.Tensor:
        """Mean change of gray value from frame to frame in each cell, float32 (batch, h, w)."""
        change = tf.reduce_mean(tf.abs(clips[:, 1:] - clips[:, :-1]), axis=1)
        cell = [-(-size // cells) for size, cells in zip(self.image_size, grid, strict=True)]
        return tf.nn.avg_pool2d(change, cell, cell, "SAME")[..., 0]

    # === Scores ===

    def pool(self, places: tf.Tensor) -> tf.Tensor:
        """Log-odds of whole clips from those of their places: float32 (batch, h, w) to (batch,)."""
        return log_mean_exp(places, self.sharpness)

    def seen(self, clips: tf.Tensor) -> tf.Tensor:
        """What the network sees of clips, float32 (batch, T, H, W, 1): change only, or everything."""
        if not self.subtract_clip_mean:
            return clips - 0.5
        return _CHANGE_GAIN * (clips - tf.reduce_mean(clips, axis=1, keepdims=True))

    def anomaly(self, windows: tf.Tensor) -> dict[str, tf.Tensor]:
        """How much faster than normal the clips look, and where.

        Args:
            windows: float32, (batch, T, H, W, 1), from ``preprocess``.

        Returns:
            ``maps`` (batch, T, h, w), log(1 + odds) of acceleration at each place of the network's grid, at least 0
            and the same for all T frames. ``frame_scores`` (batch, T), the pooled log-odds; ``max_log_odds`` and
            ``mean_log_odds`` of the places.
        """
        places = self.network(self.seen(windows), training=False)
        scores = {
            "frame_scores": self.pool(places),
            "max_log_odds": tf.reduce_max(places, axis=(1, 2)),
            "mean_log_odds": tf.reduce_mean(places, axis=(1, 2)),
        }
        repeated = {name: tf.tile(score[:, None], [1, self.window_length]) for name, score in scores.items()}
        return {"maps": tf.tile(tf.nn.softplus(places)[:, None], [1, self.window_length, 1, 1]), **repeated}

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "image_size": self.image_size,
            "window_length": self.window_length,
            "hop": self.hop,
            "channels": self.channels,
            "kernel_size": self.kernel_size,
            "rate_range": self.rate_range,
            "accelerated_share": self.accelerated_share,
            "subtract_clip_mean": self.subtract_clip_mean,
            "mixed": self.mixed,
            "least_motion": self.least_motion,
            "mirror": self.mirror,
            "sharpness": self.sharpness,
            "learning_rate": self.learning_rate,
            "name": self.name,
        }


def build_network(
    input_shape: tuple[int, int, int, int], channels: Sequence[int], kernel_size: int, name: str | None = None
) -> keras.Model:
    """Convolutions of stride 2 with batch normalisation and leaky ReLU over frames as channels, and one of 1 x 1.

    Frames are padded alike on all four sides. ``padding="same"`` would pad even sizes below and to the right only, and
    cost AUROC on UCSD Ped2 in the one seed that was tried (docs/local_playback_study.md, "Padding").

    Args:
        input_shape: (T, height, width, 1).
        channels: Channels of the convolutions.
        kernel_size: Side of the first convolution, odd.
        name: Name of the model.

    Returns:
        A model from clips, float32 (batch, *input_shape), to log-odds of acceleration, float32 (batch, h, w).
    """
    length, height, width, _ = input_shape
    inputs = keras.Input(input_shape, name="clip")
    x = layers.Reshape((length, height, width), name="gray")(inputs)
    x = layers.Permute((2, 3, 1), name="frames_as_channels")(x)
    for number, filters in enumerate(channels, start=1):
        side = kernel_size if number == 1 else 3
        x = layers.ZeroPadding2D(side // 2, name=f"conv{number}_padding")(x)
        x = layers.Conv2D(filters, side, strides=2, use_bias=False, name=f"conv{number}")(x)
        x = layers.BatchNormalization(momentum=0.95, name=f"conv{number}_norm")(x)
        x = layers.LeakyReLU(0.1, name=f"conv{number}_relu")(x)
    x = layers.Conv2D(1, 1, dtype="float32", name="log_odds")(x)
    return keras.Model(inputs, layers.Reshape(x.shape[1:3], dtype="float32", name="places")(x), name=name)

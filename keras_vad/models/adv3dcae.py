"""Adversarial 3D convolutional auto-encoder (Sun et al. 2020)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_vad.errors import VadError
from keras_vad.layers.flow import optical_flow
from keras_vad.layers.noise import NOISES, corrupt
from keras_vad.layers.objects import ObjectDetector, crop_objects, detect_objects, get_detector
from keras_vad.layers.unpooling import MaxPoolWithArgmax, MaxUnpool
from keras_vad.models.checks import check_above, check_at_least, check_channels, check_choice
from keras_vad.models.detector import Logs, Pooling, TrainingPhase, VideoAnomalyDetector, VideoLike
from keras_vad.window import Window, as_size


@keras.saving.register_keras_serializable(package="keras_vad")
class Adv3DCAE(VideoAnomalyDetector):
    """Adversarial 3D convolutional auto-encoder.

    A 3D convolutional auto-encoder with max-pooling, and un-pooling at the recorded positions, learns to restore
    windows of normal video from noisy copies while a discriminator learns to tell its output from the original
    (section III). What it cannot restore is abnormal: a frame's score is its mean squared error (eq. 13).

    C. Sun, Y. Jia, H. Song, Y. Wu: "Adversarial 3D Convolutional Auto-Encoder for Abnormal Event Detection in Videos",
    IEEE Transactions on Multimedia 23, 2021 (published online 2020). There is no public code.

    Deviations and choices where the paper is silent:
        Deviation: the channels of the networks, lambda and the number of epochs are ours, because the paper gives them
        in a figure that does not state them, or not at all.
        Deviation: the auto-encoder minimises -log D(R(S)) (eq. 11's gradient), the discriminator the usual
        cross-entropy, because eq. 8 as printed has log D where log(1 - D) is meant.
        Deviation: the optical flow is a damped least-squares flow in the graph, not Brox's, because a served model must
        compute it with TensorFlow's operations.
        Deviation: L_rec is the mean over pixels, not the sum, so that lambda does not depend on the frame size.
        The optimizer's and the batch normalisation's parameters are the defaults of the paper's framework, PyTorch
        (section IV-C). Weights begin as Keras draws them; the paper does not say how.

    Args:
        image_size: (height, width) of the input in pixels, or one number for both. Any size works; the paper's
            is 224.
        window_length: Frames in a window, T. The paper's value is 16 (7 with object crops, fixed).
        hop: Frames between the starts of windows when scoring; a frame's error is the mean over its windows.
            ``None`` is the number of scored frames of a window, so that they do not overlap (the paper).
        edge_frames: Frames at each end of a window that are not scored; 0 is the paper's. The networks see zeros beyond
            the window, and restore its first and last frames worse. With 2, windows of 16 frames score their inner 12
            and follow each other every 12 frames; then the first two and last two frames of a video have no score.
        channels: Channels of the encoder's convolutions; the decoder mirrors them. Five (10 layers) in the paper,
            three for its 6 layers (table VII) and for object crops (section IV-E.4).
        discriminator_channels: Channels of the discriminator's three convolutions.
        adversarial_weight: lambda of eq. 9, >= 0; 0 trains without discriminator (table V, "w/o GAN").
        noise: Corruption of the training input: ``"gaussian"``, ``"salt_and_pepper"``, ``"poisson"`` or ``None``
            (table VI).
        noise_stddev: Deviation of the Gaussian noise on inputs in [0, 1]. The paper's value is 0.005.
        convolution: ``"3d"``, or ``"2d"`` with the frames as channels (table V, "w/o 3D convolution").
        max_pooling: ``"3d"``, or ``"2d"`` with boxes of 1 x 2 x 2 (table V, "w/o 3D pooling").
        record_locations: Whether un-pooling uses the recorded positions; else the first of each box (table V).
        input_scale: Factor on the background-subtracted input. The paper's value is 1. With a factor near one over the
            input's deviation (20 on UCSD) the discriminator, which has no batch normalisation, learns faster.
        optical_flow: Whether a second auto-encoder restores the dense optical flow; the scores are summed (table IX).
        flow_scale: Factor on the flow, which is in pixels per frame.
        flow_weight: Weight of the flow's error in that sum. The paper's value is 1. ``None`` takes it from held-out
            normal video, so that the mean errors of frames deviate there by as much in both streams.
        object_crops: ``None`` for whole frames, or what finds objects: ``"foreground"`` (OpenCV, regions unlike the
            background), ``"people"`` (OpenCV's HOG detector), or a callable registered with Keras
            (``keras_vad.layers.objects.ObjectDetector``). The crop of frame t's box in frames t-3 to t+3 is restored,
            and a frame's score is the largest error of its objects (table VIII).
        crop_size: (height, width) of a crop. The paper (after Ionescu et al. 2019) uses 64.
        max_objects: Objects looked at in a frame.
        pooling: How the squared errors of a frame become its score: ``"mean"`` (eq. 13), ``"excess"`` or ``"max"``
            (ours, see ``keras_vad.models.detector.Pooling``).
        pooling_sigma: Deviation of the blur of the last two, as a share of the frame's height.
        pooling_quantile: The quantile of normal errors that ``"excess"`` counts from.
        learning_rate: Of the auto-encoder's RMSprop. The paper's value is 2e-4.
        discriminator_learning_rate: Of the discriminator's RMSprop; ``None`` is the same (the paper).
        discriminator_floor: A discriminator whose loss in a batch is below this rests for the step; >= 0. 0 is the
            paper's: it never rests. A discriminator that guesses has 2 ln 2 = 1.39, about which the paper's fluctuates
            (figure 3b); on short schedules it wins for good otherwise, and its gradient drowns the reconstruction's.

        norm_epsilon: Added to the variances of batch normalisation, > 0. The paper's framework has 1e-5.

    Call arguments:
        windows: float32, (batch, T, H, W, 1), from ``preprocess``.

    Example:
    >>> import numpy as np
    >>> detector = Adv3DCAE(image_size=32, window_length=8, channels=(2, 4, 4), discriminator_channels=(2, 2, 2))
    >>> video = np.zeros((20, 48, 64, 3), "uint8")
    >>> detector.score_video(video).raw.shape
    (20,)
    """

    paper = "Sun et al. 2020: Adversarial 3D Convolutional Auto-Encoder for Abnormal Event Detection in Videos"
    former_values: Mapping[str, Any] = MappingProxyType({"norm_epsilon": 1e-3})
    paper_rescaling = "max"  # eq. 14 divides by the maximum, not by the range
    health_figures = ("unrestored_share", "unrestored_flow_share", "discriminator_accuracy", "discriminator_loss")

    def __init__(
        self,
        image_size: int | Sequence[int] = (224, 224),
        window_length: int = 16,
        hop: int | None = None,
        edge_frames: int = 0,
        channels: Sequence[int] = (64, 128, 256, 256, 256),
        discriminator_channels: Sequence[int] = (16, 32, 64),
        adversarial_weight: float = 0.001,
        noise: str | None = "gaussian",
        noise_stddev: float = 0.005,
        convolution: str = "3d",
        max_pooling: str = "3d",
        record_locations: bool = True,
        input_scale: float = 1.0,
        optical_flow: bool = False,
        flow_scale: float = 1.0,
        flow_weight: float | None = 1.0,
        object_crops: str | ObjectDetector | None = None,
        crop_size: int | Sequence[int] = 64,
        max_objects: int = 16,
        pooling: str = "mean",
        pooling_sigma: float = 0.03,
        pooling_quantile: float = 0.99,
        learning_rate: float = 2e-4,
        discriminator_learning_rate: float | None = None,
        discriminator_floor: float = 0.0,
        norm_epsilon: float = 1e-5,
        name: str | None = None,
    ) -> None:
        check_choice("noise", noise, (*NOISES, None))
        check_choice("convolution", convolution, ("3d", "2d"))
        check_choice("max_pooling", max_pooling, ("3d", "2d"))
        check_channels("channels", channels, 2)
        check_channels("discriminator_channels", discriminator_channels, 1)
        check_at_least(0, adversarial_weight=adversarial_weight, noise_stddev=noise_stddev, edge_frames=edge_frames)
        check_at_least(0, discriminator_floor=discriminator_floor, flow_weight=flow_weight or 0.0)
        check_above(
            0,
            norm_epsilon=norm_epsilon,
            input_scale=input_scale,
            flow_scale=flow_scale,
            learning_rate=learning_rate,
            max_objects=max_objects,
        )
        if object_crops is not None and optical_flow:
            raise VadError("object_crops and optical_flow exclude each other: the paper has no such variant; drop one.")
        if object_crops is not None and pooling != "mean":
            raise VadError("with object_crops the score is the largest mean error of an object; leave pooling at mean.")
        if object_crops is not None:
            window_length, edge_frames = 7, 3  # frames t-3 to t+3, of which t is scored, section IV-E.4
        scored = tuple(range(edge_frames, window_length - edge_frames))
        if window_length > 0 and not scored:
            raise VadError(
                f"edge_frames is {edge_frames}, but must leave frames to score between both ends of a window of "
                f"{window_length}; give at most {(window_length - 1) // 2}."
            )
        super().__init__(
            Window(
                length=window_length,
                size=as_size(image_size),
                hop=len(scored) if hop is None else hop,
                offsets=scored,
            ),
            subtract_background=True,
            pooling=Pooling(pooling, pooling_sigma, pooling_quantile),
            name=name,
        )

        # === Networks ===
        def stream(what: str, size: tuple[int, int], image_channels: int) -> tuple[keras.Model, keras.Model | None]:
            input_shape = (window_length, *size, image_channels)
            autoencoder = build_autoencoder(
                input_shape,
                channels,
                convolution,
                max_pooling,
                record_locations,
                norm_epsilon,
                name=f"{what}_autoencoder",
            )
            discriminator = None
            if adversarial_weight > 0:
                discriminator = build_discriminator(
                    input_shape, discriminator_channels, convolution, name=f"{what}_discriminator"
                )
            return autoencoder, discriminator

        self.appearance_autoencoder, self.appearance_discriminator = stream(
            "appearance", as_size(image_size) if object_crops is None else as_size(crop_size, "crop_size"), 1
        )
        self.flow_autoencoder: keras.Model | None = None
        self.flow_discriminator: keras.Model | None = None
        if optical_flow:
            self.flow_autoencoder, self.flow_discriminator = stream("flow", self._flow_size(), 3)
        self.object_detector = None if object_crops is None else get_detector(object_crops)
        self.normal_flow_weight = None
        if optical_flow and flow_weight is None:
            self.normal_flow_weight = self.add_weight(
                name="normal_flow_weight", shape=(), initializer="ones", trainable=False, dtype="float32"
            )

        # === Config ===
        self.image_size = as_size(image_size)
        self.window_length = window_length
        self.hop = hop
        self.edge_frames = edge_frames
        self.channels = tuple(channels)
        self.discriminator_channels = tuple(discriminator_channels)
        self.adversarial_weight = adversarial_weight
        self.noise = noise
        self.noise_stddev = noise_stddev
        self.convolution = convolution
        self.max_pooling = max_pooling
        self.record_locations = record_locations
        self.input_scale = input_scale
        self.optical_flow = optical_flow
        self.flow_scale = flow_scale
        self.flow_weight = flow_weight
        self.object_crops = object_crops
        self.crop_size = as_size(crop_size, "crop_size")
        self.max_objects = max_objects
        self.learning_rate = learning_rate
        self.discriminator_learning_rate = discriminator_learning_rate
        self.discriminator_floor = discriminator_floor
        self.norm_epsilon = norm_epsilon

        if object_crops is not None:
            self.not_exportable_because = "its object detector runs outside the TensorFlow graph"
        else:
            self.parts = ("mean_error", "excess_error", "max_error")
            self.parts += ("appearance_error", "flow_error") if optical_flow else ()

    # === Losses and training ===

    def phases(self) -> list[TrainingPhase]:
        """One phase; the paper does not give its length."""
        return [TrainingPhase("adversarial", epochs=60)]

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | None = None,
        discriminator_optimizer: keras.optimizers.Optimizer | None = None,
        **kwargs: Any,
    ) -> None:
        """Set both optimizers; the defaults are the paper's, RMSprop with PyTorch's other parameters (section IV-C)."""
        super().compile(optimizer, **kwargs)
        rate = self.discriminator_learning_rate or self.learning_rate
        self.discriminator_optimizer = discriminator_optimizer or self.loss_scaling(_rmsprop(rate))

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        """The auto-encoders'."""
        return _rmsprop(self.learning_rate)

    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """The auto-encoders' and, with an adversarial loss, the discriminators'."""
        return [self.optimizer, self.discriminator_optimizer][: 2 if self.adversarial_weight else 1]

    def build_optimizers(self) -> None:
        """Create both optimizers' variables."""
        self.optimizer.build(self._autoencoder_weights())
        if self.adversarial_weight:
            self.discriminator_optimizer.build(self._discriminator_weights())

    def _autoencoder_weights(self) -> list[keras.Variable]:
        networks = (self.appearance_autoencoder, self.flow_autoencoder)
        return [weight for network in networks if network for weight in network.trainable_variables]

    def _discriminator_weights(self) -> list[keras.Variable]:
        networks = (self.appearance_discriminator, self.flow_discriminator)
        return [weight for network in networks if network for weight in network.trainable_variables]

    def compute_losses(self, frames: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """One replica's shares of the losses.

        Args:
            frames: uint8, (batch, T, H0, W0, 3).
            training: Whether to corrupt the input and use batch statistics.

        Returns:
            ``reconstruction`` (eq. 7) and, with an adversarial loss, ``adversarial`` (the auto-encoder's part of eq. 8)
            and ``discriminator``; float32 scalars, summed over the streams.
        """
        return {name: tf.add_n(values) for name, values in self._losses_of_streams(frames, training).items()}

    def _losses_of_streams(self, frames: tf.Tensor, training: bool) -> dict[str, list[tf.Tensor]]:
        losses: dict[str, list[tf.Tensor]] = {}
        for number, stream in enumerate(self._streams(self.preprocess(frames))):
            seed = tf.add(self.random_seed(self.optimizer.iterations), (7919 * number, 0))
            noise = self.noise if training else None
            inputs = stream.inputs * stream.scale
            corrupted = corrupt(stream.inputs, noise, seed=seed, stddev=self.noise_stddev) * stream.scale
            restored = stream.autoencoder(corrupted, training=training)
            mask, discriminator = stream.mask, stream.discriminator
            error = tf.reduce_mean(tf.square(restored - inputs), axis=(1, 2, 3, 4))
            losses.setdefault("reconstruction", []).append(self.masked_mean(error, mask))
            if discriminator is not None:
                fake, real = discriminator(restored, training=training), discriminator(inputs, training=training)
                losses.setdefault("adversarial", []).append(self.masked_mean(tf.nn.softplus(-fake)[:, 0], mask))
                both = tf.nn.softplus(-real) + tf.nn.softplus(fake)
                losses.setdefault("discriminator", []).append(self.masked_mean(both[:, 0], mask))
        return losses

    def _flow_size(self) -> tuple[int, int]:
        height, width = self.window.size
        return -(-height // 2), -(-width // 2)

    def _streams(self, inputs: tf.Tensor) -> "list[_Stream]":
        """What each auto-encoder restores of preprocessed windows."""
        networks = self.appearance_autoencoder, self.appearance_discriminator
        if self.object_detector is not None:
            crops, _, mask = self._crops(inputs)
            return [_Stream(crops, self.input_scale, *networks, mask=tf.reshape(mask, [-1]))]
        streams = [_Stream(inputs, self.input_scale, *networks)]
        if self.flow_autoencoder is not None:
            flow = optical_flow(inputs + tf.convert_to_tensor(self.background))
            streams.append(_Stream(flow, self.flow_scale, self.flow_autoencoder, self.flow_discriminator))
        return streams

    def _crops(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The crops (batch * n, 7, height, width, 1), their boxes and which of them hold an object."""
        assert self.object_detector is not None
        centre = inputs[:, self.window.scored[0]]
        background = tf.convert_to_tensor(self.background)
        boxes, mask = detect_objects(centre, background, self.object_detector, self.max_objects)
        return crop_objects(inputs, boxes, self.crop_size), boxes, mask

    def health(self, batches: Iterable[tf.Tensor]) -> dict[str, float]:
        """How much the auto-encoders cannot restore, and who wins, on held-out normal windows.

        Args:
            batches: uint8, (batch, T, H0, W0, 3) each.

        Returns:
            ``unrestored_share``: the mean squared error of the frames over their mean square, 1 if nothing is
            restored; ``unrestored_flow_share``: the same of the flow; with an adversarial loss
            ``discriminator_accuracy``: the share of originals and restored windows that the discriminators tell right,
            0.5 if they guess, and ``discriminator_loss``: L_D of a stream, 2 ln 2 if they guess (figure 3b).
        """
        errors: dict[str, list[tuple[float, float]]] = {}
        right: list[np.ndarray] = []
        losses: list[np.ndarray] = []
        for batch in batches:
            streams = self._streams(self.preprocess(batch))
            for name, stream in zip(("unrestored_share", "unrestored_flow_share"), streams, strict=False):
                chosen = slice(None) if stream.mask is None else np.flatnonzero(stream.mask)
                inputs = (stream.inputs * stream.scale).numpy()[chosen]
                if len(inputs) == 0:
                    continue
                restored = stream.autoencoder(inputs, training=False)
                error = float(np.sum(np.square(restored.numpy() - inputs), dtype="float64"))
                errors.setdefault(name, []).append((error, float(np.sum(np.square(inputs), dtype="float64"))))
                if stream.discriminator is not None:
                    for logits in (stream.discriminator(inputs), -stream.discriminator(restored)):
                        right.append((logits.numpy() > 0).ravel())
                        losses.append(tf.nn.softplus(-logits).numpy().ravel())
        figures = {}
        for name, sums in errors.items():
            error, square = np.sum(sums, axis=0)
            figures[name] = float(error / square) if square else math.nan
        if right:
            figures["discriminator_accuracy"] = float(np.concatenate(right).mean())
            figures["discriminator_loss"] = 2 * float(np.concatenate(losses).mean())
        return figures

    def train_step(self, data: tf.Tensor) -> Logs:
        """One step of algorithm 1: both networks learn from the same forward pass.

        Args:
            data: uint8, (batch, T, H0, W0, 3).
        """
        with tf.GradientTape(persistent=True) as tape:
            of_streams = self._losses_of_streams(data, training=True)
            losses = {name: tf.add_n(values) for name, values in of_streams.items()}
            loss = losses["reconstruction"]
            if self.adversarial_weight:
                loss += self.adversarial_weight * losses["adversarial"]
            loss = self.optimizer.scale_loss(loss)
            if self.adversarial_weight:
                learning = [self._unless_won(share) for share in of_streams["discriminator"]]
                discriminator_loss = self.discriminator_optimizer.scale_loss(tf.add_n(learning))
        weights = self._autoencoder_weights()
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        if self.adversarial_weight:
            weights = self._discriminator_weights()
            gradients = tape.gradient(discriminator_loss, weights)
            self.discriminator_optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return self.logged(losses)

    def _unless_won(self, share: tf.Tensor) -> tf.Tensor:
        """A discriminator's loss, without a gradient if it is below the floor (over all replicas)."""
        if self.discriminator_floor == 0:
            return share
        won = self.logged({"loss": tf.stop_gradient(share)})["loss"] < self.discriminator_floor
        return tf.where(won, tf.zeros_like(share), share)

    # === Scores ===

    def anomaly(self, windows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Squared reconstruction errors (eq. 13).

        Args:
            windows: float32, (batch, T, H, W, 1), from ``preprocess``.

        Returns:
            Of the n scored frames: ``maps`` (batch, n, H, W), squared error of each pixel (appearance plus
            ``flow_weight`` times flow); ``mean_error``, its mean (eq. 13), and the other scores of ``pooled``,
            (batch, n); with optical flow the mean ``appearance_error`` and ``flow_error``. With object crops one
            frame, t, is scored: ``frame_scores`` (batch, 1), and the map holds each object's error over its box.
        """
        if self.object_detector is not None:
            return self._object_anomaly(windows)
        appearance, *others = (self._error_maps(stream) for stream in self._streams(windows))
        maps, parts = appearance, {}
        for flow in others:
            parts = {
                "appearance_error": tf.reduce_mean(appearance, axis=(2, 3)),
                "flow_error": tf.reduce_mean(flow, axis=(2, 3)),
            }
            flow = tf.image.resize(tf.reshape(flow, [-1, *self._flow_size(), 1]), self.image_size)
            maps += self._flow_weight() * tf.reshape(flow, tf.shape(appearance))
        return {"maps": maps, **self.pooled(maps), **parts}

    def _error_maps(self, stream: "_Stream") -> tf.Tensor:
        inputs = stream.inputs * stream.scale
        errors = tf.reduce_mean(tf.square(stream.autoencoder(inputs, training=False) - inputs), axis=-1)
        return errors[:, self.edge_frames : self.window_length - self.edge_frames]

    def _flow_weight(self) -> tf.Tensor | float:
        if self.normal_flow_weight is None:
            assert self.flow_weight is not None
            return self.flow_weight
        return tf.convert_to_tensor(self.normal_flow_weight)

    def fit_normality(
        self, windows: tf.data.Dataset, held_out: Sequence[VideoLike], alarm_quantile: float = 0.99
    ) -> None:
        """Set the flow's weight, if held-out video shall, then the level of normal errors and the calibration.

        Args:
            windows: See ``VideoAnomalyDetector.fit_normality``.
            held_out: Likewise.
            alarm_quantile: Likewise.
        """
        if self.normal_flow_weight is not None:
            scores = [self.score_video(video).parts for video in held_out]
            appearance, flow = (
                float(np.std(np.concatenate([parts[name] for parts in scores]), dtype="float64"))
                for name in ("appearance_error", "flow_error")
            )
            self.normal_flow_weight.assign(appearance / flow if flow > 0 else 1.0)
        super().fit_normality(windows, held_out, alarm_quantile)

    def _object_anomaly(self, windows: tf.Tensor) -> dict[str, tf.Tensor]:
        crops, boxes, mask = self._crops(windows)
        crops *= self.input_scale
        error = tf.reduce_mean(tf.square(self.appearance_autoencoder(crops, training=False) - crops), axis=(1, 2, 3, 4))
        error = tf.reshape(error, tf.shape(mask)) * mask
        height, width = self.image_size
        rows = (tf.range(height, dtype=tf.float32) + 0.5) / height
        columns = (tf.range(width, dtype=tf.float32) + 0.5) / width
        top, left, bottom, right = (boxes[..., i, None] for i in range(4))
        inside_rows = tf.cast((rows >= top) & (rows < bottom), tf.float32)
        inside_columns = tf.cast((columns >= left) & (columns < right), tf.float32)
        inside = inside_rows[..., :, None] * inside_columns[..., None, :]
        maps = tf.reduce_max(inside * error[..., None, None], axis=1)[:, None]
        score = tf.reduce_max(error, axis=1, keepdims=True)
        return {"frame_scores": score, "maps": maps}

    def masked_mean(self, per_example: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        """``global_mean`` over the examples whose mask is 1; 0 if there are none."""
        if mask is None:
            return self.global_mean(per_example)
        share = self.global_mean(mask)
        return tf.math.divide_no_nan(self.global_mean(per_example * mask), self.logged({"share": share})["share"])

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "image_size": self.image_size,
            "window_length": self.window_length,
            "hop": self.hop,
            "edge_frames": self.edge_frames,
            "channels": self.channels,
            "discriminator_channels": self.discriminator_channels,
            "adversarial_weight": self.adversarial_weight,
            "noise": self.noise,
            "noise_stddev": self.noise_stddev,
            "convolution": self.convolution,
            "max_pooling": self.max_pooling,
            "record_locations": self.record_locations,
            "input_scale": self.input_scale,
            "optical_flow": self.optical_flow,
            "flow_scale": self.flow_scale,
            "flow_weight": self.flow_weight,
            "object_crops": self.object_crops,
            "crop_size": self.crop_size,
            "max_objects": self.max_objects,
            "pooling": self.pooling.kind,
            "pooling_sigma": self.pooling.sigma,
            "pooling_quantile": self.pooling.quantile,
            "learning_rate": self.learning_rate,
            "discriminator_learning_rate": self.discriminator_learning_rate,
            "discriminator_floor": self.discriminator_floor,
            "norm_epsilon": self.norm_epsilon,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        """A detector from its constructor arguments; a callable ``object_crops`` comes as Keras saved it."""
        crops = config.get("object_crops")
        if isinstance(crops, dict):
            config = {**config, "object_crops": keras.saving.deserialize_keras_object(crops, custom_objects)}
        return super().from_config(config)


@dataclass(frozen=True)
class _Stream:
    """Input of one auto-encoder (before scaling), its networks, and which examples count (``None``: all)."""

    inputs: tf.Tensor
    scale: float
    autoencoder: keras.Model
    discriminator: keras.Model | None
    mask: tf.Tensor | None = None


def _rmsprop(rate: float) -> keras.optimizers.Optimizer:
    """PyTorch's RMSprop with its defaults: alpha 0.99, eps 1e-8.

    PyTorch divides by ``sqrt(v) + eps``, Keras by ``sqrt(v + epsilon)``: the same eps there would be a floor of 1e-4
    under the root mean square gradient, which inner layers do not reach.
    """
    return keras.optimizers.RMSprop(rate, rho=0.99, epsilon=1e-16)


def build_autoencoder(
    input_shape: tuple[int, int, int, int],
    channels: Sequence[int],
    convolution: str = "3d",
    max_pooling: str = "3d",
    record_locations: bool = True,
    norm_epsilon: float = 1e-5,
    name: str | None = None,
) -> keras.Model:
    """The auto-encoder of section III-B and figure 2.

    Encoder: convolutions 3 x 3 x 3 (the first 1 x 2 x 2), each with batch normalisation and tanh, and max-pooling
    2 x 2 x 2 (the first 1 x 2 x 2) between them. The decoder mirrors it with transposed convolutions and un-pooling;
    its last layer is linear.

    Args:
        input_shape: (T, height, width, image channels).
        channels: Channels of the encoder's convolutions.
        convolution: ``"3d"``, or ``"2d"`` with the frames as channels.
        max_pooling: ``"3d"``, or ``"2d"`` with boxes of 1 x 2 x 2.
        record_locations: Whether un-pooling uses the positions of the maxima.
        norm_epsilon: Of batch normalisation.
        name: Name of the model.

    Returns:
        A model from float32 (batch, *input_shape) to the same shape.
    """
    length, height, width, image_channels = input_shape
    flat = convolution == "2d"
    convolve = layers.Conv2D if flat else layers.Conv3D
    deconvolve = layers.Conv2DTranspose if flat else layers.Conv3DTranspose
    first_kernel: tuple[int, ...] = (2, 2) if flat else (1, 2, 2)
    boxes: list[tuple[int, ...]] = [(2, 2) if flat else (1, 2, 2)]
    boxes += [(2, 2) if flat else (1, 2, 2) if max_pooling == "2d" else (2, 2, 2)] * (len(channels) - 2)

    def activated(x: keras.KerasTensor, layer: str) -> keras.KerasTensor:
        # PyTorch's momentum is 0.1, of the new value.
        norm = layers.BatchNormalization(momentum=0.9, epsilon=norm_epsilon, name=f"{layer}_norm")
        return layers.Activation("tanh", name=f"{layer}_tanh")(norm(x))

    inputs = keras.Input(input_shape, name="window")
    x = inputs
    if flat:
        x = layers.Permute((2, 3, 1, 4), name="frames_last")(x)
        x = layers.Reshape((height, width, length * image_channels), name="frames_as_channels")(x)
    pooled = []  # of each pooling: box, size before it, recorded positions
    for number, filters in enumerate(channels, start=1):
        kernel = first_kernel if number == 1 else 3
        x = convolve(filters, kernel, padding="same", name=f"conv{number}")(x)
        x = activated(x, f"conv{number}")
        if number <= len(boxes):
            box, space = boxes[number - 1], tuple(x.shape[1:-1])
            x, position = MaxPoolWithArgmax(box, name=f"pool{number}")(x)
            pooled.append((box, space, position))
    for number, filters in enumerate([*reversed(channels[:-1])], start=1):
        x = deconvolve(filters, 3, padding="same", name=f"deconv{number}")(x)
        x = activated(x, f"deconv{number}")
        box, space, position = pooled.pop()
        if not record_locations:
            position = keras.ops.zeros_like(position)
        x = MaxUnpool(box, space, name=f"unpool{number}")(x, position)
    outputs = length * image_channels if flat else image_channels
    x = deconvolve(outputs, first_kernel, padding="same", dtype="float32", name=f"deconv{len(channels)}")(x)
    if flat:
        x = layers.Reshape((height, width, length, image_channels), name="channels_as_frames")(x)
        x = layers.Permute((3, 1, 2, 4), name="frames_first")(x)
    return keras.Model(inputs, x, name=name)


def build_discriminator(
    input_shape: tuple[int, int, int, int],
    channels: Sequence[int],
    convolution: str = "3d",
    name: str | None = None,
) -> keras.Model:
    """The discriminator of figure 2: three convolutions with max-pooling, two dense layers, no batch normalisation.

    Args:
        input_shape: (T, height, width, image channels).
        channels: Channels of the convolutions; the hidden dense layer has as many units as the last.
        convolution: ``"3d"``, or ``"2d"`` with the frames as channels.
        name: Name of the model.

    Returns:
        A model from float32 (batch, *input_shape) to a logit, float32 (batch, 1): positive for an original.
    """
    length, height, width, image_channels = input_shape
    inputs = keras.Input(input_shape, name="window")
    x = inputs
    if convolution == "2d":
        x = layers.Permute((2, 3, 1, 4))(x)
        x = layers.Reshape((height, width, length * image_channels))(x)
    for filters in channels:
        convolve, pool = (
            (layers.Conv2D, layers.MaxPooling2D) if convolution == "2d" else (layers.Conv3D, layers.MaxPooling3D)
        )
        x = layers.LeakyReLU(0.2)(convolve(filters, 3, padding="same")(x))
        x = pool(2, padding="same")(x)
    x = layers.Flatten()(x)
    x = layers.LeakyReLU(0.2)(layers.Dense(channels[-1])(x))
    return keras.Model(inputs, layers.Dense(1, dtype="float32", name="logit")(x), name=name)

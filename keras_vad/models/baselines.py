"""Three plain auto-encoders that papers compare themselves with (Hasan 2016, Chong & Tay 2017, Gong 2019).

They share all but their networks: restore windows of normal video, and score a frame by what could not be restored.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from keras_vad.errors import VadError
from keras_vad.layers.unpooling import MaxPoolWithArgmax, MaxUnpool
from keras_vad.models import luss_ae
from keras_vad.models.checks import check_above, check_at_least, check_channels, check_choice
from keras_vad.models.detector import Pooling, TrainingPhase, VideoAnomalyDetector
from keras_vad.window import Window, as_size


class ReconstructionDetector(VideoAnomalyDetector):
    """What the three auto-encoders share: the loss, the training step, the score.

    Args:
        image_size: (height, width) of the input in pixels, or one number for both.
        window_length: Frames in a window.
        hop: Frames between the starts of windows when scoring; ``None`` is ``window_length``.
        subtract_background: See ``VideoAnomalyDetector``.
        input_scale: Factor on the input; ``None`` is one over the deviation of the training frames from their mean
            frame, a stored weight set by ``adapt``.
        error: The error of a pixel: ``"absolute"`` or ``"squared"`` difference; ``"euclidean"`` is the latter, and the
            root of the pooled error is the score.
        optimizer: ``"adam"`` or ``"adagrad"``.
        learning_rate: Of the optimizer.
        pooling: See ``VideoAnomalyDetector``.
        name: Name of the model.
    """

    parts = ("mean_error", "excess_error", "max_error")
    health_figures = ("unrestored_share",)
    autoencoder: keras.Model
    pooling: Pooling

    def __init__(
        self,
        image_size: int | Sequence[int],
        window_length: int,
        hop: int | None,
        *,
        subtract_background: bool,
        input_scale: float | None,
        error: str,
        optimizer: str,
        learning_rate: float,
        pooling: Pooling,
        name: str | None,
    ) -> None:
        check_choice("error", error, ("absolute", "squared", "euclidean"))
        check_choice("optimizer", optimizer, ("adam", "adagrad"))
        check_above(0, learning_rate=learning_rate, **({} if input_scale is None else {"input_scale": input_scale}))
        super().__init__(
            Window(length=window_length, size=as_size(image_size), hop=window_length if hop is None else hop),
            subtract_background=subtract_background,
            pooling=pooling,
            name=name,
        )
        self.deviation = None
        if input_scale is None:
            self.deviation = self.add_weight(name="deviation", shape=(), initializer="ones", trainable=False)

        # === Config ===
        self.image_size = as_size(image_size)
        self.window_length = window_length
        self.hop = hop
        self.input_scale = input_scale
        self.error = error
        self.optimizer_name = optimizer
        self.learning_rate = learning_rate

    # === Frames in ===

    def adapt(self, frames: Iterable[np.ndarray]) -> None:
        """Set the background to the mean of the training frames, and the deviation to theirs from it.

        Args:
            frames: Batches of training frames, uint8 (n, H0, W0, 3); each frame once.
        """
        if self.deviation is None:
            super().adapt(frames)
            return
        assert self.background is not None
        squares, count = 0.0, 0

        def watched() -> Iterator[np.ndarray]:
            nonlocal squares, count
            for batch in frames:
                yield batch
                squares += float(np.square(self.preprocess(tf.convert_to_tensor(batch)).numpy(), dtype="float64").sum())
                count += len(batch)

        super().adapt(watched())  # while it runs, the background is 0
        background = self.background.numpy().astype("float64")
        variance = squares / (count * background.size) - np.square(background).mean()
        # A video that stands still has no deviation, and rounding errors must not be blown up to one.
        self.deviation.assign(np.sqrt(variance) if variance > 1e-12 else 1.0)

    def _scale(self) -> tf.Tensor | float:
        if self.deviation is None:
            assert self.input_scale is not None
            return self.input_scale
        return 1.0 / tf.convert_to_tensor(self.deviation)

    # === Losses and training ===

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        """The one that the constructor's arguments name."""
        if self.optimizer_name == "adam":
            # Keras' epsilon of 1e-7 is as large as gradients of a mean error in inner layers (conv_ae 1e-7, conv3d_ae
            # 3e-7), and weighs more in early steps than the published one, 1e-8, as its corrections of bias come first.
            return keras.optimizers.Adam(self.learning_rate, epsilon=1e-12)
        # Adagrad starts its sums of squares at 0, as the authors' Caffe does. The loss is a mean, theirs a sum, so the
        # sums are small; Keras adds epsilon to them before the root.
        return keras.optimizers.Adagrad(self.learning_rate, initial_accumulator_value=0.0, epsilon=1e-20)

    def compute_losses(self, frames: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """One replica's shares of the losses.

        Args:
            frames: uint8, (batch, T, H0, W0, 3).
            training: Whether to use batch statistics.

        Returns:
            ``reconstruction``, the mean squared error, float32 scalar.
        """
        inputs = self.preprocess(frames) * self._scale()
        restored = self.autoencoder(inputs, training=training)
        error = tf.reduce_mean(tf.square(restored - inputs), axis=(1, 2, 3, 4))
        return {"reconstruction": self.global_mean(error)}

    def health(self, batches: Iterable[tf.Tensor]) -> dict[str, float]:
        """How much the auto-encoder cannot restore of held-out normal windows.

        Args:
            batches: uint8, (batch, T, H0, W0, 3) each.

        Returns:
            ``unrestored_share``: the mean squared error over the mean squared deviation from the mean frame (of the
            windows if the method subtracts none), 1 if no more than that frame is restored.
        """
        error = square = 0.0
        for batch in batches:
            inputs = (self.preprocess(batch) * self._scale()).numpy()
            restored = self.autoencoder(inputs, training=False).numpy()
            still = 0.0 if self.background is not None else inputs.mean(axis=(0, 1))
            error += float(np.square(restored - inputs).sum(dtype="float64"))
            square += float(np.square(inputs - still).sum(dtype="float64"))
        return {"unrestored_share": error / square if square else float("nan")}

    # === Scores ===

    def anomaly(self, windows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reconstruction errors.

        Args:
            windows: float32, (batch, T, H, W, 1), from ``preprocess``.

        Returns:
            ``maps`` (batch, T, H, W), the error of each pixel, times ``input_scale``; ``mean_error``, its mean, and the
            other scores of ``pooled``, (batch, T).
        """
        inputs = windows * self._scale()
        difference = (self.autoencoder(inputs, training=False) - inputs)[..., 0]
        maps = tf.abs(difference) if self.error == "absolute" else tf.square(difference)
        scores = self.pooled(maps)
        if self.error == "euclidean":
            scores = {name: tf.sqrt(score) for name, score in scores.items()}
        return {"maps": maps, **scores}

    def restored(self, windows: tf.Tensor) -> tf.Tensor:
        """The restored frames, for pictures.

        Args:
            windows: float32, (batch, T, H, W, 1), from ``preprocess``.

        Returns:
            float32, (batch, T, H, W, 1), in [0, 1].
        """
        scale = self._scale()
        frames = self.autoencoder(windows * scale, training=False) / scale
        if self.background is not None:
            frames += tf.convert_to_tensor(self.background)
        return tf.clip_by_value(frames, 0.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments that the three share."""
        return {
            "image_size": self.image_size,
            "window_length": self.window_length,
            "hop": self.hop,
            "error": self.error,
            "optimizer": self.optimizer_name,
            "learning_rate": self.learning_rate,
            "pooling": self.pooling.kind,
            "pooling_sigma": self.pooling.sigma,
            "pooling_quantile": self.pooling.quantile,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="keras_vad")
class ConvAE(ReconstructionDetector):
    """2D convolutional auto-encoder on stacked frames.

    Ten gray frames, stacked as channels, are restored through convolutions, max-pooling, un-pooling at the recorded
    positions and transposed convolutions, all with tanh.

    M. Hasan, J. Choi, J. Neumann, A. K. Roy-Chowdhury, L. S. Davis: "Learning Temporal Regularity in Video Sequences",
    CVPR 2016.

    Deviations and choices where the paper is silent:
        Deviation: border boxes of the poolings are filled up, so that there are 28 x 28 and 14 x 14 places after them
        instead of 27 x 27 and 13 x 13, because boxes of 2 x 2 would otherwise drop the last row and column, which
        could then not be restored.
        Deviation: a frame's error is averaged over its pixels, not summed, so that it does not depend on their number;
        the paper's rescaling divides by the maximum, and nothing else changes.
        Deviation: sizes that the strides do not divide are padded with zeros, that is with background, and the output
        is cropped, because frames need not be 227 pixels wide.

    Args:
        image_size: (height, width) of the input in pixels, or one number for both. Any size works; the paper's
            is 227.
        window_length: Frames in a window. The paper's value is 10.
        hop: Frames between the starts of windows when scoring; a frame's error is the mean over its windows.
            ``None`` is ``window_length``: windows do not overlap.
        channels: Channels of the encoder's three convolutions (kernels 11, 5, 3; the first with stride 4); the decoder
            mirrors them.
        weight_decay: Weight of half the squared weights beside half the squared error of a window, summed over its
            pixels; the authors' released value is 5e-4.
        input_scale: Factor on the background-subtracted input in [-1, 1]; the last tanh cannot exceed 1. The paper's
            value is 1.
        error: The error of a pixel: ``"absolute"`` (the paper's) or ``"squared"`` difference; ``"euclidean"`` is the
            latter, and the root of the pooled error is the score.
        optimizer: ``"adagrad"`` (the paper's) or ``"adam"``.
        learning_rate: Of the optimizer; the authors' released value is 1e-4.
        pooling: How a frame's errors become its score: ``"mean"`` (the paper's, but for the factor above), ``"excess"``
            or ``"max"`` (ours, see ``keras_vad.models.detector.Pooling``).
        pooling_sigma: Deviation of the blur of the last two, as a share of the frame's height.
        pooling_quantile: The quantile of normal errors that ``"excess"`` counts from.

    Call arguments:
        windows: float32, (batch, T, H, W, 1), from ``preprocess``.

    Example:
    >>> import numpy as np
    >>> detector = ConvAE(image_size=(32, 48), channels=(4, 4, 4))
    >>> detector.score_video(np.zeros((25, 60, 80, 3), "uint8")).raw.shape
    (25,)
    """

    paper = "Hasan et al. 2016: Learning Temporal Regularity in Video Sequences"
    paper_rescaling = "max"  # regularity = 1 - (e - min) / max, section 3.3

    def __init__(
        self,
        image_size: int | Sequence[int] = (227, 227),
        window_length: int = 10,
        hop: int | None = None,
        channels: Sequence[int] = (512, 256, 128),
        weight_decay: float = 5e-4,
        input_scale: float = 1.0,
        error: str = "absolute",
        optimizer: str = "adagrad",
        learning_rate: float = 1e-4,
        pooling: str = "mean",
        pooling_sigma: float = 0.03,
        pooling_quantile: float = 0.99,
        name: str | None = None,
    ) -> None:
        _check_channels("channels", channels, 3)
        check_at_least(0, weight_decay=weight_decay)
        super().__init__(
            image_size,
            window_length,
            hop,
            subtract_background=True,
            input_scale=input_scale,
            error=error,
            optimizer=optimizer,
            learning_rate=learning_rate,
            pooling=Pooling(pooling, pooling_sigma, pooling_quantile),
            name=name,
        )
        self.autoencoder = build_conv_autoencoder((window_length, *self.image_size, 1), channels, name="autoencoder")
        self.channels = tuple(channels)
        self.weight_decay = weight_decay

    def phases(self) -> list[TrainingPhase]:
        """One phase; the authors trained for 150,000 batches, which an epoch of 1,000 makes 150."""
        return [TrainingPhase("reconstruction", epochs=150)]

    def compute_losses(self, frames: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """One replica's shares of the losses.

        Args:
            frames: uint8, (batch, T, H0, W0, 3).
            training: Whether this is a training step.

        Returns:
            ``reconstruction``, the mean squared error, and ``weight_decay``, scaled as if both were summed over the
            pixels of a window; float32 scalars.
        """
        losses = super().compute_losses(frames, training)
        if self.weight_decay:
            height, width = self.image_size
            weights = self.autoencoder.trainable_variables
            squares = tf.add_n([tf.reduce_sum(tf.square(tf.convert_to_tensor(weight))) for weight in weights])
            decay = self.weight_decay * squares / (self.window_length * height * width)
            losses["weight_decay"] = self.global_mean(tf.fill(tf.shape(frames)[:1], decay))
        return losses

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        own = {"channels": self.channels, "weight_decay": self.weight_decay, "input_scale": self.input_scale}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_vad")
class ConvLSTMAE(ReconstructionDetector):
    """Convolutional LSTM auto-encoder.

    Two convolutions encode each frame, three convolutional LSTMs carry the code through the window, two transposed
    convolutions decode each frame.

    Y. S. Chong, Y. H. Tay: "Abnormal Event Detection in Videos using Spatiotemporal Autoencoder", ISNN 2017.

    Deviations and choices where the paper is silent:
        Deviation: the last layer is linear, as in the authors' public code, because inputs of unit variance exceed
        what tanh can give.
        Deviation: the input is divided by one deviation of all training frames, not by that of each frame, because an
        empty frame would otherwise be amplified until its noise had unit variance.
        Deviation: a frame's Euclidean distance is divided by the root of the number of its pixels, so that it does not
        depend on it; the paper's rescaling divides by the maximum, and nothing else changes.
        Deviation: sizes that the strides do not divide are padded with zeros, that is with background, and the output
        is cropped, because frames need not be 227 pixels wide.
        The number of epochs is the paper's upper bound; its early stopping after 10 epochs is left out, because a
        schedule that is fixed can be repeated.

    Args:
        image_size: (height, width) of the input in pixels, or one number for both. Any size works; the paper's
            is 227.
        window_length: Frames in a window. The paper's value is 10.
        hop: Frames between the starts of windows when scoring; a frame's error is the mean over its windows.
            ``None`` is ``window_length``: windows do not overlap.
        channels: Channels of the two convolutions (kernels 11 and 5, strides 4 and 2); the decoder mirrors them.
        lstm_channels: Channels of the convolutional LSTMs (kernels 3).
        input_scale: Factor on the background-subtracted input in [-1, 1]; ``None`` (the paper's) is one over the
            deviation of the training frames.
        error: ``"euclidean"`` (the paper's): the score is the root of the pooled squared errors; or the error of a
            pixel is its ``"absolute"`` or ``"squared"`` difference, without a root.
        optimizer: ``"adam"`` (the paper's) or ``"adagrad"``.
        learning_rate: Of the optimizer. The paper leaves it to Adam; 1e-3 is Adam's own default.
        pooling: How a frame's errors become its score: ``"mean"`` (the paper's, but for the factor above), ``"excess"``
            or ``"max"`` (ours, see ``keras_vad.models.detector.Pooling``).
        pooling_sigma: Deviation of the blur of the last two, as a share of the frame's height.
        pooling_quantile: The quantile of normal errors that ``"excess"`` counts from.

    Call arguments:
        windows: float32, (batch, T, H, W, 1), from ``preprocess``.

    Example:
    >>> import numpy as np
    >>> detector = ConvLSTMAE(image_size=(32, 48), channels=(4, 4), lstm_channels=(4, 2, 4))
    >>> detector.score_video(np.zeros((25, 60, 80, 3), "uint8")).raw.shape
    (25,)
    """

    paper = "Chong & Tay 2017: Abnormal Event Detection in Videos using Spatiotemporal Autoencoder"
    paper_rescaling = "max"  # abnormality = (e - min) / max

    def __init__(
        self,
        image_size: int | Sequence[int] = (227, 227),
        window_length: int = 10,
        hop: int | None = None,
        channels: Sequence[int] = (128, 64),
        lstm_channels: Sequence[int] = (64, 32, 64),
        input_scale: float | None = None,
        error: str = "euclidean",
        optimizer: str = "adam",
        learning_rate: float = 1e-3,
        pooling: str = "mean",
        pooling_sigma: float = 0.03,
        pooling_quantile: float = 0.99,
        name: str | None = None,
    ) -> None:
        _check_channels("channels", channels, 2)
        check_channels("lstm_channels", lstm_channels, 1)
        super().__init__(
            image_size,
            window_length,
            hop,
            subtract_background=True,
            input_scale=input_scale,
            error=error,
            optimizer=optimizer,
            learning_rate=learning_rate,
            pooling=Pooling(pooling, pooling_sigma, pooling_quantile),
            name=name,
        )
        self.autoencoder = build_convlstm_autoencoder(
            (window_length, *self.image_size, 1), channels, lstm_channels, name="autoencoder"
        )
        self.channels = tuple(channels)
        self.lstm_channels = tuple(lstm_channels)

    def phases(self) -> list[TrainingPhase]:
        """One phase of at most 50 epochs in the paper."""
        return [TrainingPhase("reconstruction", epochs=50)]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        own = {"channels": self.channels, "lstm_channels": self.lstm_channels, "input_scale": self.input_scale}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_vad")
class Conv3DAE(ReconstructionDetector):
    """3D convolutional auto-encoder: that of MemAE without its memory, of LUSS-AE without its heads.

    Strided 3D convolutions with batch normalisation and leaky ReLU restore 16 gray frames in [-1, 1]; the output is a
    tanh.

    D. Gong, L. Liu, V. Le, B. Saha, M. R. Mansour, S. Venkatesh, A. van den Hengel: "Memorizing Normality to Detect
    Anomaly: Memory-augmented Deep Autoencoder for Unsupervised Anomaly Detection", ICCV 2019, section 4.3.

    Deviations and choices where the paper is silent:
        Deviation: every frame of a window has a score of its own, its mean squared error, where the paper gives the
        window's mean error to one frame, because then no frame is left out and an error is where it happened.
        The number of epochs and the batch size are those of LUSS-AE, which trains this auto-encoder with further tasks.

    Args:
        image_size: (height, width) of the input in pixels, or one number for both. Any size works; the paper's
            is 256.
        window_length: Frames in a window. The paper's value is 16.
        hop: Frames between the starts of windows when scoring; a frame's error is the mean over its windows.
            ``None`` is ``window_length``: windows do not overlap.
        channels: Channels of the encoder's convolutions; the decoder mirrors them.
        subtract_background: Whether the input is the frame minus the mean training frame, in [-1, 1]; the paper's is
            the frame itself, from -1 (black) to 1 (white). A still background need not be learned then, which short
            schedules need.
        error: The error of a pixel: ``"squared"`` (the paper's) or ``"absolute"`` difference; ``"euclidean"`` is the
            former, and the root of the pooled error is the score.
        optimizer: ``"adam"`` (the paper's) or ``"adagrad"``.
        learning_rate: Of the optimizer. The paper's value is 1e-4.
        pooling: How a frame's errors become its score: ``"mean"`` (the paper's), ``"excess"`` or ``"max"`` (ours, see
            ``keras_vad.models.detector.Pooling``).
        pooling_sigma: Deviation of the blur of the last two, as a share of the frame's height.
        pooling_quantile: The quantile of normal errors that ``"excess"`` counts from.

    Call arguments:
        windows: float32, (batch, T, H, W, 1), from ``preprocess``.

    Example:
    >>> import numpy as np
    >>> detector = Conv3DAE(image_size=(32, 48), channels=(4, 4, 4, 4))
    >>> detector.score_video(np.zeros((25, 60, 80, 3), "uint8")).raw.shape
    (25,)
    """

    paper = "Gong et al. 2019: Memorizing Normality to Detect Anomaly (its auto-encoder without the memory)"
    paper_rescaling = "min_max"

    def __init__(
        self,
        image_size: int | Sequence[int] = (256, 256),
        window_length: int = 16,
        hop: int | None = None,
        channels: Sequence[int] = (96, 128, 256, 256),
        subtract_background: bool = False,
        error: str = "squared",
        optimizer: str = "adam",
        learning_rate: float = 1e-4,
        pooling: str = "mean",
        pooling_sigma: float = 0.03,
        pooling_quantile: float = 0.99,
        name: str | None = None,
    ) -> None:
        check_channels("channels", channels, 2)
        super().__init__(
            image_size,
            window_length,
            hop,
            subtract_background=subtract_background,
            input_scale=1.0,
            error=error,
            optimizer=optimizer,
            learning_rate=learning_rate,
            pooling=Pooling(pooling, pooling_sigma, pooling_quantile),
            name=name,
        )
        self.autoencoder = luss_ae.build_autoencoder((window_length, *self.image_size, 1), channels, name="autoencoder")
        self.channels = tuple(channels)
        self.subtract_background = subtract_background

    def preprocess(self, frames: tf.Tensor) -> tf.Tensor:
        """Raw frames to model input, as the base class says, in [-1, 1]."""
        frames = super().preprocess(frames)
        return frames if self.subtract_background else 2.0 * frames - 1.0

    def restored(self, windows: tf.Tensor) -> tf.Tensor:
        """The restored frames, for pictures; see the base class."""
        if self.subtract_background:
            return super().restored(windows)
        return (self.autoencoder(windows, training=False) + 1.0) / 2.0

    def phases(self) -> list[TrainingPhase]:
        """One phase, as long as that of LUSS-AE."""
        return [TrainingPhase("reconstruction", epochs=60)]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "channels": self.channels, "subtract_background": self.subtract_background}


def build_conv_autoencoder(
    input_shape: tuple[int, int, int, int], channels: Sequence[int], name: str | None = None
) -> keras.Model:
    """The auto-encoder of Hasan et al. 2016, section 3.2 and figure 3.

    Args:
        input_shape: (T, height, width, 1).
        channels: Channels of the encoder's three convolutions.
        name: Name of the model.

    Returns:
        A model from float32 (batch, *input_shape) to the same shape, in (-1, 1).
    """
    length, height, width, _ = input_shape
    padding = [_border(size, least=11, step=4) for size in (height, width)]
    inputs = keras.Input(input_shape, name="window")
    x = layers.Permute((2, 3, 1, 4), name="frames_last")(inputs)
    x = layers.Reshape((height, width, length), name="frames_as_channels")(x)
    x = layers.ZeroPadding2D(padding, name="pad")(x)
    x = layers.Conv2D(channels[0], 11, 4, activation="tanh", name="conv1")(x)
    space_1 = tuple(x.shape[1:3])
    x, position_1 = MaxPoolWithArgmax((2, 2), name="pool1")(x)
    x = layers.Conv2D(channels[1], 5, padding="same", activation="tanh", name="conv2")(x)
    space_2 = tuple(x.shape[1:3])
    x, position_2 = MaxPoolWithArgmax((2, 2), name="pool2")(x)
    x = layers.Conv2D(channels[2], 3, padding="same", activation="tanh", name="conv3")(x)
    x = layers.Conv2DTranspose(channels[1], 3, padding="same", activation="tanh", name="deconv3")(x)
    x = MaxUnpool((2, 2), space_2, name="unpool2")(x, position_2)
    x = layers.Conv2DTranspose(channels[0], 5, padding="same", activation="tanh", name="deconv2")(x)
    x = MaxUnpool((2, 2), space_1, name="unpool1")(x, position_1)
    x = layers.Conv2DTranspose(length, 11, 4, activation="tanh", dtype="float32", name="deconv1")(x)
    x = layers.Cropping2D(padding, dtype="float32", name="crop")(x)
    x = layers.Reshape((height, width, length, 1), dtype="float32", name="channels_as_frames")(x)
    x = layers.Permute((3, 1, 2, 4), dtype="float32", name="frames_first")(x)
    return keras.Model(inputs, x, name=name)


def build_convlstm_autoencoder(
    input_shape: tuple[int, int, int, int],
    channels: Sequence[int],
    lstm_channels: Sequence[int],
    name: str | None = None,
) -> keras.Model:
    """The auto-encoder of Chong & Tay 2017, section 3.2 and figures 2 and 3.

    Args:
        input_shape: (T, height, width, 1).
        channels: Channels of the two convolutions.
        lstm_channels: Channels of the convolutional LSTMs.
        name: Name of the model.

    Returns:
        A model from float32 (batch, *input_shape) to the same shape.
    """
    length, height, width, _ = input_shape
    padding = [_border(size, least=27, step=8) for size in (height, width)]
    inputs = keras.Input(input_shape, name="window")
    x = ops.reshape(inputs, (-1, height, width, 1))  # each frame alone
    x = layers.ZeroPadding2D(padding, name="pad")(x)
    x = layers.Conv2D(channels[0], 11, 4, activation="tanh", name="conv1")(x)
    x = layers.Conv2D(channels[1], 5, 2, activation="tanh", name="conv2")(x)
    space = x.shape[1:3]
    x = ops.reshape(x, (-1, length, *space, channels[1]))
    for number, filters in enumerate(lstm_channels, start=1):
        # Unrolled, as the window's length is known: a loop takes longer to trace and to run.
        x = layers.ConvLSTM2D(filters, 3, padding="same", return_sequences=True, unroll=True, name=f"lstm{number}")(x)
    x = ops.reshape(x, (-1, *space, lstm_channels[-1]))
    x = layers.Conv2DTranspose(channels[0], 5, 2, activation="tanh", name="deconv2")(x)
    x = layers.Conv2DTranspose(1, 11, 4, dtype="float32", name="deconv1")(x)
    x = layers.Cropping2D(padding, dtype="float32", name="crop")(x)
    return keras.Model(inputs, ops.reshape(x, (-1, length, height, width, 1)), name=name)


def _border(size: int, least: int, step: int) -> tuple[int, int]:
    """Padding before and after ``size`` pixels that makes them ``least`` plus a multiple of ``step``."""
    missing = max(least - size, (least - size) % step)
    return missing // 2, missing - missing // 2


def _check_channels(name: str, channels: Sequence[int], count: int) -> None:
    check_channels(name, channels, count)
    if len(channels) > count:
        raise VadError(f"{name} is {tuple(channels)}, but must hold {count} numbers, one a convolution.")

"""Decoupled appearance and motion learning (Li, Leroux, Simoens 2021)."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from keras_vad.errors import VadError
from keras_vad.layers.losses import dssim, gradient_difference
from keras_vad.layers.masked import ChannelMaskedConv2D
from keras_vad.models.checks import check_above, check_at_least, check_channels, check_choice
from keras_vad.models.detector import Pooling, TrainingPhase, VideoAnomalyDetector
from keras_vad.scoring.calibrate import apply_calibration
from keras_vad.window import Window, as_size

MOTION_MODELS = ("conv3d", "convlstm", "autoregressive")
RECONSTRUCTION_LOSSES = ("mse", "gdl", "ssim", "mse+gdl", "mse+ssim", "mse+gdl+ssim")
SCORES = ("z_mse", "p_mse", "r_mse", "cosine")
RESCALINGS = ("min_max", "sliding_min_max", "trailing_min_max")

_MOTION_BLOCKS = 3


@keras.saving.register_keras_serializable(package="keras_vad")
class DecoupledAppearanceMotion(VideoAnomalyDetector):
    """Decoupled appearance and motion learning.

    An encoder turns every frame into a latent code by itself; a decoder restores the frame from its code and the
    encoder's features of the frame before it (section 3.1). A motion model predicts the code of a frame some way ahead
    from the codes of a few past frames (section 3.2). A frame is abnormal if its code is not the predicted one (eq. 2):
    the decoder does not run, and in a running video every frame is encoded once (``stream``).

    B. Li, S. Leroux, P. Simoens: "Decoupled Appearance and Motion Learning for Efficient Anomaly Detection in
    Surveillance Video", Computer Vision and Image Understanding 210, 2021.

    Deviations and choices where the paper is silent:
        Deviation: the objective is eq. 1 divided by the number of restored values, because its terms then read as
        errors a value; their ratios, and so Adam's steps, are those of eq. 1.
        Deviation: the kernels of the motion model are 2 x 3 x 3, as in the public code, because with stride 2 they see
        every pair of codes once; ``motion_kernel=(3, 3, 3)`` is what the paper says.
        Deviation: the autoregressive model predicts each latent channel from the past codes and the channels before
        it under a Gaussian of constant variance, because its score in table 5 is a squared error; Abati et al. (2019)
        estimate quantised densities.
        The length of the first phase ("until the reconstruction converges"), the sizes of the ConvLSTM and
        autoregressive models, and equal weights of summed reconstruction losses are ours.

    Args:
        image_size: (height, width) of the input in pixels, or one number for both; divisible by 2 for every level of
            the encoder but one. The paper's is (128, 192) for UCSD and (128, 224) for Avenue and ShanghaiTech.
        image_channels: 1 (gray, UCSD) or 3 (RGB).
        window_length: Past frames that the motion model sees, k, 2 to 8. The paper's value is 8 for UCSD, 6 else.
        step: Frames of the video between two of them (2 in the public code).
        horizon: How many such steps after them the predicted frame comes. The paper's value is 6.
        channels: Channels of the encoder's levels. The paper has four levels, five (up to 1024) for Ped1.
        motion: ``"conv3d"``, ``"convlstm"`` or ``"autoregressive"`` (table 5).
        motion_kernel: Kernel (time, height, width) of the 3D convolutions.
        reconstruction_loss: ``"mse"``, ``"gdl"`` (gradient difference), ``"ssim"`` or sums of them joined by ``+``
            (table 4).
        weight_decay: gamma of eq. 1, >= 0. The paper's value is 0.001.
        score: ``"z_mse"``, squared error of the predicted code (eq. 2); ``"p_mse"``, of the frame decoded from it;
            ``"r_mse"``, of the restored frame (table 5; not of a future frame); or ``"cosine"``, one minus the cosine
            between predicted and true code. The middle two run the decoder.
        rescaling: Of a video's scores under the protocol ``paper``: ``"min_max"`` (eq. 3), or for long videos within a
            sliding window, ``"sliding_min_max"`` (looks ahead, as the paper does for ShanghaiTech) or
            ``"trailing_min_max"`` (does not).
        pooling: How the map of errors becomes a frame's score: ``"mean"`` (eq. 2), or ours, ``"excess"`` or ``"max"``
            (``keras_vad.models.detector.Pooling``).
        pooling_sigma: Deviation of the pooling's blur, as a share of the map's height. Maps of codes are small.
        pooling_quantile: Quantile of normal errors that the excess is counted from.
        appearance_epochs: Epochs of the first phase, lambda_r = 1, lambda_p = 0.001 (section 3.3).
        motion_epochs: Epochs of the second phase, lambda_r = 0.001, lambda_p = 1. The paper has 50 in all.
        decay_epochs: The learning rate falls to a tenth every so many epochs; ``None``: never. The paper's value is 20.
        train_encoder_for_motion: Whether the encoder goes on learning in the second phase (the paper). If not, the
            motion model learns alone, against codes that stay as they are.
        learning_rate: Of Adam. The paper's value is 1e-4.

    Call arguments:
        windows: float32, (batch, k + 2, H, W, image channels), from ``preprocess``: the past frames, the frame one step
            before the predicted one, and the predicted frame.

    Example:
    >>> import numpy as np
    >>> detector = DecoupledAppearanceMotion(image_size=16, channels=(2, 4), window_length=4, step=1, horizon=1)
    >>> detector.score_video(np.zeros((8, 48, 64, 3), "uint8")).frame_index.tolist()
    [4, 5, 6, 7]
    """

    paper = (
        "Li et al. 2021: Decoupled Appearance and Motion Learning for Efficient Anomaly Detection in Surveillance Video"
    )

    def __init__(
        self,
        image_size: int | Sequence[int] = (128, 192),
        image_channels: int = 1,
        window_length: int = 8,
        step: int = 2,
        horizon: int = 6,
        channels: Sequence[int] = (64, 128, 256, 512),
        motion: str = "conv3d",
        motion_kernel: Sequence[int] = (2, 3, 3),
        reconstruction_loss: str = "mse",
        weight_decay: float = 0.001,
        score: str = "z_mse",
        rescaling: str = "min_max",
        pooling: str = "mean",
        pooling_sigma: float = 0.03,
        pooling_quantile: float = 0.99,
        appearance_epochs: int = 10,
        motion_epochs: int = 40,
        decay_epochs: int | None = 20,
        train_encoder_for_motion: bool = True,
        learning_rate: float = 1e-4,
        name: str | None = None,
    ) -> None:
        check_choice("image_channels", image_channels, (1, 3))
        check_choice("motion", motion, MOTION_MODELS)
        check_choice("reconstruction_loss", reconstruction_loss, RECONSTRUCTION_LOSSES)
        check_choice("score", score, SCORES)
        check_choice("rescaling", rescaling, RESCALINGS)
        check_channels("channels", channels, 2)
        check_at_least(0, weight_decay=weight_decay)
        check_at_least(1, step=step, horizon=horizon, appearance_epochs=appearance_epochs, motion_epochs=motion_epochs)
        check_above(0, learning_rate=learning_rate)
        if decay_epochs is not None:
            check_at_least(1, decay_epochs=decay_epochs)
        if len(motion_kernel) != 3 or min(motion_kernel) < 1:
            raise VadError(f"motion_kernel is {tuple(motion_kernel)}, but must be three numbers of at least 1.")
        if not 2 <= window_length <= 2**_MOTION_BLOCKS:
            raise VadError(
                f"window_length is {window_length}, but must lie between 2 and {2**_MOTION_BLOCKS}: the motion model "
                f"halves it {_MOTION_BLOCKS} times, to one code."
            )
        if motion == "autoregressive" and score == "p_mse":
            raise VadError(
                "score is 'p_mse', but the autoregressive model sees the code that it predicts, so there is no "
                "predicted frame; use 'z_mse'."
            )
        size = as_size(image_size)
        shrinkage = 2 ** (len(channels) - 1)
        if size[0] % shrinkage or size[1] % shrinkage:
            raise VadError(
                f"image_size is {size}, but must be divisible by {shrinkage}, as {len(channels)} levels halve it "
                f"{len(channels) - 1} times; choose another size or fewer channels."
            )
        target = (window_length - 1 + horizon) * step
        super().__init__(
            Window(
                length=window_length,
                size=size,
                channels=image_channels,
                step=step,
                offsets=(target,),
                targets=(target - step, target),
            ),
            subtract_background=True,
            pooling=Pooling(pooling, pooling_sigma, pooling_quantile),
            name=name,
        )

        # === Networks ===
        code = (size[0] // shrinkage, size[1] // shrinkage, channels[-1])
        self.encoder = build_encoder((*size, image_channels), channels, name="encoder")
        self.decoder = build_decoder(size, image_channels, channels, name="decoder")
        self.motion_model = build_motion_model(window_length, code, motion, motion_kernel, name="motion")
        self.loss_weight("reconstruction", 1.0)
        self.loss_weight("prediction", 0.001)

        # === Config ===
        self.image_size = size
        self.image_channels = image_channels
        self.window_length = window_length
        self.step = step
        self.horizon = horizon
        self.channels = tuple(channels)
        self.motion = motion
        self.motion_kernel = tuple(motion_kernel)
        self.reconstruction_loss = reconstruction_loss
        self.weight_decay = weight_decay
        self.score = score
        self.rescaling = self.paper_rescaling = rescaling
        self.appearance_epochs = appearance_epochs
        self.motion_epochs = motion_epochs
        self.decay_epochs = decay_epochs
        self.train_encoder_for_motion = train_encoder_for_motion
        self.learning_rate = learning_rate

        self.parts = ("z_mse", "cosine")
        if self.needs_decoder:
            self.parts += ("r_mse",) if motion == "autoregressive" else ("r_mse", "p_mse")
        self.parts += ("excess_error", "max_error")

    @property
    def needs_decoder(self) -> bool:
        """Whether the score is one of pixels."""
        return self.score in ("p_mse", "r_mse")

    # === Losses and training ===

    def phases(self) -> list[TrainingPhase]:
        """Section 3.3: first the auto-encoder, then the motion model; the learning rate falls as in section 4.1."""
        schedule = (
            ("appearance", self.appearance_epochs, (), {"reconstruction": 1.0, "prediction": 0.001}),
            (
                "motion",
                self.motion_epochs,
                () if self.train_encoder_for_motion else ("motion_model",),
                {"reconstruction": 0.001, "prediction": 1.0},
            ),
        )
        phases, epoch = [], 0
        for name, epochs, trainable, weights in schedule:
            end, part = epoch + epochs, 1
            while epoch < end:
                decays = epoch // self.decay_epochs if self.decay_epochs else 0
                stop = min(end, (decays + 1) * self.decay_epochs) if self.decay_epochs else end
                phases.append(
                    TrainingPhase(
                        name if part == 1 else f"{name}_{part}",
                        epochs=stop - epoch,
                        trainable=trainable,
                        loss_weights=weights,
                        learning_rate=self.learning_rate * 0.1**decays,
                    )
                )
                epoch, part = stop, part + 1
        return phases

    def compute_losses(self, frames: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """One replica's shares of the terms of eq. 1, before their weights.

        Args:
            frames: uint8, (batch, k + 2, H0, W0, 3).
            training: Whether to use batch statistics.

        Returns:
            ``reconstruction``, error a restored value (the mean squared one, or table 4's), but not in training while
            the decoder rests; ``prediction``, squared error a latent value; ``weights``, the sum of all squared kernels
            that learn. float32 scalars.
        """
        k = self.window.length
        inputs = self.preprocess(frames)
        inputs = tf.concat([inputs[:, :k], inputs[:, -1:]], axis=1)  # the one before the last serves scoring only
        *features, codes = self._encode(inputs, training)

        losses = {}
        if self.decoder.trainable or not training:  # nothing learns from it while the motion model learns alone
            # Frames 2 to k, each with the features of the one before it.
            skipped = [_as_images(feature[:, : k - 1]) for feature in features]
            restored = self.decoder([_as_images(codes[:, 1:k]), *skipped], training=training)
            error = self._reconstruction_error(restored, _as_images(inputs[:, 1:k]))
            losses["reconstruction"] = self.global_mean(tf.reduce_mean(tf.reshape(error, [-1, k - 1]), axis=1))

        predicted = self._predict(codes[:, :k], codes[:, k], training)
        latent_error = tf.reduce_mean(tf.square(predicted - codes[:, k]), axis=(1, 2, 3))

        kernels = [weight for weight in self.trainable_variables if weight.name in ("kernel", "recurrent_kernel")]
        squares = tf.add_n([tf.reduce_sum(tf.square(tf.convert_to_tensor(kernel))) for kernel in kernels])
        losses["prediction"] = self.global_mean(latent_error)
        losses["weights"] = squares / tf.distribute.get_replica_context().num_replicas_in_sync
        return losses

    def _reconstruction_error(self, restored: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
        """Error of each restored image, (images,); both with the background subtracted."""
        background = tf.convert_to_tensor(self.background)
        errors = {
            "mse": lambda: tf.reduce_mean(tf.square(restored - frames), axis=(1, 2, 3)),
            "gdl": lambda: gradient_difference(restored, frames),
            "ssim": lambda: dssim(restored + background, frames + background),
        }
        return tf.add_n([errors[name]() for name in self.reconstruction_loss.split("+")])

    def objective(self, losses: dict[str, tf.Tensor]) -> tf.Tensor:
        """Eq. 1 divided by the number of restored values, from the terms of ``compute_losses``."""
        height, width = self.window.size
        restored_values = (self.window.length - 1) * height * width * self.window.channels
        latent_values = math.prod(self.motion_model.output.shape[1:])
        return (
            self.loss_weight("reconstruction") * losses.get("reconstruction", 0.0)
            + self.loss_weight("prediction") * losses["prediction"] * latent_values / restored_values
            + self.weight_decay * losses["weights"] / restored_values
        )

    def _encode(self, inputs: tf.Tensor, training: bool) -> list[tf.Tensor]:
        """Features and latent codes, (batch, frames, ...) each, of preprocessed (batch, frames, H, W, channels)."""
        outputs = self.encoder(_as_images(inputs), training=training)
        return [tf.reshape(x, tf.concat([tf.shape(inputs)[:2], x.shape[1:]], 0)) for x in outputs]

    def _predict(self, past: tf.Tensor, code: tf.Tensor, training: bool = False) -> tf.Tensor:
        inputs = [past, code] if self.motion == "autoregressive" else past
        return self.motion_model(inputs, training=training)

    # === Scores ===

    def anomaly(self, windows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Errors of the predicted latent code (eq. 2), or of pixels.

        Args:
            windows: float32, (batch, k + 2, H, W, image channels), from ``preprocess``.

        Returns:
            ``maps`` (batch, 1, h, w), the errors that ``score`` names, of latent places or of pixels; ``frame_scores``
            and ``excess_error`` and ``max_error``, how ``pooling`` reads that map; ``z_mse`` (eq. 2) and ``cosine``,
            and if the decoder runs ``r_mse`` and ``p_mse``, means of the other maps; all (batch, 1).
        """
        k = self.window.length
        *_, codes = self._encode(tf.concat([windows[:, :k], windows[:, -1:]], axis=1), training=False)
        features = self.features(windows[:, -2])
        return self.compare(codes[:, :k], codes[:, k], features, windows[:, -1])

    def features(self, inputs: tf.Tensor) -> list[tf.Tensor]:
        """What the decoder takes from the frame before, if the score needs it.

        Args:
            inputs: float32, (batch, H, W, image channels), preprocessed.
        """
        return self.encoder(inputs, training=False)[:-1] if self.needs_decoder else []

    def compare(
        self, past: tf.Tensor, code: tf.Tensor, features: Sequence[tf.Tensor], inputs: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """What ``anomaly`` gives, from codes that are known already.

        Args:
            past: float32, (batch, k, h, w, D), codes of the past frames.
            code: float32, (batch, h, w, D), code of the scored frame.
            features: ``features`` of the frame one step before it.
            inputs: float32, (batch, H, W, image channels), the preprocessed scored frame.
        """
        predicted = self._predict(past, code)
        maps = {
            "z_mse": tf.reduce_mean(tf.square(predicted - code), axis=-1),
            "cosine": 1.0 - tf.reduce_sum(tf.math.l2_normalize(predicted, -1) * tf.math.l2_normalize(code, -1), -1),
        }
        if features:
            decoded = {"r_mse": code} if self.motion == "autoregressive" else {"r_mse": code, "p_mse": predicted}
            for name, source in decoded.items():
                frame = self.decoder([source, *features], training=False)
                maps[name] = tf.reduce_mean(tf.square(frame - inputs), axis=-1)
        scored = maps[self.score][:, None]
        means = {name: tf.reduce_mean(errors, axis=(1, 2))[:, None] for name, errors in maps.items()}
        return {**self.pooled(scored), **means, "maps": scored}

    def score_chunk(self, frames: tf.Tensor, maps: bool = False) -> dict[str, tf.Tensor]:
        """As of the base class, but every frame is encoded once and not once a window."""
        window = self.window
        inputs = self.preprocess(frames)
        batch, n_frames = tf.shape(frames)[0], tf.shape(frames)[1]
        too_short = f"frames has too few frames in a chunk: this model needs at least {window.span}"
        with tf.control_dependencies([tf.debugging.assert_greater_equal(n_frames, window.span, message=too_short)]):
            starts = tf.range(n_frames - window.span + 1)
        codes = tf.map_fn(
            lambda t: self.encoder(inputs[:, t], training=False)[-1],
            tf.range(n_frames),
            parallel_iterations=1,
            fn_output_signature=tf.float32,
        )
        past, (before, scored) = tf.range(window.length) * window.step, window.targets
        names = ["frame_scores", *self.parts, *(["maps"] if maps else [])]

        def one_window(start: tf.Tensor) -> dict[str, tf.Tensor]:
            past_codes = tf.transpose(tf.gather(codes, start + past), [1, 0, 2, 3, 4])
            features = self.features(inputs[:, start + before])
            output = self.compare(past_codes, codes[start + scored], features, inputs[:, start + scored])
            return {name: output[name][:, 0] for name in names}

        per_window = tf.map_fn(
            one_window, starts, parallel_iterations=1, fn_output_signature=dict.fromkeys(names, tf.float32)
        )
        per_frame = {
            name: tf.transpose(values, [1, 0, *range(2, values.shape.rank)]) for name, values in per_window.items()
        }
        raw = per_frame["frame_scores"]
        return {
            "raw_scores": raw,
            "scores": apply_calibration(
                raw, tf.convert_to_tensor(self.calibration_raw), tf.convert_to_tensor(self.calibration_level)
            ),
            "frame_offsets": tf.tile((starts + scored)[None], [batch, 1]),
            **{f"part/{name}": per_frame[name] for name in self.parts},
            **({"maps": per_frame["maps"]} if maps else {}),
        }

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        assert self.pooling is not None
        return {
            "image_size": self.image_size,
            "image_channels": self.image_channels,
            "window_length": self.window_length,
            "step": self.step,
            "horizon": self.horizon,
            "channels": self.channels,
            "motion": self.motion,
            "motion_kernel": self.motion_kernel,
            "reconstruction_loss": self.reconstruction_loss,
            "weight_decay": self.weight_decay,
            "score": self.score,
            "rescaling": self.rescaling,
            "pooling": self.pooling.kind,
            "pooling_sigma": self.pooling.sigma,
            "pooling_quantile": self.pooling.quantile,
            "appearance_epochs": self.appearance_epochs,
            "motion_epochs": self.motion_epochs,
            "decay_epochs": self.decay_epochs,
            "train_encoder_for_motion": self.train_encoder_for_motion,
            "learning_rate": self.learning_rate,
            "name": self.name,
        }


def _as_images(frames: tf.Tensor) -> tf.Tensor:
    """(batch, frames, ...) to (batch * frames, ...)."""
    return tf.reshape(frames, tf.concat([[-1], frames.shape[2:]], 0))


def _activated(x: keras.KerasTensor, name: str, **kwargs: Any) -> keras.KerasTensor:
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.LeakyReLU(0.3, name=f"{name}_activation", **kwargs)(x)


def build_encoder(input_shape: tuple[int, int, int], channels: Sequence[int], name: str | None = None) -> keras.Model:
    """The encoder: levels of two convolutions 3 x 3, each with batch normalisation and LeakyReLU, max-pooling between.

    Args:
        input_shape: (height, width, image channels).
        channels: Channels of the levels.
        name: Name of the model.

    Returns:
        A model from float32 (batch, *input_shape) to a list: the features of every level but the last, finest first,
        and the latent code, float32 (batch, h, w, channels[-1]).
    """
    x = inputs = keras.Input(input_shape, name="frame")
    outputs = []
    for level, filters in enumerate(channels, start=1):
        if level > 1:
            x = layers.MaxPooling2D(2, name=f"pool{level - 1}")(x)
        for number in (1, 2):
            is_code = level == len(channels) and number == 2
            layer = f"conv{level}_{number}"
            x = layers.Conv2D(filters, 3, padding="same", name=layer)(x)
            x = _activated(x, layer, **({"dtype": "float32"} if is_code else {}))
        outputs.append(x)
    return keras.Model(inputs, outputs, name=name)


def build_decoder(
    size: tuple[int, int], image_channels: int, channels: Sequence[int], name: str | None = None
) -> keras.Model:
    """The decoder of figure 1(b).

    Its levels double the resolution by a transposed convolution 2 x 2, add the previous frame's features and go on with
    two convolutions 3 x 3; they have half as many channels as those features. A last convolution 3 x 3 is linear.

    Args:
        size: (height, width) of the frame.
        image_channels: Channels of the frame.
        channels: Channels of the encoder's levels.
        name: Name of the model.

    Returns:
        A model from a list, the latent code and the features as the encoder gives them, to the frame, float32
        (batch, *size, image_channels).
    """
    shapes = [(size[0] // 2**level, size[1] // 2**level, filters) for level, filters in enumerate(channels)]
    features = [keras.Input(shape, name=f"features{level}") for level, shape in enumerate(shapes[:-1], start=1)]
    x = code = keras.Input(shapes[-1], name="code")
    for level in range(len(channels) - 1, 0, -1):
        filters = max(1, channels[level - 1] // 2)
        x = layers.Conv2DTranspose(filters, 2, strides=2, name=f"up{level}")(x)
        x = layers.Concatenate(name=f"join{level}")([x, features[level - 1]])
        for number in (1, 2):
            layer = f"deconv{level}_{number}"
            x = _activated(layers.Conv2D(filters, 3, padding="same", name=layer)(x), layer)
    x = layers.Conv2D(image_channels, 3, padding="same", dtype="float32", name="frame")(x)
    return keras.Model([code, *features], x, name=name)


def build_motion_model(
    length: int,
    code: tuple[int, int, int],
    kind: str = "conv3d",
    kernel: Sequence[int] = (2, 3, 3),
    name: str | None = None,
) -> keras.Model:
    """The motion model of figure 1(c), or one of its substitutes of table 5.

    Three blocks of a layer with batch normalisation and LeakyReLU. The layers are 3D convolutions with stride 2 in
    time; or ConvLSTMs, of which the last gives its last state; or convolutions of the predicted frame's own code that
    see only the channels before (the first of them joined by a convolution of all past codes).

    Args:
        length: Past codes, at most 8.
        code: Shape of a code, (h, w, channels).
        kind: ``"conv3d"``, ``"convlstm"`` or ``"autoregressive"``.
        kernel: Kernel (time, height, width) of the 3D convolutions; the others have 3 x 3.
        name: Name of the model.

    Returns:
        A model from float32 (batch, length, *code), autoregressive: from a list of this and the true code
        (batch, *code), to the predicted code, float32 (batch, *code).
    """
    height, width, channels = code
    x = past = keras.Input((length, *code), name="past")
    inputs: keras.KerasTensor | list[keras.KerasTensor] = past
    if kind == "autoregressive":
        x = layers.Permute((2, 3, 1, 4), name="past_last")(past)
        x = layers.Reshape((height, width, length * channels), name="past_as_channels")(x)
        context = layers.Conv2D(channels, 3, padding="same", name="context")(x)
        x = true_code = keras.Input(code, name="code")
        inputs = [past, true_code]
    for block in range(1, _MOTION_BLOCKS + 1):
        last = block == _MOTION_BLOCKS
        layer = f"motion{block}"
        if kind == "conv3d":
            x = layers.Conv3D(channels, tuple(kernel), strides=(2, 1, 1), padding="same", name=layer)(x)
        elif kind == "convlstm":
            x = layers.ConvLSTM2D(channels, 3, padding="same", return_sequences=not last, name=layer)(x)
        else:
            x = ChannelMaskedConv2D(channels, 3, inclusive=block > 1, padding="same", name=layer)(x)
            x = layers.Add(name="join")([x, context]) if block == 1 else x
        x = _activated(x, layer, **({"dtype": "float32"} if last else {}))
    if kind == "conv3d":
        x = layers.Reshape(code, name="predicted", dtype="float32")(x)
    return keras.Model(inputs, x, name=name)

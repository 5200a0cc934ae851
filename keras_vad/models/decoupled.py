"""Decoupled appearance and motion learning (Li, Leroux, Simoens 2021)."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_vad.errors import VadError
from keras_vad.layers.losses import dssim, gradient_difference
from keras_vad.layers.masked import ChannelMaskedConv2D
from keras_vad.layers.normalization import BatchNormalization
from keras_vad.models.checks import check_above, check_at_least, check_channels, check_choice
from keras_vad.models.detector import Pooling, TrainingPhase, VideoAnomalyDetector
from keras_vad.scoring.calibrate import apply_calibration
from keras_vad.window import Window, as_size

MOTION_MODELS = ("conv3d", "convlstm", "autoregressive")
RECONSTRUCTION_LOSSES = ("mse", "gdl", "ssim", "mse+gdl", "mse+ssim", "mse+gdl+ssim")
SCORES = ("z_mse", "p_mse", "r_mse", "cosine")
RESCALINGS = ("min_max", "sliding_min_max", "trailing_min_max")

_MOTION_BLOCKS = 3
_MOMENTUM = 0.9  # of running statistics
_EPSILON = 1e-7  # of Adam, of the public code's framework
_RESTORED_FRAMES = 2  # of a batch of single frames, for each window of the recipe's batch


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
        errors a value. Adam's epsilon is divided by the same number, so its steps are those of eq. 1.
        Deviation: running statistics of batch normalisation keep 0.9 of what they were at each step, not Keras' 0.99,
        because these begin at 1, where the variance of the first layer's values is 1e-4: only after a thousand steps of
        0.99 the resting encoder would give codes that are not damped.
        Deviation: the kernels of the motion model are 2 x 3 x 3, as in the public code, because with stride 2 they see
        every pair of codes once; ``motion_kernel=(3, 3, 3)`` is what the paper says.
        Deviation: the autoregressive model predicts each latent channel from the past codes and the channels before
        it under a Gaussian of constant variance, because its score in table 5 is a squared error; Abati et al. (2019)
        estimate quantised densities.
        Deviation: the decoder's last kernel begins with a hundredth of the usual size, because images of the usual size
        are ten times what is left of a frame without the background; suppressing them first costs the code its meaning
        and the encoder its early epochs.
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
        previous_levels: From how many of the encoder's levels, the coarsest, the decoder sees the features of the frame
            before; ``None`` for all (the paper). That frame is almost the restored one and its features are wider
            than the image, so copying them is nearly enough and the code may stay without meaning; with 0 the code
            alone restores the frame.
        appearance_prediction: lambda_p of the first phase, >= 0. The paper's value is 0.001. Adam's steps do not depend
            on a loss's size, so wherever the reconstruction does not need the code, even a small prediction loss
            alone decides about it, and codes that are easy to predict hold nothing. With 0 the first phase learns to
            restore single frames.
        stop_gradient: Whether the prediction loss takes the true code as given. The paper does not say so; without
            it, codes are also trained to be predictable.
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
        appearance_epochs: Epochs of the first phase, lambda_r = 1, lambda_p = ``appearance_prediction`` (section 3.3).
        motion_epochs: Epochs of the second phase, lambda_r = 0.001, lambda_p = 1. The paper has 50 in all.
        decay_epochs: The learning rate falls to a tenth every so many epochs; ``None``: never. The paper's value is 20.
        train_encoder_for_motion: Whether the encoder goes on learning in the second phase (the paper). If not, every
            frame is encoded once, and the motion model learns alone from these codes.
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

    health_figures = (
        "code_variance",
        "mean_code_error_ratio",
        "prediction_error_share",
        "repeated_code_error_ratio",
    )
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
        previous_levels: int | None = None,
        appearance_prediction: float = 0.001,
        stop_gradient: bool = False,
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
        check_at_least(0, weight_decay=weight_decay, appearance_prediction=appearance_prediction)
        if previous_levels is not None and not 0 <= previous_levels < len(channels):
            raise VadError(
                f"previous_levels is {previous_levels}, but must lie between 0 and {len(channels) - 1}, the levels "
                "above the code; leave it out for all of them."
            )
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
        self.decoder = build_decoder(size, image_channels, channels, previous_levels, name="decoder")
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
        self.previous_levels = previous_levels
        self.appearance_prediction = appearance_prediction
        self.stop_gradient = stop_gradient
        self._n_previous = len(channels) - 1 if previous_levels is None else previous_levels
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
    def _restored_values(self) -> int:
        """Values of the frames that the first sum of eq. 1 counts."""
        return (self.window.length - 1) * math.prod(self.window.size) * self.window.channels

    @property
    def needs_decoder(self) -> bool:
        """Whether the score is one of pixels."""
        return self.score in ("p_mse", "r_mse")

    # === Losses and training ===

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        """Adam, whose epsilon is divided like the objective."""
        return keras.optimizers.Adam(self.learning_rate, epsilon=_EPSILON / self._restored_values)

    def phases(self) -> list[TrainingPhase]:
        """Section 3.3: first the auto-encoder, then the motion model; the learning rate falls as in section 4.1."""
        appearance: dict[str, Any] = {
            "loss_weights": {"reconstruction": 1.0, "prediction": self.appearance_prediction},
        }
        if self.appearance_prediction == 0:
            # Nothing but the restored frame counts, so a window is that frame, and the one before it if it is seen.
            frames = Window(
                1 if self.previous_levels == 0 else 2, self.window.size, self.window.channels, step=self.window.step
            )
            appearance |= {
                "trainable": ("encoder", "decoder"),
                "windows": (frames,),
                "batch_factor": _RESTORED_FRAMES,
            }
        motion: dict[str, Any] = {"loss_weights": {"reconstruction": 0.001, "prediction": 1.0}}
        if not self.train_encoder_for_motion:
            window = dataclasses.replace(self.window, targets=self.window.targets[-1:])
            motion |= {"trainable": ("motion_model",), "windows": (window,), "encode": "encode_frames"}
        schedule = (
            ("appearance", self.appearance_epochs, appearance),
            ("motion", self.motion_epochs, motion),
        )
        phases, epoch = [], 0
        for name, epochs, options in schedule:
            end, part = epoch + epochs, 1
            while epoch < end:
                decays = epoch // self.decay_epochs if self.decay_epochs else 0
                stop = min(end, (decays + 1) * self.decay_epochs) if self.decay_epochs else end
                phases.append(
                    TrainingPhase(
                        name if part == 1 else f"{name}_{part}",
                        epochs=stop - epoch,
                        learning_rate=self.learning_rate * 0.1**decays,
                        **options,
                    )
                )
                epoch, part = stop, part + 1
        return phases

    def encode_frames(self, frames: tf.Tensor) -> tf.Tensor:
        """Codes of single frames, which the second phase learns from while the encoder rests.

        Args:
            frames: uint8, (n, H0, W0, 3).

        Returns:
            float32, (n, h, w, D).
        """
        return self.encoder(self.preprocess(frames), training=False)[-1]

    def compute_losses(self, frames: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """One replica's shares of the terms of eq. 1, before their weights.

        Args:
            frames: What the phase learns from: windows, uint8 (batch, k + 2, H0, W0, 3); the restored frame, after the
                one before it if the decoder sees that, uint8 (batch, 1 or 2, H0, W0, 3); or codes of the past frames
                and of the predicted one, float32 (batch, k + 1, h, w, D).
            training: Whether to use batch statistics.

        Returns:
            ``reconstruction``, error a restored value (the mean squared one, or table 4's), unless there are no frames
            or the decoder rests in training; ``prediction``, squared error a latent value, unless there are no past
            codes; ``weights``, the sum of all squared kernels that learn. float32 scalars.
        """
        k = self.window.length
        losses, codes = {}, frames
        if frames.dtype == tf.uint8:
            inputs = self._learned_frames(frames)
            *features, codes = self._encode(inputs, training)
            if self.decoder.trainable or not training:  # nothing learns from it while the motion model learns alone
                # Frames 2 to k, each with the features of the one before it, or the only one.
                first, end = (0, 1) if inputs.shape[1] == 1 else (1, min(k, inputs.shape[1]))
                skipped = [_as_images(feature[:, first - 1 : end - 1]) for feature in self.used_features(features)]
                restored = self.decoder([_as_images(codes[:, first:end]), *skipped], training=training)
                error = self._reconstruction_error(restored, _as_images(inputs[:, first:end]))
                losses["reconstruction"] = self.global_mean(
                    tf.reduce_mean(tf.reshape(error, [-1, end - first]), axis=1)
                )
        if codes.shape[1] == k + 1:
            target = tf.stop_gradient(codes[:, k]) if self.stop_gradient else codes[:, k]
            predicted = self._predict(codes[:, :k], target, training)
            losses["prediction"] = self.global_mean(tf.reduce_mean(tf.square(predicted - target), axis=(1, 2, 3)))

        kernels = [weight for weight in self.trainable_variables if weight.name in ("kernel", "recurrent_kernel")]
        squares = tf.add_n([tf.reduce_sum(tf.square(tf.convert_to_tensor(kernel))) for kernel in kernels])
        losses["weights"] = squares / tf.distribute.get_replica_context().num_replicas_in_sync
        return losses

    def _learned_frames(self, frames: tf.Tensor) -> tf.Tensor:
        """Preprocessed frames of a training window; of a whole one, the past frames and the predicted one."""
        k = self.window.length
        inputs = self.preprocess(frames)
        whole = frames.shape[1] == k + 2
        # The one before the last serves scoring only.
        return tf.concat([inputs[:, :k], inputs[:, -1:]], axis=1) if whole else inputs

    def used_features(self, features: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """What the decoder takes from the frame before.

        Args:
            features: All of the encoder's features of it, finest first, without its code.
        """
        return list(features)[len(features) - self._n_previous :]

    def _reconstruction_error(self, restored: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
        """Error of each restored image, (images,); both with the background subtracted."""
        background = tf.convert_to_tensor(self.background)
        errors = {
            "mse": lambda: tf.reduce_mean(tf.square(restored - frames), axis=(1, 2, 3)),
            "gdl": lambda: gradient_difference(restored, frames),
            "ssim": lambda: dssim(restored + background, frames + background),
        }
        return tf.add_n([errors[name]() for name in self.reconstruction_loss.split("+")])

    def health(self, batches: Iterable[tf.Tensor]) -> dict[str, float]:
        """Whether the code holds something and the prediction is worth its name.

        Args:
            batches: As ``compute_losses`` takes; read twice.

        Returns:
            ``code_variance``: of each value of a code over the last frames of the windows, mean of all values.
            ``mean_code_error_ratio``: mean squared error of frames restored from the mean code over that of frames
            restored from their own; 1 if the decoder ignores the code. Of the last frame that a window restores.
            ``prediction_error_share``: mean squared error of the predicted codes over ``code_variance``, which does not
            depend on the codes' size; 1 if the mean code would do as well.
            ``repeated_code_error_ratio``: mean squared error of the last past code, taken for the predicted one, over
            that of the prediction; 1 if repeating would do as well.
        """
        total, squares, count = np.float64(0), np.float64(0), 0
        for batch in batches:
            code = self._last_code(batch).numpy().astype("float64")
            total, squares, count = total + code.sum(0), squares + (code**2).sum(0), count + len(code)
        mean_code = total / count
        variance = float(np.mean(squares / count - mean_code**2))

        own, mean, predicted, repeated = 0.0, 0.0, 0.0, 0.0
        for batch in batches:
            if batch.dtype == tf.uint8:
                inputs = self._learned_frames(batch)
                frames = inputs[:, : self.window.length]
                *features, code = self.encoder(frames[:, -1], training=False)
                if frames.shape[1] > 1:
                    features = self.encoder(frames[:, -2], training=False)[:-1]
                constant = tf.broadcast_to(tf.constant(mean_code, tf.float32), tf.shape(code))
                own += self._sum_of_restored_errors(code, features, frames[:, -1])
                mean += self._sum_of_restored_errors(constant, features, frames[:, -1])
                codes = self._encode(inputs, False)[-1] if inputs.shape[1] > self.window.length else None
            else:
                codes = batch
            if codes is not None:
                past, code = codes[:, :-1], codes[:, -1]
                predicted += float(tf.reduce_sum(tf.square(self._predict(past, code) - code)))
                repeated += float(tf.reduce_sum(tf.square(past[:, -1] - code)))
        figures = {"code_variance": variance}
        if own:
            figures["mean_code_error_ratio"] = mean / own
        if predicted and variance:
            figures["prediction_error_share"] = predicted / (count * mean_code.size * variance)
            figures["repeated_code_error_ratio"] = repeated / predicted
        return figures

    def _last_code(self, batch: tf.Tensor) -> tf.Tensor:
        last = batch[:, -1]
        return self.encode_frames(last) if batch.dtype == tf.uint8 else last

    def _sum_of_restored_errors(self, code: tf.Tensor, features: Sequence[tf.Tensor], frames: tf.Tensor) -> float:
        restored = self.decoder([code, *self.used_features(features)], training=False)
        return float(tf.reduce_sum(tf.square(restored - frames)))

    def objective(self, losses: dict[str, tf.Tensor]) -> tf.Tensor:
        """Eq. 1 divided by the number of restored values, from the terms of ``compute_losses``."""
        latent_values, restored_values = math.prod(self.motion_model.output.shape[1:]), self._restored_values
        return (
            self.loss_weight("reconstruction") * losses.get("reconstruction", 0.0)
            + self.loss_weight("prediction") * losses.get("prediction", 0.0) * latent_values / restored_values
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
        return self.used_features(self.encoder(inputs, training=False)[:-1]) if self.needs_decoder else []

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
        if self.needs_decoder:
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
            "previous_levels": self.previous_levels,
            "appearance_prediction": self.appearance_prediction,
            "stop_gradient": self.stop_gradient,
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


def _activated(x: keras.KerasTensor, name: str, dtype: str | None = None, code: bool = False) -> keras.KerasTensor:
    x = BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm", dtype=dtype)(x)
    return layers.LeakyReLU(0.3, name=f"{name}_activation", dtype="float32" if code else dtype)(x)


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
            x = _activated(x, layer, code=is_code)
        outputs.append(x)
    return keras.Model(inputs, outputs, name=name)


def build_decoder(
    size: tuple[int, int],
    image_channels: int,
    channels: Sequence[int],
    previous_levels: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """The decoder of figure 1(b).

    Its levels double the resolution by a transposed convolution 2 x 2, add the previous frame's features and go on with
    two convolutions 3 x 3; they have half as many channels as those features. A last convolution 3 x 3 is linear; its
    kernel begins with a hundredth of the usual size.

    Args:
        size: (height, width) of the frame.
        image_channels: Channels of the frame.
        channels: Channels of the encoder's levels.
        previous_levels: So many levels, the coarsest, add the previous frame's features; ``None`` for all.
        name: Name of the model.

    Returns:
        A model from a list, the latent code and the features that it takes, finest first as the encoder gives them, to
        the frame, float32 (batch, *size, image_channels).
    """
    shapes = [(size[0] // 2**level, size[1] // 2**level, filters) for level, filters in enumerate(channels)]
    levels = len(channels) - 1
    finest = 1 if previous_levels is None else levels - previous_levels + 1
    features = {level: keras.Input(shapes[level - 1], name=f"features{level}") for level in range(finest, levels + 1)}
    x = code = keras.Input(shapes[-1], name="code")
    for level in range(levels, 0, -1):
        filters = max(1, channels[level - 1] // 2)
        x = layers.Conv2DTranspose(filters, 2, strides=2, name=f"up{level}")(x)
        if level in features:
            x = layers.Concatenate(name=f"join{level}")([x, features[level]])
        for number in (1, 2):
            layer = f"deconv{level}_{number}"
            x = _activated(layers.Conv2D(filters, 3, padding="same", name=layer)(x), layer)
    # Frames without background are small numbers. Kernels of the usual size begin with images ten times as large, and
    # what the first steps do to suppress them costs the code its meaning.
    small = keras.initializers.VarianceScaling(1e-4, "fan_avg", "uniform")
    x = layers.Conv2D(image_channels, 3, padding="same", kernel_initializer=small, dtype="float32", name="frame")(x)
    return keras.Model([code, *features.values()], x, name=name)


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
    see only the channels before (the first of them joined by a convolution of all past codes). They compute in float32
    in any precision: some CPUs have wrong gradients of 3D convolutions in bfloat16.

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
        x = layers.Permute((2, 3, 1, 4), name="past_last", dtype="float32")(past)
        x = layers.Reshape((height, width, length * channels), name="past_as_channels", dtype="float32")(x)
        context = layers.Conv2D(channels, 3, padding="same", name="context", dtype="float32")(x)
        x = true_code = keras.Input(code, name="code")
        inputs = [past, true_code]
    for block in range(1, _MOTION_BLOCKS + 1):
        layer = f"motion{block}"
        options: dict[str, Any] = {"padding": "same", "name": layer, "dtype": "float32"}
        if kind == "conv3d":
            x = layers.Conv3D(channels, tuple(kernel), strides=(2, 1, 1), **options)(x)
        elif kind == "convlstm":
            x = layers.ConvLSTM2D(channels, 3, return_sequences=block < _MOTION_BLOCKS, **options)(x)
        else:
            x = ChannelMaskedConv2D(channels, 3, inclusive=block > 1, **options)(x)
            x = layers.Add(name="join", dtype="float32")([x, context]) if block == 1 else x
        x = _activated(x, layer, dtype="float32")
    if kind == "conv3d":
        x = layers.Reshape(code, name="predicted", dtype="float32")(x)
    return keras.Model(inputs, x, name=name)

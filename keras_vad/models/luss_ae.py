"""One auto-encoder taught by three tasks (Lohani et al. 2023)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_vad.errors import VadError
from keras_vad.layers.blur import gaussian_blur
from keras_vad.layers.normalization import BatchNormalization
from keras_vad.layers.playback import (
    check_rate_range,
    frames_needed,
    mixed_clips,
    mixed_entropy,
    nearest_frames,
    playback_clips,
)
from keras_vad.layers.pooling import log_mean_exp
from keras_vad.models.checks import check_above, check_channels, check_choice
from keras_vad.models.detector import Pooling, TrainingPhase, VideoAnomalyDetector, VideoLike
from keras_vad.scoring.rescale import RescaledPart
from keras_vad.window import Window, as_size

TASKS = ("reconstruction", "prediction", "playback")
ERRORS = ("mse", "pse", "bpe")
_SHARPNESS = 4.0  # of the pooling of the local head's logits: 0 would be their mean, infinity their maximum
_PART_RATE, _TILES, _PULLED = 1.5, (3, 4), 4  # of the health of the playback task; the last one in batches


@keras.saving.register_keras_serializable(package="keras_vad")
class LussAE(VideoAnomalyDetector):
    """Auto-encoder that learns normal video by unsupervised and self-supervised tasks.

    One 3D convolutional auto-encoder learns from normal clips to restore the clip (VCR, section 3.1.1), to predict the
    frame after it (FFP, section 3.1.2) and to tell whether a clip was played faster (PRP, section 3.1.3). A frame is
    abnormal if the clip before it is restored badly, if it was predicted badly, or if that clip looks accelerated
    (eq. 15).

    D. Lohani, C. Crispim-Junior, Q. Barthélemy, S. Bertrand, L. Robinault, L. Tougne Rodet: "Leveraging Unsupervised
    and Self-Supervised Learning for Video Anomaly Detection", VISAPP 2023.

    Deviations and choices where the paper is silent:
        Deviation: the playback head ends in logits, because the public code's softmax before its cross-entropy, which
        holds a softmax of its own, flattens the gradient.
        Deviation: the prediction head sees all T decoded frames, as channels, because the public code's strided 3D
        convolution sees two of them only; and the decoder runs once, not once a task.
        Deviation: the kernel of eq. 10, cut off at k places, is scaled to sum 1, as in the public code.
        Deviation: strided convolutions and their transposes pad even sizes after the frames, as TensorFlow does; the
        public code's framework pads before them.
        Choice: the paper adds the scores of the tasks (eq. 15) and rescales the sum (eq. 16), its public code rescales
        each task's score per test video before it adds them: see ``rescaled``.

    Args:
        image_size: (height, width) of the input in pixels, or one number for both. Any size works; the paper's
            is 256.
        window_length: Frames in a clip, T. The paper's value is 16.
        channels: Channels of the encoder's convolutions; the decoder mirrors them.
        tasks: What the auto-encoder learns, at least one of ``"reconstruction"`` (VCR), ``"prediction"`` (FFP) and
            ``"playback"`` (PRP); only their heads exist (table 2).
        loss_weights: lambda 1 to 3 of eq. 7, of reconstruction, prediction and playback; those of other tasks are
            ignored.
        playback_rates: Speeds of accelerated clips, drawn with equal chance.
        accelerated_share: Chance that a playback clip is an accelerated one. The paper's value is 0.5.
        playback_range: ``None``, or (ours) the lowest and the highest speed of accelerated clips, both above 1, drawn
            uniformly in their logarithm in place of ``playback_rates``. Whole speeds from 2 on are told apart without
            an error after a few epochs and then teach nothing about a bicycle that is half as fast again as people.
        head_kind: ``"global"``, the paper's, which sees the whole latent at once, or ``"local"`` (ours): one logit
            at every place of the latent, pooled by their log-mean-exp. A clip is then accelerated if some place looks
            so, and the head says which.
        mixed_playback: Whether (ours; local head with ``playback_range`` only) a playback clip shows the accelerated
            speed, or another normal clip, in a rectangle, and a normal clip around it; the loss asks inside and around.
            A whole accelerated clip is told by any one place that looks fast, and all others are free to say anything.
        error: ``"mse"`` (eq. 8), ``"pse"`` (eq. 9: the residual is blurred) or ``"bpe"`` (eq. 11: blurred and
            subsampled) in the score (table 4); the losses are mean squared errors in any case.
        score_weights: alpha 1 to 3 of eq. 15, of reconstruction, prediction and playback. The paper's values are
            (0.1, 0.8, 1) for Ped2, (0.1, 1, 0.1) for Avenue, (0.2, 0.2, 0.9) for ShanghaiTech.
        task_scaling: ``"none"``: eq. 15 as printed. ``"held_out"`` (ours): the pooled error, and the log-odds of an
            accelerated clip in place of its probability, are first divided by their range (q99 - q1) over held-out
            normal frames. Errors are thousandths where a probability is one, so the weights mean little without it.
        rescaling: Rescaling of the scores per video in the protocol ``paper``: ``"robust"`` (eq. 16) or ``"min_max"``
            (table 5).
        rescaled: What is rescaled there: ``"sum"``, the score (eq. 15, then 16), or ``"tasks"``, the score of each task
            before they are added with ``score_weights``, as in the public code. Its probability of acceleration is
            rescaled by min-max in any case. All of these are rows of an evaluation, whatever is chosen here.
        subtract_background: Whether the input is the frame minus the mean training frame, in [-1, 1]; the paper's is
            the frame itself, from -1 (black) to 1 (white). A still background need not be learned then, which short
            schedules need.
        input_scale: Factor on the input, which is then clipped to [-1, 1]. The paper's value is 1.
        pooling: How the map of errors becomes a number: ``"mean"`` (the paper), ``"excess"`` or ``"max"`` (ours, see
            ``Pooling``).
        pooling_sigma: See ``Pooling``.
        pooling_quantile: See ``Pooling``.
        learning_rate: Of Adam. The paper's value is 1e-4.

    Call arguments:
        windows: float32, (batch, T + 1, H, W, 1), from ``preprocess``.

    Example:
    >>> import numpy as np
    >>> detector = LussAE(image_size=32, window_length=8, channels=(2, 2, 2, 2))
    >>> video = np.zeros((20, 48, 64, 3), "uint8")
    >>> detector.score_video(video).frame_index[0]
    np.int64(8)
    """

    paper = "Lohani et al. 2023: Leveraging Unsupervised and Self-Supervised Learning for Video Anomaly Detection"
    health_figures = (
        "reconstruction_of_mean",
        "prediction_of_mean",
        "prediction_of_copy",
        "playback_of_part",
        "playback_pull",
    )

    def __init__(
        self,
        image_size: int | Sequence[int] = (256, 256),
        window_length: int = 16,
        channels: Sequence[int] = (96, 128, 256, 256),
        tasks: Sequence[str] = TASKS,
        loss_weights: Sequence[float] = (0.6, 0.4, 1.0),
        playback_rates: Sequence[int] = (2, 3, 4, 5),
        accelerated_share: float = 0.5,
        playback_range: Sequence[float] | None = None,
        head_kind: str = "global",
        mixed_playback: bool = False,
        error: str = "bpe",
        score_weights: Sequence[float] = (0.1, 0.8, 1.0),
        task_scaling: str = "none",
        rescaling: str = "robust",
        rescaled: str = "sum",
        subtract_background: bool = False,
        input_scale: float = 1.0,
        pooling: str = "mean",
        pooling_sigma: float = 0.03,
        pooling_quantile: float = 0.99,
        learning_rate: float = 1e-4,
        name: str | None = None,
    ) -> None:
        check_channels("channels", channels, 1)
        if playback_range is not None:
            check_rate_range("playback_range", playback_range)
        check_choice("head_kind", head_kind, ("global", "local"))
        check_choice("error", error, ERRORS)
        check_choice("task_scaling", task_scaling, ("none", "held_out"))
        check_choice("rescaling", rescaling, ("robust", "min_max"))
        check_choice("rescaled", rescaled, ("sum", "tasks"))
        if mixed_playback and (head_kind != "local" or playback_range is None):
            raise VadError(
                'mixed_playback needs a head that says where, and speeds near 1: give head_kind="local" and a '
                "playback_range."
            )
        check_above(0, input_scale=input_scale, learning_rate=learning_rate)
        for task in tasks:
            check_choice("a task", task, TASKS)
        if not tasks or len(set(tasks)) < len(tasks):
            raise VadError(f"tasks is {tuple(tasks)}, but must hold at least one of {', '.join(TASKS)}, each once.")
        for option, weights in (("loss_weights", loss_weights), ("score_weights", score_weights)):
            if len(weights) != len(TASKS) or min(weights) < 0:
                raise VadError(
                    f"{option} is {tuple(weights)}, but must hold three numbers of at least 0: of reconstruction, "
                    "prediction and playback."
                )
        if not playback_rates or min(playback_rates) < 2:
            raise VadError(
                f"playback_rates is {tuple(playback_rates)}, but must hold at least one speed, all of at least 2."
            )
        if not 0 <= accelerated_share <= 1:
            raise VadError(f"accelerated_share is {accelerated_share}, but must lie between 0 and 1.")
        size = as_size(image_size)
        super().__init__(
            Window(length=window_length, size=size, offsets=(window_length,), targets=(window_length,)),
            subtract_background=subtract_background,
            pooling=Pooling(pooling, pooling_sigma, pooling_quantile),
            name=name,
        )

        # === Networks ===
        clip_shape = (window_length, *size, 1)
        self.encoder = build_encoder(clip_shape, channels, name="encoder")
        latent_shape = self.encoder.output_shape[1:]
        self.decoder = self.prediction_head = self.playback_head = None
        if "reconstruction" in tasks or "prediction" in tasks:
            self.decoder = build_decoder(clip_shape, channels, name="decoder")
        if "prediction" in tasks:
            self.prediction_head = build_prediction_head(clip_shape, name="prediction_head")
        if "playback" in tasks:
            build_head = build_playback_head if head_kind == "global" else build_local_playback_head
            self.playback_head = build_head(latent_shape, name="playback_head")

        self.error_range = self._constant("error_range", np.ones(()))
        self.log_odds_range = self._constant("log_odds_range", np.ones(()))

        # === Config ===
        self.image_size = size
        self.window_length = window_length
        self.channels = tuple(channels)
        self.tasks = tuple(tasks)
        self.loss_weights = tuple(loss_weights)
        self.playback_rates = tuple(playback_rates)
        self.accelerated_share = accelerated_share
        self.playback_range = None if playback_range is None else tuple(playback_range)
        self.head_kind = head_kind
        self.mixed_playback = mixed_playback
        self.error = error
        self.score_weights = tuple(score_weights)
        self.task_scaling = task_scaling
        self.rescaling = rescaling
        self.rescaled = rescaled
        self.subtract_background = subtract_background
        self.input_scale = input_scale
        self.learning_rate = learning_rate

        self.paper_rescaling = rescaling

        measured = {"reconstruction": "reconstruction_error", "prediction": "prediction_error", "playback": "playback"}
        self.parts = tuple(measured[task] for task in TASKS if task in self.tasks)
        if self.decoder is not None:
            self.parts += ("mean_error", "excess_error", "max_error")
        if task_scaling == "held_out" and self.playback_head is not None:
            self.parts += ("playback_log_odds",)
        if pooling != "mean" or task_scaling != "none":
            self.parts += ("paper_score",)
        self.paper_scores = self._paper_scores()

    def _paper_scores(self) -> Mapping[str, Sequence[RescaledPart]]:
        """Equations 15 and 16 in every order that is in use, if there is more than one task to add."""
        if len(self.tasks) == 1:
            return {}
        measured = {"reconstruction": "reconstruction_error", "prediction": "prediction_error", "playback": "playback"}

        def of_tasks(rescaling: str) -> list[RescaledPart]:
            return [
                RescaledPart(measured[task], weight, "min_max" if task == "playback" else rescaling)
                for task, weight in self._weighted(self.score_weights)
            ]

        total = "paper_score" if "paper_score" in self.parts else "frame_scores"
        scores = {
            "tasks_robust": of_tasks("robust"),
            "tasks_min_max": of_tasks("min_max"),
            "sum_robust": [RescaledPart(total, 1.0, "robust")],
            "sum_min_max": [RescaledPart(total, 1.0, "min_max")],
        }
        if self.rescaled == "tasks":
            scores["frame_scores"] = scores[f"tasks_{self.rescaling}"]
        return scores

    @property
    def training_window(self) -> Window:
        """Consecutive frames, as many as a clip at the highest speed spans, and at least T + 1."""
        if self.playback_head is None:
            return self.window
        highest = max(self.playback_rates) if self.playback_range is None else self.playback_range[1]
        accelerated = frames_needed(self.window_length, highest)
        return Window(length=max(self.window_length + 1, accelerated), size=self.image_size)

    # === Losses and training ===

    def phases(self) -> list[TrainingPhase]:
        """All tasks together; the length is the public code's.

        Clips to restore and predict from, and windows that playback clips are drawn from, are drawn apart, as in the
        public code: the latter are long, and a clip that begins one never reaches the end of a video.
        """
        windows = () if self.decoder is None or self.playback_head is None else (self.window, self.training_window)
        return [TrainingPhase("joint", epochs=60, windows=windows)]

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        """The paper's Adam, with PyTorch's other parameters."""
        return keras.optimizers.Adam(self.learning_rate, epsilon=1e-8)

    def compute_losses(self, frames: tf.Tensor | tuple[tf.Tensor, tf.Tensor], training: bool) -> dict[str, tf.Tensor]:
        """One replica's shares of the losses of the chosen tasks.

        Args:
            frames: Clips of T + 1 frames, and windows to draw playback clips from, uint8 (batch, frames of ``window``
                or ``training_window``, H0, W0, 3); or, in place of both, the latter alone.
            training: Whether to use batch statistics. Without training the same accelerated clips are drawn at every
                step.

        Returns:
            ``reconstruction`` (eq. 3), ``prediction`` (eq. 4), ``playback`` (eq. 6); float32 scalars.
        """
        clips, sources = frames if isinstance(frames, tuple) else (frames, frames)
        losses = {}
        if self.decoder is not None:
            windows = self._scaled(self.preprocess(clips[:, : self.window_length + 1]))
            latent = self.encoder(windows[:, : self.window_length], training=training)
            residuals = self._residuals(windows, latent, training)
            for task, residual in residuals.items():
                losses[task] = self.global_mean(tf.reduce_mean(tf.square(residual), axis=(1, 2, 3, 4)))
        if self.playback_head is not None:
            step = self.optimizer.iterations if training else tf.constant(0)
            losses["playback"] = self.global_mean(self._playback_entropy(sources, self.random_seed(step), training))
        return losses

    def _playback_entropy(self, frames: tf.Tensor, seed: tf.Tensor, training: bool) -> tf.Tensor:
        """Equation 6 of each example, (batch,)."""
        assert self.playback_head is not None
        if not self.mixed_playback:
            clips, accelerated = self._playback_clips(frames, seed)
            logits = self._playback_logits(self.encoder(self._scaled(clips), training=training), training)
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=accelerated, logits=logits)
        clips, accelerated, boxes = self._mixed_clips(frames, seed)
        places = self.playback_head(self.encoder(self._scaled(clips), training=training), training=training)
        return mixed_entropy(places[..., 0], accelerated, boxes, _SHARPNESS)

    def _mixed_clips(self, frames: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """See ``keras_vad.layers.playback.mixed_clips``."""
        assert self.playback_range is not None
        return mixed_clips(
            frames,
            seed,
            length=self.window_length,
            rate_range=self.playback_range,
            accelerated_share=self.accelerated_share,
            preprocess=self.preprocess,
        )

    def _scaled(self, windows: tf.Tensor) -> tf.Tensor:
        """What the networks see of preprocessed frames: within [-1, 1]."""
        if not self.subtract_background:
            windows = 2.0 * windows - 1.0
        return tf.clip_by_value(self.input_scale * windows, -1.0, 1.0)

    def _residuals(self, windows: tf.Tensor, latent: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """Output minus truth, (batch, T or 1, H, W, 1), of reconstruction and prediction, if they are chosen."""
        assert self.decoder is not None
        decoded = self.decoder(latent, training=training)
        residuals = {}
        if "reconstruction" in self.tasks:
            residuals["reconstruction"] = tf.tanh(decoded) - windows[:, : self.window_length]
        if self.prediction_head is not None:
            predicted = self.prediction_head(decoded, training=training)
            residuals["prediction"] = predicted[:, None] - windows[:, self.window_length :]
        return residuals

    def _playback_logits(self, latent: tf.Tensor, training: bool) -> tf.Tensor:
        """Logits of the original and the accelerated rate of a whole clip, (batch, 2)."""
        assert self.playback_head is not None
        logits = self.playback_head(latent, training=training)
        if self.head_kind == "global":
            return logits
        pooled = log_mean_exp(logits, _SHARPNESS)
        return tf.stack([tf.zeros_like(pooled), pooled], axis=1)

    def _playback_places(self, latent: tf.Tensor) -> tf.Tensor:
        """The local head's log-odds of acceleration, the largest over time, (batch, 1, h, w) of the latent."""
        assert self.playback_head is not None
        return tf.transpose(tf.reduce_max(self.playback_head(latent, training=False), axis=1), [0, 3, 1, 2])

    def _playback_clips(self, frames: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Clips of T frames at the original or an accelerated rate (eq. 5), drawn for each example.

        Returns:
            float32 (batch, T, H, W, 1), preprocessed, and their class, int32 (batch,): 1 if accelerated.
        """
        if self.playback_range is not None:
            clips, accelerated = playback_clips(
                frames,
                seed,
                length=self.window_length,
                rate_range=self.playback_range,
                accelerated_share=self.accelerated_share,
                preprocess=self.preprocess,
            )
            return clips, tf.cast(accelerated, tf.int32)
        chances = tf.random.stateless_uniform([2, tf.shape(frames)[0]], seed)
        accelerated = chances[0] < self.accelerated_share
        choice = tf.cast(chances[1] * len(self.playback_rates), tf.int32)
        rates = tf.where(accelerated, tf.gather(tf.constant(self.playback_rates), choice), 1)
        times = rates[:, None] * tf.range(self.window_length)
        return self.preprocess(tf.gather(frames, times, batch_dims=1)), tf.cast(accelerated, tf.int32)

    def objective(self, losses: dict[str, tf.Tensor]) -> tf.Tensor:
        """Equation 7: all tasks teach the auto-encoder at once."""
        return tf.add_n([weight * losses[task] for task, weight in self._weighted(self.loss_weights)])

    def _weighted(self, weights: Sequence[float]) -> list[tuple[str, float]]:
        return [(task, weight) for task, weight in zip(TASKS, weights, strict=True) if task in self.tasks]

    @property
    def _error_weight(self) -> float:
        """Sum of alpha 1 and 2, of the chosen tasks."""
        return sum(weight for task, weight in self._weighted(self.score_weights) if task != "playback")

    # === Health ===

    def health(self, batches: Iterable[tf.Tensor | tuple[tf.Tensor, tf.Tensor]]) -> dict[str, float]:
        """What each task has learned, which its loss alone does not tell.

        Returns:
            ``reconstruction_of_mean`` and ``prediction_of_mean``, the squared error of the decoder given the mean
            latent over that given a clip's own: 1 if it ignores the latent. ``prediction_of_copy``, the squared
            error of the last frame, taken for the next one, over that of the prediction. ``playback_of_part``, the
            share of clips that look faster when their busiest tile, a twelfth of the frame, is played 1.5 times as
            fast: 0.5 by chance. ``playback_pull``, the norm of the encoder's gradient from the weighted playback loss
            over that from the other weighted losses: the encoder learns from the larger one.
        """
        pairs = [frames if isinstance(frames, tuple) else (frames, frames) for frames in batches]
        figures: dict[str, float] = {}
        if pairs and self.decoder is not None:
            clips = [self._scaled(self.preprocess(clip[:, : self.window_length + 1])) for clip, _ in pairs]
            latents = [self.encoder(clip[:, : self.window_length], training=False) for clip in clips]
            mean = tf.reduce_mean(tf.concat(latents, axis=0), axis=0, keepdims=True)
            own = self._squared_errors(clips, latents)
            of_mean = self._squared_errors(clips, [tf.zeros_like(latent) + mean for latent in latents])
            figures |= {f"{task}_of_mean": of_mean[task] / own[task] for task in own}
            if self.prediction_head is not None:
                copy = np.mean([tf.reduce_mean(tf.square(clip[:, -1] - clip[:, -2])) for clip in clips])
                figures["prediction_of_copy"] = float(copy) / own["prediction"]
        if pairs and self.playback_head is not None:
            told = [self._tells_a_fast_part(frames) for _, frames in pairs]
            figures["playback_of_part"] = float(tf.reduce_mean(tf.concat(told, axis=0)))
            if self.decoder is not None:
                pulls = [self._pulls(pair) for pair in pairs[:_PULLED]]
                of_playback, of_others = (float(tf.add_n(norms)) for norms in zip(*pulls, strict=True))
                figures["playback_pull"] = of_playback / of_others
        return figures

    def _pulls(self, frames: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Norms of the encoder's gradients from the playback loss and from the others, both weighted."""
        weights = dict(self._weighted(self.loss_weights))
        with tf.GradientTape(persistent=True) as tape:
            losses = self.compute_losses(frames, training=False)
            playback = weights["playback"] * losses["playback"]
            others = tf.add_n([weights[task] * loss for task, loss in losses.items() if task != "playback"])
        learning = self.encoder.trainable_variables
        of_playback, of_others = (tf.linalg.global_norm(tape.gradient(loss, learning)) for loss in (playback, others))
        return of_playback, of_others

    def _squared_errors(self, clips: Sequence[tf.Tensor], latents: Sequence[tf.Tensor]) -> dict[str, float]:
        """Means over batches of as many clips each."""
        residuals = [self._residuals(*pair, training=False) for pair in zip(clips, latents, strict=True)]
        return {
            task: float(np.mean([tf.reduce_mean(tf.square(residual[task])) for residual in residuals]))
            for task in residuals[0]
        }

    def _tells_a_fast_part(self, frames: tf.Tensor) -> tf.Tensor:
        """Whether each clip looks faster when a tile is; float32 (batch,), a half where it looks the same.

        In both cases the tile begins where the window does, and what is around it is the window's end: the seam
        is no sign.
        """
        length, available = self.window_length, frames.shape[1]
        rate = min(_PART_RATE, (available - 1) / max(length - 1, 1))
        slow, around = self.preprocess(frames[:, :length]), self.preprocess(frames[:, -length:])
        times = tf.repeat(rate * tf.range(length, dtype=tf.float32)[None], tf.shape(frames)[0], axis=0)
        fast = self.preprocess(nearest_frames(frames, times))
        motion = tf.reduce_mean(tf.abs(slow[:, 1:] - slow[:, :-1]), axis=1)
        tiles = tf.reshape(tf.image.resize(motion, _TILES, "area"), [-1, _TILES[0] * _TILES[1]])
        busiest = tf.reshape(tf.one_hot(tf.argmax(tiles, axis=1), tiles.shape[1]), [-1, *_TILES, 1])
        inside = tf.image.resize(busiest, self.image_size, "nearest")[:, None] > 0.5
        log_odds = []
        for tile in (slow, fast):
            latent = self.encoder(self._scaled(tf.where(inside, tile, around)), training=False)
            logits = self._playback_logits(latent, training=False)
            log_odds.append(logits[:, 1] - logits[:, 0])
        return (tf.sign(log_odds[1] - log_odds[0]) + 1.0) / 2.0

    # === Scores ===

    def anomaly(self, windows: tf.Tensor) -> dict[str, tf.Tensor]:
        """The tasks' errors on T frames and on the frame after them (eq. 12 to 15).

        Args:
            windows: float32, (batch, T + 1, H, W, 1), from ``preprocess``.

        Returns:
            ``maps`` (batch, 1, h, w), alpha 1 times the error map of the reconstruction plus alpha 2 times that of the
            prediction, at half the resolution for ``"bpe"``, plus, with the local head, alpha 3 times the probability
            of acceleration at each place. Without errors the map is that of the latent's places or, with the global
            head, one place that holds ``playback``. ``mean_error``, ``excess_error`` and ``max_error``, the map of
            errors pooled; ``reconstruction_error`` (eq. 12), ``prediction_error`` (eq. 13), ``playback`` (eq. 14) and
            ``playback_log_odds``; ``paper_score``, eq. 15; ``frame_scores``, the same with ``pooling`` and
            ``task_scaling``. Scores are float32 (batch, 1).
        """
        windows = self._scaled(windows)
        latent = self.encoder(windows[:, : self.window_length], training=False)
        output: dict[str, tf.Tensor] = {}
        scores, paper_scores = [], []
        if self.decoder is not None:
            output |= self._errors(windows, latent)
            paper_scores.append(output["mean_error"])
            scores.append(output.pop("frame_scores"))
            if self.task_scaling == "held_out":
                scores[-1] *= self._error_weight / tf.convert_to_tensor(self.error_range)
        if self.playback_head is not None:
            logits, weight = self._playback_logits(latent, training=False), self.score_weights[2]
            output |= {"playback": tf.nn.softmax(logits)[:, 1:], "playback_log_odds": logits[:, 1:] - logits[:, :1]}
            paper_scores.append(weight * output["playback"])
            scores.append(paper_scores[-1])
            if self.task_scaling == "held_out":
                scores[-1] = weight * output["playback_log_odds"] / tf.convert_to_tensor(self.log_odds_range)
            if self.head_kind == "local":
                places = weight * tf.sigmoid(self._playback_places(latent))
                if "maps" in output:
                    resized = tf.image.resize(places[:, 0, :, :, None], output["maps"].shape[2:])
                    places = output["maps"] + resized[:, None, :, :, 0]
                output["maps"] = places
            output.setdefault("maps", output["playback"][:, :, None, None])
        return {"frame_scores": tf.add_n(scores), "paper_score": tf.add_n(paper_scores), **output}

    def _errors(self, windows: tf.Tensor, latent: tf.Tensor) -> dict[str, tf.Tensor]:
        """``maps``, what ``pooled`` makes of them, and the errors of reconstruction and prediction."""
        weights = dict(self._weighted(self.score_weights))
        maps, parts = [], {}
        for task, residual in self._residuals(windows, latent, training=False).items():
            errors = tf.reduce_mean(error_maps(residual[..., 0], self.error), axis=1, keepdims=True)
            parts[f"{task}_error"] = tf.reduce_mean(errors, axis=(2, 3))
            maps.append(weights[task] * errors)
        total = tf.add_n(maps)
        return {"maps": total, **self.pooled(total), **parts}

    def _maps_to_pool(self) -> Callable[[tf.Tensor], tf.Tensor]:
        if self.head_kind == "global" or self.decoder is None:
            return super()._maps_to_pool()
        steps = tf.constant(self.window.frames)

        @tf.function(input_signature=[tf.TensorSpec((1, None, None, None, 3), tf.uint8)], autograph=False)
        def maps_of_errors(frames: tf.Tensor) -> tf.Tensor:  # without the playback of the local head
            inputs = self._scaled(self.preprocess(frames))

            def of_window(start: tf.Tensor) -> tf.Tensor:
                window = tf.gather(inputs, start + steps, axis=1)
                latent = self.encoder(window[:, : self.window_length], training=False)
                return self._errors(window, latent)["maps"][:, 0]

            starts = tf.range(tf.shape(frames)[1] - self.window.span + 1)
            maps = tf.map_fn(of_window, starts, parallel_iterations=1, fn_output_signature=tf.float32)
            return tf.transpose(maps, [1, 0, 2, 3])

        return maps_of_errors

    def fit_normality(
        self, windows: tf.data.Dataset, held_out: Sequence[VideoLike], alarm_quantile: float = 0.99
    ) -> None:
        """Set what ``task_scaling`` divides by, beside what the base class does."""
        super().fit_normality(windows, held_out, alarm_quantile)
        if self.task_scaling == "none":
            return
        normal = [self.score_video(video).parts for video in held_out]
        if self.decoder is not None:
            assert self.pooling is not None
            self.error_range.assign(_range([parts[f"{self.pooling.kind}_error"] for parts in normal]))
        if self.playback_head is not None:
            self.log_odds_range.assign(_range([parts["playback_log_odds"] for parts in normal]))
        super().fit_normality(windows, held_out, alarm_quantile)  # the scores have changed

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        assert self.pooling is not None
        return {
            "image_size": self.image_size,
            "window_length": self.window_length,
            "channels": self.channels,
            "tasks": self.tasks,
            "loss_weights": self.loss_weights,
            "playback_rates": self.playback_rates,
            "accelerated_share": self.accelerated_share,
            "playback_range": self.playback_range,
            "head_kind": self.head_kind,
            "mixed_playback": self.mixed_playback,
            "error": self.error,
            "score_weights": self.score_weights,
            "task_scaling": self.task_scaling,
            "rescaling": self.rescaling,
            "rescaled": self.rescaled,
            "subtract_background": self.subtract_background,
            "input_scale": self.input_scale,
            "pooling": self.pooling.kind,
            "pooling_sigma": self.pooling.sigma,
            "pooling_quantile": self.pooling.quantile,
            "learning_rate": self.learning_rate,
            "name": self.name,
        }


def _range(normal: Sequence[np.ndarray]) -> float:
    """q99 - q1 of the scores of normal videos, as in eq. 16; 1 if they are all equal."""
    low, high = np.quantile(np.concatenate(normal), [0.01, 0.99])
    return float(high - low) or 1.0


def error_maps(residual: tf.Tensor, error: str) -> tf.Tensor:
    """Maps of errors whose mean over the map is the measure of eq. 8, 9 or 11.

    Args:
        residual: float32, (batch, n, H, W), output minus truth of gray frames.
        error: ``"mse"``: the square; ``"pse"``: blurred (sigma 1, 5 x 5 places) before it is squared; ``"bpe"``: after
            the blur only every second row and column is kept.

    Returns:
        float32, (batch, n, h, w), >= 0; (h, w) is (H, W), with ``"bpe"`` half of it, rounded up.
    """
    height, width = residual.shape[2:]
    if error == "mse":
        return tf.square(residual)
    blurred = gaussian_blur(tf.reshape(residual, [-1, height, width]), sigma=1.0, radius=2)
    blurred = tf.reshape(blurred, tf.shape(residual))
    if error == "pse":
        return tf.square(blurred)
    kept = blurred[:, :, ::2, ::2]
    # Eq. 11 divides the sum of what is kept by the number of all pixels.
    return tf.square(kept) * (kept.shape[2] * kept.shape[3] / (height * width))


def build_autoencoder(
    input_shape: tuple[int, int, int, int],
    channels: Sequence[int] = (96, 128, 256, 256),
    name: str | None = None,
) -> keras.Model:
    """The 3D convolutional auto-encoder of Gong et al. (ICCV 2019), section 4.3.

    Args:
        input_shape: (T, height, width, image channels), of any size.
        channels: Channels of the encoder's convolutions; the decoder mirrors them.
        name: Name of the model.

    Returns:
        A model from float32 (batch, *input_shape) in [-1, 1] to the same shape, float32 in (-1, 1).
    """
    inputs = keras.Input(input_shape, name="window")
    decoded = _decode(_encode(inputs, channels), input_shape, channels)
    return keras.Model(inputs, layers.Activation("tanh", dtype="float32", name="restored")(decoded), name=name)


def build_encoder(
    input_shape: tuple[int, int, int, int], channels: Sequence[int], name: str | None = None
) -> keras.Model:
    """The first half of ``build_autoencoder``: from float32 (batch, *input_shape) to the latent."""
    inputs = keras.Input(input_shape, name="clip")
    return keras.Model(inputs, _encode(inputs, channels), name=name)


def build_decoder(
    output_shape: tuple[int, int, int, int], channels: Sequence[int], name: str | None = None
) -> keras.Model:
    """The second half of ``build_autoencoder``, without its tanh: the latent to float32 (batch, *output_shape)."""
    latent_shape = (*_sizes(output_shape, len(channels))[-1], channels[-1])
    latent = keras.Input(latent_shape, name="latent")
    return keras.Model(latent, _decode(latent, output_shape, channels), name=name)


def build_prediction_head(input_shape: tuple[int, int, int, int], name: str | None = None) -> keras.Model:
    """H_FFP: a 2D convolution over all decoded frames, as channels, and tanh (section 4.3).

    Args:
        input_shape: (T, height, width, image channels) of the decoder's output.
        name: Name of the model.

    Returns:
        A model from float32 (batch, *input_shape) to the next frame, float32 (batch, height, width, image channels).
    """
    length, height, width, image_channels = input_shape
    inputs = keras.Input(input_shape, name="decoded")
    x = layers.Permute((2, 3, 1, 4), name="frames_last")(inputs)
    x = layers.Reshape((height, width, length * image_channels), name="frames_as_channels")(x)
    x = layers.Conv2D(image_channels, 3, padding="same", activation="tanh", dtype="float32", name="predicted")(x)
    return keras.Model(inputs, x, name=name)


def build_playback_head(latent_shape: tuple[int, int, int, int], name: str | None = None) -> keras.Model:
    """H_PRP: 3D pooling, a 2D convolution, pooling and fully connected layers (section 4.3).

    The number of places that the first fully connected layer sees follows from the size of the latent, 4 x 4 for the
    paper's. What pooling leaves of time becomes channels: nothing for the paper's two frames.

    Args:
        latent_shape: (t, h, w, filters) of the latent.
        name: Name of the model.

    Returns:
        A model from the latent to the logits of the original and the accelerated rate, float32 (batch, 2).
    """
    latent = keras.Input(latent_shape, name="latent")
    x = layers.MaxPooling3D(2, padding="same", name="pool1")(latent)
    length, height, width, filters = x.shape[1:]
    x = layers.Permute((2, 3, 1, 4), name="frames_last")(x)
    x = layers.Reshape((height, width, length * filters), name="frames_as_channels")(x)
    x = layers.Conv2D(32, 3, padding="same", name="conv")(x)
    x = layers.MaxPooling2D(2, padding="same", name="pool2")(x)
    x = layers.Flatten(name="places")(x)
    x = layers.Dense(128, activation="relu", name="dense1")(x)
    x = layers.Dense(32, activation="relu", name="dense2")(x)
    return keras.Model(latent, layers.Dense(2, dtype="float32", name="logits")(x), name=name)


def build_local_playback_head(latent_shape: tuple[int, int, int, int], name: str | None = None) -> keras.Model:
    """A head that sees one place at a time: ours, not the paper's.

    Args:
        latent_shape: (t, h, w, filters) of the latent.
        name: Name of the model.

    Returns:
        A model from the latent to the log-odds of the accelerated rate at each place, float32 (batch, t, h, w, 1).
    """
    latent = keras.Input(latent_shape, name="latent")
    return keras.Model(latent, layers.Conv3D(1, 1, dtype="float32", name="logits")(latent), name=name)


def _encode(x: keras.KerasTensor, channels: Sequence[int]) -> keras.KerasTensor:
    """Convolutions 3 x 3 x 3 with stride 2 (the first 1 x 2 x 2), each with batch normalisation and leaky ReLU."""
    for number, filters in enumerate(channels, start=1):
        strides = (1, 2, 2) if number == 1 else (2, 2, 2)
        x = layers.Conv3D(filters, 3, strides, padding="same", name=f"conv{number}")(x)
        x = _activated(x, f"conv{number}")
    return x


def _decode(x: keras.KerasTensor, shape: tuple[int, int, int, int], channels: Sequence[int]) -> keras.KerasTensor:
    """The encoder mirrored; the last of its transposed convolutions is linear and gives ``shape``."""
    sizes = _sizes(shape, len(channels))[:-1]
    for number, filters in enumerate([*reversed(channels[:-1]), shape[3]], start=1):
        last = number == len(channels)
        strides = (1, 2, 2) if last else (2, 2, 2)
        dtype = "float32" if last else None
        x = layers.Conv3DTranspose(filters, 3, strides, padding="same", dtype=dtype, name=f"deconv{number}")(x)
        crops = tuple((0, have - want) for have, want in zip(x.shape[1:4], sizes.pop(), strict=True))
        if any(surplus for _, surplus in crops):  # odd sizes were rounded up
            x = layers.Cropping3D(crops, dtype=dtype, name=f"crop{number}")(x)
        if not last:
            x = _activated(x, f"deconv{number}")
    return x


def _sizes(shape: tuple[int, int, int, int], convolutions: int) -> list[tuple[int, int, int]]:
    """(length, height, width) of the encoder's input and of what each of its convolutions gives."""
    sizes = [shape[:3]]
    for number in range(1, convolutions + 1):
        length, height, width = sizes[-1]
        sizes.append((length if number == 1 else -(-length // 2), -(-height // 2), -(-width // 2)))
    return sizes


def _activated(x: keras.KerasTensor, layer: str) -> keras.KerasTensor:
    # The statistics move as in the public code, whose framework calls this momentum 0.1.
    x = BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{layer}_norm")(x)
    return layers.LeakyReLU(0.2, name=f"{layer}_relu")(x)

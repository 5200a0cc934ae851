"""The contract that every method meets: ``VideoAnomalyDetector``."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

import keras_vad
from keras_vad.common.renamed import names_now
from keras_vad.common.settings import check_layout
from keras_vad.data.video import Video, open_video
from keras_vad.errors import VadError
from keras_vad.layers.blur import gaussian_blur
from keras_vad.layers.frames import resize_each, resize_frames
from keras_vad.models.checks import check_above, check_choice
from keras_vad.scoring.calibrate import apply_calibration, calibration_knots
from keras_vad.scoring.chunks import iter_chunks
from keras_vad.scoring.clock import durations, times_at
from keras_vad.scoring.promise import promised_boundary
from keras_vad.scoring.rescale import RescaledPart
from keras_vad.scoring.series import ALARM_BOUNDARY, VideoScores, score_in_chunks
from keras_vad.window import Window

# ITU-R 601 luma; the weights add up to 1, so a gray frame stored as RGB keeps its values.
_LUMA = (0.299, 0.587, 0.114)

_LEVEL_FRAMES = 2000  # held-out frames, evenly spread, that the level of normal errors is taken from

Logs = dict[str, tf.Tensor]
VideoLike = str | Path | Video | Iterable[np.ndarray]


@dataclass(frozen=True)
class TrainingPhase:
    """One stretch of training in which the same weights learn from the same losses.

    Args:
        name: Shown in the progress bar and stored in the run's metrics.
        epochs: How long it lasts, unless the recipe says otherwise.
        trainable: Names of the detector's attributes (sub-networks or layers) whose weights learn; empty for all.
        loss_weights: Weight of each loss, by name; the detector reads them from ``loss_weight``.
        learning_rate: Learning rate of every optimizer in this phase; ``None`` keeps the compiled one.
        on_start: Called with the detector and a data set of training batches when the phase begins (not when it is
            resumed), for example to initialise cluster centres.
        windows: Kinds of windows that a step learns from, drawn independently of each other; empty for the detector's
            ``training_window`` alone. With two or more, a batch is a tuple.
        batch_factor: A batch holds so many times the recipe's windows: a phase whose windows are single frames can
            afford it.
        encode: Name of a method of the detector that turns a batch of frames, uint8 (n, H, W, 3), into what is learned
            from, float32 (n, ...): every frame is encoded once when the phase begins, and windows are cut from that.
            For phases in which an encoder rests.
    """

    name: str
    epochs: int
    trainable: tuple[str, ...] = ()
    loss_weights: dict[str, float] = field(default_factory=dict)
    learning_rate: float | None = None
    on_start: Callable[["VideoAnomalyDetector", tf.data.Dataset], None] | None = None
    windows: tuple[Window, ...] = ()
    batch_factor: int = 1
    encode: str | None = None


@dataclass(frozen=True)
class Pooling:
    """How a map of errors becomes the score of a frame.

    Args:
        kind: ``"mean"`` over the map (what papers do); ``"excess"`` (ours): the map is blurred, and what exceeds the
            level that normal places rarely reach is averaged: a small object drowns in the mean of a large frame, here
            the normal rest of the frame counts nothing; or ``"max"``: the maximum of the blurred map.
        sigma: Deviation of the blur, as a share of the map's height.
        quantile: The level is this quantile of the blurred errors of held-out normal frames.
    """

    kind: str = "mean"
    sigma: float = 0.03
    quantile: float = 0.99

    def __post_init__(self) -> None:
        check_choice("pooling", self.kind, ("mean", "excess", "max"))
        check_above(0, pooling_sigma=self.sigma)
        if not 0 < self.quantile < 1:
            raise VadError(f"pooling_quantile is {self.quantile}, but must lie between 0 and 1, for example 0.99.")


_MEAN = Pooling()


class VideoAnomalyDetector(keras.Model):
    """A Keras model that learns what is normal in a video and scores every frame by how far it is from that.

    A method subclasses this and writes ``compute_losses``, ``anomaly``, ``phases`` and ``get_config``, and its own
    ``train_step`` if one optimizer that lowers ``objective`` is not all there is to it. Everything between raw uint8
    frames and calibrated scores is in its graph.

    Args:
        window: The frames of one model input and those it scores.
        subtract_background: Whether ``preprocess`` subtracts the mean training frame, a stored weight of shape
            (H, W, C) in the units of the input, set by ``adapt``.
        pooling: How a map of errors becomes a frame's score, for methods that use ``pooled``.

    Attributes:
        window: See above.
        pooling: See above.
        paper: The publication in a line, for the card of an exported model.
        parts: Names of the further frame scores that ``anomaly`` returns, for ablations and reports.
        paper_rescaling: The per-video rescaling of the paper, a key of ``keras_vad.scoring.rescale``.
        paper_scores: Scores by name that exist under the protocol ``paper`` only: weighted sums of parts (and of
            ``frame_scores``), each part rescaled per video by itself. One named ``frame_scores`` takes the place of the
            detector's own score there.
        learning_rate: Of the default optimizer.
        seed: Seed of the noise drawn in ``train_step``. The noise depends on it, the step and the replica only, so a
            resumed run draws what an uninterrupted one would.
        not_exportable_because: Why the scoring graph cannot be exported; ``None`` if it can.
        former_values: Constructor arguments that detectors were saved without, and what they were then.
        health_figures: Names of all figures that ``health`` may give; a recipe can set ranges for them.
    """

    paper = ""
    parts: tuple[str, ...] = ()
    health_figures: tuple[str, ...] = ()
    former_values: Mapping[str, Any] = MappingProxyType({})
    paper_rescaling = "min_max"
    paper_scores: Mapping[str, Sequence[RescaledPart]] = MappingProxyType({})
    not_exportable_because: str | None = None
    learning_rate: float

    def __init__(
        self,
        window: Window,
        *,
        subtract_background: bool = False,
        pooling: Pooling = _MEAN,
        name: str | None = None,
    ) -> None:
        check_layout()
        super().__init__(name=name)
        self.window = window
        self.pooling = pooling
        self.seed = 0
        height, width = window.size
        self.background = None
        if subtract_background:
            self.background = self.add_weight(
                name="background", shape=(height, width, window.channels), trainable=False, dtype="float32"
            )
        self.normal_level = self.add_weight(name="normal_level", shape=(), initializer="zeros", trainable=False)
        knots, levels = calibration_knots(np.linspace(0.0, 1.0, 256, dtype="float32"), alarm_quantile=0.99)
        self.calibration_raw = self._constant("calibration_raw", knots)
        self.calibration_level = self._constant("calibration_level", levels)
        self._loss_weights: dict[str, tf.Variable] = {}
        self._scorer = _Scorer(self)
        self.built = True  # every weight exists once the constructor is through

    def _constant(self, name: str, value: np.ndarray) -> keras.Variable:
        value = np.asarray(value, "float32")
        return self.add_weight(
            name=name, shape=value.shape, initializer=lambda *_, **__: value, trainable=False, dtype="float32"
        )

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        """A detector from its constructor arguments, by the names that they have or had before.

        Those that a file of before lacks are ``former_values``: it scores as it did.
        """
        return cls(**{**cls.former_values, **names_now("model", config)})

    @classmethod
    def from_preset(cls, name: str | Path) -> Self:
        """A trained detector of this method, as ``keras_vad.load`` finds it.

        Args:
            name: Name of a preset, or anything else that ``keras_vad.load`` takes.

        Raises:
            VadError: As ``keras_vad.load``, or if it is a detector of another method.
        """
        detector = keras_vad.load(name)
        if not isinstance(detector, cls):
            raise VadError(
                f"{name} is a {type(detector).__name__}, not a {cls.__name__}; use keras_vad.load, or "
                f"{type(detector).__name__}.from_preset."
            )
        return detector

    def get_compile_config(self) -> None:
        """Optimizers are not saved with a model; checkpoints of a run hold them."""

    @property
    def training_window(self) -> Window:
        """The frames of a training window; longer than ``window`` if a method resamples time while it trains."""
        return self.window

    # --- Frames in ---------------------------------------------------------------------------------------------------

    def preprocess(self, frames: tf.Tensor) -> tf.Tensor:
        """Raw frames to model input; the same code in training, evaluation and the exported graph.

        Args:
            frames: uint8, (..., H0, W0, 3), RGB, 0 to 255.

        Returns:
            float32, (..., H, W, channels): resized, gray if the window has one channel, in [0, 1], minus the
            background if the method subtracts it.
        """
        frames = resize_frames(frames, self.window.size)
        if self.window.channels == 1:
            # Channel by channel: a sum over an axis of 3 takes twice the time.
            colours = tf.unstack(frames, axis=-1)
            grays = [
                weight / 255.0 * tf.cast(colour, tf.float32) for weight, colour in zip(_LUMA, colours, strict=True)
            ]
            frames = tf.add_n(grays)[..., None]
        else:
            frames = tf.cast(frames, tf.float32) / 255.0
        if self.background is not None:
            frames -= tf.convert_to_tensor(self.background)
        return frames

    def adapt(self, frames: Iterable[np.ndarray]) -> None:
        """Set the background to the mean of the training frames.

        Args:
            frames: Batches of training frames, uint8 (n, H0, W0, 3); each frame once.
        """
        if self.background is None:
            return
        self.background.assign(tf.zeros_like(self.background))
        total, count = np.zeros(self.background.shape, "float64"), 0
        for batch in frames:
            total += self.preprocess(tf.convert_to_tensor(batch)).numpy().sum(axis=0, dtype="float64")
            count += len(batch)
        if count == 0:
            raise VadError("there are no training frames to compute the background from.")
        self.background.assign(total / count)

    # --- Training ----------------------------------------------------------------------------------------------------

    def phases(self) -> list[TrainingPhase]:
        """The training schedule, in order."""
        raise NotImplementedError

    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """Every optimizer of ``train_step``."""
        return [self.optimizer]

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        """The optimizer of ``train_step`` that ``compile`` takes if it is given none: Adam."""
        return keras.optimizers.Adam(self.learning_rate)

    def compile(self, optimizer: keras.optimizers.Optimizer | None = None, **kwargs: Any) -> None:
        """Set the optimizer; the default is ``default_optimizer()``, fit for the detector's precision."""
        optimizer = optimizer or self.loss_scaling(self.default_optimizer())
        super().compile(optimizer=optimizer, **{"jit_compile": False, "auto_scale_loss": False, **kwargs})

    def loss_scaling(self, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
        """The optimizer, with a loss scale if the detector computes in float16, whose small gradients would be 0."""
        float16 = self.dtype_policy.name == "mixed_float16"
        return keras.optimizers.LossScaleOptimizer(optimizer) if float16 else optimizer

    def build_optimizers(self) -> None:
        """Create the optimizers' variables.

        Must run in the strategy's scope before training: an optimizer that builds itself inside a replica fails.
        """
        self.optimizer.build(self.trainable_variables)

    def compute_losses(self, frames: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """One replica's shares of the losses (``global_mean``), before their weights.

        Args:
            frames: uint8, (batch, frames of ``training_window``, H0, W0, 3).
            training: Whether to use batch statistics and draw noise.

        Returns:
            float32 scalars by name.
        """
        raise NotImplementedError

    def objective(self, losses: dict[str, tf.Tensor]) -> tf.Tensor:
        """What ``train_step`` lowers, float32 scalar; by default the sum of the losses."""
        return tf.add_n(list(losses.values()))

    def train_step(self, data: tf.Tensor) -> Logs:
        """One step on the objective.

        Args:
            data: uint8, (batch, frames of ``training_window``, H0, W0, 3).

        Returns:
            The losses.
        """
        with tf.GradientTape() as tape:
            losses = self.compute_losses(data, training=True)
            loss = self.optimizer.scale_loss(self.objective(losses))
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return self.logged(losses)

    def test_step(self, data: tf.Tensor) -> Logs:
        """The losses with running statistics; nothing is learned.

        Args:
            data: uint8, (batch, frames of ``training_window``, H0, W0, 3).
        """
        return self.logged(self.compute_losses(data, training=False))

    def health(self, batches: Iterable[tf.Tensor]) -> dict[str, float]:
        """Figures of normal data that tell whether training works, though the losses fall.

        Args:
            batches: What the steps of the current phase get, of held-out windows; the same after every epoch.

        Returns:
            Some of ``health_figures`` by name: those that mean something in the current phase and variant.
        """
        return {}

    def set_phase(self, phase: TrainingPhase) -> None:
        """Make ``phase`` the current one: what is trainable, the loss weights, the learning rate."""
        for layer in self.layers:
            layer.trainable = not phase.trainable
        for attribute in phase.trainable:
            getattr(self, attribute).trainable = True
        for name, weight in phase.loss_weights.items():
            self.loss_weight(name).assign(weight)
        if phase.learning_rate is not None:
            for optimizer in self.optimizers():
                optimizer.learning_rate = phase.learning_rate

    def loss_weight(self, name: str, value: float = 1.0) -> tf.Variable:
        """The weight of a loss: a variable, so that a phase can change it without a new graph."""
        if name not in self._loss_weights:
            self._loss_weights[name] = self.add_weight(
                name=f"loss_weight_{name}", initializer=keras.initializers.Constant(value), trainable=False
            )
        return self._loss_weights[name]

    def global_mean(self, per_example: tf.Tensor) -> tf.Tensor:
        """Replica's share of the mean over the global batch: sum / examples on all replicas.

        The shares of all replicas add up to the mean, and so do their gradients, also when the last batch is uneven.

        Args:
            per_example: float32, (examples on this replica,).
        """
        count = tf.cast(tf.shape(per_example)[0], tf.float32)
        return tf.reduce_sum(per_example) / _all_replicas(count)

    def logged(self, shares: dict[str, tf.Tensor]) -> Logs:
        """Losses as printed: the sum of all replicas' shares."""
        return {name: _all_replicas(share) for name, share in shares.items()}

    def random_seed(self, step: tf.Tensor) -> tf.Tensor:
        """Seed for stateless noise, int32 (2,): differs by run seed, step and replica."""
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
        return tf.stack([tf.constant(self.seed, tf.int32) * 1009 + replica, tf.cast(step, tf.int32)])

    # --- Scores out --------------------------------------------------------------------------------------------------

    def anomaly(self, windows: tf.Tensor) -> dict[str, tf.Tensor]:
        """How abnormal each scored frame of each window is.

        Args:
            windows: float32, (batch, T, H, W, channels), from ``preprocess``; T counts the targets, too.

        Returns:
            ``frame_scores`` float32 (batch, scored frames), higher is more abnormal; ``maps`` float32
            (batch, scored frames, h, w); and one (batch, scored frames) for every name in ``parts``.
        """
        raise NotImplementedError

    def pooled(self, maps: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores of frames from their maps of errors, in every way of ``Pooling``.

        Args:
            maps: float32, (batch, scored frames, h, w), at least 0.

        Returns:
            ``mean_error``, ``excess_error`` and ``max_error``, float32 (batch, scored frames), and ``frame_scores``:
            the one that ``pooling`` chose.
        """
        blurred = self._blurred(maps)
        excess = tf.nn.relu(blurred - tf.convert_to_tensor(self.normal_level))
        scores = {
            "mean_error": tf.reduce_mean(maps, axis=(2, 3)),
            "excess_error": tf.reduce_mean(excess, axis=(2, 3)),
            "max_error": tf.reduce_max(blurred, axis=(2, 3)),
        }
        return {"frame_scores": scores[f"{self.pooling.kind}_error"], **scores}

    def _blurred(self, maps: tf.Tensor) -> tf.Tensor:
        height, width = maps.shape[2:]
        flat = tf.reshape(maps, [-1, height, width])
        return tf.reshape(gaussian_blur(flat, self.pooling.sigma * height), tf.shape(maps))

    def call(self, windows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Frame scores of preprocessed windows; see ``anomaly``."""
        return self.anomaly(windows)["frame_scores"]

    def fit_normality(
        self, windows: tf.data.Dataset, held_out: Sequence[VideoLike], alarm_quantile: float = 0.99
    ) -> None:
        """Learn from normal data, after training, what the score needs, and calibrate.

        Sets the level of normal errors that ``excess_error`` counts from, for methods that have this part. The
        calibration maps the raw scores of held-out normal frames to [0, 1], 0.5 at ``alarm_quantile``.
        Methods whose score needs more (k-means, a Gaussian mixture) extend this.

        Args:
            windows: Training windows (``training_window``), uint8 (batch, T, H, W, 3).
            held_out: Normal videos that training has not seen; anything ``score_video`` takes.
            alarm_quantile: Share of held-out normal frames below the alarm boundary, in (0, 1).
        """
        if "excess_error" in self.parts:
            self.normal_level.assign(self._level_of(held_out, self.pooling.quantile))
        self.calibrate(held_out, alarm_quantile=alarm_quantile)

    def calibrate(
        self,
        held_out: Sequence[VideoLike],
        *,
        alarm_quantile: float = 0.99,
        false_alarms_per_hour: float | None = None,
        boundary: str = "empirical",
        fps: float | None = None,
    ) -> dict[str, Any]:
        """Set the alarm boundary, where calibrated scores are 0.5, by normal footage alone.

        Args:
            held_out: Normal videos that training has not seen; anything ``score_video`` takes.
            alarm_quantile: Share of their frames at or below the boundary, in (0, 1).
            false_alarms_per_hour: Alarms per hour that they may raise, in place of a quantile; frames above the
                boundary that are at most 50 frames apart are one alarm (``keras_vad.scoring.alarms``).
            boundary: How the boundary for a promised rate is found: ``empirical``, an observed score, or ``tail``, from
                the tail of the scores, for rates far below one alarm in the footage (``keras_vad.scoring.promise``).
            fps: Frames a second of videos that do not tell theirs.

        Returns:
            ``alarm_quantile`` that resulted, ``boundary`` (a raw score), ``normal_videos``, ``normal_frames``,
            ``normal_hours`` (``None`` where a frame rate is unknown); for a promised rate also what
            ``promised_boundary`` says of it, as plain values.

        Raises:
            VadError: If there are no videos, or a rate is promised and the frame rate of a video is unknown or the
                footage too short for the tail.
        """
        if len(held_out) == 0:
            raise VadError("calibration got no videos, but needs at least one with normal footage.")
        videos = [self.score_video(video) for video in held_out]
        scores = [video.raw for video in videos]
        clocks = [times_at(len(one), fps) if one.time_s is None else one.time_s for one in videos]
        known = [float(durations(clock).sum()) for clock in clocks if clock is not None]
        raw = np.concatenate(scores)
        report: dict[str, Any] = {}
        if false_alarms_per_hour is not None:
            if len(known) < len(scores):
                raise VadError(
                    "the frame rate of the normal footage is unknown, but false alarms per hour need it; give it "
                    "(--fps, frames a second)."
                )
            level, report = promised_boundary(scores, known, false_alarms_per_hour, boundary)
            alarm_quantile = float(np.mean(raw <= level))
            knots, levels = calibration_knots(raw, alarm_quantile, level)
        else:
            knots, levels = calibration_knots(raw, alarm_quantile)
        self.calibration_raw.assign(knots)
        self.calibration_level.assign(levels)
        return {
            "alarm_quantile": alarm_quantile,
            "boundary": float(knots[np.argmax(levels >= ALARM_BOUNDARY)]),
            "normal_videos": len(scores),
            "normal_frames": len(raw),
            "normal_hours": sum(known) / 3600 if len(known) == len(scores) else None,
            **report,
        }

    def _level_of(self, videos: Sequence[VideoLike], quantile: float) -> float:
        """Quantile of the blurred maps of normal videos."""
        frames = [frames_of(video) for video in videos]
        every = max(1, sum(len(video) for video in frames) // _LEVEL_FRAMES)  # type: ignore[misc, arg-type]
        samples, maps_of = [], self._maps_to_pool()
        for video in frames:
            for chunk in iter_chunks(resize_each(video, self.window.size), self.window):
                maps = maps_of(tf.constant(chunk.frames[None]))[:, ::every]
                samples.append(self._blurred(maps).numpy()[..., ::2, ::2].ravel())
        return float(np.quantile(np.concatenate(samples), quantile))

    def _maps_to_pool(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """From a chunk of video to the maps that ``pooled`` gets; a method whose ``maps`` hold more overrides this."""
        return lambda frames: self._scorer(frames, maps=True)["maps"]

    def score_chunk(self, frames: tf.Tensor, maps: bool = False) -> dict[str, tf.Tensor]:
        """Score every frame of a chunk of video that its windows reach; the body of the exported signatures.

        The frames are preprocessed once and all windows are cut from them in the graph (starts: ``Window.starts``).
        The windows run one after another, so memory does not grow with the chunk.

        Args:
            frames: uint8, (batch, N, H0, W0, 3), N >= ``window.span``.
            maps: Whether to return the maps.

        Returns:
            ``raw_scores`` float32 (batch, M) for the M scored frames, ``scores`` the same calibrated to [0, 1],
            ``frame_offsets`` int32 (batch, M), and ``part/NAME`` (batch, M); with ``maps``, ``maps``
            float32 (batch, M, h, w).

        Raises:
            tf.errors.InvalidArgumentError: If the chunk is shorter than one window.
        """
        window = self.window
        inputs = self.preprocess(frames)
        batch, n_frames = tf.shape(frames)[0], tf.shape(frames)[1]
        tail = n_frames - window.span
        too_short = f"frames has too few frames in a chunk: this model needs at least {window.span}"
        with tf.control_dependencies([tf.debugging.assert_greater_equal(tail, 0, message=too_short)]):
            regular = tf.range(0, tail + 1, window.hop)
        has_tail = tf.cast(tail % window.hop != 0, tf.int32)
        starts = tf.concat([regular, tf.fill([has_tail], tail)], axis=0)

        names = ["frame_scores", *self.parts, *(["maps"] if maps else [])]
        steps = tf.constant(window.frames)

        def one_window(start: tf.Tensor) -> dict[str, tf.Tensor]:
            output = self.anomaly(tf.gather(inputs, start + steps, axis=1))
            return {name: tf.cast(output[name], tf.float32) for name in names}

        per_window = tf.map_fn(
            one_window, starts, parallel_iterations=1, fn_output_signature=dict.fromkeys(names, tf.float32)
        )

        # The tail window counts only for frames after the last one that the regular windows score.
        position = starts[:, None] + tf.constant(window.scored)[None, :]
        is_tail = tf.range(tf.size(starts))[:, None] >= tf.size(regular)
        counts = tf.cast(~is_tail | (position > regular[-1] + max(window.scored)), tf.float32)
        position = tf.reshape(position, [-1])
        total = tf.math.unsorted_segment_sum(tf.reshape(counts, [-1]), position, n_frames)
        offsets = tf.reshape(tf.where(total > 0), [-1])

        def mean_over_windows(values: tf.Tensor) -> tf.Tensor:
            # (windows, batch, offsets, ...) -> (windows * offsets, batch, ...) -> (batch, M, ...)
            order = [0, 2, 1, *range(3, values.shape.rank)]
            values = tf.transpose(values, order)
            weights = tf.reshape(counts, tf.concat([tf.shape(counts), [1] * (values.shape.rank - 2)], 0))
            values = tf.reshape(values * weights, tf.concat([[-1], tf.shape(values)[2:]], 0))
            sums = tf.gather(tf.math.unsorted_segment_sum(values, position, n_frames), offsets)
            shape = tf.concat([[-1], [1] * (values.shape.rank - 1)], 0)
            means = sums / tf.reshape(tf.gather(total, offsets), shape)
            return tf.transpose(means, [1, 0, *range(2, values.shape.rank)])

        raw = mean_over_windows(per_window["frame_scores"])
        result = {
            "raw_scores": raw,
            "scores": apply_calibration(
                raw, tf.convert_to_tensor(self.calibration_raw), tf.convert_to_tensor(self.calibration_level)
            ),
            "frame_offsets": tf.tile(tf.cast(offsets, tf.int32)[None], [batch, 1]),
            **{f"part/{name}": mean_over_windows(per_window[name]) for name in self.parts},
        }
        if maps:
            result["maps"] = mean_over_windows(per_window["maps"])
        return result

    def score_video(
        self,
        video: VideoLike,
        *,
        maps: bool = False,
        map_size: tuple[int, int] | None = None,
        chunk_length: int | None = None,
    ) -> VideoScores:
        """Score a whole video, in chunks; memory does not grow with its length (unless maps are kept).

        Args:
            video: A video file, a folder of frames, a ``Video``, or its frames, uint8 (H0, W0, 3)
                each, also as one array.
            maps: Whether to keep the anomaly maps.
            map_size: Keep the maps, reduced to at most this (height, width) by area mean chunk by chunk.
            chunk_length: Frames scored at once; changes speed and memory, not scores.

        Raises:
            VadError: If the video cannot be read or is shorter than one window.
        """

        def score_chunk(chunk: np.ndarray) -> dict[str, np.ndarray]:
            return {name: value.numpy() for name, value in self._scorer(tf.constant(chunk), keep_maps).items()}

        keep_maps = maps or map_size is not None
        if isinstance(video, str | Path):
            video = open_video(video)
        frames = resize_each(frames_of(video), self.window.size)
        scores = score_in_chunks(frames, self.window, score_chunk, chunk_length, map_size)
        times = getattr(video, "times", None)
        return scores if times is None else replace(scores, time_s=times[scores.frame_index])


def frames_of(video: VideoLike) -> Iterable[np.ndarray]:
    """The frames of a video file, a folder of frames, a ``Video``, or of what already gives frames."""
    if isinstance(video, str | Path):
        video = open_video(video)
    return video.frames if isinstance(video, Video) else video


class _Scorer:
    """``score_chunk`` as graphs, apart from the model so that they are not saved with it."""

    def __init__(self, detector: VideoAnomalyDetector) -> None:
        signature = tf.TensorSpec((None, None, None, None, 3), tf.uint8)
        compiled = functools.partial(tf.function, input_signature=[signature], autograph=False)
        self._graphs = {maps: compiled(functools.partial(detector.score_chunk, maps=maps)) for maps in (False, True)}

    def __call__(self, frames: tf.Tensor, maps: bool) -> dict[str, tf.Tensor]:
        return self._graphs[maps](frames)


def _all_replicas(value: tf.Tensor) -> tf.Tensor:
    """Sum of ``value`` over the replicas."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)

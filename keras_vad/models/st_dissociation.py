"""Spatio-temporal dissociation: an appearance and a motion auto-encoder with deep k-means (Chang et al. 2022)."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_vad.errors import VadError
from keras_vad.layers.attention import VarianceAttention
from keras_vad.layers.clustering import ClusterCentres, kmeans, sample_codes
from keras_vad.layers.losses import gradient_difference
from keras_vad.layers.shuffle import PixelShuffle
from keras_vad.models.checks import check_above, check_at_least, check_channels, check_choice
from keras_vad.models.detector import Logs, Pooling, TrainingPhase, VideoAnomalyDetector
from keras_vad.window import Window, as_size

_NETWORKS = ("appearance_encoder", "appearance_decoder", "motion_encoder", "motion_decoder")
_STRIDE = 16  # of the attention maps; half of it is the stride of the codes
_PRETRAINING, _ALTERNATION = 50, 100  # epochs, section 4.2 (UCSD Ped2)
_CENTRES_SHARE = 0.2  # of the alternation
_ALONE = "pretraining"  # how the names of phases before k-means begin
_KMEANS_CODES = 10_000


@keras.saving.register_keras_serializable(package="keras_vad")
class SpatioTemporalDissociation(VideoAnomalyDetector):
    """Spatio-temporal dissociation with variance attention and deep k-means.

    One auto-encoder restores the first frame of a window (appearance), a second one, a U-Net, predicts from all but the
    last frame how the last differs from the first (motion). First frame and difference add up to a prediction of the
    last frame. Attention in the motion encoder amplifies places that move. The codes of both streams, joined place by
    place, are drawn to cluster centres that training learns in turns with the networks. A pixel's anomaly is its
    prediction error times the distance of its place's code to the centres (eq. 13).

    Y. Chang, Z. Tu, W. Xie, B. Luo, S. Zhang, H. Sui, J. Yuan: "Video anomaly detection with spatio-temporal
    dissociation", Pattern Recognition 122, 2022. Public code: https://github.com/ChangYunPeng/VideoAnomalyDetection;
    layers that the paper does not give are its.

    Deviations and choices where the paper is silent:
        Deviation: the cluster loss is the mean over places, not the sum of eq. 11, so that its weight does not depend
        on the frame size; the same holds for the other losses.
        Each stream's code is divided by the sum of its magnitudes over the channels, and the joined code by its length:
        the paper normalises it to [0, 1] and does not say how; so does the public code. It gives the stream with the
        sparser code, appearance, most of the joined code: see ``code_norm``.
        Equations 3 and 13 both write the norm of a residual. The text calls the first the mean square error, which the
        public code computes for both, and so it is here: see ``error``.
        Deviation: the motion stream learns the difference and the score adds it to the restored first frame, as in the
        paper; the public code compares gradients of the true first frame plus the difference.
        The motion decoder's last layer starts with a hundredth of the usual weights, because differences of frames are
        small and short schedules do not recover from large first steps.
        Deviation: networks learn from the cluster loss (eq. 12) in all their layers; in the public code only the last
        layer of each encoder does, with a tenth of the others' rate, while all layers learn without it.
        Deviation: k-means runs on joined codes of unit length, because these are clustered later; the public code
        leaves their length as it is.
        The paper does not say how often networks and centres take turns (``cycles``), or how long each turn is: here
        centres get a fifth of the epochs.

    Args:
        image_size: (height, width) of the input in pixels, or one number for both; multiples of 16. The paper's is 256.
        window_length: Frames in a window, T; the last one is predicted and scored. The paper's value is 5.
        channels: Of the first convolution and of the three stages of both encoders; the decoders follow. Multiples of
            4 but the first.
        streams: ``"both"``, or only ``"appearance"`` or ``"motion"`` (table 2). With one stream the error is its own:
            of the first frame, or of the difference.
        attention: Variance attention in the motion encoder, normalised by ``"l2"`` (the paper's text) or ``"softmax"``
            (its eq. 9 and the public code, where it does nothing), see ``keras_vad.layers.attention``; ``None`` for
            none (table 2). ``True`` is ``"softmax"`` and ``False`` ``None``.
        clusters: Number of cluster centres, K (table 3); ``None`` for no k-means (table 2).
        sharpness: alpha of the soft assignment, eq. 10; 25 in the public code.
        cluster_weight: lambda_r of eq. 12; 0.1 in the public code. With 0 only the centres learn from the cluster loss.
        gradient_weight: Weight of the gradient loss in eq. 6. The paper's value is 1.
        code_norm: What each stream's code is divided by when they are joined: the ``"sum"`` of its magnitudes (the
            public code), or its ``"length"`` (ours), so that each is half of the joined code.
        pretraining: Whether the streams learn ``"together"`` from windows before k-means (the paper) or ``"apart"``
            (ours): appearance from single frames, for twice the epochs, then motion from windows. Neither sees the
            other then; appearance needs more steps than motion, and a step of it costs about half of one of both.
        cycles: How many times networks and centres take turns.
        error: ``"squared"``, the mean square over RGB of a pixel's residual, or ``"norm"``, its norm over RGB (eq. 13
            by its letter).
        pooling: How the map of a frame becomes its score: ``"mean"`` (the paper), ``"excess"`` or ``"max"``, see
            ``keras_vad.models.detector.Pooling``.
        pooling_sigma: Deviation of the blur of ``"excess"`` and ``"max"``, as a share of the height.
        pooling_quantile: ``"excess"`` counts from this quantile of normal errors.
        learning_rate: Of the networks' Adam; a tenth of it in the second half of the cycles. The paper's value is 1e-4.
        centre_learning_rate: Of the centres' Adam. The paper's value is 1e-5.
        gradient_clip: Length that the gradient of a stream is cut to (ours): at rates above the paper's a few steps
            that are too large can leave a stream without a code. ``None`` does not cut.

    Call arguments:
        windows: float32, (batch, T, H, W, 3), RGB in [0, 1], from ``preprocess``. A gray camera's three channels are
            equal.

    Example:
    >>> import numpy as np
    >>> detector = SpatioTemporalDissociation(image_size=32, channels=(4, 4, 8, 8), clusters=3)
    >>> scores = detector.score_video(np.zeros((20, 48, 64, 3), "uint8"))
    >>> scores.frame_index[[0, -1]].tolist()
    [4, 19]
    """

    health_figures = ("code_variance", "appearance_share", "clusters_used", "attention_range")
    paper = "Chang et al. 2022: Video anomaly detection with spatio-temporal dissociation"

    def __init__(
        self,
        image_size: int | Sequence[int] = (256, 256),
        window_length: int = 5,
        channels: Sequence[int] = (32, 64, 128, 256),
        streams: str = "both",
        attention: str | bool | None = "l2",
        clusters: int | None = 32,
        sharpness: float = 25.0,
        cluster_weight: float = 0.1,
        gradient_weight: float = 1.0,
        code_norm: str = "sum",
        pretraining: str = "together",
        cycles: int = 10,
        error: str = "squared",
        pooling: str = "mean",
        pooling_sigma: float = 0.03,
        pooling_quantile: float = 0.99,
        learning_rate: float = 1e-4,
        centre_learning_rate: float = 1e-5,
        gradient_clip: float | None = None,
        name: str | None = None,
    ) -> None:
        size = as_size(image_size)
        if any(side % _STRIDE for side in size):
            raise VadError(f"image_size is {size}, but height and width must be multiples of {_STRIDE}.")
        check_choice("streams", streams, ("both", "appearance", "motion"))
        if isinstance(attention, bool):
            attention = "softmax" if attention else None
        if attention is not None:
            check_choice("attention", attention, ("l2", "softmax"))
        check_choice("code_norm", code_norm, ("sum", "length"))
        check_choice("pretraining", pretraining, ("together", "apart"))
        check_choice("error", error, ("norm", "squared"))
        check_channels("channels", channels, 4)
        if len(channels) != 4 or any(number % 4 for number in channels[1:]):
            raise VadError(
                f"channels are {tuple(channels)}, but must be four numbers, the last three multiples of 4, which pixel "
                "shuffle needs."
            )
        check_at_least(2, window_length=window_length)
        check_at_least(1, cycles=cycles, clusters=1 if clusters is None else clusters)
        check_at_least(0, cluster_weight=cluster_weight, gradient_weight=gradient_weight)
        check_above(0, sharpness=sharpness, learning_rate=learning_rate, centre_learning_rate=centre_learning_rate)
        check_above(0, gradient_clip=1.0 if gradient_clip is None else gradient_clip)
        last = window_length - 1
        super().__init__(
            Window(length=last, size=size, channels=3, offsets=(last,), targets=(last,)),
            pooling=Pooling(pooling, pooling_sigma, pooling_quantile),
            name=name,
        )
        # The mean is the paper's score, and its regularity 1 / mean is what the paper rescales (eq. 13 and 14).
        self.paper_rescaling = "inverse_min_max" if pooling == "mean" else "min_max"

        # === Networks ===
        self.appearance_encoder: keras.Model | None = None
        self.appearance_decoder: keras.Model | None = None
        self.motion_encoder: keras.Model | None = None
        self.motion_decoder: keras.Model | None = None
        if streams != "motion":
            self.appearance_encoder = build_appearance_encoder(size, channels)
            self.appearance_decoder = build_appearance_decoder(size, channels)
        if streams != "appearance":
            self.motion_encoder = build_motion_encoder(size, last, channels, attention)
            self.motion_decoder = build_motion_decoder(size, channels)
        self.cluster_centres: ClusterCentres | None = None
        if clusters is not None:
            code_size = channels[-1] * (2 if streams == "both" else 1)
            self.cluster_centres = ClusterCentres(clusters, code_size, dtype="float32", name="cluster_centres")
            self.loss_weight("cluster", cluster_weight)

        # === Config ===
        self.image_size = size
        self.window_length = window_length
        self.channels = tuple(channels)
        self.streams = streams
        self.attention = attention
        self.clusters = clusters
        self.sharpness = sharpness
        self.cluster_weight = cluster_weight
        self.gradient_weight = gradient_weight
        self.code_norm = code_norm
        self.pretraining = pretraining
        self.cycles = cycles
        self.error = error
        self.learning_rate = learning_rate
        self.centre_learning_rate = centre_learning_rate
        self.gradient_clip = gradient_clip

        pooled = ("mean_error", "excess_error", "max_error")
        self.parts = tuple(part for part in pooled if part != f"{pooling}_error")
        self.parts += ("norm_error" if error == "squared" else "squared_error",)
        if streams == "both":
            self.parts += ("appearance_error", "motion_error")
        if clusters is not None:
            self.parts += ("plain_error", "cluster_distance", "public_error")
        self._has_clusters = clusters is not None  # and k-means has found them; see set_phase

    # === Losses and training ===

    def phases(self) -> list[TrainingPhase]:
        """Section 4.2: both auto-encoders alone, k-means on their codes, then networks and centres in turns."""
        slower = self.learning_rate / 10  # after epoch 100 of 150
        networks = tuple(name for name in _NETWORKS if getattr(self, name) is not None)
        half = _ALTERNATION // 2
        alone = {} if self.clusters is None else {"cluster": 0.0}
        if self.streams == "both" and self.pretraining == "apart":
            appearance, motion = networks[:2], networks[2:]
            frame = Window(length=1, size=self.image_size, channels=3)
            phases = [
                TrainingPhase(f"{_ALONE} of appearance", 2 * _PRETRAINING, appearance, alone, windows=(frame,)),
                TrainingPhase(f"{_ALONE} of motion", _PRETRAINING, motion, alone),
            ]
        else:
            phases = [TrainingPhase(_ALONE, _PRETRAINING, networks, alone)]
        if self.clusters is None:
            return [
                *phases,
                TrainingPhase("networks", half, networks),
                TrainingPhase("networks, slower", half, networks, learning_rate=slower),
            ]
        weights = {"cluster": self.cluster_weight}
        of_centres = max(1, round(_ALTERNATION * _CENTRES_SHARE / self.cycles))
        of_networks = max(1, round(_ALTERNATION / self.cycles) - of_centres)
        for cycle in range(self.cycles):
            rate = slower if cycle >= self.cycles / 2 else None
            start = type(self).initialise_centres if cycle == 0 else None
            phases += [
                TrainingPhase(f"networks {cycle + 1}", of_networks, networks, weights, rate, start),
                TrainingPhase(f"centres {cycle + 1}", of_centres, ("cluster_centres",), weights),
            ]
        return phases

    def set_phase(self, phase: TrainingPhase) -> None:
        """See the base class."""
        super().set_phase(phase)
        self._has_clusters = self.cluster_centres is not None and not phase.name.startswith(_ALONE)

    def initialise_centres(self, windows: tf.data.Dataset) -> None:
        """Set the centres to those that k-means finds among codes of training windows.

        Args:
            windows: Training windows, uint8 (batch, T, H0, W0, 3).
        """
        assert self.cluster_centres is not None
        encode = tf.function(lambda batch: self.codes(self.preprocess(batch)), autograph=False)
        codes = sample_codes(windows, encode, _KMEANS_CODES, self.seed)
        self.cluster_centres.centres.assign(kmeans(codes, self.cluster_centres.clusters, self.seed))

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | None = None,
        motion_optimizer: keras.optimizers.Optimizer | None = None,
        centre_optimizer: keras.optimizers.Optimizer | None = None,
        **kwargs: Any,
    ) -> None:
        """Set the optimizers of appearance (or of the only stream), motion and centres; by default section 4.2's.

        Each counts steps of its own. With one for both streams, the one that learns later would begin with steps up to
        6.6 times as large as its learning rate says: Adam's correction for moments that start at 0 would be over.
        """
        super().compile(optimizer, **kwargs)
        self.motion_optimizer = motion_optimizer or self.loss_scaling(self.default_optimizer())
        self.centre_optimizer = centre_optimizer or self.loss_scaling(_adam(self.centre_learning_rate))

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        """A stream's: Adam as in the public code."""
        return _adam(self.learning_rate, self.gradient_clip)

    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """One for each stream and, with clusters, the centres'."""
        return [optimizer for optimizer, _ in self._learners()]

    def build_optimizers(self) -> None:
        """Create the optimizers' variables."""
        for optimizer, weights in self._learners():
            optimizer.build(weights)

    def _learners(self) -> list[tuple[keras.optimizers.Optimizer, list[keras.Variable]]]:
        """Optimizers and what each may change now; that of the centres last."""
        learners: list[tuple[keras.optimizers.Optimizer, list[keras.Variable]]] = []
        for stream in ("appearance", "motion"):
            encoder, decoder = getattr(self, f"{stream}_encoder"), getattr(self, f"{stream}_decoder")
            if encoder is not None:
                optimizer = self.motion_optimizer if learners else self.optimizer
                learners.append((optimizer, encoder.trainable_variables + decoder.trainable_variables))
        if self.cluster_centres is not None:
            learners.append((self.centre_optimizer, self.cluster_centres.trainable_variables))
        return learners

    def compute_losses(self, frames: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """One replica's shares of the losses of what learns in the current phase.

        Args:
            frames: uint8, (batch, T, H0, W0, 3); for appearance alone (batch, 1, H0, W0, 3) will do.
            training: Whether to use batch statistics.

        Returns:
            Those of ``appearance`` (eq. 3), ``motion`` and ``gradient`` (the two terms of eq. 6) and ``cluster``
            (eq. 11) that the streams and clusters have; float32 scalars. The losses of a stream that rests are left
            out, and that of the clusters when a stream or the centres learn alone.
        """
        windows = self.preprocess(frames)
        first, last = windows[:, 0], windows[:, -1]
        networks = [name for name in _NETWORKS if getattr(self, name) is not None]
        learning = [name for name in networks if getattr(self, name).trainable]
        centres = self.cluster_centres
        clustered = centres is not None and (learning == networks or centres.trainable)
        encoded = self._encode(windows, training, networks if clustered else learning)
        losses = {}
        if self.appearance_decoder is not None and "appearance_decoder" in learning:
            restored = self.appearance_decoder(encoded.appearance, training=training)
            losses["appearance"] = tf.reduce_mean(tf.square(first - restored), axis=(1, 2, 3))
        if self.motion_decoder is not None and "motion_decoder" in learning:
            difference = self.motion_decoder(encoded.motion, training=training)
            losses["motion"] = tf.reduce_mean(tf.square(last - first - difference), axis=(1, 2, 3))
            losses["gradient"] = gradient_difference(last - first, difference)
        if clustered:
            distance, _ = self._cluster_distances(encoded.codes)
            losses["cluster"] = tf.reduce_mean(distance, axis=(1, 2))
        return {name: self.global_mean(per_example) for name, per_example in losses.items()}

    def train_step(self, data: tf.Tensor) -> Logs:
        """One step of the networks (eq. 12), the centres (eq. 11) or both, whichever are trainable.

        Args:
            data: uint8, (batch, T, H0, W0, 3).
        """
        weights: dict[str, Any] = {"gradient": self.gradient_weight}
        if self.cluster_centres is not None:
            weights["cluster"] = tf.convert_to_tensor(self.loss_weight("cluster"))
        learners = [(optimizer, variables) for optimizer, variables in self._learners() if variables]
        with tf.GradientTape(persistent=True) as tape:
            losses = self.compute_losses(data, training=True)
            loss = tf.add_n([weights.get(name, 1.0) * share for name, share in losses.items()])
            scaled = [
                optimizer.scale_loss(losses["cluster"] if optimizer is self.centre_optimizer else loss)
                for optimizer, _ in learners
            ]
        for (optimizer, variables), lowered in zip(learners, scaled, strict=True):
            optimizer.apply_gradients(zip(tape.gradient(lowered, variables), variables, strict=True))
        return self.logged(losses)

    def health(self, batches: Iterable[tf.Tensor]) -> dict[str, float]:
        """What the codes and the attention of normal windows say; nothing of single frames.

        Args:
            batches: uint8, (batch, T, H0, W0, 3); or single frames, (batch, 1, H0, W0, 3).

        Returns:
            ``code_variance``: of the joined codes, over windows and places, summed over the channels; from 0, all are
            equal, to 1. ``appearance_share``: how much of it is the appearance code's, 0 to 1; clusters do not see a
            stream that has none of it. ``clusters_used``: centres that are the nearest of at least a tenth of their
            fair share of codes, once there are centres. ``attention_range``: largest over smallest factor of the
            features of a window, mean over windows, of the stage where that is least; 1 is no attention.
        """
        codes: list[np.ndarray] = []
        ranges: list[np.ndarray] = []
        for frames in batches:
            if frames.shape[1] == 1:
                return {}
            encoded = self._encode(self.preprocess(frames), training=False)
            codes.append(encoded.codes.numpy().reshape(-1, encoded.codes.shape[-1]))
            ranges += [np.exp(np.ptp(maps.numpy(), axis=(1, 2))) for maps in encoded.attention]
        if not codes:
            return {}
        joined = np.concatenate(codes)
        variance = joined.var(axis=0, dtype="float64")
        figures = {"code_variance": float(variance.sum())}
        if self.streams == "both":
            figures["appearance_share"] = float(variance[: self.channels[-1]].sum() / max(variance.sum(), 1e-12))
        if self._has_clusters:
            nearest = np.concatenate([self.cluster_of(tf.constant(some)).numpy() for some in codes])
            centres = self.clusters or 0
            counts = np.bincount(nearest, minlength=centres)
            figures["clusters_used"] = float((counts >= 0.1 * len(nearest) / centres).sum())
        if ranges:
            stages = [np.concatenate(ranges[stage::3]).mean() for stage in range(3)]
            figures["attention_range"] = float(min(stages))
        return figures

    # === Scores ===

    def anomaly(self, windows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Prediction error times cluster distance; see the base class.

        Args:
            windows: float32, (batch, T, H, W, 3).

        Returns:
            ``maps`` (batch, 1, H, W): the last frame's prediction error (with one stream: that stream's error) times
            the cluster distance of its place (eq. 13); ``mean_error``, ``excess_error`` and ``max_error`` of the map,
            and ``frame_scores``, the one that ``pooling`` chose. ``norm_error`` or ``squared_error`` is the mean of the
            map with the ``error`` that was not chosen. With both streams the mean ``appearance_error`` of the first
            frame and ``motion_error`` of the difference. With clusters ``plain_error``, the mean error without the
            distance, ``cluster_distance``, the mean of this, and ``public_error``, the public code's score: the mean
            of the squared error times the distance of eq. 10 without its square.
        """
        encoded = self._encode(windows, training=False)
        first, last, residuals = windows[:, 0], windows[:, -1], {}
        residual = tf.zeros_like(first)
        if self.appearance_decoder is not None:
            restored = self.appearance_decoder(encoded.appearance, training=False)
            residuals["appearance_error"] = residual = first - restored
        if self.motion_decoder is not None:
            difference = self.motion_decoder(encoded.motion, training=False)
            residuals["motion_error"] = residual = last - first - difference
        parts = {}
        if self.streams == "both":
            parts = {name: _mean(self._error(own, self.error)) for name, own in residuals.items()}
            residual = last - (restored + difference)
        errors = {kind: self._error(residual, kind) for kind in ("norm", "squared")}
        if self.cluster_centres is not None:
            squares, distances = self._cluster_distances(encoded.codes)
            parts["plain_error"] = _mean(errors[self.error])
            parts["cluster_distance"] = _mean(squares)
            parts["public_error"] = _mean(errors["squared"] * _enlarged(distances))
            errors = {kind: error * _enlarged(squares) for kind, error in errors.items()}
        parts |= {f"{kind}_error": _mean(error) for kind, error in errors.items() if kind != self.error}
        maps = errors[self.error][:, None]
        return {"maps": maps, **self.pooled(maps), **parts}

    def _error(self, residual: tf.Tensor, kind: str) -> tf.Tensor:
        if kind == "norm":
            return tf.norm(residual, axis=-1)
        return tf.reduce_mean(tf.square(residual), axis=-1)

    def codes(self, windows: tf.Tensor) -> tf.Tensor:
        """The codes that are clustered: r of section 3.5, for pictures of the clusters and for k-means.

        Args:
            windows: float32, (batch, T, H, W, 3), from ``preprocess``.

        Returns:
            float32, (batch, H / 8, W / 8, channels of both streams' codes), appearance first; of unit length.
        """
        return self._encode(windows, training=False).codes

    def attention_maps(self, windows: tf.Tensor) -> list[tf.Tensor]:
        """Where the motion encoder looks (figure 9).

        Args:
            windows: float32, (batch, T, H, W, 3), from ``preprocess``.

        Returns:
            For each of the three stages, the first first, float32 (batch, H / 16, W / 16), in [0, 1]; the features of a
            place are multiplied with the map's exponential.

        Raises:
            VadError: If the detector has no attention.
        """
        if self.motion_encoder is None or self.attention is None:
            raise VadError(
                f"the detector has no attention (streams is {self.streams!r}, attention is {self.attention}); train "
                "one with attention and a motion stream."
            )
        return self._encode(windows, training=False).attention

    def cluster_of(self, codes: tf.Tensor) -> tf.Tensor:
        """Number of the nearest centre of each code, int64 (...,), for pictures of the clusters.

        Args:
            codes: float32, (..., D), from ``codes``.
        """
        if self.cluster_centres is None:
            raise VadError("the detector has no clusters (clusters is None); train one with clusters.")
        return tf.argmin(self.cluster_centres(codes), axis=-1)

    def _encode(self, windows: tf.Tensor, training: bool, networks: Collection[str] = _NETWORKS) -> "_Encoded":
        """The codes that those of ``networks`` make that the detector has."""
        codes, attention, features, of_appearance = [], [], [], None
        if self.appearance_encoder is not None and "appearance_encoder" in networks:
            of_appearance = self.appearance_encoder(windows[:, 0], training=training)
            codes.append(of_appearance)
        if self.motion_encoder is not None and "motion_encoder" in networks:
            _, length, height, width, channels = windows.shape
            stacked = tf.transpose(windows[:, :-1], [0, 2, 3, 1, 4])
            stacked = tf.reshape(stacked, [-1, height, width, (length - 1) * channels])
            encoded = self.motion_encoder(stacked, training=training)
            features, attention = encoded[:3], encoded[3:]
            codes.append(features[0])
        if self.code_norm == "length":
            codes = [_unit_length(code) for code in codes]
        return _Encoded(of_appearance, features, _unit_length(tf.concat(codes, axis=-1)), attention)

    def _cluster_distances(self, codes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Equation 10, squared distances weighted by soft assignment; the same of plain ones; (batch, h, w) each."""
        assert self.cluster_centres is not None
        squares = self.cluster_centres(codes)
        distances = tf.sqrt(tf.maximum(squares, 1e-12))  # whose gradient at 0 is not finite
        shares = tf.nn.softmax(-self.sharpness * distances)
        return tf.reduce_sum(shares * squares, axis=-1), tf.reduce_sum(shares * distances, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "image_size": self.image_size,
            "window_length": self.window_length,
            "channels": self.channels,
            "streams": self.streams,
            "attention": self.attention,
            "clusters": self.clusters,
            "sharpness": self.sharpness,
            "cluster_weight": self.cluster_weight,
            "gradient_weight": self.gradient_weight,
            "code_norm": self.code_norm,
            "pretraining": self.pretraining,
            "cycles": self.cycles,
            "error": self.error,
            "pooling": self.pooling.kind,
            "pooling_sigma": self.pooling.sigma,
            "pooling_quantile": self.pooling.quantile,
            "learning_rate": self.learning_rate,
            "centre_learning_rate": self.centre_learning_rate,
            "gradient_clip": self.gradient_clip,
            "name": self.name,
        }


@dataclass(frozen=True)
class _Encoded:
    """What the encoders make of windows: appearance code, motion code with the features that skip, the joined code."""

    appearance: tf.Tensor | None
    motion: list[tf.Tensor]
    codes: tf.Tensor
    attention: list[tf.Tensor]


def build_appearance_encoder(size: tuple[int, int], channels: Sequence[int]) -> keras.Model:
    """The encoder of figure 2: a convolution, three residual blocks of stride 2 with batch normalisation before each.

    Args:
        size: (height, width).
        channels: Of the first convolution and the three blocks.

    Returns:
        A model from float32 (batch, height, width, 3) to a code, float32 (batch, height / 8, width / 8, channels[-1]),
        at least 0 and adding up to 1 over the channels.
    """
    inputs = keras.Input((*size, 3), name="frame")
    x = layers.ReLU()(_convolution(inputs, channels[0]))
    for filters in channels[1:]:
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
        x = _residual_block(x, filters, stride=2)
    x = layers.ReLU()(_convolution(x, channels[-1]))
    return keras.Model(inputs, _normalised(x), name="appearance_encoder")


def build_appearance_decoder(size: tuple[int, int], channels: Sequence[int]) -> keras.Model:
    """The decoder of figure 2: three pixel shuffles, a residual block after each.

    Args:
        size: (height, width) of the restored frame.
        channels: Those of the encoder.

    Returns:
        A model from the code to float32 (batch, height, width, 3).
    """
    inputs = keras.Input((size[0] // 8, size[1] // 8, channels[-1]), name="code")
    x = inputs
    for filters in channels[:0:-1]:
        x = _residual_block(PixelShuffle(2)(x), filters)
    return keras.Model(inputs, _convolution(x, 3, dtype="float32"), name="appearance_decoder")


def build_motion_encoder(
    size: tuple[int, int], length: int, channels: Sequence[int], attention: str | None
) -> keras.Model:
    """The encoder of figure 4: like the appearance encoder without batch normalisation, attention after each block.

    Args:
        size: (height, width).
        length: Frames, stacked as channels.
        channels: Of the first convolution and the three blocks.
        attention: How attention is normalised; ``None`` for none.

    Returns:
        A model from float32 (batch, height, width, 3 * length) to a list: the code, float32
        (batch, height / 8, width / 8, channels[-1]), whose magnitudes add up to 1 over the channels; the features of
        the second and of the first block; and with attention the maps of the three blocks, float32
        (batch, height / 16, width / 16).
    """
    inputs = keras.Input((*size, 3 * length), name="frames")
    x = layers.ReLU()(_convolution(inputs, channels[0]))
    features, maps = [], []
    for filters, pool_size in zip(channels[1:], (8, 4, 2), strict=True):
        x = _residual_block(x, filters, stride=2)
        if attention is not None:
            x, attention_map = VarianceAttention(pool_size, attention)(x)
            maps.append(attention_map)
        features.append(x)
    code = _normalised(_convolution(x, channels[-1]))
    return keras.Model(inputs, [code, features[1], features[0], *maps], name="motion_encoder")


def build_motion_decoder(size: tuple[int, int], channels: Sequence[int]) -> keras.Model:
    """The decoder of figure 4: like the appearance decoder, with features of the encoder joined in.

    Args:
        size: (height, width) of the predicted difference.
        channels: Those of the encoder.

    Returns:
        A model from the code and the features of the second and first block to float32 (batch, height, width, 3).
    """
    height, width = size
    code = keras.Input((height // 8, width // 8, channels[3]), name="code")
    second = keras.Input((height // 4, width // 4, channels[2]), name="second")
    first = keras.Input((height // 2, width // 2, channels[1]), name="first")
    x = _residual_block(PixelShuffle(2)(code), channels[2])
    x = layers.Concatenate()([x, second])
    x = _residual_block(PixelShuffle(2)(x), channels[1])
    x = layers.Concatenate()([x, first])
    x = _residual_block(PixelShuffle(2)(x), channels[1])
    difference = _convolution(x, 3, dtype="float32", kernel_initializer=_small())
    return keras.Model([code, second, first], difference, name="motion_decoder")


def _convolution(x: keras.KerasTensor, filters: int, stride: int = 1, **options: Any) -> keras.KerasTensor:
    return layers.Conv2D(filters, 3, stride, padding="same", use_bias=False, **options)(x)


def _small() -> keras.initializers.Initializer:
    """A hundredth of the usual weights.

    Differences of frames are small. A decoder that starts with large ones unlearns them in steps that leave units dead,
    with some seeds for good.
    """
    return keras.initializers.VarianceScaling(1e-4, "fan_avg", "uniform")


def _residual_block(x: keras.KerasTensor, filters: int, stride: int = 1) -> keras.KerasTensor:
    """Two convolutions and a third beside them as shortcut (section 3.2); no normalisation inside."""
    y = layers.LeakyReLU(0.01)(_convolution(x, filters, stride))
    y = layers.Add()([_convolution(y, filters), _convolution(x, filters, stride)])
    return layers.LeakyReLU(0.01)(y)


def _normalised(x: keras.KerasTensor) -> keras.KerasTensor:
    """The code in float32, its magnitudes adding up to 1 over the channels."""
    x = keras.ops.cast(x, "float32")
    return x / keras.ops.maximum(keras.ops.sum(keras.ops.abs(x), axis=-1, keepdims=True), 1e-12)


def _unit_length(codes: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(codes, axis=-1, epsilon=1e-30)


def _mean(maps: tf.Tensor) -> tf.Tensor:
    """Mean over the places of each window, (batch, 1)."""
    return tf.reduce_mean(maps, axis=(1, 2))[:, None]


def _enlarged(places: tf.Tensor) -> tf.Tensor:
    """A value of each code's place, for all of its pixels."""
    side = _STRIDE // 2
    return tf.repeat(tf.repeat(places, side, axis=1), side, axis=2)


def _adam(learning_rate: float, clip: float | None = None) -> keras.optimizers.Optimizer:
    """With PyTorch's epsilon, a tenth of Keras': losses are means of small squares, so their gradients are small."""
    return keras.optimizers.Adam(learning_rate, epsilon=1e-8, global_clipnorm=clip)

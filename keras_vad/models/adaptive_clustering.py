"""Adaptive clustering in the latent space of an auto-encoder of cuboids (Jacob & Levine 2019)."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.mixture import GaussianMixture

from keras_vad.errors import VadError
from keras_vad.layers.clustering import ClusterCentres, kmeans, sample_codes
from keras_vad.layers.losses import dssim
from keras_vad.layers.seeded import SeededDropout, SeededNoise
from keras_vad.layers.upsample import UpsampleConv2D
from keras_vad.models.checks import check_above, check_at_least, check_channels, check_choice
from keras_vad.models.detector import Logs, Pooling, TrainingPhase, VideoAnomalyDetector, VideoLike
from keras_vad.window import Window, as_size

_KMEANS_CODES = 20_000  # codes that k-means starts the centres from
_MIXTURE_CODES = 50_000  # codes that the Gaussian mixture is fitted to, at most
_DRAWN = 16  # codes of a window among these
_STILL = 0.1  # weight of a cuboid without motion, where the mean of a window's weights is 1 more
_FIRST_COUNT = 100.0  # codes that a centre found by k-means counts for in its running mean
_SMALLEST = 0.01  # distance, of which a logarithm is taken
_EPOCHS = 25  # of the paper, on shapes (table III)
# Scores of a frame made of its cuboids' distances: values of the option pooling, and the parts that hold them.
_OF_CUBOIDS = {
    "cuboid": "cuboid_distance",
    "cuboid_top": "cuboid_top",
    "cuboid_mean": "cuboid_mean",
    "cuboid_log": "cuboid_log",
}


@keras.saving.register_keras_serializable(package="keras_vad")
class AdaptiveClusteringCAE(VideoAnomalyDetector):
    """Convolutional auto-encoder of spatio-temporal cuboids, whose codes are clustered while it learns.

    Cuboids, small windows of P frames at places of a grid, are restored from codes of n numbers. While the auto-encoder
    learns, its codes are pulled to K centres, which follow them (section IV-C, eq. 1, optimised as the deep clustering
    network of Yang et al. 2016). A Gaussian mixture of the training cuboids' codes is what is normal (section IV-D): a
    cuboid is as abnormal as its code is far from the nearest component (eq. 12, 13).

    S. Jacob, M. D. Levine: "Adaptive clustering in latent space for anomaly detection in videos using synthetic data",
    2019.

    Deviations and choices where the paper is silent:
        Deviation: values are rescaled to [0, 1] with the bounds of the training frames in training and in test, because
        with bounds of its own for each (the public code) one object looks different in the two; a test value may leave
        [0, 1].
        Deviation: a cuboid's assignment is not remembered from its last visit but made anew before each step, because
        cuboids are sampled and hardly come twice.
        Deviation: the centres take a whole batch at once: m <- (c m + sum of the codes assigned to it) / (c + their
        number). With given assignments that is what the per-sample update m <- m - (m - z) / c of Yang et al., one code
        after the other, ends at; it can be summed over replicas, a sequence cannot. A centre that k-means found counts
        for 100 codes.
        Deviation: the score of a frame is made of the distances of its cuboids (``pooling``), because the paper scores
        cuboids only (``keras_vad.evaluation.cuboids`` does that); its map is the mean over the cuboids that cover a
        place.
        The paper gives neither optimizer nor learning rate: Adam, 1e-3, as the public code. That is written in Keras;
        normalisation, leaky ReLU and Adam have Keras' constants. The paper gives no length of the training before
        k-means: a fifth of its epochs.

    Eq. 1 has a trivial minimum: codes on a smaller scale are nearer to their centres, and a decoder with larger weights
    restores from them just as well. The last layer of the encoder, a normalisation, offers that scale as its gamma.
    ``code_scale=False`` takes it away; then only codes that lie in clusters lower the loss. Centres whose counts only
    grow hardly move in the end, while the codes do; ``centre_memory`` bounds the counts. ``health`` tells of both.

    Args:
        image_size: (height, width) of the frames in pixels, or one number for both. 170 on shapes; (240, 360) is the
            size of UCSD Ped2.
        window_length: Frames of a cuboid, P. The paper's value is 8.
        hop: Frames between the starts of windows when scoring; a frame's score is the mean over its windows.
            ``None`` is ``window_length``: windows do not overlap.
        image_channels: 3 (RGB) or 1 (gray). Table I has 8 x 3 channels: RGB; UCSD is gray.
        cuboid_size: (S_1, S_2), (height, width) of a cuboid, or one number for both; halved by every stage of the
            encoder. The paper's values are 32 on shapes, 48 on UCSD (24 in table I).
        cuboid_stride: S_t, pixels between neighbouring cuboids. The paper's values are 7 on shapes, 12 on UCSD.
        channels: Channels of the encoder's convolutions, one a stage (table I); the decoder mirrors them. Cuboids of 48
            have a fourth stage of 256.
        noise_stddev: Deviation of the noise before each stage's convolution (table I); the last one is also that of
            further stages.
        dropout: Share of dropped channels and, in the code, numbers (table I). The paper's value is 0.3.
        code_size: n, numbers of a code. The paper's value is 32.
        clusters: K, the number of centres. The paper's value is 20.
        components: Components of the Gaussian mixture; ``None`` is K, as in the paper. More of them follow the codes of
            normal cuboids more closely (ours).
        clustering_weight: lambda of eq. 1. The paper's values are 0.001 on shapes, 0.01 on UCSD; 0 leaves the codes
            alone.
        centre_inputs: Whether the encoder sees how far values are from that of unchanged ground, which the rescaling
            puts near 0.5. Table I drops channels before it normalises them: what a channel has in common for all
            cuboids, which says nothing, becomes noise that is many times as large as what differs.
        code_scale: Whether the normalisation of the code has a learned scale (table I).
        centre_memory: Codes that a centre's running mean counts at most: later ones weigh more than those of long ago.
            ``None`` forgets none (Yang et al.).
        pretraining_share: Share of the epochs that come before k-means, in (0, 1).
        ssim_window: Side of the Gaussian windows of the structural dissimilarity, in pixels; 11 is that of Wang et al.
            2004, to which the paper refers.
        cuboids_per_window: Cuboids of a training window that a step learns from, drawn at random; ``None`` takes all of
            them (the paper).
        cuboid_sampling: How these, and those for k-means and the mixture, are drawn: ``"uniform"``, or ``"motion"``, in
            proportion to how much changes in a cuboid from frame to frame, with some of all kinds among them. Most
            cuboids of a still camera show nothing but ground. (The public code leaves out those that hardly change.)
        membership: Which component a code is measured by: ``"nearest"``, the one with the nearest mean (eq. 12), or
            ``"likeliest"``, the one it most probably belongs to (the words of section IV-E).
        covariance_floor: Added to the variances of the mixture, as a share of the mean variance of a number of the
            code. Scikit-learn's value, 1e-6, was the authors'; where many cuboids are equal a component shrinks to
            that, and everything near it seems infinitely far from it.
        pooling: How a frame is scored: ``"cuboid"``, the largest distance of its cuboids; ``"cuboid_top"``, the mean of
            as many of the largest ones as cover a place; ``"cuboid_mean"``, the mean of all; ``"cuboid_log"``, the mean
            of their logarithms; or ``"mean"``, ``"excess"`` or ``"max"`` of its map
            (``keras_vad.models.detector.Pooling``).
        pooling_sigma: Deviation of the blur for ``"excess"`` and ``"max"``, as a share of the frame's height.
        pooling_quantile: Quantile of normal places that ``"excess"`` counts from.
        learning_rate: Of Adam.

    Call arguments:
        windows: float32, (batch, P, H, W, image_channels), from ``preprocess``.

    Example:
    >>> import numpy as np
    >>> detector = AdaptiveClusteringCAE(image_size=40, cuboid_size=16, channels=(2, 2), code_size=4, clusters=3)
    >>> detector.grid  # rows and columns of cuboids
    (4, 4)
    >>> detector.score_video(np.zeros((20, 48, 64, 3), "uint8")).raw.shape
    (20,)
    """

    health_figures = ("clusters_used", "largest_cluster", "code_variance", "code_spread", "clustering_share")
    paper = (
        "Jacob & Levine 2019: Adaptive clustering in latent space for anomaly detection in videos using synthetic data"
    )

    def __init__(
        self,
        image_size: int | Sequence[int] = (170, 170),
        window_length: int = 8,
        hop: int | None = None,
        image_channels: int = 3,
        cuboid_size: int | Sequence[int] = (32, 32),
        cuboid_stride: int = 7,
        channels: Sequence[int] = (64, 128, 256),
        noise_stddev: Sequence[float] = (0.05, 0.03, 0.02),
        dropout: float = 0.3,
        code_size: int = 32,
        clusters: int = 20,
        components: int | None = None,
        clustering_weight: float = 0.001,
        centre_inputs: bool = False,
        code_scale: bool = True,
        centre_memory: int | None = None,
        pretraining_share: float = 0.2,
        ssim_window: int = 11,
        cuboids_per_window: int | None = None,
        cuboid_sampling: str = "uniform",
        membership: str = "nearest",
        covariance_floor: float = 1e-6,
        pooling: str = "cuboid",
        pooling_sigma: float = 0.03,
        pooling_quantile: float = 0.99,
        learning_rate: float = 1e-3,
        name: str | None = None,
    ) -> None:
        check_choice("image_channels", image_channels, (1, 3))
        check_channels("channels", channels, 1)
        gaussians = clusters if components is None else components
        check_at_least(1, cuboid_stride=cuboid_stride, code_size=code_size, clusters=clusters, components=gaussians)
        if not noise_stddev:
            raise VadError("noise_stddev holds no number, but must hold at least one; use [0] for no noise.")
        check_at_least(0, clustering_weight=clustering_weight, noise_stddev=min(noise_stddev))
        check_choice("cuboid_sampling", cuboid_sampling, ("uniform", "motion"))
        check_choice("membership", membership, ("nearest", "likeliest"))
        check_choice("pooling", pooling, (*_OF_CUBOIDS, "mean", "excess", "max"))
        check_above(0, covariance_floor=covariance_floor, learning_rate=learning_rate)
        if centre_memory is not None:
            check_at_least(1, centre_memory=centre_memory)
        if not 0 < pretraining_share < 1:
            raise VadError(f"pretraining_share is {pretraining_share}, but must lie between 0 and 1, for example 0.2.")
        size, cuboid = as_size(image_size), as_size(cuboid_size, "cuboid_size")
        if any(side % 2 ** len(channels) for side in cuboid):
            raise VadError(
                f"cuboid_size is {cuboid}, but must be a multiple of {2 ** len(channels)}, because the encoder's "
                f"{len(channels)} stages halve it; change it or the number of channels."
            )
        if not 1 <= ssim_window <= min(cuboid):
            raise VadError(f"ssim_window is {ssim_window}, but must be at least 1 and fit into cuboid_size, {cuboid}.")
        if cuboid[0] > size[0] or cuboid[1] > size[1]:
            raise VadError(f"cuboid_size is {cuboid}, but must fit into image_size, {size}; make it smaller.")
        super().__init__(
            Window(window_length, size, image_channels, hop=window_length if hop is None else hop),
            subtract_background=True,
            pooling=Pooling("mean" if pooling in _OF_CUBOIDS else pooling, pooling_sigma, pooling_quantile),
            name=name,
        )
        #: Rows and columns of the grid of cuboids.
        self.grid = ((size[0] - cuboid[0]) // cuboid_stride + 1, (size[1] - cuboid[1]) // cuboid_stride + 1)
        if cuboids_per_window is not None and not 1 <= cuboids_per_window <= self.grid[0] * self.grid[1]:
            raise VadError(
                f"cuboids_per_window is {cuboids_per_window}, but a window has {self.grid[0] * self.grid[1]} cuboids; "
                "give a number between 1 and that, or None for all."
            )

        # === Networks ===
        shape = (*cuboid, window_length * image_channels)
        self.encoder = build_encoder(shape, channels, code_size, noise_stddev, dropout, code_scale, name="encoder")
        self.decoder = build_decoder(code_size, shape, channels, name="decoder")
        # The centres learn by running means, not by gradients.
        self.centres = ClusterCentres(clusters, code_size, trainable=False, name="centres")
        self.counts = self._constant("counts", np.full(clusters, _FIRST_COUNT))

        # === What normal data sets ===
        self.value_bounds = self._constant("value_bounds", np.array([0, 1]))
        self.mixture_means = self._constant("mixture_means", np.zeros((gaussians, code_size)))
        self.mixture_factors = self._constant("mixture_factors", np.tile(np.eye(code_size), (gaussians, 1, 1)))
        self.mixture_levels = self._constant("mixture_levels", np.zeros(gaussians))
        self.normal_distance = self._constant("normal_distance", np.array(1.0))

        # === Config ===
        self.image_size = size
        self.window_length = window_length
        self.hop = hop
        self.image_channels = image_channels
        self.cuboid_size = cuboid
        self.cuboid_stride = cuboid_stride
        self.channels = tuple(channels)
        self.noise_stddev = tuple(noise_stddev)
        self.dropout = dropout
        self.code_size = code_size
        self.clusters = clusters
        self.components = components
        self.clustering_weight = clustering_weight
        self.centre_inputs = centre_inputs
        self.code_scale = code_scale
        self.centre_memory = centre_memory
        self.pretraining_share = pretraining_share
        self.ssim_window = ssim_window
        self.cuboids_per_window = cuboids_per_window
        self.cuboid_sampling = cuboid_sampling
        self.membership = membership
        self.covariance_floor = covariance_floor
        self.frame_pooling = pooling
        self.learning_rate = learning_rate
        self.parts = (*_OF_CUBOIDS.values(), "mean_error", "excess_error", "max_error")
        self.loss_weight("clustering", clustering_weight)

    # === Cuboids ===

    def adapt(self, frames: Iterable[np.ndarray]) -> None:
        """Set the background to the mean of the training frames, and the bounds of what is left of them without it.

        Args:
            frames: Batches of training frames, uint8 (n, H0, W0, 3); each frame once.
        """
        assert self.background is not None
        shape = self.background.shape
        lowest, highest = np.full(shape, np.inf), np.full(shape, -np.inf)

        def watched() -> Iterable[np.ndarray]:
            for batch in frames:
                inputs = self.preprocess(tf.convert_to_tensor(batch)) + tf.convert_to_tensor(self.background)
                np.minimum(lowest, inputs.numpy().min(axis=0), out=lowest)
                np.maximum(highest, inputs.numpy().max(axis=0), out=highest)
                yield batch

        super().adapt(watched())
        background = keras.ops.convert_to_numpy(self.background)
        low, high = (lowest - background).min(), (highest - background).max()
        self.value_bounds.assign([low, max(high, low + 1 / 255)])

    def cuboids(self, windows: tf.Tensor, chosen: tf.Tensor | None = None) -> tf.Tensor:
        """Cut cuboids from windows (section IV-A, steps 4 to 6).

        Args:
            windows: float32, (batch, P, H, W, image_channels), from ``preprocess``.
            chosen: int32, (batch, m), numbers of cuboids of the grid, row by row from 0; ``None`` for all.

        Returns:
            float32, (batch, m, S_1, S_2, P * image_channels), frames as channels, training values in [0, 1].
        """
        (height, width), (rows, columns) = self.image_size, self.cuboid_size
        low, high = tf.unstack(tf.convert_to_tensor(self.value_bounds))
        channels = self.window_length * self.image_channels
        stacked = tf.reshape(tf.transpose(windows, [0, 2, 3, 1, 4]), [-1, height, width, channels])
        stacked = (stacked - low) / (high - low)
        if chosen is None:
            step = [1, self.cuboid_stride, self.cuboid_stride, 1]
            patches = tf.image.extract_patches(stacked, [1, rows, columns, 1], step, [1, 1, 1, 1], "VALID")
            return tf.reshape(patches, [-1, self.grid[0] * self.grid[1], rows, columns, channels])
        top, left = chosen // self.grid[1] * self.cuboid_stride, chosen % self.grid[1] * self.cuboid_stride
        y, x = top[:, :, None] + tf.range(rows), left[:, :, None] + tf.range(columns)
        pixels = y[:, :, :, None] * width + x[:, :, None, :]
        return tf.gather(tf.reshape(stacked, [-1, height * width, channels]), pixels, batch_dims=1)

    def draw(self, windows: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
        """Draw different cuboids of each window by lot.

        Args:
            windows: float32, (batch, P, H, W, image_channels), from ``preprocess``.
            count: Cuboids of a window.
            seed: int32, (2,).

        Returns:
            int32, (batch, count), numbers of cuboids of the grid.
        """
        cuboids = self.grid[0] * self.grid[1]
        lots = tf.random.stateless_uniform(tf.stack([tf.shape(windows)[0], cuboids]), seed, minval=1e-7)
        if self.cuboid_sampling == "motion":
            change = tf.reduce_mean(tf.abs(windows[:, 1:] - windows[:, :-1]), axis=(1, 4))[..., None]
            change = tf.reshape(tf.nn.avg_pool2d(change, self.cuboid_size, self.cuboid_stride, "VALID"), [-1, cuboids])
            weights = tf.math.divide_no_nan(change, tf.reduce_mean(change, axis=1, keepdims=True)) + _STILL
            # The largest of u^(1/w): drawn without replacement in proportion to w (Efraimidis & Spirakis 2006).
            lots = tf.math.log(lots) / weights
        return tf.math.top_k(lots, count).indices

    def encode(self, cuboids: tf.Tensor) -> tf.Tensor:
        """Codes without noise.

        Args:
            cuboids: float32, (m, S_1, S_2, P * image_channels).

        Returns:
            float32, (m, n).
        """
        return self.encoder([self._centred(cuboids), tf.zeros(2, tf.int32)], training=False)

    def _centred(self, cuboids: tf.Tensor) -> tf.Tensor:
        """What the encoder sees of cuboids."""
        if not self.centre_inputs:
            return cuboids
        low, high = tf.unstack(tf.convert_to_tensor(self.value_bounds))
        return cuboids + low / (high - low)  # 0 where a pixel has the background's value

    def codes(self, windows: tf.Tensor) -> tf.Tensor:
        """Codes of all cuboids; one window after another, as a window has hundreds.

        Args:
            windows: float32, (batch, P, H, W, image_channels), from ``preprocess``.

        Returns:
            float32, (batch, cuboids, n); the cuboids of the grid row by row.
        """
        shape = tf.TensorSpec((self.grid[0] * self.grid[1], self.code_size), tf.float32)

        def of_window(window: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(self.encode(self.cuboids(window[None])[0]), shape.shape)

        return tf.map_fn(of_window, windows, parallel_iterations=1, fn_output_signature=shape)

    def assign(self, codes: tf.Tensor) -> tf.Tensor:
        """The nearest centre of each code, s of eq. 1: float32 (..., n) to int32 (...)."""
        return tf.argmin(self.centres(codes), axis=-1, output_type=tf.int32)

    # === Losses and training ===

    def phases(self) -> list[TrainingPhase]:
        """The auto-encoder alone, then with the clusters that k-means finds: 25 epochs as on shapes (table III)."""
        networks, weights = ("encoder", "decoder"), {"clustering": self.clustering_weight}
        before = min(max(1, round(_EPOCHS * self.pretraining_share)), _EPOCHS - 1)
        return [
            TrainingPhase("pretraining", before, networks, {"clustering": 0.0}),
            TrainingPhase("clustering", _EPOCHS - before, networks, weights, on_start=_initialise_centres),
        ]

    def build_optimizers(self) -> None:
        """Create the optimizer's variables."""
        self.optimizer.build(self._learned())

    def _learned(self) -> list[keras.Variable]:
        return [*self.encoder.trainable_variables, *self.decoder.trainable_variables]

    def initialise_centres(self, windows: tf.data.Dataset) -> None:
        """K-means on codes of training cuboids.

        Args:
            windows: Training windows, uint8 (batch, P, H0, W0, 3).
        """
        self.centres.centres.assign(kmeans(self._sample(windows, _KMEANS_CODES), self.clusters, self.seed))
        self.counts.assign(np.full(self.clusters, _FIRST_COUNT, "float32"))

    def _sample(self, windows: tf.data.Dataset, most: int) -> np.ndarray:
        """Codes of cuboids drawn from the first windows, float32 (n, code size), n <= ``most``."""
        count, calls = self._sampled, itertools.count()

        @tf.function(reduce_retracing=True, autograph=False)
        def drawn_codes(frames: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            codes = self.encode(self._drawn(self.preprocess(frames), count, seed))
            return tf.reshape(codes, [-1, count, self.code_size])

        def encode(frames: tf.Tensor) -> tf.Tensor:
            return drawn_codes(frames, tf.constant([self.seed, next(calls)]))

        return sample_codes(windows, encode, most, self.seed, per_window=count)

    def _training_cuboids(self, frames: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Cuboids of a batch of windows, float32 (m, S_1, S_2, P * image_channels)."""
        return self._drawn(self.preprocess(frames), self.cuboids_per_window, seed)

    def _drawn(self, windows: tf.Tensor, count: int | None, seed: tf.Tensor) -> tf.Tensor:
        """``count`` cuboids of each preprocessed window, or all, float32 (m, S_1, S_2, P * image_channels)."""
        chosen = None if count is None else self.draw(windows, count, seed)
        return tf.reshape(self.cuboids(windows, chosen), [-1, *self.encoder.input_shape[0][1:]])

    @property
    def _sampled(self) -> int:
        return min(self.grid[0] * self.grid[1], _DRAWN)

    def losses_of_cuboids(self, cuboids: tf.Tensor, seed: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """One replica's shares of the losses (eq. 1).

        Args:
            cuboids: float32, (m, S_1, S_2, P * image_channels).
            seed: Of noise and dropout, int32 (2,).
            training: Whether to draw noise and use batch statistics.

        Returns:
            ``reconstruction``, the structural dissimilarity, and ``clustering``, |E(x) - M s|^2 / 2; float32 scalars.
        """
        codes = self.encoder([self._centred(cuboids), seed], training=training)
        restored = self.decoder(codes, training=training)
        own = tf.gather(tf.convert_to_tensor(self.centres.centres), self.assign(codes))
        return {
            "reconstruction": self.global_mean(dssim(restored, cuboids, self.ssim_window)),
            "clustering": self.global_mean(tf.reduce_sum(tf.square(codes - own), axis=-1) / 2.0),
        }

    def train_step(self, data: tf.Tensor) -> Logs:
        """The three alternating steps of section IV-C: networks, assignments, centres.

        Args:
            data: uint8, (batch, P, H0, W0, 3).
        """
        seed = self.random_seed(self.optimizer.iterations)
        cuboids = self._training_cuboids(data, seed)
        clustering_weight = tf.convert_to_tensor(self.loss_weight("clustering"))
        with tf.GradientTape() as tape:
            losses = self.losses_of_cuboids(cuboids, seed, training=True)
            loss = losses["reconstruction"] + clustering_weight * losses["clustering"]
            loss = self.optimizer.scale_loss(loss)
        weights = self._learned()
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

        codes = self.encode(cuboids)
        members = tf.one_hot(self.assign(codes), self.clusters)
        # Before k-means has run there are no clusters that could move.
        self.update_centres(codes, members * tf.cast(clustering_weight > 0, tf.float32))
        return self.logged(losses)

    def update_centres(self, codes: tf.Tensor, members: tf.Tensor) -> None:
        """Move the centres to the running means of their codes, those of all replicas.

        Args:
            codes: float32, (m, n).
            members: float32, (m, K), 1 where a code belongs to a centre, else 0.
        """
        found = self.logged(
            {"sums": tf.linalg.matmul(members, codes, transpose_a=True), "counts": tf.reduce_sum(members, 0)}
        )
        before, centres = tf.convert_to_tensor(self.counts), tf.convert_to_tensor(self.centres.centres)
        if self.centre_memory is not None:
            before = tf.minimum(before, float(self.centre_memory))
        after = before + found["counts"]
        # The running mean, written so that a centre without codes keeps its value to the last bit.
        self.centres.centres.assign(centres + (found["sums"] - found["counts"][:, None] * centres) / after[:, None])
        self.counts.assign(after)

    def test_step(self, data: tf.Tensor) -> Logs:
        """The losses without noise, with running statistics, of the same cuboids every time."""
        seed = tf.zeros(2, tf.int32)
        return self.logged(self.losses_of_cuboids(self._training_cuboids(data, seed), seed, training=False))

    def health(self, batches: Iterable[tf.Tensor]) -> dict[str, float]:
        """Whether the codes lie in clusters, and the centres where the codes are; of cuboids drawn as for k-means.

        Returns:
            ``code_variance``, the mean variance of a number of the code. After k-means also ``code_spread``, that over
            the centres' variance; ``clusters_used``, clusters with more than a tenth of an equal share of the codes;
            ``largest_cluster``, the largest share; ``clustering_share``, the clustering's part of the objective, in
            [0, 1].
        """
        found: dict[str, list[np.ndarray]] = {"codes": [], "reconstruction": []}
        for number, batch in enumerate(batches):
            cuboids = self._drawn(self.preprocess(batch), self._sampled, tf.constant([0, number]))
            codes = self.encode(cuboids)
            restored = self.decoder(codes, training=False)
            found["codes"].append(codes.numpy())
            found["reconstruction"].append(dssim(restored, cuboids, self.ssim_window).numpy())
        codes = np.concatenate(found["codes"])
        variance = float(codes.var(axis=0).mean())
        weight = float(keras.ops.convert_to_numpy(self.loss_weight("clustering")))
        if weight == 0:
            return {"code_variance": variance}
        distances = self.centres(tf.constant(codes)).numpy()
        shares = np.bincount(distances.argmin(axis=1), minlength=self.clusters) / len(codes)
        clustering = weight * distances.min(axis=1).mean() / 2
        return {
            "code_variance": variance,
            "code_spread": variance / float(keras.ops.convert_to_numpy(self.centres.centres).var(axis=0).mean()),
            "clusters_used": float((shares > 0.1 / self.clusters).sum()),
            "largest_cluster": float(shares.max()),
            "clustering_share": float(clustering / (clustering + np.concatenate(found["reconstruction"]).mean())),
        }

    # === Scores ===

    def fit_normality(
        self, windows: tf.data.Dataset, held_out: Sequence[VideoLike], alarm_quantile: float = 0.99
    ) -> None:
        """Fit the Gaussian mixture to the codes of training cuboids (section IV-D), and calibrate; see the base class.

        ``normal_distance`` becomes the ``alarm_quantile`` of the training cuboids' distances: the threshold T of eq. 14
        where there are no labels to choose it by.
        """
        size = int(next(iter(windows.take(1)), np.zeros(1)).shape[0])
        every = int(windows.cardinality()) * size * _DRAWN // _MIXTURE_CODES
        codes = self._sample(windows.shard(max(1, every), 0), _MIXTURE_CODES)
        components = int(self.mixture_levels.shape[0])
        if len(codes) < components:
            raise VadError(
                f"there are {len(codes)} training cuboids, but the mixture has {components} components; give more "
                "training windows or set model.clusters or model.components lower."
            )
        floor = self.covariance_floor * float(codes.var(axis=0).mean())
        mixture = GaussianMixture(
            components, covariance_type="full", reg_covar=floor, max_iter=200, random_state=self.seed
        ).fit(codes.astype("float64"))
        self.set_mixture(mixture)
        distances = [
            self.distances(tf.constant(some)).numpy() for some in np.array_split(codes, 1 + len(codes) // 4096)
        ]
        self.normal_distance.assign(np.quantile(np.concatenate(distances), alarm_quantile))
        super().fit_normality(windows, held_out, alarm_quantile)

    def set_mixture(self, mixture: GaussianMixture) -> None:
        """Store a fitted mixture with full covariances as weights."""
        factors = mixture.precisions_cholesky_  # of each precision matrix P = F F^T
        self.mixture_means.assign(mixture.means_)
        self.mixture_factors.assign(factors)
        log_determinants = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        self.mixture_levels.assign(2.0 * (np.log(mixture.weights_) + log_determinants))

    def distances(self, codes: tf.Tensor) -> tf.Tensor:
        """Mahalanobis distances of codes from their components of the mixture (eq. 12 and 13).

        Args:
            codes: float32, (..., n).

        Returns:
            float32, (...), at least 0.
        """
        offsets = tf.reshape(codes, [-1, 1, self.code_size]) - tf.convert_to_tensor(self.mixture_means)
        factors = tf.convert_to_tensor(self.mixture_factors)
        squares = tf.reduce_sum(tf.square(tf.einsum("mkd,kde->mke", offsets, factors)), axis=-1)
        if self.membership == "nearest":
            belongs = tf.reduce_sum(tf.square(offsets), axis=-1)
        else:
            belongs = squares - tf.convert_to_tensor(self.mixture_levels)
        own = tf.argmin(belongs, axis=-1, output_type=tf.int32)
        return tf.reshape(tf.sqrt(tf.gather(squares, own, batch_dims=1)), tf.shape(codes)[:-1])

    def cuboid_scores(self, windows: tf.Tensor) -> tf.Tensor:
        """How abnormal each cuboid is.

        Args:
            windows: float32, (batch, P, H, W, image_channels), from ``preprocess``.

        Returns:
            float32, (batch, *grid): the cuboid at (i, j) has its upper left pixel at ``cuboid_stride`` times (i, j).
        """
        return tf.reshape(self.distances(self.codes(windows)), [-1, *self.grid])

    def anomaly(self, windows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores of cuboids as scores of frames.

        Args:
            windows: float32, (batch, P, H, W, image_channels), from ``preprocess``.

        Returns:
            ``maps`` (batch, P, H, W), the mean distance of the cuboids that cover a pixel, 0 where none does; all P
            frames have the same. ``cuboid_distance``, the largest distance, ``cuboid_top``, the mean of as many of the
            largest as cover a place, ``cuboid_mean``, that of all, ``cuboid_log``, the mean of the logarithms, and the
            scores of ``pooled``, (batch, P); ``frame_scores`` is one of these, by ``pooling``.
        """
        scores = self.cuboid_scores(windows)
        maps = self._mean_over_cuboids(scores)[:, None]
        found = {**self._of_cuboids(tf.reshape(scores, [-1, self.grid[0] * self.grid[1]])), **self.pooled(maps)}
        if self.frame_pooling in _OF_CUBOIDS:
            found["frame_scores"] = found[_OF_CUBOIDS[self.frame_pooling]]
        found = {name: tf.tile(score, [1, self.window_length]) for name, score in found.items()}
        return {"maps": tf.tile(maps, [1, self.window_length, 1, 1]), **found}

    def _of_cuboids(self, distances: tf.Tensor) -> Logs:
        """Scores of windows, float32 (batch, 1), from the distances of their cuboids, (batch, cuboids)."""
        height, width = (-(-side // self.cuboid_stride) for side in self.cuboid_size)
        covering = min(self.grid[0], height) * min(self.grid[1], width)
        logarithms = tf.math.log(tf.maximum(distances, _SMALLEST))
        return {
            "cuboid_distance": tf.reduce_max(distances, axis=1, keepdims=True),
            "cuboid_top": tf.reduce_mean(tf.math.top_k(distances, covering).values, axis=1, keepdims=True),
            "cuboid_mean": tf.reduce_mean(distances, axis=1, keepdims=True),
            "cuboid_log": tf.reduce_mean(logarithms, axis=1, keepdims=True),
        }

    def _mean_over_cuboids(self, scores: tf.Tensor) -> tf.Tensor:
        """The mean score of the cuboids that cover a pixel: (batch, *grid) to (batch, H, W)."""
        (height, width), (rows, columns) = self.image_size, self.cuboid_size
        covered = [(n - 1) * self.cuboid_stride + side for n, side in zip(self.grid, self.cuboid_size, strict=True)]
        ones = tf.ones((rows, columns, 1, 1))

        def spread(values: tf.Tensor) -> tf.Tensor:
            shape = [tf.shape(values)[0], *covered, 1]
            return tf.nn.conv2d_transpose(values[..., None], ones, shape, self.cuboid_stride, "VALID")[..., 0]

        means = tf.math.divide_no_nan(spread(scores), spread(tf.ones((1, *self.grid))))
        means = tf.pad(means, [[0, 0], [0, height - covered[0]], [0, width - covered[1]]])
        return tf.ensure_shape(means, (None, height, width))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "image_size": self.image_size,
            "window_length": self.window_length,
            "hop": self.hop,
            "image_channels": self.image_channels,
            "cuboid_size": self.cuboid_size,
            "cuboid_stride": self.cuboid_stride,
            "channels": self.channels,
            "noise_stddev": self.noise_stddev,
            "dropout": self.dropout,
            "code_size": self.code_size,
            "clusters": self.clusters,
            "components": self.components,
            "clustering_weight": self.clustering_weight,
            "centre_inputs": self.centre_inputs,
            "code_scale": self.code_scale,
            "centre_memory": self.centre_memory,
            "pretraining_share": self.pretraining_share,
            "ssim_window": self.ssim_window,
            "cuboids_per_window": self.cuboids_per_window,
            "cuboid_sampling": self.cuboid_sampling,
            "membership": self.membership,
            "covariance_floor": self.covariance_floor,
            "pooling": self.frame_pooling,
            "pooling_sigma": self.pooling.sigma,
            "pooling_quantile": self.pooling.quantile,
            "learning_rate": self.learning_rate,
            "name": self.name,
        }


def _initialise_centres(detector: VideoAnomalyDetector, windows: tf.data.Dataset) -> None:
    assert isinstance(detector, AdaptiveClusteringCAE)
    detector.initialise_centres(windows)


def build_encoder(
    input_shape: tuple[int, int, int],
    channels: Sequence[int],
    code_size: int,
    noise_stddev: Sequence[float],
    dropout: float,
    code_scale: bool = True,
    name: str | None = None,
) -> keras.Model:
    """The encoder of table I: a stage is noise, convolution 3 x 3, LeakyReLU, spatial dropout, norm, pooling by 2.

    Args:
        input_shape: (height, width, channels) of a cuboid.
        channels: Channels of the convolutions, one a stage.
        code_size: Numbers of a code.
        noise_stddev: Deviation of the noise of each stage; the last one is also that of further stages.
        dropout: Share of channels, and of numbers of the code, that are dropped while training.
        code_scale: Whether the last norm has a learned scale.
        name: Name of the model.

    Returns:
        A model from cuboids, float32 (batch, *input_shape), and a seed, int32 (2,), to codes, float32
        (batch, code_size).
    """
    inputs = keras.Input(input_shape, name="cuboid")
    seed = keras.Input(batch_shape=(2,), dtype="int32", name="seed")
    x = inputs
    for stage, filters in enumerate(channels):
        stddev = noise_stddev[min(stage, len(noise_stddev) - 1)]
        x = SeededNoise(stddev, stream=2 * stage, name=f"noise{stage + 1}")(x, seed)
        x = layers.Conv2D(filters, 3, padding="same", name=f"conv{stage + 1}")(x)
        x = layers.LeakyReLU(0.3, name=f"conv{stage + 1}_relu")(x)
        x = SeededDropout(dropout, spatial=True, stream=2 * stage + 1, name=f"dropout{stage + 1}")(x, seed)
        x = layers.BatchNormalization(name=f"norm{stage + 1}")(x)
        x = layers.AveragePooling2D(2, name=f"pool{stage + 1}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.LeakyReLU(0.3, name="code_relu")(layers.Dense(code_size, name="code")(x))
    x = SeededDropout(dropout, stream=2 * len(channels), name="code_dropout")(x, seed)
    x = layers.BatchNormalization(scale=code_scale, dtype="float32", name="code_norm")(x)
    return keras.Model([inputs, seed], x, name=name)


def build_decoder(
    code_size: int, output_shape: tuple[int, int, int], channels: Sequence[int], name: str | None = None
) -> keras.Model:
    """The decoder of table II.

    Args:
        code_size: Numbers of a code.
        output_shape: (height, width, channels) of a cuboid.
        channels: Channels of the encoder's convolutions, which it mirrors.
        name: Name of the model.

    Returns:
        A model from codes, float32 (batch, code_size), to cuboids, float32 (batch, *output_shape), in [0, 1].
    """
    height, width, image_channels = output_shape
    first = (height // 2 ** len(channels), width // 2 ** len(channels), 2 * channels[-1])
    inputs = keras.Input((code_size,), name="code")
    x = layers.LeakyReLU(0.3, name="dense_relu")(layers.Dense(int(np.prod(first)), name="dense")(inputs))
    x = layers.Reshape(first, name="reshape")(x)
    for stage, filters in enumerate(reversed(channels), start=1):
        x = UpsampleConv2D(filters, name=f"conv{stage}")(x)
        x = layers.LeakyReLU(0.3, name=f"conv{stage}_relu")(x)
        x = layers.BatchNormalization(name=f"norm{stage}")(x)
    x = layers.Conv2D(max(1, channels[0] // 2), 3, padding="same", name=f"conv{len(channels) + 1}")(x)
    x = layers.LeakyReLU(0.3, name=f"conv{len(channels) + 1}_relu")(x)
    x = layers.Conv2D(image_channels, 3, padding="same", activation="sigmoid", dtype="float32", name="restored")(x)
    return keras.Model(inputs, x, name=name)

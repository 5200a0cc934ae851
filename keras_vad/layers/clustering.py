"""Clusters of codes: centres in the graph, k-means on the host."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.cluster import KMeans

from keras_vad.errors import VadError


@keras.saving.register_keras_serializable(package="keras_vad")
class ClusterCentres(keras.layers.Layer):
    """Squared Euclidean distances to cluster centres, which are weights.

    Args:
        clusters: Number of centres, K.
        size: Size of a code, D.

    Call arguments:
        codes: float32, (..., D).

    Returns:
        float32, (..., K), at least 0.
    """

    def __init__(self, clusters: int, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.clusters = clusters
        self.size = size
        self.centres = self.add_weight(name="centres", shape=(clusters, size), initializer="random_normal")
        self.built = True

    def call(self, codes: tf.Tensor) -> tf.Tensor:
        """Distances; see the class."""
        centres = tf.cast(tf.convert_to_tensor(self.centres), codes.dtype)
        # |c - m|^2 without a tensor of (..., K, D), which is large for codes at every place of a frame.
        products = tf.linalg.matmul(tf.reshape(codes, [-1, self.size]), centres, transpose_b=True)
        products = tf.reshape(products, tf.concat([tf.shape(codes)[:-1], [self.clusters]], 0))
        squares = tf.reduce_sum(codes**2, axis=-1, keepdims=True) + tf.reduce_sum(centres**2, axis=-1)
        return tf.nn.relu(squares - 2.0 * products)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "clusters": self.clusters, "size": self.size}


def sample_codes(
    windows: tf.data.Dataset, encode: Callable[[tf.Tensor], tf.Tensor], most: int, seed: int, per_window: int = 64
) -> np.ndarray:
    """Codes of training windows, gathered on the host.

    Args:
        windows: Batches of what ``encode`` takes; read until there are enough codes.
        encode: From a batch to its codes, float32 (batch, ..., D).
        most: Codes at most.
        seed: Of the choice of codes.
        per_window: Codes taken of each window of a batch, at most, drawn without replacement.

    Returns:
        float32, (n, D).

    Raises:
        VadError: If there are no windows.
    """
    generator = np.random.default_rng(seed)
    samples: list[np.ndarray] = []
    count = 0
    for batch in windows:
        codes = np.asarray(encode(batch), "float32")
        for of_window in codes.reshape(len(codes), -1, codes.shape[-1]):
            chosen = generator.permutation(len(of_window))[:per_window]
            samples.append(of_window[np.sort(chosen)])
            count += len(chosen)
        if count >= most:
            break
    if not samples:
        raise VadError("there are no training windows to take codes from; give longer videos.")
    return np.concatenate(samples)[:most]


def kmeans(codes: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Centres found by scikit-learn's k-means (k-means++ starts).

    Args:
        codes: float32, (n, D).
        clusters: Number of centres, K.
        seed: Of the starts.

    Returns:
        float32, (K, D).

    Raises:
        VadError: If there are fewer codes than clusters.
    """
    if len(codes) < clusters:
        raise VadError(f"k-means has {len(codes)} codes for {clusters} clusters; give more training windows.")
    return KMeans(clusters, n_init=3, random_state=seed).fit(codes).cluster_centers_.astype("float32")

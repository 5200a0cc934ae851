"""Cluster centres, k-means on the host."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vad.errors import VadError
from keras_vad.layers.clustering import ClusterCentres, kmeans, sample_codes


def test_distances_against_numpy():
    layer = ClusterCentres(3, 5)
    codes = np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32")
    expected = ((codes[:, :, None] - layer.centres.numpy()) ** 2).sum(-1)
    np.testing.assert_allclose(layer(codes), expected, rtol=1e-4, atol=1e-5)
    assert ClusterCentres.from_config(layer.get_config()).centres.shape == (3, 5)


def test_the_distance_to_itself_is_not_negative():
    layer = ClusterCentres(1, 512)
    assert (layer(1000 + tf.zeros((1, 512)) + tf.convert_to_tensor(layer.centres)).numpy() >= 0).all()
    assert (layer(tf.convert_to_tensor(layer.centres)).numpy() >= 0).all()


def test_kmeans_finds_separate_groups():
    generator = np.random.default_rng(0)
    middle = np.array([[0, 0], [10, 0], [0, 10]], "float32")
    codes = np.concatenate([m + 0.1 * generator.normal(size=(50, 2)) for m in middle]).astype("float32")
    found = kmeans(codes, 3, seed=0)
    assert found.dtype == np.float32
    nearest = np.linalg.norm(found[:, None] - middle, axis=-1).min(axis=0)
    assert nearest.max() < 0.1
    with pytest.raises(VadError, match="k-means has 2 codes for 3 clusters"):
        kmeans(codes[:2], 3, seed=0)


def test_sample_codes_takes_places_of_every_window_until_there_are_enough():
    read = []

    def windows():
        for number in range(100):
            read.append(number)
            yield np.float32([2 * number, 2 * number + 1])

    def encode(batch):  # (2,) -> (2, 10 places, 3)
        return batch[:, None, None] + np.zeros((2, 10, 3), "float32")

    codes = sample_codes(windows(), encode, most=9, seed=0, per_window=4)
    assert codes[:, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert len(read) == 2
    with pytest.raises(VadError, match="there are no training windows"):
        sample_codes([], encode, most=9, seed=0)

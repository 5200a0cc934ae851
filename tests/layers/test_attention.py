import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vad.layers.attention import VarianceAttention


def by_loops(features, embedding, pool):
    """Equations 7 to 9 of Chang et al. 2022, place by place."""
    height, width, channels = features.shape
    variance = np.zeros((height // pool, width // pool))
    for h in range(height // pool):
        for w in range(width // pool):
            embedded = np.zeros(channels)
            for dy in range(pool):
                for dx in range(pool):
                    embedded += features[h * pool + dy, w * pool + dx] @ embedding / pool**2
            mean = sum(embedded) / channels
            variance[h, w] = sum((value - mean) ** 2 for value in embedded) / channels
    attention = np.exp(variance) / np.exp(variance).sum()
    amplified = np.zeros_like(features)
    for h in range(height):
        for w in range(width):
            amplified[h, w] = np.exp(attention[h // pool, w // pool]) * features[h, w]
    return amplified, attention


@pytest.mark.parametrize("pool", [1, 2, 4])
def test_is_the_plain_loop(pool):
    generator = np.random.default_rng(pool)
    features = generator.normal(0, 2, (2, 8, 12, 3))
    layer = VarianceAttention(pool)
    amplified, attention = layer(features.astype("float32"))
    (embedding,) = layer.get_weights()
    assert embedding.shape == (1, 1, 3, 3)
    for b in range(2):
        expected, expected_attention = by_loops(features[b], embedding[0, 0].astype(float), pool)
        np.testing.assert_allclose(attention[b], expected_attention, rtol=1e-4)
        np.testing.assert_allclose(amplified[b], expected, rtol=1e-4)
        assert float(tf.reduce_sum(attention[b])) == pytest.approx(1, rel=1e-5)


def test_looks_where_the_channels_differ():
    features = np.ones((1, 8, 8, 4), "float32")
    features[0, 4:6, 2:4] = [9, -9, 9, -9]  # in the box of row 2, column 1
    layer = VarianceAttention(2)
    layer.build(features.shape)
    layer.set_weights([np.eye(4, dtype="float32")[None, None]])
    amplified, attention = layer(features)
    assert np.unravel_index(np.argmax(attention[0]), (4, 4)) == (2, 1)
    assert float(attention[0, 2, 1]) == pytest.approx(1)
    np.testing.assert_allclose(amplified[0, 4:6, 2:4] / features[0, 4:6, 2:4], np.e, rtol=1e-5)


def test_gradients_reach_the_embedding_and_the_features():
    layer = VarianceAttention(2)
    features = tf.Variable(tf.random.stateless_normal((1, 4, 4, 3), (1, 2)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(features)[0] ** 2)
    gradients = tape.gradient(loss, [features, *layer.trainable_variables])
    assert len(gradients) == 2
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)


def test_mixed_precision_keeps_the_map_in_float32():
    layer = VarianceAttention(2, dtype="mixed_bfloat16")
    inputs = keras.Input((8, 8, 4), dtype="bfloat16")
    outputs = layer(inputs)
    assert [output.dtype for output in outputs] == ["bfloat16", "float32"]
    amplified, attention = layer(tf.ones((1, 8, 8, 4)))
    assert amplified.dtype == tf.bfloat16
    assert attention.dtype == tf.float32
    np.testing.assert_allclose(attention, 1 / 16, rtol=1e-5)


def test_config_makes_the_same_layer():
    again = VarianceAttention.from_config(VarianceAttention(4, name="here").get_config())
    assert (again.pool_size, again.name) == (4, "here")

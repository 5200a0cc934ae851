import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vad.layers.attention import VarianceAttention


def by_loops(features, embedding, pool, normalisation):
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
    if normalisation == "l2":
        attention = variance / np.sqrt((variance**2).sum())
    else:
        attention = np.exp(variance) / np.exp(variance).sum()
    amplified = np.zeros_like(features)
    for h in range(height):
        for w in range(width):
            amplified[h, w] = np.exp(attention[h // pool, w // pool]) * features[h, w]
    return amplified, attention


@pytest.mark.parametrize("normalisation", ["l2", "softmax"])
@pytest.mark.parametrize("pool", [1, 2, 4])
def test_is_the_plain_loop(pool, normalisation):
    generator = np.random.default_rng(pool)
    features = generator.normal(0, 2, (2, 8, 12, 3))
    layer = VarianceAttention(pool, normalisation)
    amplified, attention = layer(features.astype("float32"))
    (embedding,) = layer.get_weights()
    assert embedding.shape == (1, 1, 3, 3)
    for b in range(2):
        expected, expected_attention = by_loops(features[b], embedding[0, 0].astype(float), pool, normalisation)
        np.testing.assert_allclose(attention[b], expected_attention, rtol=1e-4)
        np.testing.assert_allclose(amplified[b], expected, rtol=1e-4)
        whole = attention[b] ** 2 if normalisation == "l2" else attention[b]
        assert float(tf.reduce_sum(whole)) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("scale", [1, 1e-3, 1e-6])
def test_faint_features_have_attention_that_differs_between_places(scale):
    # Two channels that differ by 2 a have the variance a^2: 0, 3 and 4 in units of scale^2.
    halves = scale * np.sqrt([0.0, 3.0, 4.0])
    features = np.stack([halves, -halves], axis=-1)[None, None].astype("float32")  # one row of three places
    layer = VarianceAttention(1)
    layer.build(features.shape)
    layer.set_weights([np.eye(2, dtype="float32")[None, None]])
    amplified, attention = layer(features)
    np.testing.assert_allclose(attention[0, 0], [0, 0.6, 0.8], rtol=1e-4)
    np.testing.assert_allclose(amplified[0, 0, 1:, 0], halves[1:] * np.exp([0.6, 0.8]), rtol=1e-4)


def test_the_softmax_of_faint_features_is_the_same_everywhere():
    features = np.zeros((1, 8, 12, 2), "float32")
    features[0, 4, 4] = 0.05, -0.05
    layer = VarianceAttention(1, "softmax")
    layer.build(features.shape)
    layer.set_weights([np.eye(2, dtype="float32")[None, None]])
    np.testing.assert_allclose(np.exp(layer(features)[1]), np.exp(1 / 96), rtol=1e-4)  # 1.0105


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
    np.testing.assert_allclose(attention, 1 / 4, rtol=1e-2)  # 16 places of equal variance


def test_config_makes_the_same_layer():
    again = VarianceAttention.from_config(VarianceAttention(4, "softmax", name="here").get_config())
    assert (again.pool_size, again.normalisation, again.name) == (4, "softmax", "here")

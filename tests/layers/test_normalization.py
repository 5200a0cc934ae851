import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vad.layers.normalization import BatchNormalization


def layers_of(shape, **options):
    """Ours and Keras', with the same weights, none of them at its initial value."""
    pair = (
        BatchNormalization(momentum=0.9, epsilon=1e-5, **options),
        keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, **options),
    )
    rng = np.random.default_rng(1)
    for layer in pair:
        layer.build(shape)
    values = [rng.uniform(0.5, 2.0, weight.shape) for weight in pair[0].weights]
    for layer in pair:
        layer.set_weights(values)
    return pair


def trained(layer, inputs, training=True):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=training)
        loss = tf.reduce_sum(tf.sin(tf.cast(outputs, tf.float32)))
    gradients = tape.gradient(loss, [inputs, *layer.trainable_variables])
    return [outputs, *gradients]


@pytest.mark.parametrize("shape", [(4, 5, 3), (4, 5, 6, 3), (2, 3, 5, 6, 3)])
def test_a_training_step_is_keras_own(shape):
    inputs = tf.constant(np.random.default_rng(0).normal(2.0, 3.0, shape).astype("float32"))
    ours, theirs = layers_of(shape)
    before = [weight.numpy() for weight in theirs.weights]
    for mine, expected in zip(trained(ours, inputs), trained(theirs, inputs), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(ours.moving_variance, theirs.moving_variance, rtol=1e-5)
    by_hand = 0.9 * before[3] + 0.1 * inputs.numpy().reshape(-1, 3).var(axis=0)
    np.testing.assert_allclose(ours.moving_variance, by_hand, rtol=1e-5)


def test_inference_and_a_frozen_layer_are_keras_own():
    inputs = tf.constant(np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32"))
    ours, theirs = layers_of(inputs.shape)
    np.testing.assert_array_equal(ours(inputs, training=False), theirs(inputs, training=False))
    ours.trainable = False
    before = ours.get_weights()
    np.testing.assert_array_equal(ours(inputs, training=True), theirs(inputs, training=False))
    for weight, value in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_statistics_are_float32_in_mixed_precision():
    inputs = tf.constant(np.random.default_rng(0).normal(100.0, 0.5, (8, 16, 16, 2)), tf.bfloat16)
    ours, theirs = layers_of(inputs.shape, dtype="mixed_bfloat16")
    mine, expected = ours(inputs, training=True), theirs(inputs, training=True)
    assert mine.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(mine, tf.float32), tf.cast(expected, tf.float32), atol=0.05)
    exact = tf.cast(inputs, tf.float32).numpy().reshape(-1, 2)
    before = layers_of(inputs.shape)[0].moving_mean.numpy()
    np.testing.assert_allclose(ours.moving_mean, 0.9 * before + 0.1 * exact.mean(axis=0), rtol=1e-4)


@pytest.mark.parametrize(("center", "scale"), [(False, True), (True, False)])
def test_without_offset_or_scale(center, scale):
    inputs = tf.constant(np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype("float32"))
    ours, theirs = layers_of(inputs.shape, center=center, scale=scale)
    np.testing.assert_allclose(ours(inputs, training=True), theirs(inputs, training=True), atol=1e-5)


def test_a_file_written_with_keras_own_layer_loads(tmp_path):
    def model(kind):
        inputs = keras.Input((4, 4, 1))
        return keras.Model(inputs, kind()(keras.layers.Conv2D(2, 3)(inputs)))

    theirs, ours = model(keras.layers.BatchNormalization), model(BatchNormalization)
    theirs.layers[2].set_weights(np.array([[2.0, 3.0], [0.5, 0.1], [0.2, 0.3], [1.5, 2.5]]))
    theirs.save_weights(tmp_path / "w.weights.h5")
    ours.load_weights(tmp_path / "w.weights.h5")
    for mine, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, expected)

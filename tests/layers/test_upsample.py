import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vad.layers.upsample import UpsampleConv2D


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 4)])
def test_it_is_upsampling_and_convolution_gradients_too(size):
    generator = np.random.default_rng(0)
    inputs = tf.constant(generator.normal(size=(2, *size, 3)).astype("float32"))
    both = keras.Sequential([keras.layers.UpSampling2D(2), keras.layers.Conv2D(4, 3, padding="same")])
    one = UpsampleConv2D(4)
    both(inputs), one(inputs)
    weights = [generator.normal(size=weight.shape).astype("float32") for weight in both.weights]
    assert [weight.shape for weight in one.weights] == [weight.shape for weight in weights]
    found = []
    for layer in (both, one):
        layer.set_weights(weights)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            loss = tf.reduce_sum(outputs**2)
        found.append([outputs, *tape.gradient(loss, [inputs, *layer.trainable_variables])])
    for expected, value in zip(*found, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4)


def test_it_starts_as_a_convolution_does_and_is_saved(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, 6, 2))
    model = keras.Model(inputs, UpsampleConv2D(5)(inputs))
    assert model.output_shape == (None, None, 12, 5)
    limit = np.sqrt(6 / (9 * 2 + 9 * 5))  # Glorot's
    kernel = model.get_weights()[0]
    assert 0.9 * limit < np.abs(kernel).max() <= limit
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    value = np.ones((1, 4, 6, 2), "float32")
    np.testing.assert_array_equal(again(value), model(value))

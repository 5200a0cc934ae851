import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vad.errors import VadError
from keras_vad.layers.seeded import SeededDropout, SeededNoise

ONES = np.ones((8, 20, 20, 16), "float32")


def draw(layer, seed=(3, 4), training=True):
    return np.asarray(layer(tf.constant(ONES), tf.constant(seed), training=training))


LAYERS = [SeededNoise(0.5), SeededDropout(0.3), SeededDropout(0.3, spatial=True)]


@pytest.mark.parametrize("layer", LAYERS)
def test_it_draws_by_the_seed_and_only_in_training(layer):
    np.testing.assert_array_equal(draw(layer), draw(layer))
    assert (draw(layer) != draw(layer, seed=(3, 5))).any()
    other = type(layer).from_config({**layer.get_config(), "stream": 1})
    assert (draw(layer) != draw(other)).any()
    np.testing.assert_array_equal(draw(layer, training=False), ONES)
    assert layer.weights == []


def test_noise_has_its_deviation():
    noise = draw(SeededNoise(0.5)) - 1
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(0.5, rel=0.02)
    np.testing.assert_array_equal(draw(SeededNoise(0.0)), ONES)


@pytest.mark.parametrize("spatial", [False, True])
def test_dropout_keeps_the_mean(spatial):
    values = draw(SeededDropout(0.25, spatial=spatial))
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (values == 0).mean() == pytest.approx(0.25, abs=0.1 if spatial else 0.01)
    whole = (values == values[:, :1, :1]).all(axis=(1, 2))
    assert whole.all() == spatial
    np.testing.assert_array_equal(draw(SeededDropout(0.0, spatial=spatial)), ONES)


def test_half_precision():
    for layer in (SeededNoise(0.5, dtype="mixed_bfloat16"), SeededDropout(0.5, dtype="mixed_bfloat16")):
        assert layer(tf.constant(ONES), tf.constant([0, 0]), training=True).dtype == tf.bfloat16


def test_they_are_layers_of_a_saved_model(tmp_path):
    inputs, seed = keras.Input((4, 4, 2)), keras.Input(batch_shape=(2,), dtype="int32")
    x = SeededDropout(0.3, spatial=True, stream=1)(SeededNoise(0.1)(inputs, seed), seed)
    model = keras.Model([inputs, seed], x)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    arguments = [np.ones((3, 4, 4, 2), "float32"), np.array([5, 6], "int32")]
    np.testing.assert_array_equal(again(arguments, training=True), model(arguments, training=True))


def test_bad_arguments():
    with pytest.raises(VadError, match=r"the deviation of the noise is -1, but must be at least 0"):
        SeededNoise(-1)
    for rate in (-0.1, 1.0):
        with pytest.raises(VadError, match=r"dropout is .*, but must be at least 0 and below 1"):
            SeededDropout(rate)

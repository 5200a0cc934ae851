import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_vad.layers.unpooling import MaxPoolWithArgmax, MaxUnpool

BOXES = [(2, 2, 2), (1, 2, 2), (2, 2), (3, 2, 1)]


def pool_by_loop(x, box):
    """Maxima and their positions in row-major order, the first of equal ones, by a plain loop."""
    batch, *space, channels = x.shape
    out = [-(-size // pool) for size, pool in zip(space, box, strict=True)]
    pooled = np.empty((batch, *out, channels), x.dtype)
    position = np.empty(pooled.shape, np.int32)
    for row in range(batch):
        for place in np.ndindex(*out):
            for channel in range(channels):
                best = None
                for number, inner in enumerate(np.ndindex(*box)):
                    at = tuple(p * b + i for p, b, i in zip(place, box, inner, strict=True))
                    if any(a >= size for a, size in zip(at, space, strict=True)):
                        continue
                    value = x[(row, *at, channel)]
                    if best is None or value > best[0]:
                        best = (value, number)
                pooled[(row, *place, channel)], position[(row, *place, channel)] = best
    return pooled, position


def unpool_by_loop(values, position, box, space):
    batch, *_, channels = values.shape
    out = np.zeros((batch, *space, channels), values.dtype)
    for index in np.ndindex(*values.shape):
        row, *place, channel = index
        inner = np.unravel_index(position[index], box)
        at = tuple(p * b + i for p, b, i in zip(place, box, inner, strict=True))
        if all(a < size for a, size in zip(at, space, strict=True)):
            out[(row, *at, channel)] = values[index]
    return out


def random_input(space, channels=3, batch=2, seed=0, levels=None):
    generator = np.random.default_rng(seed)
    shape = (batch, *space, channels)
    if levels:
        return generator.integers(0, levels, shape).astype(np.float32)
    return generator.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("levels", [None, 2], ids=["no-ties", "ties"])
@pytest.mark.parametrize("odd", [0, 1])
def test_pooling_is_the_plain_loop(box, levels, odd):
    x = (
        random_input([4 + odd, 6 + odd, 2 + odd][: len(box)], levels=levels) - 1
    )  # also maxima below 0, which padding has
    pooled, position = MaxPoolWithArgmax(box)(x)
    expected, expected_position = pool_by_loop(x, box)
    np.testing.assert_array_equal(pooled, expected)
    np.testing.assert_array_equal(position, expected_position)
    assert position.dtype == tf.int32


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_unpooling_is_the_plain_loop(data):
    box = data.draw(st.sampled_from(BOXES))
    space = tuple(data.draw(st.integers(1, 5)) for _ in box)
    x = random_input(
        space, channels=2, seed=data.draw(st.integers(0, 99)), levels=data.draw(st.sampled_from([None, 3]))
    )
    pooled, position = MaxPoolWithArgmax(box)(x)
    output = MaxUnpool(box, space)(pooled, position)
    np.testing.assert_array_equal(output, unpool_by_loop(pooled.numpy(), position.numpy(), box, space))
    # What comes back is the input where it was a maximum, and nothing elsewhere.
    kept = output.numpy() != 0
    np.testing.assert_array_equal(output.numpy()[kept], x[kept])


def test_of_equal_values_the_first_counts():
    pooled, position = MaxPoolWithArgmax((2, 2, 2))(np.full((1, 2, 2, 2, 1), -3, "float32"))
    assert float(pooled[0, 0, 0, 0, 0]) == -3
    assert int(position[0, 0, 0, 0, 0]) == 0


def test_zero_positions_are_the_top_left_of_every_box():
    values = random_input((2, 2), channels=1, batch=1)
    output = MaxUnpool((2, 2), (4, 4))(values, np.zeros(values.shape, np.int32)).numpy()
    np.testing.assert_array_equal(output[:, ::2, ::2], values)
    assert np.count_nonzero(output) == np.count_nonzero(values)


@pytest.mark.parametrize("space", [(4, 6, 4), (3, 5, 4)])
def test_gradient_of_pooling_is_tensorflows(space):
    x = tf.constant(random_input(space))
    upstream = tf.constant(random_input([-(-size // 2) for size in space], seed=1))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        ours = tf.reduce_sum(MaxPoolWithArgmax((2, 2, 2))(x)[0] * upstream)
        theirs = tf.reduce_sum(tf.nn.max_pool3d(x, 2, 2, "SAME") * upstream)
    np.testing.assert_allclose(tape.gradient(ours, x), tape.gradient(theirs, x), atol=1e-6)


@pytest.mark.parametrize("space", [(4, 4, 2), (3, 5, 2)])
def test_gradients_are_the_finite_differences(space):
    x = tf.constant(random_input(space, channels=1, batch=1).astype(np.float64))
    position = MaxPoolWithArgmax((2, 2, 2), dtype="float64")(x)[1]
    weights = tf.constant(random_input(space, channels=1, batch=1, seed=2).astype(np.float64))

    def there_and_back(x):
        pooled, position = MaxPoolWithArgmax((2, 2, 2), dtype="float64")(x)
        return tf.reduce_sum(MaxUnpool((2, 2, 2), space, dtype="float64")(pooled**2, position) * weights)

    def back(values):
        return tf.reduce_sum(MaxUnpool((2, 2, 2), space, dtype="float64")(values**2, position) * weights)

    pooled = tf.constant(random_input(position.shape[1:-1], channels=1, batch=1, seed=3).astype(np.float64))
    for function, value in ((there_and_back, x), (back, pooled)):
        theoretical, numerical = tf.test.compute_gradient(function, [value], delta=1e-4)
        np.testing.assert_allclose(theoretical[0], numerical[0], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_in_a_functional_model_saved_and_loaded(tmp_path, dtype):
    inputs = keras.Input((3, 5, 7, 2), dtype=dtype)
    pooled, position = MaxPoolWithArgmax((2, 2, 2), dtype=dtype)(inputs)
    assert pooled.shape == position.shape == (None, 2, 3, 4, 2)
    output = MaxUnpool((2, 2, 2), (3, 5, 7), dtype=dtype)(pooled, position)
    assert output.shape == (None, 3, 5, 7, 2)
    model = keras.Model(inputs, output)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = tf.cast(random_input((3, 5, 7), channels=2), dtype)
    assert again(x).dtype == dtype
    np.testing.assert_array_equal(tf.cast(again(x), tf.float32), tf.cast(model(x), tf.float32))

"""Max-pooling that remembers where each maximum stood, and the un-pooling that puts values back there."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_vad")
class MaxPoolWithArgmax(keras.layers.Layer):
    """Max-pooling over non-overlapping boxes of 2 or 3 dimensions that also returns the position of each maximum.

    TensorFlow has no 3D max-pooling with argmax. The boxes do not overlap, so their places are compared one by one. A
    size that the box does not divide is padded at its end, as ``padding="same"`` would; padding never wins. Of equal
    values the first counts.

    Args:
        pool_size: Size of the box along each spatial (and temporal) dimension, for example ``(2, 2, 2)``.

    Call arguments:
        inputs: float, (batch, *space, channels).

    Returns:
        A pair: the maxima, float, (batch, *ceil(space / pool_size), channels); and the position of each in its box,
        int32 of the same shape, counted in row-major order.

    Example:
    >>> x = np.array([1.0, 3.0, 2.0, 0.0], "float32").reshape(1, 2, 2, 1)
    >>> pooled, position = MaxPoolWithArgmax((2, 2))(x)
    >>> float(pooled[0, 0, 0, 0]), int(position[0, 0, 0, 0])
    (3.0, 1)
    """

    def __init__(self, pool_size: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = tuple(pool_size)

    def call(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Pool; see the class."""
        inputs = tf.convert_to_tensor(inputs)
        overhang = [-size % pool for size, pool in zip(inputs.shape[1:-1], self.pool_size, strict=True)]
        if any(overhang):
            paddings = [(0, 0), *((0, pad) for pad in overhang), (0, 0)]
            inputs = tf.pad(inputs, paddings, constant_values=inputs.dtype.min)
        pooled, position = _pool(inputs, self.pool_size)
        return pooled, position

    def compute_output_spec(self, inputs: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Shapes and dtypes of the output."""
        space = [-(-size // pool) for size, pool in zip(inputs.shape[1:-1], self.pool_size, strict=True)]
        shape = (inputs.shape[0], *space, inputs.shape[-1])
        return keras.KerasTensor(shape, inputs.dtype), keras.KerasTensor(shape, "int32")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "pool_size": self.pool_size}


@keras.saving.register_keras_serializable(package="keras_vad")
class MaxUnpool(keras.layers.Layer):
    """Un-pooling: each value goes back to a position of its box, every other place is 0 (Sun et al. 2020, III-B).

    Args:
        pool_size: Size of the box, that of the mirrored ``MaxPoolWithArgmax``.
        output_space: Size of the output along each spatial (and temporal) dimension: the input size of the mirrored
            pooling. What lies beyond it is cropped.

    Call arguments:
        inputs: float, (batch, *space, channels).
        position: int32 of the same shape, from the mirrored pooling. Zeros put every value at the first place of its
            box (the ablation "w/o recording locations" of Sun et al. 2020, table V).

    Returns:
        float, (batch, *output_space, channels).
    """

    def __init__(self, pool_size: tuple[int, ...], output_space: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = tuple(pool_size)
        self.output_space = tuple(output_space)

    def call(self, inputs: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
        """Un-pool; see the class."""
        output = _unpool(tf.convert_to_tensor(inputs), tf.convert_to_tensor(position), self.pool_size)
        if tuple(output.shape[1:-1]) != self.output_space:
            output = tf.slice(output, [0] * output.shape.rank, [-1, *self.output_space, -1])
        return output

    def compute_output_spec(self, inputs: keras.KerasTensor, position: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and dtype of the output."""
        return keras.KerasTensor((inputs.shape[0], *self.output_space, inputs.shape[-1]), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "pool_size": self.pool_size, "output_space": self.output_space}


# Each of the two operations is the gradient of the other, so both gradients cost one operation.
def _pool(inputs: tf.Tensor, pool_size: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
    @tf.custom_gradient
    def pool(inputs: tf.Tensor) -> Any:
        # Compared place by place, which is five times as fast as an argmax over so short an axis.
        pooled, *others = _places(inputs, pool_size)
        position = tf.zeros_like(pooled, tf.int32)
        for number, values in enumerate(others, start=1):
            position = tf.where(values > pooled, number, position)
            pooled = tf.maximum(values, pooled)

        def gradient(upstream: tf.Tensor, _: Any) -> tf.Tensor:
            return _unpool(upstream, position, pool_size)

        return (pooled, position), gradient

    return pool(inputs)


def _unpool(inputs: tf.Tensor, position: tf.Tensor, pool_size: tuple[int, ...]) -> tf.Tensor:
    n_places = int(np.prod(pool_size))

    @tf.custom_gradient
    def unpool(inputs: tf.Tensor) -> Any:
        nothing = tf.zeros_like(inputs)
        output = _from_places([tf.where(position == n, inputs, nothing) for n in range(n_places)], pool_size)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            # The gradient of a strided transposed convolution does not know its shape.
            places = _places(tf.ensure_shape(upstream, output.shape), pool_size)
            return tf.add_n([tf.where(position == n, place, nothing) for n, place in enumerate(places)])

        return output, gradient

    return unpool(inputs)


# One dimension after another is cut, or joined, in long stretches of memory: slices with strides take longer, and
# LiteRT knows none of six dimensions.
def _places(inputs: tf.Tensor, pool_size: tuple[int, ...]) -> list[tf.Tensor]:
    """(batch, *space, channels) -> (batch, *space / pool_size, channels) for each place of a box, in its order."""
    space = inputs.shape[1:]  # and channels
    parts = [inputs]
    for axis, pool in enumerate(pool_size, start=1):
        stretch = int(np.prod(space[axis:]))
        parts = [one for part in parts for one in tf.unstack(tf.reshape(part, [-1, pool, stretch]), axis=1)]
    shape = [-1, *(size // pool for size, pool in zip(space[:-1], pool_size, strict=True)), space[-1]]
    return [tf.reshape(part, shape) for part in parts]


def _from_places(parts: Sequence[tf.Tensor], pool_size: tuple[int, ...]) -> tf.Tensor:
    """The inverse of ``_places``."""
    *space, channels = parts[0].shape[1:]
    space = [size * pool for size, pool in zip(space, pool_size, strict=True)]
    for axis in reversed(range(len(pool_size))):
        pool, stretch = pool_size[axis], int(np.prod([*space[axis + 1 :], channels]))
        rows = [tf.reshape(part, [-1, stretch]) for part in parts]
        parts = [tf.stack(rows[first : first + pool], axis=1) for first in range(0, len(rows), pool)]
    return tf.reshape(parts[0], [-1, *space, channels])

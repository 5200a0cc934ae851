"""Max-pooling that remembers where each maximum stood, and the un-pooling that puts values back there."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_vad")
class MaxPoolWithArgmax(keras.layers.Layer):
    """Max-pooling over non-overlapping boxes of 2 or 3 dimensions that also returns the position of each maximum.

    TensorFlow has no 3D max-pooling with argmax. The boxes do not overlap, so a reshape to one row of values a box and
    an argmax serve. A size that the box does not divide is padded at its end, as ``padding="same"`` would; padding
    never wins. Of equal values the first counts.

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
        boxes = _to_boxes(inputs, pool_size)
        position = tf.argmax(boxes, axis=-1, output_type=tf.int32)

        def gradient(upstream: tf.Tensor, _: Any) -> tf.Tensor:
            return _unpool(upstream, position, pool_size)

        return (tf.reduce_max(boxes, axis=-1), position), gradient

    return pool(inputs)


def _unpool(inputs: tf.Tensor, position: tf.Tensor, pool_size: tuple[int, ...]) -> tf.Tensor:
    n_places = int(np.prod(pool_size))

    @tf.custom_gradient
    def unpool(inputs: tf.Tensor) -> Any:
        output = _from_boxes(tf.one_hot(position, n_places, dtype=inputs.dtype) * inputs[..., None], pool_size)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            # The gradient of a strided transposed convolution does not know its shape.
            boxes = _to_boxes(tf.ensure_shape(upstream, output.shape), pool_size)
            return tf.reduce_sum(tf.one_hot(position, n_places, dtype=boxes.dtype) * boxes, axis=-1)

        return output, gradient

    return unpool(inputs)


# In two steps, as LiteRT transposes six dimensions at most: the rows of a box, in all its frames; then its columns.
def _to_boxes(inputs: tf.Tensor, pool_size: tuple[int, ...]) -> tf.Tensor:
    """(batch, *space, channels) -> (batch, *space / pool_size, channels, places of a box)."""
    *frames, rows, columns = pool_size
    space = [size // pool for size, pool in zip(inputs.shape[1:-1], pool_size, strict=True)]
    *times, height, width = space
    channels = inputs.shape[-1]
    if frames:
        inputs = tf.reshape(inputs, [-1, *times, *frames, height, rows, width * columns * channels])
        inputs = tf.transpose(inputs, [0, 1, 3, 2, 4, 5])
    boxes = tf.reshape(inputs, [-1, int(np.prod(frames)) * rows, width, columns, channels])
    boxes = tf.transpose(boxes, [0, 2, 4, 1, 3])
    return tf.reshape(boxes, [-1, *space, channels, int(np.prod(pool_size))])


def _from_boxes(boxes: tf.Tensor, pool_size: tuple[int, ...]) -> tf.Tensor:
    """The inverse of ``_to_boxes``."""
    *frames, rows, columns = pool_size
    space, channels = boxes.shape[1:-2], boxes.shape[-2]
    *times, height, width = space
    boxes = tf.reshape(boxes, [-1, width, channels, int(np.prod(frames)) * rows, columns])
    inputs = tf.transpose(boxes, [0, 3, 1, 4, 2])
    if frames:
        inputs = tf.reshape(inputs, [-1, *times, height, *frames, rows, width * columns * channels])
        inputs = tf.transpose(inputs, [0, 1, 3, 2, 4, 5])
    return tf.reshape(inputs, [-1, *(size * pool for size, pool in zip(space, pool_size, strict=True)), channels])

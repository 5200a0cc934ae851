"""Up-sampling and convolution in one."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_vad")
class UpsampleConv2D(keras.layers.Layer):
    """``UpSampling2D(2)`` followed by ``Conv2D(filters, 3, padding="same")``, with the same weights, at half the cost.

    Repeated pixels are multiplied by sums of the kernel's weights instead of one by one: a transposed convolution of
    stride 2, whose 4 x 4 kernel is the sum of four shifted copies of the 3 x 3 kernel.

    Args:
        filters: Output channels.

    Call arguments:
        inputs: float, (batch, h, w, channels).

    Returns:
        float, (batch, 2 h, 2 w, filters).
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create kernel and bias as ``Conv2D`` does."""
        self.kernel = self.add_weight(
            name="kernel", shape=(3, 3, input_shape[-1], self.filters), initializer="glorot_uniform"
        )
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """See the class."""
        kernel = tf.convert_to_tensor(self.kernel)
        shifts = [(row, column) for row in (0, 1) for column in (0, 1)]
        summed = tf.add_n([tf.pad(kernel, [[i, 1 - i], [j, 1 - j], [0, 0], [0, 0]]) for i, j in shifts])
        # A transposed convolution has its kernel mirrored, and output channels before input channels.
        mirrored = tf.reverse(tf.transpose(summed, [0, 1, 3, 2]), [0, 1])
        batch, height, width = tf.unstack(tf.shape(inputs)[:3])
        outputs = tf.nn.conv2d_transpose(
            inputs, mirrored, [batch, 2 * height, 2 * width, self.filters], strides=2, padding="SAME"
        )
        outputs = tf.ensure_shape(outputs, self.compute_output_shape(inputs.shape))
        return tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Twice as high and wide."""
        batch, height, width, _ = input_shape
        return (batch, height and 2 * height, width and 2 * width, self.filters)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "filters": self.filters}

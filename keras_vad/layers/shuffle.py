"""Enlarging feature maps by moving channels into space."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_vad")
class PixelShuffle(keras.layers.Layer):
    """Pixel shuffle (Shi et al., CVPR 2016): r * r channels of a place become one channel of r x r places.

    Args:
        factor: r, at least 2. Its square must divide the number of channels.

    Call arguments:
        inputs: float, (batch, h, w, r * r * channels).

    Returns:
        float, (batch, r * h, r * w, channels).

    Example:
    >>> tuple(PixelShuffle(2)(tf.zeros((1, 3, 5, 8))).shape)
    (1, 6, 10, 2)
    """

    def __init__(self, factor: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Shuffle; see the class."""
        return tf.nn.depth_to_space(tf.convert_to_tensor(inputs), self.factor)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and dtype of the output."""
        batch, height, width, channels = inputs.shape
        shape = (batch, height * self.factor, width * self.factor, channels // self.factor**2)
        return keras.KerasTensor(shape, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "factor": self.factor}

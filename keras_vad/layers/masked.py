"""Convolutions whose output channels see only the input channels before them: autoregressive models over channels."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_vad")
class ChannelMaskedConv2D(keras.layers.Conv2D):
    """A 2D convolution in which output channel o sees the input channels before o (Abati et al. 2019, section 3.2).

    A stack of them whose first is exclusive and whose others are inclusive models p(z) as the product over channels c
    of p(z[c] | z[0], ..., z[c - 1]). Filters and input channels must be equal in number.

    Args:
        channels: Input and output channels.
        kernel_size: As of ``keras.layers.Conv2D``.
        inclusive: Whether output channel o sees input channel o, too.
        **kwargs: As of ``keras.layers.Conv2D``.

    Call arguments:
        inputs: (batch, h, w, channels).

    Example:
    >>> import numpy as np
    >>> layer = ChannelMaskedConv2D(3, 1, kernel_initializer="ones")
    >>> layer(np.array([1, 10, 100], "float32").reshape(1, 1, 1, 3)).numpy().ravel().tolist()
    [0.0, 1.0, 11.0]
    """

    def __init__(
        self, channels: int, kernel_size: int | tuple[int, int], inclusive: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(channels, kernel_size, **kwargs)
        self.inclusive = inclusive
        before = np.triu(np.ones((channels, channels), "float32"), 0 if inclusive else 1)  # [input, output]
        self._mask = before[None, None]

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """The convolution with the masked kernel."""
        return super().convolution_op(inputs, kernel * tf.cast(self._mask, kernel.dtype))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        config = super().get_config()
        return {**config, "channels": config.pop("filters"), "inclusive": self.inclusive}

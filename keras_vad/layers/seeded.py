"""Noise and dropout that draw from a seed given with every call, so that a resumed run repeats what they drew.

Keras' own layers keep the state of a generator, which every replica would have to share.
"""

from typing import Any

import keras
import tensorflow as tf

from keras_vad.errors import VadError


class _Seeded(keras.layers.Layer):
    """A layer that draws random numbers while it trains, and passes its input on otherwise.

    Args:
        stream: A number of its own for each layer of a network: layers with equal numbers draw the same.

    Call arguments:
        inputs: float, (batch, ..., channels).
        seed: int32, (2,).
        training: Whether to draw.
    """

    def __init__(self, stream: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stream = stream

    def _own(self, seed: tf.Tensor) -> tf.Tensor:
        return tf.add(seed, (7919 * (self.stream + 1), 0))

    def compute_output_shape(self, inputs_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        """The input's."""
        return inputs_shape


@keras.saving.register_keras_serializable(package="keras_vad")
class SeededNoise(_Seeded):
    """Adds Gaussian noise while training.

    Args:
        stddev: Deviation of the noise, at least 0.
        stream: See ``_Seeded``: a number of its own for each layer of a network.
    """

    def __init__(self, stddev: float, stream: int = 0, **kwargs: Any) -> None:
        if stddev < 0:
            raise VadError(f"the deviation of the noise is {stddev}, but must be at least 0.")
        super().__init__(stream, **kwargs)
        self.stddev = stddev

    def call(self, inputs: tf.Tensor, seed: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Inputs, float (batch, ..., channels), with noise drawn from ``seed``, int32 (2,)."""
        if not training or self.stddev == 0:
            return inputs
        return inputs + self.stddev * tf.random.stateless_normal(tf.shape(inputs), self._own(seed), dtype=inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "stddev": self.stddev, "stream": self.stream}


@keras.saving.register_keras_serializable(package="keras_vad")
class SeededDropout(_Seeded):
    """Sets a share of the values to 0 while training and scales up the others, so that the mean stays.

    Args:
        rate: That share, in [0, 1).
        spatial: Whether whole channels are dropped.
        stream: See ``_Seeded``: a number of its own for each layer of a network.
    """

    def __init__(self, rate: float, spatial: bool = False, stream: int = 0, **kwargs: Any) -> None:
        if not 0 <= rate < 1:
            raise VadError(f"dropout is {rate}, but must be at least 0 and below 1.")
        super().__init__(stream, **kwargs)
        self.rate = rate
        self.spatial = spatial

    def call(self, inputs: tf.Tensor, seed: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Inputs, float (batch, ..., channels), with dropout drawn from ``seed``, int32 (2,)."""
        if not training or self.rate == 0:
            return inputs
        shape = tf.shape(inputs)
        if self.spatial:
            shape = tf.concat([shape[:1], tf.ones_like(shape[1:-1]), shape[-1:]], 0)
        kept = tf.random.stateless_uniform(shape, self._own(seed)) >= self.rate
        return inputs * tf.cast(kept, inputs.dtype) / (1.0 - self.rate)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "rate": self.rate, "spatial": self.spatial, "stream": self.stream}

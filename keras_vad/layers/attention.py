"""Attention to places where features vary: what moves, when the features are of stacked frames."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_vad")
class VarianceAttention(keras.layers.Layer):
    """Variance attention (Chang et al. 2022, section 3.4, figure 5): places whose channels differ much are amplified.

    An embedding of the features, a 1 x 1 convolution without bias (eq. 7), is averaged over boxes. The variance over
    its channels (eq. 8), normalised over all places, is the attention map. The features are multiplied with
    exp(attention), enlarged to their size by repetition.

    The paper normalises in two ways. Its text (and figure 5) says "l2 normalization along the spatial dimension": the
    variance is divided by its length over all places, whatever its scale. Its eq. 9 is a softmax of the variance over
    all places, which the public code computes, too. Variances of features are small against 1, and so their softmax is
    nearly one over the number of places everywhere: on Ped2 a trained network's features were multiplied with 1.010 to
    1.011, and attention did nothing.

    Deviation: eq. 8 as printed takes the norm of a number, its absolute value; this is the variance, as the text says.
    The public code sums over the channels where eq. 8 has a mean, which only the softmax can tell.

    Args:
        pool_size: Side of the boxes; it must divide height and width of the input.
        normalisation: ``"l2"`` (the text) or ``"softmax"`` (eq. 9).

    Call arguments:
        inputs: float, (batch, h, w, channels).

    Returns:
        A pair: the amplified features, like ``inputs``; and the attention map, float32
        (batch, h / pool_size, w / pool_size), in [0, 1]; its squares add up to 1 with ``"l2"``, its values with
        ``"softmax"``.

    Example:
    >>> features, attention = VarianceAttention(pool_size=2)(tf.random.normal((1, 8, 12, 4)))
    >>> tuple(features.shape), tuple(attention.shape)
    ((1, 8, 12, 4), (1, 4, 6))
    """

    def __init__(self, pool_size: int, normalisation: str = "l2", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = pool_size
        self.normalisation = normalisation

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the embedding."""
        channels = input_shape[-1]
        self.embedding = self.add_weight(name="embedding", shape=(1, 1, channels, channels))

    def call(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Amplify; see the class."""
        inputs = tf.convert_to_tensor(inputs)
        # Averaging and a 1 x 1 convolution can change places, and on fewer places it is cheaper.
        pooled = tf.nn.avg_pool2d(inputs, self.pool_size, self.pool_size, "VALID")
        embedded = tf.cast(tf.nn.conv2d(pooled, tf.convert_to_tensor(self.embedding), 1, "VALID"), tf.float32)
        variance = tf.math.reduce_variance(embedded, axis=-1)
        height, width = variance.shape[1:]
        places = tf.reshape(variance, [-1, height * width])
        if self.normalisation == "l2":
            # The squares of variances are small: with the usual epsilon, 1e-12, faint features would lose their map.
            places = tf.math.l2_normalize(places, axis=-1, epsilon=1e-30)
        else:
            places = tf.nn.softmax(places)
        attention = tf.reshape(places, [-1, height, width])
        factor = tf.repeat(tf.repeat(tf.exp(attention), self.pool_size, axis=1), self.pool_size, axis=2)
        return inputs * tf.cast(factor, inputs.dtype)[..., None], attention

    def compute_output_spec(self, inputs: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Shapes and dtypes of the output."""
        batch, height, width, _ = inputs.shape
        pooled = (batch, height // self.pool_size, width // self.pool_size)
        return keras.KerasTensor(inputs.shape, inputs.dtype), keras.KerasTensor(pooled, "float32")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "pool_size": self.pool_size, "normalisation": self.normalisation}

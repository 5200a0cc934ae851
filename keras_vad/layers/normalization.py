"""Batch normalisation that trains in one kernel."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_vad")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalisation over all axes but the last, in training by TensorFlow's fused kernel.

    Keras computes mean, variance and the normalised values in passes of their own over the batch, which costs more than
    the convolution before where channels are few and pixels many. Weights, their names and what they become are Keras';
    files hold either.

    Call arguments:
        inputs: float, (batch, ..., channels), of rank 3 to 5.
        training: Whether to normalise by the batch's statistics and to move the running ones; in mixed precision
            statistics are float32.

    Example:
    >>> layer = BatchNormalization(epsilon=1e-5)
    >>> outputs = layer(tf.constant([[[1.0], [3.0]]]), training=True)
    >>> outputs.numpy().round(2).tolist()
    [[[-1.0], [1.0]]]
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        """Normalise."""
        if not (training and self.trainable) or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        shape = tf.shape(inputs)
        channels = inputs.shape[-1]
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            # The kernel takes images; what comes after the batch is one axis to it.
            x=tf.reshape(inputs, [shape[0], tf.reduce_prod(shape[1:-1]), 1, channels]),
            scale=tf.ones([channels]) if self.gamma is None else tf.convert_to_tensor(self.gamma),
            offset=tf.zeros([channels]) if self.beta is None else tf.convert_to_tensor(self.beta),
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The kernel's variance is that of a sample, divided by n - 1; Keras' that of the batch.
        count = tf.cast(tf.reduce_prod(shape[:-1]), tf.float32)
        for running, of_batch in ((self.moving_mean, mean), (self.moving_variance, variance * (1.0 - 1.0 / count))):
            running.assign(self.momentum * running + (1.0 - self.momentum) * of_batch)
        return tf.ensure_shape(tf.reshape(outputs, shape), inputs.shape)

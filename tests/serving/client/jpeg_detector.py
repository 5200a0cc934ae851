"""The tiny detector with the signature `score_jpegs`."""

from pathlib import Path

import tensorflow as tf
from tiny_detector import TinyDetector


class JpegDetector(TinyDetector):
    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.string, name="jpegs")])
    def score_jpegs(self, jpegs):
        def decode(image):
            return tf.io.decode_image(image, channels=3, expand_animations=False)

        images = tf.map_fn(
            decode, tf.reshape(jpegs, [-1]), fn_output_signature=tf.TensorSpec((None, None, 3), tf.uint8)
        )
        shape = tf.concat([tf.shape(jpegs), tf.shape(images)[1:]], 0)
        return self.score(tf.ensure_shape(tf.reshape(images, shape), (None, None, None, None, 3)))


def export_jpeg(folder: Path) -> None:
    """Write its SavedModel."""
    module = JpegDetector(1.0)
    signatures = {"serving_default": module.score, "score_jpegs": module.score_jpegs, "describe": module.describe}
    tf.saved_model.save(module, str(folder), signatures=signatures)

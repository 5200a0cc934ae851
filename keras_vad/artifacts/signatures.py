"""The signatures of an exported detector: all that TensorFlow Serving and its clients see of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from keras_vad.layers.frames import resize_frames
from keras_vad.models.detector import VideoAnomalyDetector

_SCORES = ("scores", "raw_scores", "frame_offsets")


def archive(detector: VideoAnomalyDetector) -> keras.export.ExportArchive:
    """The detector with its signatures, ready to be written; ``saved_model.export`` says what they are."""

    def serving_default(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        result = detector.score_chunk(frames)
        return {name: result[name] for name in _SCORES}

    def score_maps(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        result = detector.score_chunk(frames, maps=True)
        return {name: result[name] for name in (*_SCORES, "maps")}

    def score_jpegs(jpegs: tf.Tensor) -> dict[str, tf.Tensor]:
        # The endpoint, not the function: the graph of the network is traced and stored once for both.
        return score_frames(decode(jpegs, detector.window.size))

    def describe(query: tf.Tensor) -> dict[str, tf.Tensor]:
        return _description(detector, tf.shape(query))

    made = keras.export.ExportArchive()
    made.track(detector)
    frames = tf.TensorSpec((None, None, None, None, 3), tf.uint8, name="frames")
    jpegs = tf.TensorSpec((None, None), tf.string, name="jpegs")
    query = tf.TensorSpec((None,), tf.int32, name="query")
    score_frames = made.add_endpoint("serving_default", serving_default, input_signature=[frames])
    made.add_endpoint("score_maps", score_maps, input_signature=[frames])
    made.add_endpoint("score_jpegs", score_jpegs, input_signature=[jpegs])
    made.add_endpoint("describe", describe, input_signature=[query])
    return made


def decode(images: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Decode and resize frames with core TensorFlow operations.

    Each frame is resized as soon as it is decoded, so a chunk of full HD frames never lies in memory as a whole.

    Args:
        images: string (...), each an image file: JPEG, PNG, BMP or GIF (its first picture). Gray becomes RGB,
            transparency is dropped.
        size: (height, width) wanted.

    Returns:
        uint8 (..., height, width, 3), RGB; the pixels of ``resize_frames``.

    Raises:
        tf.errors.InvalidArgumentError: If one is no such image.
    """

    def decode_one(image: tf.Tensor) -> tf.Tensor:
        frame = tf.io.decode_image(image, channels=3, expand_animations=False)
        return resize_frames(tf.ensure_shape(frame, (None, None, 3)), size)

    frames = tf.map_fn(decode_one, tf.reshape(images, [-1]), fn_output_signature=tf.TensorSpec((*size, 3), tf.uint8))
    return tf.reshape(frames, tf.concat([tf.shape(images), [*size, 3]], 0))


def _description(detector: VideoAnomalyDetector, batch: tf.Tensor) -> dict[str, tf.Tensor]:
    window = detector.window

    def constant(value: Any) -> tf.Tensor:
        value = tf.constant(value, tf.int32)
        return tf.broadcast_to(value, tf.concat([batch, tf.shape(value)], 0))

    return {
        "length": constant(window.length),
        "step": constant(window.step),
        "span": constant(window.span),
        "hop": constant(window.hop),
        "height": constant(window.size[0]),
        "width": constant(window.size[1]),
        "channels": constant(window.channels),
        "offsets": constant(window.scored),
    }


def signatures_of(saved_model: Path) -> dict[str, Any]:
    """Names, types and shapes of what the signatures of a SavedModel take and give, as plain values for the card."""
    model = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    signatures = model.meta_graphs[0].signature_def
    return {
        name: {"inputs": _tensors(signatures[name].inputs), "outputs": _tensors(signatures[name].outputs)}
        for name in sorted(signatures)
        if not name.startswith("__")  # TensorFlow's own
    }


def _tensors(infos: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, Any]:
    return {
        name: {
            "dtype": tf.dtypes.as_dtype(infos[name].dtype).name,
            "shape": [None if dim.size < 0 else dim.size for dim in infos[name].tensor_shape.dim],
        }
        for name in sorted(infos)
    }

"""Warm-up requests: TensorFlow Serving runs them before it calls a version ready, so no camera waits for the first run.

The first run of a signature is slow: memory is allocated, graphs are optimised, kernels chosen for the shapes. The file
``assets.extra/tf_serving_warmup_requests`` holds one request a signature, with frames of the size and chunks of the
length that clients send by default.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from keras_vad.artifacts.layout import EXTRA
from keras_vad.scoring.chunks import fit_chunk_length
from keras_vad.window import Window

WARMUP_FILE = EXTRA / "tf_serving_warmup_requests"


def warmup_requests(name: str, window: Window) -> list[predict_pb2.PredictRequest]:
    """One request for each signature: a chunk of gray frames.

    Args:
        name: The model's name in the zoo.
        window: The detector's window.

    Example:
    >>> [request.model_spec.signature_name for request in warmup_requests("street", Window(length=16, size=(8, 12)))]
    ['serving_default', 'score_maps', 'score_jpegs', 'describe']
    """
    length = fit_chunk_length(window)
    # One value for the whole tensor: a tensor message repeats its last value, so a chunk takes a few bytes.
    frames = tf.make_tensor_proto(128, tf.uint8, shape=(1, length, *window.size, 3))
    jpeg = tf.io.encode_jpeg(np.full((*window.size, 3), 128, np.uint8)).numpy()
    inputs = {
        "serving_default": ("frames", frames),
        "score_maps": ("frames", frames),
        "score_jpegs": ("jpegs", tf.make_tensor_proto(np.full((1, length), jpeg, object), tf.string)),
        "describe": ("query", tf.make_tensor_proto(0, tf.int32, shape=(1,))),
    }
    requests = []
    for signature, (key, tensor) in inputs.items():
        request = predict_pb2.PredictRequest()
        request.model_spec.name = name
        request.model_spec.signature_name = signature
        request.inputs[key].CopyFrom(tensor)
        requests.append(request)
    return requests


def write_warmup(version_folder: Path, name: str, window: Window) -> None:
    """Write the requests where TensorFlow Serving looks for them.

    Args:
        version_folder: The SavedModel.
        name: The model's name in the zoo.
        window: The detector's window.

    Raises:
        tf.errors.OpError: If the file cannot be written.
    """
    path = version_folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in warmup_requests(name, window):
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())

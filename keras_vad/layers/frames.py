"""The one way a frame is resized."""

from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf


def resize_frames(frames: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Resize frames to the size of a model's input, in uint8.

    The cache, the clients and the exported graph all resize here, and the result is rounded to uint8 as it is stored
    and sent, so all three see the same pixels.

    Args:
        frames: uint8, (..., H0, W0, C), values 0 to 255.
        size: (height, width) wanted.

    Returns:
        uint8, (..., height, width, C): antialiased bilinear, rounded; ``frames`` itself if it has that size.
    """
    frames = tf.convert_to_tensor(frames)
    height, width = size
    channels = frames.shape[-1]

    def resized() -> tf.Tensor:
        shape = tf.shape(frames)
        flat = tf.reshape(frames, tf.concat([[-1], shape[-3:]], 0))
        flat = tf.image.resize(flat, size, method="bilinear", antialias=True)
        flat = tf.saturate_cast(tf.round(flat), tf.uint8)
        return tf.reshape(flat, tf.concat([shape[:-3], [height, width], shape[-1:]], 0))

    if frames.shape[-3] is not None and frames.shape[-2] is not None:
        result = frames if tuple(frames.shape[-3:-1]) == (height, width) else resized()
    else:
        is_size = tf.reduce_all(tf.shape(frames)[-3:-1] == [height, width])
        result = tf.cond(is_size, lambda: frames, resized)
    return tf.ensure_shape(result, [*frames.shape[:-3], height, width, channels])


def resize_each(frames: Iterable[np.ndarray], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Resize a stream of frames one by one, so that chunks of large frames are never held.

    Args:
        frames: uint8 (H0, W0, 3) each; anything else passes as it is, for the consumer to refuse.
        size: (height, width) wanted.

    Returns:
        uint8 (height, width, 3) each.
    """
    for frame in frames:
        is_frame = frame.ndim == 3 and frame.dtype == np.uint8
        yield resize_frames(frame, size).numpy() if is_frame and frame.shape[:2] != size else frame

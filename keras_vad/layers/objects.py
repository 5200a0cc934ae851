"""Object detectors that ship with a library and need no download, and crops of what they find."""

from collections.abc import Callable

import cv2
import keras
import numpy as np
import tensorflow as tf

from keras_vad.errors import VadError

# frame uint8 (H, W) gray, background-subtracted frame float32 (H, W) -> boxes (n, 4): top, left, bottom, right, pixels
ObjectDetector = Callable[[np.ndarray, np.ndarray], np.ndarray]


def foreground_objects(frame: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """Connected regions that differ from the background (OpenCV): people, bicycles and cars alike.

    Args:
        frame: uint8, (H, W), gray.
        difference: float32, (H, W), frame minus background in units of [0, 1].

    Returns:
        float32, (n, 4): top, left, bottom, right in pixels; the largest regions first.
    """
    height = frame.shape[0]
    # 0.1 of the gray range separates walking people from camera noise on all UCSD clips; boxes under 1/40 of the
    # frame's height are noise.
    mask = (cv2.GaussianBlur(np.abs(difference), (5, 5), 0) > 0.1).astype("uint8")
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    left, top, width, tall, area = stats[1:].T
    keep = np.flatnonzero(tall >= max(4, height // 40))
    keep = keep[np.argsort(-area[keep], kind="stable")]
    boxes = np.stack([top, left, top + tall, left + width], axis=-1)[keep]
    return boxes.astype("float32").reshape(-1, 4)


def people(frame: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """People found by OpenCV's HOG detector; they must stand at least 96 pixels tall.

    Args and returns: as ``foreground_objects``; ``difference`` is not used.
    """
    detector = cv2.HOGDescriptor()
    detector.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())
    if frame.shape[0] < 128 or frame.shape[1] < 64:
        return np.zeros((0, 4), "float32")
    boxes, weights = detector.detectMultiScale(frame, winStride=(8, 8))
    order = np.argsort(-np.ravel(weights), kind="stable")
    return np.array([[y, x, y + h, x + w] for x, y, w, h in np.array(boxes).reshape(-1, 4)[order]], "float32").reshape(
        -1, 4
    )


DETECTORS: dict[str, ObjectDetector] = {"foreground": foreground_objects, "people": people}


def get_detector(identifier: str | ObjectDetector) -> ObjectDetector:
    """The detector with this name, or the callable itself."""
    if callable(identifier):
        return identifier
    if identifier not in DETECTORS:
        raise VadError(
            f"object_crops is {identifier!r}, but must be one of {', '.join(DETECTORS)}, a callable registered with "
            "Keras, or None."
        )
    return DETECTORS[identifier]


def detect_objects(
    frames: tf.Tensor, background: tf.Tensor, detector: ObjectDetector, max_objects: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Run a detector over frames, outside the TensorFlow graph.

    Args:
        frames: float32, (batch, H, W, 1), gray minus background.
        background: float32, (H, W, 1).
        detector: See ``ObjectDetector``.
        max_objects: Boxes kept a frame, the first ones.

    Returns:
        boxes float32 (batch, max_objects, 4), top, left, bottom, right as shares of the frame, the whole frame where
        there is no object; and a mask float32 (batch, max_objects), 1 where there is one.
    """

    def run(frames: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = frames.shape[1:3]
        boxes = np.tile(np.array([0, 0, 1, 1], "float32"), (len(frames), max_objects, 1))
        mask = np.zeros((len(frames), max_objects), "float32")
        gray = np.clip(np.rint((frames + background) * 255), 0, 255).astype("uint8")[..., 0]
        for i, frame in enumerate(frames):
            found = detector(gray[i], frame[..., 0])[:max_objects]
            boxes[i, : len(found)] = found / np.array([height, width, height, width], "float32")
            mask[i, : len(found)] = 1
        return boxes, mask

    boxes, mask = tf.numpy_function(run, [frames, background], [tf.float32, tf.float32], stateful=False)
    batch = frames.shape[0]
    return tf.ensure_shape(boxes, [batch, max_objects, 4]), tf.ensure_shape(mask, [batch, max_objects])


def crop_objects(windows: tf.Tensor, boxes: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Cut the same box out of every frame of a window, for every box.

    Args:
        windows: float32, (batch, T, H, W, channels).
        boxes: float32, (batch, n, 4), as ``detect_objects`` returns them.
        size: (height, width) of a crop.

    Returns:
        float32, (batch * n, T, height, width, channels); bilinear. A box of ``size`` pixels is copied as it is.
    """
    batch, time, height, width, channels = (
        static if static is not None else dynamic
        for static, dynamic in zip(windows.shape, tf.unstack(tf.shape(windows)), strict=True)
    )
    n_boxes = boxes.shape[1]
    stacked = tf.reshape(tf.transpose(windows, [0, 2, 3, 1, 4]), [batch, height, width, time * channels])
    # TensorFlow counts from the centre of the first pixel, 0, to the centre of the last, 1.
    pixels = tf.cast(tf.stack([height, width, height, width]), tf.float32)
    centres = (boxes * pixels - tf.constant([0.0, 0.0, 1.0, 1.0])) / (pixels - 1)
    crops = tf.image.crop_and_resize(
        stacked, tf.reshape(centres, [-1, 4]), tf.repeat(tf.range(batch), n_boxes), list(size)
    )
    crops = tf.reshape(crops, [-1, *size, time, channels])
    return keras.ops.transpose(crops, [0, 3, 1, 2, 4])

"""Dense optical flow as a model input."""

import cv2
import numpy as np
import tensorflow as tf

# Flow of one pixel a frame is of the order of the gray values' deviation after this scaling.
_PIXELS_PER_UNIT = 10.0


def optical_flow(frames: tf.Tensor) -> tf.Tensor:
    """Dense optical flow between consecutive frames (Farneback, OpenCV).

    The last frame, which has no successor, repeats the flow before it. OpenCV runs outside the TensorFlow graph, so a
    model that uses this cannot be exported.

    Args:
        frames: float32, (batch, T, H, W, 1), T >= 2, gray; a constant offset (a subtracted background) is harmless
            only if it is added back before, since flow follows the image, not the difference.

    Returns:
        float32, (batch, T, H, W, 3): horizontal flow, vertical flow and its magnitude, in 10 pixels a frame.
    """
    flow = tf.numpy_function(_farneback, [frames], tf.float32, stateful=False)
    return tf.ensure_shape(flow, [*frames.shape[:-1], 3])


def _farneback(frames: np.ndarray) -> np.ndarray:
    gray = np.clip(np.rint(frames[..., 0] * 255), 0, 255).astype("uint8")
    flow = np.empty((*gray.shape, 3), "float32")
    for clip, out in zip(gray, flow, strict=True):
        for t in range(len(clip) - 1):
            out[t, ..., :2] = cv2.calcOpticalFlowFarneback(clip[t], clip[t + 1], None, 0.5, 3, 15, 3, 5, 1.2, 0)
        out[-1, ..., :2] = out[-2, ..., :2]
    flow[..., 2] = np.hypot(flow[..., 0], flow[..., 1])
    return flow / _PIXELS_PER_UNIT

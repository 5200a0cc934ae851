"""Dense optical flow inside the TensorFlow graph, so that it is exported with a model."""

import math

import tensorflow as tf

from keras_vad.layers.blur import gaussian_blur

_PRESMOOTHING = 1.0  # pixels; removes noise that gradients would amplify


def optical_flow(frames: tf.Tensor, sigma: float = 2.5, damping: float = 1e-4) -> tf.Tensor:
    """Dense optical flow between consecutive frames: Lucas and Kanade's least squares with a damping term.

    At every place the flow (u, v) solves, over a Gaussian neighbourhood, the damped normal equations of
    ``gx u + gy v + gt = 0``. The damping pulls the flow of places without texture to 0. One scale only: it follows
    motion of a few pixels a frame. A library's flow (OpenCV) runs outside the graph and could not be exported.

    Args:
        frames: float32, (batch, T, H, W, 1), T >= 2, gray in [0, 1], without the background subtracted.
        sigma: Deviation of the neighbourhood in pixels of the frames.
        damping: Damping, in squared gray values a pixel; 1e-4 is the squared gradient of a just visible edge.

    Returns:
        float32, (batch, T, ceil(H / 2), ceil(W / 2), 3): horizontal flow, vertical flow and its magnitude in pixels of
        the frames per frame, at half the resolution, which the neighbourhood's size allows. The last frame has no
        successor and repeats the flow before it.
    """
    batch, time = tf.shape(frames)[0], frames.shape[1]
    height, width = frames.shape[2:4]
    # Mirrored at the borders, which would be edges otherwise.
    margin = math.ceil(3 * _PRESMOOTHING)
    padded = tf.pad(tf.reshape(frames, [-1, height, width]), [(0, 0), (margin, margin), (margin, margin)], "SYMMETRIC")
    smooth = gaussian_blur(padded, _PRESMOOTHING)[:, margin:-margin, margin:-margin]
    smooth = tf.reshape(smooth, [-1, time, height, width])
    before, after = smooth[:, :-1], smooth[:, 1:]
    middle = (before + after) / 2
    gx = _central_difference(middle, axis=3)
    gy = _central_difference(middle, axis=2)
    gt = after - before
    products = tf.stack([gx * gx, gy * gy, gx * gy, gx * gt, gy * gt], axis=2)
    products = tf.reshape(products, [-1, height, width, 1])
    products = tf.nn.avg_pool2d(products, 2, 2, "SAME")[..., 0]
    half = tuple(products.shape[1:])
    products = tf.reshape(gaussian_blur(products, sigma / 2), [-1, time - 1, 5, *half])
    xx, yy, xy, xt, yt = tf.unstack(products, axis=2)
    xx, yy = xx + damping, yy + damping
    determinant = xx * yy - xy * xy
    u = (xy * yt - yy * xt) / determinant
    v = (xy * xt - xx * yt) / determinant
    flow = tf.stack([u, v, tf.sqrt(u * u + v * v)], axis=-1)
    flow = tf.concat([flow, flow[:, -1:]], axis=1)
    return tf.reshape(flow, [batch, time, *half, 3])


def _central_difference(values: tf.Tensor, axis: int) -> tf.Tensor:
    """(next - previous) / 2 along an axis, 0 at its ends."""
    size = values.shape[axis]
    following = tf.gather(values, tf.range(2, size), axis=axis)
    previous = tf.gather(values, tf.range(0, size - 2), axis=axis)
    paddings = [(1, 1) if dimension == axis else (0, 0) for dimension in range(values.shape.rank)]
    return tf.pad((following - previous) / 2, paddings)

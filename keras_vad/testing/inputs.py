"""Windows and videos for tests of methods, all 40 x 56 RGB."""

import numpy as np
import tensorflow as tf


def raw_windows(detector, batch=4, seed=0, window=None):
    """A batch of (training) windows, uint8 (batch, T, 40, 56, 3): squares that move over a textured ground.

    No two frames are equal: in a still picture all frames tie for the maximum of a pooling, and rounding decides.
    """
    length = len((window or detector.training_window).frames)
    generator = np.random.default_rng(seed)
    ground = generator.integers(60, 120, (40, 56, 3))
    frames = np.tile(ground, (batch, length, 1, 1, 1)).astype(np.uint8)
    for clip in frames:
        top, left = generator.integers(0, 28), generator.integers(0, 30)
        colour = generator.integers(0, 256, 3)
        for time, frame in enumerate(clip):
            frame[top : top + 12, left + time : left + time + 12] = colour
    return frames ^ generator.integers(0, 16, frames.shape, dtype=np.uint8)


def phase_batch(detector, phase, batch=4, seed=0):
    """A batch as the steps of a phase get it: windows, a tuple of several kinds of them, or of encoded frames."""
    kinds = phase.windows or (detector.training_window,)
    windows = [
        raw_windows(detector, batch * phase.batch_factor, seed + number, kind) for number, kind in enumerate(kinds)
    ]
    if phase.encode is not None:
        encode = getattr(detector, phase.encode)
        windows = [np.stack([np.asarray(encode(tf.constant(frames))) for frames in each]) for each in windows]
    return windows[0] if len(windows) == 1 else tuple(windows)


def raw_video(n, seed=0):
    """uint8 (n, 40, 56, 3): noise, so that every frame has a score of its own."""
    return np.random.default_rng(seed).integers(0, 256, (n, 40, 56, 3), dtype=np.uint8)

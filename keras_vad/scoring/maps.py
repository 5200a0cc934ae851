"""Anomaly maps made small enough to be kept for a long video."""

import cv2
import numpy as np

from keras_vad.errors import VadError


def reduce_maps(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Shrink maps to at most ``size``, each value the mean of the area that it stands for.

    Args:
        maps: float32 (m, h, w).
        size: Largest (height, width) to keep; a side that is not longer stays as it is.

    Returns:
        float32 (m, min(h, height), min(w, width)).

    Raises:
        VadError: If a side of ``size`` is below 1.

    Example:
    >>> reduce_maps(np.arange(8, dtype=np.float32).reshape(1, 2, 4), (1, 2))
    array([[[2.5, 4.5]]], dtype=float32)
    """
    if min(size) < 1:
        raise VadError(f"the size to keep maps at is {size}, but height and width must be at least 1.")
    maps = np.asarray(maps, np.float32)
    height, width = (min(side, most) for side, most in zip(maps.shape[1:], size, strict=True))
    if maps.shape[1:] == (height, width):
        return maps
    # OpenCV's area interpolation weighs the places at the borders of an area by the share that lies in it.
    small = [cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in maps]
    return np.stack(small) if small else np.zeros((0, height, width), np.float32)

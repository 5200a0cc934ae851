"""Frames resized to a model's size with the pixels that the exported graph would make."""

from __future__ import annotations

import functools
import math

import numpy as np


def resize_frame(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize one frame: antialiased bilinear, rounded to uint8, as TensorFlow's kernel computes it on x86.

    Every product and sum is made in float32 and in the kernel's order (rows before columns), so the pixels are those
    of ``keras_vad.layers.frames.resize_frames`` to the bit. Where TensorFlow fuses products and sums (Arm), a pixel
    that lies half way between two values may differ by one.

    Args:
        frame: uint8 (H0, W0, C), values 0 to 255.
        size: (height, width) wanted.

    Returns:
        uint8 (height, width, C); ``frame`` itself if it has that size.

    Example:
    >>> resize_frame(np.uint8([[[0], [100]], [[100], [200]]]), (1, 1)).tolist()
    [[[100]]]
    """
    height, width = size
    if frame.shape[:2] == (height, width):
        return frame
    tall = _gather_rows(frame.astype(np.float32), *_spans(frame.shape[0], height))
    # Columns are rows of the transposed image; elementwise, the sums are the same.
    wide = _gather_rows(np.ascontiguousarray(tall.swapaxes(0, 1)), *_spans(frame.shape[1], width)).swapaxes(0, 1)
    return np.ascontiguousarray(np.clip(np.rint(wide), 0, 255).astype(np.uint8))


_Spans = tuple[np.ndarray, np.ndarray]


@functools.lru_cache(maxsize=16)
def _spans(old: int, new: int) -> _Spans:
    """For every new place the old places it is made of, int (new, k), and their weights, float32 (new, k).

    TensorFlow's ``ComputeSpansCore`` with the triangle kernel, step by step in float32.
    """
    one, half = np.float32(1), np.float32(0.5)
    scale = one / (np.float32(new) / np.float32(old))
    kernel_scale = max(scale, one)
    span = min(2 * math.ceil(kernel_scale) + 1, old)
    places = np.zeros((new, span), np.int64)
    weights = np.zeros((new, span), np.float32)
    for x in range(new):
        middle = (np.float32(x) + half) * scale
        if middle > old:
            continue
        start = min(max(math.ceil(middle - kernel_scale - half), 0), old - 1)
        stop = min(max(math.floor(middle + kernel_scale - half), 0), old - 1) + 1
        found = []
        total = np.float32(0)
        for source in range(start, stop):
            position = abs((np.float32(source) + half - middle) * (one / kernel_scale))
            found.append(max(one - position, np.float32(0)))
            total += found[-1]
        if total >= 1000 * np.finfo(np.float32).tiny:
            weights[x, : len(found)] = np.array(found) * (one / total)
        places[x] = np.minimum(start + np.arange(span), old - 1)
    return places, weights


def _gather_rows(image: np.ndarray, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.zeros((len(places), *image.shape[1:]), np.float32)
    for k in range(places.shape[1]):
        total += weights[:, k, None, None] * image[places[:, k]]
    return total

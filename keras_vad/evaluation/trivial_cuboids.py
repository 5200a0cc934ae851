"""Trivial scores of cuboids: a method that scores cuboids must beat them on the same ones."""

from collections.abc import Sequence

import numpy as np

from keras_vad.data.cache import CachedFrames
from keras_vad.errors import VadError
from keras_vad.evaluation.results import ROW_NORMALISED_FLOW
from keras_vad.evaluation.trivial import flow_speeds, gray_frames, typical_speeds
from keras_vad.window import Window

SQUARED_CHANGE = "trivial_squared_change"
TRIVIAL_CUBOID_SCORES = (SQUARED_CHANGE, ROW_NORMALISED_FLOW)

TRAINING_WINDOWS = 64


class TrivialCuboids:
    """Scores of the cuboids of a window, on gray frames of the detector's input size with values in [0, 1].

    * ``trivial_squared_change``: mean (frame - previous frame)^2 of the cuboid.
    * ``trivial_flow_row_normalised``: mean optical flow speed of the cuboid, divided by the typical speed of its row of
      the grid, which is the 99 % quantile of the row's moving cuboids in at most 64 windows, evenly spaced over the
      training videos (``keras_vad.evaluation.trivial.typical_speeds``).

    Args:
        videos: Normal training videos at the detector's input size.
        window: The detector's window, of at least two frames.
        grid: Rows and columns of cuboids.
        size: (height, width) of a cuboid in pixels.
        step: Pixels between neighbouring cuboids.

    Raises:
        VadError: If no training video fills a window, or a window has a single frame.
    """

    def __init__(
        self, videos: Sequence[CachedFrames], window: Window, grid: tuple[int, int], size: tuple[int, int], step: int
    ) -> None:
        self.grid, self.size, self.step = grid, size, step
        if window.length < 2:
            raise VadError(
                "the trivial scores of cuboids compare frames, but the detector's cuboids have a single one."
            )
        places = [(video, start) for video in videos for start in range(0, len(video) - window.span + 1, window.span)]
        if not places:
            raise VadError(
                f"no training video has the {window.span} frames of a window, but the trivial scores of cuboids need "
                "the speeds that are normal; check that the data set has its training videos."
            )
        chosen = places[:: -(-len(places) // TRAINING_WINDOWS)]
        clips = (video.read(start, window.length, window.step) for video, start in chosen)
        self.row_speeds = typical_speeds(np.stack([self._speeds(gray_frames(clip)) for clip in clips]))

    def __call__(self, clip: np.ndarray) -> dict[str, np.ndarray]:
        """The scores of a window's cuboids.

        Args:
            clip: uint8 (n, H, W, 3), RGB, of the detector's input size.

        Returns:
            Name -> float64, ``grid``.
        """
        gray = gray_frames(clip)
        change = np.square(np.diff(gray, axis=0)).mean(axis=0)
        return {
            SQUARED_CHANGE: box_means(change, self.grid, self.size, self.step),
            ROW_NORMALISED_FLOW: self._speeds(gray) / self.row_speeds,
        }

    def _speeds(self, gray: np.ndarray) -> np.ndarray:
        height, width = gray.shape[1:]
        speed = flow_speeds(gray).mean(axis=0).repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
        return box_means(speed, self.grid, self.size, self.step)


def box_means(values: np.ndarray, grid: tuple[int, int], size: tuple[int, int], step: int) -> np.ndarray:
    """Means of the boxes of a grid.

    Args:
        values: float (H, W), for example the anomalous share of each pixel.
        grid: Rows and columns of boxes.
        size: (height, width) of a box.
        step: Pixels between neighbouring boxes.

    Returns:
        float64, ``grid``; exactly 0 where all values are.

    Example:
    >>> box_means(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), (1, 2), (2, 2), 1)
    array([[0.25, 0.  ]])
    """
    boxes = np.lib.stride_tricks.sliding_window_view(values.astype(np.float64), size)[::step, ::step]
    return boxes[: grid[0], : grid[1]].mean(axis=(2, 3))

"""Trivial baselines: scores that learn nothing, which a method must beat under the same protocol.

On UCSD Ped2 plain frame differences reach an AUROC of 0.90 under ``paper`` and 0.82 under ``deployable``, more than
some published methods; the optical flow by itself reaches still more, so what uses it must be held against it. The
strongest opponent is the flow that knows of the camera's view only that far things move fewer pixels.
"""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import tensorflow as tf

from keras_vad.data.cache import CachedFrames, FrameCache
from keras_vad.data.video import Video
from keras_vad.errors import VadError
from keras_vad.evaluation.protocols import ScoreSeries
from keras_vad.evaluation.results import ROW_NORMALISED_FLOW
from keras_vad.layers.flow import optical_flow

FRAME_SIZE = (120, 180)
BACKGROUND_FRAMES = 256
BLUR_SIGMA = 4.0
FLOW_QUANTILE = 0.99
FLOW_SIGMA = 2.0
TRAINING_STRETCHES = 64

FLOW_CELL = 3
"""Places of the flow along a side of a cell, 6 pixels: less than a person, so that a cell lies within one. Of sizes
from 4 to 20 pixels this is the one with which patches of held-out training frames of Ped2 stood out best when they were
played at twice their speed. The cells tile the flow of ``FRAME_SIZE`` without a rest, 20 rows of 30."""
LARGEST_CELLS = 3
"""A thing that moves covers a few cells; the largest alone would be whatever the flow got wrong."""
MOVING = 0.1
"""Pixels a frame. Slower motion is not told from noise, and says nothing of how fast things move."""
MOVING_CELLS = 20
"""A row with fewer cells that move in training does not tell its speed, its neighbours do."""

_BATCH = 64

# Frames or differences of frames, float32 (n, h, w), to their scores (n,).
_Pooling = Callable[[np.ndarray], np.ndarray]


def _mean_absolute(difference: np.ndarray) -> np.ndarray:
    return np.abs(difference).mean(axis=(1, 2))


def _mean_square(difference: np.ndarray) -> np.ndarray:
    return np.square(difference).mean(axis=(1, 2))


def _max_blurred_square(difference: np.ndarray) -> np.ndarray:
    return np.array([cv2.GaussianBlur(square, (0, 0), BLUR_SIGMA).max() for square in np.square(difference)])


_AGAINST_BACKGROUND: dict[str, _Pooling] = {
    "trivial_background_difference": _mean_absolute,
    "trivial_background_difference_squared": _mean_square,
}
_AGAINST_PREVIOUS: dict[str, _Pooling] = {
    "trivial_frame_difference": _mean_absolute,
    "trivial_frame_difference_squared": _mean_square,
    "trivial_blurred_frame_difference": _max_blurred_square,
}
_FLOW, _FLOW_EXCESS, _FLOW_OF_ROWS = "trivial_flow_squared", "trivial_flow_excess", ROW_NORMALISED_FLOW
TRIVIAL_BASELINES = (*_AGAINST_BACKGROUND, *_AGAINST_PREVIOUS, _FLOW, _FLOW_EXCESS, _FLOW_OF_ROWS)


def trivial_scores(
    train_videos: Sequence[Video], test_videos: Sequence[Video], cache: FrameCache
) -> dict[str, list[ScoreSeries]]:
    """Score the test videos with every trivial baseline, on gray frames of 180x120 pixels with values in [0, 1].

    * ``trivial_background_difference``: mean |frame - background|.
    * ``trivial_background_difference_squared``: mean (frame - background)^2.
    * ``trivial_frame_difference``: mean |frame - previous frame|.
    * ``trivial_frame_difference_squared``: mean (frame - previous frame)^2.
    * ``trivial_blurred_frame_difference``: maximum of (frame - previous frame)^2 blurred with a Gaussian, sigma 4.
    * ``trivial_flow_squared``: mean squared optical flow from the previous frame.
    * ``trivial_flow_excess``: mean of what the squared flow, blurred with sigma 2 at half resolution, exceeds the 99 %
      quantile of training frames by.
    * ``trivial_flow_row_normalised``: optical flow speed, averaged in cells of 6x6 pixels, divided by the typical
      speed of the cell's image row; mean of the three largest cells. A fixed camera looks down at a slant, so the row
      of a place stands for its distance, and how many pixels a step of a person is. The typical speed of a row is the
      99 % quantile of those of its cells that move in training frames: however few walk there, it is theirs.

    The background is the median of at most 256 frames, evenly spaced over all training frames. The first frame of a
    video has no previous one, so the last six do not score it.

    Args:
        train_videos: Normal videos.
        test_videos: Videos to score.
        cache: Keeps the resized frames.

    Returns:
        Baseline -> the series of each test video, in order.

    Raises:
        VadError: If there is no training video, or a test video has a single frame.
    """
    if not train_videos:
        raise VadError("the trivial baselines got no training videos, but need them for the background.")
    training = [cache.get(video, FRAME_SIZE) for video in train_videos]
    background, speeds = _background(training), _training_speeds(training)
    flow_level, row_speeds = _flow_level(speeds), typical_speeds(cell_means(speeds, FLOW_CELL))
    series: dict[str, list[ScoreSeries]] = {name: [] for name in TRIVIAL_BASELINES}
    for video in test_videos:
        frames = cache.get(video, FRAME_SIZE)
        if len(frames) < 2:
            raise VadError(f"the test video {video.name} has a single frame, but frame differences need at least two.")
        scores: dict[str, list[np.ndarray]] = {name: [] for name in TRIVIAL_BASELINES}
        previous = None
        for batch in _gray_batches(frames):
            for name, pooling in _AGAINST_BACKGROUND.items():
                scores[name].append(pooling(batch - background))
            known = batch if previous is None else np.concatenate([previous, batch])
            for name, pooling in _AGAINST_PREVIOUS.items():
                scores[name].append(pooling(np.diff(known, axis=0)))
            if len(known) > 1:
                speed = flow_speeds(known)
                flow = np.square(speed)
                scores[_FLOW].append(flow.mean(axis=(1, 2)))
                scores[_FLOW_EXCESS].append(np.maximum(_blurred(flow) - flow_level, 0).mean(axis=(1, 2)))
                scores[_FLOW_OF_ROWS].append(row_normalised(speed, row_speeds))
            previous = batch[-1:]
        for name, pieces in scores.items():
            raw = np.concatenate(pieces)
            series[name].append(ScoreSeries(np.arange(len(frames) - len(raw), len(frames)), raw))
    return series


def _background(videos: Sequence[CachedFrames]) -> np.ndarray:
    """float32 (h, w)."""
    ends = np.cumsum([len(video) for video in videos])
    step = -(-int(ends[-1]) // BACKGROUND_FRAMES)
    sample = []
    for number in range(0, int(ends[-1]), step):
        index = int(np.searchsorted(ends, number, side="right"))
        video = videos[index]
        sample.append(gray_frames(video.read(number - int(ends[index]) + len(video), 1)))
    return np.median(np.concatenate(sample), axis=0)


def _training_speeds(videos: Sequence[CachedFrames]) -> np.ndarray:
    """Flow speeds of at most 64 stretches of 17 frames, evenly spaced over the videos: (n, h / 2, w / 2)."""
    places = [(video, start) for video in videos for start in range(0, max(len(video) - 16, 1), 17) if len(video) > 1]
    chosen = places[:: -(-len(places) // TRAINING_STRETCHES) or 1]
    stretches = (video.read(start, min(17, len(video))) for video, start in chosen)
    speeds = [flow_speeds(gray_frames(frames)) for frames in stretches]
    return np.concatenate(speeds or [np.zeros((0, *(size // 2 for size in FRAME_SIZE)), np.float32)])


def _flow_level(speeds: np.ndarray) -> float:
    """The level that the blurred squared flow of training frames rarely exceeds; 0 without any."""
    return float(np.quantile(_blurred(np.square(speeds)), FLOW_QUANTILE)) if len(speeds) else 0.0


def row_normalised(speed: np.ndarray, row_speeds: np.ndarray) -> np.ndarray:
    """The score of ``trivial_flow_row_normalised``.

    Args:
        speed: (n, h, w) flow speeds, in pixels a frame.
        row_speeds: What ``typical_speeds`` gives for the cells of training frames.

    Returns:
        (n,) means of the fastest cells, in multiples of the typical speed of their rows.
    """
    return _largest_mean(cell_means(speed, FLOW_CELL) / row_speeds)


def flow_speeds(gray: np.ndarray) -> np.ndarray:
    """Optical flow speed between each two frames, float32 (n + 1, h, w) in [0, 1] to (n, ceil(h / 2), ceil(w / 2)).

    In pixels of the frames per frame, see ``keras_vad.layers.flow``.
    """
    return optical_flow(tf.constant(gray[None, ..., None])).numpy()[0, :-1, ..., 2]


def cell_means(maps: np.ndarray, cell: int) -> np.ndarray:
    """Means of square cells, (n, h, w) to (n, h // cell, w // cell); what is left at the right and below is left out.

    Example:
    >>> cell_means(np.arange(10.0).reshape(1, 2, 5), 2).tolist()
    [[[3.0, 5.0]]]
    """
    rows, columns = maps.shape[1] // cell, maps.shape[2] // cell
    tiles = maps[:, : rows * cell, : columns * cell].reshape(len(maps), rows, cell, columns, cell)
    return tiles.mean(axis=(2, 4))


def typical_speeds(cells: np.ndarray) -> np.ndarray:
    """Of each image row, the speed that those of its cells that move rarely exceed in training frames.

    Args:
        cells: (n, rows, columns), speeds in pixels a frame; n may be 0.

    Returns:
        (rows, 1), at least ``MOVING``. A row in which fewer than ``MOVING_CELLS`` move has a speed between those of the
        nearest rows above and below that have more, or that of the nearest one; ``MOVING`` if none has.

    Example:
    >>> cells = np.zeros((101, 4, 1))
    >>> cells[:, 0, 0] = np.linspace(1, 2, 101)
    >>> cells[:, 2, 0] = 3
    >>> typical_speeds(cells).ravel().round(3).tolist()
    [1.99, 2.495, 3.0, 3.0]
    """
    moving = [row[row > MOVING] for row in np.moveaxis(cells, 1, 0)]
    told = [number for number, speeds in enumerate(moving) if len(speeds) >= MOVING_CELLS]
    if not told:
        return np.full((cells.shape[1], 1), MOVING)
    speeds = [np.quantile(moving[number], FLOW_QUANTILE) for number in told]
    return np.interp(np.arange(cells.shape[1]), told, speeds)[:, None]


def _largest_mean(cells: np.ndarray) -> np.ndarray:
    """Mean of the largest cells of each frame, (n, rows, columns) to (n,)."""
    return np.sort(cells.reshape(len(cells), -1), axis=1)[:, -LARGEST_CELLS:].mean(axis=1)


def _blurred(maps: np.ndarray) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(one, (0, 0), FLOW_SIGMA) for one in maps])


def _gray_batches(frames: CachedFrames) -> Iterator[np.ndarray]:
    for start in range(0, len(frames), _BATCH):
        yield gray_frames(frames.read(start, min(_BATCH, len(frames) - start)))


def gray_frames(frames: np.ndarray) -> np.ndarray:
    """uint8 (n, h, w, 3) RGB to float32 (n, h, w) in [0, 1]."""
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]).astype(np.float32) / 255

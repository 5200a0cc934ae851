"""Trivial baselines: scores that learn nothing, which a method must beat under the same protocol.

On UCSD Ped2 plain frame differences reach an AUROC of 0.90 under ``paper`` and 0.82 under ``deployable``, more than
some published methods; the optical flow by itself reaches still more, so what uses it must be held against it.
"""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import tensorflow as tf

from keras_vad.data.cache import CachedFrames, FrameCache
from keras_vad.data.video import Video
from keras_vad.errors import VadError
from keras_vad.evaluation.protocols import ScoreSeries
from keras_vad.layers.flow import optical_flow

FRAME_SIZE = (120, 180)
BACKGROUND_FRAMES = 256
BLUR_SIGMA = 4.0
FLOW_QUANTILE = 0.99
FLOW_SIGMA = 2.0

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
_FLOW, _FLOW_EXCESS = "trivial_flow_squared", "trivial_flow_excess"
TRIVIAL_BASELINES = (*_AGAINST_BACKGROUND, *_AGAINST_PREVIOUS, _FLOW, _FLOW_EXCESS)


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

    The background is the median of at most 256 frames, evenly spaced over all training frames. The first frame of a
    video has no previous one, so the last five do not score it.

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
    background, flow_level = _background(training), _flow_level(training)
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
                flow = _squared_flow(known)
                scores[_FLOW].append(flow.mean(axis=(1, 2)))
                scores[_FLOW_EXCESS].append(np.maximum(_blurred(flow) - flow_level, 0).mean(axis=(1, 2)))
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
        sample.append(_gray(video.read(number - int(ends[index]) + len(video), 1)))
    return np.median(np.concatenate(sample), axis=0)


def _flow_level(videos: Sequence[CachedFrames]) -> float:
    """The flow baseline's normal level, from at most 16 stretches of 17 frames, evenly spaced over the videos."""
    long_enough = [video for video in videos if len(video) > 1]
    if not long_enough:
        return 0.0
    chosen = long_enough[:: -(-len(long_enough) // 16)]
    stretches = (video.read((len(video) - min(17, len(video))) // 2, min(17, len(video))) for video in chosen)
    energies = [_blurred(_squared_flow(_gray(frames))).ravel() for frames in stretches]
    return float(np.quantile(np.concatenate(energies), FLOW_QUANTILE))


def _squared_flow(gray: np.ndarray) -> np.ndarray:
    """float32 (n + 1, h, w) to the squared flow between each two frames, float32 (n, h / 2, w / 2)."""
    flow = optical_flow(tf.constant(gray[None, ..., None])).numpy()[0, :-1]
    return np.square(flow[..., :2]).sum(axis=-1)


def _blurred(maps: np.ndarray) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(one, (0, 0), FLOW_SIGMA) for one in maps])


def _gray_batches(frames: CachedFrames) -> Iterator[np.ndarray]:
    for start in range(0, len(frames), _BATCH):
        yield _gray(frames.read(start, min(_BATCH, len(frames) - start)))


def _gray(frames: np.ndarray) -> np.ndarray:
    """uint8 (n, h, w, 3) RGB to float32 (n, h, w) in [0, 1]."""
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]).astype(np.float32) / 255

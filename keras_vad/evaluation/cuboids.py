"""Evaluation at the level of cuboids, as Jacob & Levine 2019 do (section V-A): which cuboids hold an anomaly.

A detector that scores cuboids says where and when at once, and so does this measure: a frame with ten cuboids on an
anomaly and three hundred beside it counts as ten and three hundred.

With a minimum share above 0, a cuboid that holds a smaller part of an anomaly is neither plainly anomalous nor plainly
normal. Such partial cuboids are counted as normal (the public code's rule), and in a second row of figures left out, as
benchmarks of object detection leave out regions that may be either.

Trivial scores of the very same cuboids stand beside those of the detector (``keras_vad.evaluation.trivial_cuboids``).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
import tensorflow as tf
from sklearn.metrics import precision_recall_curve

from keras_vad.data.base import VideoDataset
from keras_vad.data.cache import FrameCache
from keras_vad.data.video import Labels, Video
from keras_vad.errors import VadError
from keras_vad.evaluation.metrics import auroc, average_precision
from keras_vad.evaluation.trivial_cuboids import TRAINING_WINDOWS, TRIVIAL_CUBOID_SCORES, TrivialCuboids, box_means
from keras_vad.window import Window

_BATCH = 4  # windows scored at once


@runtime_checkable
class CuboidDetector(Protocol):
    """What a detector must offer to be measured by its cuboids; ``AdaptiveClusteringCAE`` does.

    Attributes:
        window: The frames of a window; a cuboid has all of them.
        grid: Rows and columns of the cuboids of a window.
        cuboid_size: (height, width) of a cuboid in pixels of the model input.
        cuboid_stride: Pixels between neighbouring cuboids.
        normal_distance: The score that few normal cuboids exceed.
    """

    window: Window
    grid: tuple[int, int]
    cuboid_size: tuple[int, int]
    cuboid_stride: int
    normal_distance: Any

    def preprocess(self, frames: tf.Tensor) -> tf.Tensor:
        """Raw frames to model input."""

    def cuboid_scores(self, windows: tf.Tensor) -> tf.Tensor:
        """Scores of the cuboids of preprocessed windows, float32 (batch, *grid)."""


@dataclass(frozen=True)
class CuboidSet:
    """All cuboids of some test videos, in order of videos, windows, rows and columns.

    Args:
        scores: float32 (n,), higher is more anomalous.
        trivial: Name -> float32 (n,), the trivial scores of the same cuboids.
        shares: float32 (n,), the share of a cuboid's pixels, over all its frames, that is anomalous.
        videos: Names of the videos.
        windows: Number of windows.
    """

    scores: np.ndarray
    trivial: dict[str, np.ndarray]
    shares: np.ndarray
    videos: tuple[str, ...]
    windows: int


def cuboid_report(
    detector: CuboidDetector,
    dataset: VideoDataset,
    cache: FrameCache,
    *,
    minimum_shares: Sequence[float] = (0.0,),
    hop: int | None = None,
    track: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> dict[str, Any]:
    """Measure a trained detector by its cuboids on all test videos that have pixel masks.

    Args:
        detector: A trained detector that scores cuboids.
        dataset: Its test videos; those without masks are left out.
        cache: Keeps the decoded frames.
        minimum_shares: A cuboid is anomalous if more than this share of its pixels is; 0 is the paper's rule, any
            pixel. There is a row of figures for each, and above 0 a second one without the partial cuboids, those
            with anomalous pixels that are not more.
        hop: Frames between the starts of windows; ``None`` for windows that do not overlap.
        track: Wraps the test videos, to show progress.

    Returns:
        Plain values: ``dataset``, ``videos`` and ``windows`` (numbers of them), ``hop``; ``minimum_share``,
        ``partial`` (``"normal"`` or ``"left out"``) and the figures of ``cuboid_figures`` for the first row;
        ``by_minimum_share``, a list of the same for each row; ``trivial``, for each trivial score such a list.

    Raises:
        VadError: If the detector scores no cuboids, no test video has masks, no training video fills a window, or a
            video cannot be read.
    """
    for share in minimum_shares:
        if not 0 <= share < 1:
            raise VadError(f"the minimum share is {share}, but must be at least 0 and below 1.")
    if not minimum_shares:
        raise VadError("there is no minimum share; give at least one, 0 for any pixel.")
    found = score_cuboids(detector, dataset, cache, hop=hop, track=track)
    rows = _by_minimum_share(found.shares, found.scores, minimum_shares, float(np.asarray(detector.normal_distance)))
    return {
        "dataset": dataset.name,
        "videos": len(found.videos),
        "windows": found.windows,
        "hop": detector.window.length if hop is None else hop,
        **rows[0],
        "by_minimum_share": rows,
        "trivial": {
            name: _by_minimum_share(found.shares, scores, minimum_shares, None)
            for name, scores in found.trivial.items()
        },
    }


def _by_minimum_share(
    shares: np.ndarray, scores: np.ndarray, minimum_shares: Sequence[float], threshold: float | None
) -> list[dict[str, Any]]:
    """A row of figures for each minimum share and rule for partial cuboids."""
    rows = []
    for share in minimum_shares:
        anomalous = shares > share
        rules = {"normal": np.ones_like(anomalous)}
        if share > 0:
            rules["left out"] = anomalous | (shares == 0)
        for partial, kept in rules.items():
            figures = cuboid_figures(anomalous[kept], scores[kept], threshold)
            rows.append({"minimum_share": share, "partial": partial, **figures})
    return rows


def score_cuboids(
    detector: CuboidDetector,
    dataset: VideoDataset,
    cache: FrameCache,
    *,
    hop: int | None = None,
    track: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> CuboidSet:
    """Scores and anomalous shares of all cuboids of the test videos that have masks; see ``cuboid_report``."""
    if not isinstance(detector, CuboidDetector):
        raise VadError(f"{type(detector).__name__} scores no cuboids; use a model of adaptive_clustering.")
    window = detector.window
    step = window.length * window.step if hop is None else hop
    if step < 1:
        raise VadError(f"the hop between windows is {step}, but must be at least 1 frame.")
    masked = [(video, labels) for video, labels in dataset.test_videos() if labels is not None and labels.mask]
    if not masked:
        raise VadError(f"no test video of {dataset.name} has pixel masks, but the labels of cuboids come from them.")
    scorer = tf.function(
        lambda frames: detector.cuboid_scores(detector.preprocess(frames)),
        input_signature=[tf.TensorSpec((None, window.length, *window.size, 3), tf.uint8)],
        autograph=False,
    )
    normal = dataset.train_videos()
    training = [cache.get(video, window.size) for video in normal[:: -(-len(normal) // TRAINING_WINDOWS) or 1]]
    trivial = TrivialCuboids(training, window, detector.grid, detector.cuboid_size, detector.cuboid_stride)
    scores, shares, windows = [], [], 0
    trivial_scores: dict[str, list[np.ndarray]] = {name: [] for name in TRIVIAL_CUBOID_SCORES}
    for video, labels in track(masked):
        frames = cache.get(video, window.size)
        starts = range(0, len(frames) - window.span + 1, step)
        if not starts:
            raise VadError(
                f"the test video {video.name} has {len(frames)} frames, but a window needs {window.span}; leave it out."
            )
        masks = _resized_masks(video, labels, window.size)
        for first in range(0, len(starts), _BATCH):
            batch = starts[first : first + _BATCH]
            clips = np.stack([frames.read(start, window.length, window.step) for start in batch])
            scores.append(scorer(tf.constant(clips)).numpy().ravel())
            for clip in clips:
                for name, each in trivial(clip).items():
                    trivial_scores[name].append(each.ravel())
            for start in batch:
                mean = masks[start : start + window.span : window.step].mean(axis=0)
                shares.append(box_means(mean, detector.grid, detector.cuboid_size, detector.cuboid_stride).ravel())
        windows += len(starts)
    names = tuple(video.name for video, _ in masked)
    joined = {name: np.concatenate(each).astype(np.float32) for name, each in trivial_scores.items()}
    return CuboidSet(np.concatenate(scores), joined, np.concatenate(shares), names, windows)


def _resized_masks(video: Video, labels: Labels, size: tuple[int, int]) -> np.ndarray:
    """Anomalous share of each pixel of the model input, float32 (n, H, W)."""
    assert labels.mask is not None
    masks = [labels.mask(number).astype(np.float32) for number in range(len(video.frames))]
    # Area interpolation keeps an anomaly of a single pixel.
    return np.stack([cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA) for mask in masks])


def cuboid_figures(labels: np.ndarray, scores: np.ndarray, normal_threshold: float | None = None) -> dict[str, Any]:
    """The paper's figures (tables III to VII), and those at a threshold that no label has chosen.

    Args:
        labels: bool (n,), True where a cuboid is anomalous.
        scores: (n,), higher is more anomalous.
        normal_threshold: A threshold from normal data; ``None`` for none.

    Returns:
        ``cuboids``, ``anomalous``; ``auroc`` and ``ap`` (``None`` where a class is missing); ``threshold`` (T of eq.
        14: the one with the best F1 on these very labels, as in the paper) with ``accuracy``, ``f1``, ``precision`` and
        ``recall`` at it; and the same with ``normal_`` before their names at ``normal_threshold``.

    Example:
    >>> labels, scores = np.array([False, False, True, False, True]), np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    >>> figures = cuboid_figures(labels, scores)
    >>> figures["threshold"], figures["accuracy"], figures["f1"]
    (3.0, 0.8, 0.8)
    """
    figures: dict[str, Any] = {
        "cuboids": len(labels),
        "anomalous": int(labels.sum()),
        "auroc": auroc(labels, scores),
        "ap": average_precision(labels, scores),
        "threshold": None,
        **_at(labels, scores, None),
    }
    if labels.any():
        precision, recall, thresholds = precision_recall_curve(labels, scores)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        figures["threshold"] = float(thresholds[np.argmax(f1[:-1])])  # the curve ends with a point of no threshold
        figures |= _at(labels, scores, figures["threshold"])
    if normal_threshold is not None:
        figures["normal_threshold"] = normal_threshold
        figures |= {f"normal_{name}": value for name, value in _at(labels, scores, normal_threshold).items()}
    return figures


def _at(labels: np.ndarray, scores: np.ndarray, threshold: float | None) -> dict[str, float | None]:
    """What flagging the scores from ``threshold`` on (eq. 14) gets right."""
    if threshold is None:
        return dict.fromkeys(("accuracy", "f1", "precision", "recall"))
    flagged = scores >= threshold
    hits, flags, anomalous = int((flagged & labels).sum()), int(flagged.sum()), int(labels.sum())
    return {
        "accuracy": float((flagged == labels).mean()),
        "f1": 2 * hits / (flags + anomalous) if flags + anomalous else None,
        "precision": hits / flags if flags else None,
        "recall": hits / anomalous if anomalous else None,
    }

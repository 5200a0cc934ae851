"""The ROC curve of a report, and where the alarm boundary lies on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from keras_vad.scoring.series import VideoScores

_MOST_POINTS = 500


@dataclass(frozen=True)
class Roc:
    """A ROC curve.

    Args:
        false_positive: float64 (k,), from 0 to 1: share of the normal frames above a threshold.
        true_positive: float64 (k,), share of the anomalous frames above it.
        auroc: Area under the whole curve, in [0, 1].
        operating_point: (false, true positive rate) of alarms.
    """

    false_positive: np.ndarray
    true_positive: np.ndarray
    auroc: float
    operating_point: tuple[float, float]


def roc_of(scores: Sequence[VideoScores], labels: Sequence[np.ndarray]) -> Roc | None:
    """The ROC curve of calibrated scores, frames of all videos pooled (protocol ``deployable``).

    Args:
        scores: Of each video.
        labels: Of each video, bool (n_i,), True where the frame is anomalous; all frames, scored or not.

    Returns:
        The curve, thinned to about 500 points evenly along it; ``None`` if only one class is there.

    Example:
    >>> level = np.array([0.1, 0.6, 0.4, 0.8], np.float32)
    >>> roc = roc_of([VideoScores(np.arange(4), level, level)], [np.array([False, False, True, True])])
    >>> roc.auroc, roc.operating_point
    (0.75, (0.5, 0.5))
    """
    truth = np.concatenate([one[video.frame_index] for one, video in zip(labels, scores, strict=True)])
    level = np.concatenate([video.calibrated for video in scores])
    if truth.all() or not truth.any():
        return None
    false_positive, true_positive, _ = roc_curve(truth, level)
    along = false_positive + true_positive
    kept = np.unique(np.searchsorted(along, np.linspace(0, 2, _MOST_POINTS)).clip(max=len(along) - 1))
    alarm = np.concatenate([video.alarm for video in scores])
    return Roc(
        false_positive[kept],
        true_positive[kept],
        float(roc_auc_score(truth, level)),
        (float(alarm[~truth].mean()), float(alarm[truth].mean())),
    )

"""Frame-level metrics, with one rule for what they do where a class is missing.

AUROC and EER compare anomalous with normal frames, so they do not exist when there is one class only; they are ``None``
then, never 0 or 0.5. AP is ``None`` without anomalous frames.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from keras_vad.errors import VadError
from keras_vad.scoring.series import finite_scores

#: What ``rates_at`` gives.
RATES = ("accuracy", "false_positive_rate", "true_positive_rate", "precision", "f1", "f1_throughout")


def auroc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve: the chance that an anomalous frame scores above a normal one, ties counting half.

    Args:
        labels: bool (n,), True where the frame is anomalous.
        scores: (n,), higher is more anomalous.

    Returns:
        In [0, 1]; ``None`` if only one class is there.

    Raises:
        VadError: If lengths differ, there are no frames or a score is not finite. So do the other metrics.

    Example:
    >>> auroc(np.array([False, True, False, True]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    labels, scores = _checked(labels, scores)
    return float(roc_auc_score(labels, scores)) if _has_both(labels) else None


def macro_auroc(labels: Sequence[np.ndarray], scores: Sequence[np.ndarray]) -> tuple[float | None, int]:
    """Mean of the videos' own AUROCs, over the videos that have both normal and anomalous frames.

    Args:
        labels: Of each video, bool (n_i,).
        scores: Of each video, (n_i,).

    Returns:
        The mean, ``None`` if no video has both classes; and the number of videos that have.
    """
    each = [auroc(video_labels, video_scores) for video_labels, video_scores in zip(labels, scores, strict=True)]
    defined = [value for value in each if value is not None]
    return (float(np.mean(defined)) if defined else None), len(defined)


def equal_error_rate(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Error rate at the threshold where as large a share of normal frames is flagged as of anomalous ones is missed.

    The ROC curve has a point for each threshold; between two points it is taken as a straight line, and this is where
    it crosses false positive rate = 1 - true positive rate.

    Args:
        labels: bool (n,), True where the frame is anomalous.
        scores: (n,), higher is more anomalous.

    Returns:
        In [0, 1]; ``None`` if only one class is there.

    Example:
    >>> equal_error_rate(np.array([False, False, True, True]), np.array([1, 3, 2, 4]))
    0.5
    """
    labels, scores = _checked(labels, scores)
    if not _has_both(labels):
        return None
    false_positive, true_positive, _ = roc_curve(labels, scores, drop_intermediate=False)
    # Rises from -1 to 1, and strictly between two points of the curve, so the crossing is one point.
    excess = false_positive - (1 - true_positive)
    return float(np.interp(0.0, excess, false_positive))


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the precision-recall curve, as the step-wise sum of scikit-learn (no interpolation).

    Args:
        labels: bool (n,), True where the frame is anomalous.
        scores: (n,), higher is more anomalous.

    Returns:
        In [0, 1]; a random score reaches the share of anomalous frames. ``None`` if no frame is anomalous.

    Example:
    >>> round(average_precision(np.array([False, True, False, True]), np.array([1, 2, 3, 4])), 4)
    0.8333
    """
    labels, scores = _checked(labels, scores)
    return float(average_precision_score(labels, scores)) if labels.any() else None


def rates_at(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float | None]:
    """What an alarm at scores above ``threshold`` gets right.

    Args:
        labels: bool (n,), True where the frame is anomalous.
        scores: (n,), higher is more anomalous.
        threshold: A frame is flagged if its score is above it.

    Returns:
        ``accuracy``: share of frames that are flagged if and only if anomalous. ``false_positive_rate``: share of the
        normal frames that is flagged. ``true_positive_rate``: share of the anomalous frames that is flagged (recall).
        ``precision``: share of the flagged frames that is anomalous. ``f1``: harmonic mean of these two. A share of
        frames that do not exist is ``None``, and so is ``f1`` where no frame is anomalous or flagged.
        ``f1_throughout``: the F1 of flagging every frame, which a score must beat to have told anything; ``None`` where
        none is anomalous.

    Example:
    >>> rates_at(np.array([False, False, True, True]), np.array([0.2, 0.6, 0.4, 0.9]), threshold=0.5)
    {'accuracy': 0.5, 'false_positive_rate': 0.5, 'true_positive_rate': 0.5, 'precision': 0.5, 'f1': 0.5, \
'f1_throughout': 0.6666666666666666}
    """
    labels, scores = _checked(labels, scores)
    flagged = scores > threshold

    hits, both = int((flagged & labels).sum()), int(flagged.sum()) + int(labels.sum())

    def share(chosen: np.ndarray) -> float | None:
        return float(flagged[chosen].mean()) if chosen.any() else None

    return {
        "accuracy": float((flagged == labels).mean()),
        "false_positive_rate": share(~labels),
        "true_positive_rate": share(labels),
        "precision": hits / int(flagged.sum()) if flagged.any() else None,
        "f1": 2 * hits / both if both else None,
        "f1_throughout": 2 * int(labels.sum()) / (len(labels) + int(labels.sum())) if labels.any() else None,
    }


def _checked(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = np.asarray(labels), finite_scores(scores, "a metric")
    if labels.dtype != bool:
        raise VadError(f"labels are {labels.dtype}, but must be bool, True where the frame is anomalous.")
    if labels.shape != scores.shape or labels.ndim != 1:
        raise VadError(f"there are {labels.shape} labels and {scores.shape} scores, but each frame must have both.")
    return labels, scores


def _has_both(labels: np.ndarray) -> bool:
    return bool(labels.any() and not labels.all())
